use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use crate::log::Stream;
use crate::protocol::AttachRequest;
use crate::socket;

/// A client that has this much waiting holds the container's output back …
const QUEUE: usize = 64 << 10;
/// … for at most this long without taking anything; then it is cut off.
const STALL: Duration = Duration::from_secs(10);

/// A client joined to the streams of a process. Its bytes are Docker's: as they are for a terminal, else each piece
/// behind a header of eight bytes.
pub(crate) struct Client {
    pub(crate) socket: OwnedFd,
    request: AttachRequest,
    framed: bool,
    queue: VecDeque<u8>,
    progress: Instant,
    detach: usize,
    pub(crate) input_ended: bool,
    pub(crate) gone: bool,
}

/// What came from a client.
pub(crate) enum Input {
    Nothing,
    Bytes,
    End,
}

impl Client {
    pub(crate) fn new(socket: OwnedFd, request: AttachRequest, framed: bool) -> io::Result<Self> {
        socket::set_nonblocking(&socket)?;
        let input_ended = !request.stdin;
        let progress = Instant::now();
        Ok(Self {
            socket,
            request,
            framed,
            queue: VecDeque::new(),
            progress,
            detach: 0,
            input_ended,
            gone: false,
        })
    }

    /// Gives the client a piece of output if it wants that stream.
    pub(crate) fn offer(&mut self, stream: Stream, bytes: &[u8]) {
        let wanted = match stream {
            Stream::Stdout => self.request.stdout,
            Stream::Stderr => self.request.stderr,
        };
        if self.gone || !wanted {
            return;
        }
        if self.queue.is_empty() {
            self.progress = Instant::now();
        }
        if self.framed {
            let kind = if stream == Stream::Stdout { 1 } else { 2 };
            let [a, b, c, d] = (bytes.len() as u32).to_be_bytes();
            self.queue.extend([kind, 0, 0, 0, a, b, c, d]);
        }
        self.queue.extend(bytes);
        self.flush();
    }

    /// Sends what fits.
    pub(crate) fn flush(&mut self) {
        while !self.gone && !self.queue.is_empty() {
            let (head, _) = self.queue.as_slices();
            match socket::write(&self.socket, head) {
                Ok(Some(sent)) => {
                    self.queue.drain(..sent);
                    self.progress = Instant::now();
                }
                Ok(None) => break,
                Err(_) => self.gone = true,
            }
        }
        if self.queue.is_empty() {
            self.queue.shrink_to(0);
        } else if self.progress.elapsed() > STALL {
            self.gone = true;
        }
    }

    pub(crate) fn waiting(&self) -> bool {
        !self.gone && !self.queue.is_empty()
    }

    pub(crate) fn holds_back(&self) -> bool {
        !self.gone && self.queue.len() >= QUEUE
    }

    /// Reads what the client typed. The keys that detach it are not passed on.
    pub(crate) fn read(&mut self, buffer: &mut [u8], out: &mut Vec<u8>) -> Input {
        match socket::read(&self.socket, buffer) {
            Ok(None) => Input::Nothing,
            Ok(Some(0)) => {
                self.input_ended = true;
                Input::End
            }
            Ok(Some(size)) => {
                for byte in &buffer[..size] {
                    if self.typed(*byte, out) {
                        self.gone = true;
                        break;
                    }
                }
                Input::Bytes
            }
            Err(_) => {
                self.gone = true;
                Input::End
            }
        }
    }

    /// Whether this byte completes the detach keys. Bytes that only began them are passed on after all.
    fn typed(&mut self, byte: u8, out: &mut Vec<u8>) -> bool {
        let keys = &self.request.detach_keys;
        if keys.get(self.detach) == Some(&byte) {
            self.detach += 1;
            return self.detach == keys.len();
        }
        out.extend_from_slice(&keys[..self.detach]);
        self.detach = usize::from(keys.first() == Some(&byte));
        if self.detach == 0 {
            out.push(byte);
        }
        self.detach == keys.len() && !keys.is_empty()
    }
}
