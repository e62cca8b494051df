//! The engine's side: it starts the zygote, creates containers and talks to their shims. It needs tokio.

mod call;
mod program;
mod shim;
mod zygote;

use std::io;

use crate::protocol::{ExitStatus, Failure, PROTOCOL};

pub use shim::{ExecSpec, Shim};
pub use zygote::Zygote;

/// Why something asked of a shim was not done.
#[derive(Debug, thiserror::Error)]
pub enum ShimError {
    /// The shim is not there any more. With an exit status the container has ended; without one the shim was killed, and
    /// `cleanup` removes what it left.
    #[error("{}", match .0 {
        Some(exit) => format!("the container has ended with status {}", exit.code),
        None => "the container's shim is gone and left no exit status".to_owned(),
    })]
    Gone(Option<ExitStatus>),
    /// The shim refused or failed.
    #[error("{}", .0.message)]
    Failed(Failure),
    /// The shim is of another version of Creel, and speaks this protocol.
    #[error(
        "the container was started by another version of Creel (its shim speaks protocol {0}, this engine {PROTOCOL}): it can \
         be stopped and killed; once it is restarted, everything works again"
    )]
    Protocol(u32),
    /// No answer came in time.
    #[error("the container's shim did not answer within {0} s")]
    TimedOut(u64),
    /// A system call failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl ShimError {
    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
