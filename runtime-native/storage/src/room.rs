//! Room on a file system for bytes that come from outside, with a reserve that they do not get: whoever runs on it, the
//! engine first, is to find some when an archive would have filled it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, StatVfs};

use crate::error::{Result, StorageError};
use crate::subvolume;

/// The part of a file system that is kept, and the most of it, in bytes and in inodes.
const KEPT: u64 = 20;
const MOST_BYTES: u64 = 256 << 20;
const MOST_INODES: u64 = 10_000;
/// What a name takes besides the bytes of its file.
const ENTRY: u64 = 4096;
/// It is measured again after a quarter of what is left was taken, since others take some too, but not for every byte.
const PART: u64 = 4;
const LONGEST: u64 = 64 << 20;

/// Room that is being taken. Whoever writes asks first.
pub struct Room {
    place: OwnedFd,
    /// What may be taken before it is measured again.
    granted: u64,
    late: bool,
}

impl Room {
    /// On the file system of a directory.
    pub fn at(directory: &Path) -> Result<Self> {
        Self::below(CWD, directory).map_err(|e| StorageError::path("open", directory, e))
    }

    /// The same of an open one.
    pub(crate) fn of(directory: &OwnedFd) -> Result<Self> {
        Self::below(directory, Path::new(".")).map_err(|e| StorageError::io("open the root", e))
    }

    fn below(directory: impl AsFd, path: &Path) -> rustix::io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let place = rustix::fs::openat(directory, path, flags, Mode::empty())?;
        Ok(Self {
            // btrfs counts what was written only once it has found a place for it
            late: subvolume::is_btrfs(&place),
            place,
            granted: 0,
        })
    }

    /// For one more name.
    pub(crate) fn entry(&mut self) -> io::Result<()> {
        self.take(ENTRY)
    }

    /// For `bytes` more, or an error of the kind [`io::ErrorKind::StorageFull`].
    pub fn take(&mut self, bytes: u64) -> io::Result<()> {
        if bytes > self.granted {
            self.granted = self.measure(bytes)?;
        }
        self.granted -= bytes;
        Ok(())
    }

    /// Refuses a file that is larger than all of the file system.
    pub(crate) fn fits(&self, bytes: u64) -> io::Result<()> {
        let all = rustix::fs::fstatvfs(&self.place)?;
        if bytes > all.f_blocks.saturating_mul(all.f_frsize) {
            let text = format!("no space left on device: a file of {bytes} bytes is larger than all of it");
            return Err(io::Error::new(io::ErrorKind::StorageFull, text));
        }
        Ok(())
    }

    /// How much of what is left may be taken, at least `wanted`.
    fn measure(&self, wanted: u64) -> io::Result<u64> {
        if self.late {
            rustix::fs::syncfs(&self.place)?;
        }
        let now = rustix::fs::fstatvfs(&self.place)?;
        let bytes = |blocks: u64| blocks.saturating_mul(now.f_frsize);
        let kept = (bytes(now.f_blocks) / KEPT).min(MOST_BYTES);
        let left = bytes(now.f_bavail).saturating_sub(kept);
        if left < wanted {
            return Err(full(&format!("the last {} MiB", kept.div_ceil(1 << 20))));
        }
        let inodes = inodes_left(&now);
        if inodes == 0 {
            return Err(full("its last inodes"));
        }
        let part = left.min(inodes.saturating_mul(ENTRY)) / PART;
        Ok(part.min(LONGEST).max(wanted))
    }
}

/// Some file systems have no number of inodes.
fn inodes_left(now: &StatVfs) -> u64 {
    if now.f_files == 0 {
        return u64::MAX;
    }
    now.f_favail.saturating_sub((now.f_files / KEPT).min(MOST_INODES))
}

fn full(kept: &str) -> io::Error {
    let text = format!("no space left on device: {kept} are kept for what runs on it");
    io::Error::new(io::ErrorKind::StorageFull, text)
}
