//! What a container did to its files, as an archive and then as a layer: nothing is lost on the way.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::{FileExt, chown, symlink};
use std::os::unix::net::UnixListener;

use super::*;
use creel_storage::ChangeKind;

const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const HUGE: u64 = 10 << 30;

/// All that a tree is: a line of metadata for each name, and which names are one file.
fn told(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut told = BTreeMap::new();
    let mut first_names = BTreeMap::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(at) = pending.pop() {
        let path = root.join(&at);
        let stat = fs::symlink_metadata(&path).unwrap();
        let kind = stat.file_type();
        let mut line = format!(
            "{:o} {}:{} {} {}",
            stat.mode(),
            stat.uid(),
            stat.gid(),
            stat.mtime(),
            stat.rdev()
        );
        for name in ["user.note", "security.capability", "trusted.own"] {
            if let Some(value) = xattr(&path, name) {
                line += &format!(" {name}={value:?}");
            }
        }
        if kind.is_symlink() {
            line += &format!(" -> {}", fs::read_link(&path).unwrap().display());
        } else if kind.is_file() {
            let small = stat.len() < HUGE;
            let content = small.then(|| Digest::of(&fs::read(&path).unwrap()).to_string());
            let sparse = stat.blocks() * 512 + (1 << 20) < stat.len();
            line += &format!(" {} {content:?} sparse={sparse}", stat.len());
        } else if kind.is_dir() {
            let below = fs::read_dir(&path).unwrap();
            pending.extend(below.map(|entry| at.join(entry.unwrap().file_name())));
        }
        if stat.nlink() > 1 && !kind.is_dir() {
            let first = first_names.entry(stat.ino()).or_insert_with(Vec::new);
            first.push(at.clone());
        }
        told.insert(at, line);
    }
    for names in first_names.into_values() {
        let all: std::collections::BTreeSet<_> = names.iter().collect();
        for name in &names {
            told.get_mut(name)
                .unwrap()
                .push_str(&format!(" one file: {all:?}"));
        }
    }
    // The root itself is no entry of a layer.
    told.remove(Path::new(""));
    told
}

fn change_everything(root: &Path) {
    let at = |name: &str| root.join(name);
    let mode = |name: &str, mode| fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
    fs::write(at("setuid"), b"#!/bin/true").unwrap();
    chown(at("setuid"), Some(70_000), Some(3_000_000_000)).unwrap();
    mode("setuid", 0o6751);
    fs::write(at("capable"), b"ping").unwrap();
    set_xattr(&at("capable"), "security.capability", &CAPABILITY);
    set_xattr(&at("capable"), "user.note", b"one\ntwo\0three");
    set_xattr(&at("capable"), "trusted.own", b"x");
    fs::create_dir_all(at("dir/sticky")).unwrap();
    mode("dir/sticky", 0o1777);
    set_xattr(&at("dir"), "user.note", b"of a directory");
    for (name, kind, device) in [
        ("fifo", libc::S_IFIFO, 0),
        ("null", libc::S_IFCHR, libc::makedev(1, 3)),
        ("disk", libc::S_IFBLK, libc::makedev(259, 1_048_575)),
    ] {
        let path = CString::new(at(name).as_os_str().as_bytes()).unwrap();
        // SAFETY: the path ends with a zero byte.
        assert_eq!(unsafe { libc::mknod(path.as_ptr(), kind | 0o640, device) }, 0);
    }
    fs::write(at("dir/one"), b"same").unwrap();
    fs::hard_link(at("dir/one"), at("another")).unwrap();
    fs::hard_link(at("image/linked"), at("image/again")).unwrap();
    symlink("a/very/long/target/".repeat(12), at("link")).unwrap();
    std::os::unix::fs::lchown(at("link"), Some(5), Some(6)).unwrap();
    let huge = File::create(at("huge")).unwrap();
    huge.write_all_at(b"begin", 0).unwrap();
    huge.write_all_at(b"middle", 5 << 30).unwrap();
    huge.set_len(HUGE).unwrap();
    File::create(at("hole")).unwrap().set_len(3 << 20).unwrap();
    for name in [
        "n".repeat(255),
        "new\nline".to_owned(),
        "\u{fc}n\u{ef}".to_owned(),
        ".wh".to_owned(),
    ] {
        fs::write(at(&name), &name).unwrap();
    }
    fs::write(root.join(std::ffi::OsStr::from_bytes(b"\xff\xfe")), b"raw").unwrap();
    // Of the image's own: changed in content, in mode, in attributes alone; replaced by another kind; gone.
    fs::write(at("image/content"), b"another").unwrap();
    mode("image/mode", 0o600);
    set_xattr(&at("image/attribute"), "user.note", b"new");
    fs::remove_file(at("image/becomes-dir")).unwrap();
    fs::create_dir(at("image/becomes-dir")).unwrap();
    fs::remove_dir_all(at("image/becomes-file")).unwrap();
    fs::write(at("image/becomes-file"), b"1").unwrap();
    fs::remove_file(at("image/gone")).unwrap();
    fs::remove_dir_all(at("image/remade")).unwrap();
    fs::create_dir(at("image/remade")).unwrap();
    fs::write(at("image/remade/new"), b"1").unwrap();
    for old in ["setuid", "dir/sticky", "dir"] {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_234_567_890);
        File::open(at(old)).unwrap().set_modified(time).unwrap();
    }
}

fn image() -> Layer {
    let files = [
        "content",
        "mode",
        "attribute",
        "becomes-dir",
        "becomes-file/x",
        "gone",
        "linked",
        "kept",
    ];
    let files = files.iter().fold(Layer::new(), |layer, name| {
        layer.file(&format!("image/{name}"), b"from the image")
    });
    files.file("image/remade/old", b"1").dir("quiet", 0o711, 1, 2, 3)
}

#[test]
fn a_containers_tree_is_the_same_as_a_layer() {
    for (driver, _root) in drivers() {
        let driver = driver.as_ref();
        let base = apply(driver, None, image());
        let root = driver
            .prepare("c", Some(&base), &PrepareOptions::default())
            .unwrap();
        change_everything(&root);
        let before = told(&root);
        let mut archive = Vec::new();
        driver.diff("c", &[], &mut archive).unwrap();
        assert!(archive.len() < 1 << 20, "{}: holes are no data", driver.name());
        // The layer is one for every driver, whichever made it.
        for (other, _root) in drivers() {
            let base = apply(other.as_ref(), None, image());
            let chain = chain_id(Some(&base), &Digest::of(&archive));
            other.apply_layer(&chain, Some(&base), &mut &archive[..]).unwrap();
            let copy = other
                .prepare("copy", Some(&chain), &PrepareOptions::default())
                .unwrap();
            let after = told(&copy);
            for (path, line) in &before {
                // A directory that holds something else has that moment's time.
                let same = after.get(path).is_some_and(|other| other == line);
                let (from, to) = (driver.name(), other.name());
                assert!(same, "{from} to {to}: {path:?}\n{line}\n{:?}", after.get(path));
            }
            assert_eq!(before.len(), after.len());
            let mut middle = [0u8; 6];
            let huge = File::open(copy.join("huge")).unwrap();
            huge.read_exact_at(&mut middle, 5 << 30).unwrap();
            assert_eq!(&middle, b"middle");
        }
    }
}

#[test]
fn every_driver_tells_the_same_changes() {
    let mut all = Vec::new();
    each_driver(|driver| {
        let base = apply(driver, None, image());
        let root = driver
            .prepare("c", Some(&base), &PrepareOptions::default())
            .unwrap();
        assert_eq!(driver.changes("c").unwrap(), []);
        assert!(
            driver.usage("c").unwrap().bytes < 4096,
            "the image's files are not its own"
        );
        change_everything(&root);
        assert!(driver.usage("c").unwrap().bytes >= HUGE);
        let changes = driver.changes("c").unwrap();
        let kind_of = |path: &str| {
            let found = changes.iter().find(|change| change.path == Path::new(path));
            found.map(|change| change.kind)
        };
        for (path, kind) in [
            ("image/mode", Some(ChangeKind::Modified)),
            ("image/attribute", Some(ChangeKind::Modified)),
            ("image/linked", Some(ChangeKind::Modified)),
            ("image/again", Some(ChangeKind::Added)),
            ("image/gone", Some(ChangeKind::Deleted)),
            ("image/kept", None),
            ("quiet", None),
        ] {
            assert_eq!(kind_of(path), kind, "{}: {path}", driver.name());
        }
        let own = changes
            .into_iter()
            .filter(|change| !change.path.starts_with("image/remade"));
        all.push(own.collect::<Vec<_>>());
    });
    assert!(all.windows(2).all(|two| two[0] == two[1]), "{all:#?}");
}

#[test]
fn what_a_layer_cannot_hold() {
    each_driver(|driver| {
        let root = driver.prepare("c", None, &PrepareOptions::default()).unwrap();
        let _socket = UnixListener::bind(root.join("socket")).unwrap();
        fs::write(root.join("left"), b"1").unwrap();
        fs::create_dir(root.join("out")).unwrap();
        fs::write(root.join("out/kept"), b"1").unwrap();
        let mut archive = Vec::new();
        let leave_out = [PathBuf::from("left"), PathBuf::from("out")];
        driver.diff("c", &leave_out, &mut archive).unwrap();
        let mut reader = creel_storage::TarReader::new(&archive[..]);
        let mut found = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            found.push(String::from_utf8(entry.path).unwrap());
        }
        assert_eq!(found, ["out/kept"]);
        fs::write(root.join(".wh.left"), b"1").unwrap();
        let error = driver.diff("c", &[], &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains(".wh.left"), "{error}");
    });
}
