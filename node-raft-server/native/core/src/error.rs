//! What can go wrong, with the codes of Creel's error registry.

use std::fmt;
use std::io;

/// The registry's code of an error; `as_str` gives its name there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    InvalidParameter,
    NotLeader,
    ProposalDropped,
    QueueFull,
    TooLarge,
    Stopped,
    Conflict,
    DiskFull,
    StorageDamaged,
    DataFormatNewer,
    Internal,
}

impl Code {
    /// The code's name in the registry.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::InvalidParameter => "invalid_parameter",
            Code::NotLeader => "not_leader",
            Code::ProposalDropped => "proposal_dropped",
            Code::QueueFull => "queue_full",
            Code::TooLarge => "too_large",
            Code::Stopped => "stopped",
            Code::Conflict => "conflict",
            Code::DiskFull => "disk_full",
            Code::StorageDamaged => "storage_damaged",
            Code::DataFormatNewer => "data_format_newer",
            Code::Internal => "internal",
        }
    }
}

/// An error: its code, and a text for the person who reads it.
#[derive(Clone, Debug)]
pub struct Error {
    pub code: Code,
    pub text: String,
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of that code.
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Error {
            code,
            text: text.into(),
        }
    }

    /// A file that its checksum, or its shape, shows to be damaged.
    pub fn damaged(path: &std::path::Path, what: impl fmt::Display) -> Self {
        Error::new(
            Code::StorageDamaged,
            format!("{} is damaged: {what}", path.display()),
        )
    }

    /// No space is left where `path` is.
    pub fn full(path: &std::path::Path) -> Self {
        Error::new(
            Code::DiskFull,
            format!("no space left on device: {}", path.display()),
        )
    }

    /// An error of the operating system on `path`.
    pub fn io(path: &std::path::Path, error: &io::Error) -> Self {
        if is_full(error) {
            return Error::full(path);
        }
        Error::new(Code::Internal, format!("{}: {error}", path.display()))
    }

    /// An error of the log engine, whose files are in `dir`.
    pub fn engine(dir: &std::path::Path, error: &raft_engine::Error) -> Self {
        match error {
            raft_engine::Error::Io(e) => Error::io(dir, e),
            // The engine says so only when no space is left, after it tried another file.
            raft_engine::Error::TryAgain(_) => Error::full(dir),
            raft_engine::Error::Corruption(_)
            | raft_engine::Error::Codec(_)
            | raft_engine::Error::Protobuf(_) => Error::damaged(dir, error),
            other if other.to_string().contains("Failed to lock file") => Error::new(
                Code::Conflict,
                format!("{} is in use by another process", dir.display()),
            ),
            _ => Error::new(Code::Internal, format!("{}: {error}", dir.display())),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}
