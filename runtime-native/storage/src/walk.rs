//! Walks a container's own content against what lies below it.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::copy;
use crate::driver::Usage;
use crate::error::{Result, StorageError};
use crate::tree::{self, READ_DIR, entry_path};
use crate::unpack::MAX_NESTING;
use crate::unpack::whiteout::{is_opaque, is_whiteout};

/// What is told of a container's own content, a directory before what it holds.
pub(crate) trait Visitor {
    /// The file `name` of the open directory `dir` is the container's own.
    fn entry(&mut self, dir: &OwnedFd, name: &OsStr, path: &Path, stat: &Stat) -> io::Result<()>;
    /// What lies below `path` is hidden.
    fn gone(&mut self, path: &Path) -> io::Result<()>;
    /// Nothing from below shows through the directory that was told last.
    fn opaque(&mut self, path: &Path, stat: &Stat) -> io::Result<()>;
}

/// Tells overlay's upper directory, its devices 0:0 and opaque marks as what is gone.
pub(crate) fn upper(root: &Path, visitor: &mut dyn Visitor) -> Result<()> {
    walk(root, None, true, visitor)
}

/// Tells what `content` has that `below` does not have the same, the directories that hold it, and what it lacks.
pub(crate) fn compared(content: &Path, below: Option<&Path>, visitor: &mut dyn Visitor) -> Result<()> {
    walk(content, below, false, visitor)
}

fn walk(root: &Path, below: Option<&Path>, overlay: bool, visitor: &mut dyn Visitor) -> Result<()> {
    let open = |path: &Path| rustix::fs::open(path, READ_DIR, Mode::empty());
    let run = |visitor: &mut dyn Visitor| -> io::Result<()> {
        let below = below.map(open).transpose()?;
        let mut walk = Walk {
            overlay,
            visitor,
            held: Vec::new(),
        };
        walk.directory(&open(root)?, below.as_ref(), Path::new(""))
    };
    run(visitor).map_err(|e| StorageError::path("read", root, e))
}

struct Walk<'a> {
    overlay: bool,
    visitor: &'a mut dyn Visitor,
    /// The directories above that are as they were, so far.
    held: Vec<Held>,
}

struct Held {
    dir: OwnedFd,
    path: PathBuf,
    stat: Stat,
}

impl Walk<'_> {
    fn directory(&mut self, dir: &OwnedFd, below: Option<&OwnedFd>, path: &Path) -> io::Result<()> {
        check_depth(path)?;
        let names: BTreeMap<_, _> = tree::entries(dir)?.into_iter().collect();
        if let Some(below) = below {
            for (gone, _) in tree::entries(below)? {
                if !names.contains_key(&gone) {
                    self.tell_held()?;
                    self.visitor
                        .gone(&path.join(OsStr::from_bytes(gone.as_bytes())))?;
                }
            }
        }
        for name in names.into_keys() {
            let name = OsStr::from_bytes(name.as_bytes());
            match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => self.entry(dir, below, name, &path.join(name), &stat)?,
                // The container may be running.
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        dir: &OwnedFd,
        below: Option<&OwnedFd>,
        name: &OsStr,
        path: &Path,
        stat: &Stat,
    ) -> io::Result<()> {
        if self.overlay && is_whiteout(stat) {
            return self.visitor.gone(path);
        }
        let lower = below.and_then(|b| rustix::fs::statat(b, name, AtFlags::SYMLINK_NOFOLLOW).ok());
        let unchanged =
            matches!((below, &lower), (Some(below), Some(lower)) if same(dir, below, name, lower, stat));
        if !unchanged {
            self.tell_held()?;
            self.visitor.entry(dir, name, path, stat)?;
        }
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Ok(());
        }
        if self.overlay && is_opaque(&entry_path(dir, name)) {
            self.visitor.opaque(path, stat)?;
        }
        let child = tree::open_child_dir(dir, &CString::new(name.as_bytes())?)?;
        let child_below = match (below, lower) {
            (Some(below), Some(_)) => rustix::fs::openat(below, name, READ_DIR, Mode::empty()).ok(),
            _ => None,
        };
        if unchanged {
            self.held.push(Held {
                dir: dir.try_clone()?,
                path: path.to_owned(),
                stat: *stat,
            });
        }
        let held = self.held.len();
        self.directory(&child, child_below.as_ref(), path)?;
        if unchanged && self.held.len() == held {
            self.held.pop();
        }
        Ok(())
    }

    fn tell_held(&mut self) -> io::Result<()> {
        for Held { dir, path, stat } in std::mem::take(&mut self.held) {
            let name = path.file_name().unwrap_or_default();
            self.visitor.entry(&dir, name, &path, &stat)?;
        }
        Ok(())
    }
}

/// Trees are walked by recursion, so their depth has a bound.
pub(crate) fn check_depth(path: &Path) -> io::Result<()> {
    if path.iter().count() > MAX_NESTING {
        let text = format!("directories are nested more than {MAX_NESTING} deep");
        return Err(io::Error::other(text));
    }
    Ok(())
}

fn same(dir: &OwnedFd, below: &OwnedFd, name: &OsStr, lower: &Stat, stat: &Stat) -> bool {
    let attributes = |dir| copy::xattrs(&entry_path(dir, name), false).ok();
    let alike = like(lower, stat) && lower.st_rdev == stat.st_rdev;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => alike && attributes(dir) == attributes(below),
        FileType::Symlink => {
            let target = |dir| rustix::fs::readlinkat(dir, name, Vec::new()).ok();
            alike && target(below) == target(dir)
        }
        _ => {
            alike
                && lower.st_size == stat.st_size
                && (lower.st_mtime, lower.st_mtime_nsec) == (stat.st_mtime, stat.st_mtime_nsec)
                // Another name of it is one of both layers, as the two belong together.
                && stat.st_nlink <= lower.st_nlink
                && attributes(dir) == attributes(below)
        }
    }
}

/// Adds up what is told.
#[derive(Default)]
pub(crate) struct Sizes {
    usage: Usage,
    seen: HashSet<(u64, u64)>,
}

impl Sizes {
    pub(crate) fn usage(&self) -> Usage {
        self.usage
    }
}

impl Visitor for Sizes {
    fn entry(&mut self, _: &OwnedFd, _: &OsStr, _: &Path, stat: &Stat) -> io::Result<()> {
        if stat.st_nlink > 1 && !self.seen.insert((stat.st_dev, stat.st_ino)) {
            return Ok(());
        }
        self.usage.inodes += 1;
        if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
            self.usage.bytes += stat.st_size as u64;
        }
        Ok(())
    }

    fn gone(&mut self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn opaque(&mut self, _: &Path, _: &Stat) -> io::Result<()> {
        Ok(())
    }
}

/// Whether two files are of one kind, owner and mode.
pub(crate) fn like(one: &Stat, other: &Stat) -> bool {
    one.st_mode == other.st_mode && (one.st_uid, one.st_gid) == (other.st_uid, other.st_gid)
}

/// Opens a directory's child without following a link.
pub(crate) fn open_child(dir: &OwnedFd, name: &OsStr, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty())
}
