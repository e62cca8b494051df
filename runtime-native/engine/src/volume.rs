//! Named volumes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use creel_storage::volumes::{Volume, VolumeStore};

use crate::error::{EngineError, ErrorCode, Result};
use crate::proto;

/// Docker's label of volumes that nobody named: a prune takes those.
pub const ANONYMOUS: &str = "com.docker.volume.anonymous";

/// The volumes of the node.
pub struct Volumes {
    store: VolumeStore,
    /// Those of containers that are being created: nobody finds them among the containers yet.
    claimed: Mutex<Vec<String>>,
}

/// Volumes that are not to be removed, as long as it lives.
pub struct Claim<'a> {
    volumes: &'a Volumes,
    names: Vec<String>,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut claimed = self.volumes.claimed();
        for name in &self.names {
            if let Some(at) = claimed.iter().position(|other| other == name) {
                claimed.swap_remove(at);
            }
        }
    }
}

/// Turns a failure of the storage layer into the engine's.
pub fn storage_error(error: creel_storage::StorageError) -> EngineError {
    use creel_storage::ErrorKind as K;
    let code = match error.kind() {
        K::InvalidArgument => ErrorCode::InvalidParameter,
        K::InvalidArchive => ErrorCode::InvalidArchive,
        K::Unsupported => ErrorCode::Unsupported,
        K::NoSpace => ErrorCode::DiskFull,
        K::InUse => ErrorCode::Conflict,
        K::NotFound | K::AlreadyExists | K::Io => ErrorCode::Internal,
    };
    EngineError::new(code, error.to_string())
}

fn volume_error(error: creel_storage::StorageError) -> EngineError {
    match error.kind() {
        creel_storage::ErrorKind::NotFound => EngineError::new(ErrorCode::NoSuchVolume, error.to_string()),
        _ => storage_error(error),
    }
}

impl Volumes {
    /// Opens the volumes below the data root.
    pub fn open(data_root: &Path) -> Result<Self> {
        Ok(Self {
            store: VolumeStore::open(data_root).map_err(volume_error)?,
            claimed: Mutex::default(),
        })
    }

    /// Makes a volume, or gives the one of that name.
    pub fn create(
        &self,
        name: &str,
        labels: BTreeMap<String, String>,
        options: BTreeMap<String, String>,
    ) -> Result<Volume> {
        self.store.create(name, labels, options).map_err(volume_error)
    }

    /// Whether there is a volume of this name.
    pub fn exists(&self, name: &str) -> bool {
        self.store.inspect(name).is_ok()
    }

    /// The volume of this name.
    pub fn inspect(&self, name: &str) -> Result<Volume> {
        self.store.inspect(name).map_err(volume_error)
    }

    /// Makes the volumes among the mounts ready for a container; [`Volumes::release`] is due whatever comes of it.
    pub fn hold(&self, mounts: &[proto::Mount], container: &str) -> Result<()> {
        let named = mounts.iter().filter(|mount| mount.r#type == "volume");
        for mount in named {
            self.store.hold(&mount.source, container).map_err(volume_error)?;
        }
        Ok(())
    }

    /// A container uses its volumes no longer.
    pub fn release(&self, container: &str) {
        if let Err(error) = self.store.release(container) {
            tracing::warn!(container, %error, "a volume stays mounted");
        }
    }

    /// Unmounts the volumes that nobody holds.
    pub fn sweep(&self) {
        if let Err(error) = self.store.sweep() {
            tracing::warn!(%error, "a volume stays mounted");
        }
    }

    /// Fills a volume, if it is empty, with what the image has at its place.
    pub fn fill(&self, name: &str, source: &Path) -> Result<()> {
        self.store.fill(name, source).map_err(storage_error)
    }

    /// Bytes that a volume's content takes on disk; -1 when it cannot be read.
    pub fn size(&self, name: &str) -> i64 {
        self.store.usage(name).map_or(-1, |usage| usage.bytes as i64)
    }

    /// All volumes by name.
    pub fn list(&self) -> Result<Vec<Volume>> {
        self.store.list().map_err(volume_error)
    }

    /// Keeps the volumes among the mounts from [`Volumes::remove_unused`] until their container is listed.
    pub fn claim(&self, mounts: &[proto::Mount]) -> Claim<'_> {
        let volumes = mounts.iter().filter(|mount| mount.r#type == "volume");
        let names: Vec<_> = volumes.map(|mount| mount.source.clone()).collect();
        self.claimed().extend_from_slice(&names);
        Claim { volumes: self, names }
    }

    fn claimed(&self) -> MutexGuard<'_, Vec<String>> {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Deletes a volume that no container has; `users`: the ids of those that are listed and have it.
    pub fn remove_unused(&self, name: &str, users: impl FnOnce() -> Vec<String>) -> Result<()> {
        // held to the end: a container that comes meanwhile finds no volume and makes one
        let claimed = self.claimed();
        let users = users();
        if !users.is_empty() || claimed.iter().any(|other| other == name) {
            let text = format!("remove {name}: volume is in use - [{}]", users.join(", "));
            return Err(EngineError::new(ErrorCode::VolumeInUse, text));
        }
        self.remove(name)
    }

    /// Deletes a volume with its content.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.store.remove(name).map_err(volume_error)
    }
}

/// A volume as the contract has it.
pub fn describe(volume: Volume) -> proto::Volume {
    proto::Volume {
        name: volume.name,
        driver: volume.driver,
        labels: volume.labels.into_iter().collect(),
        options: volume.options.into_iter().collect(),
        mountpoint: volume.mountpoint.to_string_lossy().into_owned(),
        created_nanos: volume.created as i64 * 1_000_000_000,
        size: -1,
    }
}
