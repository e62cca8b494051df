//! Running a command inside a host.

use crate::sys::{Result, check, fork};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};

const NAMESPACES: [(&str, libc::c_int); 5] = [
    ("pid", libc::CLONE_NEWPID),
    ("net", libc::CLONE_NEWNET),
    ("uts", libc::CLONE_NEWUTS),
    ("ipc", libc::CLONE_NEWIPC),
    ("mnt", libc::CLONE_NEWNS),
];

/// Runs `command` in the namespaces of the host whose init is `pid`; its exit code (128 + the signal's number).
pub fn run(pid: &str, command: &[&str]) -> Result<u8> {
    let pid: libc::pid_t = pid.parse().map_err(|_| format!("{pid} is not a process id"))?;
    let open = |name: &str| File::open(format!("/proc/{pid}/ns/{name}"));
    let mut files = Vec::new();
    for (name, kind) in NAMESPACES {
        files.push((
            open(name).map_err(|error| format!("the host is not running: {error}"))?,
            kind,
        ));
    }
    for (file, kind) in &files {
        // SAFETY: a process with one thread enters namespaces by descriptors it holds.
        check(unsafe { libc::setns(file.as_raw_fd(), *kind) }, "enter the host")?;
    }
    // The PID namespace is the children's, so a child becomes the command.
    let child = fork()?;
    if child == 0 {
        let error = Command::new(command[0])
            .args(&command[1..])
            .current_dir("/")
            .exec();
        eprintln!("creel-lab: {}: {error}", command[0]);
        std::process::exit(if error.kind() == std::io::ErrorKind::NotFound {
            127
        } else {
            126
        });
    }
    let mut status = 0;
    // SAFETY: waits for the child just made.
    check(
        unsafe { libc::waitpid(child, &mut status, 0) },
        "wait for the command",
    )?;
    let status = ExitStatus::from_raw(status);
    Ok(status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1) as u8)
}
