use std::fs;
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use creel_runtime::oci::{LinuxResources, Process};
use tokio::net::UnixStream;

use super::ShimError;
use super::call::call;
use crate::exit::read_exit;
use crate::lock;
use crate::protocol::{
    AttachRequest, ExecRequest, ExitStatus, Failure, FailureKind, PROTOCOL, Reply, Request, State,
};

const LIMIT: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A container's shim, by the container's state directory. Each call makes a connection of its own, so that any number
/// of them may be under way.
#[derive(Clone, Debug)]
pub struct Shim {
    state_dir: PathBuf,
    /// What it speaks.
    protocol: u32,
}

/// A process to run in a container.
#[derive(Clone, Debug)]
pub struct ExecSpec {
    /// The id by which it is waited for: letters, digits, `-`, `_` and `.`.
    pub id: String,
    /// The process.
    pub process: Process,
    /// The streams to join; none: it runs on its own.
    pub attach: Option<AttachRequest>,
}

impl Shim {
    /// Finds the shim of a container again, after a restart of the engine, with what the container does. One that is on
    /// its way is waited for. `Gone` tells how the container ended.
    pub async fn connect(state_dir: &Path) -> Result<(Self, State), ShimError> {
        let mut shim = Self::at(state_dir);
        let end = tokio::time::Instant::now() + LIMIT;
        loop {
            // In this order: a shim that lets go of the lock has left its record before.
            let held = lock::is_held(state_dir);
            let busy = match shim.state().await {
                Ok(state) => {
                    shim.protocol = state.protocol;
                    return Ok((shim, state));
                }
                Err(ShimError::Failed(failure)) if failure.kind == FailureKind::Conflict => {
                    ShimError::Failed(failure)
                }
                Err(ShimError::Gone(None)) if held => ShimError::TimedOut(LIMIT.as_secs()),
                Err(error) => return Err(error),
            };
            if tokio::time::Instant::now() > end {
                return Err(busy);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// A shim of this engine's own.
    pub(super) fn at(state_dir: &Path) -> Self {
        Self {
            state_dir: state_dir.to_owned(),
            protocol: PROTOCOL,
        }
    }

    /// Executes the command of the created container.
    pub async fn start(&self) -> Result<(), ShimError> {
        self.done(Request::Start).await
    }

    /// Sends a signal to the container's first process.
    pub async fn kill(&self, signal: i32) -> Result<(), ShimError> {
        self.done(Request::Kill {
            signal,
            all: false,
            exec: None,
        })
        .await
    }

    /// Sends a signal to an exec'd process.
    pub async fn kill_exec(&self, id: &str, signal: i32) -> Result<(), ShimError> {
        self.done(Request::Kill {
            signal,
            all: false,
            exec: Some(id.to_owned()),
        })
        .await
    }

    /// Freezes all processes.
    pub async fn pause(&self) -> Result<(), ShimError> {
        self.done(Request::Pause).await
    }

    /// Lets frozen processes go on.
    pub async fn resume(&self) -> Result<(), ShimError> {
        self.done(Request::Resume).await
    }

    /// Sets the size of the container's terminal.
    pub async fn resize(&self, width: u16, height: u16) -> Result<(), ShimError> {
        self.done(Request::Resize {
            width,
            height,
            exec: None,
        })
        .await
    }

    /// Sets the size of an exec's terminal.
    pub async fn resize_exec(&self, id: &str, width: u16, height: u16) -> Result<(), ShimError> {
        self.done(Request::Resize {
            width,
            height,
            exec: Some(id.to_owned()),
        })
        .await
    }

    /// Changes the container's limits.
    pub async fn update(&self, resources: LinuxResources) -> Result<(), ShimError> {
        self.done(Request::Update {
            resources: Box::new(resources),
        })
        .await
    }

    /// What the container does.
    pub async fn state(&self) -> Result<State, ShimError> {
        match self.ask(&Request::State, None, Some(LIMIT)).await? {
            Reply::State(state) => Ok(state),
            other => Err(unexpected(&other)),
        }
    }

    /// Waits until the container has ended, however long that takes.
    pub async fn wait(&self) -> Result<ExitStatus, ShimError> {
        match self.wait_for(None).await {
            Err(ShimError::Gone(Some(exit))) => Ok(exit),
            other => other,
        }
    }

    /// Waits until an exec'd process has ended.
    pub async fn wait_exec(&self, id: &str) -> Result<ExitStatus, ShimError> {
        self.wait_for(Some(id.to_owned())).await
    }

    /// How the container ended, if it has.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        read_exit(&self.state_dir)
    }

    /// Joins a new socket to the container's streams. For a container with a terminal its bytes are the terminal's; else
    /// output comes in Docker's frames with a header of eight bytes. Shutting down the writing half ends the input.
    pub async fn attach(&self, request: AttachRequest) -> Result<UnixStream, ShimError> {
        let (ours, theirs) = UnixStream::pair().map_err(ShimError::io("make a socket"))?;
        let reply = self
            .ask(&Request::Attach(request), Some(theirs.as_raw_fd()), Some(LIMIT))
            .await?;
        done(&reply).map(|()| ours)
    }

    /// Runs another process in the container. Gives its process id and, if it was asked to attach, the socket.
    pub async fn exec(&self, spec: ExecSpec) -> Result<(i32, Option<UnixStream>), ShimError> {
        let valid = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        if spec.id.is_empty() || spec.id.len() > 64 || spec.id.starts_with('.') || !spec.id.chars().all(valid)
        {
            return Err(ShimError::Failed(Failure::new(
                FailureKind::Invalid,
                format!("invalid exec id {:?}", spec.id),
            )));
        }
        let directory = self.state_dir.join("exec");
        let process_file = directory.join(format!("{}.json", spec.id));
        let json =
            serde_json::to_vec(&spec.process).map_err(|err| ShimError::io("encode process")(err.into()))?;
        fs::create_dir_all(&directory)
            .and_then(|()| fs::write(&process_file, json))
            .map_err(ShimError::io(format!("write {}", process_file.display())))?;
        let terminal = spec.process.terminal().unwrap_or(false);
        let request = ExecRequest {
            id: spec.id,
            process_file: process_file.clone(),
            terminal,
            attach: spec.attach,
        };
        let sockets = match request.attach {
            Some(_) => Some(UnixStream::pair().map_err(ShimError::io("make a socket"))?),
            None => None,
        };
        let with = sockets.as_ref().map(|(_, theirs)| theirs.as_raw_fd());
        let result = self.ask(&Request::Exec(request), with, Some(LIMIT)).await;
        if result.is_err() {
            let _ = fs::remove_file(&process_file);
        }
        match result? {
            Reply::Process { pid } => Ok((pid, sockets.map(|(ours, _)| ours))),
            other => Err(unexpected(&other)),
        }
    }

    /// Kills the container if it runs, and has the shim remove its cgroup and go away. It is no error if it is gone; the
    /// exit record stays in the state directory.
    pub async fn delete(&self) -> Result<(), ShimError> {
        match self.done(Request::Delete).await {
            Err(ShimError::Gone(Some(_))) => Ok(()),
            other => other,
        }
    }

    async fn done(&self, request: Request) -> Result<(), ShimError> {
        done(&self.ask(&request, None, Some(LIMIT)).await?)
    }

    async fn ask(
        &self,
        request: &Request,
        with: Option<RawFd>,
        limit: Option<Duration>,
    ) -> Result<Reply, ShimError> {
        if self.protocol != PROTOCOL && !request.lasts() {
            return Err(ShimError::Protocol(self.protocol));
        }
        call(&self.state_dir, request, with, limit).await
    }

    async fn wait_for(&self, exec: Option<String>) -> Result<ExitStatus, ShimError> {
        match self.ask(&Request::Wait { exec }, None, None).await? {
            Reply::Exited(exit) => Ok(exit),
            other => Err(unexpected(&other)),
        }
    }
}

fn done(reply: &Reply) -> Result<(), ShimError> {
    match reply {
        Reply::Done => Ok(()),
        other => Err(unexpected(other)),
    }
}

fn unexpected(reply: &Reply) -> ShimError {
    ShimError::Failed(Failure::new(
        FailureKind::Internal,
        format!("unexpected answer from the shim: {reply:?}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket;

    /// Answers one request as the shim of another version would.
    fn answer_once(state_dir: &Path, reply: &'static str) -> std::thread::JoinHandle<Vec<u8>> {
        let listener = socket::listen(state_dir, crate::protocol::SOCKET_NAME, libc::SOCK_SEQPACKET).unwrap();
        std::thread::spawn(move || {
            let connection = loop {
                match socket::accept(&listener).unwrap() {
                    Some(connection) => break connection,
                    None => std::thread::sleep(Duration::from_millis(1)),
                }
            };
            let mut buffer = vec![0; 1024];
            let size = loop {
                match socket::receive(connection.as_raw_fd(), &mut buffer) {
                    Ok((size, _)) => break size,
                    Err(_) => std::thread::sleep(Duration::from_millis(1)),
                }
            };
            socket::send(connection.as_raw_fd(), reply.as_bytes(), &[]).unwrap();
            buffer[..size].to_vec()
        })
    }

    #[tokio::test]
    async fn a_shim_of_another_version_can_be_ended_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let state = r#"{"reply":"state","id":"c","pid":7,"status":"running","execs":0}"#;
        let told = answer_once(dir.path(), state);
        let (former, _) = Shim::connect(dir.path()).await.unwrap();
        told.join().unwrap();
        assert_eq!(former.protocol, 1, "one that does not tell is of the first");

        std::fs::remove_file(dir.path().join(crate::protocol::SOCKET_NAME)).unwrap();
        let state =
            r#"{"reply":"state","protocol":99,"more":[],"id":"c","pid":7,"status":"running","execs":0}"#;
        let told = answer_once(dir.path(), state);
        let (later, _) = Shim::connect(dir.path()).await.unwrap();
        told.join().unwrap();
        let refused = later.pause().await.unwrap_err();
        assert!(matches!(refused, ShimError::Protocol(99)), "{refused}");
        let refused = later.attach(AttachRequest::default()).await.unwrap_err();
        assert!(
            refused
                .to_string()
                .contains("started by another version of Creel"),
            "{refused}"
        );

        std::fs::remove_file(dir.path().join(crate::protocol::SOCKET_NAME)).unwrap();
        let told = answer_once(dir.path(), r#"{"reply":"done"}"#);
        later.kill(9).await.unwrap();
        let asked = String::from_utf8(told.join().unwrap()).unwrap();
        assert_eq!(asked, r#"{"op":"kill","signal":9,"all":false,"exec":null}"#);
    }
}
