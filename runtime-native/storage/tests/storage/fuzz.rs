//! Archives by chance, of hostile entries and then damaged: whatever they say, nothing outside is touched, nothing is
//! left of one that is refused, and no reader panics, hangs or takes memory without end.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::common::{Root, drivers};
use creel_fuzz::Rng;
use creel_storage::{Digest, Placement, StorageDriver, TarReader, place};
use rustix::fs::{Mode, OFlags};
use tar::{Builder, EntryType, Header};

/// Seeds that found something once, and a few more.
const KEPT: [u64; 6] = [1, 2, 3, 4, 5, 6];

const KINDS: [u8; 12] = *b"0123456S1LKx";

/// An archive of a few entries, many of which lead somewhere else. `outside` is where none of them may come.
fn archive(rng: &mut Rng, outside: &str) -> Vec<u8> {
    let up = format!("../../../../../../../..{outside}/victim");
    let far = format!("{outside}/victim");
    let long = "d/".repeat(300);
    let names = [
        "a",
        "b",
        "a/b",
        "b/a",
        "a/b/c",
        ".",
        "./",
        "/",
        "..",
        "a/..",
        "a/../b",
        ".wh.a",
        "a/.wh.b",
        ".wh..wh..opq",
        ".wh..",
        ".wh.",
        ".wh..wh.plnk/x",
        "link",
        "link/x",
        "link/victim",
        "",
        "\u{1f512}",
        &up,
        &far,
        &long,
    ];
    let targets = [
        ".",
        "..",
        "/",
        "a",
        "../a",
        "link",
        outside,
        &up,
        &far,
        "/proc/self/root",
        "",
    ];
    let mut tar = Builder::new(Vec::new());
    for _ in 0..=rng.below(12) {
        let mut header = Header::new_ustar();
        let kind = *rng.pick(&KINDS);
        header.set_entry_type(EntryType::new(kind));
        let name = names[rng.below(names.len())];
        let target = targets[rng.below(targets.len())];
        let fields = header.as_ustar_mut().unwrap();
        fill(&mut fields.name, name);
        fill(&mut fields.linkname, target);
        header.set_mode([0o644, 0o4755, 0o1777, 0, 0o7777][rng.below(5)]);
        header.set_uid(rng.below(3) as u64 * 1000);
        header.set_gid(0);
        header.set_mtime(rng.any() >> rng.below(64));
        let numbers = [(0, 0), (1, 3), (8, 0), (u32::MAX >> 11, u32::MAX >> 11)];
        let (major, minor) = *rng.pick(&numbers);
        header.set_device_major(major).unwrap();
        header.set_device_minor(minor).unwrap();
        let data = content(rng, kind, &[name, target, &up, &far]);
        header.set_size(data.len() as u64);
        header.set_cksum();
        tar.append(&header, &data[..]).unwrap();
    }
    let mut bytes = tar.into_inner().unwrap();
    if rng.once_in(2) {
        creel_fuzz::bytes(rng, &mut bytes);
        if rng.once_in(2) {
            mend_checksums(&mut bytes);
        }
    }
    bytes
}

fn fill(field: &mut [u8], value: &str) {
    let n = field.len().min(value.len());
    field[..n].copy_from_slice(&value.as_bytes()[..n]);
}

fn content(rng: &mut Rng, kind: u8, words: &[&str]) -> Vec<u8> {
    const KEYS: [&str; 14] = [
        "path",
        "linkpath",
        "size",
        "uid",
        "gid",
        "mtime",
        "GNU.sparse.name",
        "GNU.sparse.realsize",
        "GNU.sparse.major",
        "GNU.sparse.map",
        "GNU.sparse.offset",
        "GNU.sparse.numbytes",
        "SCHILY.xattr.trusted.overlay.opaque",
        "SCHILY.xattr.user.x",
    ];
    const VALUES: [&str; 9] = [
        "",
        "0",
        "1",
        "y",
        "-1",
        "18446744073709551615",
        "0,5,10",
        "5,18446744073709551615",
        "1.5",
    ];
    if kind != b'x' {
        return match rng.below(3) {
            0 => Vec::new(),
            1 => rng.pick(words).as_bytes().to_vec(),
            _ => vec![rng.any() as u8; rng.below(3000)],
        };
    }
    let mut records = String::new();
    for _ in 0..=rng.below(4) {
        let value = if rng.once_in(2) {
            *rng.pick(words)
        } else {
            *rng.pick(&VALUES)
        };
        let record = format!(" {}={value}\n", rng.pick(&KEYS));
        let length = (1..6)
            .map(|digits| digits + record.len())
            .find(|n| n.to_string().len() + record.len() == *n);
        records += &format!("{}{record}", length.unwrap_or(1));
    }
    records.into_bytes()
}

/// Makes damaged headers valid again as far as their checksum goes, so that the rest of them is looked at.
fn mend_checksums(bytes: &mut [u8]) {
    for block in bytes
        .chunks_exact_mut(512)
        .filter(|block| block[257..262] == *b"ustar")
    {
        let mut header = Header::new_ustar();
        header.as_mut_bytes().copy_from_slice(block);
        header.set_cksum();
        block.copy_from_slice(header.as_bytes());
    }
}

/// A folder with one file that nobody may touch.
struct Outside(tempfile::TempDir);

impl Outside {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("victim"), "safe").unwrap();
        Self(dir)
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    fn check(&self) {
        use std::os::unix::fs::MetadataExt;
        let victim = self.0.path().join("victim");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "safe");
        let meta = fs::metadata(&victim).unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.nlink()), (0o644, 0, 1));
        assert_eq!(fs::read_dir(self.0.path()).unwrap().count(), 1);
    }
}

#[test]
fn layers_by_chance_touch_nothing_outside() {
    let outside = Outside::new();
    let drivers = drivers();
    creel_fuzz::run(&KEPT, |rng| {
        let bytes = archive(rng, outside.path());
        for (driver, root) in &drivers {
            let chain = Digest::of(&bytes);
            let applied = driver.apply_layer(&chain, None, &mut &bytes[..]);
            outside.check();
            match applied {
                Ok(_) => drop(driver.remove_layer(&chain).unwrap()),
                Err(_) => assert!(driver.layer(&chain).is_none()),
            }
            assert_eq!(count(&root.path().join(driver.name()).join("staging")), 0);
        }
    });
}

#[test]
fn files_by_chance_are_placed_inside_alone() {
    let outside = Outside::new();
    creel_fuzz::run(&KEPT, |rng| {
        let inside = Root::new();
        fs::create_dir(inside.path().join("a")).unwrap();
        symlink(outside.path(), inside.path().join("link")).unwrap();
        let bytes = archive(rng, outside.path());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(inside.path(), flags, Mode::empty()).unwrap();
        let placement = Placement {
            directory: ["", "a", "link"][rng.below(3)].into(),
            keep_kind: rng.once_in(2),
            owner: None,
            owners: None,
        };
        let _ = place(&root, &placement, &mut &bytes[..]);
        outside.check();
    });
}

fn count(path: &Path) -> usize {
    fs::read_dir(path).map_or(0, Iterator::count)
}

/// One block again and again, without an end.
struct Endless {
    block: Vec<u8>,
    given: u64,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let at = (self.given % self.block.len() as u64) as usize;
        let n = buffer.len().min(self.block.len() - at);
        buffer[..n].copy_from_slice(&self.block[at..at + n]);
        self.given += n as u64;
        Ok(n)
    }
}

#[test]
fn headers_without_end_are_refused_early() {
    for kind in *b"xgLK" {
        let mut header = Header::new_ustar();
        let mut data = b"511 SCHILY.xattr.user.".to_vec();
        data.resize(510, b'k');
        data[500] = b'=';
        data.push(b'\n');
        data.resize(512, 0);
        header.set_entry_type(EntryType::new(kind));
        header.set_size(512);
        header.set_cksum();
        let block = [header.as_bytes().as_slice(), &data].concat();
        let mut endless = TarReader::new(Endless { block, given: 0 });
        let error = endless.next_entry().unwrap_err();
        assert!(
            error.to_string().contains("too large"),
            "{}: {error}",
            kind as char
        );
        assert!(endless.into_inner().given <= 16 << 20);
    }
}

#[test]
fn a_bomb_ends_with_the_disk_and_leaves_nothing() {
    let root = Root::new();
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("creel-fuzz", root.path(), "tmpfs", flags, Some(c"size=16m")).unwrap();
    let driver: Box<dyn StorageDriver> = creel_storage::open(Some("vfs"), root.path()).unwrap();
    let mut header = Header::new_ustar();
    fill(&mut header.as_ustar_mut().unwrap().name, "bomb");
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    // As much as the disk has, of which none is a hole.
    header.set_size(16 << 20);
    header.set_cksum();
    let bomb = Endless {
        block: vec![7; 4096],
        given: 0,
    };
    let chain = Digest::of(b"bomb");
    let mut stream = header.as_bytes().as_slice().chain(bomb);
    let error = driver.apply_layer(&chain, None, &mut stream).unwrap_err();
    assert!(
        error.to_string().contains("no space left on device: the last"),
        "{error}"
    );
    assert!(driver.layers().is_empty());
    let free = rustix::fs::statvfs(root.path()).unwrap();
    assert!(
        free.f_bavail * free.f_frsize > 15 << 20,
        "what was written is gone"
    );
}
