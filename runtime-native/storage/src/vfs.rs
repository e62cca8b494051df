//! The vfs driver: every layer and every container is a whole copy. Slow and large, but it works on any file system.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::changes::{self, Change};
use crate::copy;
use crate::diff;
use crate::digest::Digest;
use crate::driver::{ContainerInfo, Discarded, LayerInfo, PrepareOptions, StorageDriver, Usage, check_id};
use crate::error::{ErrorKind, Result, StorageError};
use crate::layout::{Layout, Staged, make_private_dir};
use crate::tree;
use crate::unpack::{self, Whiteouts};
use crate::walk;

const CONTENT: &str = "fs";

/// The vfs driver.
pub(crate) struct Vfs {
    layout: Layout,
}

impl Vfs {
    /// Opens the driver's directory.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        make_private_dir(root)?;
        Ok(Self {
            layout: Layout::open(root)?,
        })
    }

    fn copy_of(&self, top: Option<&Digest>) -> Result<(Staged, PathBuf)> {
        let staged = self.layout.stage()?;
        let content = staged.path().join(CONTENT);
        fs::create_dir(&content).map_err(|e| StorageError::path("create", &content, e))?;
        match top {
            Some(top) => {
                let source = self.layout.layer_dir(top).join(CONTENT);
                copy::copy_tree(&source, &content).map_err(|e| StorageError::path("copy", &source, e))?;
            }
            None => {
                use std::os::unix::fs::PermissionsExt;
                fs::set_permissions(&content, fs::Permissions::from_mode(0o755))
                    .map_err(|e| StorageError::path("set mode of", &content, e))?;
            }
        }
        Ok((staged, content))
    }

    fn content(&self, id: &str) -> Result<PathBuf> {
        self.layout.container(id)?;
        Ok(self.layout.container_dir(id).join(CONTENT))
    }

    /// The content of the layers that a container stands on.
    fn below(&self, id: &str) -> Result<Option<PathBuf>> {
        let top = self.layout.container(id)?.top;
        Ok(top.map(|top| self.layout.layer_dir(&top).join(CONTENT)))
    }
}

impl StorageDriver for Vfs {
    fn name(&self) -> &'static str {
        "vfs"
    }

    fn status(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn apply_layer(&self, chain: &Digest, parent: Option<&Digest>, tar: &mut dyn Read) -> Result<LayerInfo> {
        if let Some(layer) = self.layout.layer(chain) {
            return Ok(layer);
        }
        let mut info = self.layout.plan_layer(chain, parent)?;
        let (staged, content) = self.copy_of(parent)?;
        let options = unpack::Options {
            whiteouts: Whiteouts::Delete,
            parents: &[],
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
            let text = format!("storage option {key:?} is not supported by vfs");
            return Err(StorageError::new(ErrorKind::InvalidArgument, text));
        }
        if self
            .layout
            .container(id)
            .is_ok_and(|found| found.top.as_ref() == top)
        {
            return Ok(());
        }
        self.layout.stack(top)?;
        let (staged, _) = self.copy_of(top)?;
        self.layout.commit_container(staged, id, top)
    }

    fn mount(&self, id: &str) -> Result<PathBuf> {
        self.content(id)
    }

    fn mounted(&self, id: &str) -> Option<PathBuf> {
        self.content(id).ok()
    }

    fn release(&self, id: &str) -> Result<()> {
        self.content(id).map(|_| ())
    }

    fn remove(&self, id: &str) -> Result<()> {
        check_id(id)?;
        self.layout.remove_container(id)
    }

    fn containers(&self) -> Vec<ContainerInfo> {
        self.layout.containers()
    }

    fn usage(&self, id: &str) -> Result<Usage> {
        tree::usage(&self.content(id)?)
    }

    fn diff(&self, id: &str, out: &mut dyn Write) -> Result<()> {
        let (content, below) = (self.content(id)?, self.below(id)?);
        diff::write(out, |layer| walk::compared(&content, below.as_deref(), layer))
    }

    fn changes(&self, id: &str) -> Result<Vec<Change>> {
        let (content, below) = (self.content(id)?, self.below(id)?);
        changes::list(below.as_slice(), |list| {
            walk::compared(&content, below.as_deref(), list)
        })
    }
}
