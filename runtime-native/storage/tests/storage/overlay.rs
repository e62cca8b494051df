//! What only overlay2 has: mounts that outlive the program, and file systems that cannot carry it.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{Layer, Root};
use creel_storage::{Digest, ErrorKind, PrepareOptions, StorageDriver, open};

fn layer(driver: &dyn StorageDriver, layer: Layer) -> Digest {
    let bytes = layer.finish();
    let chain = Digest::of(&bytes);
    driver.apply_layer(&chain, None, &mut &bytes[..]).unwrap();
    chain
}

fn mount_count(path: &std::path::Path) -> usize {
    let table = fs::read_to_string("/proc/self/mounts").unwrap();
    table
        .lines()
        .filter(|line| {
            line.split(' ')
                .nth(1)
                .is_some_and(|p| p.starts_with(path.to_str().unwrap()))
        })
        .count()
}

#[test]
fn mounts_and_content_are_adopted_after_a_restart() {
    let root = Root::new();
    let driver = open(None, root.path()).unwrap();
    let top = layer(driver.as_ref(), Layer::new().file("f", b"image"));
    let path = driver
        .prepare("c", Some(&top), &PrepareOptions::default())
        .unwrap();
    driver
        .create("stopped", Some(&top), &PrepareOptions::default())
        .unwrap();
    fs::write(path.join("new"), b"1").unwrap();
    drop(driver);
    let driver = open(None, root.path()).unwrap();
    assert_eq!(driver.mounted("c"), Some(path.clone()));
    assert_eq!(driver.mounted("stopped"), None);
    assert_eq!(driver.containers().len(), 2);
    assert_eq!(driver.mount("c").unwrap(), path);
    assert_eq!(mount_count(root.path()), 1);
    assert_eq!(fs::read(path.join("new")).unwrap(), b"1");
    let places = driver.places("c");
    let has = |place: &str, file: &str| Path::new(&places[place]).join(file).exists();
    assert!(
        has("LowerDir", "f") && has("UpperDir", "new") && has("MergedDir", "new") && has("WorkDir", "work")
    );
    let of_layer = driver.layer_places(&top);
    assert_eq!(
        of_layer,
        [("UpperDir".to_owned(), places["LowerDir"].clone())].into()
    );
    assert_eq!(driver.remove_layer(&top).unwrap_err().kind(), ErrorKind::InUse);
    driver.remove("c").unwrap();
    driver.remove("stopped").unwrap();
    assert_eq!(mount_count(root.path()), 0);
}

#[test]
fn a_busy_mount_is_removed_all_the_same() {
    let root = Root::new();
    let driver = open(None, root.path()).unwrap();
    let path = driver.prepare("c", None, &PrepareOptions::default()).unwrap();
    let mut open_file = fs::File::create(path.join("open")).unwrap();
    driver.remove("c").unwrap();
    open_file.write_all(b"still there for whoever holds it").unwrap();
    assert_eq!(mount_count(root.path()), 0);
    assert!(driver.containers().is_empty());
}

#[test]
fn leftovers_of_a_crash_are_swept() {
    let root = Root::new();
    let staging = root.path().join("overlay2/staging/stage-1-2-3");
    fs::create_dir_all(staging.join("diff/deep")).unwrap();
    fs::write(staging.join("diff/deep/file"), b"half").unwrap();
    let driver = open(None, root.path()).unwrap();
    assert!(!staging.exists());
    assert!(driver.layers().is_empty());
}

#[test]
fn a_root_that_cannot_be_an_upper_is_refused_in_words() {
    let root = Root::new();
    let driver = open(None, root.path()).unwrap();
    let inner = driver.prepare("c", None, &PrepareOptions::default()).unwrap();
    let error = open(Some("overlay2"), &inner).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(
        error.to_string().contains("overlayfs") && error.to_string().contains("vfs"),
        "{error}"
    );
    assert!(open(Some("vfs"), &inner).is_ok());
    driver.remove("c").unwrap();
}

#[test]
fn a_long_data_root() {
    let root = Root::new();
    let long = root
        .path()
        .join("long-".repeat(40))
        .join("path, with: odd\\characters".repeat(4));
    fs::create_dir_all(&long).unwrap();
    let driver = open(None, &long).unwrap();
    let top = layer(driver.as_ref(), Layer::new().file("f", b"image"));
    let path = driver
        .prepare("c", Some(&top), &PrepareOptions::default())
        .unwrap();
    assert_eq!(fs::read(path.join("f")).unwrap(), b"image");
    fs::write(path.join("g"), b"1").unwrap();
    assert!(driver.usage("c").unwrap().bytes == 1);
    driver.remove("c").unwrap();
}

/// Archives as GNU tar writes them, each of its formats, with holes.
#[test]
fn archives_of_gnu_tar() {
    let source = tempfile::tempdir().unwrap();
    let sparse = fs::File::create(source.path().join("sparse")).unwrap();
    sparse.set_len(8 << 20).unwrap();
    for at in 0..40u64 {
        std::os::unix::fs::FileExt::write_all_at(&sparse, format!("piece {at}").as_bytes(), at * 200_000)
            .unwrap();
    }
    fs::write(source.path().join("n".repeat(180)), b"long").unwrap();
    fs::write(source.path().join("plain"), b"plain").unwrap();
    for options in [
        &["--format=gnu", "--sparse"][..],
        &["--format=posix", "--sparse", "--sparse-version=0.0"],
        &["--format=posix", "--sparse", "--sparse-version=0.1"],
        &["--format=posix", "--sparse", "--sparse-version=1.0"],
        &["--format=ustar", "--exclude=nnn*"],
        &["--format=v7", "--exclude=nnn*"],
    ] {
        let mut tar = Command::new("tar");
        tar.args(options)
            .arg("-C")
            .arg(source.path())
            .args(["-cf", "-", "."])
            .stdout(Stdio::piped());
        let archive = tar.output().unwrap().stdout;
        for (driver, _root) in crate::common::drivers() {
            let chain = Digest::of(&archive);
            driver.apply_layer(&chain, None, &mut &archive[..]).unwrap();
            let path = driver
                .prepare("c", Some(&chain), &PrepareOptions::default())
                .unwrap();
            let same =
                fs::read(path.join("sparse")).unwrap() == fs::read(source.path().join("sparse")).unwrap();
            assert!(same, "{options:?}");
            assert_eq!(fs::read(path.join("plain")).unwrap(), b"plain");
        }
    }
}
