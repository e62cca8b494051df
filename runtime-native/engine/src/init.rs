//! The init of containers that ask for one: a static program that the engine holds, and puts where it can be mounted.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::{EngineError, Result};

/// Where it is in a container.
pub const PLACE: &str = "/sbin/creel-init";
const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/creel-init"));

/// Where it is on the host. Not below the exec root: /run is often mounted without programs.
pub fn path(data_root: &Path) -> PathBuf {
    data_root.join("creel-init")
}

/// Puts this engine's program there. Containers that run keep the one they were started with.
pub fn put(data_root: &Path) -> Result<()> {
    let path = path(data_root);
    if fs::read(&path).is_ok_and(|found| found == PROGRAM) {
        return Ok(());
    }
    let begun = path.with_extension("tmp");
    let failed = |e| EngineError::io(format_args!("write {}", path.display()), e);
    fs::write(&begun, PROGRAM).map_err(failed)?;
    fs::set_permissions(&begun, fs::Permissions::from_mode(0o755)).map_err(failed)?;
    fs::rename(&begun, &path).map_err(failed)
}
