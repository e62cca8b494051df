//! Writes files as a tar archive: owners, modes, times, extended attributes, hard links, devices, holes.

mod sparse;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use tar::{Builder, EntryType, Header, UstarHeader};

use crate::copy;
use crate::owners::Owners;
use crate::tree::{self, READ_DIR, entry_path};
use crate::walk::{check_depth, open_child};

/// File systems whose files are the kernel's words and no content: they are archived as empty directories.
const KERNEL: [u32; 9] = [
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x1cd1,      // devpts
    0x1980_0202, // mqueue
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
];

/// Whether an open file lies in one of the kernel's own file systems, such as /proc.
pub fn of_the_kernel(file: &OwnedFd) -> io::Result<bool> {
    Ok(KERNEL.contains(&(rustix::fs::fstatfs(file)?.f_type as u32)))
}

/// Writes the file `name` of the open directory `dir`, with all that is below it, as an archive in which it is called
/// `path`, and its owners as `owners` tells. No link is followed.
pub fn write_archive(
    dir: &OwnedFd,
    name: &OsStr,
    path: &Path,
    owners: Option<Owners>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut writer = ArchiveWriter::new(out);
    writer.owners = owners;
    writer.tree(dir, name, path)?;
    writer.finish()
}

/// Writes all that is below the open directory `root` as an archive, its owners as `owners` tells.
pub fn write_root(root: &OwnedFd, owners: Option<Owners>, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = ArchiveWriter::new(out);
    writer.owners = owners;
    let root = open_child(root, OsStr::new("."), READ_DIR)?;
    writer.children(&root, Path::new(""))?;
    writer.finish()
}

/// An archive that is being written.
pub(crate) struct ArchiveWriter<'a> {
    archive: Builder<&'a mut dyn Write>,
    links: HashMap<(u64, u64), PathBuf>,
    owners: Option<Owners>,
}

impl<'a> ArchiveWriter<'a> {
    pub(crate) fn new(out: &'a mut dyn Write) -> Self {
        Self {
            archive: Builder::new(out),
            links: HashMap::new(),
            owners: None,
        }
    }

    fn header(&self, kind: EntryType, stat: &Stat) -> Header {
        let mut header = header_of(kind, stat);
        if let Some(owners) = &self.owners {
            let (user, group) = owners.of((stat.st_uid, stat.st_gid));
            header.set_uid(user.into());
            header.set_gid(group.into());
        }
        header
    }

    /// Writes the archive's end.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.archive.finish()
    }

    fn tree(&mut self, dir: &OwnedFd, name: &OsStr, path: &Path) -> io::Result<()> {
        let stat = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            // The container may be running.
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        match self.append(dir, name, path, &stat) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        }
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Ok(());
        }
        match open_child(dir, name, READ_DIR) {
            Ok(child) => self.children(&child, path),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn children(&mut self, dir: &OwnedFd, path: &Path) -> io::Result<()> {
        check_depth(path)?;
        if of_the_kernel(dir)? {
            return Ok(());
        }
        for (name, _) in tree::entries(dir)? {
            let name = OsStr::from_bytes(name.as_bytes());
            self.tree(dir, name, &path.join(name))?;
        }
        Ok(())
    }

    /// Writes one file, without what it holds if it is a directory.
    pub(crate) fn append(&mut self, dir: &OwnedFd, name: &OsStr, path: &Path, stat: &Stat) -> io::Result<()> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::Directory && stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)).cloned() {
                let header = self.header(EntryType::Link, stat);
                let target = first.as_os_str().as_bytes().to_vec();
                return self.finish_header(header, path, Some(&target), &[], &mut io::empty());
            }
            self.links.insert((stat.st_dev, stat.st_ino), path.to_owned());
        }
        let attributes: Vec<_> = copy::xattrs(&entry_path(dir, name), false)?
            .into_iter()
            .filter(|(key, _)| !key.starts_with(b"trusted.overlay.") && !key.starts_with(b"security.selinux"))
            .collect();
        match kind {
            FileType::RegularFile => {
                let file = open_regular(dir, name)?;
                let size = file.metadata()?.len();
                let mut header = self.header(EntryType::Regular, stat);
                if let Some(map) = sparse::map(&file, size)? {
                    return self.finish_sparse(header, path, &map, &attributes, &file);
                }
                // A file that shrinks meanwhile is filled with zeros: the header has promised its size.
                let mut data = io::Read::take(io::Read::chain(file, io::repeat(0)), size);
                header.set_size(size);
                self.finish_header(header, path, None, &attributes, &mut data)
            }
            FileType::Directory => self.append_header(path, EntryType::Directory, stat, &attributes),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(dir, name, Vec::new())?;
                let header = self.header(EntryType::Symlink, stat);
                self.finish_header(
                    header,
                    path,
                    Some(target.to_bytes()),
                    &attributes,
                    &mut io::empty(),
                )
            }
            FileType::CharacterDevice => self.append_header(path, EntryType::Char, stat, &attributes),
            FileType::BlockDevice => self.append_header(path, EntryType::Block, stat, &attributes),
            FileType::Fifo => self.append_header(path, EntryType::Fifo, stat, &attributes),
            // A socket means nothing without the process that listens on it.
            _ => Ok(()),
        }
    }

    pub(crate) fn append_header(
        &mut self,
        path: &Path,
        kind: EntryType,
        stat: &Stat,
        attributes: &[(Vec<u8>, Vec<u8>)],
    ) -> io::Result<()> {
        self.finish_header(self.header(kind, stat), path, None, attributes, &mut io::empty())
    }

    /// Writes an entry whose header holds all but the names.
    pub(crate) fn finish_header(
        &mut self,
        mut header: Header,
        path: &Path,
        link: Option<&[u8]>,
        attributes: &[(Vec<u8>, Vec<u8>)],
        data: &mut dyn io::Read,
    ) -> io::Result<()> {
        let mut name = path.as_os_str().as_bytes().to_vec();
        if header.entry_type().is_dir() && !name.ends_with(b"/") {
            name.push(b'/');
        }
        let mut extended = Vec::new();
        {
            let fields = ustar(&mut header)?;
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
        self.write(header, extended, attributes, data)
    }

    /// Writes a file with holes in the form that GNU tar calls 1.0: its pieces after their map.
    fn finish_sparse(
        &mut self,
        mut header: Header,
        path: &Path,
        map: &sparse::Map,
        attributes: &[(Vec<u8>, Vec<u8>)],
        file: &File,
    ) -> io::Result<()> {
        fill(&mut ustar(&mut header)?.name, b"GNUSparseFile.0/file");
        let record = |key: &str, value: &[u8]| (format!("GNU.sparse.{key}"), value.to_vec());
        let extended = vec![
            record("major", b"1"),
            record("minor", b"0"),
            record("name", path.as_os_str().as_bytes()),
            record("realsize", map.file_size().to_string().as_bytes()),
        ];
        header.set_size(map.archived_size());
        self.write(header, extended, attributes, &mut map.read(file))
    }

    fn write(
        &mut self,
        mut header: Header,
        mut extended: Vec<(String, Vec<u8>)>,
        attributes: &[(Vec<u8>, Vec<u8>)],
        data: &mut dyn io::Read,
    ) -> io::Result<()> {
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
        header.set_cksum();
        self.archive.append(&header, data)
    }
}

fn ustar(header: &mut Header) -> io::Result<&mut UstarHeader> {
    header
        .as_ustar_mut()
        .ok_or_else(|| io::Error::other("not a ustar header"))
}

/// Opens a regular file. What may have come in its place meanwhile, such as a device, is not opened at all.
fn open_regular(dir: &OwnedFd, name: &OsStr) -> io::Result<File> {
    let found = open_child(dir, name, OFlags::PATH)?;
    let stat = rustix::fs::fstat(&found)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(io::ErrorKind::NotFound.into());
    }
    let again = format!("/proc/self/fd/{}", found.as_raw_fd());
    let file = rustix::fs::open(again, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(File::from(file))
}

fn fill(field: &mut [u8], value: &[u8]) {
    let n = field.len().min(value.len());
    field[..n].copy_from_slice(&value[..n]);
}

fn header_of(kind: EntryType, stat: &Stat) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(0);
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
