//! Work in a child process that ends at once: the container formats want a process with a single thread, whose parent
//! becomes the parent of what they start.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};

use crate::Outcome;

/// What a pipe takes without a reader.
const PIPE: usize = 64 << 10;

/// Does `work` in a child of this process and gives its result; what it starts is this process's child.
pub fn in_child(work: impl FnOnce() -> Outcome<i32>) -> Outcome<i32> {
    let failed = |what: &str| format!("{what}: {}", std::io::Error::last_os_error());
    let mut ends = [0; 2];
    // SAFETY: the kernel fills in two descriptors, which are ours. This process has a single thread.
    let (mut reader, writer, pid) = unsafe {
        if libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) != 0 {
            return Err(failed("make a pipe"));
        }
        let file = |fd| File::from(OwnedFd::from_raw_fd(fd));
        (file(ends[0]), file(ends[1]), libc::fork())
    };
    match pid {
        -1 => Err(failed("make a process")),
        0 => {
            drop(reader);
            let mut result = work();
            if let Err(text) = &mut result {
                text.truncate(text.floor_char_boundary(PIPE / 8));
            }
            let text = serde_json::to_vec(&result).unwrap_or_default();
            let mut writer = writer;
            let _ = writer.write_all(&text);
            // SAFETY: ends this process without the destructors of its parent's objects.
            unsafe { libc::_exit(0) }
        }
        pid => {
            // Not read to its end: what the child has started holds the pipe, too, until it executes a command.
            wait(pid);
            drop(writer);
            let mut text = vec![0; PIPE];
            let size = reader.read(&mut text).unwrap_or_default();
            text.truncate(size);
            serde_json::from_slice(&text)
                .unwrap_or_else(|_| Err("the process that makes the container was killed".into()))
        }
    }
}

/// Waits for the end of a child; gives the exit status as a shell has it.
pub fn wait(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: the status is ours.
    while unsafe { libc::waitpid(pid, &mut status, 0) } < 0 {
        if std::io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            return 255;
        }
    }
    exit_code(status)
}

/// The exit status that a wait status stands for: 128 and the signal for a process that one killed.
pub fn exit_code(status: i32) -> i32 {
    if libc::WIFSIGNALED(status) {
        128 + libc::WTERMSIG(status)
    } else {
        libc::WEXITSTATUS(status)
    }
}

/// The signals that are the container's when they reach this program.
const FORWARDED: [i32; 8] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGCONT,
    libc::SIGWINCH,
];

/// Waits for the end of a child and sends it the signals that this process gets meanwhile; reaps what else ends. Gives
/// the exit status as a shell has it.
pub fn wait_and_forward(pid: i32) -> i32 {
    let set = block(&FORWARDED);
    loop {
        if let Some(code) = reap(pid) {
            return code;
        }
        let mut number = 0;
        // SAFETY: set and number outlive the call.
        if unsafe { libc::sigwait(&set, &mut number) } == 0 && number != libc::SIGCHLD {
            // SAFETY: the child has not been reaped, so its id is its own.
            unsafe { libc::kill(pid, number) };
        }
    }
}

/// Blocks these signals and that of a child's end; gives the set of them.
pub fn block(signals: &[i32]) -> libc::sigset_t {
    // SAFETY: the set is ours and outlives the calls.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for number in signals.iter().chain([&libc::SIGCHLD]) {
            libc::sigaddset(&mut set, *number);
        }
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        set
    }
}

/// Collects children that have ended; gives the exit status of the one with this id when it is among them.
pub fn reap(pid: i32) -> Option<i32> {
    let mut found = None;
    loop {
        let mut status = 0;
        // SAFETY: the status is ours.
        match unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) } {
            ended if ended == pid => found = Some(exit_code(status)),
            -1 if found.is_none() => return Some(255),
            ended if ended <= 0 => return found,
            _ => {}
        }
    }
}
