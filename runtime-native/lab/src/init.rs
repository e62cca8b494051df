//! Process 1 of a host: keeps one command running, as a machine's service manager would, and reaps orphans.

use crate::sys::{Result, check};
use std::convert::Infallible;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Between the end of the command and its next start.
const RESTART_DELAY: Duration = Duration::from_millis(300);
/// For the command to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(10);

/// Runs `command` until SIGTERM comes; starts it again whenever it ends. Ends the whole host with itself.
pub fn run(log: &str, command: &[String]) -> Result<Infallible> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(log)
        .map_err(|e| format!("open {log}: {e}"))?;
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(|e| e.to_string())?;
    // SAFETY: replaces this process's own standard descriptors, so that it holds nobody's terminal or pipe.
    unsafe {
        check(libc::dup2(null.as_raw_fd(), 0), "detach")?;
        check(libc::dup2(log.as_raw_fd(), 1), "detach")?;
        check(libc::dup2(log.as_raw_fd(), 2), "detach")?;
    }
    let signals = block_signals()?;
    loop {
        let pid = start(command, &log)?;
        if !supervise(pid, &signals) {
            std::process::exit(0);
        }
        std::thread::sleep(RESTART_DELAY);
    }
}

/// Process 1 gets only signals it asks for; both are waited for, not handled.
fn block_signals() -> Result<libc::sigset_t> {
    // SAFETY: the set is a local that the calls fill and read.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGCHLD);
        libc::sigaddset(&mut set, libc::SIGTERM);
        check(
            libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()),
            "block signals",
        )?;
        Ok(set)
    }
}

fn start(command: &[String], log: &File) -> Result<libc::pid_t> {
    let output = |log: &File| log.try_clone().map(Stdio::from).map_err(|e| e.to_string());
    let mut child = Command::new(&command[0]);
    child
        .args(&command[1..])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(output(log)?)
        .stderr(output(log)?);
    // SAFETY: only async-signal-safe calls between fork and exec.
    unsafe {
        child.pre_exec(|| {
            libc::setsid();
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&mut set);
            libc::sigprocmask(libc::SIG_SETMASK, &set, std::ptr::null_mut());
            Ok(())
        });
    }
    let child = child
        .spawn()
        .map_err(|error| format!("start {}: {error}", command[0]))?;
    Ok(child.id() as libc::pid_t)
}

/// Waits for the command's end and reaps whatever else ends; false when SIGTERM came.
fn supervise(pid: libc::pid_t, signals: &libc::sigset_t) -> bool {
    let mut deadline: Option<Instant> = None;
    loop {
        let timeout = libc::timespec {
            tv_sec: 1,
            tv_nsec: 0,
        };
        // SAFETY: the set and the timeout are valid for the call.
        let signal = unsafe { libc::sigtimedwait(signals, std::ptr::null_mut(), &timeout) };
        if signal == libc::SIGTERM && deadline.is_none() {
            deadline = Some(Instant::now() + GRACE);
            // SAFETY: a child of this process that was not reaped yet.
            unsafe { libc::kill(pid, libc::SIGTERM) };
        }
        if reaped(pid) || deadline.is_some_and(|deadline| Instant::now() > deadline) {
            return deadline.is_none();
        }
    }
}

/// Reaps all that has ended; whether `pid` was among them.
fn reaped(pid: libc::pid_t) -> bool {
    let mut found = false;
    loop {
        // SAFETY: does not block; no status is asked for.
        let ended = unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) };
        if ended <= 0 {
            return found;
        }
        found |= ended == pid;
    }
}
