use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, XattrFlags};
use rustix::io::Errno;

use crate::tree;

/// Every whiteout's name begins with this.
pub(crate) const PREFIX: &[u8] = b".wh.";
/// Old aufs bookkeeping, which holds nothing of the image, begins with this.
pub(crate) const PRIVATE: &[u8] = b".wh..wh.";
/// The name of an opaque mark.
pub(crate) const OPAQUE_NAME: &str = ".wh..wh..opq";
/// What overlay reads as "nothing below shows through".
pub(crate) const OPAQUE_XATTR: &str = "trusted.overlay.opaque";

/// What a whiteout's name, after the prefix, says.
pub(super) enum Mark {
    Opaque,
    Hides(OsString),
    /// Old aufs bookkeeping that holds nothing of the image.
    Private,
    Bad,
}

pub(super) fn parse(name: &[u8]) -> Mark {
    match name {
        b".wh..opq" => Mark::Opaque,
        b"" | b"." | b".." => Mark::Bad,
        name if name.starts_with(PREFIX) => Mark::Private,
        name => Mark::Hides(OsString::from_vec(name.to_vec())),
    }
}

/// Whether a file is the device 0:0 by which overlay hides a name.
pub(crate) fn is_whiteout(stat: &rustix::fs::Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Marks a directory opaque.
pub(super) fn set_opaque(directory: &OwnedFd) -> rustix::io::Result<()> {
    rustix::fs::setxattr(tree_path(directory), OPAQUE_XATTR, b"y", XattrFlags::empty())
}

/// Hides a name of the layers below. What this same layer brought under that name stays, cut off from below.
pub(super) fn hide(parent: &OwnedFd, name: &OsStr) -> rustix::io::Result<()> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            set_opaque(&rustix::fs::openat(parent, name, flags, Mode::empty())?)
        }
        Ok(_) => Ok(()),
        Err(Errno::NOENT) => rustix::fs::mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), 0),
        Err(error) => Err(error),
    }
}

/// Deletes what `name` in the directory (all names when `None`) has from the layers below.
pub(super) fn delete(
    parent: &OwnedFd,
    path: &Path,
    name: Option<&OsStr>,
    own: &HashSet<PathBuf>,
) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Some(name) = name else {
        let readable = rustix::fs::openat(parent, ".", flags, Mode::empty())?;
        for (child, _) in tree::entries(&readable)? {
            delete(parent, path, Some(OsStr::from_bytes(child.as_bytes())), own)?;
        }
        return Ok(());
    };
    let full = path.join(name);
    if !own.contains(&full) && !own.iter().any(|p| p.starts_with(&full)) {
        return tree::remove_tree_at(parent, Path::new(name));
    }
    match rustix::fs::openat(parent, name, flags, Mode::empty()) {
        Ok(child) => delete(&child, &full, None, own),
        Err(Errno::NOTDIR | Errno::LOOP | Errno::NOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A path to an open directory, also one opened with O_PATH, for calls that take no descriptor.
pub(super) fn tree_path(directory: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()))
}

/// Reads the opaque mark of a directory of a layer.
pub(crate) fn is_opaque(path: &Path) -> bool {
    let mut value = [0u8; 8];
    matches!(rustix::fs::lgetxattr(path, OPAQUE_XATTR, &mut value[..]), Ok(n) if &value[..n] == b"y")
}
