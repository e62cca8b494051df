use std::fs;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use creel_runtime::cgroup::Cgroup;
use creel_runtime::oci::Spec;
use creel_runtime::{ContainerFormat, NativeFormat, Stdio};
use lexopt::{Arg, Parser};

use crate::cli::{self, Global};
use crate::helper::in_child;
use crate::store::{self, Record, Store};
use crate::systemd::{self, Unit};
use crate::{Outcome, bundle, process, seal, time};

/// What `create` and `run` are told.
pub struct Options {
    pub id: String,
    pub bundle: PathBuf,
    pub console_socket: Option<PathBuf>,
    pub pid_file: Option<PathBuf>,
    pub keep_fds: u32,
    /// `run` alone: returns when the command runs.
    pub detach: bool,
    /// `run` alone: does not delete the container when its command has ended.
    pub keep: bool,
    /// `run` alone: adopts what the container's processes leave behind.
    pub subreaper: bool,
}

impl Options {
    pub fn parse(command: &str, mut parser: Parser) -> Outcome<Self> {
        let mut options = Self {
            id: String::new(),
            bundle: PathBuf::from("."),
            console_socket: None,
            pid_file: None,
            keep_fds: 0,
            detach: false,
            keep: false,
            subreaper: true,
        };
        let run = command == "run";
        while let Some(argument) = parser.next().map_err(cli::said)? {
            match argument {
                Arg::Long("bundle") | Arg::Short('b') => options.bundle = cli::path(&mut parser)?,
                Arg::Long("console-socket") => {
                    options.console_socket = Some(cli::absolute(cli::path(&mut parser)?)?)
                }
                Arg::Long("pid-file") => options.pid_file = Some(cli::absolute(cli::path(&mut parser)?)?),
                Arg::Long("preserve-fds") => options.keep_fds = cli::number(&mut parser, "preserve-fds")?,
                // The root is always changed by pivot_root, and the keyring is always a new one.
                Arg::Long("no-pivot" | "no-new-keyring") => drop(cli::flag(&mut parser)?),
                Arg::Long("detach") | Arg::Short('d') if run => options.detach = cli::flag(&mut parser)?,
                Arg::Long("keep") if run => options.keep = cli::flag(&mut parser)?,
                Arg::Long("no-subreaper") if run => options.subreaper = !cli::flag(&mut parser)?,
                Arg::Value(id) if options.id.is_empty() => {
                    options.id = id.into_string().map_err(|_| "the container id is not UTF-8")?;
                }
                other => return Err(cli::said(other.unexpected())),
            }
        }
        if options.id.is_empty() {
            return Err(cli::missing_id(command));
        }
        bundle::check_id(&options.id)?;
        options.bundle = fs::canonicalize(&options.bundle)
            .map_err(|err| format!("bundle {}: {err}", options.bundle.display()))?;
        // Paths in the spec may be relative to it.
        std::env::set_current_dir(&options.bundle)
            .map_err(|err| format!("bundle {}: {err}", options.bundle.display()))?;
        // As systemd hands files over.
        if let (Ok(files), Ok(pid)) = (std::env::var("LISTEN_FDS"), std::env::var("LISTEN_PID"))
            && pid == std::process::id().to_string()
        {
            options.keep_fds += files.parse::<u32>().unwrap_or_default();
        }
        Ok(options)
    }
}

/// `create`: everything but the execution of the command.
pub fn run(global: &Global, arguments: Parser) -> Outcome<()> {
    seal::seal()?;
    let options = Options::parse("create", arguments)?;
    let (spec, unit) = bundle::read(&options.bundle, &options.id, global.systemd_cgroup)?;
    let terminal = wants_terminal(&spec);
    let stdio = match (&options.console_socket, terminal) {
        (Some(console_socket), true) => Stdio::Terminal {
            console_socket: console_socket.clone(),
        },
        (None, false) => own_streams()?,
        (None, true) => return Err(
            "cannot allocate tty if runc will detach without setting console socket: give --console-socket"
                .replace("runc", "the runtime"),
        ),
        (Some(_), false) => {
            return Err("--console-socket is given, but process.terminal is not set in the spec".into());
        }
    };
    make(&Store::new(&global.root), &options, &spec, unit.as_ref(), stdio).map(drop)
}

pub fn wants_terminal(spec: &Spec) -> bool {
    spec.process()
        .as_ref()
        .is_some_and(|process| process.terminal().unwrap_or(false))
}

/// Makes the container, and nothing where that fails.
pub fn make(
    store: &Store,
    options: &Options,
    spec: &Spec,
    unit: Option<&Unit>,
    stdio: Stdio,
) -> Outcome<Record> {
    let cgroup = bundle::cgroup(spec, &options.id)?;
    store.claim(&options.id)?;
    // A cgroup with processes in it is somebody else's: its end would be theirs.
    if !Cgroup::new(&cgroup).pids().is_empty() {
        let _ = store.forget(&options.id);
        return Err(format!("the cgroup {cgroup} is in use: it has processes in it"));
    }
    let made = make_in(store, options, spec, unit, stdio, &cgroup);
    if made.is_err() {
        let _ = Cgroup::new(&cgroup).kill_and_remove();
        if let Some(unit) = unit {
            let _ = systemd::stop(&unit.name);
        }
        let _ = store.forget(&options.id);
    }
    made
}

fn make_in(
    store: &Store,
    options: &Options,
    spec: &Spec,
    unit: Option<&Unit>,
    stdio: Stdio,
    cgroup: &str,
) -> Outcome<Record> {
    let copy = serde_json::to_vec(spec).map_err(|err| err.to_string())?;
    store::replace(&store.directory(&options.id).join(store::SPEC), &copy)?;
    let bundle = store.bundle(&options.id, &options.bundle, cgroup, options.keep_fds);
    let annotations = spec.annotations().clone().unwrap_or_default();
    let pid = in_child(|| {
        if let Some(unit) = unit {
            // It holds the unit until the container's process does.
            unit.start(std::process::id(), &options.id, &annotations)?;
        }
        NativeFormat.create(&bundle, stdio).map_err(|err| err.to_string())
    })?;
    if let Some(unit) = unit {
        systemd::tell_limits(&unit.name, cgroup)?;
    }
    let record = Record {
        oci_version: spec.version().clone(),
        id: options.id.clone(),
        pid,
        start_time: process::start_time(pid)
            .ok_or("the container's process ended before it could be started")?,
        bundle: options.bundle.clone(),
        rootfs: spec
            .root()
            .as_ref()
            .map(|root| root.path().clone())
            .unwrap_or_default(),
        created: time::now(),
        owner: owner(),
        cgroup: cgroup.to_owned(),
        unit: unit.map(|unit| unit.name.clone()),
        annotations,
    };
    store.save(&record)?;
    if let Some(path) = &options.pid_file {
        write_pid(path, pid)?;
    }
    Ok(record)
}

/// Writes a process id so that a reader finds it whole or not at all.
pub fn write_pid(path: &Path, pid: i32) -> Outcome<()> {
    store::replace(path, pid.to_string().as_bytes())
}

/// Copies of this process's own standard streams.
pub fn own_streams() -> Outcome<Stdio> {
    let copy = |fd| {
        // SAFETY: the new descriptor is ours.
        unsafe {
            match libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) {
                fd if fd >= 0 => Ok(OwnedFd::from_raw_fd(fd)),
                _ => Err(format!(
                    "standard stream {fd}: {}",
                    std::io::Error::last_os_error()
                )),
            }
        }
    };
    Ok(Stdio::Pipes {
        stdin: copy(0)?,
        stdout: copy(1)?,
        stderr: copy(2)?,
    })
}

fn owner() -> String {
    // SAFETY: a plain call.
    let uid = unsafe { libc::getuid() }.to_string();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.get(2) == Some(&uid.as_str()))
        .map_or(uid.clone(), |fields| fields[0].to_owned())
}
