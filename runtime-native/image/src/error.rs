use std::fmt::Display;
use std::io;
use std::path::Path;

use creel_storage::StorageError;

/// What went wrong, coarse enough to choose a status code by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// No such image, blob or layer.
    NotFound,
    /// A reference, filter or change that cannot be read.
    InvalidArgument,
    /// The archive is damaged, or is no image archive.
    InvalidArchive,
    /// The image is in use, or an id is ambiguous.
    Conflict,
    /// A format or a platform that is not supported.
    Unsupported,
    NoSpace,
    Io,
}

/// An error of this crate: a kind and a text for the person.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct ImageError {
    kind: ErrorKind,
    text: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, ImageError>;

impl ImageError {
    /// An error of `kind` that says `text`.
    pub fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            source: None,
        }
    }

    pub(crate) fn archive(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArchive, text)
    }

    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, text)
    }

    /// A reference or id that names no image, in Docker's words.
    pub(crate) fn no_such_image(name: &str) -> Self {
        Self::new(ErrorKind::NotFound, format!("No such image: {name}"))
    }

    pub(crate) fn io(what: impl Display, error: impl Into<io::Error>) -> Self {
        StorageError::io(what, error).into()
    }

    pub(crate) fn path(what: &str, path: &Path, error: impl Into<io::Error>) -> Self {
        StorageError::path(what, path, error).into()
    }

    /// A failed read of what the caller sent: its fault, unless the system refused the read.
    pub(crate) fn reading(what: impl Display, error: io::Error) -> Self {
        StorageError::archive(what, error).into()
    }

    /// The coarse kind, for a status code.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl From<StorageError> for ImageError {
    fn from(error: StorageError) -> Self {
        use creel_storage::ErrorKind as Storage;
        let kind = match error.kind() {
            Storage::NotFound => ErrorKind::NotFound,
            Storage::AlreadyExists | Storage::InUse => ErrorKind::Conflict,
            Storage::InvalidArgument => ErrorKind::InvalidArgument,
            Storage::InvalidArchive => ErrorKind::InvalidArchive,
            Storage::Unsupported => ErrorKind::Unsupported,
            Storage::NoSpace => ErrorKind::NoSpace,
            Storage::Io => ErrorKind::Io,
        };
        Self {
            kind,
            text: error.to_string(),
            source: Some(Box::new(error)),
        }
    }
}
