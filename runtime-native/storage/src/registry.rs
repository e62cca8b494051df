use std::path::Path;

use crate::driver::StorageDriver;
use crate::error::{ErrorKind, Result, StorageError};
use crate::overlay::Overlay;
use crate::subvolume;
use crate::whole::Whole;

/// The drivers that [`open`] knows, the default first.
pub const DRIVER_NAMES: [&str; 3] = ["overlay2", "btrfs", "vfs"];

/// Names that Docker knows or knew, with what would be needed of the kernel and why that is not enough.
const NOT_HERE: [(&str, &str, &str); 5] = [
    ("overlay", "overlay", "it was replaced by overlay2"),
    ("aufs", "aufs", "aufs never became part of Linux"),
    (
        "devicemapper",
        "",
        "its thin pools are not managed here, and Docker has dropped it",
    ),
    (
        "zfs",
        "zfs",
        "ZFS is no part of Linux, and its data sets are not managed here",
    ),
    (
        "fuse-overlayfs",
        "fuse",
        "layers are stacked by the kernel's own overlay, which root can always mount",
    ),
];

/// Opens a storage driver by its name below the data root. `None` is the driver that the data root was used with, else
/// btrfs on a btrfs file system, else overlay2. A driver that is not here, that the kernel or the file system does not
/// carry, or that would not see the containers another one keeps in this data root, is an error that says what to do.
pub fn open(name: Option<&str>, data_root: &Path) -> Result<Box<dyn StorageDriver>> {
    let keeps = |driver: &str, what: &str| {
        let kept = std::fs::read_dir(data_root.join(driver).join(what));
        kept.is_ok_and(|mut entries| entries.next().is_some())
    };
    let prior = |what: &str| DRIVER_NAMES.into_iter().find(|driver| keeps(driver, what));
    let chosen = match name {
        Some(name) => name,
        None => match prior("containers").or_else(|| prior("layers")) {
            Some(prior) => prior,
            None if subvolume::on_btrfs(data_root) => "btrfs",
            None => DRIVER_NAMES[0],
        },
    };
    if DRIVER_NAMES.contains(&chosen)
        && !keeps(chosen, "containers")
        && let Some(prior) = prior("containers")
    {
        let text = format!(
            "prior storage driver {prior}: the containers in {} keep their files with it and {chosen} would not see \
             them; use --storage-driver {prior}, or another data root",
            data_root.display()
        );
        return Err(StorageError::new(ErrorKind::Unsupported, text));
    }
    let root = data_root.join(chosen);
    match chosen {
        "overlay2" => Ok(Box::new(Overlay::open(&root)?)),
        "btrfs" => Ok(Box::new(Whole::open_btrfs(&root)?)),
        "vfs" => Ok(Box::new(Whole::open_vfs(&root)?)),
        other => Err(unknown(other)),
    }
}

fn unknown(name: &str) -> StorageError {
    let names = DRIVER_NAMES.join(", ");
    let Some((_, filesystem, why)) = NOT_HERE.iter().find(|(known, ..)| *known == name) else {
        let text = format!("unknown storage driver {name:?}: use one of: {names}");
        return StorageError::new(ErrorKind::InvalidArgument, text);
    };
    let lacks = match kernel_has(filesystem) {
        true => String::new(),
        false => format!("this kernel has no {filesystem} (see /proc/filesystems), "),
    };
    let text = format!("storage driver {name} is not available: {lacks}{why}; use one of: {names}");
    StorageError::new(ErrorKind::Unsupported, text)
}

fn kernel_has(filesystem: &str) -> bool {
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    filesystem.is_empty()
        || known
            .lines()
            .any(|line| line.split_whitespace().last() == Some(filesystem))
}
