use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::protocol::{MAX_MESSAGE, Reply, Request};
use crate::socket;

/// A client of the control socket. It makes one request at a time.
pub(crate) struct Connection {
    pub(crate) id: u64,
    pub(crate) socket: OwnedFd,
    /// Whether an answer is owed.
    pub(crate) busy: bool,
}

/// What a connection had for us.
pub(crate) enum Received {
    Nothing,
    Closed,
    Request(Request, Option<OwnedFd>),
    Malformed(String),
}

impl Connection {
    pub(crate) fn receive(&self) -> Received {
        let mut buffer = vec![0; MAX_MESSAGE];
        match socket::receive(self.socket.as_raw_fd(), &mut buffer) {
            Ok((0, _)) => Received::Closed,
            Ok((size, fds)) => match serde_json::from_slice(&buffer[..size]) {
                Ok(request) => Received::Request(request, fds.into_iter().next()),
                Err(err) => Received::Malformed(err.to_string()),
            },
            Err(err) if matches!(err.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Received::Nothing
            }
            Err(_) => Received::Closed,
        }
    }

    /// Answers. A client that has gone does not get to know, and a client that never reads cannot make us wait.
    pub(crate) fn reply(&mut self, reply: &Reply) {
        self.busy = false;
        if let Ok(message) = serde_json::to_vec(reply) {
            let _ = socket::set_nonblocking(&self.socket);
            let _ = socket::send(self.socket.as_raw_fd(), &message, &[]);
        }
    }
}
