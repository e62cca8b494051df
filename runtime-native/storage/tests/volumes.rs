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
    let options = BTreeMap::from([("type".to_owned(), "nfs".to_owned())]);
    assert_eq!(
        volumes
            .create("vol", BTreeMap::new(), options)
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidArgument
    );
    assert!(volumes.list().unwrap().is_empty());
}
