//! What is remembered over restarts of the engine: one small file for each network and sandbox.

use crate::error::{Context, Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The folders under the exec root.
pub(crate) struct Memory {
    root: PathBuf,
}

impl Memory {
    pub(crate) fn open(root: &Path) -> Result<Self> {
        for folder in ["netns", "overlays", "networks", "sandboxes", "node"] {
            let path = root.join(folder);
            fs::create_dir_all(&path).context(|| format!("make {}", path.display()))?;
        }
        Ok(Self {
            root: root.to_path_buf(),
        })
    }

    /// Where a sandbox's namespace is bound.
    pub(crate) fn netns(&self, sandbox: &str) -> PathBuf {
        self.root.join("netns").join(sandbox)
    }

    /// The folder that holds the sandboxes' namespaces.
    pub(crate) fn sandboxes_folder(&self) -> PathBuf {
        self.root.join("netns")
    }

    /// The folder that holds the overlays' namespaces.
    pub(crate) fn overlays_folder(&self) -> PathBuf {
        self.root.join("overlays")
    }

    /// Whether there is a record of this id.
    pub(crate) fn knows(&self, folder: &str, id: &str) -> bool {
        self.file(folder, id).exists()
    }

    /// Where an overlay's namespace is bound.
    pub(crate) fn overlay(&self, network: &str) -> PathBuf {
        self.root.join("overlays").join(network)
    }

    fn file(&self, folder: &str, id: &str) -> PathBuf {
        self.root.join(folder).join(format!("{id}.json"))
    }

    /// Writes one record, whole or not at all.
    pub(crate) fn save(&self, folder: &str, id: &str, record: &impl Serialize) -> Result<()> {
        let path = self.file(folder, id);
        let what = || format!("write {}", path.display());
        let bytes = serde_json::to_vec(record)
            .map_err(io::Error::from)
            .context(what)?;
        let new = path.with_extension("new");
        fs::write(&new, bytes).context(what)?;
        fs::rename(&new, &path).context(what)
    }

    pub(crate) fn forget(&self, folder: &str, id: &str) -> Result<()> {
        let path = self.file(folder, id);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(Error::system(format!("remove {}", path.display()), e))
            }
            _ => Ok(()),
        }
    }

    /// Reads every record of a folder; one that cannot be read is left out, and named. What a writer that was killed did not
    /// get to rename is removed.
    pub(crate) fn load<T: DeserializeOwned>(&self, folder: &str) -> Result<(Vec<T>, Vec<PathBuf>)> {
        let path = self.root.join(folder);
        let (mut records, mut unreadable) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(&path).context(|| format!("read {}", path.display()))? {
            let file = entry.context(|| format!("read {}", path.display()))?.path();
            if file.extension().is_some_and(|e| e == "new") {
                fs::remove_file(&file).context(|| format!("remove {}", file.display()))?;
            }
            if file.extension().is_none_or(|e| e != "json") {
                continue;
            }
            match fs::read(&file)
                .ok()
                .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            {
                Some(record) => records.push(record),
                None => unreadable.push(file),
            }
        }
        Ok((records, unreadable))
    }
}
