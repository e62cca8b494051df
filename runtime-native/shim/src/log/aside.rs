//! The log of a container that must not wait for it: a process of its own writes it, and what does not fit into the
//! buffer before it is lost.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use super::{Stream, Writer};
use crate::helper::Helper;
use crate::socket::{packet_pair, receive, send, set_nonblocking};

/// The longest piece of output.
const PIECE: usize = 64 << 10;
/// How long the end of a container waits for its log.
const LAST: Duration = Duration::from_secs(2);

/// Output on its way to the process that writes it.
pub(crate) struct Aside {
    socket: OwnedFd,
    writer: Helper,
    /// Pieces behind a byte that says of which stream they are.
    queue: VecDeque<Vec<u8>>,
    queued: usize,
    limit: usize,
}

impl Aside {
    pub(super) fn start(writer: Writer, limit: usize) -> io::Result<Self> {
        let (socket, theirs) = packet_pair()?;
        set_nonblocking(&socket)?;
        let mut keep = vec![theirs.as_raw_fd()];
        keep.extend(writer.descriptor());
        let writer = Helper::spawn(&keep, move || {
            write_all(&theirs, writer);
            Ok(0)
        })?;
        Ok(Self {
            socket,
            writer,
            queue: VecDeque::new(),
            queued: 0,
            limit,
        })
    }

    /// Takes a piece of output, or drops it where the buffer is full.
    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        for part in bytes.chunks(PIECE) {
            if self.queued + part.len() <= self.limit {
                let mut piece = vec![stream as u8];
                piece.extend_from_slice(part);
                self.queued += part.len();
                self.queue.push_back(piece);
            }
        }
        self.flush();
    }

    /// The descriptor to wait for until more can be sent; none if nothing waits.
    pub(super) fn waits_for(&self) -> Option<RawFd> {
        (!self.queue.is_empty()).then(|| self.socket.as_raw_fd())
    }

    /// Sends what the writer takes.
    pub(super) fn flush(&mut self) {
        while let Some(piece) = self.queue.front() {
            match send(self.socket.as_raw_fd(), piece, &[]) {
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => return,
                // A writer that is gone takes nothing any more.
                _ => self.queued -= piece.len() - 1,
            }
            self.queue.pop_front();
        }
    }

    /// Hands over what is left, and waits for the writer's end, but not for long.
    pub(super) fn finish(mut self) {
        let end = Instant::now() + LAST;
        while let Some(fd) = self.waits_for().filter(|_| Instant::now() < end) {
            let mut room = libc::pollfd {
                fd,
                events: libc::POLLOUT,
                revents: 0,
            };
            // SAFETY: one descriptor is polled.
            unsafe { libc::poll(&mut room, 1, 100) };
            self.flush();
        }
        drop(self.socket);
        if !self
            .writer
            .finished(end.saturating_duration_since(Instant::now()))
        {
            self.writer.kill();
        }
    }
}

/// Writes what comes until the other side is gone.
fn write_all(socket: &OwnedFd, mut writer: Writer) {
    let mut buffer = vec![0; PIECE + 1];
    while let Ok((size, _)) = receive(socket.as_raw_fd(), &mut buffer)
        && size > 0
    {
        let stream = if buffer[0] == Stream::Stdout as u8 {
            Stream::Stdout
        } else {
            Stream::Stderr
        };
        // A full disk loses lines.
        let _ = writer.write(stream, &buffer[1..size]);
    }
    let _ = writer.finish();
}
