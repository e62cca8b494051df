//! A container's files, for those who work on them from outside.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use creel_runtime::cgroup::Cgroup;
use creel_runtime::rootfs::{create_dir_all, open_in_root};
use creel_runtime::spec::MountInput;
use creel_runtime::user_namespace::IdMap;
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, MountPropagationFlags};

use super::record::Status;
use super::subpaths::Subpaths;
use super::{Container, mounts};
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::volume::storage_error;

/// How long a process that has ended is waited for to be known as such.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);

impl Engine {
    /// Runs `work` on a container's root as the container sees it: its processes' own while it runs, else its files
    /// with its volumes. It cannot be started before `work` is done. Blocks.
    pub(super) fn with_view<T: Send>(
        &self,
        container: &Container,
        work: impl FnOnce(&OwnedFd, Option<&IdMap>) -> Result<T> + Send,
    ) -> Result<T> {
        if let Some(root) = self.running_root(container)? {
            return work(&root, container.state().ids.as_ref());
        }
        let _operation = container.operation.blocking_lock();
        // It may have been started before the lock was had.
        if let Some(root) = self.running_root(container)? {
            return work(&root, container.state().ids.as_ref());
        }
        let definition = container.definition();
        let held = self.volumes.hold(&definition.mounts, &container.id);
        let done = held.and_then(|()| {
            let places = self.places(container);
            let subpaths = Subpaths::hold(places.subpaths_dir, &definition.mounts, &self.volumes)?;
            let mounts = mounts::inputs(&definition.mounts, &self.volumes, &subpaths)?;
            self.with_files_held(container, |rootfs| {
                // The mounts are this thread's own and go with it, whatever happens.
                std::thread::scope(|scope| {
                    let thread = scope.spawn(|| work(&stopped_root(rootfs, &mounts)?, None));
                    let ended = |_| Err(EngineError::internal("an operation ended unexpectedly"));
                    thread.join().unwrap_or_else(ended)
                })
            })
        });
        self.volumes.release(&container.id);
        done
    }

    /// Runs `work` with the folder of a container's own files and its image's, without volumes. Blocks.
    pub(super) fn with_files<T>(
        &self,
        container: &Container,
        work: impl FnOnce(&Path, Option<&IdMap>) -> Result<T>,
    ) -> Result<T> {
        // A driver without mounts shows the owners that are on disk.
        let ids = || {
            container
                .state()
                .ids
                .filter(|_| self.storage.name() == "overlay2")
        };
        if container.status().has_process()
            && let Some(rootfs) = self.storage.mounted(&container.id)
        {
            return work(&rootfs, ids().as_ref());
        }
        let _operation = container.operation.blocking_lock();
        match self.storage.mounted(&container.id) {
            Some(rootfs) if container.status().has_process() => work(&rootfs, ids().as_ref()),
            _ => self.with_files_held(container, |rootfs| work(rootfs, None)),
        }
    }

    /// The same for a container that does not run, whose operation lock the caller holds.
    fn with_files_held<T>(&self, container: &Container, work: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
        if matches!(container.status(), Status::Removing | Status::Dead) {
            return Err(EngineError::conflict("container is marked for removal"));
        }
        let rootfs = self.storage.mount(&container.id).map_err(storage_error)?;
        let done = work(&rootfs);
        let released = self.storage.release(&container.id).map_err(storage_error);
        done.and_then(|value| released.map(|()| value))
    }

    /// The root of a container's processes, if it has any.
    fn running_root(&self, container: &Container) -> Result<Option<OwnedFd>> {
        let end = Instant::now() + PATIENCE;
        loop {
            let state = container.state();
            if !state.status.has_process() {
                return Ok(None);
            }
            let root = open(format!("/proc/{}/root", state.pid).as_ref());
            // Its number may be another's by now; what is in its cgroup is of the container.
            let still = Cgroup::new(&self.places(container).cgroup)
                .pids()
                .contains(&state.pid);
            match root {
                Ok(root) if still => return Ok(Some(root)),
                Err(error) if Instant::now() > end => return Err(error),
                _ if Instant::now() > end => {
                    let text = format!("container {} is ending", container.id);
                    return Err(EngineError::conflict(text));
                }
                _ => std::thread::sleep(POLL),
            }
        }
    }
}

fn open(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(
        path,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|e| EngineError::io(format_args!("open {}", path.display()), e))
}

/// Puts the volumes of a container that does not run where it has them, for this thread alone.
fn stopped_root(rootfs: &Path, mounts: &[MountInput]) -> Result<OwnedFd> {
    let failed = |e: std::io::Error| EngineError::io("make the container's mounts", e);
    // SAFETY: this thread alone gets another mount namespace; it ends with the operation.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return Err(failed(std::io::Error::last_os_error()));
    }
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", slave).map_err(|e| failed(e.into()))?;
    let root = File::from(open(rootfs)?);
    for mount in mounts.iter().filter(|m| m.kind == "bind") {
        let target = match open_in_root(&root, &mount.destination, libc::O_PATH) {
            Ok(target) => target,
            Err(_) if mount.source.is_dir() => {
                create_dir_all(rootfs, &mount.destination, 0o755).map_err(failed)?;
                open_in_root(&root, &mount.destination, libc::O_PATH).map_err(failed)?
            }
            // A file is put in its place by the first start.
            Err(_) => continue,
        };
        rustix::mount::mount_bind_recursive(&mount.source, descriptor(&target))
            .map_err(|e| failed(e.into()))?;
        if mount.options.iter().any(|o| o == "ro" || o == "rro") {
            let mounted = open_in_root(&root, &mount.destination, libc::O_PATH).map_err(failed)?;
            let flags = MountFlags::BIND | MountFlags::RDONLY;
            rustix::mount::mount_remount(descriptor(&mounted), flags, "").map_err(|e| failed(e.into()))?;
        }
    }
    Ok(root.into())
}

fn descriptor(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}
