//! What an engine under test has of the machine: namespaces and cgroups of its own, and what is left in them.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use creel_runtime::cgroup::Cgroup;

use crate::test_engine::{LIMIT, TestEngine};

impl TestEngine {
    /// Runs `work` in the engine's network namespace.
    pub fn in_network<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let path = format!("/proc/{}/ns/net", self.keeper_pid());
        creel_net::netns::Netns::open(Path::new(&path))
            .unwrap()
            .run(work)
            .unwrap()
    }

    /// The mount table that the engine sees.
    pub fn mounts(&self) -> String {
        std::fs::read_to_string(format!("/proc/{}/mounts", self.keeper_pid())).unwrap()
    }

    /// What the engine's namespaces and folders still hold of containers.
    pub fn leftovers(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mounts = self.mounts();
        let inside =
            |m: &str| m.contains("/containers/") || m.contains("/overlay2/") || m.contains("/netns/");
        let own = self.dir.path().to_string_lossy().into_owned();
        found.extend(
            mounts
                .lines()
                .filter(|m| m.contains(&own) && inside(m))
                .map(str::to_owned),
        );
        for folder in [
            "data/containers",
            "exec/containers",
            "exec/streams",
            "data/overlay2/containers",
        ] {
            let entries = std::fs::read_dir(self.dir.path().join(folder))
                .into_iter()
                .flatten()
                .flatten();
            found.extend(entries.map(|e| e.path().to_string_lossy().into_owned()));
        }
        found.extend(
            self.cgroups()
                .into_iter()
                .map(|p| p.to_string_lossy().into_owned()),
        );
        let links = self.in_network(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap());
        let names = links
            .lines()
            .skip(2)
            .filter_map(|l| l.split(':').next())
            .map(str::trim);
        found.extend(names.filter(|n| n.starts_with("cv")).map(str::to_owned));
        found
    }

    /// Waits until what is deleted in the background is gone.
    pub async fn settled(&self) {
        let look = async {
            while !self.leftovers().is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(5), look).await;
    }

    fn cgroups(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for hierarchy in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
            let parent = hierarchy.path().join(self.cgroup.trim_start_matches('/'));
            let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
            found.extend(entries.filter(|e| e.path().is_dir()).map(|e| e.path()));
        }
        found
    }

    /// Ends the containers with their shims, which outlive the engine: they are found by their cgroups.
    pub fn end_containers(&self) {
        for cgroup in self.cgroups() {
            let name = cgroup.file_name().unwrap().to_string_lossy().into_owned();
            let cgroup = Cgroup::new(&format!("{}/{name}", self.cgroup));
            for shim in cgroup.pids().into_iter().filter_map(shim_of) {
                // SAFETY: plain kill.
                unsafe { libc::kill(shim, libc::SIGKILL) };
            }
            let _ = cgroup.kill_and_remove();
        }
        let _ = Cgroup::new(&self.cgroup).kill_and_remove();
    }
}

fn check(code: libc::c_int) -> std::io::Result<()> {
    if code < 0 {
        Err(std::io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// The parent of a container's process, while that is its shim.
fn shim_of(pid: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    let parent: i32 = parent.trim().parse().ok()?;
    let command = std::fs::read_to_string(format!("/proc/{parent}/cmdline")).ok()?;
    command.contains("creel-shim").then_some(parent)
}

/// A process that holds namespaces for engines to join.
pub fn keeper() -> Child {
    let mut keeper = Command::new("sleep");
    keeper.arg("infinity");
    // SAFETY: only system calls, between fork and exec.
    unsafe { keeper.pre_exec(own_namespaces) };
    keeper.spawn().unwrap()
}

fn own_namespaces() -> std::io::Result<()> {
    // SAFETY: plain system calls with valid strings; the structure is zeroed and of its own size.
    unsafe {
        check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
        check(libc::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWNET))?;
        let slave = libc::MS_REC | libc::MS_PRIVATE;
        check(libc::mount(
            std::ptr::null(),
            c"/".as_ptr(),
            std::ptr::null(),
            slave,
            std::ptr::null(),
        ))?;
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        check(socket)?;
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
        check(libc::ioctl(socket, libc::SIOCSIFFLAGS, &request))?;
        libc::close(socket);
    }
    Ok(())
}

pub fn join_namespaces(keeper: u32) -> std::io::Result<()> {
    for name in ["net", "mnt"] {
        let path = std::ffi::CString::new(format!("/proc/{keeper}/ns/{name}")).unwrap();
        // SAFETY: plain system calls with a valid string and descriptor.
        unsafe {
            let fd = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
            check(fd)?;
            check(libc::setns(fd, 0))?;
        }
    }
    Ok(())
}

/// Takes a capability from this process and all that it becomes.
pub fn drop_capability(capability: libc::c_ulong) -> std::io::Result<()> {
    // SAFETY: a plain call.
    check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) })
}

/// Connects to a port in the namespace the caller is in, and reads what comes.
pub fn fetch(address: &str) -> std::io::Result<String> {
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}
