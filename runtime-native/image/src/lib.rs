//! The images of a node: content-addressed blobs, references, and archives in and out.
//!
//! The public door is [`ImageStore`]. Every call blocks; callers on an async runtime use a blocking thread.

mod changes;
mod compress;
mod config;
mod content;
mod error;
mod import;
mod list;
mod load;
mod metadata;
mod reference;
mod remove;
mod save;
mod store;
mod time;

pub use changes::apply as apply_changes;
pub use compress::plain;
pub use config::{ContainerConfig, Empty, Healthcheck, History, ImageConfig, RootFs};
pub use content::{BlobWriter, ContentStore, FinishedBlob};
pub use error::{ErrorKind, ImageError, Result};
pub use import::ImportOptions;
pub use list::{HistoryLine, ImageDetail, ImageFilter, ImageSummary};
pub use load::{Loaded, Progress};
pub use metadata::{Descriptor, ImageRecord};
pub use reference::Reference;
pub use remove::{ImageUse, InUse, Pruned, RemoveOptions, Removed};
pub use store::{Image, ImageStore};
