//! The suite that every storage driver must pass, on the real kernel as root.

mod common;

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use common::{Layer, drivers, each_driver};
use creel_storage::{Digest, DigestReader, ErrorKind, PrepareOptions, StorageDriver, chain_id};

fn apply(driver: &dyn StorageDriver, parent: Option<&Digest>, layer: Layer) -> Digest {
    try_apply(driver, parent, layer).unwrap()
}

fn try_apply(
    driver: &dyn StorageDriver,
    parent: Option<&Digest>,
    layer: Layer,
) -> creel_storage::Result<Digest> {
    let bytes = layer.finish();
    let diff = Digest::of(&bytes);
    let chain = chain_id(parent, &diff);
    driver.apply_layer(&chain, parent, &mut DigestReader::new(&bytes[..], Some(diff)))?;
    Ok(chain)
}

fn stack(driver: &dyn StorageDriver, layers: Vec<Layer>) -> Digest {
    layers
        .into_iter()
        .fold(None, |parent, layer| Some(apply(driver, parent.as_ref(), layer)))
        .unwrap()
}

fn mounted(driver: &dyn StorageDriver, layers: Vec<Layer>) -> PathBuf {
    let top = stack(driver, layers);
    driver
        .prepare("c1", Some(&top), &PrepareOptions::default())
        .unwrap()
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    let name = CString::new(name).unwrap();
    let mut value = [0u8; 256];
    let n = unsafe {
        libc::lgetxattr(
            path.as_ptr(),
            name.as_ptr(),
            value.as_mut_ptr().cast(),
            value.len(),
        )
    };
    (n >= 0).then(|| value[..n as usize].to_vec())
}

#[test]
fn plain_content_owners_modes_and_times() {
    each_driver(|driver| {
        let root = mounted(
            driver,
            vec![
                Layer::new()
                    .dir("etc", 0o750, 3, 4, 1_600_000_001)
                    .file_as("etc/passwd", b"root", 0o4755, 1000, 1001, 1_600_000_002)
                    .symlink("bin", "usr/bin")
                    .dir("./usr/bin/", 0o755, 0, 0, 5),
            ],
        );
        let etc = fs::metadata(root.join("etc")).unwrap();
        assert_eq!(
            (etc.mode() & 0o7777, etc.uid(), etc.gid(), etc.mtime()),
            (0o750, 3, 4, 1_600_000_001)
        );
        let file = fs::metadata(root.join("etc/passwd")).unwrap();
        assert_eq!(
            (file.mode() & 0o7777, file.uid(), file.gid()),
            (0o4755, 1000, 1001)
        );
        assert_eq!(file.mtime(), 1_600_000_002);
        assert_eq!(fs::read(root.join("etc/passwd")).unwrap(), b"root");
        assert_eq!(fs::read_link(root.join("bin")).unwrap(), Path::new("usr/bin"));
        assert_eq!(fs::metadata(&root).unwrap().mode() & 0o7777, 0o755);
    });
}

#[test]
fn whiteouts_and_opaque_directories() {
    each_driver(|driver| {
        let root = mounted(
            driver,
            vec![
                Layer::new()
                    .file("a", b"1")
                    .file("b", b"1")
                    .file("dir/one", b"1")
                    .file("dir/two", b"1")
                    .file("opaque/old", b"1")
                    .file("opaque/deep/old", b"1")
                    .file("again/old", b"1"),
                Layer::new()
                    .file(".wh.a", b"")
                    .file("dir/.wh.one", b"")
                    .file("opaque/new", b"2")
                    .file("opaque/.wh..wh..opq", b"")
                    .file(".wh.again", b"")
                    .file("again/new", b"2")
                    .file(".wh.never-was", b"")
                    .file(".wh..wh.plnk/1.2", b""),
                Layer::new().file("a", b"3"),
            ],
        );
        assert_eq!(names(&root), ["a", "again", "b", "dir", "opaque"]);
        assert_eq!(fs::read(root.join("a")).unwrap(), b"3");
        assert_eq!(names(&root.join("dir")), ["two"]);
        assert_eq!(names(&root.join("opaque")), ["new"]);
        assert_eq!(names(&root.join("again")), ["new"]);
    });
}

#[test]
fn a_whiteout_spares_what_its_own_layer_brings() {
    each_driver(|driver| {
        let root = mounted(
            driver,
            vec![
                Layer::new().file("d/old", b"1").file("f", b"1"),
                Layer::new()
                    .file("d/new", b"2")
                    .file("f", b"2")
                    .file(".wh.d", b"")
                    .file(".wh.f", b""),
            ],
        );
        assert_eq!(names(&root.join("d")), ["new"]);
        assert_eq!(fs::read(root.join("f")).unwrap(), b"2");
    });
}

#[test]
fn kinds_replace_each_other() {
    each_driver(|driver| {
        let root = mounted(
            driver,
            vec![
                Layer::new()
                    .file("was-file", b"1")
                    .file("was-dir/x", b"1")
                    .symlink("was-link", "was-file"),
                Layer::new()
                    .file("was-file/x", b"2")
                    .file("was-dir", b"2")
                    .dir("was-link", 0o755, 0, 0, 1),
                Layer::new()
                    .file("twice", b"1")
                    .dir("twice", 0o700, 0, 0, 1)
                    .file("twice/x", b"2"),
            ],
        );
        assert_eq!(fs::read(root.join("was-file/x")).unwrap(), b"2");
        assert_eq!(fs::read(root.join("was-dir")).unwrap(), b"2");
        assert!(fs::symlink_metadata(root.join("was-link")).unwrap().is_dir());
        assert_eq!(fs::read(root.join("twice/x")).unwrap(), b"2");
    });
}

#[test]
fn hard_links_also_across_layers() {
    each_driver(|driver| {
        let root = mounted(
            driver,
            vec![
                Layer::new()
                    .file("x/a", b"same")
                    .link("x/b", "x/a")
                    .link("c", "./x/a")
                    .file("low", b"low"),
                Layer::new().link("x/low2", "low"),
            ],
        );
        let inode = |name: &str| fs::metadata(root.join(name)).unwrap().ino();
        assert_eq!(inode("x/a"), inode("x/b"));
        assert_eq!(inode("x/a"), inode("c"));
        assert_eq!(fs::read(root.join("x/low2")).unwrap(), b"low");
        assert_eq!(inode("low"), inode("x/low2"));
    });
}

#[test]
fn devices_fifos_and_attributes() {
    each_driver(|driver| {
        let capability = [1u8, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let root = mounted(
            driver,
            vec![
                Layer::new()
                    .device("dev/null", b'3', 1, 3, 0o666)
                    .device("dev/sda", b'4', 8, 300, 0o660)
                    .device("fifo", b'6', 0, 0, 0o640)
                    .xattr_file(
                        "ping",
                        b"x",
                        &[("security.capability", &capability), ("user.note", b"a\nb=c")],
                    ),
            ],
        );
        let null = fs::metadata(root.join("dev/null")).unwrap();
        assert!(null.file_type().is_char_device());
        assert_eq!((null.rdev(), null.mode() & 0o7777), (libc::makedev(1, 3), 0o666));
        let disk = fs::metadata(root.join("dev/sda")).unwrap();
        assert!(disk.file_type().is_block_device());
        assert_eq!(disk.rdev(), libc::makedev(8, 300));
        assert!(fs::metadata(root.join("fifo")).unwrap().file_type().is_fifo());
        assert_eq!(
            xattr(&root.join("ping"), "security.capability").unwrap(),
            capability
        );
        assert_eq!(xattr(&root.join("ping"), "user.note").unwrap(), b"a\nb=c");
    });
}

#[test]
fn an_archive_cannot_speak_to_overlay() {
    each_driver(|driver| {
        let marks: [(&str, &[u8]); 2] = [
            ("trusted.overlay.opaque", b"y"),
            ("trusted.overlay.redirect", b"/etc"),
        ];
        let root = mounted(
            driver,
            vec![
                Layer::new().file("d/old", b"1"),
                Layer::new().xattr_dir("d", &marks).file("d/new", b"2"),
            ],
        );
        assert_eq!(names(&root.join("d")), ["new", "old"]);
    });
}

#[test]
fn sparse_files_stay_sparse() {
    each_driver(|driver| {
        let mut data = vec![0u8; 4 << 20];
        data[3 << 20] = 7;
        let root = mounted(
            driver,
            vec![
                Layer::new().file("sparse", &data),
                Layer::new().file("other", b""),
            ],
        );
        let metadata = fs::metadata(root.join("sparse")).unwrap();
        assert_eq!(metadata.len(), 4 << 20);
        assert!(metadata.blocks() * 512 < 1 << 20, "{} blocks", metadata.blocks());
        assert!(fs::read(root.join("sparse")).unwrap() == data);
    });
}

#[test]
fn odd_names() {
    each_driver(|driver| {
        let long = "n".repeat(250);
        let deep = vec!["d".repeat(60); 20].join("/");
        let odd = [
            "with space",
            "new\nline",
            "colon:comma,",
            "back\\slash",
            "ünïcode",
            "-dash",
            "...",
            "=",
            &long,
        ];
        let mut layer = Layer::new()
            .raw_file(b"byte-\xff\xfe", b"raw")
            .file(&deep, b"deep");
        for name in odd {
            layer = layer.file(name, name.as_bytes());
        }
        let root = mounted(driver, vec![layer]);
        for name in odd {
            assert_eq!(fs::read(root.join(name)).unwrap(), name.as_bytes());
        }
        assert_eq!(fs::read(root.join(&deep)).unwrap(), b"deep");
        assert_eq!(
            fs::read(root.join(std::ffi::OsStr::from_bytes(b"byte-\xff\xfe"))).unwrap(),
            b"raw"
        );
    });
}

#[test]
fn a_hundred_layers() {
    each_driver(|driver| {
        let layers = (0..100)
            .map(|n| {
                Layer::new()
                    .file("last", n.to_string().as_bytes())
                    .file(&format!("f{n:03}"), b"")
            })
            .collect();
        let root = mounted(driver, layers);
        assert_eq!(fs::read(root.join("last")).unwrap(), b"99");
        assert_eq!(names(&root).len(), 101);
    });
}

#[test]
fn implied_directories_look_like_those_below() {
    each_driver(|driver| {
        let root = mounted(
            driver,
            vec![
                Layer::new().dir("home/user", 0o700, 1000, 1000, 7),
                Layer::new().file("home/user/new", b"2"),
            ],
        );
        let user = fs::metadata(root.join("home/user")).unwrap();
        assert_eq!(
            (user.mode() & 0o7777, user.uid(), user.gid()),
            (0o700, 1000, 1000)
        );
    });
}

#[test]
fn nothing_is_written_outside() {
    each_driver(|driver| {
        let outside = tempfile::tempdir().unwrap();
        let target = outside.path().to_str().unwrap().to_owned();
        let victim = outside.path().join("victim");
        fs::write(&victim, b"safe").unwrap();
        for layer in [
            Layer::new().raw_file(b"../../escape", b"x"),
            Layer::new().raw_file(b"a/../../escape", b"x"),
            Layer::new().link("stolen", "../../../../../../etc/passwd"),
        ] {
            assert_eq!(
                try_apply(driver, None, layer).unwrap_err().kind(),
                ErrorKind::InvalidArchive
            );
        }
        // Absolute names and links are taken from the layer's own root.
        let _ = try_apply(
            driver,
            None,
            Layer::new().symlink("out", &target).file("out/victim", b"bad"),
        );
        let _ = try_apply(
            driver,
            None,
            Layer::new()
                .symlink("up", "../../../../..")
                .file("up/tmp/creel-x", b"bad"),
        );
        let _ = try_apply(
            driver,
            None,
            Layer::new().symlink("out", &target).link("in", "out/victim"),
        );
        let _ = try_apply(
            driver,
            None,
            Layer::new().raw_file(victim.as_os_str().as_bytes(), b"bad"),
        );
        let through = Layer::new()
            .symlink("f", victim.to_str().unwrap())
            .file("f", b"bad");
        try_apply(driver, None, through).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"safe");
        assert!(!Path::new("/tmp/creel-x").exists());
        assert_eq!(names(outside.path()), ["victim"]);
    });
}

#[test]
fn a_damaged_archive_leaves_nothing() {
    for (driver, root) in drivers() {
        let bytes = Layer::new().file("a", &[1; 5000]).file("b", &[2; 5000]).finish();
        let chain = Digest::of(&bytes);
        let mut flipped = bytes.clone();
        flipped[700] ^= 1;
        for damaged in [
            &bytes[..3000],
            &flipped[..],
            b"no tar archive at all, but longer than nothing",
        ] {
            let mut reader = DigestReader::new(damaged, Some(chain.clone()));
            let error = driver.apply_layer(&chain, None, &mut reader).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArchive, "{error}");
        }
        assert!(driver.layers().is_empty());
        assert!(names(&root.path().join(driver.name()).join("staging")).is_empty());
        assert!(names(&root.path().join(driver.name()).join("layers")).is_empty());
    }
}

#[test]
fn containers_write_apart_and_hold_their_layers() {
    each_driver(|driver| {
        let base = apply(driver, None, Layer::new().file("f", b"image"));
        let top = apply(driver, Some(&base), Layer::new().file("g", b"image"));
        let options = PrepareOptions::default();
        let (one, two) = (
            driver.prepare("one", Some(&top), &options).unwrap(),
            driver.prepare("two", Some(&top), &options).unwrap(),
        );
        fs::write(one.join("f"), b"changed").unwrap();
        assert_eq!(fs::read(two.join("f")).unwrap(), b"image");
        assert_eq!(driver.prepare("one", Some(&top), &options).unwrap(), one);
        assert_eq!(driver.remove_layer(&base).unwrap_err().kind(), ErrorKind::InUse);
        assert_eq!(driver.remove_layer(&top).unwrap_err().kind(), ErrorKind::InUse);
        driver.release("one").unwrap();
        driver.release("one").unwrap();
        assert_eq!(
            fs::read(driver.mount("one").unwrap().join("f")).unwrap(),
            b"changed"
        );
        assert!(driver.usage("one").unwrap().bytes >= 7);
        driver.remove("one").unwrap();
        driver.remove("one").unwrap();
        assert_eq!(driver.mount("one").unwrap_err().kind(), ErrorKind::NotFound);
        driver.remove("two").unwrap();
        driver.remove_layer(&top).unwrap();
        driver.remove_layer(&base).unwrap();
        driver.remove_layer(&base).unwrap();
        assert!(driver.layers().is_empty() && driver.containers().is_empty());
    });
}

#[test]
fn an_empty_image_has_a_root() {
    each_driver(|driver| {
        let root = driver
            .prepare("scratch", None, &PrepareOptions::default())
            .unwrap();
        fs::write(root.join("x"), b"1").unwrap();
        assert_eq!(names(&root), ["x"]);
        assert_eq!(fs::metadata(&root).unwrap().permissions().mode() & 0o7777, 0o755);
    });
}

#[test]
fn bad_ids_and_missing_layers_are_refused() {
    each_driver(|driver| {
        let options = PrepareOptions::default();
        for id in ["", "..", "a/b", ".hidden", "nul\0"] {
            assert_eq!(
                driver.create(id, None, &options).unwrap_err().kind(),
                ErrorKind::InvalidArgument
            );
        }
        let missing = Digest::of(b"missing");
        assert_eq!(
            driver.create("c", Some(&missing), &options).unwrap_err().kind(),
            ErrorKind::NotFound
        );
        let orphan = driver.apply_layer(&Digest::of(b"x"), Some(&missing), &mut &b""[..]);
        assert_eq!(orphan.unwrap_err().kind(), ErrorKind::NotFound);
        assert!(driver.containers().is_empty());
    });
}

#[test]
fn a_diff_applied_gives_the_same_tree() {
    each_driver(|driver| {
        let base = apply(
            driver,
            None,
            Layer::new()
                .file("gone", b"1")
                .file("kept", b"1")
                .file("dir/gone", b"1")
                .file("swap/old", b"1"),
        );
        let root = driver
            .prepare("c", Some(&base), &PrepareOptions::default())
            .unwrap();
        fs::remove_file(root.join("gone")).unwrap();
        fs::remove_file(root.join("dir/gone")).unwrap();
        fs::remove_dir_all(root.join("swap")).unwrap();
        fs::create_dir(root.join("swap")).unwrap();
        fs::write(root.join("swap/new"), b"2").unwrap();
        fs::write(root.join("n".repeat(200)), b"long").unwrap();
        fs::hard_link(root.join("swap/new"), root.join("also")).unwrap();
        std::os::unix::fs::symlink("kept", root.join("link")).unwrap();
        let mut archive = Vec::new();
        driver.diff("c", &mut archive).unwrap();
        let chain = chain_id(Some(&base), &Digest::of(&archive));
        driver
            .apply_layer(&chain, Some(&base), &mut &archive[..])
            .unwrap();
        let copy = driver
            .prepare("copy", Some(&chain), &PrepareOptions::default())
            .unwrap();
        assert_eq!(names(&copy), names(&root));
        assert_eq!(names(&copy.join("swap")), ["new"]);
        assert!(names(&copy.join("dir")).is_empty());
        assert_eq!(fs::read(copy.join("also")).unwrap(), b"2");
        assert_eq!(fs::read_link(copy.join("link")).unwrap(), Path::new("kept"));
    });
}
