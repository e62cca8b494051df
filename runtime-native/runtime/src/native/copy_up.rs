//! What an image has at the place of a new tmpfs, copied into it (the mount option `tmpcopyup`).

use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::sys;

/// Deeper than any path that a program could use.
const DEEPEST: usize = 512;
const BENEATH: u64 = sys::RESOLVE_BENEATH | sys::RESOLVE_NO_SYMLINKS | sys::RESOLVE_NO_MAGICLINKS;

/// Copies the entries of one directory into another, with owners, modes and all that is below. No link is followed.
pub(super) fn copy_up(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    copy(from, to, DEEPEST)
}

fn copy(from: &OwnedFd, to: &OwnedFd, depth: usize) -> io::Result<()> {
    let depth = depth
        .checked_sub(1)
        .ok_or_else(|| io::Error::other("its directories are too deep"))?;
    for entry in fs::read_dir(format!("/proc/self/fd/{}", from.as_raw_fd()))? {
        let name = entry?.file_name();
        let path = Path::new(&name);
        let here = File::from(sys::open_at(
            from,
            path,
            libc::O_PATH | libc::O_NOFOLLOW,
            BENEATH,
        )?);
        let found = here.metadata()?;
        let kind = found.mode() & libc::S_IFMT;
        let target = sys::c_path(path)?;
        match kind {
            libc::S_IFDIR => {
                // SAFETY: a C string of one component, here and below.
                sys::check(unsafe { libc::mkdirat(to.as_raw_fd(), target.as_ptr(), 0o700) }.into())?;
                let source = sys::open_at(from, path, libc::O_RDONLY | libc::O_DIRECTORY, BENEATH)?;
                let made = sys::open_at(to, path, libc::O_RDONLY | libc::O_DIRECTORY, BENEATH)?;
                copy(&source, &made, depth)?;
            }
            libc::S_IFREG => {
                let mut source = File::from(sys::open_at(from, path, libc::O_RDONLY, BENEATH)?);
                let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
                // SAFETY: as above; the descriptor is new and ours.
                let made = unsafe { libc::openat(to.as_raw_fd(), target.as_ptr(), flags, 0o600) };
                let mut made = sys::owned(made.into()).map(File::from)?;
                io::copy(&mut source, &mut made)?;
            }
            libc::S_IFLNK => {
                let to_where = link_target(&here)?;
                let made = unsafe { libc::symlinkat(to_where.as_ptr(), to.as_raw_fd(), target.as_ptr()) };
                sys::check(made.into())?;
            }
            _ => {
                let made =
                    unsafe { libc::mknodat(to.as_raw_fd(), target.as_ptr(), kind | 0o600, found.rdev()) };
                sys::check(made.into())?;
            }
        }
        let owned = unsafe {
            let flags = libc::AT_SYMLINK_NOFOLLOW;
            libc::fchownat(to.as_raw_fd(), target.as_ptr(), found.uid(), found.gid(), flags)
        };
        sys::check(owned.into())?;
        if kind != libc::S_IFLNK {
            let mode = found.mode() & 0o7777;
            sys::check(unsafe { libc::fchmodat(to.as_raw_fd(), target.as_ptr(), mode, 0) }.into())?;
        }
    }
    Ok(())
}

fn link_target(link: &File) -> io::Result<CString> {
    let mut buffer = [0u8; libc::PATH_MAX as usize];
    // SAFETY: an empty path stands for the descriptor itself; the buffer has the length given.
    let size = unsafe {
        libc::readlinkat(
            link.as_raw_fd(),
            c"".as_ptr(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
        )
    };
    let size = sys::check(size as libc::c_long)? as usize;
    sys::c_path(Path::new(OsStr::from_bytes(&buffer[..size])))
}
