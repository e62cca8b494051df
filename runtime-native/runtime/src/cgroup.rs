//! A container's cgroup by its path, in every hierarchy that is mounted: v1, hybrid or v2.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use oci_spec::runtime::LinuxResources;

use crate::RuntimeError;

const PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(2);
/// How the option begins that a v1 hierarchy without controllers is mounted with.
pub(crate) const NAMED: &str = "name=";
const SUBTREE: &str = "cgroup.subtree_control";

/// The lines of mountinfo(5) about cgroup hierarchies. They are read once in a process, and those it forks have them: they
/// stay as the machine's boot made them, and the whole list has a line for each container's mounts.
pub fn mounted() -> &'static str {
    static MOUNTED: OnceLock<String> = OnceLock::new();
    MOUNTED.get_or_init(|| {
        let all = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let of_cgroups = |line: &&str| line.contains(" - cgroup");
        all.split_inclusive('\n').filter(of_cgroups).collect()
    })
}

/// Whether the v2 hierarchy is the only one of this machine.
pub fn unified_alone() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// Where v2 is alone: makes the cgroup that containers will be in, so that it has the files of all controllers before the
/// first of them is. What the kernel can limit shows in them.
pub fn prepare_parent(path: &str) -> io::Result<()> {
    if !unified_alone() {
        return Ok(());
    }
    for (directory, _) in Cgroup::new(path).places() {
        fs::create_dir_all(directory)?;
        give_controllers(directory);
    }
    Ok(())
}

/// Gives a v2 cgroup all the controllers that the machine has, as far as those above it let them be given. What is missing
/// shows when a limit of it is set.
pub(crate) fn give_controllers(path: &Path) {
    let above: Vec<&Path> = path
        .ancestors()
        .skip(1)
        .take_while(|above| above.join(SUBTREE).exists())
        .collect();
    let Some(top) = above.last() else { return };
    let all = read(&top.join("cgroup.controllers"));
    for directory in above.iter().rev() {
        let file = directory.join(SUBTREE);
        let enabled = read(&file);
        let missing = all
            .split_whitespace()
            .filter(|name| !enabled.split_whitespace().any(|other| other == *name));
        for name in missing {
            let _ = fs::write(&file, format!("+{name}"));
        }
    }
}

/// The cgroup of one container.
#[derive(Clone, Debug)]
pub struct Cgroup {
    directories: Vec<Directory>,
}

#[derive(Clone, Debug)]
struct Directory {
    path: PathBuf,
    unified: bool,
    named: bool,
}

impl Cgroup {
    /// The cgroup with this path, absolute within each hierarchy (`/creel/ID`). It need not exist.
    pub fn new(path: &str) -> Self {
        Self::in_mounts(path, mounted())
    }

    fn in_mounts(path: &str, mountinfo: &str) -> Self {
        let relative = Path::new(path.trim_start_matches('/'));
        let mut directories: Vec<Directory> = Vec::new();
        // The empty path would be the root of every hierarchy, and a step upwards could be anything.
        if relative.as_os_str().is_empty() || relative.components().any(|part| part.as_os_str() == "..") {
            return Self { directories };
        }
        for line in mountinfo.lines() {
            let Some((head, tail)) = line.split_once(" - ") else {
                continue;
            };
            let Some(mount_point) = head.split(' ').nth(4) else {
                continue;
            };
            let unified = match tail.split(' ').next() {
                Some("cgroup") => false,
                Some("cgroup2") => true,
                _ => continue,
            };
            let named = tail.split([' ', ',']).any(|option| option.starts_with(NAMED));
            let path = Path::new(mount_point).join(relative);
            if !directories.iter().any(|known| known.path == path) {
                directories.push(Directory { path, unified, named });
            }
        }
        Self { directories }
    }

    /// Its directory in each hierarchy, and whether that is the v2 one.
    pub(crate) fn places(&self) -> impl Iterator<Item = (&Path, bool)> {
        self.directories
            .iter()
            .map(|directory| (&*directory.path, directory.unified))
    }

    /// Whether it exists in any hierarchy.
    pub fn exists(&self) -> bool {
        self.directories.iter().any(|directory| directory.path.exists())
    }

    /// The processes in it and below it.
    pub fn pids(&self) -> BTreeSet<i32> {
        let mut pids = BTreeSet::new();
        for directory in &self.directories {
            collect_pids(&directory.path, &mut pids);
        }
        pids
    }

    /// Moves this process, and so those it makes, into it in the hierarchies that libcontainer leaves out.
    pub(crate) fn enter_named(&self) -> Result<(), RuntimeError> {
        for Directory { path, .. } in self.directories.iter().filter(|directory| directory.named) {
            fs::create_dir_all(path)
                .and_then(|()| fs::write(path.join("cgroup.procs"), "0"))
                .map_err(|err| RuntimeError::io("enter cgroup", path, err))?;
        }
        Ok(())
    }

    /// Sends a signal to every process; they are frozen meanwhile, so that none escapes by forking.
    pub fn signal_all(&self, signal: i32) -> io::Result<()> {
        let was_frozen = self.frozen();
        let froze = !was_frozen && self.freeze(true).is_ok();
        let mut result = Ok(());
        for pid in self.pids() {
            // SAFETY: plain kill.
            if unsafe { libc::kill(pid, signal) } != 0 {
                let err = io::Error::last_os_error();
                if err.raw_os_error() != Some(libc::ESRCH) {
                    result = Err(err);
                }
            }
        }
        if froze || (was_frozen && signal == libc::SIGKILL) {
            self.freeze(false)?;
        }
        result
    }

    /// Freezes or thaws all processes and waits until it is so.
    pub fn freeze(&self, on: bool) -> io::Result<()> {
        if let Some(directory) = self.controller("freezer.state") {
            let wanted = if on { "FROZEN" } else { "THAWED" };
            let file = directory.join("freezer.state");
            return write_until(&file, wanted, || read(&file).trim() == wanted);
        }
        if let Some(directory) = self.controller("cgroup.freeze") {
            return write_until(
                &directory.join("cgroup.freeze"),
                if on { "1" } else { "0" },
                || self.frozen() == on,
            );
        }
        Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the container has no freezer cgroup",
        ))
    }

    /// Whether its processes are frozen.
    pub fn frozen(&self) -> bool {
        if let Some(directory) = self.controller("freezer.state") {
            return read(&directory.join("freezer.state")).trim() != "THAWED";
        }
        match self.controller("cgroup.events") {
            Some(directory) => field(&read(&directory.join("cgroup.events")), "frozen") == Some(1),
            None => false,
        }
    }

    /// How many of its processes the kernel killed for want of memory.
    pub fn oom_kills(&self) -> u64 {
        for (name, key) in [("memory.oom_control", "oom_kill"), ("memory.events", "oom_kill")] {
            if let Some(directory) = self.controller(name) {
                return field(&read(&directory.join(name)), key).unwrap_or(0);
            }
        }
        0
    }

    /// Whether its processes wait where the kernel would kill one for want of memory: on v1, when asked for.
    pub(crate) fn oom_kill_disabled(&self) -> bool {
        let control = self.read("memory.oom_control").unwrap_or_default();
        field(&control, "oom_kill_disable") == Some(1)
    }

    /// Kills whatever runs in it and removes it. It is no error if it does not exist.
    pub fn kill_and_remove(&self) -> io::Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let pids = self.pids();
            if !pids.is_empty() {
                if self.frozen() {
                    let _ = self.freeze(false);
                }
                for pid in pids {
                    // SAFETY: plain kill.
                    unsafe { libc::kill(pid, libc::SIGKILL) };
                }
            }
            match self
                .directories
                .iter()
                .try_for_each(|directory| remove(&directory.path))
            {
                Ok(()) => return Ok(()),
                Err(err) if Instant::now() > end => return Err(err),
                Err(_) => std::thread::sleep(POLL),
            }
        }
    }

    /// The directory in the v2 hierarchy, if there is one and it holds the container.
    pub(crate) fn unified_directory(&self) -> Option<&Path> {
        self.directories
            .iter()
            .find(|directory| directory.unified && directory.path.exists())
            .map(|found| &*found.path)
    }

    /// Takes all swap from a container whose limit of memory and swap is that of memory alone: on v2 libcgroups writes
    /// no zero. Nothing on v1, where the sum itself is the limit.
    pub(crate) fn forbid_swap(&self, resources: &LinuxResources) -> Result<(), RuntimeError> {
        let Some(memory) = resources.memory() else {
            return Ok(());
        };
        let none = memory.limit().is_some_and(|limit| limit > 0) && memory.swap() == memory.limit();
        let file = self
            .unified_directory()
            .map(|directory| directory.join("memory.swap.max"));
        match file.filter(|file| none && file.exists()) {
            Some(file) => fs::write(&file, "0").map_err(|err| RuntimeError::io("write", &file, err)),
            None => Ok(()),
        }
    }

    /// A file of it, in the first hierarchy that has it.
    pub fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.controller(file)?.join(file)).ok()
    }

    /// Writes a file of it, in the first hierarchy where it has this file.
    ///
    /// # Errors
    /// The kernel's; `NotFound` where no hierarchy has the file.
    pub fn write(&self, file: &str, text: &str) -> io::Result<()> {
        let directory = self.controller(file).ok_or(io::ErrorKind::NotFound)?;
        fs::write(directory.join(file), text)
    }

    /// A file of it in the v2 hierarchy; none where that is not there.
    pub fn read_unified(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.unified_directory()?.join(file)).ok()
    }

    /// Its directory in the first hierarchy where it has this file.
    pub(crate) fn controller(&self, file: &str) -> Option<&Path> {
        self.directories
            .iter()
            .map(|directory| &*directory.path)
            .find(|path| path.join(file).exists())
    }
}

fn write_until(file: &Path, value: &str, done: impl Fn() -> bool) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        fs::write(file, value)?;
        if done() {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("{} did not become {value}", file.display()),
            ));
        }
        std::thread::sleep(POLL);
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn field(text: &str, key: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

fn children(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

fn collect_pids(path: &Path, pids: &mut BTreeSet<i32>) {
    pids.extend(
        read(&path.join("cgroup.procs"))
            .lines()
            .filter_map(|line| line.parse::<i32>().ok()),
    );
    for child in children(path) {
        collect_pids(&child, pids);
    }
}

fn remove(path: &Path) -> io::Result<()> {
    for child in children(path) {
        remove(&child)?;
    }
    match fs::remove_dir(path) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 25 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
32 30 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

    #[test]
    fn finds_the_directories_of_every_hierarchy() {
        let cgroup = Cgroup::in_mounts("/creel/abc", HYBRID);
        let paths: Vec<_> = cgroup
            .directories
            .iter()
            .map(|found| (found.path.to_str().unwrap(), found.unified))
            .collect();
        assert_eq!(
            paths,
            [
                ("/sys/fs/cgroup/memory/creel/abc", false),
                ("/sys/fs/cgroup/unified/creel/abc", true)
            ]
        );
    }

    #[test]
    fn never_means_the_root_or_anything_above() {
        for path in ["", "/", "/creel/../.."] {
            assert!(Cgroup::in_mounts(path, HYBRID).directories.is_empty(), "{path}");
        }
    }
}
