//! The crate's one error type.

use std::io;

/// What went wrong, for callers that answer differently to different causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The sandbox, network or endpoint named is not there.
    NotFound,
    /// The name, address or subnet is already in use, with other properties.
    Conflict,
    /// A published port is held by somebody else.
    PortInUse,
    /// The request itself makes no sense.
    Invalid,
    /// The kernel lacks what is needed.
    Unsupported,
    /// The network still has endpoints.
    InUse,
    /// The kernel or the file system refused.
    System,
}

/// An error of the network layer: what was being done, and why it failed.
#[derive(Debug, thiserror::Error)]
#[error("{what}{}", .source.as_ref().map(|e| format!(": {e}")).unwrap_or_default())]
pub struct Error {
    /// The class of the failure.
    pub kind: Kind,
    what: String,
    source: Option<io::Error>,
}

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            source: None,
        }
    }

    /// Wraps an error of the operating system with what was being done.
    pub fn system(what: impl Into<String>, source: io::Error) -> Self {
        let kind = match source.raw_os_error() {
            Some(libc::EOPNOTSUPP | libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT) => Kind::Unsupported,
            _ => Kind::System,
        };
        Self {
            kind,
            what: what.into(),
            source: Some(source),
        }
    }
}

/// Adds what was being done to an `io::Result`.
pub(crate) trait Context<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| Error::system(what(), e))
    }
}
