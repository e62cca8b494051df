use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use crate::socket::check;

// Offsets in the header of a 64-bit ELF file and of its program headers.
const PROGRAM_HEADERS: usize = 0x20;
const SECTION_HEADERS: usize = 0x28;
const PROGRAM_HEADER_SIZE: usize = 0x36;
const SECTION_COUNT: usize = 0x3c;
const HEADER_SIZE: usize = 0x40;
const SEGMENT_OFFSET: usize = 0x08;
const SEGMENT_FILE_SIZE: usize = 0x20;

/// A copy of the program that nobody can change: a container that gets hold of /proc/PID/exe finds only this. It lives in
/// memory, so it is left without what is there for debuggers alone.
pub(super) fn sealed_copy(program: &Path) -> io::Result<OwnedFd> {
    let mut content = fs::read(program)?;
    if let Some(end) = loaded_end(&content) {
        content.truncate(end);
        content[SECTION_HEADERS..SECTION_HEADERS + 8].fill(0);
        content[SECTION_COUNT..SECTION_COUNT + 4].fill(0);
    }
    // SAFETY: the name is a C string; the descriptor is new and ours.
    let fd = unsafe {
        libc::memfd_create(
            c"creel-shim".as_ptr(),
            libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING,
        )
    };
    let mut copy = File::from(unsafe { OwnedFd::from_raw_fd(check(fd)?) });
    copy.write_all(&content)?;
    let seals = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    // SAFETY: plain fcntl on an open descriptor.
    check(unsafe { libc::fcntl(copy.as_raw_fd(), libc::F_ADD_SEALS, seals) })?;
    Ok(copy.into())
}

/// Where the part of an ELF program that the kernel loads ends in the file; none if that cannot be told.
fn loaded_end(content: &[u8]) -> Option<usize> {
    let word = |at: usize| -> Option<usize> {
        let bytes = content.get(at..at + 8)?;
        usize::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let half = |at: usize| -> Option<usize> {
        Some(usize::from(u16::from_le_bytes(
            content.get(at..at + 2)?.try_into().ok()?,
        )))
    };
    // A 64-bit program of little-endian words.
    if content.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let (start, size, count) = (
        word(PROGRAM_HEADERS)?,
        half(PROGRAM_HEADER_SIZE)?,
        half(PROGRAM_HEADER_SIZE + 2)?,
    );
    let mut end = HEADER_SIZE.max(start + size * count);
    for header in (0..count).map(|index| start + index * size) {
        end = end.max(word(header + SEGMENT_OFFSET)?.checked_add(word(header + SEGMENT_FILE_SIZE)?)?);
    }
    (end <= content.len()).then_some(end)
}
