//! Parts of volumes as sources of mounts. Another container may be exchanging the volume's directories for links
//! meanwhile: what was found is held by a mount of the engine's own, and that is what is mounted into the container.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Component, Path, PathBuf};

use creel_runtime::rootfs::open_in_root;
use rustix::mount::UnmountFlags;

use crate::error::{EngineError, Result};
use crate::proto::Mount;
use crate::volume::Volumes;

/// The held parts, by the targets of their mounts; let go of at its end.
pub struct Subpaths {
    dir: PathBuf,
    sources: HashMap<String, PathBuf>,
}

impl Subpaths {
    /// Finds the part of a volume that each of `mounts` asks for, and holds it below `dir`.
    pub fn hold(dir: PathBuf, mounts: &[Mount], volumes: &Volumes) -> Result<Self> {
        drop_all(&dir);
        let mut held = Self {
            dir,
            sources: HashMap::new(),
        };
        for (index, mount) in mounts.iter().enumerate() {
            if mount.r#type == "volume" && !mount.subpath.is_empty() {
                let found = find(mount, volumes)?;
                let source = held.dir.join(index.to_string());
                hold_at(&found, &source)
                    .map_err(|e| EngineError::io(format_args!("hold {}", mount.subpath), e))?;
                held.sources.insert(mount.target.clone(), source);
            }
        }
        Ok(held)
    }

    /// Where the part of a volume is that is mounted to `target`; none for a mount of another kind.
    pub fn source(&self, target: &str) -> Option<PathBuf> {
        self.sources.get(target).cloned()
    }
}

impl Drop for Subpaths {
    fn drop(&mut self) {
        drop_all(&self.dir);
    }
}

/// Whether a subpath names something in a volume by its words alone; none names all of it.
pub fn is_local(subpath: &str) -> bool {
    let mut depth = 0;
    Path::new(subpath).components().all(|part| {
        match part {
            Component::Normal(_) => depth += 1,
            Component::ParentDir => depth -= 1,
            Component::CurDir => {}
            _ => return false,
        }
        depth >= 0
    })
}

/// The file a mount's subpath leads to, by links followed inside the volume.
pub fn find(mount: &Mount, volumes: &Volumes) -> Result<File> {
    let failed = |e: std::io::Error| {
        EngineError::invalid(format!(
            "cannot access the subpath {:?} of the volume {}: {e}",
            mount.subpath, mount.source
        ))
    };
    let base = File::open(volumes.inspect(&mount.source)?.mountpoint).map_err(failed)?;
    open_in_root(&base, Path::new(&mount.subpath), libc::O_PATH).map_err(failed)
}

fn hold_at(found: &File, place: &Path) -> std::io::Result<()> {
    if found.metadata()?.is_dir() {
        fs::create_dir_all(place)?;
    } else {
        fs::create_dir_all(place.parent().unwrap_or(Path::new("/")))?;
        File::create_new(place)?;
    }
    let source = format!("/proc/self/fd/{}", found.as_raw_fd());
    Ok(rustix::mount::mount_bind_recursive(source, place)?)
}

/// Lets go of what an engine that was killed has held below `dir`, for all containers.
pub fn sweep(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        drop_all(&entry.path());
    }
}

fn drop_all(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let place = entry.path();
        while rustix::mount::unmount(&place, UnmountFlags::DETACH).is_ok() {}
        // A place that is still a mount refuses.
        let _ = fs::remove_dir(&place).or_else(|_| fs::remove_file(&place));
    }
    let _ = fs::remove_dir(dir);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subpaths_stay_in_their_volume() {
        for good in ["", "a", "a/b", "./a/../b"] {
            assert!(is_local(good), "{good}");
        }
        for bad in ["/a", "..", "a/../..", "../a"] {
            assert!(!is_local(bad), "{bad}");
        }
    }
}
