use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxResources, Spec};
use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroup;
use crate::{ExternalFormat, NativeFormat, OciState, RuntimeError};

/// Where a container's files are. Every container format is given the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bundle {
    /// The container's id.
    pub id: String,
    /// The directory with `config.json`, the whole OCI spec.
    pub bundle_dir: PathBuf,
    /// A directory of this container alone, for what the format itself keeps.
    pub state_dir: PathBuf,
    /// Compiled seccomp filters, shared by all containers of the engine.
    pub filter_cache: PathBuf,
    /// The container's cgroup, absolute within each hierarchy.
    pub cgroup: String,
    /// How many open files from number 3 on the container's first process gets besides its standard streams.
    #[serde(default)]
    pub keep_fds: u32,
    /// Where a process of an `exec` goes, below the container's cgroup.
    #[serde(default)]
    pub sub_cgroup: Option<String>,
    /// The bundle's path as hooks are told, where that is another than `bundle_dir`.
    #[serde(default)]
    pub shown_dir: Option<PathBuf>,
}

impl Bundle {
    /// The state of the container, as its hooks read it.
    pub(crate) fn oci_state(&self, spec: &Spec, status: &str, pid: i32) -> OciState {
        let dir = self.shown_dir.as_ref().unwrap_or(&self.bundle_dir);
        OciState::of(spec, &self.id, status, pid, dir.clone())
    }
}

/// The three standard streams a process begins with; or a socket on which the terminal comes.
#[derive(Debug)]
pub enum Stdio {
    /// Files for standard input, output and error.
    Pipes {
        /// Standard input.
        stdin: OwnedFd,
        /// Standard output.
        stdout: OwnedFd,
        /// Standard error.
        stderr: OwnedFd,
    },
    /// The path of a listening UNIX socket that is sent the terminal's controlling end.
    Terminal {
        /// The socket's path.
        console_socket: PathBuf,
    },
}

/// What a container format says about a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerState {
    /// Created, its command not yet executed.
    Created,
    /// Running.
    Running,
    /// Frozen.
    Paused,
    /// Ended.
    Stopped,
}

impl ContainerState {
    /// The state of a container by its first process, whether its command has begun, and its cgroup.
    pub(crate) fn of(pid: i32, begun: bool, cgroup: &str) -> Self {
        if !Path::new(&format!("/proc/{pid}")).exists() {
            Self::Stopped
        } else if Cgroup::new(cgroup).frozen() {
            Self::Paused
        } else if begun {
            Self::Running
        } else {
            Self::Created
        }
    }
}

/// One way to make a container out of an OCI bundle.
///
/// `create` and `exec` are called in a short-lived process, and the container's process becomes a child of that
/// process's parent. So whatever the format allocates is gone when the call is over.
pub trait ContainerFormat {
    /// Makes the container up to the point where its command would be executed; gives its process id.
    fn create(&self, bundle: &Bundle, stdio: Stdio) -> Result<i32, RuntimeError>;
    /// Executes the command of a created container.
    fn start(&self, bundle: &Bundle) -> Result<(), RuntimeError>;
    /// The same where it needs no waiting, so that any process may do it; none where only `start` can.
    fn start_at_once(&self, _bundle: &Bundle) -> Option<Result<(), RuntimeError>> {
        None
    }
    /// Runs another process, described by an OCI process in a file, in a running container; gives its process id.
    fn exec(&self, bundle: &Bundle, process: &Path, stdio: Stdio) -> Result<i32, RuntimeError>;
    /// Sends a signal to the container's first process, or to all its processes.
    fn kill(&self, bundle: &Bundle, pid: i32, signal: i32, all: bool) -> Result<(), RuntimeError>;
    /// Freezes all processes.
    fn pause(&self, bundle: &Bundle) -> Result<(), RuntimeError>;
    /// Lets frozen processes go on.
    fn resume(&self, bundle: &Bundle) -> Result<(), RuntimeError>;
    /// Changes the limits of a container.
    fn update(&self, bundle: &Bundle, resources: &LinuxResources) -> Result<(), RuntimeError>;
    /// Tells what the format knows of the container.
    fn state(&self, bundle: &Bundle) -> Result<ContainerState, RuntimeError>;
    /// Ends whatever is left of the container and removes its cgroup and the format's own files.
    fn delete(&self, bundle: &Bundle) -> Result<(), RuntimeError>;
}

/// The format that makes a container: Creel's own, or another OCI runtime's program.
pub fn format_of(runtime: Option<&Path>) -> Box<dyn ContainerFormat> {
    match runtime {
        None => Box::new(NativeFormat),
        Some(program) => Box::new(ExternalFormat::new(program.to_owned())),
    }
}
