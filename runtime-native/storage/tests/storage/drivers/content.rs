//! What a layer holds comes out as it went in.

use super::*;

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
        let long = "n".repeat(255);
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
            "wh.x",
            ".wh",
            ".whx",
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
