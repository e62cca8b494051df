//! Processes by id, without mistaking one for another that got the same id later.

use std::fs;
use std::io;

/// When a process began, in clock ticks since the machine did; none where it has ended, a zombie included.
pub fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Sends a signal to the process that began at `started`; `false` where that is gone.
pub fn send(pid: i32, started: u64, signal: i32) -> io::Result<bool> {
    // SAFETY: plain system calls; the descriptor is closed below.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0) as i32;
        if fd < 0 {
            let err = io::Error::last_os_error();
            return if err.raw_os_error() == Some(libc::ESRCH) {
                Ok(false)
            } else {
                Err(err)
            };
        }
        // What the descriptor stands for cannot change any more.
        let sent = match start_time(pid) == Some(started) {
            true => libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, 0, 0),
            false => 1,
        };
        let err = io::Error::last_os_error();
        libc::close(fd);
        match sent {
            0 => Ok(true),
            1 => Ok(false),
            _ if err.raw_os_error() == Some(libc::ESRCH) => Ok(false),
            _ => Err(err),
        }
    }
}
