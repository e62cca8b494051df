//! Copies of files and trees with everything a file system keeps of them.

use std::collections::HashMap;
use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::holes;
use crate::room::Room;
use crate::tree::{self, READ_DIR};

/// All extended attributes at `path`, sorted by name; `follow` only for a path that ends in a descriptor.
pub(crate) fn xattrs(path: &Path, follow: bool) -> rustix::io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let list = |buffer: &mut [u8]| match follow {
        true => rustix::fs::listxattr(path, buffer),
        false => rustix::fs::llistxattr(path, buffer),
    };
    let get = |name: &CStr, buffer: &mut [u8]| match follow {
        true => rustix::fs::getxattr(path, name, buffer),
        false => rustix::fs::lgetxattr(path, name, buffer),
    };
    let mut names = vec![0u8; 1024];
    let size = match list(&mut names) {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(Vec::new()),
        Err(Errno::RANGE) => {
            names.resize(65536, 0);
            list(&mut names)?
        }
        other => other?,
    };
    let mut found = Vec::new();
    let mut value = vec![0u8; 65536];
    for name in names[..size].split_inclusive(|b| *b == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else {
            continue;
        };
        match get(name, &mut value) {
            Ok(n) => found.push((name.to_bytes().to_vec(), value[..n].to_vec())),
            Err(Errno::NODATA) => {}
            Err(error) => return Err(error),
        }
    }
    // Each file system has an order of its own.
    found.sort();
    Ok(found)
}

fn magic_path(fd: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// Gives `name` in `parent` the owner, mode, attributes and times of `source` (which may be opened with O_PATH).
/// Marks that speak to overlay are left out.
pub(crate) fn copy_metadata(source: &OwnedFd, parent: impl AsFd, name: &OsStr) -> rustix::io::Result<()> {
    let stat = rustix::fs::fstat(source)?;
    let attributes = xattrs(&magic_path(source.as_fd()), true)?;
    set_metadata(&stat, &attributes, parent.as_fd(), name)
}

fn set_metadata(
    stat: &Stat,
    attributes: &[(Vec<u8>, Vec<u8>)],
    parent: BorrowedFd<'_>,
    name: &OsStr,
) -> rustix::io::Result<()> {
    let nofollow = AtFlags::SYMLINK_NOFOLLOW;
    let owner = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    rustix::fs::chownat(parent, name, Some(owner.0), Some(owner.1), nofollow)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        tree::set_mode(parent, name, stat.st_mode & 0o7777)?;
    }
    let path = magic_path(parent).join(name);
    for (key, value) in attributes {
        if key.starts_with(b"trusted.overlay.") {
            continue;
        }
        match rustix::fs::lsetxattr(&path, OsStr::from_bytes(key), value, XattrFlags::empty()) {
            Ok(()) | Err(Errno::NOTSUP) => {}
            Err(error) => return Err(error),
        }
    }
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: stat.st_atime as _,
            tv_nsec: stat.st_atime_nsec as _,
        },
        last_modification: Timespec {
            tv_sec: stat.st_mtime as _,
            tv_nsec: stat.st_mtime_nsec as _,
        },
    };
    rustix::fs::utimensat(parent, name, &times, nofollow)
}

/// Copies one file that is no directory, opened with O_PATH, to `name` in `parent`.
pub(crate) fn copy_file_from(
    source: &OwnedFd,
    parent: &OwnedFd,
    name: &OsStr,
    room: &mut Room,
) -> io::Result<()> {
    room.entry()?;
    let stat = rustix::fs::fstat(source)?;
    let path = magic_path(source.as_fd());
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {
            let from = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
            copy_content(&from, parent.as_fd(), name, room)?;
        }
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(source, "", Vec::new())?;
            rustix::fs::symlinkat(target, parent, name)?;
        }
        FileType::Directory => return Err(Errno::ISDIR.into()),
        kind => {
            let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
            rustix::fs::mknodat(parent, name, kind, mode, stat.st_rdev)?;
        }
    }
    let attributes = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => Vec::new(),
        _ => xattrs(&path, true)?,
    };
    Ok(set_metadata(&stat, &attributes, parent.as_fd(), name)?)
}

/// Copies the content of a file: shared blocks where the file system can, holes kept where it cannot.
fn copy_content(from: &OwnedFd, parent: BorrowedFd<'_>, name: &OsStr, room: &mut Room) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let to = rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600))?;
    if rustix::fs::ioctl_ficlone(&to, from).is_ok() {
        return Ok(());
    }
    let size = rustix::fs::fstat(from)?.st_size as u64;
    for piece in holes::pieces(from, size) {
        let (start, end) = piece?;
        copy_range(from, &to, start, end, room)?;
    }
    File::from(to).set_len(size)
}

/// What is copied at once.
const PIECE: usize = 1 << 20;

fn copy_range(from: &OwnedFd, to: &OwnedFd, start: u64, end: u64, room: &mut Room) -> io::Result<()> {
    let (mut read, mut write) = (start, start);
    while read < end {
        let want = PIECE.min((end - read) as usize);
        room.take(want as u64)?;
        match rustix::fs::copy_file_range(from, Some(&mut read), to, Some(&mut write), want) {
            Ok(0) => break,
            Ok(_) => {}
            Err(Errno::XDEV | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                let mut buffer = vec![0u8; want];
                let n = rustix::io::pread(from, &mut buffer, read)?;
                if n == 0 {
                    break;
                }
                std::os::unix::fs::FileExt::write_all_at(&File::from(to.try_clone()?), &buffer[..n], read)?;
                read += n as u64;
                write = read;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Gives the directory `target` the looks of `source`, whatever is in them.
pub(crate) fn copy_own_metadata(source: &Path, target: &Path) -> io::Result<()> {
    let from = rustix::fs::open(source, READ_DIR, Mode::empty())?;
    let to = rustix::fs::open(target, READ_DIR, Mode::empty())?;
    Ok(copy_metadata(&from, &to, OsStr::new("."))?)
}

/// Copies the tree below `source` into the existing directory `target`, names of one file kept as such.
pub(crate) fn copy_tree(source: &Path, target: &Path) -> io::Result<()> {
    let from = rustix::fs::open(source, READ_DIR, Mode::empty())?;
    let to = rustix::fs::open(target, READ_DIR, Mode::empty())?;
    let mut copy = Copy {
        links: HashMap::new(),
        room: Room::of(&to).map_err(io::Error::other)?,
        root: &to,
    };
    copy.children(&from, &to, Path::new(""))?;
    Ok(copy_metadata(&from, &to, OsStr::new("."))?)
}

struct Copy<'a> {
    root: &'a OwnedFd,
    links: HashMap<(u64, u64), PathBuf>,
    room: Room,
}

impl Copy<'_> {
    fn children(&mut self, from: &OwnedFd, to: &OwnedFd, path: &Path) -> io::Result<()> {
        for (name, kind) in tree::entries(from)? {
            let name = OsStr::from_bytes(name.as_bytes());
            if kind == FileType::Directory {
                let flags = READ_DIR;
                let child = rustix::fs::openat(from, name, flags, Mode::empty())?;
                self.room.entry()?;
                rustix::fs::mkdirat(to, name, Mode::from_raw_mode(0o700))?;
                let made = rustix::fs::openat(to, name, flags, Mode::empty())?;
                self.children(&child, &made, &path.join(name))?;
                copy_metadata(&child, to, name)?;
                continue;
            }
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let child = rustix::fs::openat(from, name, flags, Mode::empty())?;
            let stat = rustix::fs::fstat(&child)?;
            if stat.st_nlink > 1 {
                if let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
                    rustix::fs::linkat(self.root, first, to, name, AtFlags::empty())?;
                    continue;
                }
                self.links.insert((stat.st_dev, stat.st_ino), path.join(name));
            }
            copy_file_from(&child, to, name, &mut self.room)?;
            if kind == FileType::Symlink {
                copy_symlink_xattrs(from, to, name)?;
            }
        }
        Ok(())
    }
}

fn copy_symlink_xattrs(from: &OwnedFd, to: &OwnedFd, name: &OsStr) -> io::Result<()> {
    let target = magic_path(to.as_fd()).join(name);
    for (key, value) in xattrs(&magic_path(from.as_fd()).join(name), false)? {
        match rustix::fs::lsetxattr(&target, OsStr::from_bytes(&key), &value, XattrFlags::empty()) {
            Ok(()) | Err(Errno::NOTSUP | Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
