//! Named volumes of the `local` driver: `volumes/<name>/_data` below the data root.

mod device;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::copy;
use crate::driver::Usage;
use crate::error::{ErrorKind, Result, StorageError};
use crate::layout::make_private_dir;
use crate::tree;
use device::Device;

const DATA: &str = "_data";
const RECORD: &str = "volume.json";

/// A named volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    pub name: String,
    /// Always `local`.
    pub driver: String,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// Seconds since 1970.
    pub created: u64,
    /// The directory with the content; not part of the record.
    #[serde(skip)]
    pub mountpoint: PathBuf,
}

/// The named volumes of a node.
pub struct VolumeStore {
    root: PathBuf,
    /// Who uses the volumes that are mounted, by their names. Held while a volume is made, mounted or removed.
    users: Mutex<HashMap<String, HashSet<String>>>,
}

impl VolumeStore {
    /// Opens the volumes below the data root and sweeps what a crash left half done.
    pub fn open(data_root: &Path) -> Result<Self> {
        let root = data_root.join("volumes");
        make_private_dir(&root)?;
        for entry in fs::read_dir(&root)
            .map_err(|e| StorageError::path("read", &root, e))?
            .flatten()
        {
            if entry.file_name().to_string_lossy().starts_with('.') {
                tree::remove_tree(&entry.path())?;
            }
        }
        Ok(Self {
            root,
            users: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, HashSet<String>>> {
        self.users.lock().unwrap_or_else(|p| p.into_inner())
    }

    /// Makes a volume, or returns the one that has this name; as in Docker, its labels and options then stay as they are.
    /// The options `type`, `o` and `device` say what is mounted as its content while somebody uses it.
    pub fn create(
        &self,
        name: &str,
        labels: BTreeMap<String, String>,
        options: BTreeMap<String, String>,
    ) -> Result<Volume> {
        check_name(name)?;
        Device::of(&options)?;
        let _users = self.lock();
        if let Ok(found) = self.inspect(name) {
            return Ok(found);
        }
        let created = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let volume = Volume {
            name: name.to_owned(),
            driver: "local".to_owned(),
            labels,
            options,
            created,
            mountpoint: self.root.join(name).join(DATA),
        };
        let staged = self.root.join(tree::unique(".stage"));
        if let Err(error) = self.write(&staged, &volume) {
            let _ = tree::remove_tree(&staged);
            return Err(error);
        }
        Ok(volume)
    }

    fn write(&self, staged: &Path, volume: &Volume) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let data = staged.join(DATA);
        make_private_dir(&data)?;
        fs::set_permissions(&data, fs::Permissions::from_mode(0o755))
            .map_err(|e| StorageError::path("set mode of", &data, e))?;
        let record = serde_json::to_vec(volume)
            .map_err(|e| StorageError::path("write", staged, std::io::Error::from(e)))?;
        tree::write_atomic(&staged.join(RECORD), &record)?;
        let target = self.root.join(&volume.name);
        fs::rename(staged, &target).map_err(|e| StorageError::path("create", &target, e))?;
        tree::fsync_dir(&self.root)
    }

    /// The volume of this name.
    pub fn inspect(&self, name: &str) -> Result<Volume> {
        let missing = || StorageError::new(ErrorKind::NotFound, format!("get {name}: no such volume"));
        check_name(name).map_err(|_| missing())?;
        let directory = self.root.join(name);
        let path = directory.join(RECORD);
        let bytes = fs::read(&path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => missing(),
            _ => StorageError::path("read", &path, e),
        })?;
        let mut volume: Volume = serde_json::from_slice(&bytes)
            .map_err(|e| StorageError::path("read", &path, std::io::Error::from(e)))?;
        volume.mountpoint = directory.join(DATA);
        Ok(volume)
    }

    /// All volumes by name.
    pub fn list(&self) -> Result<Vec<Volume>> {
        let mut volumes = Vec::new();
        for entry in fs::read_dir(&self.root)
            .map_err(|e| StorageError::path("read", &self.root, e))?
            .flatten()
        {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            match self.inspect(&name) {
                Ok(volume) => volumes.push(volume),
                Err(error) => tracing::warn!(%error, "ignoring a damaged volume"),
            }
        }
        volumes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(volumes)
    }

    /// Deletes a volume and its content. Whether a container uses it is the caller's to know.
    pub fn remove(&self, name: &str) -> Result<()> {
        let mut users = self.lock();
        let volume = self.inspect(name)?;
        users.remove(name);
        while tree::is_mount_point(&volume.mountpoint) && tree::unmount(&volume.mountpoint)? {}
        let trash = self.root.join(tree::unique(".trash"));
        let path = self.root.join(name);
        fs::rename(&path, &trash).map_err(|e| StorageError::path("remove", &path, e))?;
        tree::fsync_dir(&self.root)?;
        tree::remove_tree(&trash)
    }

    /// Mounts a volume that has options, unless it is mounted, until [`VolumeStore::release`] of its last user. Others
    /// need nothing.
    pub fn hold(&self, name: &str, user: &str) -> Result<()> {
        let mut users = self.lock();
        let volume = self.inspect(name)?;
        let Some(device) = Device::of(&volume.options)? else {
            return Ok(());
        };
        if !tree::is_mount_point(&volume.mountpoint) {
            device.mount(&volume)?;
        }
        users.entry(name.to_owned()).or_default().insert(user.to_owned());
        Ok(())
    }

    /// Unmounts what this user was the last to hold.
    pub fn release(&self, user: &str) -> Result<()> {
        let mut users = self.lock();
        let held = users.extract_if(|_, users| users.remove(user) && users.is_empty());
        let mut result = Ok(());
        for (name, _) in held {
            let unmounted = self
                .inspect(&name)
                .and_then(|volume| tree::unmount(&volume.mountpoint));
            result = result.and(unmounted.map(drop));
        }
        result
    }

    /// Unmounts what nobody holds: what an earlier process left.
    pub fn sweep(&self) -> Result<()> {
        let users = self.lock();
        for volume in self.list()? {
            let idle = !volume.options.is_empty() && !users.contains_key(&volume.name);
            while idle && tree::is_mount_point(&volume.mountpoint) && tree::unmount(&volume.mountpoint)? {}
        }
        Ok(())
    }

    /// Fills a volume, if it is empty, with a copy of what is in `source`: whole or not at all.
    pub fn fill(&self, name: &str, source: &Path) -> Result<()> {
        let data = self.inspect(name)?.mountpoint;
        let failed = |e| StorageError::path("copy", source, e);
        if fs::read_dir(&data).map_err(failed)?.next().is_some() {
            return Ok(());
        }
        // It is moved to its place, so it has to be made on the same file system.
        let beside = match tree::is_mount_point(&data) {
            true => &data,
            false => &self.root,
        };
        let staged = beside.join(tree::unique(".stage"));
        let filled = make_private_dir(&staged).and_then(|()| {
            copy::copy_tree(source, &staged).map_err(failed)?;
            for entry in fs::read_dir(&staged).map_err(failed)? {
                let name = entry.map_err(failed)?.file_name();
                fs::rename(staged.join(&name), data.join(&name)).map_err(failed)?;
            }
            Ok(())
        });
        let _ = tree::remove_tree(&staged);
        // Last, since each change in a directory gives it another time.
        filled.and_then(|()| copy::copy_own_metadata(source, &data).map_err(failed))
    }

    /// What the volume's content takes on disk.
    pub fn usage(&self, name: &str) -> Result<Usage> {
        tree::usage(&self.inspect(name)?.mountpoint)
    }
}

fn check_name(name: &str) -> Result<()> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if first && rest && name.len() >= 2 && name.len() <= 255 {
        return Ok(());
    }
    let text = format!(
        "{name:?} includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are \
         allowed. If you intended to pass a host directory, use absolute path"
    );
    Err(StorageError::new(ErrorKind::InvalidArgument, text))
}
