use std::path::Path;

use crate::driver::StorageDriver;
use crate::error::{ErrorKind, Result, StorageError};
use crate::overlay::Overlay;
use crate::vfs::Vfs;

/// The drivers that [`open`] knows, the default first.
pub const DRIVER_NAMES: [&str; 2] = ["overlay2", "vfs"];

/// Opens a storage driver by its name below the data root; `None` is overlay2. A driver that is not here, or that the
/// kernel or the file system does not carry, is an error that says what lacks.
pub fn open(name: Option<&str>, data_root: &Path) -> Result<Box<dyn StorageDriver>> {
    let lacks = |name: &str, what: &str| {
        let text = format!(
            "storage driver {name} is not available: {what}; use one of: {}",
            DRIVER_NAMES.join(", ")
        );
        Err(StorageError::new(ErrorKind::Unsupported, text))
    };
    match name.unwrap_or(DRIVER_NAMES[0]) {
        "overlay2" => Ok(Box::new(Overlay::open(&data_root.join("overlay2"))?)),
        "vfs" => Ok(Box::new(Vfs::open(&data_root.join("vfs"))?)),
        "overlay" => lacks("overlay", "it was replaced by overlay2"),
        "aufs" => lacks("aufs", "the Linux kernel has no aufs"),
        "devicemapper" => lacks("devicemapper", "this build has no thin-pool support"),
        "btrfs" => lacks(
            "btrfs",
            "this build has no subvolume support; overlay2 works on btrfs",
        ),
        "zfs" => lacks("zfs", "this build has no ZFS support"),
        "fuse-overlayfs" => lacks(
            "fuse-overlayfs",
            "this build mounts with the kernel's overlay only",
        ),
        other => {
            let text = format!(
                "unknown storage driver {other:?}: use one of: {}",
                DRIVER_NAMES.join(", ")
            );
            Err(StorageError::new(ErrorKind::InvalidArgument, text))
        }
    }
}
