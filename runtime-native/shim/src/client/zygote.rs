use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

use super::call::answer;
use super::program::sealed_copy;
use super::{Shim, ShimError};
use crate::lock;
use crate::protocol::{CreateRequest, Failure, FailureKind, Reply};
use crate::socket::{check, packet_pair, send, set_nonblocking};

const CREATE_LIMIT: Duration = Duration::from_secs(60);
/// After it could not be started.
const AGAIN: Duration = Duration::from_secs(1);
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// The process from which shims are forked. It is started again when it has died; the shims do not need it.
#[derive(Debug)]
pub struct Zygote {
    shim_exe: PathBuf,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    requests: Option<OwnedFd>,
}

impl Zygote {
    /// Starts the zygote from the program `creel-shim`.
    pub fn spawn(shim_exe: &Path) -> Result<Self, ShimError> {
        let running = Running::start(shim_exe)?;
        Ok(Self {
            shim_exe: shim_exe.to_owned(),
            running: Mutex::new(Some(running)),
        })
    }

    /// Creates a container and its shim; gives the shim and the process id of the container's first process, which waits
    /// to be started. The state directory must exist.
    pub async fn create(&self, request: &CreateRequest) -> Result<(Shim, i32), ShimError> {
        let state_dir = &request.bundle.state_dir;
        let (ours, theirs) = packet_pair().map_err(ShimError::io("make a socket"))?;
        set_nonblocking(&ours).map_err(ShimError::io("set up a socket"))?;
        let lock = lock::take(state_dir)
            .and_then(|lock| lock.ok_or_else(|| io::ErrorKind::ResourceBusy.into()))
            .map_err(ShimError::io(format!("lock {}", state_dir.display())))?;
        let message =
            serde_json::to_vec(request).map_err(|err| ShimError::io("encode request")(err.into()))?;
        self.send(&message, &[theirs.as_raw_fd(), lock.as_raw_fd()])?;
        drop((theirs, lock));
        let reply = timeout(CREATE_LIMIT, answer(ours, state_dir))
            .await
            .unwrap_or(Err(ShimError::TimedOut(CREATE_LIMIT.as_secs())))?;
        match reply {
            Reply::Process { pid } => Ok((Shim::at(state_dir), pid)),
            other => Err(ShimError::Failed(Failure::new(
                FailureKind::Internal,
                format!("unexpected answer from the shim: {other:?}"),
            ))),
        }
    }

    /// Starts the zygote again whenever it has died, for as long as this is waited for.
    pub async fn keep(&self) {
        loop {
            let ended = self.pid().map(|pid| {
                // SAFETY: a plain call; the descriptor is new and ours. The child has not been reaped.
                let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, libc::PIDFD_NONBLOCK) };
                check(fd as i32).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
            });
            let seen = match ended {
                Some(Ok(ended)) => match AsyncFd::with_interest(ended, Interest::READABLE) {
                    Ok(ended) => ended.readable().await.is_ok(),
                    Err(_) => false,
                },
                _ => false,
            };
            if self.restart().is_err() || !seen {
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    fn restart(&self) -> Result<(), ShimError> {
        let mut slot = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        Self::alive(&mut slot, &self.shim_exe)
    }

    /// The zygote's process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .map(|running| running.child.id())
    }

    fn send(&self, message: &[u8], with: &[RawFd]) -> Result<(), ShimError> {
        let mut slot = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        for attempt in 0..2 {
            Self::alive(&mut slot, &self.shim_exe)?;
            let Some(requests) = slot.as_ref().and_then(|running| running.requests.as_ref()) else {
                continue;
            };
            match send(requests.as_raw_fd(), message, with) {
                Ok(()) => return Ok(()),
                Err(_) if attempt == 0 => *slot = None,
                Err(err) => return Err(ShimError::io("send to the zygote")(err)),
            }
        }
        Err(ShimError::io("send to the zygote")(
            io::ErrorKind::BrokenPipe.into(),
        ))
    }
}

impl Zygote {
    /// Starts it where it does not run.
    fn alive(slot: &mut Option<Running>, shim_exe: &Path) -> Result<(), ShimError> {
        let ended = slot.as_mut().map(|running| running.child.try_wait());
        if !matches!(ended, Some(Ok(None))) {
            *slot = None;
            *slot = Some(Running::start(shim_exe)?);
        }
        Ok(())
    }
}

impl Running {
    fn start(shim_exe: &Path) -> Result<Self, ShimError> {
        let what = || format!("start {}", shim_exe.display());
        let program = sealed_copy(shim_exe).map_err(ShimError::io(what()))?;
        let (ours, theirs) = packet_pair().map_err(ShimError::io(what()))?;
        // A full queue must not hold up the engine for long.
        let limit = libc::timeval {
            tv_sec: 10,
            tv_usec: 0,
        };
        // SAFETY: the value has the size given.
        check(unsafe {
            libc::setsockopt(
                ours.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_SNDTIMEO,
                (&raw const limit).cast(),
                size_of::<libc::timeval>() as libc::socklen_t,
            )
        })
        .map_err(ShimError::io(what()))?;
        let child = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()))
            .arg0("creel-shim")
            .arg("zygote")
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .map_err(ShimError::io(what()))?;
        Ok(Self {
            child,
            requests: Some(ours),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.requests = None;
        let end = Instant::now() + STOP_LIMIT;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > end {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
