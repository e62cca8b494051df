//! Drivers that keep every layer and every container as one whole tree: vfs copies it, which works on any file system
//! but is slow and large; btrfs takes a snapshot.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::copy;
use crate::digest::Digest;
use crate::driver::{ContainerInfo, Usage};
use crate::error::{Result, StorageError};
use crate::layout::{Layout, set_root_like};
use crate::store::{Backend, Store};
use crate::subvolume;
use crate::unpack::{self, Whiteouts};
use crate::walk::{self, Sizes, Visitor};

const CONTENT: &str = "fs";

/// How the tree of a layer becomes another's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whole {
    Copies,
    Snapshots,
}

impl Whole {
    /// Opens the vfs driver's directory.
    pub(crate) fn open_vfs(root: &Path) -> Result<Store<Self>> {
        Ok(Store::new(Layout::open(root)?, Self::Copies))
    }

    /// Opens the btrfs driver's directory, after trying a subvolume there.
    pub(crate) fn open_btrfs(root: &Path) -> Result<Store<Self>> {
        subvolume::require_btrfs(root)?;
        let layout = Layout::open(root)?;
        subvolume::create(&layout.stage()?.path().join("probe"))?;
        Ok(Store::new(layout, Self::Snapshots))
    }

    /// Begins a tree in the staged directory, like that of `top`.
    fn begin(self, layout: &Layout, staged: &Path, top: Option<&Digest>) -> Result<PathBuf> {
        let content = staged.join(CONTENT);
        let source = top.map(|top| layout.layer_dir(top).join(CONTENT));
        let make =
            |content: &Path| fs::create_dir(content).map_err(|e| StorageError::path("create", content, e));
        match (self, source) {
            (Self::Copies, Some(source)) => {
                make(&content)?;
                copy::copy_tree(&source, &content).map_err(|e| StorageError::path("copy", &source, e))?;
            }
            (Self::Snapshots, Some(source)) => subvolume::snapshot(&source, &content)?,
            (Self::Copies, None) => {
                make(&content)?;
                set_root_like(&content, None)?;
            }
            (Self::Snapshots, None) => {
                subvolume::create(&content)?;
                set_root_like(&content, None)?;
            }
        }
        Ok(content)
    }
}

impl Backend for Whole {
    fn name(&self) -> &'static str {
        match self {
            Self::Copies => "vfs",
            Self::Snapshots => "btrfs",
        }
    }

    fn status(&self) -> Vec<(String, String)> {
        match self {
            Self::Copies => Vec::new(),
            Self::Snapshots => vec![("Btrfs".to_owned(), String::new())],
        }
    }

    fn unpack(
        &self,
        layout: &Layout,
        staged: &Path,
        parent: Option<&Digest>,
        tar: &mut dyn Read,
    ) -> Result<u64> {
        let content = self.begin(layout, staged, parent)?;
        let options = unpack::Options {
            whiteouts: Whiteouts::Delete,
            parents: &[],
        };
        Ok(unpack::unpack(&content, tar, &options)?.bytes)
    }

    fn fill(&self, layout: &Layout, staged: &Path, top: Option<&Digest>) -> Result<()> {
        self.begin(layout, staged, top).map(drop)
    }

    fn mount(&self, layout: &Layout, container: &ContainerInfo) -> Result<PathBuf> {
        Ok(layout.container_dir(&container.id).join(CONTENT))
    }

    fn mounted(&self, directory: &Path) -> Option<PathBuf> {
        Some(directory.join(CONTENT))
    }

    fn unmount(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn usage(&self, layout: &Layout, container: &ContainerInfo) -> Result<Usage> {
        let mut sizes = Sizes::default();
        self.walk(layout, container, &mut sizes)?;
        Ok(sizes.usage())
    }

    fn walk(&self, layout: &Layout, container: &ContainerInfo, visitor: &mut dyn Visitor) -> Result<()> {
        let content = layout.container_dir(&container.id).join(CONTENT);
        let below = self.below(layout, container)?;
        walk::compared(&content, below.first().map(PathBuf::as_path), visitor)
    }

    fn below(&self, layout: &Layout, container: &ContainerInfo) -> Result<Vec<PathBuf>> {
        let top = container.top.iter();
        Ok(top.map(|top| layout.layer_dir(top).join(CONTENT)).collect())
    }
}
