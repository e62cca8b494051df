//! Which driver a data root gets, and what only btrfs has.

use std::fs;

use crate::common::{Layer, Root};
use creel_storage::{DRIVER_NAMES, Digest, ErrorKind, PrepareOptions, open};

#[test]
fn unknown_drivers_say_what_lacks() {
    let root = Root::new();
    for (name, kind, word) in [
        ("aufs", ErrorKind::Unsupported, "this kernel has no aufs"),
        ("devicemapper", ErrorKind::Unsupported, "thin pools"),
        ("zfs", ErrorKind::Unsupported, "this kernel has no zfs"),
        (
            "fuse-overlayfs",
            ErrorKind::Unsupported,
            "the kernel's own overlay",
        ),
        ("btrfs", ErrorKind::Unsupported, "not on a btrfs file system"),
        ("nonsense", ErrorKind::InvalidArgument, "overlay2, btrfs, vfs"),
    ] {
        let error = open(Some(name), root.path()).err().unwrap();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(word), "{error}");
    }
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn the_file_system_and_what_is_there_choose() {
    let (plain, btrfs) = (Root::new(), Root::on_btrfs());
    assert_eq!(open(None, plain.path()).unwrap().name(), "overlay2");
    assert_eq!(open(None, btrfs.path()).unwrap().name(), "btrfs");
    // Nothing is kept yet, so another one may be asked for.
    for used in ["vfs", "overlay2"] {
        let root = Root::new();
        let driver = open(Some(used), root.path()).unwrap();
        driver.create("c", None, &PrepareOptions::default()).unwrap();
        drop(driver);
        assert_eq!(open(None, root.path()).unwrap().name(), used);
        assert_eq!(open(Some(used), root.path()).unwrap().containers().len(), 1);
        for other in DRIVER_NAMES.into_iter().filter(|other| *other != used) {
            let error = open(Some(other), root.path()).err().unwrap();
            let said = format!("prior storage driver {used}");
            assert!(error.to_string().starts_with(&said), "{error}");
        }
        let driver = open(Some(used), root.path()).unwrap();
        driver.remove("c").unwrap();
        drop(driver);
        open(Some("vfs"), root.path()).unwrap();
    }
}

#[test]
fn subvolumes_go_with_what_they_were_for() {
    let root = Root::on_btrfs();
    let driver = open(None, root.path()).unwrap();
    let bytes = Layer::new().file("f", b"image").finish();
    let chain = Digest::of(&bytes);
    driver.apply_layer(&chain, None, &mut &bytes[..]).unwrap();
    let path = driver
        .prepare("c", Some(&chain), &PrepareOptions::default())
        .unwrap();
    assert_eq!(subvolumes(&root), 2);
    // A container may make subvolumes too; they stand in the way of deleting its own in one step.
    crate::common::run(
        "btrfs",
        &["subvolume".as_ref(), "create".as_ref(), path.join("own").as_ref()],
    );
    fs::write(path.join("own/file"), b"1").unwrap();
    assert_eq!(subvolumes(&root), 3);
    let staging = root.path().join("btrfs/staging/stage-1-2-3");
    fs::rename(root.path().join("btrfs/containers/c"), &staging).unwrap();
    drop(driver);
    let driver = open(None, root.path()).unwrap();
    assert!(!staging.exists(), "what a crash left is swept");
    driver.remove_layer(&chain).unwrap();
    assert_eq!(subvolumes(&root), 0);
}

fn subvolumes(root: &Root) -> usize {
    let listed = crate::common::run(
        "btrfs",
        &["subvolume".as_ref(), "list".as_ref(), root.path().as_ref()],
    );
    listed.lines().count()
}
