//! What a container changed of its image, name by name.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Stat};

use crate::error::Result;
use crate::unpack::whiteout::{is_opaque, is_whiteout};
use crate::walk::{Visitor, like};

/// What became of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    Modified,
    Added,
    Deleted,
}

/// A name of a container that is not as its image has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Below the container's root, without a leading slash.
    pub path: PathBuf,
    pub kind: ChangeKind,
}

/// The names that `walk` tells, compared with the directories of the layers below, top first.
pub(crate) fn list(
    layers: &[PathBuf],
    walk: impl FnOnce(&mut dyn Visitor) -> Result<()>,
) -> Result<Vec<Change>> {
    let mut list = List {
        layers,
        found: BTreeMap::new(),
    };
    walk(&mut list)?;
    // With a name changes the directory that holds it.
    for path in list.found.keys().cloned().collect::<Vec<_>>() {
        for above in path
            .ancestors()
            .skip(1)
            .filter(|above| !above.as_os_str().is_empty())
        {
            list.found.entry(above.to_owned()).or_insert(ChangeKind::Modified);
        }
    }
    let one = |(path, kind)| Change { path, kind };
    Ok(list.found.into_iter().map(one).collect())
}

struct List<'a> {
    layers: &'a [PathBuf],
    found: BTreeMap<PathBuf, ChangeKind>,
}

impl Visitor for List<'_> {
    fn entry(&mut self, _: &OwnedFd, _: &OsStr, path: &Path, stat: &Stat) -> io::Result<()> {
        let kind = match self.below(path) {
            // A directory comes up with the first change in it, and is no change itself.
            Some(lower) if is_directory(stat) && like(&lower, stat) => return Ok(()),
            Some(_) => ChangeKind::Modified,
            None => ChangeKind::Added,
        };
        self.found.insert(path.to_owned(), kind);
        Ok(())
    }

    fn gone(&mut self, path: &Path) -> io::Result<()> {
        if self.below(path).is_some() {
            self.found.insert(path.to_owned(), ChangeKind::Deleted);
        }
        Ok(())
    }

    fn opaque(&mut self, _: &Path, _: &Stat) -> io::Result<()> {
        Ok(())
    }
}

impl List<'_> {
    /// The file that shows at `path` from below. No link is followed: a path of a layer leads through directories.
    fn below(&self, path: &Path) -> Option<Stat> {
        for layer in self.layers {
            let mut walked = layer.clone();
            let mut cut_off = false;
            for name in path {
                cut_off |= is_opaque(&walked);
                walked.push(name);
                match rustix::fs::statat(CWD, &walked, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) if is_whiteout(&stat) => return None,
                    Ok(stat) if walked.strip_prefix(layer).is_ok_and(|rest| rest == path) => {
                        return Some(stat);
                    }
                    Ok(stat) if !is_directory(&stat) => return None,
                    Ok(_) => {}
                    Err(_) if cut_off => return None,
                    Err(_) => break,
                }
            }
        }
        None
    }
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}
