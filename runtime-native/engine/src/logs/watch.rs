//! Wakes a reader when a log grows or is rotated.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::inotify;
use tokio::io::unix::AsyncFd;

/// Notices changes in a log's folder.
pub struct LogWatch {
    inotify: Option<AsyncFd<OwnedFd>>,
}

impl LogWatch {
    /// Watches the folder of `log`. Where the kernel has no watch left, the reader looks by the clock instead.
    pub fn new(log: &Path) -> Self {
        Self {
            inotify: Self::open(log).ok(),
        }
    }

    fn open(log: &Path) -> io::Result<AsyncFd<OwnedFd>> {
        let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        let folder = log.parent().unwrap_or(Path::new("/"));
        let changes =
            inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
        inotify::add_watch(&fd, folder, changes)?;
        AsyncFd::new(fd)
    }

    /// Returns when something may have changed.
    pub async fn changed(&self) {
        let Some(inotify) = &self.inotify else {
            tokio::time::sleep(Duration::from_millis(200)).await;
            return;
        };
        let Ok(mut ready) = inotify.readable().await else {
            return;
        };
        let mut buffer = [0u8; 4096];
        while rustix::io::read(inotify, &mut buffer).is_ok_and(|n| n > 0) {}
        ready.clear_ready();
    }
}
