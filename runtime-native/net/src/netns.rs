//! Network namespaces kept alive by a bind mount, and work done inside one on a thread of its own.

use crate::error::{Context, Error, Result};
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

const NSFS_MAGIC: i64 = 0x6e73_6673;

/// A handle on a network namespace. Cheap to clone; keeps the namespace alive while held.
#[derive(Clone, Debug)]
pub struct Netns(Arc<File>);

impl Netns {
    /// The namespace of the calling thread.
    pub fn current() -> Result<Self> {
        Self::open(Path::new("/proc/thread-self/ns/net"))
    }

    /// The namespace bound to `path` (a bind mount, or `/proc/PID/ns/net`).
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).context(|| format!("open the network namespace {}", path.display()))?;
        Ok(Self(Arc::new(file)))
    }

    /// A new namespace that lives only as long as the handle, or processes in it.
    pub fn anonymous() -> Result<Self> {
        on_thread(|| {
            // SAFETY: affects this thread only, which ends right after.
            check(unsafe { libc::unshare(libc::CLONE_NEWNET) })
                .context(|| "make a network namespace".into())?;
            Self::current()
        })
    }

    /// A namespace that exists already.
    pub fn of(file: OwnedFd) -> Self {
        Self(Arc::new(file.into()))
    }

    /// A new namespace, or the one `given`, bound to `path`, which is created; `work` is done inside it before anyone else
    /// is.
    pub fn create<T: Send>(
        path: &Path,
        given: Option<Self>,
        work: impl FnOnce() -> Result<T> + Send,
    ) -> Result<(Self, T)> {
        let what = || format!("make the network namespace {}", path.display());
        File::options()
            .write(true)
            .create_new(true)
            .open(path)
            .context(what)?;
        let made = on_thread(|| {
            match given {
                Some(namespace) => namespace.enter()?,
                // SAFETY: affects this thread only, which ends right after.
                None => check(unsafe { libc::unshare(libc::CLONE_NEWNET) }).context(what)?,
            }
            let from = CString::new("/proc/thread-self/ns/net").expect("no zero byte");
            let to = c_path(path)?;
            // SAFETY: valid strings; no data argument.
            let done = unsafe {
                libc::mount(
                    from.as_ptr(),
                    to.as_ptr(),
                    std::ptr::null(),
                    libc::MS_BIND,
                    std::ptr::null(),
                )
            };
            check(done).context(what)?;
            Ok((Self::current()?, work()?))
        });
        if made.is_err() {
            let _ = remove(path);
        }
        made
    }

    /// The descriptor, for netlink attributes and `setns`.
    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// A number that tells namespaces apart.
    pub(crate) fn identity(&self) -> u64 {
        use std::os::unix::fs::MetadataExt;
        self.0.metadata().map_or(0, |m| m.ino())
    }

    /// Runs `work` inside the namespace, on a thread made for it, and waits for its result.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        on_thread(|| {
            self.enter()?;
            Ok(work())
        })
    }

    /// Moves the calling thread into the namespace for good. Never call it on a pool's thread.
    pub fn enter(&self) -> Result<()> {
        // SAFETY: a valid descriptor of a network namespace; affects this thread only.
        check(unsafe { libc::setns(self.fd(), libc::CLONE_NEWNET) })
            .context(|| "enter a network namespace".into())
    }
}

/// Whether `path` is a bound namespace (and not a file left from before a reboot).
pub(crate) fn is_bound(path: &Path) -> bool {
    let Ok(path) = c_path(path) else { return false };
    // SAFETY: a zeroed statfs is filled by the call.
    unsafe {
        let mut info: libc::statfs = std::mem::zeroed();
        libc::statfs(path.as_ptr(), &mut info) == 0 && info.f_type as i64 == NSFS_MAGIC
    }
}

/// Unbinds and removes a namespace's file; one that is gone already is no error.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let target = c_path(path)?;
    while is_bound(path) {
        // SAFETY: a valid string.
        check(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) })
            .context(|| format!("unmount {}", path.display()))?;
    }
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(Error::system(format!("remove {}", path.display()), e))
        }
        _ => Ok(()),
    }
}

/// The names of the bound namespaces in a folder; dead files are swept away.
pub(crate) fn bound_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut bound = Vec::new();
    for path in entries.flatten().map(|e| e.path()) {
        if is_bound(&path) {
            bound.push(path);
        } else {
            let _ = fs::remove_file(&path);
        }
    }
    bound
}

fn on_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| match scope.spawn(work).join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Error::system(path.display().to_string(), io::ErrorKind::InvalidInput.into()))
}

fn check(code: libc::c_int) -> io::Result<()> {
    if code < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
