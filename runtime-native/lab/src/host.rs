//! Making a host: namespaces, a link to the bridge, an init.

use crate::sys::{Result, check, fork, mount};
use crate::{init, network};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;

/// What a host is made from.
pub struct Options {
    name: String,
    bridge: String,
    port: String,
    address: String,
    gateway: String,
    log: String,
    command: Vec<String>,
}

impl Options {
    /// Reads the words after `creel-lab host`.
    pub fn parse(words: &[&str]) -> Result<Self> {
        let split = words
            .iter()
            .position(|word| *word == "--")
            .ok_or("host: -- COMMAND is missing")?;
        let (options, command) = (&words[..split], &words[split + 1..]);
        let get = |name: &str| {
            options
                .chunks(2)
                .find(|pair| pair.first() == Some(&name))
                .and_then(|pair| pair.get(1))
                .map(|value| (*value).to_owned())
                .ok_or_else(|| format!("host: {name} is missing"))
        };
        if command.is_empty() {
            return Err("host: a command is missing".into());
        }
        Ok(Self {
            name: get("--name")?,
            bridge: get("--bridge")?,
            port: get("--port")?,
            address: get("--address")?,
            gateway: get("--gateway")?,
            log: get("--log")?,
            command: command.iter().map(|word| (*word).to_owned()).collect(),
        })
    }
}

/// Makes the host and prints the process id of its init, as seen from here.
pub fn make(options: &Options) -> Result<()> {
    let (mut pid_read, pid_write) = pipe()?;
    let (go_read, mut go_write) = pipe()?;
    // A child makes the namespaces, so that this process stays where the bridge is.
    let child = fork()?;
    if child == 0 {
        drop((pid_read, go_write));
        let Err(message) = unshare(options, pid_write, go_read);
        eprintln!("creel-lab: host {}: {message}", options.name);
        std::process::exit(1);
    }
    drop((pid_write, go_read));
    let mut text = String::new();
    pid_read
        .read_to_string(&mut text)
        .map_err(|error| format!("read the host's process id: {error}"))?;
    reap(child);
    let pid: libc::pid_t = text
        .trim()
        .parse()
        .map_err(|_| "the host did not start".to_owned())?;
    let connected = network::connect(
        pid,
        &options.bridge,
        &options.port,
        &options.address,
        &options.gateway,
    );
    if connected.is_err() {
        // Its end of the pipe closes with this process, and the init ends.
        let _ = network::delete(&options.port);
        return connected;
    }
    go_write
        .write_all(b"1")
        .map_err(|error| format!("tell the host to go on: {error}"))?;
    println!("{pid}");
    Ok(())
}

fn pipe() -> Result<(File, File)> {
    let mut ends = [0; 2];
    // SAFETY: two descriptors are written into the array, and owned by nobody else.
    unsafe {
        check(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), "make a pipe")?;
        Ok((File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])))
    }
}

fn reap(child: libc::pid_t) {
    // SAFETY: waits for a child of this process.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
}

/// In the child: new namespaces, and process 1 of them. Comes back only with an error.
fn unshare(options: &Options, mut pid_write: File, go_read: File) -> Result<std::convert::Infallible> {
    let flags =
        libc::CLONE_NEWNET | libc::CLONE_NEWNS | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC | libc::CLONE_NEWPID;
    // SAFETY: a process with one thread leaves its own namespaces.
    check(unsafe { libc::unshare(flags) }, "make namespaces")?;
    let pid = fork()?;
    if pid != 0 {
        write!(pid_write, "{pid}").map_err(|error| error.to_string())?;
        std::process::exit(0);
    }
    drop(pid_write);
    become_host(options, go_read)
}

fn become_host(options: &Options, mut go_read: File) -> Result<std::convert::Infallible> {
    let mut go = [0u8; 1];
    if go_read.read(&mut go).map_err(|error| error.to_string())? == 0 {
        std::process::exit(1);
    }
    // SAFETY: plain calls on this process; the pointer and length are of one string.
    unsafe {
        check(libc::setsid(), "start a session")?;
        check(
            libc::sethostname(options.name.as_ptr().cast(), options.name.len()),
            "set the host name",
        )?;
    }
    // Of nobody outside; and shared within, as systemd has a machine's.
    for propagation in [libc::MS_PRIVATE, libc::MS_SHARED] {
        mount("none", "/", "none", libc::MS_REC | propagation)?;
    }
    mount(
        "proc",
        "/proc",
        "proc",
        libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC,
    )?;
    init::run(&options.log, &options.command)
}
