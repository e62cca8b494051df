//! User namespaces: ids inside and outside, making one, and acting on files as the root of one.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::{LinuxIdMapping, Spec};
use serde::{Deserialize, Serialize};

use crate::native::sys;

const SECBIT_NO_SETUID_FIXUP: libc::c_int = 1 << 2;

/// `count` ids from `inside` on are those from `outside` on for everybody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// The first id in the namespace.
    pub inside: u32,
    /// What that is outside of it.
    pub outside: u32,
    /// How many follow, this one included.
    pub count: u32,
}

/// The users and groups of a user namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMap {
    /// Users; those not named are nobody.
    pub users: Vec<IdRange>,
    /// Groups likewise.
    pub groups: Vec<IdRange>,
}

impl IdMap {
    /// The map of a spec's container, if it has one.
    pub(crate) fn of(spec: &Spec) -> Option<Self> {
        let ranges = |mappings: &Option<Vec<LinuxIdMapping>>| -> Vec<IdRange> {
            let one = |m: &LinuxIdMapping| IdRange {
                inside: m.container_id(),
                outside: m.host_id(),
                count: m.size(),
            };
            mappings.iter().flatten().map(one).collect()
        };
        let linux = spec.linux().as_ref()?;
        let users = ranges(linux.uid_mappings());
        (!users.is_empty()).then(|| Self {
            users,
            groups: ranges(linux.gid_mappings()),
        })
    }

    /// User and group as they are outside; those that are not in the map stay.
    pub fn outside(&self, (user, group): (u32, u32)) -> (u32, u32) {
        let find =
            |ranges: &[IdRange], id| convert(ranges.iter().map(|r| (r.inside, r.outside, r.count)), id);
        (find(&self.users, user), find(&self.groups, group))
    }

    /// User and group as they are inside; those that are not in the map stay.
    pub fn inside(&self, (user, group): (u32, u32)) -> (u32, u32) {
        let find =
            |ranges: &[IdRange], id| convert(ranges.iter().map(|r| (r.outside, r.inside, r.count)), id);
        (find(&self.users, user), find(&self.groups, group))
    }

    /// What the namespace's own root is outside.
    pub fn root(&self) -> (u32, u32) {
        self.outside((0, 0))
    }
}

fn convert(ranges: impl Iterator<Item = (u32, u32, u32)>, id: u32) -> u32 {
    for (from, to, count) in ranges {
        if id >= from && id - from < count {
            return to + (id - from);
        }
    }
    id
}

/// A user namespace, and a network namespace that belongs to it: its root may do there what it likes.
#[derive(Debug)]
pub struct UserNamespace {
    /// The user namespace.
    pub users: OwnedFd,
    /// The network namespace.
    pub network: OwnedFd,
}

impl UserNamespace {
    /// Makes both.
    pub fn new(map: &IdMap) -> io::Result<Self> {
        let holder = Holder::fork(libc::CLONE_NEWUSER | libc::CLONE_NEWNET, |_| true, &())?;
        let text = |ranges: &[IdRange]| -> String {
            ranges
                .iter()
                .map(|r| format!("{} {} {}\n", r.inside, r.outside, r.count))
                .collect()
        };
        fs::write(format!("/proc/{}/uid_map", holder.pid), text(&map.users))?;
        fs::write(format!("/proc/{}/gid_map", holder.pid), text(&map.groups))?;
        holder.namespaces()
    }

    /// The user namespace at a path (`/proc/PID/ns/user`), and a new network namespace that belongs to it.
    pub fn join(path: &Path) -> io::Result<Self> {
        let users = File::open(path)?;
        let enter = |users: &File| {
            // SAFETY: an open descriptor; the process has a single thread.
            unsafe {
                libc::setns(users.as_raw_fd(), libc::CLONE_NEWUSER) == 0
                    && libc::unshare(libc::CLONE_NEWNET) == 0
            }
        };
        Holder::fork(0, enter, &users)?.namespaces()
    }
}

/// A process whose namespaces are taken; it ends with this.
struct Holder {
    pid: i32,
    /// It waits for the end of this.
    _rope: OwnedFd,
}

impl Holder {
    /// `work` is done in the new process, which has a single thread and may make system calls and nothing else.
    fn fork<T>(namespaces: i32, work: impl Fn(&T) -> bool, with: &T) -> io::Result<Self> {
        let ((says, told), (waits, rope)) = (pipe()?, pipe()?);
        // Without a signal to the parent, whose children are waited for elsewhere too.
        // SAFETY: the child makes system calls on what it has a copy of, and ends.
        let pid =
            unsafe { libc::syscall(libc::SYS_clone, libc::c_long::from(namespaces), 0, 0, 0, 0) } as i32;
        match pid {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                // SAFETY: plain calls on open descriptors.
                unsafe {
                    libc::close(rope.as_raw_fd());
                    let answer = [u8::from(work(with))];
                    libc::write(told.as_raw_fd(), answer.as_ptr().cast(), 1);
                    let mut byte = [0u8];
                    libc::read(waits.as_raw_fd(), byte.as_mut_ptr().cast(), 1);
                    libc::_exit(0)
                }
            }
            _ => {
                let holder = Self { pid, _rope: rope };
                drop((told, waits));
                let mut answer = [0];
                match File::from(says).read(&mut answer)? {
                    1 if answer[0] == 1 => Ok(holder),
                    _ => Err(io::ErrorKind::PermissionDenied.into()),
                }
            }
        }
    }

    fn namespaces(&self) -> io::Result<UserNamespace> {
        let open = |kind: &str| File::open(format!("/proc/{}/ns/{kind}", self.pid)).map(OwnedFd::from);
        Ok(UserNamespace {
            users: open("user")?,
            network: open("net")?,
        })
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // SAFETY: a child of this process that nobody else waits for.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            libc::waitpid(self.pid, std::ptr::null_mut(), libc::__WALL);
        }
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: the kernel fills in two descriptors, which are ours.
    unsafe {
        if libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok((OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])))
    }
}

/// What the calling thread makes on file systems belongs to this user and group from now on, and it keeps its capabilities.
/// For a thread or process that ends soon, or enters a user namespace.
pub fn act_as((user, group): (u32, u32)) -> io::Result<()> {
    // SAFETY: plain calls that change the calling thread alone.
    unsafe {
        if libc::prctl(libc::PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) != 0 {
            return Err(io::Error::last_os_error());
        }
        libc::syscall(libc::SYS_setfsgid, group);
        libc::syscall(libc::SYS_setfsuid, user);
        // They tell the ids that were before, and no errors.
        if libc::syscall(libc::SYS_setfsuid, -1) as u32 != user
            || libc::syscall(libc::SYS_setfsgid, -1) as u32 != group
        {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
    }
    Ok(())
}

/// A copy of the mount at `path`, attached nowhere, that shows the owners of its files as a user namespace has them: what
/// belongs to root belongs to the namespace's.
pub fn show(path: &Path, users: &OwnedFd) -> io::Result<OwnedFd> {
    let copy = sys::clone_path(path, false)?;
    sys::show_ids(&copy, users)?;
    Ok(copy)
}

/// Does `work` on a thread of its own whose files belong to the root of `map`; without one, at once.
pub fn as_root_of<T: Send>(
    map: Option<&IdMap>,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    let Some(map) = map else { return work() };
    std::thread::scope(|scope| {
        let done = scope.spawn(|| act_as(map.root()).and_then(|()| work())).join();
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_go_in_and_out() {
        let range = |inside, outside, count| IdRange {
            inside,
            outside,
            count,
        };
        let map = IdMap {
            users: vec![range(0, 100_000, 1000), range(1000, 300_000, 10)],
            groups: vec![range(0, 200_000, 10)],
        };
        assert_eq!(map.root(), (100_000, 200_000));
        assert_eq!(map.outside((1003, 3)), (300_003, 200_003));
        assert_eq!(map.inside((300_003, 200_003)), (1003, 3));
        assert_eq!(map.outside((5000, 10)), (5000, 10));
    }

    #[test]
    fn namespaces_belong_together() {
        let map = IdMap {
            users: vec![IdRange {
                inside: 0,
                outside: 100_000,
                count: 65536,
            }],
            groups: vec![IdRange {
                inside: 0,
                outside: 100_000,
                count: 65536,
            }],
        };
        let made = UserNamespace::new(&map).unwrap();
        let path = format!("/proc/self/fd/{}", made.users.as_raw_fd());
        let joined = UserNamespace::join(Path::new(&path)).unwrap();
        assert_eq!(identity(&made.users), identity(&joined.users));
        assert_ne!(identity(&made.network), identity(&joined.network));
        let dir = std::env::temp_dir().join(format!("creel-act-as-{}", std::process::id()));
        as_root_of(Some(&map), || fs::write(&dir, b"")).unwrap();
        let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(&dir).unwrap());
        fs::remove_file(&dir).unwrap();
        assert_eq!(owner, 100_000);
    }

    fn identity(fd: &OwnedFd) -> u64 {
        let file = File::from(fd.try_clone().unwrap());
        std::os::unix::fs::MetadataExt::ino(&file.metadata().unwrap())
    }
}
