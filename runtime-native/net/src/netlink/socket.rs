//! A blocking netlink socket. It stays in the namespace it was opened in, whichever thread uses it.

use super::message::{Message, split};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// Large enough for a full table of several ten thousand elements in one batch.
const BUFFER: libc::c_int = 32 << 20;

pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// Opens a socket of `protocol` (NETLINK_ROUTE, NETLINK_NETFILTER) in the calling thread's namespace.
    pub(crate) fn open(protocol: libc::c_int) -> io::Result<Self> {
        // SAFETY: plain system calls; the descriptor is owned at once.
        unsafe {
            let raw = libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol);
            if raw < 0 {
                return Err(io::Error::last_os_error());
            }
            let fd = OwnedFd::from_raw_fd(raw);
            for option in [libc::SO_SNDBUFFORCE, libc::SO_RCVBUFFORCE] {
                let size = BUFFER;
                libc::setsockopt(
                    raw,
                    libc::SOL_SOCKET,
                    option,
                    (&raw const size).cast(),
                    size_of::<libc::c_int>() as libc::socklen_t,
                );
            }
            let on: libc::c_int = 1;
            libc::setsockopt(
                raw,
                libc::SOL_NETLINK,
                libc::NETLINK_CAP_ACK,
                (&raw const on).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            );
            let timeout = libc::timeval {
                tv_sec: 30,
                tv_usec: 0,
            };
            libc::setsockopt(
                raw,
                libc::SOL_SOCKET,
                libc::SO_RCVTIMEO,
                (&raw const timeout).cast(),
                size_of::<libc::timeval>() as libc::socklen_t,
            );
            Ok(Self { fd, sequence: 1 })
        }
    }

    pub(crate) fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        self.sequence
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        // SAFETY: the buffer outlives the call.
        let sent = unsafe { libc::send(self.fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
        if sent < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    fn receive(&self, buffer: &mut [u8], flags: libc::c_int) -> io::Result<usize> {
        loop {
            // SAFETY: the buffer outlives the call.
            let n = unsafe {
                libc::recv(
                    self.fd.as_raw_fd(),
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                    flags,
                )
            };
            if n >= 0 {
                return Ok(n as usize);
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    /// Sends one request and waits for its acknowledgement.
    pub(crate) fn request(&mut self, mut message: Message) -> io::Result<()> {
        let sequence = self.next_sequence();
        message.set_sequence(sequence);
        message.or_flags(libc::NLM_F_REQUEST | libc::NLM_F_ACK);
        self.send(message.bytes())?;
        let mut buffer = vec![0u8; 8192];
        loop {
            let n = self.receive(&mut buffer, 0)?;
            for (kind, seq, payload) in split(&buffer[..n]) {
                if seq == sequence && kind == NLMSG_ERROR {
                    return error_of(payload);
                }
            }
        }
    }

    /// Sends one request and returns the payloads of its answer (a dump, or a single object).
    pub(crate) fn query(&mut self, message: Message, dump: bool) -> io::Result<Vec<(u16, Vec<u8>)>> {
        let mut found = Vec::new();
        self.query_each(message, dump, |kind, payload| {
            found.push((kind, payload.to_vec()))
        })?;
        Ok(found)
    }

    /// The same, one payload at a time.
    pub(crate) fn query_each(
        &mut self,
        mut message: Message,
        dump: bool,
        mut each: impl FnMut(u16, &[u8]),
    ) -> io::Result<()> {
        let sequence = self.next_sequence();
        message.set_sequence(sequence);
        message.or_flags(libc::NLM_F_REQUEST | if dump { libc::NLM_F_DUMP } else { libc::NLM_F_ACK });
        self.send(message.bytes())?;
        let mut buffer = vec![0u8; 64 << 10];
        loop {
            let n = self.receive(&mut buffer, 0)?;
            for (kind, seq, payload) in split(&buffer[..n]) {
                match kind {
                    _ if seq != sequence => {}
                    NLMSG_ERROR => return error_of(payload),
                    NLMSG_DONE => return Ok(()),
                    _ => each(kind, payload),
                }
            }
        }
    }

    /// Sends a prepared batch whose last message (`last`) asks for an acknowledgement. The kernel works
    /// through it inside the call, so that every answer is already queued afterwards.
    pub(crate) fn batch(&mut self, bytes: &[u8], last: u32) -> io::Result<()> {
        self.send(bytes)?;
        let mut buffer = vec![0u8; 64 << 10];
        let (mut failure, mut acknowledged) = (None, false);
        loop {
            match self.receive(&mut buffer, libc::MSG_DONTWAIT) {
                Ok(n) => {
                    for (kind, seq, payload) in split(&buffer[..n]) {
                        if kind != NLMSG_ERROR {
                            continue;
                        }
                        match error_of(payload) {
                            Err(e) if failure.is_none() => failure = Some(e),
                            Err(_) => {}
                            Ok(()) => acknowledged |= seq == last,
                        }
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        match (failure, acknowledged) {
            (Some(e), _) => Err(e),
            (None, true) => Ok(()),
            (None, false) => Err(io::Error::from_raw_os_error(libc::EPROTO)),
        }
    }
}

fn error_of(payload: &[u8]) -> io::Result<()> {
    let code = payload
        .get(..4)
        .and_then(|b| b.try_into().ok())
        .map_or(0, i32::from_ne_bytes);
    if code == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(-code))
    }
}
