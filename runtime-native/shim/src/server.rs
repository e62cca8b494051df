mod console;
mod lifecycle;
mod requests;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use creel_runtime::{ContainerFormat, ContainerState};

use crate::connection::{Connection, Received};
use crate::helper::Helper;
use crate::process::Process;
use crate::protocol::{CreateRequest, ExitStatus, Failure, FailureKind, Reply, SOCKET_NAME};
use crate::socket::{accept, check, listen};
use crate::zygote::redirect_to_null;

const MAX_CONNECTIONS: usize = 256;
const MAX_EXECS: usize = 512;
const REMEMBERED_EXITS: usize = 64;
const BUFFER: usize = 32 << 10;
/// How long a shim whose container has ended stays for clients that have not taken all output.
const LINGER: Duration = Duration::from_secs(600);

/// A shim: one container, its streams and its clients, in one loop.
struct Server {
    request: CreateRequest,
    format: Box<dyn ContainerFormat>,
    signals: OwnedFd,
    listener: Option<OwnedFd>,
    /// Of the state directory, until the container has ended.
    lock: Option<OwnedFd>,
    connections: Vec<Connection>,
    next_connection: u64,
    status: ContainerState,
    init: Process,
    execs: BTreeMap<String, Process>,
    exits: VecDeque<(String, ExitStatus)>,
    helpers: Vec<(Helper, Task)>,
    unclaimed: Vec<(i32, i32)>,
    waiters: Vec<(u64, Option<String>)>,
    deleters: Vec<u64>,
    ended: Option<Instant>,
    failed: bool,
}

/// What to do when a helper is done, and whom to tell.
enum Task {
    Create {
        connection: u64,
        console: Option<OwnedFd>,
    },
    Start {
        connection: u64,
    },
    Exec {
        connection: u64,
        id: String,
        console: Option<OwnedFd>,
        streams: Box<crate::process::Streams>,
    },
    Update {
        connection: u64,
    },
}

/// Runs the shim of one container until the container has ended and everyone has been told.
pub(crate) fn run(request: Result<CreateRequest, String>, connection: OwnedFd, lock: OwnedFd) {
    let mut connection = Connection {
        id: 0,
        socket: connection,
        busy: true,
    };
    let request = match request {
        Ok(request) => request,
        Err(text) => return connection.reply(&Reply::Failed(Failure::new(FailureKind::Invalid, text))),
    };
    match Server::new(request, lock) {
        Ok(mut server) => {
            server.connections.push(connection);
            server.create();
            server.serve();
        }
        Err(err) => {
            connection.reply(&Reply::Failed(Failure::new(
                FailureKind::Internal,
                format!("start of the shim: {err}"),
            )));
        }
    }
}

impl Server {
    fn new(request: CreateRequest, lock: OwnedFd) -> io::Result<Self> {
        redirect_to_null(&[0, 1, 2])?;
        // SAFETY: plain prctl and signal calls of a single-threaded process.
        let signals = unsafe {
            libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
            libc::prctl(libc::PR_SET_NAME, c"creel-shim".as_ptr(), 0, 0, 0);
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&mut set);
            libc::sigaddset(&mut set, libc::SIGCHLD);
            check(libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()))?;
            OwnedFd::from_raw_fd(check(libc::signalfd(
                -1,
                &set,
                libc::SFD_CLOEXEC | libc::SFD_NONBLOCK,
            ))?)
        };
        let state_dir = &request.bundle.state_dir;
        // A socket left by a shim that was killed is in the way.
        crate::exit::ignore_missing(std::fs::remove_file(state_dir.join(SOCKET_NAME)))?;
        crate::exit::ignore_missing(std::fs::remove_file(state_dir.join(crate::protocol::EXIT_NAME)))?;
        let listener = listen(state_dir, SOCKET_NAME, libc::SOCK_SEQPACKET)?;
        Ok(Self {
            format: request.format(),
            request,
            signals,
            listener: Some(listener),
            lock: Some(lock),
            connections: Vec::new(),
            next_connection: 1,
            status: ContainerState::Created,
            init: Process {
                pid: 0,
                exit: None,
                streams: Default::default(),
            },
            execs: BTreeMap::new(),
            exits: VecDeque::new(),
            helpers: Vec::new(),
            unclaimed: Vec::new(),
            waiters: Vec::new(),
            deleters: Vec::new(),
            ended: None,
            failed: false,
        })
    }

    fn serve(&mut self) {
        let mut buffer = vec![0; BUFFER];
        let mut watched: Vec<(RawFd, i16)> = Vec::new();
        let mut polled: Vec<libc::pollfd> = Vec::new();
        while !self.done() {
            watched.clear();
            watched.push((self.signals.as_raw_fd(), libc::POLLIN));
            if self.connections.len() < MAX_CONNECTIONS {
                watched.extend(self.listener.as_ref().map(|fd| (fd.as_raw_fd(), libc::POLLIN)));
            }
            watched.extend(self.connections.iter().map(|connection| {
                // Of a client that waits for an answer only its going away is of interest.
                (
                    connection.socket.as_raw_fd(),
                    if connection.busy { 0 } else { libc::POLLIN },
                )
            }));
            let streams = watched.len();
            self.init.streams.watch(&mut watched);
            self.execs
                .values()
                .for_each(|process| process.streams.watch(&mut watched));

            polled.clear();
            polled.extend(watched.iter().map(|(fd, events)| libc::pollfd {
                fd: *fd,
                events: *events,
                revents: 0,
            }));
            let timeout = if self.ended.is_some() || self.waiting() {
                500
            } else {
                -1
            };
            // SAFETY: the list has the length given.
            if unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, timeout) } < 0 {
                continue;
            }
            self.reap(&mut buffer);
            for ready in polled[streams..]
                .iter()
                .filter(|poll| poll.revents & (libc::POLLHUP | libc::POLLERR) != 0)
            {
                self.init.streams.hung_up(ready.fd);
                self.execs
                    .values_mut()
                    .for_each(|process| process.streams.hung_up(ready.fd));
            }
            self.init.streams.pump(&mut buffer);
            self.execs
                .values_mut()
                .for_each(|process| process.streams.pump(&mut buffer));
            self.accept_connections();
            let ready = |poll: &&libc::pollfd| poll.revents != 0;
            let connections: Vec<RawFd> = polled[1..streams]
                .iter()
                .filter(ready)
                .map(|poll| poll.fd)
                .collect();
            self.read_connections(&connections);
            self.forget_finished_execs();
        }
        self.leave();
    }

    /// Where output may wait that clients do not take: where the log is, on disk.
    fn backlogs(&self) -> PathBuf {
        self.request
            .log
            .path
            .parent()
            .map(PathBuf::from)
            .unwrap_or_default()
    }

    fn waiting(&self) -> bool {
        self.init.streams.waiting() || self.execs.values().any(|process| process.streams.waiting())
    }

    fn done(&self) -> bool {
        if self.failed {
            return self.helpers.is_empty();
        }
        let Some(ended) = self.ended else { return false };
        let idle =
            !self.waiting() && self.helpers.is_empty() && self.execs.values().all(|exec| exec.exit.is_some());
        idle || !self.deleters.is_empty() || ended.elapsed() > LINGER
    }

    fn accept_connections(&mut self) {
        while let Some(listener) = &self.listener {
            if self.connections.len() >= MAX_CONNECTIONS {
                break;
            }
            match accept(listener) {
                Ok(Some(socket)) => {
                    self.connections.push(Connection {
                        id: self.next_connection,
                        socket,
                        busy: false,
                    });
                    self.next_connection += 1;
                }
                _ => break,
            }
        }
    }

    fn read_connections(&mut self, ready: &[RawFd]) {
        let mut index = 0;
        while index < self.connections.len() {
            let connection = &mut self.connections[index];
            index += 1;
            if !ready.contains(&connection.socket.as_raw_fd()) {
                continue;
            }
            let id = connection.id;
            if connection.busy {
                self.drop_connection(id);
                index -= 1;
                continue;
            }
            match connection.receive() {
                Received::Nothing => {}
                Received::Closed => {
                    self.drop_connection(id);
                    index -= 1;
                }
                Received::Malformed(text) => {
                    connection.reply(&Reply::Failed(Failure::new(FailureKind::Invalid, text)));
                }
                Received::Request(request, socket) => {
                    connection.busy = true;
                    self.handle(id, request, socket);
                }
            }
        }
    }

    fn drop_connection(&mut self, id: u64) {
        self.connections.retain(|connection| connection.id != id);
        self.waiters.retain(|(waiter, _)| *waiter != id);
    }

    fn reply(&mut self, id: u64, reply: Reply) {
        if let Some(connection) = self.connections.iter_mut().find(|connection| connection.id == id) {
            connection.reply(&reply);
        }
    }

    fn reply_result(&mut self, id: u64, result: Result<(), Failure>) {
        self.reply(id, result.map_or_else(Reply::Failed, |()| Reply::Done));
    }
}
