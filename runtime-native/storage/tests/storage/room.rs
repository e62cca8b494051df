//! Archives that would fill the file system: they are refused while there is room for others, and leave nothing.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::common::{BTRFS_SIZE, Layer, Root};
use creel_storage::{Digest, ErrorKind, Placement, PrepareOptions, StorageDriver, open, place};

const SIZE: u64 = 64 << 20;
const FILES: u64 = 20_000;
/// A part of the reserve, which is a twentieth: what is taken meanwhile by directories and records is not counted.
const LEFT: u64 = 40;

type Small = (Box<dyn StorageDriver>, Root, u64);

/// Drivers on a small file system in memory, which counts at once.
fn in_memory() -> Vec<Small> {
    let memory = |name| {
        let root = Root::in_memory(SIZE, FILES);
        (open(Some(name), root.path()).unwrap(), root, SIZE)
    };
    vec![memory("overlay2"), memory("vfs")]
}

/// Every driver on a small file system.
fn small() -> Vec<Small> {
    let btrfs = Root::on_btrfs();
    let mut all = in_memory();
    all.push((open(Some("btrfs"), btrfs.path()).unwrap(), btrfs, BTRFS_SIZE));
    all
}

/// An archive of entries without end, made as it is read, which notes the least room there was meanwhile.
struct Endless<F> {
    entry: F,
    number: u64,
    made: VecDeque<u8>,
    looked: u64,
    place: PathBuf,
    least: u64,
    least_files: u64,
}

impl<F: FnMut(u64) -> Layer> Endless<F> {
    fn new(place: &Path, entry: F) -> Self {
        Self {
            entry,
            number: 0,
            made: VecDeque::new(),
            looked: 0,
            place: place.to_owned(),
            least: u64::MAX,
            least_files: u64::MAX,
        }
    }

    fn look(&mut self) {
        let place = fs::File::open(&self.place).unwrap();
        rustix::fs::syncfs(place.as_fd()).unwrap();
        let now = rustix::fs::fstatvfs(&place).unwrap();
        self.least = self.least.min(now.f_bavail * now.f_frsize);
        if now.f_files > 0 {
            self.least_files = self.least_files.min(now.f_favail);
        }
    }
}

impl<F: FnMut(u64) -> Layer> Read for Endless<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.made.is_empty() {
            let mut bytes = (self.entry)(self.number).finish();
            // without the archive's end
            bytes.truncate(bytes.len() - 1024);
            self.made.extend(bytes);
            self.number += 1;
        }
        let n = self.made.read(buffer)?;
        self.looked += n as u64;
        if self.looked > 4 << 20 {
            self.looked = 0;
            self.look();
        }
        Ok(n)
    }
}

fn large(number: u64) -> Layer {
    let content: Vec<u8> = (0..1 << 20).map(|n: u64| (n * 7 + number) as u8 | 1).collect();
    Layer::new().file(&format!("d/{number}"), &content)
}

fn tiny(number: u64) -> Layer {
    (0..1000).fold(Layer::new(), |layer, n| {
        layer.file(&format!("d{number}/{n}"), b"x")
    })
}

fn check<F: FnMut(u64) -> Layer>(
    archive: &mut Endless<F>,
    size: u64,
    what: &str,
    done: creel_storage::Result<()>,
) {
    let error = done.expect_err(what);
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{what}: {error}");
    assert!(
        error.to_string().contains("are kept for what runs on it"),
        "{what}: {error}"
    );
    archive.look();
    assert!(
        archive.least > size / LEFT,
        "{what}: only {} bytes were left",
        archive.least
    );
    assert!(
        archive.least_files > FILES / LEFT,
        "{what}: only {} files",
        archive.least_files
    );
}

fn names(path: &Path) -> usize {
    fs::read_dir(path).unwrap().count()
}

#[test]
fn a_layer_is_refused_while_there_is_room_for_others() {
    // btrfs takes minutes for so many small files: e2e's bombs try it
    for (driver, root, size) in in_memory() {
        let name = driver.name();
        let base = Layer::new().file("kept", b"1").finish();
        let kept = Digest::of(&base);
        driver.apply_layer(&kept, None, &mut &base[..]).unwrap();
        for (what, entry) in [("large", large as fn(u64) -> Layer), ("tiny", tiny)] {
            let mut archive = Endless::new(root.path(), entry);
            let done = driver.apply_layer(&Digest::of(b"bomb"), Some(&kept), &mut archive);
            check(&mut archive, size, &format!("{name} {what}"), done.map(drop));
            assert_eq!(driver.layers().len(), 1);
            assert_eq!(names(&root.path().join(name).join("staging")), 0);
        }
        let mounted = driver
            .prepare("c", Some(&kept), &PrepareOptions::default())
            .unwrap();
        assert_eq!(fs::read(mounted.join("kept")).unwrap(), b"1");
    }
}

#[test]
fn files_for_a_container_are_refused_as_well_and_what_stood_there_stays() {
    for (driver, root, size) in small() {
        let name = driver.name();
        let base = Layer::new().file("d/0", b"before").finish();
        driver
            .apply_layer(&Digest::of(&base), None, &mut &base[..])
            .unwrap();
        let mounted = driver
            .prepare("c", Some(&Digest::of(&base)), &PrepareOptions::default())
            .unwrap();
        let container = fs::File::open(&mounted).unwrap().into();
        let filler = root.path().join("filler");
        let now = rustix::fs::statvfs(root.path()).unwrap();
        fs::write(
            &filler,
            vec![7; (now.f_bavail * now.f_frsize - size / 8) as usize],
        )
        .unwrap();
        let content = vec![7; (size / 4) as usize];
        let archive = Layer::new().file("d/0", &content).finish();
        let error = place(&container, &Placement::default(), &mut &archive[..]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{name}: {error}");
        assert_eq!(fs::read(mounted.join("d/0")).unwrap(), b"before", "{name}");
        assert_eq!(names(&mounted.join("d")), 1, "{name}");
        fs::remove_file(&filler).unwrap();
        let mut archive = Endless::new(root.path(), large);
        let done = place(&container, &Placement::default(), &mut archive);
        check(&mut archive, size, name, done);
    }
}

#[test]
fn a_file_that_no_disk_can_hold_is_refused_at_once() {
    for (driver, _root, _) in small() {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_path("huge").unwrap();
        header.set_mode(0o644);
        for (uid, size) in [(0, 8 << 60), (1, (8 << 60) - 1), (2, u64::MAX)] {
            header.set_uid(uid);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_size(size);
            header.set_cksum();
            // Zeros cost nothing to send, and on disk they would be a hole.
            let mut archive = header.as_bytes().chain(io::repeat(0));
            let error = driver
                .apply_layer(&Digest::of(b"huge"), None, &mut archive)
                .unwrap_err();
            assert_eq!(
                error.kind(),
                ErrorKind::NoSpace,
                "{} {size}: {error}",
                driver.name()
            );
        }
        let mut sparse = tar::Builder::new(Vec::new());
        let records: [(&str, &[u8]); 4] = [
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"huge"),
            ("GNU.sparse.realsize", b"9223372036854775807"),
        ];
        sparse.append_pax_extensions(records).unwrap();
        let map = [&b"0\n"[..], &[0; 510]].concat();
        header.set_size(map.len() as u64);
        header.set_cksum();
        sparse.append(&header, &map[..]).unwrap();
        let bytes = sparse.into_inner().unwrap();
        let error = driver
            .apply_layer(&Digest::of(b"huge"), None, &mut &bytes[..])
            .unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::InvalidArchive,
            "{}: {error}",
            driver.name()
        );
    }
}
