use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::backlog::Backlog;
use crate::log::Stream;
use crate::protocol::AttachRequest;
use crate::socket;

/// A client whose backlog is full holds the container's output back …
const STALL: Duration = Duration::from_secs(10);
/// … while it takes at least this much in that time; else it is cut off.
const PROGRESS: usize = 64 << 10;

/// A client joined to the streams of a process. Its bytes are Docker's: as they are for a terminal, else each piece
/// behind a header of eight bytes.
pub(crate) struct Client {
    pub(crate) socket: OwnedFd,
    request: AttachRequest,
    framed: bool,
    backlog: Backlog,
    taken: usize,
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
    /// `folder` is where output may wait that the client does not take.
    pub(crate) fn new(
        socket: OwnedFd,
        request: AttachRequest,
        framed: bool,
        folder: PathBuf,
    ) -> io::Result<Self> {
        socket::set_nonblocking(&socket)?;
        let input_ended = !request.stdin;
        let progress = Instant::now();
        Ok(Self {
            socket,
            request,
            framed,
            backlog: Backlog::new(folder),
            taken: 0,
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
        if self.framed {
            let kind = if stream == Stream::Stdout { 1 } else { 2 };
            let [a, b, c, d] = (bytes.len() as u32).to_be_bytes();
            self.backlog.push(&[kind, 0, 0, 0, a, b, c, d]);
        }
        self.backlog.push(bytes);
        self.flush();
    }

    /// Sends what fits.
    pub(crate) fn flush(&mut self) {
        while !self.gone && !self.backlog.is_empty() {
            match socket::write(&self.socket, self.backlog.head()) {
                Ok(Some(sent)) => {
                    self.backlog.sent(sent);
                    self.taken += sent;
                }
                Ok(None) => break,
                Err(_) => self.gone = true,
            }
        }
        if self.taken >= PROGRESS || !self.backlog.is_full() {
            self.progress = Instant::now();
            self.taken = 0;
        } else if self.progress.elapsed() > STALL {
            self.gone = true;
        }
    }

    pub(crate) fn waiting(&self) -> bool {
        !self.gone && !self.backlog.is_empty()
    }

    pub(crate) fn holds_back(&self) -> bool {
        !self.gone && self.backlog.is_full()
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
