use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::protocol::{Failure, FailureKind};
use crate::socket::{check, packet_pair, receive, send, set_nonblocking};

/// A child that does one thing with the container format and ends. What the format allocates is the child's, so that the
/// shim stays small and never blocks.
pub(crate) struct Helper {
    pub(crate) pid: i32,
    answer: OwnedFd,
}

#[derive(Serialize, Deserialize)]
struct Answer(Result<i32, Failure>);

impl Helper {
    /// Starts a helper. Of the shim's descriptors it keeps the standard ones and those named.
    pub(crate) fn spawn(keep: &[RawFd], work: impl FnOnce() -> Result<i32, Failure>) -> io::Result<Self> {
        let (answer, answer_to) = packet_pair()?;
        set_nonblocking(&answer)?;
        // SAFETY: the shim has a single thread.
        match check(unsafe { libc::fork() })? {
            0 => {
                let mut keep = keep.to_vec();
                keep.push(answer_to.as_raw_fd());
                close_others(keep);
                unblock_signals();
                let result =
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|_| {
                        Err(Failure::new(
                            FailureKind::Internal,
                            "the container format failed unexpectedly",
                        ))
                    });
                let message = serde_json::to_vec(&Answer(result)).unwrap_or_default();
                let _ = send(answer_to.as_raw_fd(), &message, &[]);
                // SAFETY: ends this process without the destructors of the shim's objects.
                unsafe { libc::_exit(0) }
            }
            pid => Ok(Self { pid, answer }),
        }
    }

    /// Whether the helper has done its work; waits for that so long.
    pub(crate) fn finished(&self, limit: Duration) -> bool {
        let mut answer = libc::pollfd {
            fd: self.answer.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one descriptor is polled.
        unsafe { libc::poll(&mut answer, 1, limit.as_millis() as i32) > 0 }
    }

    /// Collects the helper, which is done, where nobody else does.
    pub(crate) fn collect(self) {
        // SAFETY: no status is asked for.
        unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), libc::WNOHANG) };
    }

    /// Ends the helper at once.
    pub(crate) fn kill(&self) {
        // SAFETY: it has not been waited for, so the id is still its own.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
    }

    /// What the helper, which has ended, had to say.
    pub(crate) fn result(self) -> Result<i32, Failure> {
        let mut buffer = vec![0; 16 << 10];
        let (size, _) = receive(self.answer.as_raw_fd(), &mut buffer).unwrap_or_default();
        match serde_json::from_slice::<Answer>(&buffer[..size]) {
            Ok(Answer(result)) => result,
            Err(_) => Err(Failure::new(
                FailureKind::Internal,
                "the helper process was killed before it was done",
            )),
        }
    }
}

/// Has this helper end with its shim: nobody would hear of what it makes.
pub(crate) fn end_with_shim() {
    // SAFETY: a plain call; the shim has a single thread, so that the end of that is the shim's.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) };
}

fn close_others(mut keep: Vec<RawFd>) {
    keep.sort_unstable();
    let mut from = 3;
    for fd in keep.into_iter().chain([RawFd::MAX]) {
        if from < fd {
            // SAFETY: closes descriptors this process will not use again.
            unsafe { libc::syscall(libc::SYS_close_range, from as u32, (fd - 1) as u32, 0) };
        }
        from = fd.saturating_add(1).max(from);
    }
}

fn unblock_signals() {
    // SAFETY: plain signal calls.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
    }
}
