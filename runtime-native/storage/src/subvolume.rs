//! Subvolumes and snapshots of btrfs, by the ioctl calls of its kernel interface (linux/btrfs.h).

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::{ErrorKind, Result, StorageError};

const MAGIC: rustix::fs::FsWord = 0x9123_683e;
/// The inode number of every subvolume's root.
const ROOT_INODE: u64 = 256;

const SNAP_CREATE: libc::Ioctl = 0x5000_9401;
const SUBVOL_CREATE: libc::Ioctl = 0x5000_940e;
const SNAP_DESTROY: libc::Ioctl = 0x5000_940f;

/// `struct btrfs_ioctl_vol_args`.
#[repr(C)]
struct Arguments {
    fd: i64,
    name: [u8; 4088],
}

/// Whether `path` lies on btrfs.
pub(crate) fn on_btrfs(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|stat| stat.f_type == MAGIC)
}

/// The same of an open file.
pub(crate) fn is_btrfs(file: &OwnedFd) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|stat| stat.f_type == MAGIC)
}

/// Refuses a directory that does not lie on btrfs.
pub(crate) fn require_btrfs(path: &Path) -> Result<()> {
    let existing = path.ancestors().find(|above| above.exists());
    if existing.is_some_and(on_btrfs) {
        return Ok(());
    }
    let text = format!(
        "storage driver btrfs is not available: {} is not on a btrfs file system; mount one there, or use overlay2",
        path.display()
    );
    Err(StorageError::new(ErrorKind::Unsupported, text))
}

/// Makes an empty subvolume.
pub(crate) fn create(path: &Path) -> Result<()> {
    in_parent(path, SUBVOL_CREATE, 0).map_err(|e| StorageError::path("create the subvolume", path, e))
}

/// Makes a writable snapshot of the subvolume `source`.
pub(crate) fn snapshot(source: &Path, path: &Path) -> Result<()> {
    File::open(source)
        .and_then(|source| in_parent(path, SNAP_CREATE, source.as_raw_fd().into()))
        .map_err(|e| StorageError::path("take the snapshot", path, e))
}

/// Deletes the directory `name` of `parent`, opened as `dir`, in one step if it is a subvolume that holds no other.
/// False when it has to be emptied first.
pub(crate) fn delete(parent: &OwnedFd, name: &CStr, dir: &OwnedFd) -> bool {
    let is_root = rustix::fs::fstat(dir).is_ok_and(|stat| stat.st_ino == ROOT_INODE);
    is_root && is_btrfs(dir) && call(parent, SNAP_DESTROY, 0, OsStr::from_bytes(name.to_bytes())).is_ok()
}

fn in_parent(path: &Path, request: libc::Ioctl, fd: i64) -> std::io::Result<()> {
    let parent = File::open(path.parent().unwrap_or(Path::new("/")))?;
    call(&parent.into(), request, fd, path.file_name().unwrap_or_default())
}

fn call(parent: &OwnedFd, request: libc::Ioctl, fd: i64, name: &OsStr) -> std::io::Result<()> {
    let mut arguments = Arguments { fd, name: [0; 4088] };
    let name = name.as_bytes();
    if name.len() > 255 {
        return Err(std::io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    arguments.name[..name.len()].copy_from_slice(name);
    // SAFETY: the three requests read one such structure, which ends with a zero byte and outlives the call.
    match unsafe { libc::ioctl(parent.as_raw_fd(), request, &arguments) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
