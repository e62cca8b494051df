use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;

use crate::attach::{Client, Input};
use crate::log::{Log, Stream};
use crate::protocol::{AttachRequest, ExitStatus};
use crate::socket;

/// Typed bytes that wait for the process to read them; a client is not read meanwhile.
const PENDING: usize = 64 << 10;
/// Pieces of output taken at once before others have their turn.
const TURN: usize = 8;
/// The most that is still taken from streams whose process has ended.
const LAST: usize = 1 << 20;

/// A process of the container and the shim's ends of its streams.
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) exit: Option<ExitStatus>,
    pub(crate) streams: Streams,
}

/// The shim's ends of a process's streams, the log, and the clients joined to them.
#[derive(Default)]
pub(crate) struct Streams {
    pub(crate) terminal: bool,
    pub(crate) input: Option<OwnedFd>,
    pub(crate) output: Option<OwnedFd>,
    pub(crate) error: Option<OwnedFd>,
    pub(crate) log: Option<Log>,
    /// Whether the input ends with the first client that had it.
    input_once: bool,
    backlogs: PathBuf,
    pending: Vec<u8>,
    ending: bool,
    finished: bool,
    clients: Vec<Client>,
}

impl Streams {
    /// `backlogs` is where output may wait that clients do not take.
    pub(crate) fn new(input_once: bool, backlogs: PathBuf) -> Self {
        Self {
            input_once,
            backlogs,
            ..Self::default()
        }
    }

    pub(crate) fn attach(&mut self, socket: OwnedFd, request: AttachRequest) -> io::Result<()> {
        let folder = self.backlogs.clone();
        self.clients
            .push(Client::new(socket, request, !self.terminal, folder)?);
        Ok(())
    }

    /// The descriptors to watch and the events to watch for.
    pub(crate) fn watch(&self, list: &mut Vec<(RawFd, i16)>) {
        if !self.clients.iter().any(Client::holds_back) {
            list.extend(
                [&self.output, &self.error]
                    .into_iter()
                    .flatten()
                    .map(|fd| (fd.as_raw_fd(), libc::POLLIN)),
            );
        }
        let room = self.pending.len() < PENDING;
        for client in &self.clients {
            let mut events = 0;
            if client.waiting() {
                events |= libc::POLLOUT;
            }
            if !client.input_ended && room {
                events |= libc::POLLIN;
            }
            // A socket is reported as hung up whether asked or not; it waits its turn while it cannot be read.
            if events != 0 || client.input_ended {
                list.push((client.socket.as_raw_fd(), events));
            }
        }
        let log = self.log.as_ref().and_then(Log::waits_for);
        list.extend(log.map(|fd| (fd, libc::POLLOUT)));
        if !self.pending.is_empty() {
            list.extend(self.input.as_ref().map(|fd| (fd.as_raw_fd(), libc::POLLOUT)));
        }
    }

    /// Whether some client has output waiting.
    pub(crate) fn waiting(&self) -> bool {
        self.clients.iter().any(Client::waiting)
    }

    /// Marks a client whose other side has closed and who has nothing left to be read.
    pub(crate) fn hung_up(&mut self, fd: RawFd) {
        for client in self
            .clients
            .iter_mut()
            .filter(|client| client.socket.as_raw_fd() == fd)
        {
            client.gone |= client.input_ended;
        }
    }

    /// Moves what can be moved without waiting.
    pub(crate) fn pump(&mut self, buffer: &mut [u8]) {
        for client in &mut self.clients {
            client.flush();
        }
        if let Some(log) = &mut self.log {
            log.flush();
        }
        for _ in 0..TURN {
            if self.clients.iter().any(Client::holds_back) || self.take_output(buffer) == 0 {
                break;
            }
        }
        self.take_input(buffer);
        let finished = self.finished;
        self.clients
            .retain(|client| !client.gone && (!finished || client.waiting()));
    }

    /// Takes what is left when the process has ended, and lets each client go once it has everything.
    pub(crate) fn finish(&mut self, buffer: &mut [u8]) {
        let mut taken = 0;
        while taken < LAST {
            match self.take_output(buffer) {
                0 => break,
                more => taken += more,
            }
        }
        (self.input, self.output, self.error) = (None, None, None);
        if let Some(log) = self.log.take() {
            // A log that cannot be written must not keep the container's end from being recorded.
            let _ = log.finish();
        }
        self.finished = true;
        self.pump(buffer);
    }

    fn take_output(&mut self, buffer: &mut [u8]) -> usize {
        self.take(Stream::Stdout, buffer) + self.take(Stream::Stderr, buffer)
    }

    fn take(&mut self, stream: Stream, buffer: &mut [u8]) -> usize {
        let source = if stream == Stream::Stdout {
            &mut self.output
        } else {
            &mut self.error
        };
        let Some(fd) = source else { return 0 };
        match socket::read(fd, buffer) {
            Ok(None) => 0,
            // A terminal whose last user is gone gives EIO.
            Ok(Some(0)) | Err(_) => {
                *source = None;
                0
            }
            Ok(Some(size)) => {
                if let Some(log) = &mut self.log {
                    // A full disk loses lines, it does not stop the container.
                    let _ = log.write(stream, &buffer[..size]);
                }
                for client in &mut self.clients {
                    client.offer(stream, &buffer[..size]);
                }
                size
            }
        }
    }

    fn take_input(&mut self, buffer: &mut [u8]) {
        for client in &mut self.clients {
            while !client.gone && !client.input_ended && self.pending.len() < PENDING {
                match client.read(buffer, &mut self.pending) {
                    Input::Nothing => break,
                    Input::Bytes => {}
                    Input::End => self.ending = true,
                }
            }
        }
        while let Some(input) = self.input.as_ref().filter(|_| !self.pending.is_empty()) {
            match socket::write(input, &self.pending) {
                Ok(Some(sent)) => drop(self.pending.drain(..sent)),
                Ok(None) => break,
                Err(_) => self.input = None,
            }
        }
        if self.input.is_none() {
            self.pending.clear();
        }
        if self.pending.is_empty() {
            self.pending.shrink_to(0);
            if std::mem::take(&mut self.ending) && self.input_once && !self.terminal {
                self.input = None;
            }
        }
    }

    /// Sets the terminal's size.
    pub(crate) fn resize(&self, width: u16, height: u16) -> io::Result<()> {
        let Some(terminal) = self.output.as_ref().filter(|_| self.terminal) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the process has no terminal",
            ));
        };
        let size = libc::winsize {
            ws_row: height,
            ws_col: width,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        // SAFETY: the size outlives the call.
        socket::check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &size) })?;
        Ok(())
    }
}
