//! The overlay2 driver: one directory a layer, stacked by the kernel's overlay file system.

mod mount;
mod shown;

use std::fs;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::digest::Digest;
use crate::driver::{ContainerInfo, Places, Usage};
use crate::error::{Result, StorageError};
use crate::layout::{Layout, make_private_dir, set_root_like};
use crate::store::{Backend, Show, Store};
use crate::tree;
use crate::unpack::{self, Whiteouts};
use crate::walk::{self, Visitor};
use mount::{Method, Stack};

const CONTENT: &str = "diff";
const UPPER: &str = "upper";
const WORK: &str = "work";
const MERGED: &str = "merged";

/// The overlay2 driver's own part.
pub(crate) struct Overlay {
    method: Method,
    backing: String,
    /// Whether the kernel has refused layers of a mount that is attached nowhere.
    attached_only: AtomicBool,
}

impl Overlay {
    /// Opens the driver's directory, after trying a mount there.
    pub(crate) fn open(root: &Path) -> Result<Store<Self>> {
        let layout = Layout::open(root)?;
        let own = Self::in_layout(&layout)?;
        Ok(Store::new(layout, own))
    }

    fn in_layout(layout: &Layout) -> Result<Self> {
        make_private_dir(&layout.root().join("empty"))?;
        let probe = layout.stage()?;
        Ok(Self {
            method: mount::probe(probe.path())?,
            backing: mount::filesystem_name(layout.root()),
            attached_only: AtomicBool::new(false),
        })
    }

    /// Mounts a container's layers, found below `root`.
    fn stack(&self, layout: &Layout, container: &ContainerInfo, root: &Path) -> Result<PathBuf> {
        let directory = layout.container_dir(&container.id);
        let mut lower = self.below(layout, container)?;
        if lower.is_empty() {
            lower.push(layout.root().join("empty"));
        }
        let below = |path: &Path| {
            path.strip_prefix(layout.root())
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
}

fn content_dirs(layout: &Layout, top: Option<&Digest>) -> Result<Vec<PathBuf>> {
    let stack = layout.stack(top)?;
    Ok(stack
        .iter()
        .map(|chain| layout.layer_dir(chain).join(CONTENT))
        .collect())
}

/// The layers as one word of the mount's.
fn lower_place(layers: &[PathBuf]) -> Places {
    let mut places = Places::new();
    if !layers.is_empty() {
        let paths: Vec<_> = layers.iter().map(|path| path.display().to_string()).collect();
        places.insert("LowerDir".to_owned(), paths.join(":"));
    }
    places
}

impl Backend for Overlay {
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

    fn unpack(
        &self,
        layout: &Layout,
        staged: &Path,
        parent: Option<&Digest>,
        tar: &mut dyn Read,
    ) -> Result<u64> {
        let content = staged.join(CONTENT);
        fs::create_dir(&content).map_err(|e| StorageError::path("create", &content, e))?;
        let parents = content_dirs(layout, parent)?;
        set_root_like(&content, parents.first().map(PathBuf::as_path))?;
        let options = unpack::Options {
            whiteouts: Whiteouts::Overlay,
            parents: &parents,
        };
        Ok(unpack::unpack(&content, tar, &options)?.bytes)
    }

    fn fill(&self, layout: &Layout, staged: &Path, top: Option<&Digest>) -> Result<()> {
        for name in [UPPER, WORK, MERGED] {
            let path = staged.join(name);
            fs::create_dir(&path).map_err(|e| StorageError::path("create", &path, e))?;
        }
        // The root of the container is the upper directory itself: it must look like the image's.
        let below = content_dirs(layout, top)?;
        set_root_like(&staged.join(UPPER), below.first().map(PathBuf::as_path))
    }

    fn mount(&self, layout: &Layout, container: &ContainerInfo) -> Result<PathBuf> {
        let merged = layout.container_dir(&container.id).join(MERGED);
        match mount::is_overlay_mount(&merged) {
            true => Ok(merged),
            false => self.stack(layout, container, layout.root()),
        }
    }

    fn mount_shown(
        &self,
        layout: &Layout,
        container: &ContainerInfo,
        shown: &Show<'_>,
    ) -> Result<Option<PathBuf>> {
        let root = layout.root();
        let copy =
            shown(root).map_err(|e| StorageError::path("show other owners of the files in", root, e))?;
        let merged = layout.container_dir(&container.id).join(MERGED);
        mount::unmount(&merged)?;
        let root = PathBuf::from(format!("/proc/self/fd/{}", copy.as_raw_fd()));
        if !self.attached_only.load(Ordering::Relaxed) {
            match self.stack(layout, container, &root) {
                Err(error) if error.errno() == Some(libc::EINVAL) => {}
                other => return other.map(Some),
            }
        }
        let stack = || self.stack(layout, container, &root).map(drop);
        let overlay = shown::with_attached(&copy, &merged, stack)?;
        shown::attach(&overlay, &merged)
            .map_err(|error| StorageError::path("mount overlay at", &merged, error))?;
        self.attached_only.store(true, Ordering::Relaxed);
        Ok(Some(merged))
    }

    fn mounted(&self, directory: &Path) -> Option<PathBuf> {
        Some(directory.join(MERGED)).filter(|merged| mount::is_overlay_mount(merged))
    }

    fn unmount(&self, directory: &Path) -> Result<()> {
        mount::unmount(&directory.join(MERGED))
    }

    fn places(&self, layout: &Layout, container: &ContainerInfo) -> Places {
        let directory = layout.container_dir(&container.id);
        let mut places = lower_place(&self.below(layout, container).unwrap_or_default());
        for (name, place) in [("UpperDir", UPPER), ("WorkDir", WORK), ("MergedDir", MERGED)] {
            places.insert(name.to_owned(), directory.join(place).display().to_string());
        }
        places
    }

    fn layer_places(&self, layout: &Layout, chain: &Digest) -> Places {
        let content = content_dirs(layout, Some(chain)).unwrap_or_default();
        let Some((top, below)) = content.split_first() else {
            return Places::new();
        };
        let mut places = lower_place(below);
        places.insert("UpperDir".to_owned(), top.display().to_string());
        places
    }

    fn usage(&self, layout: &Layout, container: &ContainerInfo) -> Result<Usage> {
        tree::usage(&layout.container_dir(&container.id).join(UPPER))
    }

    fn walk(&self, layout: &Layout, container: &ContainerInfo, visitor: &mut dyn Visitor) -> Result<()> {
        walk::upper(&layout.container_dir(&container.id).join(UPPER), visitor)
    }

    fn below(&self, layout: &Layout, container: &ContainerInfo) -> Result<Vec<PathBuf>> {
        content_dirs(layout, container.top.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::CWD;
    use rustix::mount::{OpenTreeFlags, open_tree};

    use super::*;
    use crate::driver::{PrepareOptions, StorageDriver};

    #[test]
    fn layers_are_shown_attached_or_not_and_nothing_of_them_is_left() {
        for attached_only in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let base = Shared::mount(directory.path());
            let layout = Layout::open(base.0).unwrap();
            let own = Overlay::in_layout(&layout).unwrap();
            own.attached_only.store(attached_only, Ordering::Relaxed);
            let store = Store::new(layout, own);
            store.create("one", None, &PrepareOptions::default()).unwrap();
            let show = |path: &Path| {
                let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
                Ok(open_tree(CWD, path, flags)?)
            };
            let merged = store.mount_shown("one", &show).unwrap().unwrap();
            let mounted = mounts_below(base.0);
            let written = fs::write(merged.join("new"), b"1");
            store.release("one").unwrap();
            assert_eq!(mounted, [base.0, &merged], "{attached_only}");
            written.unwrap();
            assert_eq!(mounts_below(base.0), [base.0]);
            assert!(base.0.join("containers/one/upper/new").exists());
        }
    }

    /// A directory on a mount of its own that others share, as systemd has all of a machine's.
    struct Shared<'a>(&'a Path);

    impl<'a> Shared<'a> {
        fn mount(path: &'a Path) -> Self {
            rustix::mount::mount_bind(path, path).unwrap();
            rustix::mount::mount_change(path, rustix::mount::MountPropagationFlags::SHARED).unwrap();
            Self(path)
        }
    }

    impl Drop for Shared<'_> {
        fn drop(&mut self) {
            let _ = rustix::mount::unmount(self.0, rustix::mount::UnmountFlags::DETACH);
        }
    }

    fn mounts_below(directory: &Path) -> Vec<PathBuf> {
        let all = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let places = all.lines().filter_map(|line| line.split(' ').nth(4));
        places
            .map(PathBuf::from)
            .filter(|place| place.starts_with(directory))
            .collect()
    }
}
