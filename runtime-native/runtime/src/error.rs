use std::io;
use std::path::Path;

/// What can go wrong between a spec and a running container.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The request itself is wrong; the text says which part.
    #[error("{0}")]
    Invalid(String),
    /// The command does not exist in the container. Docker's exit status for it is 127.
    #[error("unable to start container process: {0}")]
    CommandNotFound(String),
    /// The command exists and cannot be executed. Docker's exit status for it is 126.
    #[error("unable to start container process: {0}")]
    CommandNotExecutable(String),
    /// The container is not in a state that allows this.
    #[error("{0}")]
    State(String),
    /// A system call on something named failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, with the name of the object.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The container format refused or failed.
    #[error("{0}")]
    Failed(String),
}

impl RuntimeError {
    /// Wraps an I/O error with what was being done to which path.
    pub fn io(what: &str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            what: format!("{what} {}", path.display()),
            source,
        }
    }

    /// Docker's exit status for a command that could not be started, where it has one.
    pub fn exit_code(&self) -> Option<i32> {
        match self {
            Self::CommandNotFound(_) => Some(127),
            Self::CommandNotExecutable(_) => Some(126),
            _ => None,
        }
    }
}
