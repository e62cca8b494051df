//! What a container's process and the one that makes it have to say to each other before the command is executed.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::sys::check;

const NAMESPACES: &[u8] = b"\x02";
const READY: &[u8] = b"\x06";
const LIMIT: usize = 16 << 10;

/// One end of the conversation.
pub(super) struct Talk(OwnedFd);

/// What the maker hears.
pub(super) enum Heard {
    /// The process is ready: its command can be executed.
    Ready,
    /// The process let go of its end: it executed a command, or was killed.
    End,
    /// The process gave up, and why.
    Failure(String),
    /// Its namespaces are there, and it waits for `go_on`.
    Namespaces,
}

/// The maker's end and the process's.
pub(super) fn pair() -> io::Result<(Talk, Talk)> {
    let mut ends = [0; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: the kernel fills in two descriptors, which are ours.
    unsafe {
        check(libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()).into())?;
        let end = |fd| Talk(OwnedFd::from_raw_fd(fd));
        Ok((end(ends[0]), end(ends[1])))
    }
}

impl Talk {
    pub(super) fn hear(&self) -> io::Result<Heard> {
        let message = self.receive()?;
        Ok(match &*message {
            [] => Heard::End,
            READY => Heard::Ready,
            NAMESPACES => Heard::Namespaces,
            text => Heard::Failure(String::from_utf8_lossy(text).into_owned()),
        })
    }

    pub(super) fn go_on(&self, pid: i32) -> io::Result<()> {
        self.send(pid.to_string().as_bytes())
    }

    pub(super) fn ready(&self) -> io::Result<()> {
        self.send(READY)
    }

    pub(super) fn fail(&self, text: &str) {
        let end = text.floor_char_boundary(LIMIT);
        let _ = self.send(&text.as_bytes()[..end]);
    }

    /// Says that the namespaces are there; gives this process's id as its maker counts.
    pub(super) fn namespaces(&self) -> io::Result<i32> {
        self.send(NAMESPACES)?;
        let answer = String::from_utf8_lossy(&self.receive()?).into_owned();
        answer.parse().map_err(|_| io::ErrorKind::UnexpectedEof.into())
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        // SAFETY: the buffer has the length given.
        let sent = unsafe {
            libc::send(
                self.0.as_raw_fd(),
                bytes.as_ptr().cast(),
                bytes.len(),
                libc::MSG_NOSIGNAL,
            )
        };
        check(sent as libc::c_long).map(drop)
    }

    fn receive(&self) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; LIMIT];
        loop {
            // SAFETY: the buffer has the length given.
            let size = unsafe { libc::recv(self.0.as_raw_fd(), buffer.as_mut_ptr().cast(), LIMIT, 0) };
            match check(size as libc::c_long) {
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(err),
                Ok(size) => {
                    buffer.truncate(size as usize);
                    return Ok(buffer);
                }
            }
        }
    }
}
