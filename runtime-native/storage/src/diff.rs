//! Writes a container's own content as a layer archive.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::Stat;
use tar::{EntryType, Header};

use crate::archive::ArchiveWriter;
use crate::error::{Result, StorageError};
use crate::unpack::whiteout::{OPAQUE_NAME, PREFIX};
use crate::walk::Visitor;

/// Writes what `walk` tells, but for the paths `leave_out`, with whiteouts for what is gone.
pub(crate) fn write(
    out: &mut dyn Write,
    leave_out: &[PathBuf],
    walk: impl FnOnce(&mut dyn Visitor) -> Result<()>,
) -> Result<()> {
    let mut layer = Layer {
        archive: ArchiveWriter::new(out),
        leave_out,
    };
    walk(&mut layer)?;
    let ended = layer.archive.finish();
    ended.map_err(|e| StorageError::io("write a layer", e))
}

struct Layer<'a> {
    archive: ArchiveWriter<'a>,
    leave_out: &'a [PathBuf],
}

impl Visitor for Layer<'_> {
    fn entry(&mut self, dir: &OwnedFd, name: &OsStr, path: &Path, stat: &Stat) -> io::Result<()> {
        if self.leave_out.iter().any(|out| out == path) {
            return Ok(());
        }
        if name.as_bytes().starts_with(PREFIX) {
            let text = format!(
                "{}: in a layer a name that begins with .wh. deletes another file; rename it",
                path.display()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidFilename, text));
        }
        match self.archive.append(dir, name, path, stat) {
            // The container may be running, and have removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn gone(&mut self, path: &Path) -> io::Result<()> {
        let mut name = PREFIX.to_vec();
        name.extend(path.file_name().unwrap_or_default().as_bytes());
        let path = path.with_file_name(OsStr::from_bytes(&name));
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0);
        header.set_size(0);
        self.archive
            .finish_header(header, &path, None, &[], &mut io::empty())
    }

    fn opaque(&mut self, path: &Path, stat: &Stat) -> io::Result<()> {
        let path = path.join(OPAQUE_NAME);
        self.archive.append_header(&path, EntryType::Regular, stat, &[])
    }
}
