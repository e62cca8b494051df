//! Directory trees: deletion that never leaves the tree, sizes, and durable small files.

use std::collections::HashSet;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use crate::driver::Usage;
use crate::error::{Result, StorageError};
use crate::subvolume;

/// How a directory is opened to be read, without following a link.
pub(crate) const READ_DIR: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// A path to one name in an open directory, for calls that take no descriptor. Nothing above the name can be exchanged.
pub(crate) fn entry_path(dir: &OwnedFd, name: &OsStr) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name)
}

/// Sets the mode of what stands at `name` itself: a link that has come there meanwhile is not followed.
pub(crate) fn set_mode(parent: impl AsFd, name: &OsStr, mode: u32) -> rustix::io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::chmodat(CWD, path, Mode::from_raw_mode(mode), AtFlags::empty())
}

const MAX_OPEN: usize = 48;

static SEQUENCE: AtomicU64 = AtomicU64::new(0);

/// A file name that this process has not used yet.
pub(crate) fn unique(prefix: &str) -> String {
    let n = SEQUENCE.fetch_add(1, Ordering::Relaxed);
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    format!("{prefix}-{}-{nanos:x}-{n}", std::process::id())
}

/// Makes the entries of a directory durable.
pub fn fsync_dir(path: &Path) -> Result<()> {
    let dir = File::open(path).map_err(|e| StorageError::path("open", path, e))?;
    dir.sync_all().map_err(|e| StorageError::path("fsync", path, e))
}

/// Replaces the file at `path` by `bytes`: after a crash there is the old content or the new, never a part.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let temporary = parent.join(unique(".new"));
    let written = File::create_new(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&temporary, path));
    if let Err(error) = written {
        let _ = std::fs::remove_file(&temporary);
        return Err(StorageError::path("write", path, error));
    }
    fsync_dir(parent)
}

/// Asks the file system to place each new directory below `path` apart from the others (ext4: a block group of its own, as
/// `chattr +T` does). ext4 without a journal gives out no inode again within a minute, and where many containers come and
/// go it would search a growing number of such inodes for each new one of the same group. Others ignore it.
pub fn spread_directories(path: &Path) {
    let spread = || {
        let dir = rustix::fs::open(path, READ_DIR, Mode::empty())?;
        let flags = rustix::fs::ioctl_getflags(&dir)?;
        rustix::fs::ioctl_setflags(&dir, flags | rustix::fs::IFlags::TOPDIR)
    };
    if let Err(error) = spread() {
        tracing::debug!(%error, path = %path.display(), "directories are not spread here");
    }
}

/// Deletes a directory tree (or a file); one that is missing is no error. It follows no symbolic link and refuses to
/// enter another mount, so a bind mount left inside is an error and never its victim.
pub fn remove_tree(path: &Path) -> Result<()> {
    remove_tree_at(CWD, path).map_err(|e| StorageError::path("remove", path, e))
}

/// [`remove_tree`] relative to an open directory.
pub(crate) fn remove_tree_at(dir: impl AsFd, path: &Path) -> rustix::io::Result<()> {
    match rustix::fs::unlinkat(&dir, path, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = rustix::fs::openat(&dir, path, flags, Mode::empty())?;
    // A subtree that is too deep is moved up here and emptied in the next round, so depth costs no descriptors.
    while !empty_dir(&root, &root, 0)? {}
    rustix::fs::unlinkat(&dir, path, AtFlags::REMOVEDIR)
}

/// Empties `dir`; false when a part of it was moved up to `root`.
fn empty_dir(root: &OwnedFd, dir: &OwnedFd, depth: usize) -> rustix::io::Result<bool> {
    let mut done = true;
    for (name, kind) in entries(dir)? {
        if kind != FileType::Directory {
            match rustix::fs::unlinkat(dir, &name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => continue,
                Err(Errno::ISDIR) => {}
                Err(error) => return Err(error),
            }
        }
        if depth >= MAX_OPEN {
            rustix::fs::renameat(dir, &name, root, unique(".deep"))?;
            done = false;
            continue;
        }
        let child = open_child_dir(dir, &name)?;
        if subvolume::delete(dir, &name, &child) {
            continue;
        }
        done &= empty_dir(root, &child, depth + 1)?;
        rustix::fs::unlinkat(dir, &name, AtFlags::REMOVEDIR)?;
    }
    Ok(done)
}

/// Opens a directory entry for reading, without following a link and without entering another mount.
pub(crate) fn open_child_dir(dir: &OwnedFd, name: &CString) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(dir, name, flags, Mode::empty(), resolve)
}

/// Whether something is mounted on this very directory.
pub(crate) fn is_mount_point(path: &Path) -> bool {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let Ok(stat) = rustix::fs::statx(CWD, path, flags, StatxFlags::BASIC_STATS) else {
        return false;
    };
    let root = StatxAttributes::MOUNT_ROOT;
    !stat.stx_attributes_mask.contains(root) || stat.stx_attributes.contains(root)
}

/// Takes off the topmost mount at `path`; a busy one leaves the tree now and goes with its last user. False: there was
/// none.
pub(crate) fn unmount(path: &Path) -> Result<bool> {
    let undo = |flags| rustix::mount::unmount(path, UnmountFlags::NOFOLLOW | flags);
    let done = match undo(UnmountFlags::empty()) {
        Err(Errno::BUSY) => undo(UnmountFlags::DETACH),
        other => other,
    };
    match done {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOENT) => Ok(false),
        Err(error) => Err(StorageError::path("unmount", path, error)),
    }
}

/// The names and types in a directory, without `.` and `..`.
pub(crate) fn entries(dir: &OwnedFd) -> rustix::io::Result<Vec<(CString, FileType)>> {
    let mut list = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_bytes() == b"." || name.to_bytes() == b".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => {
                let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(stat.st_mode)
            }
            kind => kind,
        };
        list.push((name.to_owned(), kind));
    }
    Ok(list)
}

/// Bytes in files and inodes below `path`, a file with several names counted once. What is deeper than a path can say is left out.
pub(crate) fn usage(path: &Path) -> Result<Usage> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let mut total = Usage::default();
    let mut seen = HashSet::new();
    let mut pending = vec![PathBuf::from(".")];
    let mut walk = || -> rustix::io::Result<()> {
        let root = rustix::fs::open(path, flags, Mode::empty())?;
        while let Some(at) = pending.pop() {
            let dir = match rustix::fs::openat2(&root, &at, flags, Mode::empty(), resolve) {
                Ok(dir) => dir,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG | Errno::XDEV) => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            for (name, kind) in entries(&dir)? {
                let stat = match rustix::fs::statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => stat,
                    Err(Errno::NOENT) => continue,
                    Err(error) => return Err(error),
                };
                if kind == FileType::Directory {
                    pending.push(at.join(OsStr::from_bytes(name.as_bytes())));
                } else if stat.st_nlink > 1 && !seen.insert((stat.st_dev, stat.st_ino)) {
                    continue;
                } else if kind == FileType::RegularFile {
                    total.bytes += stat.st_size as u64;
                }
                total.inodes += 1;
            }
        }
        Ok(())
    };
    walk().map_err(|e| StorageError::path("measure", path, e))?;
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_very_deep_tree_is_removed() {
        let base = tempfile::tempdir().unwrap();
        let top = base.path().join("top");
        std::fs::create_dir(&top).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut dir = rustix::fs::open(&top, flags, Mode::empty()).unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&dir, "d", Mode::from_raw_mode(0o700)).unwrap();
            dir = rustix::fs::openat(&dir, "d", flags, Mode::empty()).unwrap();
        }
        drop(dir);
        remove_tree(&top).unwrap();
        assert!(!top.exists());
    }

    #[test]
    fn write_atomic_replaces_and_leaves_nothing_else() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("state.json");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 1);
    }

    #[test]
    fn directories_are_spread_where_the_file_system_knows_how() {
        const EXT4: u64 = 0xef53;
        let base = tempfile::tempdir().unwrap();
        spread_directories(base.path());
        if rustix::fs::statfs(base.path()).unwrap().f_type as u64 == EXT4 {
            let dir = File::open(base.path()).unwrap();
            let flags = rustix::fs::ioctl_getflags(&dir).unwrap();
            assert!(flags.contains(rustix::fs::IFlags::TOPDIR));
        }
    }
}
