//! What every container is given at its start, whatever its image has: no change of its own.

use std::fs::File;
use std::io;
use std::path::Path;

use creel_runtime::rootfs::{create_dir_all, open_in_root};
use creel_runtime::user_namespace::{IdMap, as_root_of};
use creel_storage::{Change, ChangeKind};
use rustix::fs::{FileType, Mode, symlinkat};
use rustix::io::Errno;

/// Where the runtime mounts something.
const MOUNT_POINTS: [&str; 11] = [
    "dev",
    "dev/console",
    "dev/mqueue",
    "dev/pts",
    "dev/shm",
    "etc",
    "etc/hostname",
    "etc/hosts",
    "etc/resolv.conf",
    "proc",
    "sys",
];
/// By this programs know that they are in a container.
const MARK: &str = ".dockerenv";
/// What is mounted, for programs that do not ask the kernel.
const MTAB: &str = "etc/mtab";

/// All of it, below the container's root.
pub(super) fn paths() -> impl Iterator<Item = &'static Path> {
    MOUNT_POINTS.into_iter().chain([MARK, MTAB]).map(Path::new)
}

/// Whether a change is no more than what is given.
pub(super) fn is_given(change: &Change) -> bool {
    match change.kind {
        ChangeKind::Deleted => false,
        ChangeKind::Added => paths().any(|path| path == change.path),
        // A file of the image's is left alone at its start.
        ChangeKind::Modified => MOUNT_POINTS.iter().any(|path| Path::new(path) == change.path),
    }
}

/// Makes in a root, before the first start, what is not mounted there, owned by the root of `ids`. What the image has stays.
pub(super) fn put(rootfs: &Path, ids: Option<&IdMap>) -> io::Result<()> {
    as_root_of(ids, || {
        let root = File::open(rootfs)?;
        let made = rustix::fs::mknodat(&root, MARK, FileType::RegularFile, Mode::from_raw_mode(0o755), 0);
        unless_there(made)?;
        let mtab = Path::new(MTAB);
        let etc = mtab.parent().unwrap_or(Path::new(""));
        let opened = create_dir_all(rootfs, etc, 0o755)
            .and_then(|()| open_in_root(&root, etc, libc::O_PATH | libc::O_DIRECTORY));
        match opened {
            Ok(etc) => unless_there(symlinkat(
                "/proc/mounts",
                etc,
                mtab.file_name().unwrap_or_default(),
            )),
            // The image's own leads to no directory.
            Err(error) => match error.raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP) => Ok(()),
                _ => Err(error),
            },
        }
    })
}

fn unless_there(made: rustix::io::Result<()>) -> io::Result<()> {
    match made {
        Err(Errno::EXIST) => Ok(()),
        other => Ok(other?),
    }
}
