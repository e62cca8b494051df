//! What a container uses, as its cgroup counts it.

mod hierarchies;
mod unified;

use std::collections::HashMap;
use std::path::Path;
use std::{fs, io};

pub use libcgroups::stats::{
    BlkioDeviceStat, BlkioStats, CpuStats, MemoryData, MemoryStats, PidStats, Stats,
};

use crate::cgroup::{Cgroup, unified_alone};
use crate::{Bundle, RuntimeError};

/// Reads the counters of a container's cgroup: times in nanoseconds, sizes in bytes. A controller that is not mounted
/// counts nothing.
pub fn read(bundle: &Bundle) -> Result<Stats, RuntimeError> {
    let cgroup = Cgroup::new(&bundle.cgroup);
    match unified_alone() {
        true => unified::read(&cgroup),
        false => hierarchies::read(&cgroup),
    }
}

/// A file of a line for each `NAME NUMBER`.
fn table(directory: &Path, file: &str) -> Result<HashMap<String, u64>, RuntimeError> {
    let text = text(directory, file)?;
    let fields = text.lines().filter_map(|line| line.split_once(' '));
    Ok(fields
        .filter_map(|(name, value)| Some((name.to_owned(), value.trim().parse().ok()?)))
        .collect())
}

/// A file of one number, or of `max`, which is the largest.
fn number(directory: &Path, file: &str) -> Result<u64, RuntimeError> {
    Ok(match text(directory, file)?.trim() {
        "max" => u64::MAX,
        text => text.parse().unwrap_or_default(),
    })
}

/// A file; nothing where the controller, or the kernel, has none.
fn text(directory: &Path, file: &str) -> Result<String, RuntimeError> {
    let path = directory.join(file);
    match fs::read_to_string(&path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read.map_err(|err| RuntimeError::io("read", &path, err)),
    }
}
