//! Layers written entry by entry, and drivers on a directory that is clean afterwards.

use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::process::Command;

use creel_storage::{DRIVER_NAMES, StorageDriver, open};
use tar::{Builder, EntryType, Header};

/// Bytes of the tests' btrfs file systems.
pub const BTRFS_SIZE: u64 = 256 << 20;

/// A layer archive in the making.
pub struct Layer(Builder<Vec<u8>>);

impl Layer {
    pub fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    pub fn finish(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }

    fn add(
        mut self,
        kind: EntryType,
        name: &[u8],
        link: &str,
        data: &[u8],
        set: impl FnOnce(&mut Header),
    ) -> Self {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_500_000_000);
        header.set_size(data.len() as u64);
        set(&mut header);
        let mut extended = Vec::new();
        let fields = header.as_ustar_mut().unwrap();
        let n = name.len().min(100);
        fields.name[..n].copy_from_slice(&name[..n]);
        fields.linkname[..link.len()].copy_from_slice(link.as_bytes());
        if name.len() > 100 {
            extended.push(("path", name));
        }
        if !extended.is_empty() {
            self.0.append_pax_extensions(extended).unwrap();
        }
        header.set_cksum();
        self.0.append(&header, data).unwrap();
        self
    }

    pub fn file(self, name: &str, data: &[u8]) -> Self {
        self.add(EntryType::Regular, name.as_bytes(), "", data, |_| {})
    }

    pub fn raw_file(self, name: &[u8], data: &[u8]) -> Self {
        self.add(EntryType::Regular, name, "", data, |_| {})
    }

    pub fn file_as(self, name: &str, data: &[u8], mode: u32, uid: u64, gid: u64, mtime: u64) -> Self {
        self.add(EntryType::Regular, name.as_bytes(), "", data, |h| {
            h.set_mode(mode);
            h.set_uid(uid);
            h.set_gid(gid);
            h.set_mtime(mtime);
        })
    }

    pub fn dir(self, name: &str, mode: u32, uid: u64, gid: u64, mtime: u64) -> Self {
        self.add(EntryType::Directory, name.as_bytes(), "", b"", |h| {
            h.set_mode(mode);
            h.set_uid(uid);
            h.set_gid(gid);
            h.set_mtime(mtime);
        })
    }

    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.add(EntryType::Symlink, name.as_bytes(), target, b"", |_| {})
    }

    pub fn link(self, name: &str, target: &str) -> Self {
        self.add(EntryType::Link, name.as_bytes(), target, b"", |_| {})
    }

    pub fn device(self, name: &str, kind: u8, major: u32, minor: u32, mode: u32) -> Self {
        self.add(EntryType::new(kind), name.as_bytes(), "", b"", |h| {
            h.set_mode(mode);
            h.set_device_major(major).unwrap();
            h.set_device_minor(minor).unwrap();
        })
    }

    pub fn xattr_file(mut self, name: &str, data: &[u8], xattrs: &[(&str, &[u8])]) -> Self {
        self.xattrs(xattrs);
        self.file(name, data)
    }

    pub fn xattr_dir(mut self, name: &str, xattrs: &[(&str, &[u8])]) -> Self {
        self.xattrs(xattrs);
        self.dir(name, 0o755, 0, 0, 1)
    }

    fn xattrs(&mut self, xattrs: &[(&str, &[u8])]) {
        let keys: Vec<_> = xattrs
            .iter()
            .map(|(k, v)| (format!("SCHILY.xattr.{k}"), *v))
            .collect();
        self.0
            .append_pax_extensions(keys.iter().map(|(k, v)| (k.as_str(), *v)))
            .unwrap();
    }
}

/// A data root whose mounts go away with it, also when a test fails.
pub struct Root(Option<tempfile::TempDir>);

impl Root {
    pub fn new() -> Self {
        Self(Some(
            tempfile::Builder::new()
                .prefix("creel-storage-")
                .tempdir()
                .unwrap(),
        ))
    }

    /// One in memory, of so many bytes and files.
    pub fn in_memory(bytes: u64, files: u64) -> Self {
        let root = Self::new();
        let options = format!("size={bytes},nr_inodes={files}");
        let arguments = ["-t", "tmpfs", "-o", &options, "tmpfs"].map(OsStr::new);
        run("mount", &[&arguments[..], &[root.path().as_ref()]].concat());
        root
    }

    /// One on a btrfs file system of its own, in a file on a loop device.
    pub fn on_btrfs() -> Self {
        let root = Self::new();
        let image = root.path().join(".image");
        File::create(&image).unwrap().set_len(BTRFS_SIZE).unwrap();
        run("mkfs.btrfs", &["-q".as_ref(), image.as_ref()]);
        // Linux lets go of the loop device with the mount.
        run(
            "mount",
            &[
                "-o".as_ref(),
                "loop".as_ref(),
                image.as_ref(),
                root.path().as_ref(),
            ],
        );
        root
    }

    pub fn path(&self) -> &Path {
        self.0.as_ref().unwrap().path()
    }
}

/// Runs a program to its end and gives its output.
pub fn run(program: &str, arguments: &[&OsStr]) -> String {
    let done = Command::new(program).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8(done.stdout).unwrap()
}

impl Drop for Root {
    fn drop(&mut self) {
        let own = self.path().to_str().unwrap().to_owned();
        let table = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let points = table.lines().filter_map(|l| l.split(' ').nth(1));
        let mut below: Vec<_> = points.filter(|p| p.starts_with(&own)).collect();
        below.reverse();
        for mount in below {
            let _ = rustix::mount::unmount(mount, rustix::mount::UnmountFlags::DETACH);
        }
        let _ = self.0.take().unwrap().close();
    }
}

/// Every driver on a data root of its own.
pub fn drivers() -> Vec<(Box<dyn StorageDriver>, Root)> {
    DRIVER_NAMES
        .iter()
        .map(|name| {
            let root = match *name {
                "btrfs" => Root::on_btrfs(),
                _ => Root::new(),
            };
            (open(Some(name), root.path()).unwrap(), root)
        })
        .collect()
}

/// Runs a test with every driver.
pub fn each_driver(mut test: impl FnMut(&dyn StorageDriver)) {
    for (driver, _root) in drivers() {
        eprintln!("driver {}", driver.name());
        test(driver.as_ref());
    }
}
