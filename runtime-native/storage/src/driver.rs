use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::changes::Change;
use crate::digest::Digest;
use crate::error::{ErrorKind, Result, StorageError};
use crate::tree;

/// A layer that a driver holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerInfo {
    pub chain: Digest,
    pub parent: Option<Digest>,
    /// How many layers the stack has, this one included.
    pub depth: usize,
    /// Bytes of file content that this layer's own archive held.
    pub size: u64,
}

/// A container's root file system that a driver holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerInfo {
    pub id: String,
    pub top: Option<Digest>,
}

/// Settings of one container's root file system.
#[derive(Debug, Clone, Default)]
pub struct PrepareOptions {
    /// `--storage-opt` of the container. A key the driver does not have is refused.
    pub storage_opts: BTreeMap<String, String>,
}

/// What a container's writable layer takes on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes in files, one with several names counted once.
    pub bytes: u64,
    pub inodes: u64,
}

/// Directories of a driver by what they are for, as `docker inspect` tells them.
pub type Places = BTreeMap<String, String>;

/// What is out of sight already and deleted when this is dropped: at once, or after a lock that others wait for has been
/// released. What cannot be deleted then is swept when the driver is opened again.
#[derive(Debug, Default)]
pub struct Discarded {
    path: Option<PathBuf>,
}

impl Discarded {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path: Some(path) }
    }
}

impl Drop for Discarded {
    fn drop(&mut self) {
        if let Some(path) = self.path.take()
            && let Err(error) = tree::remove_tree(&path)
        {
            tracing::warn!(%error, "leftover stays until the next start");
        }
    }
}

/// A way to keep layers and to make a root file system of them.
///
/// A layer is known by its chain id and is visible only when it is complete and on disk. A container's root file
/// system is known by the container's id and holds on to its layers until it is removed. All calls may be made from
/// several threads at once.
pub trait StorageDriver: Send + Sync {
    /// The driver's name, as in `--storage-driver`.
    fn name(&self) -> &'static str;

    /// What `docker info` lists below the driver: names and values.
    fn status(&self) -> Vec<(String, String)>;

    /// Unpacks the tar stream of one layer onto `parent` and makes it visible as `chain`. The stream is read to its
    /// end first, so a reader that fails at a wrong digest keeps the layer from appearing. A layer that is there
    /// already is left as it is and the stream unread.
    fn apply_layer(&self, chain: &Digest, parent: Option<&Digest>, tar: &mut dyn Read) -> Result<LayerInfo>;

    /// The layer, if it is here.
    fn layer(&self, chain: &Digest) -> Option<LayerInfo>;

    /// All layers, in no order.
    fn layers(&self) -> Vec<LayerInfo>;

    /// Takes a layer out of sight; its files are deleted when the result is dropped. `InUse` while another layer or a
    /// container stands on it; an unknown one is no error.
    fn remove_layer(&self, chain: &Digest) -> Result<Discarded>;

    /// Makes the container's own writable layer on top of `top`, without mounting. Making it again with the same
    /// layer is no error.
    fn create(&self, id: &str, top: Option<&Digest>, options: &PrepareOptions) -> Result<()>;

    /// Mounts the container's root file system, unless it is mounted already, and returns where.
    fn mount(&self, id: &str) -> Result<PathBuf>;

    /// The same, its files with other owners: `shown` gives a copy of a directory's mount that shows them so. None where the
    /// root file system is a plain directory, which can be shown so itself.
    fn mount_shown(
        &self,
        _id: &str,
        _shown: &dyn Fn(&Path) -> std::io::Result<OwnedFd>,
    ) -> Result<Option<PathBuf>> {
        Ok(None)
    }

    /// Where the container's root file system is mounted now; also a mount made before this process started.
    fn mounted(&self, id: &str) -> Option<PathBuf>;

    /// Unmounts the container's root file system and keeps its content. Not being mounted is no error.
    fn release(&self, id: &str) -> Result<()>;

    /// Unmounts and deletes the container's root file system. An unknown id is no error.
    fn remove(&self, id: &str) -> Result<()>;

    /// All containers, in no order.
    fn containers(&self) -> Vec<ContainerInfo>;

    /// Where the driver keeps the container's files, by the names that Docker has for such directories; none where the
    /// root file system is all there is.
    fn places(&self, id: &str) -> Places;

    /// The same of a layer with those below it.
    fn layer_places(&self, chain: &Digest) -> Places;

    /// What the container's writable layer takes on disk.
    fn usage(&self, id: &str) -> Result<Usage>;

    /// Writes the container's writable layer as a layer archive, deletions as whiteouts. Files and directories at the
    /// paths `leave_out`, given below the container's root, are not written; what is in such a directory is.
    fn diff(&self, id: &str, leave_out: &[PathBuf], out: &mut dyn Write) -> Result<()>;

    /// The names of the container that are not as its image has them.
    fn changes(&self, id: &str) -> Result<Vec<Change>>;

    /// Creates and mounts in one step.
    fn prepare(&self, id: &str, top: Option<&Digest>, options: &PrepareOptions) -> Result<PathBuf> {
        self.create(id, top, options)?;
        self.mount(id)
    }
}

/// Refuses an id that cannot be a file name.
pub(crate) fn check_id(id: &str) -> Result<()> {
    let ok = !id.is_empty()
        && id.len() <= 128
        && !id.starts_with('.')
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if ok {
        return Ok(());
    }
    let text = format!("invalid id {id:?}: letters, digits, '-', '_' and '.' only, not starting with '.'");
    Err(StorageError::new(ErrorKind::InvalidArgument, text))
}
