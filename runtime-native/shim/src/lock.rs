//! The lock of a container's state directory. Its shim holds it until the container has ended, and before that the
//! request for the shim does, on its way through the zygote. Who finds it free knows that no shim works there, and that
//! none will.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

/// Takes the lock, if nobody holds it.
pub(crate) fn take(state_dir: &Path) -> io::Result<Option<OwnedFd>> {
    let dir = File::open(state_dir)?;
    // SAFETY: a plain call on an open descriptor.
    if unsafe { libc::flock(dir.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
        return Ok(Some(dir.into()));
    }
    match io::Error::last_os_error() {
        err if err.kind() == io::ErrorKind::WouldBlock => Ok(None),
        err => Err(err),
    }
}

/// Whether somebody holds the lock. Where there is no directory, nobody does.
#[cfg(feature = "client")]
pub(crate) fn is_held(state_dir: &Path) -> bool {
    matches!(take(state_dir), Ok(None))
}
