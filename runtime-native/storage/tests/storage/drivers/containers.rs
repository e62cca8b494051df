//! Containers on layers.

use super::*;

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
        driver.diff("c", &[], &mut archive).unwrap();
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
