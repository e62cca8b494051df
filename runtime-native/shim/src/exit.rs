use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use creel_runtime::FORMAT_FILES;
use creel_runtime::cgroup::Cgroup;

use crate::lock;
use crate::protocol::{EXIT_NAME, ExitStatus, SOCKET_NAME};

/// How long a shim may take to end once its container is killed.
const SHIM_LIMIT: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Records how a container ended, so that it is there after a crash: whole or not at all.
pub(crate) fn write_exit(state_dir: &Path, status: &ExitStatus) -> io::Result<()> {
    let temporary = state_dir.join("exit.json.tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec(status)?)?;
    file.sync_all()?;
    fs::rename(&temporary, state_dir.join(EXIT_NAME))?;
    File::open(state_dir)?.sync_all()
}

/// How a container ended, if its shim recorded that.
pub fn read_exit(state_dir: &Path) -> Option<ExitStatus> {
    serde_json::from_slice(&fs::read(state_dir.join(EXIT_NAME)).ok()?).ok()
}

/// Ends and removes what a container may have left behind when its shim was killed: its processes, its cgroup, the
/// socket and the files of the container format. The exit record stays. It may be called at any time, also twice. A shim
/// that still runs, or is on its way, ends with its container; after ten seconds that is an error.
pub fn cleanup(state_dir: &Path, cgroup: &str) -> io::Result<()> {
    let _lock = end_shim(state_dir, cgroup)?;
    for directory in ["bundle", "libcontainer", "exec"] {
        ignore_missing(fs::remove_dir_all(state_dir.join(directory)))?;
    }
    for file in [SOCKET_NAME, "exit.json.tmp"].iter().chain(&FORMAT_FILES) {
        ignore_missing(fs::remove_file(state_dir.join(file)))?;
    }
    Ok(())
}

/// Kills the container until no shim is left that could make it again; gives the lock that says so.
fn end_shim(state_dir: &Path, cgroup: &str) -> io::Result<Option<OwnedFd>> {
    let end = Instant::now() + SHIM_LIMIT;
    loop {
        Cgroup::new(cgroup).kill_and_remove()?;
        match lock::take(state_dir) {
            Ok(None) if Instant::now() > end => {
                let text = format!("the shim in {} does not end", state_dir.display());
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            Ok(None) => std::thread::sleep(LOOK_AGAIN),
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            taken => return taken,
        }
    }
}

pub(crate) fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
