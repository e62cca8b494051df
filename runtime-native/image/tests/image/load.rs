//! Archives in, as root on the real kernel.

use std::fs;

use crate::common::{Node, config, docker_archive, gzip, layer, oci_archive, zstd};
use creel_image::{ErrorKind, Progress};
use creel_storage::{Digest, PrepareOptions};
use serde_json::json;

const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
const PLAIN: &str = "application/vnd.oci.image.layer.v1.tar";

#[test]
fn a_docker_archive_becomes_a_root_file_system() {
    for driver in ["overlay2", "vfs"] {
        let mut node = Node::with_driver(driver);
        let layers = [
            layer(&[("a", "1"), ("b", "1")]),
            layer(&[("b", "2"), (".wh.a", "")]),
        ];
        let archive = docker_archive(&[(&["app:1", "reg.example:5000/x/app:2"], &layers, "/app")]);
        let mut layers_told = 0;
        let loaded = node
            .store
            .load(&archive[..], |p| {
                layers_told += usize::from(matches!(p, Progress::Layer { .. }))
            })
            .unwrap();
        assert_eq!(layers_told, 2);
        assert_eq!(loaded.len(), 1);
        assert_eq!(loaded[0].references, ["app:1", "reg.example:5000/x/app:2"]);
        for _ in 0..2 {
            let image = node.store.resolve("docker.io/library/app:1").unwrap();
            assert_eq!(image.id, loaded[0].id);
            assert_eq!(image.id, Digest::of(&config(&layers, "/app")));
            assert_eq!(image.config.config.cmd.as_deref(), Some(&["/app".to_owned()][..]));
            assert_eq!(image.record.size, 3);
            let driver = node.store.driver();
            let root = driver
                .prepare("c", image.top_layer(), &PrepareOptions::default())
                .unwrap();
            assert_eq!(fs::read(root.join("b")).unwrap(), b"2");
            assert!(!root.join("a").exists());
            node.reopen();
        }
        assert_eq!(node.store.resolve(loaded[0].id.short()).unwrap().id, loaded[0].id);
        assert_eq!(
            node.store.resolve(loaded[0].id.as_str()).unwrap().id,
            loaded[0].id
        );
        // manifest.json itself is not kept: two layers and a configuration.
        assert_eq!(node.blob_count(), 3);
    }
}

#[test]
fn several_images_share_layers_and_take_names_over() {
    let node = Node::new();
    let base = layer(&[("base", "1")]);
    let first = docker_archive(&[
        (&["one:latest"], std::slice::from_ref(&base), "/one"),
        (&["two:latest"], &[base.clone(), layer(&[("two", "2")])], "/two"),
        (&[], std::slice::from_ref(&base), "/nameless"),
    ]);
    let loaded = node.store.load(&first[..], |_| {}).unwrap();
    assert_eq!(loaded.len(), 3);
    assert!(loaded[2].references.is_empty());
    assert_eq!(node.store.driver().layers().len(), 2);
    let second = docker_archive(&[(&["one:latest"], &[base], "/new")]);
    let again = node.store.load(&second[..], |_| {}).unwrap();
    assert_eq!(
        again[0].renamed,
        [("one:latest".to_owned(), loaded[0].id.clone())]
    );
    assert_eq!(node.store.resolve("one").unwrap().id, again[0].id);
    assert!(node.store.resolve(loaded[0].id.as_str()).is_ok());
}

#[test]
fn oci_layouts_with_every_compression() {
    let node = Node::new();
    let plain = [layer(&[("a", "1")]), layer(&[("b", "2")]), layer(&[("c", "3")])];
    let blobs = [
        (gzip(&plain[0]), GZIP),
        (zstd(&plain[1]), ZSTD),
        (plain[2].clone(), PLAIN),
    ];
    let config = config(&plain, "/x");
    let name = json!({"io.containerd.image.name": "docker.io/library/multi:9", "org.opencontainers.image.ref.name": "9"});
    let archive = oci_archive(&blobs, &config, name);
    for outer in [archive.clone(), gzip(&archive), zstd(&archive)] {
        let loaded = node.store.load(&outer[..], |_| {}).unwrap();
        assert_eq!(loaded[0].references, ["multi:9"]);
    }
    let image = node.store.resolve("multi:9").unwrap();
    assert!(image.record.manifest.is_some());
    let root = node
        .store
        .driver()
        .prepare("c", image.top_layer(), &PrepareOptions::default())
        .unwrap();
    for (name, content) in [("a", b"1"), ("b", b"2"), ("c", b"3")] {
        assert_eq!(fs::read(root.join(name)).unwrap(), content);
    }
    let other = oci_archive(
        &blobs,
        &config,
        json!({"org.opencontainers.image.ref.name": "latest"}),
    );
    assert!(
        node.store.load(&other[..], |_| {}).unwrap()[0]
            .references
            .is_empty()
    );
}

#[test]
fn bad_archives_leave_nothing() {
    let node = Node::new();
    let layers = [layer(&[("a", "1")])];
    let good = docker_archive(&[(&["app:1"], &layers, "/app")]);
    let wrong = layer(&[("a", "2")]);
    let lying = oci_archive(&[(wrong, PLAIN)], &config(&layers, "/x"), json!({}));
    let mut flipped = oci_archive(&[(layers[0].clone(), PLAIN)], &config(&layers, "/x"), json!({}));
    flipped[512] ^= 1;
    let mut missing = tar::Builder::new(Vec::new());
    crate::common::add(&mut missing, "c.json", &config(&layers, "/x"));
    crate::common::add(
        &mut missing,
        "manifest.json",
        br#"[{"Config":"c.json","Layers":["gone/layer.tar"]}]"#,
    );
    let missing = missing.into_inner().unwrap();
    let bad_name = docker_archive(&[(&["App:1"], &layers, "/app")]);
    for (what, archive) in [
        ("empty", &b""[..]),
        ("text", b"this is not an archive, whatever its name says"),
        ("cut", &good[..good.len() / 2]),
        ("rootfs", &layers[0]),
        ("gzip", &gzip(&good)[..200]),
        ("gzip header", &[0x1f, 0x8b, 8, 0, 1, 2, 3, 4]),
        ("zstd", &zstd(&good)[..50]),
        ("wrong layer", &lying),
        ("flipped bit", &flipped),
        ("missing layer", &missing),
        ("bad name", &bad_name),
    ] {
        let error = node.store.load(archive, |_| {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArchive, "{what}: {error}");
        assert!(node.is_empty(), "{what}");
        eprintln!("{what}: {error}");
    }
    let unsupported = node.store.load(&b"BZh91AY&SY"[..], |_| {}).unwrap_err();
    assert_eq!(unsupported.kind(), ErrorKind::Unsupported);
}

#[test]
fn one_bad_image_undoes_the_others() {
    let node = Node::new();
    let layers = [layer(&[("a", "1")])];
    let mut archive = docker_archive(&[(&["good:1"], &layers, "/app"), (&["bad:1"], &layers, "/bad")]);
    let at = archive.windows(5).rposition(|w| w == b"/laye").unwrap();
    archive[at + 1] = b'X';
    assert!(node.store.load(&archive[..], |_| {}).is_err());
    assert!(node.is_empty());
    assert_eq!(
        node.store.resolve("good:1").unwrap_err().to_string(),
        "No such image: good:1"
    );
    assert_eq!(
        node.store.resolve("good").unwrap_err().to_string(),
        "No such image: good:latest"
    );
}

#[test]
fn another_storage_driver_gets_its_layers_from_the_blobs() {
    let mut node = Node::new();
    let archive = docker_archive(&[(&["app:1"], &[layer(&[("a", "1")]), layer(&[("b", "2")])], "/app")]);
    node.store.load(&archive[..], |_| {}).unwrap();
    node.switch_driver("vfs");
    let image = node.store.resolve("app:1").unwrap();
    assert!(node.store.driver().layers().is_empty());
    node.store.ensure_layers(&image, |_| {}).unwrap();
    let root = node
        .store
        .driver()
        .prepare("c", image.top_layer(), &PrepareOptions::default())
        .unwrap();
    assert_eq!(fs::read(root.join("a")).unwrap(), b"1");
}

#[test]
fn what_a_crash_left_is_swept_and_what_is_damaged_is_kept() {
    let mut node = Node::new();
    let archive = docker_archive(&[(&["app:1"], &[layer(&[("a", "1")])], "/app")]);
    let id = node.store.load(&archive[..], |_| {}).unwrap()[0].id.clone();
    node.store.content().put(b"left over").unwrap();
    fs::write(node.path().join("content/ingest/4242-1"), b"half").unwrap();
    node.reopen();
    assert_eq!(
        (node.blob_count(), node.store.resolve("app:1").unwrap().id),
        (2, id.clone())
    );
    assert_eq!(
        fs::read_dir(node.path().join("content/ingest")).unwrap().count(),
        0
    );
    fs::write(node.path().join("content/sha256").join(id.hex()), b"{").unwrap();
    node.reopen();
    assert_eq!(
        node.store.resolve("app:1").unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(node.blob_count(), 2);
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing() {
    let node = Node::with_space(8 << 20);
    let noise: String = (0..6 << 20)
        .map(|n: u32| char::from(b'a' + (n % 23) as u8))
        .collect();
    let fits = docker_archive(&[(&["fits:1"], &[layer(&[("a", "1")])], "/app")]);
    node.store.load(&fits[..], |_| {}).unwrap();
    let (blobs, layers) = (node.blob_count(), node.store.driver().layers().len());
    // Its archive fits, the files that it holds do not; the other does not even arrive.
    for files in [vec![("big", &*noise)], vec![("one", &*noise), ("two", &*noise)]] {
        let archive = docker_archive(&[(&["big:1"], &[layer(&files)], "/app")]);
        let error = node.store.load(&archive[..], |_| {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
        assert_eq!(
            (node.blob_count(), node.store.driver().layers().len()),
            (blobs, layers)
        );
        for folder in ["content/ingest", "overlay2/staging"] {
            assert_eq!(
                fs::read_dir(node.path().join(folder)).unwrap().count(),
                0,
                "{folder}"
            );
        }
    }
    node.store.resolve("fits:1").unwrap();
}
