//! The overlay2 driver: one directory a layer, stacked by the kernel's overlay file system.

mod mount;

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::changes::{self, Change};
use crate::diff;
use crate::digest::Digest;
use crate::driver::{ContainerInfo, Discarded, LayerInfo, PrepareOptions, StorageDriver, Usage, check_id};
use crate::error::{ErrorKind, Result, StorageError};
use crate::layout::{Layout, Staged, make_private_dir};
use crate::tree;
use crate::unpack::{self, Whiteouts};
use crate::walk;
use mount::{Method, Stack};

const CONTENT: &str = "diff";
const UPPER: &str = "upper";
const WORK: &str = "work";
const MERGED: &str = "merged";

/// The overlay2 driver.
pub(crate) struct Overlay {
    layout: Layout,
    method: Method,
    backing: String,
    /// One lock a container, so that a mount and a removal of the same one wait for each other and no one else does.
    locks: Mutex<HashMap<String, Arc<Mutex<()>>>>,
}

impl Overlay {
    /// Opens the driver's directory, after trying a mount there.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        make_private_dir(root)?;
        let layout = Layout::open(root)?;
        make_private_dir(&layout.root().join("empty"))?;
        let probe = layout.stage()?;
        let method = mount::probe(probe.path())?;
        Ok(Self {
            layout,
            method,
            backing: mount::filesystem_name(root),
            locks: Mutex::default(),
        })
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

    fn content_dirs(&self, top: Option<&Digest>) -> Result<Vec<PathBuf>> {
        let stack = self.layout.stack(top)?;
        Ok(stack
            .iter()
            .map(|chain| self.layout.layer_dir(chain).join(CONTENT))
            .collect())
    }

    /// Mounts a container's layers, found below `root`.
    fn stack(&self, id: &str, root: &Path) -> Result<PathBuf> {
        let container = self.layout.container(id)?;
        let directory = self.layout.container_dir(id);
        let mut lower = self.content_dirs(container.top.as_ref())?;
        if lower.is_empty() {
            lower.push(self.layout.root().join("empty"));
        }
        let below = |path: &Path| {
            path.strip_prefix(self.layout.root())
                .map_or_else(|_| path.to_owned(), |p| root.join(p))
        };
        let merged = directory.join(MERGED);
        let stack = Stack {
            lower: &lower.iter().map(|path| below(path)).collect::<Vec<_>>(),
            upper: &below(&directory.join(UPPER)),
            work: &below(&directory.join(WORK)),
        };
        mount::mount(self.method, &stack, &merged)?;
        Ok(merged)
    }

    fn fill(&self, staged: &Staged, top: Option<&Digest>) -> Result<()> {
        for name in [UPPER, WORK, MERGED] {
            let path = staged.path().join(name);
            fs::create_dir(&path).map_err(|e| StorageError::path("create", &path, e))?;
        }
        // The root of the container is the upper directory itself: it must look like the image's.
        let upper = staged.path().join(UPPER);
        mount::set_root_like(&upper, self.content_dirs(top)?.first().map(PathBuf::as_path))
    }
}

impl StorageDriver for Overlay {
    fn name(&self) -> &'static str {
        "overlay2"
    }

    fn status(&self) -> Vec<(String, String)> {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        vec![
            pair("Backing Filesystem", &self.backing),
            pair("Supports d_type", "true"),
            pair("Using metacopy", "false"),
            pair("Native Overlay Diff", "true"),
            pair("userxattr", "false"),
            pair("Mount API", self.method.describe()),
        ]
    }

    fn apply_layer(&self, chain: &Digest, parent: Option<&Digest>, tar: &mut dyn Read) -> Result<LayerInfo> {
        if let Some(layer) = self.layout.layer(chain) {
            return Ok(layer);
        }
        let mut info = self.layout.plan_layer(chain, parent)?;
        let staged = self.layout.stage()?;
        let content = staged.path().join(CONTENT);
        fs::create_dir(&content).map_err(|e| StorageError::path("create", &content, e))?;
        let parents = self.content_dirs(parent)?;
        mount::set_root_like(&content, parents.first().map(PathBuf::as_path))?;
        let options = unpack::Options {
            whiteouts: Whiteouts::Overlay,
            parents: &parents,
        };
        info.size = unpack::unpack(&content, tar, &options)?.bytes;
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
            let text = format!("storage option {key:?} is not supported by overlay2 here");
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
            let staged = self.layout.stage()?;
            self.fill(&staged, top)?;
            self.layout.commit_container(staged, id, top)
        })
    }

    fn mount(&self, id: &str) -> Result<PathBuf> {
        self.with_lock(id, || {
            let merged = self.layout.container_dir(id).join(MERGED);
            match mount::is_overlay_mount(&merged) {
                true => Ok(merged),
                false => self.stack(id, self.layout.root()),
            }
        })
    }

    fn mount_shown(
        &self,
        id: &str,
        shown: &dyn Fn(&Path) -> std::io::Result<OwnedFd>,
    ) -> Result<Option<PathBuf>> {
        let root = self.layout.root();
        let copy =
            shown(root).map_err(|e| StorageError::path("show other owners of the files in", root, e))?;
        self.with_lock(id, || {
            mount::unmount(&self.layout.container_dir(id).join(MERGED))?;
            let root = PathBuf::from(format!("/proc/self/fd/{}", copy.as_raw_fd()));
            self.stack(id, &root).map(Some)
        })
    }

    fn mounted(&self, id: &str) -> Option<PathBuf> {
        self.layout.container(id).ok()?;
        let merged = self.layout.container_dir(id).join(MERGED);
        mount::is_overlay_mount(&merged).then_some(merged)
    }

    fn release(&self, id: &str) -> Result<()> {
        self.with_lock(id, || {
            self.layout.container(id)?;
            mount::unmount(&self.layout.container_dir(id).join(MERGED))
        })
    }

    fn remove(&self, id: &str) -> Result<()> {
        check_id(id)?;
        self.with_lock(id, || {
            if self.layout.container(id).is_err() {
                return Ok(());
            }
            mount::unmount(&self.layout.container_dir(id).join(MERGED))?;
            self.layout.remove_container(id)
        })
    }

    fn containers(&self) -> Vec<ContainerInfo> {
        self.layout.containers()
    }

    fn usage(&self, id: &str) -> Result<Usage> {
        self.layout.container(id)?;
        tree::usage(&self.layout.container_dir(id).join(UPPER))
    }

    fn diff(&self, id: &str, out: &mut dyn Write) -> Result<()> {
        self.layout.container(id)?;
        let upper = self.layout.container_dir(id).join(UPPER);
        diff::write(out, |layer| walk::upper(&upper, layer))
    }

    fn changes(&self, id: &str) -> Result<Vec<Change>> {
        let container = self.layout.container(id)?;
        let upper = self.layout.container_dir(id).join(UPPER);
        let layers = self.content_dirs(container.top.as_ref())?;
        changes::list(&layers, |list| walk::upper(&upper, list))
    }
}
