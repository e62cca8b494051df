use std::fmt::Display;
use std::io;
use std::path::Path;

/// What went wrong, coarse enough to choose a status code by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    NotFound,
    AlreadyExists,
    InUse,
    InvalidArgument,
    /// The archive is damaged, unreadable or would write outside its root.
    InvalidArchive,
    /// The kernel or the file system lacks something the driver needs.
    Unsupported,
    NoSpace,
    Io,
}

/// An error of this crate: a kind and a text for the person.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct StorageError {
    kind: ErrorKind,
    text: String,
    #[source]
    source: Option<io::Error>,
}

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, StorageError>;

impl StorageError {
    /// An error of `kind` that says `text`.
    pub fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            source: None,
        }
    }

    /// A failed system call: `what` says what was being done.
    pub fn io(what: impl Display, error: impl Into<io::Error>) -> Self {
        let error: io::Error = error.into();
        let kind = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::NoSpace,
            _ => ErrorKind::Io,
        };
        Self {
            kind,
            text: format!("{what}: {error}"),
            source: Some(error),
        }
    }

    /// A failed system call on `path`.
    pub fn path(what: &str, path: &Path, error: impl Into<io::Error>) -> Self {
        Self::io(format_args!("{what} {}", path.display()), error)
    }

    /// A failure while reading an archive: the archive's own fault unless the system refused the read.
    pub fn archive(what: impl Display, error: io::Error) -> Self {
        if error.raw_os_error().is_some() || error.kind() == io::ErrorKind::StorageFull {
            return Self::io(what, error);
        }
        Self {
            kind: ErrorKind::InvalidArchive,
            text: format!("{what}: {error}"),
            source: Some(error),
        }
    }

    /// The number of the error that the system gave.
    pub(crate) fn errno(&self) -> Option<i32> {
        self.source.as_ref()?.raw_os_error()
    }

    /// The coarse kind, for a status code.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}
