//! Errors as the caller sees them: a text for the person and a code of the product's one registry.

use creel_runtime::in_plain_words;
use tonic::{Code, Status};

/// Bytes of an error's text that a caller is sent.
const MAX_TEXT: usize = 2_500;

/// A code of shared/errors. The engine sends it beside the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    InvalidParameter,
    InvalidName,
    InvalidReference,
    InvalidArchive,
    InvalidFilter,
    NoSuchContainer,
    NoSuchImage,
    NoSuchExec,
    NoSuchPath,
    NoSuchNetwork,
    NoSuchVolume,
    AmbiguousId,
    NameInUse,
    Conflict,
    NotModified,
    ImageInUse,
    NetworkInUse,
    PredefinedNetwork,
    NetworkNameTaken,
    VolumeInUse,
    PortTaken,
    AddressPoolExhausted,
    CommandNotFound,
    ContainerFailed,
    Unsupported,
    DiskFull,
    Stopped,
    Internal,
}

impl ErrorCode {
    /// The registry's name of the code.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidParameter => "invalid_parameter",
            Self::InvalidName => "invalid_name",
            Self::InvalidReference => "invalid_reference",
            Self::InvalidArchive => "invalid_archive",
            Self::InvalidFilter => "invalid_filter",
            Self::NoSuchContainer => "no_such_container",
            Self::NoSuchImage => "no_such_image",
            Self::NoSuchExec => "no_such_exec",
            Self::NoSuchPath => "no_such_path",
            Self::NoSuchNetwork => "no_such_network",
            Self::NoSuchVolume => "no_such_volume",
            Self::AmbiguousId => "ambiguous_id",
            Self::NameInUse => "name_in_use",
            Self::Conflict => "conflict",
            Self::NotModified => "not_modified",
            Self::ImageInUse => "image_in_use",
            Self::NetworkInUse => "network_in_use",
            Self::PredefinedNetwork => "predefined_network",
            Self::NetworkNameTaken => "network_name_taken",
            Self::VolumeInUse => "volume_in_use",
            Self::PortTaken => "port_taken",
            Self::AddressPoolExhausted => "address_pool_exhausted",
            Self::CommandNotFound => "command_not_found",
            Self::ContainerFailed => "container_failed",
            Self::Unsupported => "unsupported",
            Self::DiskFull => "disk_full",
            Self::Stopped => "stopped",
            Self::Internal => "internal",
        }
    }

    /// The gRPC status that the registry gives the code.
    pub fn grpc(self) -> Code {
        match self {
            Self::InvalidParameter
            | Self::InvalidName
            | Self::InvalidReference
            | Self::InvalidArchive
            | Self::InvalidFilter
            | Self::AmbiguousId
            | Self::CommandNotFound => Code::InvalidArgument,
            Self::NoSuchContainer
            | Self::NoSuchImage
            | Self::NoSuchExec
            | Self::NoSuchPath
            | Self::NoSuchNetwork
            | Self::NoSuchVolume => Code::NotFound,
            Self::NameInUse | Self::PortTaken | Self::NetworkNameTaken => Code::AlreadyExists,
            Self::PredefinedNetwork => Code::PermissionDenied,
            Self::AddressPoolExhausted | Self::DiskFull => Code::ResourceExhausted,
            Self::Conflict | Self::ImageInUse | Self::NetworkInUse | Self::VolumeInUse => {
                Code::FailedPrecondition
            }
            Self::NotModified => Code::Aborted,
            Self::Unsupported => Code::Unimplemented,
            Self::Stopped => Code::Unavailable,
            Self::ContainerFailed | Self::Internal => Code::Internal,
        }
    }
}

/// What an operation of the engine fails with.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text}")]
pub struct EngineError {
    pub code: ErrorCode,
    pub text: String,
}

/// Shorthand for results of the engine.
pub type Result<T> = std::result::Result<T, EngineError>;

impl EngineError {
    /// An error of `code` that says `text`.
    pub fn new(code: ErrorCode, text: impl Into<String>) -> Self {
        Self {
            code,
            text: in_plain_words(text.into()),
        }
    }

    /// A request that makes no sense.
    pub fn invalid(text: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidParameter, text)
    }

    /// Something that is not in a state for what was asked.
    pub fn conflict(text: impl Into<String>) -> Self {
        Self::new(ErrorCode::Conflict, text)
    }

    /// A failure of the engine or of the system below it.
    pub fn internal(text: impl Into<String>) -> Self {
        Self::new(ErrorCode::Internal, text)
    }

    /// A failed system call, with what was being done.
    pub fn io(what: impl std::fmt::Display, error: impl Into<std::io::Error>) -> Self {
        let error: std::io::Error = error.into();
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        let code = match error.kind() {
            StorageFull | QuotaExceeded => ErrorCode::DiskFull,
            _ => ErrorCode::Internal,
        };
        Self::new(code, format!("{what}: {error}"))
    }

    /// The same error, with what was being done put in front.
    pub fn context(self, what: impl std::fmt::Display) -> Self {
        Self {
            code: self.code,
            text: format!("{what}: {}", self.text),
        }
    }
}

/// The text goes in a header, which has a bound; a name of a megabyte need not be repeated whole.
fn shortened(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text.push_str("...");
    }
    text
}

impl From<EngineError> for Status {
    fn from(error: EngineError) -> Self {
        let mut status = Status::new(error.code.grpc(), shortened(error.text));
        status.metadata_mut().insert(
            "creel-code",
            tonic::metadata::MetadataValue::from_static(error.code.name()),
        );
        status
    }
}
