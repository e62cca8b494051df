//! The suite that every storage driver must pass, on the real kernel as root; btrfs on a loop device of the test's own.

mod containers;
mod content;
mod layers;
mod moved;

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::common::{Layer, drivers, each_driver};
use creel_storage::{Digest, DigestReader, ErrorKind, PrepareOptions, StorageDriver, chain_id};

fn apply(driver: &dyn StorageDriver, parent: Option<&Digest>, layer: Layer) -> Digest {
    try_apply(driver, parent, layer).unwrap()
}

fn try_apply(
    driver: &dyn StorageDriver,
    parent: Option<&Digest>,
    layer: Layer,
) -> creel_storage::Result<Digest> {
    let bytes = layer.finish();
    let diff = Digest::of(&bytes);
    let chain = chain_id(parent, &diff);
    driver.apply_layer(&chain, parent, &mut DigestReader::new(&bytes[..], Some(diff)))?;
    Ok(chain)
}

fn stack(driver: &dyn StorageDriver, layers: Vec<Layer>) -> Digest {
    layers
        .into_iter()
        .fold(None, |parent, layer| Some(apply(driver, parent.as_ref(), layer)))
        .unwrap()
}

fn mounted(driver: &dyn StorageDriver, layers: Vec<Layer>) -> PathBuf {
    let top = stack(driver, layers);
    driver
        .prepare("c1", Some(&top), &PrepareOptions::default())
        .unwrap()
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    let name = CString::new(name).unwrap();
    let mut value = [0u8; 256];
    let n = unsafe {
        libc::lgetxattr(
            path.as_ptr(),
            name.as_ptr(),
            value.as_mut_ptr().cast(),
            value.len(),
        )
    };
    (n >= 0).then(|| value[..n as usize].to_vec())
}

fn set_xattr(path: &Path, name: &str, value: &[u8]) {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    let name = CString::new(name).unwrap();
    // SAFETY: both strings end with a zero byte and the value is as long as said.
    let done = unsafe {
        libc::lsetxattr(
            path.as_ptr(),
            name.as_ptr(),
            value.as_ptr().cast(),
            value.len(),
            0,
        )
    };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}
