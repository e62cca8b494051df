//! What all drivers do alike: records, locks and the order of the steps.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::changes::{self, Change};
use crate::diff;
use crate::digest::Digest;
use crate::driver::{
    ContainerInfo, Discarded, LayerInfo, Places, PrepareOptions, StorageDriver, Usage, check_id,
};
use crate::error::{ErrorKind, Result, StorageError};
use crate::layout::Layout;
use crate::walk::Visitor;

/// Gives a copy of a directory's mount that shows its files with other owners.
pub(crate) type Show<'a> = dyn Fn(&Path) -> std::io::Result<OwnedFd> + 'a;

/// What tells one driver from another: how content is made, stacked and compared in the directories of a [`Layout`].
pub(crate) trait Backend: Send + Sync {
    fn name(&self) -> &'static str;

    fn status(&self) -> Vec<(String, String)>;

    /// Unpacks a layer on `parent` in the staged directory. Returns the bytes of file content in the archive.
    fn unpack(
        &self,
        layout: &Layout,
        staged: &Path,
        parent: Option<&Digest>,
        tar: &mut dyn Read,
    ) -> Result<u64>;

    /// Makes a container's content on `top` in the staged directory.
    fn fill(&self, layout: &Layout, staged: &Path, top: Option<&Digest>) -> Result<()>;

    /// Mounts a container's root, unless it is mounted.
    fn mount(&self, layout: &Layout, container: &ContainerInfo) -> Result<PathBuf>;

    /// The same with other owners, as [`StorageDriver::mount_shown`] tells.
    fn mount_shown(&self, _: &Layout, _: &ContainerInfo, _: &Show<'_>) -> Result<Option<PathBuf>> {
        Ok(None)
    }

    /// Where the root of the container in `directory` is mounted.
    fn mounted(&self, directory: &Path) -> Option<PathBuf>;

    fn unmount(&self, directory: &Path) -> Result<()>;

    /// As [`StorageDriver::places`] tells.
    fn places(&self, _: &Layout, _: &ContainerInfo) -> Places {
        Places::new()
    }

    /// As [`StorageDriver::layer_places`] tells.
    fn layer_places(&self, _: &Layout, _: &Digest) -> Places {
        Places::new()
    }

    fn usage(&self, layout: &Layout, container: &ContainerInfo) -> Result<Usage>;

    /// Tells what is the container's own.
    fn walk(&self, layout: &Layout, container: &ContainerInfo, visitor: &mut dyn Visitor) -> Result<()>;

    /// The directories that together hold what lies below the container, top first.
    fn below(&self, layout: &Layout, container: &ContainerInfo) -> Result<Vec<PathBuf>>;
}

/// A driver: the shared bookkeeping around a [`Backend`].
pub(crate) struct Store<B> {
    layout: Layout,
    backend: B,
    /// One lock a container, so that a mount and a removal of the same one wait for each other and no one else does.
    locks: Mutex<HashMap<String, Arc<Mutex<()>>>>,
}

impl<B: Backend> Store<B> {
    pub(crate) fn new(layout: Layout, backend: B) -> Self {
        Self {
            layout,
            backend,
            locks: Mutex::default(),
        }
    }

    fn with_lock<T>(&self, id: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let mine = {
            let mut locks = self.locks.lock().unwrap_or_else(|p| p.into_inner());
            Arc::clone(locks.entry(id.to_owned()).or_default())
        };
        let result = {
            let _held = mine.lock().unwrap_or_else(|p| p.into_inner());
            work()
        };
        let mut locks = self.locks.lock().unwrap_or_else(|p| p.into_inner());
        if Arc::strong_count(&mine) == 2 {
            locks.remove(id);
        }
        result
    }
}

impl<B: Backend> StorageDriver for Store<B> {
    fn name(&self) -> &'static str {
        self.backend.name()
    }

    fn status(&self) -> Vec<(String, String)> {
        self.backend.status()
    }

    fn apply_layer(&self, chain: &Digest, parent: Option<&Digest>, tar: &mut dyn Read) -> Result<LayerInfo> {
        if let Some(layer) = self.layout.layer(chain) {
            return Ok(layer);
        }
        let mut info = self.layout.plan_layer(chain, parent)?;
        let staged = self.layout.stage()?;
        info.size = self.backend.unpack(&self.layout, staged.path(), parent, tar)?;
        self.layout.commit_layer(staged, info)
    }

    fn layer(&self, chain: &Digest) -> Option<LayerInfo> {
        self.layout.layer(chain)
    }

    fn layers(&self) -> Vec<LayerInfo> {
        self.layout.layers()
    }

    fn remove_layer(&self, chain: &Digest) -> Result<Discarded> {
        self.layout.remove_layer(chain)
    }

    fn create(&self, id: &str, top: Option<&Digest>, options: &PrepareOptions) -> Result<()> {
        check_id(id)?;
        if let Some(key) = options.storage_opts.keys().next() {
            let text = format!("storage option {key:?} is not supported by {} here", self.name());
            return Err(StorageError::new(ErrorKind::InvalidArgument, text));
        }
        self.with_lock(id, || {
            if self
                .layout
                .container(id)
                .is_ok_and(|found| found.top.as_ref() == top)
            {
                return Ok(());
            }
            self.layout.stack(top)?;
            let staged = self.layout.stage()?;
            self.backend.fill(&self.layout, staged.path(), top)?;
            self.layout.commit_container(staged, id, top)
        })
    }

    fn mount(&self, id: &str) -> Result<PathBuf> {
        self.with_lock(id, || {
            self.backend.mount(&self.layout, &self.layout.container(id)?)
        })
    }

    fn mount_shown(&self, id: &str, shown: &Show<'_>) -> Result<Option<PathBuf>> {
        self.with_lock(id, || {
            self.backend
                .mount_shown(&self.layout, &self.layout.container(id)?, shown)
        })
    }

    fn mounted(&self, id: &str) -> Option<PathBuf> {
        self.layout.container(id).ok()?;
        self.backend.mounted(&self.layout.container_dir(id))
    }

    fn release(&self, id: &str) -> Result<()> {
        self.with_lock(id, || {
            self.layout.container(id)?;
            self.backend.unmount(&self.layout.container_dir(id))
        })
    }

    fn remove(&self, id: &str) -> Result<()> {
        check_id(id)?;
        self.with_lock(id, || {
            if self.layout.container(id).is_err() {
                return Ok(());
            }
            self.backend.unmount(&self.layout.container_dir(id))?;
            self.layout.remove_container(id)
        })
    }

    fn containers(&self) -> Vec<ContainerInfo> {
        self.layout.containers()
    }

    fn places(&self, id: &str) -> Places {
        let Ok(container) = self.layout.container(id) else {
            return Places::new();
        };
        self.backend.places(&self.layout, &container)
    }

    fn layer_places(&self, chain: &Digest) -> Places {
        self.backend.layer_places(&self.layout, chain)
    }

    fn usage(&self, id: &str) -> Result<Usage> {
        self.backend.usage(&self.layout, &self.layout.container(id)?)
    }

    fn diff(&self, id: &str, leave_out: &[PathBuf], out: &mut dyn Write) -> Result<()> {
        let container = self.layout.container(id)?;
        diff::write(out, leave_out, |layer| {
            self.backend.walk(&self.layout, &container, layer)
        })
    }

    fn changes(&self, id: &str) -> Result<Vec<Change>> {
        let container = self.layout.container(id)?;
        let below = self.backend.below(&self.layout, &container)?;
        changes::list(&below, |list| self.backend.walk(&self.layout, &container, list))
    }
}
