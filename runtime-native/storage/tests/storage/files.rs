//! A container's own changes, and archives in and out of directories that somebody else changes meanwhile.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{Layer, each_driver};
use creel_storage::{ChangeKind, Digest, Placement, PrepareOptions, chain_id, place, write_archive};

#[test]
fn changes_are_told_by_name() {
    each_driver(|driver| {
        let bytes = Layer::new()
            .file("etc/kept", b"1")
            .file("etc/gone", b"1")
            .file("etc/changed", b"1")
            .file("quiet/file", b"1")
            .file("tree/deep/file", b"1")
            .finish();
        let chain = chain_id(None, &Digest::of(&bytes));
        driver.apply_layer(&chain, None, &mut &bytes[..]).unwrap();
        let root = driver
            .prepare("c1", Some(&chain), &PrepareOptions::default())
            .unwrap();
        assert_eq!(driver.changes("c1").unwrap(), []);
        fs::write(root.join("etc/changed"), "longer").unwrap();
        fs::remove_file(root.join("etc/gone")).unwrap();
        fs::create_dir(root.join("new")).unwrap();
        fs::write(root.join("new/file"), "2").unwrap();
        fs::remove_dir_all(root.join("tree")).unwrap();
        // Here and away again: no change.
        fs::write(root.join("quiet/passing"), "2").unwrap();
        fs::remove_file(root.join("quiet/passing")).unwrap();
        let told: Vec<_> = driver
            .changes("c1")
            .unwrap()
            .into_iter()
            .map(|change| (change.path.to_string_lossy().into_owned(), change.kind))
            .collect();
        let told: Vec<_> = told.iter().map(|(path, kind)| (path.as_str(), *kind)).collect();
        assert_eq!(
            told,
            [
                ("etc", ChangeKind::Modified),
                ("etc/changed", ChangeKind::Modified),
                ("etc/gone", ChangeKind::Deleted),
                ("new", ChangeKind::Added),
                ("new/file", ChangeKind::Added),
                ("tree", ChangeKind::Deleted),
            ],
            "{}",
            driver.name()
        );
    });
}

/// While `work` runs, `root/dir` is by turns a directory and a link to `outside`.
fn swapping(root: &Path, outside: &Path, work: impl FnOnce()) {
    let done = AtomicBool::new(false);
    fs::create_dir(root.join("dir")).unwrap();
    symlink(outside, root.join("link")).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (dir, link, spare) = (root.join("dir"), root.join("link"), root.join("spare"));
            while !done.load(Ordering::Relaxed) {
                let _ = fs::rename(&dir, &spare).and_then(|()| fs::rename(&link, &dir));
                let _ = fs::rename(&dir, &link).and_then(|()| fs::rename(&spare, &dir));
            }
        });
        work();
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn an_archive_goes_nowhere_else_while_links_are_exchanged() {
    let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let fd = File::open(root.path()).unwrap().into();
    let bytes = Layer::new()
        .dir("dir", 0o777, 7, 7, 1)
        .file("dir/planted", b"x")
        .dir("dir/sub", 0o777, 7, 7, 1)
        .finish();
    swapping(root.path(), outside.path(), || {
        for _ in 0..2000 {
            // Whether it works depends on the moment.
            let _ = place(&fd, &Placement::default(), &mut &bytes[..]);
        }
    });
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    let stat = fs::metadata(outside.path()).unwrap();
    assert_eq!((stat.mode() & 0o777, stat.uid()), (0o700, 0));
}

#[test]
fn nothing_else_is_archived_while_links_are_exchanged() {
    let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("secret"), "the host's own").unwrap();
    let fd = File::open(root.path()).unwrap().into();
    swapping(root.path(), outside.path(), || {
        for _ in 0..2000 {
            let mut archive = Vec::new();
            let _ = write_archive(&fd, OsStr::new("."), Path::new("."), None, &mut archive);
            let found = archive.windows(14).any(|w| w == b"the host's own");
            assert!(!found, "a file from outside was archived");
        }
    });
}

#[test]
fn kinds_are_kept_where_asked() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("x")).unwrap();
    let fd = File::open(root.path()).unwrap().into();
    let bytes = Layer::new().file("x", b"1").file(".wh.name", b"2").finish();
    let keep = Placement {
        keep_kind: true,
        ..Placement::default()
    };
    let error = place(&fd, &keep, &mut &bytes[..]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot overwrite directory \"x\" with non-directory \"x\""
    );
    let owned = Placement {
        owner: Some((5, 6)),
        ..Placement::default()
    };
    place(&fd, &owned, &mut &bytes[..]).unwrap();
    let stat = fs::metadata(root.path().join("x")).unwrap();
    assert!(stat.is_file() && (stat.uid(), stat.gid()) == (5, 6));
    assert!(
        root.path().join(".wh.name").exists(),
        "it is no layer: the name means nothing"
    );
}
