//! Layers on layers, and archives that mean harm.

use super::*;

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
