use std::collections::BTreeMap;
use std::fs;

use creel_storage::ErrorKind;
use creel_storage::volumes::VolumeStore;

#[test]
fn a_volume_lives_until_it_is_removed() {
    let root = tempfile::tempdir().unwrap();
    let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    let made = VolumeStore::open(root.path())
        .unwrap()
        .create("data", labels, BTreeMap::new())
        .unwrap();
    assert_eq!(made.mountpoint, root.path().join("volumes/data/_data"));
    fs::write(made.mountpoint.join("f"), b"12345").unwrap();
    let volumes = VolumeStore::open(root.path()).unwrap();
    assert_eq!(
        volumes.create("data", BTreeMap::new(), BTreeMap::new()).unwrap(),
        made
    );
    assert_eq!(volumes.list().unwrap(), std::slice::from_ref(&made));
    assert_eq!(volumes.usage("data").unwrap().bytes, 5);
    volumes.remove("data").unwrap();
    assert_eq!(
        volumes.remove("data").unwrap_err().to_string(),
        "get data: no such volume"
    );
    assert_eq!(fs::read_dir(root.path().join("volumes")).unwrap().count(), 0);
}

#[test]
fn bad_names_and_options_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let volumes = VolumeStore::open(root.path()).unwrap();
    for name in ["", "x", "..", "a/b", ".hidden", "-a", "a b"] {
        let error = volumes
            .create(name, BTreeMap::new(), BTreeMap::new())
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name}");
        assert!(volumes.remove(name).is_err());
    }
    for (options, said) in [
        (vec![("type", "nfs")], "missing required option: \"device\""),
        (vec![("o", "ro")], "missing required option: \"type\""),
        (vec![("size", "1m")], "no quota support"),
        (vec![("color", "red")], "invalid option: \"color\""),
    ] {
        let error = volumes.create("vol", BTreeMap::new(), map(&options)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(said), "{error}");
    }
    assert!(volumes.list().unwrap().is_empty());
}

fn map(options: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    options.iter().map(owned).collect()
}

#[test]
fn options_are_mounted_while_somebody_holds_the_volume() {
    let root = crate::common::Root::new();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("there"), b"1").unwrap();
    let volumes = VolumeStore::open(root.path()).unwrap();
    let create = |name: &str, options: &[(&str, &str)]| {
        volumes
            .create(name, BTreeMap::new(), map(options))
            .unwrap()
            .mountpoint
    };
    let there = elsewhere.path().to_str().unwrap();
    let memory = create(
        "memory",
        &[
            ("type", "tmpfs"),
            ("device", "tmpfs"),
            ("o", "size=1m,uid=7,nosuid"),
        ],
    );
    let bound = create("bound", &[("type", "none"), ("device", there), ("o", "bind,ro")]);
    let missing = create(
        "missing",
        &[("type", "none"), ("device", "/nowhere/at/all"), ("o", "bind")],
    );
    let unknown = create("unknown", &[("type", "creelfs"), ("device", "x")]);
    for (name, user) in [
        ("memory", "one"),
        ("memory", "two"),
        ("bound", "one"),
        ("memory", "one"),
    ] {
        volumes.hold(name, user).unwrap();
    }
    assert_eq!(
        std::os::unix::fs::MetadataExt::uid(&fs::metadata(&memory).unwrap()),
        7
    );
    fs::write(memory.join("f"), b"1").unwrap();
    assert!(fs::write(memory.join("large"), vec![1; 2 << 20]).is_err());
    assert_eq!(fs::read(bound.join("there")).unwrap(), b"1");
    assert!(fs::write(bound.join("new"), b"1").is_err());
    volumes.release("one").unwrap();
    assert!(memory.join("f").exists(), "two still holds it");
    assert!(!bound.join("there").exists());
    for (name, path, said) in [
        ("missing", missing, "No such file or directory"),
        ("unknown", unknown, "this kernel has no creelfs"),
    ] {
        let error = volumes.hold(name, "three").unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        assert_eq!(fs::read_dir(path).unwrap().count(), 0);
    }
    // As after a crash: nobody is known to hold it.
    drop(volumes);
    let volumes = VolumeStore::open(root.path()).unwrap();
    volumes.hold("bound", "four").unwrap();
    volumes.sweep().unwrap();
    assert!(!memory.join("f").exists() && bound.join("there").exists());
    volumes.remove("bound").unwrap();
    assert!(
        elsewhere.path().join("there").exists(),
        "what was mounted is not the volume's to delete"
    );
}
