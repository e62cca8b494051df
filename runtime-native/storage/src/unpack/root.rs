use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

use super::Whiteouts;
use super::whiteout::{self, is_whiteout, tree_path};
use crate::copy;
use crate::error::{ErrorKind, Result, StorageError};
use crate::room::Room;
use crate::tarstream::{EntryType, TarEntry};
use crate::tree;

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const BUFFER: usize = 64 * 1024;

/// The directory a layer is unpacked into. Paths are resolved by the kernel with this directory as the root, so
/// neither `..` nor a symbolic link of the archive leads out of it.
pub(super) struct Root {
    fd: OwnedFd,
    path: PathBuf,
    parents: Vec<OwnedFd>,
    /// Archives are mostly in order: the directory of the last entry is the directory of the next.
    last: Option<(PathBuf, Rc<OwnedFd>)>,
    buffer: Vec<u8>,
    room: Room,
}

impl Root {
    pub(super) fn open(path: &Path, parents: &[PathBuf]) -> Result<Self> {
        let open = |path: &Path| {
            rustix::fs::open(path, DIRECTORY, Mode::empty()).map_err(|e| StorageError::path("open", path, e))
        };
        let parents = parents.iter().map(|p| open(p)).collect::<Result<_>>()?;
        Ok(Self {
            fd: open(path)?,
            path: path.to_owned(),
            parents,
            last: None,
            buffer: vec![0; BUFFER],
            room: Room::at(path)?,
        })
    }

    /// An open directory with nothing below it.
    pub(super) fn at(fd: OwnedFd) -> Result<Self> {
        Ok(Self {
            path: tree_path(&fd),
            room: Room::of(&fd)?,
            fd,
            parents: Vec::new(),
            last: None,
            buffer: vec![0; BUFFER],
        })
    }

    /// Takes room for an entry's name and attributes.
    pub(super) fn take_room(&mut self, meta: &TarEntry) -> Result<()> {
        let attributes = meta.xattrs.iter().map(|(key, value)| key.len() + value.len());
        self.room
            .entry()
            .and_then(|()| self.room.take(attributes.sum::<usize>() as u64))
            .map_err(|e| StorageError::path("unpack", Path::new(OsStr::from_bytes(&meta.path)), e))
    }

    fn resolve(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&self.fd, path, DIRECTORY, Mode::empty(), resolve)
    }

    /// Drops what is remembered of directories, because one of them may be deleted next.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }

    /// The directory at `path` if there is one.
    pub(super) fn existing_directory(&self, path: &Path) -> Result<Option<OwnedFd>> {
        match self.resolve(path) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(StorageError::path("open", path, error)),
        }
    }

    /// The directory at `path`, made with what is missing of its way.
    pub(super) fn directory(&mut self, path: &Path, whiteouts: Whiteouts) -> Result<Rc<OwnedFd>> {
        if let Some((last, fd)) = &self.last
            && last == path
        {
            return Ok(Rc::clone(fd));
        }
        let fd = match self.resolve(path) {
            Ok(fd) => Rc::new(fd),
            Err(Errno::NOENT | Errno::NOTDIR) => self.make_missing(path, whiteouts)?,
            Err(error) => return Err(bad_path(path, error)),
        };
        self.last = Some((path.to_owned(), Rc::clone(&fd)));
        Ok(fd)
    }

    fn make_missing(&mut self, path: &Path, whiteouts: Whiteouts) -> Result<Rc<OwnedFd>> {
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(bad_path(path, Errno::NOENT));
        };
        let parent = self.directory(above, whiteouts)?;
        let hid_lower = match rustix::fs::statat(&*parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if whiteouts == Whiteouts::Overlay && is_whiteout(&stat) => {
                rustix::fs::unlinkat(&*parent, name, AtFlags::empty()).map_err(|e| bad_path(path, e))?;
                true
            }
            // A link that leads nowhere stays; any other file gives way to the directory the archive implies.
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
                return Err(bad_path(path, Errno::NOTDIR));
            }
            Ok(_) => {
                rustix::fs::unlinkat(&*parent, name, AtFlags::empty()).map_err(|e| bad_path(path, e))?;
                false
            }
            Err(_) => false,
        };
        self.room
            .entry()
            .map_err(|e| StorageError::path("create directory", path, e))?;
        self.make_directory(&parent, name, hid_lower)?;
        if !hid_lower && let Some(lower) = self.lower(path, OFlags::DIRECTORY) {
            copy::copy_metadata(&lower, &*parent, name).map_err(|e| StorageError::path("create", path, e))?;
        }
        self.resolve(path).map(Rc::new).map_err(|e| bad_path(path, e))
    }

    /// The file at `path` in the topmost layer below that has it.
    fn lower(&self, path: &Path, flags: OFlags) -> Option<OwnedFd> {
        let flags = flags | OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        for parent in &self.parents {
            match rustix::fs::openat2(parent, path, flags, Mode::empty(), resolve) {
                Ok(fd) => {
                    return Some(fd).filter(|fd| rustix::fs::fstat(fd).is_ok_and(|stat| !is_whiteout(&stat)));
                }
                Err(Errno::NOENT) => continue,
                Err(_) => return None,
            }
        }
        None
    }

    /// Makes room for an entry: what stands there goes, but a directory stays for a directory. True when a whiteout
    /// of this layer stood there.
    pub(super) fn clear(
        &mut self,
        parent: &OwnedFd,
        name: &OsStr,
        for_directory: bool,
        whiteouts: Whiteouts,
    ) -> Result<bool> {
        let stat = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(false),
            Err(error) => return Err(bad_path(Path::new(name), error)),
        };
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if is_directory && for_directory {
            return Ok(false);
        }
        if is_directory {
            self.forget();
        }
        tree::remove_tree_at(parent, Path::new(name)).map_err(|e| bad_path(Path::new(name), e))?;
        Ok(whiteouts == Whiteouts::Overlay && is_whiteout(&stat))
    }

    /// Refuses an entry that would take the place of a file of the other kind.
    pub(super) fn check_kind(&self, parent: &OwnedFd, name: &OsStr, is_directory: bool) -> Result<()> {
        let Ok(stat) = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) else {
            return Ok(());
        };
        let stands = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if stands == is_directory {
            return Ok(());
        }
        let (old, new) = match stands {
            true => ("directory", "non-directory"),
            false => ("non-directory", "directory"),
        };
        let name = name.to_string_lossy();
        let text = format!("cannot overwrite {old} \"{name}\" with {new} \"{name}\"");
        Err(StorageError::new(ErrorKind::InvalidArgument, text))
    }

    pub(super) fn make_directory(&self, parent: &OwnedFd, name: &OsStr, opaque: bool) -> Result<()> {
        let failed = |e| StorageError::path("create directory", Path::new(name), e);
        match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => {
                // The process's umask has no say in an image.
                tree::set_mode(parent, name, 0o755).map_err(failed)?;
            }
            Err(Errno::EXIST) => {}
            Err(error) => return Err(failed(error)),
        }
        if opaque {
            let fd = rustix::fs::openat(parent, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
                .map_err(failed)?;
            whiteout::set_opaque(&fd).map_err(failed)?;
        }
        Ok(())
    }

    /// Makes a regular file with the entry's content, runs of zeros as holes. Returns its size.
    pub(super) fn make_file(
        &mut self,
        parent: &OwnedFd,
        name: &OsStr,
        meta: &mut TarEntry,
        data: &mut dyn Read,
    ) -> Result<u64> {
        let path = Path::new(name);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600))
            .map_err(|e| StorageError::path("create", path, e))?;
        let file = File::from(fd);
        let size = match &mut meta.sparse {
            Some(sparse) => sparse
                .write(data, &file, &mut self.room)
                .map_err(|e| StorageError::archive(format_args!("unpack {}", path.display()), e))?,
            None => self.copy_content(path, meta.size, data, &file)?,
        };
        let failed = |e: io::Error| StorageError::path("set attributes of", path, e);
        rustix::fs::fchown(&file, owner(meta.uid), group(meta.gid)).map_err(|e| failed(e.into()))?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(meta.mode)).map_err(|e| failed(e.into()))?;
        for (name, value) in &meta.xattrs {
            let set = rustix::fs::fsetxattr(&file, OsStr::from_bytes(name), value, XattrFlags::empty());
            xattr_result(set).map_err(|e| failed(e.into()))?;
        }
        rustix::fs::futimens(&file, &times(timespec(meta.mtime))).map_err(|e| failed(e.into()))?;
        Ok(size)
    }

    /// The same in the place of what stands there, in one step once it is whole.
    pub(super) fn replace_file(
        &mut self,
        parent: &OwnedFd,
        name: &OsStr,
        meta: &mut TarEntry,
        data: &mut dyn Read,
    ) -> Result<u64> {
        let new = tree::unique(".new");
        let made = self
            .make_file(parent, OsStr::new(&new), meta, data)
            .and_then(|size| {
                let stands = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
                if stands.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory) {
                    self.clear(parent, name, false, Whiteouts::Names)?;
                }
                rustix::fs::renameat(parent, &new, parent, name)
                    .map_err(|e| StorageError::path("create", Path::new(name), e))?;
                Ok(size)
            });
        if made.is_err() {
            let _ = rustix::fs::unlinkat(parent, &new, AtFlags::empty());
        }
        made
    }

    fn copy_content(&mut self, path: &Path, size: u64, data: &mut dyn Read, file: &File) -> Result<u64> {
        self.room
            .fits(size)
            .map_err(|e| StorageError::path("write", path, e))?;
        let mut offset = 0;
        let mut hole = false;
        while offset < size {
            let want = BUFFER.min((size - offset) as usize);
            let piece = &mut self.buffer[..want];
            data.read_exact(piece)
                .map_err(|e| StorageError::archive(format_args!("unpack {}", path.display()), e))?;
            hole = want == BUFFER && piece.iter().all(|b| *b == 0);
            if !hole {
                self.room
                    .take(want as u64)
                    .and_then(|()| file.write_all_at(piece, offset))
                    .map_err(|e| StorageError::path("write", path, e))?;
            }
            offset += want as u64;
        }
        if hole {
            file.set_len(size)
                .map_err(|e| StorageError::path("write", path, e))?;
        }
        Ok(size)
    }

    pub(super) fn make_link(&mut self, parent: &OwnedFd, name: &OsStr, target: &Path) -> Result<()> {
        let failed = |e: Errno| match e {
            Errno::NOENT | Errno::NOTDIR | Errno::PERM | Errno::INVAL => bad_path(target, e),
            e => StorageError::path("link", Path::new(name), e),
        };
        let target_name = target.file_name().ok_or_else(|| bad_path(target, Errno::INVAL))?;
        let above = target.parent().unwrap_or(Path::new(""));
        if let Some(directory) = self.existing_directory(above)? {
            match rustix::fs::linkat(&directory, target_name, parent, name, AtFlags::empty()) {
                Ok(()) => return Ok(()),
                Err(Errno::NOENT) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        let Some(lower) = self.lower(target, OFlags::empty()) else {
            return Err(failed(Errno::NOENT));
        };
        // The target lies in a layer below: it becomes this layer's own, under both names.
        let directory = self.directory(above, Whiteouts::Overlay)?;
        copy::copy_file_from(&lower, &directory, target_name, &mut self.room)
            .and_then(|()| {
                Ok(rustix::fs::linkat(
                    &*directory,
                    target_name,
                    parent,
                    name,
                    AtFlags::empty(),
                )?)
            })
            .map_err(|e| StorageError::path("copy", target, e))
    }

    pub(super) fn make_symlink(&self, parent: &OwnedFd, name: &OsStr, target: &OsStr) -> Result<()> {
        rustix::fs::symlinkat(target, parent, name).map_err(|e| bad_path(Path::new(name), e))
    }

    pub(super) fn make_node(
        &self,
        parent: &OwnedFd,
        name: &OsStr,
        kind: EntryType,
        meta: &TarEntry,
    ) -> Result<()> {
        let (kind, device) = match kind {
            EntryType::Char => (
                FileType::CharacterDevice,
                rustix::fs::makedev(meta.device.0, meta.device.1),
            ),
            EntryType::Block => (
                FileType::BlockDevice,
                rustix::fs::makedev(meta.device.0, meta.device.1),
            ),
            _ => (FileType::Fifo, 0),
        };
        rustix::fs::mknodat(parent, name, kind, Mode::from_raw_mode(meta.mode & 0o777), device)
            .map_err(|e| StorageError::path("create device", Path::new(name), e))
    }

    /// Gives an entry that was just made its owner, mode, attributes and time.
    pub(super) fn set_metadata(
        &self,
        parent: &OwnedFd,
        name: &OsStr,
        meta: &TarEntry,
        symlink: bool,
    ) -> Result<()> {
        let nofollow = AtFlags::SYMLINK_NOFOLLOW;
        let apply = || -> rustix::io::Result<()> {
            rustix::fs::chownat(parent, name, owner(meta.uid), group(meta.gid), nofollow)?;
            if !symlink {
                tree::set_mode(parent, name, meta.mode)?;
            }
            for (key, value) in &meta.xattrs {
                let path = tree_path(parent).join(name);
                xattr_result(rustix::fs::lsetxattr(
                    path,
                    OsStr::from_bytes(key),
                    value,
                    XattrFlags::empty(),
                ))?;
            }
            rustix::fs::utimensat(parent, name, &times(timespec(meta.mtime)), nofollow)
        };
        apply().map_err(|e| StorageError::path("set attributes of", Path::new(name), e))
    }

    pub(super) fn set_root_metadata(&self, meta: &TarEntry) -> Result<()> {
        let apply = || -> rustix::io::Result<()> {
            rustix::fs::chownat(
                CWD,
                &self.path,
                owner(meta.uid),
                group(meta.gid),
                AtFlags::empty(),
            )?;
            rustix::fs::chmodat(CWD, &self.path, Mode::from_raw_mode(meta.mode), AtFlags::empty())?;
            for (key, value) in &meta.xattrs {
                let set =
                    rustix::fs::lsetxattr(&self.path, OsStr::from_bytes(key), value, XattrFlags::empty());
                xattr_result(set)?;
            }
            Ok(())
        };
        apply().map_err(|e| StorageError::path("set attributes of", &self.path, e))
    }

    /// Sets a directory's time, if it is still a directory.
    pub(super) fn set_directory_time(&self, path: &Path, time: Timespec) -> Result<()> {
        match self.resolve(path) {
            Ok(fd) => rustix::fs::utimensat(CWD, tree_path(&fd), &times(time), AtFlags::empty())
                .map_err(|e| StorageError::path("set time of", path, e)),
            Err(_) => Ok(()),
        }
    }
}

fn bad_path(path: &Path, error: Errno) -> StorageError {
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG | Errno::INVAL | Errno::PERM => {
            let text = format!("entry {}: {error}", path.display());
            StorageError::new(ErrorKind::InvalidArchive, text)
        }
        error => StorageError::path("unpack", path, error),
    }
}

/// A file system without this kind of attribute loses it; every other failure counts.
fn xattr_result(result: rustix::io::Result<()>) -> rustix::io::Result<()> {
    match result {
        Err(Errno::NOTSUP) => Ok(()),
        other => other,
    }
}

fn owner(id: u32) -> Option<Uid> {
    Some(Uid::from_raw(id))
}

fn group(id: u32) -> Option<Gid> {
    Some(Gid::from_raw(id))
}

/// An archive's time for the kernel.
pub(super) fn timespec((seconds, nanos): (i64, u32)) -> Timespec {
    Timespec {
        tv_sec: seconds,
        tv_nsec: nanos.into(),
    }
}

fn times(time: Timespec) -> Timestamps {
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
