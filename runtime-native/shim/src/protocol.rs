//! What the engine and a shim say to each other: one JSON message a packet, one answer to each request.

use std::collections::BTreeMap;
use std::path::PathBuf;

use creel_runtime::oci::LinuxResources;
use creel_runtime::{Bundle, ContainerFormat, ContainerState, RuntimeError};
use serde::{Deserialize, Serialize};

/// The name of the control socket in the container's state directory.
pub const SOCKET_NAME: &str = "shim.sock";
/// The name of the file that records how the container ended.
pub const EXIT_NAME: &str = "exit.json";
/// The number of what both sides say. Within one number messages only gain fields that may be absent; what the other side
/// would take for something else makes the next number. Whatever the number, [`Request::lasts`] stays as it is.
pub const PROTOCOL: u32 = 1;
/// The longest message.
pub const MAX_MESSAGE: usize = 128 << 10;

/// A container to create. The root filesystem is mounted, `bundle_dir` holds `config.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateRequest {
    /// What the engine speaks.
    #[serde(default = "first")]
    pub protocol: u32,
    /// Where the container's files are.
    pub bundle: Bundle,
    /// Whether its first process has a terminal, as its spec says.
    pub terminal: bool,
    /// Whether its standard input stays open for clients; else it is /dev/null.
    pub open_stdin: bool,
    /// Whether standard input ends with the first client that was attached to it.
    pub stdin_once: bool,
    /// Where its output is logged.
    pub log: LogConfig,
    /// Another OCI runtime that makes the container; none: Creel's own.
    #[serde(default)]
    pub runtime: Option<PathBuf>,
}

impl CreateRequest {
    /// Reads the request of an engine, which may be of another version.
    pub(crate) fn read(message: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Spoken {
            #[serde(default = "first")]
            protocol: u32,
        }
        match serde_json::from_slice(message) {
            Ok(Spoken { protocol }) if protocol != PROTOCOL => Err(format!(
                "creel-shim is of another version than the creel-engine that runs (protocol {PROTOCOL}, the engine's is \
                 {protocol}): restart creel-engine"
            )),
            _ => serde_json::from_slice(message).map_err(|err| err.to_string()),
        }
    }

    /// What makes the container.
    pub(crate) fn format(&self) -> Box<dyn ContainerFormat> {
        creel_runtime::format_of(self.runtime.as_deref())
    }
}

/// Where and how output is logged.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogConfig {
    /// The form of the log.
    pub driver: LogDriver,
    /// The file.
    pub path: PathBuf,
    /// Bytes after which a new file is begun; 0 means never.
    pub max_size: u64,
    /// How many files are kept, the current one included.
    pub max_file: u32,
    /// Whether files that are full are compressed.
    pub compress: bool,
    /// What each entry tells of the container, where the driver can keep that.
    pub attributes: BTreeMap<String, String>,
    /// The bytes that may wait for the log, more being lost; none: output waits for it.
    pub buffer: Option<u64>,
}

/// The form of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogDriver {
    /// Docker's json-file.
    JsonFile,
    /// A compact form, as `log::local` has it.
    Local,
    /// No log.
    None,
}

/// Which streams a client is joined to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AttachRequest {
    /// The client's bytes go to standard input.
    pub stdin: bool,
    /// The client gets standard output.
    pub stdout: bool,
    /// The client gets standard error.
    pub stderr: bool,
    /// Bytes that end the attachment when they are typed; empty: none.
    pub detach_keys: Vec<u8>,
}

/// Another process in a running container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExecRequest {
    /// The id by which it is waited for.
    pub id: String,
    /// A file with the OCI process. The shim removes it when the process runs.
    pub process_file: PathBuf,
    /// Whether it has a terminal, as the process says.
    pub terminal: bool,
    /// The streams of the client whose socket comes with this request; none: it runs on its own.
    pub attach: Option<AttachRequest>,
}

/// What the engine asks of a shim.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// Execute the command of the created container.
    Start,
    /// Send a signal to the first process, to all, or to an exec'd one.
    Kill {
        /// The signal's number.
        signal: i32,
        /// To all processes of the container.
        all: bool,
        /// To this exec instead.
        exec: Option<String>,
    },
    /// Freeze all processes.
    Pause,
    /// Thaw them.
    Resume,
    /// Set the size of a terminal.
    Resize {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
        /// The terminal of this exec instead of the container's.
        exec: Option<String>,
    },
    /// Join the socket that comes with this request to the streams.
    Attach(AttachRequest),
    /// Run another process. A socket comes with it if the request attaches.
    Exec(ExecRequest),
    /// Answer when the container, or this exec, has ended.
    Wait {
        /// The exec to wait for.
        exec: Option<String>,
    },
    /// Tell what the container does.
    State,
    /// Change the limits.
    Update {
        /// The new limits.
        resources: Box<LinuxResources>,
    },
    /// Kill the container if it runs, remove its cgroup, and go away.
    Delete,
}

impl Request {
    /// Whether shims of every version understand it: what it takes to look after a container and to end it.
    pub(crate) fn lasts(&self) -> bool {
        matches!(
            self,
            Self::Kill { .. } | Self::Wait { .. } | Self::State | Self::Delete
        )
    }
}

/// A shim's answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// It is done.
    Done,
    /// A process was made.
    Process {
        /// Its process id on the host.
        pid: i32,
    },
    /// What the container does.
    State(State),
    /// It has ended.
    Exited(ExitStatus),
    /// It could not be done.
    Failed(Failure),
}

/// What a container does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// What the shim speaks.
    #[serde(default = "first")]
    pub protocol: u32,
    /// The container's id.
    pub id: String,
    /// The process id of its first process, 0 when it has ended.
    pub pid: i32,
    /// Its state.
    pub status: ContainerState,
    /// How many exec'd processes run.
    pub execs: usize,
}

/// What is spoken by who does not tell.
fn first() -> u32 {
    1
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitStatus {
    /// The exit status as Docker gives it: 128 and the signal for a process that was killed.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether the kernel killed a process of the container for want of memory.
    pub oom_killed: bool,
    /// When, in RFC 3339 with nanoseconds.
    pub finished_at: String,
}

/// Why something could not be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind of failure.
    pub kind: FailureKind,
    /// The text for the user.
    pub message: String,
    /// Docker's exit status for a command that could not be started: 126 or 127.
    pub exit_code: Option<i32>,
}

/// Kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The request is wrong.
    Invalid,
    /// The container or the exec is not in a state that allows it.
    Conflict,
    /// There is no such exec.
    NotFound,
    /// The command cannot be executed.
    Command,
    /// Anything else.
    Internal,
}

impl Failure {
    /// A failure without an exit status.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            exit_code: None,
        }
    }
}

impl From<RuntimeError> for Failure {
    fn from(error: RuntimeError) -> Self {
        let kind = match &error {
            RuntimeError::Invalid(_) => FailureKind::Invalid,
            RuntimeError::CommandNotFound(_) | RuntimeError::CommandNotExecutable(_) => FailureKind::Command,
            RuntimeError::State(_) => FailureKind::Conflict,
            RuntimeError::Io { .. } | RuntimeError::Failed(_) => FailureKind::Internal,
        };
        Self {
            kind,
            message: error.to_string(),
            exit_code: error.exit_code(),
        }
    }
}
