//! Layers below an overlay that are shown with other owners: by a mount of their own, which nobody else needs to see.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{
    MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount_change, move_mount, open_tree,
};

use crate::error::{Result, StorageError};

/// Does `stack`, which mounts at `place`, where `layers` is attached in a mount namespace; gives what was mounted, attached
/// nowhere. The namespace is a new one that ends with this, so that nothing of `layers` is left anywhere.
///
/// Linux before 6.15 stacks no layers of a mount that is attached nowhere.
pub(super) fn with_attached(
    layers: &OwnedFd,
    place: &Path,
    stack: impl FnOnce() -> Result<()> + Send,
) -> Result<OwnedFd> {
    let work = || {
        let failed = |error| StorageError::path("mount layers at", place, error);
        // SAFETY: a plain call that changes this thread alone.
        if unsafe { libc::unshare(libc::CLONE_FS | libc::CLONE_NEWNS) } != 0 {
            return Err(failed(std::io::Error::last_os_error()));
        }
        // Nothing of what follows is to reach the other namespaces: neither through the copies of their mounts, nor through
        // the layers' mount, which goes on sharing with the one it is a copy of.
        let private = MountPropagationFlags::PRIVATE;
        mount_change("/", private | MountPropagationFlags::REC)
            .and_then(|()| attach(layers, place))
            .and_then(|()| mount_change(place, private))
            .map_err(|error| failed(error.into()))?;
        stack()?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        open_tree(CWD, place, flags).map_err(|error| failed(error.into()))
    };
    // A thread of its own, whose credentials are the caller's.
    std::thread::scope(|scope| {
        let done = scope.spawn(work).join();
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Attaches a mount at a place.
pub(super) fn attach(mount: &OwnedFd, place: &Path) -> rustix::io::Result<()> {
    move_mount(
        mount.as_fd(),
        "",
        CWD,
        place,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
}
