//! Layers, container root filesystems and named volumes on local disk.
//!
//! The public door is [`open`], which gives a [`StorageDriver`] by its name, and [`volumes::VolumeStore`].
//! Every call blocks; callers on an async runtime use a blocking thread.

mod archive;
mod changes;
mod copy;
mod diff;
mod digest;
mod driver;
mod error;
mod holes;
mod layout;
mod overlay;
mod owners;
mod registry;
mod room;
mod store;
mod subvolume;
mod tarstream;
mod tree;
mod unpack;
pub mod volumes;
mod walk;
mod whole;

pub use archive::{of_the_kernel, write_archive, write_root};
pub use changes::{Change, ChangeKind};
pub use digest::{Digest, DigestReader, Hasher, chain_id, chain_ids};
pub use driver::{ContainerInfo, Discarded, LayerInfo, Places, PrepareOptions, StorageDriver, Usage};
pub use error::{ErrorKind, Result, StorageError};
pub use owners::Owners;
pub use registry::{DRIVER_NAMES, open};
pub use room::Room;
pub use tarstream::{EntryType, TarEntry, TarReader};
pub use tree::{fsync_dir, remove_tree, spread_directories, write_atomic};
pub use unpack::{Placement, place};
