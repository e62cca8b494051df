use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid};
use serde::{Deserialize, Serialize};

use crate::copy;
use crate::digest::Digest;
use crate::driver::{ContainerInfo, Discarded, LayerInfo, check_id};
use crate::error::{ErrorKind, Result, StorageError};
use crate::tree;

/// The most layers that one stack may have; overlay itself takes 500.
pub(crate) const MAX_DEPTH: usize = 256;

/// The directories and records that every driver has alike:
///
/// ```text
/// layers/<hex of the chain id>/   record.json and the layer's content
/// containers/<id>/                record.json and the container's own content
/// staging/                        what is being made or deleted; emptied at start
/// ```
///
/// Whatever stands in `layers` or `containers` is complete: it was renamed there out of `staging`.
pub(crate) struct Layout {
    root: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    layers: HashMap<Digest, LayerInfo>,
    containers: HashMap<String, ContainerInfo>,
}

#[derive(Serialize, Deserialize)]
struct LayerRecord {
    chain: Digest,
    parent: Option<Digest>,
    depth: usize,
    size: u64,
}

#[derive(Serialize, Deserialize)]
struct ContainerRecord {
    id: String,
    top: Option<Digest>,
}

const RECORD: &str = "record.json";

impl Layout {
    /// Opens or makes the directories below `root` and sweeps away what a crash left half done.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        make_private_dir(root)?;
        for directory in ["layers", "containers", "staging"] {
            make_private_dir(&root.join(directory))?;
        }
        // what is renamed out of here stays where its inodes are
        tree::spread_directories(&root.join("staging"));
        let layout = Self {
            root: root.to_owned(),
            state: Mutex::default(),
        };
        layout.sweep()?;
        let mut state = State::default();
        for path in children(&root.join("layers"))? {
            match read_record::<LayerRecord>(&path) {
                Ok(r) => {
                    let LayerRecord {
                        chain,
                        parent,
                        depth,
                        size,
                    } = r;
                    state.layers.insert(
                        chain.clone(),
                        LayerInfo {
                            chain,
                            parent,
                            depth,
                            size,
                        },
                    );
                }
                Err(error) => tracing::warn!(%error, "ignoring a damaged layer"),
            }
        }
        for path in children(&root.join("containers"))? {
            match read_record::<ContainerRecord>(&path) {
                Ok(r) => {
                    state
                        .containers
                        .insert(r.id.clone(), ContainerInfo { id: r.id, top: r.top });
                }
                Err(error) => tracing::warn!(%error, "ignoring a damaged container root"),
            }
        }
        *layout.lock() = state;
        Ok(layout)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn sweep(&self) -> Result<()> {
        for path in children(&self.root.join("staging"))? {
            if let Err(error) = tree::remove_tree(&path) {
                tracing::warn!(%error, "leftover stays until the next start");
            }
        }
        Ok(())
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn layer_dir(&self, chain: &Digest) -> PathBuf {
        self.root.join("layers").join(chain.hex())
    }

    pub(crate) fn container_dir(&self, id: &str) -> PathBuf {
        self.root.join("containers").join(id)
    }

    /// A new empty directory that disappears again unless it is committed.
    pub(crate) fn stage(&self) -> Result<Staged> {
        let path = self.root.join("staging").join(tree::unique("stage"));
        make_private_dir(&path)?;
        Ok(Staged { path: Some(path) })
    }

    pub(crate) fn layer(&self, chain: &Digest) -> Option<LayerInfo> {
        self.lock().layers.get(chain).cloned()
    }

    pub(crate) fn layers(&self) -> Vec<LayerInfo> {
        self.lock().layers.values().cloned().collect()
    }

    pub(crate) fn container(&self, id: &str) -> Result<ContainerInfo> {
        self.lock().containers.get(id).cloned().ok_or_else(|| {
            StorageError::new(
                ErrorKind::NotFound,
                format!("no root file system for container {id}"),
            )
        })
    }

    pub(crate) fn containers(&self) -> Vec<ContainerInfo> {
        self.lock().containers.values().cloned().collect()
    }

    /// The chain ids from `top` down to the bottom.
    pub(crate) fn stack(&self, top: Option<&Digest>) -> Result<Vec<Digest>> {
        let state = self.lock();
        let mut stack = Vec::new();
        let mut next = top;
        while let Some(chain) = next {
            let Some(layer) = state.layers.get(chain) else {
                return Err(StorageError::new(
                    ErrorKind::NotFound,
                    format!("no layer {chain}"),
                ));
            };
            next = layer.parent.as_ref();
            stack.push(chain.clone());
        }
        Ok(stack)
    }

    /// What a new layer on `parent` would be, or why it cannot be.
    pub(crate) fn plan_layer(&self, chain: &Digest, parent: Option<&Digest>) -> Result<LayerInfo> {
        let depth = self.stack(parent)?.len() + 1;
        if depth > MAX_DEPTH {
            let text = format!("too many layers: {depth}, the most is {MAX_DEPTH}");
            return Err(StorageError::new(ErrorKind::InvalidArgument, text));
        }
        Ok(LayerInfo {
            chain: chain.clone(),
            parent: parent.cloned(),
            depth,
            size: 0,
        })
    }

    /// Makes a staged layer durable, then visible. If another thread was first, its layer is the one.
    pub(crate) fn commit_layer(&self, staged: Staged, info: LayerInfo) -> Result<LayerInfo> {
        let LayerInfo {
            chain,
            parent,
            depth,
            size,
        } = info.clone();
        write_record(
            staged.path(),
            &LayerRecord {
                chain,
                parent,
                depth,
                size,
            },
        )?;
        sync_filesystem(staged.path())?;
        let target = self.layer_dir(&info.chain);
        let mut state = self.lock();
        if let Some(first) = state.layers.get(&info.chain) {
            return Ok(first.clone());
        }
        if info
            .parent
            .as_ref()
            .is_some_and(|parent| !state.layers.contains_key(parent))
        {
            return Err(StorageError::new(
                ErrorKind::NotFound,
                "the parent layer was removed meanwhile",
            ));
        }
        staged.persist(&target)?;
        state.layers.insert(info.chain.clone(), info.clone());
        Ok(info)
    }

    /// Takes a layer out of sight.
    pub(crate) fn remove_layer(&self, chain: &Digest) -> Result<Discarded> {
        let mut state = self.lock();
        if !state.layers.contains_key(chain) {
            return Ok(Discarded::default());
        }
        if let Some(child) = state.layers.values().find(|l| l.parent.as_ref() == Some(chain)) {
            let text = format!("layer {chain} is in use by layer {}", child.chain);
            return Err(StorageError::new(ErrorKind::InUse, text));
        }
        if let Some(container) = state.containers.values().find(|c| c.top.as_ref() == Some(chain)) {
            let text = format!("layer {chain} is in use by container {}", container.id);
            return Err(StorageError::new(ErrorKind::InUse, text));
        }
        let discarded = self.discard(&self.layer_dir(chain))?;
        state.layers.remove(chain);
        Ok(discarded)
    }

    /// Makes a staged container root visible.
    pub(crate) fn commit_container(&self, staged: Staged, id: &str, top: Option<&Digest>) -> Result<()> {
        check_id(id)?;
        write_record(
            staged.path(),
            &ContainerRecord {
                id: id.to_owned(),
                top: top.cloned(),
            },
        )?;
        let mut state = self.lock();
        if state.containers.contains_key(id) {
            let text = format!("container {id} has a root file system already");
            return Err(StorageError::new(ErrorKind::AlreadyExists, text));
        }
        if let Some(top) = top
            && !state.layers.contains_key(top)
        {
            return Err(StorageError::new(ErrorKind::NotFound, format!("no layer {top}")));
        }
        staged.show(&self.container_dir(id))?;
        state.containers.insert(
            id.to_owned(),
            ContainerInfo {
                id: id.to_owned(),
                top: top.cloned(),
            },
        );
        // Many wait for the disk together, not one behind the other.
        drop(state);
        tree::fsync_dir(&self.root.join("containers"))
    }

    /// Takes a container root, which must not be mounted, out of sight and then deletes it.
    pub(crate) fn remove_container(&self, id: &str) -> Result<()> {
        let mut state = self.lock();
        if !state.containers.contains_key(id) {
            return Ok(());
        }
        let discarded = self.discard(&self.container_dir(id))?;
        state.containers.remove(id);
        drop(state);
        drop(discarded);
        Ok(())
    }

    fn discard(&self, path: &Path) -> Result<Discarded> {
        let trash = self.root.join("staging").join(tree::unique("trash"));
        fs::rename(path, &trash).map_err(|e| StorageError::path("remove", path, e))?;
        Ok(Discarded::new(trash))
    }
}

/// A directory in `staging`, deleted when dropped.
pub(crate) struct Staged {
    path: Option<PathBuf>,
}

impl Staged {
    pub(crate) fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new(""))
    }

    fn persist(self, target: &Path) -> Result<()> {
        self.show(target)?;
        tree::fsync_dir(target.parent().unwrap_or(Path::new("/")))
    }

    /// Puts it in its place, where a power cut may still take it away.
    fn show(mut self, target: &Path) -> Result<()> {
        let path = self.path();
        fs::rename(path, target).map_err(|e| StorageError::path("create", target, e))?;
        self.path = None;
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(path) = self.path.take()
            && let Err(error) = tree::remove_tree(&path)
        {
            tracing::warn!(%error, "leftover stays until the next start");
        }
    }
}

/// Makes a directory that only root may enter, with what is missing of its way.
pub(crate) fn make_private_dir(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let made = fs::DirBuilder::new().recursive(true).mode(0o710).create(path);
    made.map_err(|e| StorageError::path("create", path, e))
}

fn children(path: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e| StorageError::path("read", path, e);
    fs::read_dir(path)
        .map_err(failed)?
        .map(|entry| Ok(entry.map_err(failed)?.path()))
        .collect()
}

fn read_record<T: for<'a> Deserialize<'a>>(directory: &Path) -> Result<T> {
    let path = directory.join(RECORD);
    let bytes = fs::read(&path).map_err(|e| StorageError::path("read", &path, e))?;
    serde_json::from_slice(&bytes).map_err(|e| StorageError::path("read", &path, std::io::Error::from(e)))
}

/// Into a staged directory, which is not seen before it is whole: there is nothing to replace.
fn write_record<T: Serialize>(directory: &Path, record: &T) -> Result<()> {
    let path = directory.join(RECORD);
    let failed = |e| StorageError::path("write", &path, e);
    let bytes = serde_json::to_vec(record).map_err(|e| failed(std::io::Error::from(e)))?;
    fs::File::create_new(&path)
        .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
        .map_err(failed)
}

/// One call for all files of a layer, where a sync of each would cost thousands.
fn sync_filesystem(path: &Path) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        .and_then(rustix::fs::syncfs)
        .map_err(|e| StorageError::path("sync", path, e))
}

/// Gives a new root directory the looks of the one below, or of a plain root.
pub(crate) fn set_root_like(path: &Path, below: Option<&Path>) -> Result<()> {
    let set = || -> rustix::io::Result<()> {
        let Some(below) = below else {
            rustix::fs::chownat(CWD, path, Some(Uid::ROOT), Some(Gid::ROOT), AtFlags::empty())?;
            return rustix::fs::chmodat(CWD, path, Mode::from_raw_mode(0o755), AtFlags::empty());
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let below = rustix::fs::open(below, flags, Mode::empty())?;
        let parent = rustix::fs::open(path, flags, Mode::empty())?;
        copy::copy_metadata(&below, &parent, std::ffi::OsStr::new("."))
    };
    set().map_err(|e| StorageError::path("set attributes of", path, e))
}
