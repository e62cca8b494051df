//! Unpacks the tar stream of one layer below a directory, and never anywhere else.

mod root;
pub(crate) mod whiteout;

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::Timespec;

use crate::error::{ErrorKind, Result, StorageError};
use crate::owners::Owners;
use crate::tarstream::{EntryType, TarEntry, TarReader};
use root::{Root, timespec};

/// The most directories above a file. Trees are walked by recursion, so their depth has a bound.
pub(crate) const MAX_NESTING: usize = 512;

/// The most bytes of names that are kept while an archive is unpacked. An archive can name one directory for ever.
const MAX_REMEMBERED: usize = 256 << 20;

/// What a whiteout in the archive becomes on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whiteouts {
    /// A character device 0:0 or an opaque directory, for overlay to read.
    Overlay,
    /// The deletion itself: the directory already holds the parent's content.
    Delete,
    /// Nothing: the archive is no layer, and such a name is one like any other.
    Names,
}

/// How to unpack one layer.
pub(crate) struct Options<'a> {
    pub whiteouts: Whiteouts,
    /// The directories of the layers below, top first. A directory that the archive implies but does not hold takes
    /// its owner, mode and attributes from there, a hard link its target.
    pub parents: &'a [PathBuf],
}

/// What was unpacked.
#[derive(Debug, Default)]
pub(crate) struct Unpacked {
    pub bytes: u64,
}

/// Unpacks `stream` into `directory` and reads it to its end.
pub(crate) fn unpack(directory: &Path, stream: &mut dyn Read, options: &Options<'_>) -> Result<Unpacked> {
    let root = Root::open(directory, options.parents)?;
    let mut unpacker = Unpacker::new(root, options.whiteouts, Placement::default());
    unpacker.run(stream)?;
    Ok(unpacker.done)
}

/// How files of an archive are put among those of a container.
#[derive(Debug, Clone, Default)]
pub struct Placement {
    /// The directory that the archive's names are below, as seen from the root. It exists.
    pub directory: PathBuf,
    /// A directory never takes the place of another file, nor the other way round.
    pub keep_kind: bool,
    /// Owner and group of all files, whatever the archive says.
    pub owner: Option<(u32, u32)>,
    /// What the owners are to be in the place of these.
    pub owners: Option<Owners>,
}

/// Puts the files of an archive below the open directory `root`. Links that stand there are followed as a process with
/// that root would follow them, and lead nowhere else, whatever is exchanged meanwhile.
pub fn place(root: &OwnedFd, placement: &Placement, stream: &mut dyn Read) -> Result<()> {
    let root = Root::at(
        root.try_clone()
            .map_err(|e| StorageError::io("open the root", e))?,
    )?;
    let placement = Placement {
        directory: clean(placement.directory.as_os_str().as_bytes())?,
        ..placement.clone()
    };
    Unpacker::new(root, Whiteouts::Names, placement).run(stream)
}

struct Unpacker {
    root: Root,
    whiteouts: Whiteouts,
    placement: Placement,
    /// Paths this layer brought itself; a whiteout deletes only what is below it. Kept for `Whiteouts::Delete`.
    own: HashSet<PathBuf>,
    /// Set last, because making an entry changes its directory's time.
    directory_times: HashMap<PathBuf, Timespec>,
    /// Bytes of the names in `own` and `directory_times`.
    remembered: usize,
    done: Unpacked,
}

impl Unpacker {
    fn new(root: Root, whiteouts: Whiteouts, placement: Placement) -> Self {
        Self {
            root,
            whiteouts,
            placement,
            own: HashSet::new(),
            directory_times: HashMap::new(),
            remembered: 0,
            done: Unpacked::default(),
        }
    }

    fn run(&mut self, stream: &mut dyn Read) -> Result<()> {
        let bad = |e| StorageError::archive("invalid layer archive", e);
        let mut archive = TarReader::new(stream);
        while let Some(entry) = archive.next_entry().map_err(bad)? {
            self.entry(entry, &mut archive)?;
        }
        for (path, time) in self.directory_times.drain() {
            self.root.set_directory_time(&path, time)?;
        }
        std::io::copy(&mut archive.into_inner(), &mut std::io::sink()).map_err(bad)?;
        Ok(())
    }

    fn entry(&mut self, mut meta: TarEntry, data: &mut dyn Read) -> Result<()> {
        let kind = meta.kind;
        // An archive may not speak to overlay: redirects and opaque marks come from whiteouts alone.
        meta.xattrs
            .retain(|(k, _)| !k.starts_with(b"trusted.overlay.") && !k.starts_with(b"user.overlay."));
        if let Some((uid, gid)) = self.placement.owner {
            (meta.uid, meta.gid) = (uid, gid);
        }
        if let Some(owners) = &self.placement.owners {
            (meta.uid, meta.gid) = owners.of((meta.uid, meta.gid));
        }
        let layer = self.whiteouts != Whiteouts::Names;
        let below = clean(&meta.path)?;
        if !layer && below.as_os_str().is_empty() {
            return Ok(());
        }
        let path = self.placement.directory.join(below);
        let Some(name) = path.file_name().map(OsStr::to_owned) else {
            if kind.is_dir() {
                self.root.set_root_metadata(&meta)?;
                self.directory_times.insert(PathBuf::new(), timespec(meta.mtime));
            }
            return Ok(());
        };
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        if layer
            && directory
                .iter()
                .any(|part| part.as_bytes().starts_with(whiteout::PRIVATE))
        {
            return Ok(());
        }
        if layer && let Some(hidden) = name.as_bytes().strip_prefix(whiteout::PREFIX) {
            return self.whiteout(&directory, hidden);
        }
        let parent = self.root.directory(&directory, self.whiteouts)?;
        if self.placement.keep_kind {
            self.root.check_kind(&parent, &name, kind.is_dir())?;
        }
        self.root.take_room(&meta)?;
        if !layer && is_file(kind) {
            self.root.replace_file(&parent, &name, &mut meta, data)?;
            return Ok(());
        }
        let hid_lower = self.root.clear(&parent, &name, kind.is_dir(), self.whiteouts)?;
        match kind {
            EntryType::Directory => {
                self.root.make_directory(&parent, &name, hid_lower)?;
                self.root.set_metadata(&parent, &name, &meta, false)?;
                if self
                    .directory_times
                    .insert(path.clone(), timespec(meta.mtime))
                    .is_none()
                {
                    self.remember(&path)?;
                }
            }
            kind if is_file(kind) => {
                self.done.bytes += self.root.make_file(&parent, &name, &mut meta, data)?;
            }
            EntryType::Link => {
                let target = self.placement.directory.join(clean(&meta.link)?);
                self.root.make_link(&parent, &name, &target)?;
            }
            EntryType::Symlink => {
                self.root
                    .make_symlink(&parent, &name, OsStr::from_bytes(&meta.link))?;
                self.root.set_metadata(&parent, &name, &meta, true)?;
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                self.root.make_node(&parent, &name, kind, &meta)?;
                self.root.set_metadata(&parent, &name, &meta, false)?;
            }
            other => {
                let text = format!(
                    "{}: unknown kind of archive entry {:?}",
                    path.display(),
                    other.as_byte() as char
                );
                return Err(StorageError::new(ErrorKind::InvalidArchive, text));
            }
        }
        if self.whiteouts == Whiteouts::Delete && self.own.insert(path.clone()) {
            self.remember(&path)?;
        }
        Ok(())
    }

    fn remember(&mut self, path: &Path) -> Result<()> {
        self.remembered += path.as_os_str().len() + size_of::<(PathBuf, Timespec)>();
        if self.remembered > MAX_REMEMBERED {
            let text = "the archive has too many names";
            return Err(StorageError::new(ErrorKind::InvalidArchive, text));
        }
        Ok(())
    }

    fn whiteout(&mut self, directory: &Path, hidden: &[u8]) -> Result<()> {
        let target = match whiteout::parse(hidden) {
            whiteout::Mark::Opaque => None,
            whiteout::Mark::Hides(name) => Some(name),
            whiteout::Mark::Private => return Ok(()),
            whiteout::Mark::Bad => {
                let text = format!("{}: whiteout without a name", directory.display());
                return Err(StorageError::new(ErrorKind::InvalidArchive, text));
            }
        };
        match self.whiteouts {
            Whiteouts::Names => Ok(()),
            Whiteouts::Overlay => {
                let parent = self.root.directory(directory, self.whiteouts)?;
                match target {
                    None => whiteout::set_opaque(&parent),
                    Some(name) => whiteout::hide(&parent, &name),
                }
                .map_err(|e| StorageError::path("write a whiteout in", directory, e))
            }
            Whiteouts::Delete => {
                // Nothing to hide below a directory that is not there.
                let Some(parent) = self.root.existing_directory(directory)? else {
                    return Ok(());
                };
                self.root.forget();
                whiteout::delete(&parent, directory, target.as_deref(), &self.own)
                    .map_err(|e| StorageError::path("apply a whiteout in", directory, e))
            }
        }
    }
}

fn is_file(kind: EntryType) -> bool {
    matches!(
        kind,
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse
    )
}

/// The path of an entry below the root: no leading slash, no `.`; a `..` may go up only as far as the root.
fn clean(raw: &[u8]) -> Result<PathBuf> {
    let bad = |why: &str| {
        let text = format!("entry {:?} {why}", String::from_utf8_lossy(raw));
        StorageError::new(ErrorKind::InvalidArchive, text)
    };
    if raw.contains(&0) {
        return Err(bad("has a NUL in its name"));
    }
    let mut path = PathBuf::new();
    for part in raw.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                if !path.pop() {
                    return Err(bad("leads out of the layer"));
                }
            }
            part => path.push(OsStr::from_bytes(part)),
        }
    }
    if path.iter().count() > MAX_NESTING {
        return Err(bad("is nested too deeply"));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_below_the_root() {
        assert_eq!(clean(b"./a//b/./c/").unwrap(), Path::new("a/b/c"));
        assert_eq!(clean(b"/etc/passwd").unwrap(), Path::new("etc/passwd"));
        assert_eq!(clean(b"a/../b").unwrap(), Path::new("b"));
        assert_eq!(clean(b"./").unwrap(), Path::new(""));
        assert!(clean(b"../x").is_err());
        assert!(clean(b"a/../../x").is_err());
        assert!(clean(b"a\0b").is_err());
        assert!(clean(&b"a/".repeat(600)).is_err());
    }
}
