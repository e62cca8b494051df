use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::exit::ignore_missing;
use crate::process::Streams;
use crate::socket::{accept, listen, receive, set_nonblocking};

/// A socket on which the container format hands over the terminal of a process.
pub(super) fn prepare(state_dir: &Path, name: &str) -> io::Result<(OwnedFd, PathBuf)> {
    let path = state_dir.join(name);
    ignore_missing(std::fs::remove_file(&path))?;
    Ok((listen(state_dir, name, libc::SOCK_STREAM)?, path))
}

/// Takes the terminal, which the format has sent by now, and makes it the process's streams.
pub(super) fn receive_terminal(listener: &OwnedFd, streams: &mut Streams) -> io::Result<()> {
    let missing = || io::Error::new(io::ErrorKind::NotFound, "the container format sent no terminal");
    let connection = accept(listener)?.ok_or_else(missing)?;
    let mut buffer = [0; 4096];
    let (_, fds) = receive(connection.as_raw_fd(), &mut buffer)?;
    let terminal = fds.into_iter().next().ok_or_else(missing)?;
    set_nonblocking(&terminal)?;
    streams.input = Some(terminal.try_clone()?);
    streams.output = Some(terminal);
    Ok(())
}
