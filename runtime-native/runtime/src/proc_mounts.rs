//! Mounts over parts of /proc are refused: what confines a container is written and read there (CVE-2019-16884,
//! CVE-2019-19921, CVE-2025-52881).

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Mount, Spec};

use crate::executor::MARK;
use crate::{RuntimeError, rootfs};

/// Files that only tell of the machine: others may be mounted over them, as LXCFS does.
const TELLING: [&str; 11] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/net/dev",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/sys/crypto/fips_enabled",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/uptime",
];
const MAX_LINKS: usize = 40;

/// Whether something may be mounted there although it is below /proc.
pub(crate) fn may_cover(destination: &Path) -> bool {
    TELLING.iter().any(|known| destination == Path::new(known))
}

/// The refusal, as text that `understood` takes apart.
pub(crate) fn refusal(destination: &Path) -> String {
    let name = destination.display();
    format!("{MARK}invalid mount: {name} cannot be mounted because it is inside /proc{MARK}")
}

/// Refuses a spec with such a mount, for a format that does not look itself where a mount comes to stand.
pub(crate) fn check(spec: &Spec) -> Result<(), RuntimeError> {
    let Some(root) = spec.root() else { return Ok(()) };
    for mount in spec.mounts().iter().flatten() {
        let place = landing(root.path(), mount.destination());
        let fits = match place.strip_prefix("/proc") {
            Err(_) => true,
            Ok(rest) if rest.as_os_str().is_empty() => is_proc(mount),
            Ok(_) => may_cover(&place),
        };
        if !fits {
            let text = refusal(mount.destination()).replace(MARK, "");
            return Err(RuntimeError::Invalid(text));
        }
    }
    Ok(())
}

fn is_proc(mount: &Mount) -> bool {
    let source = mount.source().as_deref().unwrap_or(Path::new(""));
    mount.typ().as_deref() == Some("proc") || (mount.typ().as_deref() != Some("tmpfs") && is_procfs(source))
}

fn is_procfs(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
        return false;
    };
    // SAFETY: an all-zero structure is valid; it and the path outlive the call.
    unsafe {
        let mut found: libc::statfs = std::mem::zeroed();
        libc::statfs(path.as_ptr(), &mut found) == 0 && found.f_type == libc::PROC_SUPER_MAGIC
    }
}

/// Where a path leads in a root by the links that stand there, whether the rest of it exists or not.
fn landing(root: &Path, path: &Path) -> PathBuf {
    let parts = |path: &Path| -> Vec<OsString> { path.iter().rev().map(OsStr::to_owned).collect() };
    let (mut walked, mut left, mut links) = (PathBuf::from("/"), parts(path), 0);
    while let Some(part) = left.pop() {
        match part.as_bytes() {
            b"/" => walked = PathBuf::from("/"),
            b"." => {}
            b".." => drop(walked.pop()),
            _ => match link_at(root, &walked, &part) {
                Some(target) if links < MAX_LINKS => {
                    links += 1;
                    left.extend(parts(&target));
                }
                _ => walked.push(part),
            },
        }
    }
    walked
}

fn link_at(root: &Path, directory: &Path, name: &OsStr) -> Option<PathBuf> {
    let root = std::fs::File::open(root).ok()?;
    let directory = rootfs::open_in_root(&root, directory, libc::O_PATH | libc::O_DIRECTORY).ok()?;
    let entry = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string());
    std::fs::read_link(entry.join(name)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_below_the_root_alone() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("a/b")).unwrap();
        symlink("/proc", root.path().join("a/b/kernel")).unwrap();
        symlink("../a/./b", root.path().join("a/up")).unwrap();
        symlink("loop", root.path().join("loop")).unwrap();
        for (path, place) in [
            ("/data/x", "/data/x"),
            ("/../proc//self/", "/proc/self"),
            ("/a/b/kernel/sys", "/proc/sys"),
            ("/a/up/kernel", "/proc"),
            ("/a/b/kernel/../data", "/data"),
            ("/loop/x", "/loop/x"),
        ] {
            assert_eq!(landing(root.path(), Path::new(path)), Path::new(place), "{path}");
        }
    }
}
