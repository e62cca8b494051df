//! Where a file has data and where it has holes.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// The pieces of data in the first `size` bytes of a file, each as its start and end.
pub(crate) fn pieces(file: &OwnedFd, size: u64) -> impl Iterator<Item = io::Result<(u64, u64)>> {
    let mut offset = 0;
    let next = move || -> io::Result<Option<(u64, u64)>> {
        if offset >= size {
            return Ok(None);
        }
        let start = match rustix::fs::seek(file, SeekFrom::Data(offset)) {
            Ok(start) => start,
            Err(Errno::NXIO) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Beyond the size is what the file has grown by meanwhile.
        let end = rustix::fs::seek(file, SeekFrom::Hole(start))?.min(size);
        offset = end.max(offset + 1);
        Ok((start < end).then_some((start, end)))
    };
    let mut next = Some(next);
    std::iter::from_fn(move || {
        let found = next.as_mut()?().transpose();
        if !matches!(found, Some(Ok(_))) {
            next = None;
        }
        found
    })
}
