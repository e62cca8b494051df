use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use crate::RuntimeError;

/// A path of a socket that is short enough for a socket's address (107 bytes), whatever its directory's path is. It holds
/// as long as this value, in other processes too.
pub(crate) struct ShortPath {
    _directory: File,
    path: String,
}

impl ShortPath {
    pub(crate) fn of(socket: &Path) -> Result<Self, RuntimeError> {
        let parent = socket.parent().unwrap_or(Path::new("/"));
        let name = socket.file_name().and_then(|name| name.to_str());
        let name =
            name.ok_or_else(|| RuntimeError::Invalid(format!("{} is no socket's path", socket.display())))?;
        let directory = File::open(parent).map_err(|err| RuntimeError::io("open", parent, err))?;
        Ok(Self {
            path: format!("/proc/{}/fd/{}/{name}", std::process::id(), directory.as_raw_fd()),
            _directory: directory,
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.path
    }
}
