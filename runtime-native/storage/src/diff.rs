//! Writes a container's own content as a layer archive.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use tar::{Builder, EntryType, Header};

use crate::copy;
use crate::error::{Result, StorageError};
use crate::tree;
use crate::unpack::MAX_NESTING;
use crate::unpack::whiteout::{OPAQUE_NAME, PREFIX, is_opaque, is_whiteout};

const READ_DIR: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Writes overlay's upper directory, its devices 0:0 and opaque marks as whiteouts.
pub(crate) fn write_upper(upper: &Path, out: &mut dyn Write) -> Result<()> {
    write(upper, None, out)
}

/// Writes what `content` has that `below` does not have the same, and whiteouts for what it lacks.
pub(crate) fn write_compared(content: &Path, below: Option<&Path>, out: &mut dyn Write) -> Result<()> {
    write(content, Some(below), out)
}

fn write(root: &Path, compare: Option<Option<&Path>>, out: &mut dyn Write) -> Result<()> {
    let mut writer = LayerWriter {
        root: root.to_owned(),
        archive: Builder::new(out),
        links: HashMap::new(),
        overlay: compare.is_none(),
    };
    let run = |writer: &mut LayerWriter<'_>| -> io::Result<()> {
        let dir = rustix::fs::open(root, READ_DIR, Mode::empty())?;
        let below = match compare.flatten() {
            Some(below) => Some(rustix::fs::open(below, READ_DIR, Mode::empty())?),
            None => None,
        };
        writer.directory(&dir, below.as_ref(), Path::new(""))?;
        writer.archive.finish()
    };
    run(&mut writer).map_err(|e| StorageError::path("archive", root, e))
}

struct LayerWriter<'a> {
    root: PathBuf,
    archive: Builder<&'a mut dyn Write>,
    links: HashMap<u64, PathBuf>,
    overlay: bool,
}

impl LayerWriter<'_> {
    fn directory(&mut self, dir: &OwnedFd, below: Option<&OwnedFd>, path: &Path) -> io::Result<()> {
        if path.iter().count() > MAX_NESTING {
            return Err(io::Error::other(format!(
                "directories are nested more than {MAX_NESTING} deep"
            )));
        }
        let names: BTreeSet<_> = tree::entries(dir)?
            .into_iter()
            .collect::<HashMap<_, _>>()
            .into_keys()
            .collect();
        if let Some(below) = below {
            for (gone, _) in tree::entries(below)? {
                if !names.contains(&gone) {
                    self.whiteout(&path.join(OsStr::from_bytes(gone.as_bytes())))?;
                }
            }
        }
        for name in names {
            let name = OsStr::from_bytes(name.as_bytes());
            let stat = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                // The container may be running.
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            };
            self.entry(dir, below, name, &path.join(name), &stat)?;
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
            return self.whiteout(path);
        }
        let lower = below.and_then(|b| rustix::fs::statat(b, name, AtFlags::SYMLINK_NOFOLLOW).ok());
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if !lower
            .as_ref()
            .is_some_and(|lower| self.same(below, name, path, lower, stat))
        {
            self.append(dir, name, path, stat)?;
        }
        if !is_directory {
            return Ok(());
        }
        if self.overlay && is_opaque(&self.root.join(path)) {
            self.append_header(&path.join(OPAQUE_NAME), EntryType::Regular, stat, 0, &[])?;
        }
        let child = tree::open_child_dir(dir, &std::ffi::CString::new(name.as_bytes())?)?;
        let child_below = match (below, lower) {
            (Some(below), Some(_)) => rustix::fs::openat(below, name, READ_DIR, Mode::empty()).ok(),
            _ => None,
        };
        self.directory(&child, child_below.as_ref(), path)
    }

    fn same(&self, below: Option<&OwnedFd>, name: &OsStr, path: &Path, lower: &Stat, stat: &Stat) -> bool {
        let alike = lower.st_mode == stat.st_mode
            && (lower.st_uid, lower.st_gid) == (stat.st_uid, stat.st_gid)
            && lower.st_rdev == stat.st_rdev;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => alike,
            FileType::Symlink => {
                alike
                    && below.and_then(|b| rustix::fs::readlinkat(b, name, Vec::new()).ok())
                        == rustix::fs::readlinkat(CWD, self.root.join(path), Vec::new()).ok()
            }
            _ => {
                alike
                    && lower.st_size == stat.st_size
                    && (lower.st_mtime, lower.st_mtime_nsec) == (stat.st_mtime, stat.st_mtime_nsec)
            }
        }
    }

    fn whiteout(&mut self, path: &Path) -> io::Result<()> {
        let mut name = PREFIX.to_vec();
        name.extend(path.file_name().unwrap_or_default().as_bytes());
        let path = path.with_file_name(OsStr::from_bytes(&name));
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0);
        self.finish_header(header, &path, None, 0, &[], &mut io::empty())
    }

    fn append(&mut self, dir: &OwnedFd, name: &OsStr, path: &Path, stat: &Stat) -> io::Result<()> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::Directory && stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&stat.st_ino).cloned() {
                let mut header = header_of(EntryType::Link, stat);
                header.set_size(0);
                let target = first.as_os_str().as_bytes().to_vec();
                return self.finish_header(header, path, Some(&target), 0, &[], &mut io::empty());
            }
            self.links.insert(stat.st_ino, path.to_owned());
        }
        let attributes: Vec<_> = copy::xattrs(&self.root.join(path), false)?
            .into_iter()
            .filter(|(key, _)| !key.starts_with(b"trusted.overlay.") && !key.starts_with(b"security.selinux"))
            .collect();
        match kind {
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let file = File::from(rustix::fs::openat(dir, name, flags, Mode::empty())?);
                let size = file.metadata()?.len();
                let header = header_of(EntryType::Regular, stat);
                // A file that shrinks meanwhile is filled with zeros: the header has promised its size.
                let mut data = io::Read::take(io::Read::chain(file, io::repeat(0)), size);
                self.finish_header(header, path, None, size, &attributes, &mut data)
            }
            FileType::Directory => self.append_header(path, EntryType::Directory, stat, 0, &attributes),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(dir, name, Vec::new())?;
                let header = header_of(EntryType::Symlink, stat);
                self.finish_header(
                    header,
                    path,
                    Some(target.to_bytes()),
                    0,
                    &attributes,
                    &mut io::empty(),
                )
            }
            FileType::CharacterDevice => self.append_header(path, EntryType::Char, stat, 0, &attributes),
            FileType::BlockDevice => self.append_header(path, EntryType::Block, stat, 0, &attributes),
            FileType::Fifo => self.append_header(path, EntryType::Fifo, stat, 0, &attributes),
            // A socket means nothing without the process that listens on it.
            _ => Ok(()),
        }
    }

    fn append_header(
        &mut self,
        path: &Path,
        kind: EntryType,
        stat: &Stat,
        size: u64,
        attributes: &[(Vec<u8>, Vec<u8>)],
    ) -> io::Result<()> {
        self.finish_header(
            header_of(kind, stat),
            path,
            None,
            size,
            attributes,
            &mut io::empty(),
        )
    }

    fn finish_header(
        &mut self,
        mut header: Header,
        path: &Path,
        link: Option<&[u8]>,
        size: u64,
        attributes: &[(Vec<u8>, Vec<u8>)],
        data: &mut dyn io::Read,
    ) -> io::Result<()> {
        let mut name = path.as_os_str().as_bytes().to_vec();
        if header.entry_type().is_dir() {
            name.push(b'/');
        }
        let mut extended: Vec<(String, Vec<u8>)> = Vec::new();
        {
            let fields = header
                .as_ustar_mut()
                .ok_or_else(|| io::Error::other("not a ustar header"))?;
            fill(&mut fields.name, &name);
            if name.len() > fields.name.len() {
                extended.push(("path".to_owned(), name));
            }
            if let Some(link) = link {
                fill(&mut fields.linkname, link);
                if link.len() > fields.linkname.len() {
                    extended.push(("linkpath".to_owned(), link.to_vec()));
                }
            }
        }
        for (key, value) in attributes {
            extended.push((
                format!("SCHILY.xattr.{}", String::from_utf8_lossy(key)),
                value.clone(),
            ));
        }
        if !extended.is_empty() {
            self.archive
                .append_pax_extensions(extended.iter().map(|(k, v)| (k.as_str(), v.as_slice())))?;
        }
        header.set_size(size);
        header.set_cksum();
        self.archive.append(&header, data)
    }
}

fn fill(field: &mut [u8], value: &[u8]) {
    let n = field.len().min(value.len());
    field[..n].copy_from_slice(&value[..n]);
}

fn header_of(kind: EntryType, stat: &Stat) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(stat.st_mode & 0o7777);
    header.set_uid(stat.st_uid.into());
    header.set_gid(stat.st_gid.into());
    header.set_mtime(stat.st_mtime.max(0) as u64);
    if matches!(kind, EntryType::Char | EntryType::Block) {
        // Both fields hold any 32-bit number in octal digits.
        let _ = header.set_device_major(rustix::fs::major(stat.st_rdev));
        let _ = header.set_device_minor(rustix::fs::minor(stat.st_rdev));
    }
    header
}
