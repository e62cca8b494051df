//! Containers made in few steps: one fork into all namespaces, mounts by descriptor, cgroups joined by the process
//! itself. What a spec seldom asks for, and all that is done to a container later, is libcontainer's.

mod cgroup;
mod child;
mod copy_up;
mod exec;
mod filesystem;
mod plan;
pub(crate) mod sys;
mod talk;
mod terminal;

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxResources;

use crate::RuntimeError;
use crate::executor::CommandExecutor;
use crate::format::{Bundle, ContainerFormat, ContainerState, Stdio};
use crate::hooks::{HookPoint, run_hooks};
use crate::libcontainer_format::{self, LibcontainerFormat};
use plan::Plan;
use talk::Heard;

/// The byte that lets the command begin goes through this file of the state directory.
const START: &str = "start";
/// The process id of a container that was made here.
const PID: &str = "init.pid";

/// The files that a format keeps in the state directory, besides its directories.
pub const FORMAT_FILES: [&str; 2] = [START, PID];

/// The default format: our own steps for what nearly all containers are, libcontainer's for the rest.
#[derive(Clone, Copy, Debug, Default)]
pub struct NativeFormat;

impl ContainerFormat for NativeFormat {
    fn create(&self, bundle: &Bundle, stdio: Stdio) -> Result<i32, RuntimeError> {
        if sys::available() {
            let (spec, executor) = libcontainer_format::load(bundle, &stdio)?;
            if let Some(plan) = Plan::of(&spec)
                && let Some(cgroup) = cgroup::prepare(bundle, plan.resources)?
            {
                return make(bundle, &plan, &executor, cgroup, stdio);
            }
            let mounts = spec.mounts().iter().flatten();
            if mounts.into_iter().any(|mount| mount.uid_mappings().is_some()) {
                let text = "a container with a user namespace cannot have this here: a shared root, an unusual mount, or, on \
                            cgroup v2, the host's view of the cgroups";
                return Err(RuntimeError::Invalid(text.into()));
            }
        }
        LibcontainerFormat.create(bundle, stdio)
    }

    fn start_at_once(&self, bundle: &Bundle) -> Option<Result<(), RuntimeError>> {
        let path = bundle.state_dir.join(START);
        let opened = OpenOptions::new()
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path);
        let result = match opened {
            Err(err) if err.kind() == io::ErrorKind::NotFound => return None,
            // Nobody reads: the process is gone.
            Err(err) if err.raw_os_error() == Some(libc::ENXIO) => {
                Err(RuntimeError::State("container is not running".into()))
            }
            Err(err) => Err(RuntimeError::io("open", &path, err)),
            Ok(mut file) => file
                .write_all(b"1")
                .map_err(|err| RuntimeError::io("write", &path, err)),
        };
        let _ = fs::remove_file(&path);
        Some(result)
    }

    fn start(&self, bundle: &Bundle) -> Result<(), RuntimeError> {
        match self.start_at_once(bundle) {
            Some(result) => result,
            None => LibcontainerFormat.start(bundle),
        }
    }

    fn exec(&self, bundle: &Bundle, process: &Path, stdio: Stdio) -> Result<i32, RuntimeError> {
        if let Some(init) = pid_of(bundle)? {
            let (spec, executor) = libcontainer_format::load_exec(bundle, process, &stdio)?;
            if spec.process().as_ref().is_some_and(exec::known) {
                return exec::make(bundle, init, &spec, &executor, stdio);
            }
            libcontainer_format::introduce(bundle, init)?;
        }
        LibcontainerFormat.exec(bundle, process, stdio)
    }

    fn kill(&self, bundle: &Bundle, pid: i32, signal: i32, all: bool) -> Result<(), RuntimeError> {
        LibcontainerFormat.kill(bundle, pid, signal, all)
    }

    fn pause(&self, bundle: &Bundle) -> Result<(), RuntimeError> {
        LibcontainerFormat.pause(bundle)
    }

    fn resume(&self, bundle: &Bundle) -> Result<(), RuntimeError> {
        LibcontainerFormat.resume(bundle)
    }

    fn update(&self, bundle: &Bundle, resources: &LinuxResources) -> Result<(), RuntimeError> {
        LibcontainerFormat.update(bundle, resources)
    }

    fn state(&self, bundle: &Bundle) -> Result<ContainerState, RuntimeError> {
        let Some(pid) = pid_of(bundle)? else {
            return LibcontainerFormat.state(bundle);
        };
        let begun = !bundle.state_dir.join(START).exists();
        Ok(ContainerState::of(pid, begun, &bundle.cgroup))
    }

    fn delete(&self, bundle: &Bundle) -> Result<(), RuntimeError> {
        LibcontainerFormat.delete(bundle)?;
        for name in FORMAT_FILES {
            let path = bundle.state_dir.join(name);
            match fs::remove_file(&path) {
                Err(err) if err.kind() != io::ErrorKind::NotFound => {
                    return Err(RuntimeError::io("remove", &path, err));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether a spec is made here.
#[cfg(test)]
pub(crate) fn is_planned(spec: &oci_spec::runtime::Spec) -> bool {
    Plan::of(spec).is_some()
}

fn make(
    bundle: &Bundle,
    plan: &Plan,
    executor: &CommandExecutor,
    cgroup: cgroup::Prepared,
    stdio: Stdio,
) -> Result<i32, RuntimeError> {
    let (talk, report) = talk::pair().map_err(|err| failed("make a socket", err))?;
    let streams = child::Streams::open(stdio)?;
    let start = gate(&bundle.state_dir)?;
    let spread = plan.new & !libc::CLONE_NEWCGROUP;
    // SAFETY: plain calls; nobody else may look into a process that holds the host's files on its way into a container.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
    if let Some((flag, path)) = plan.joined.iter().find(|(flag, _)| *flag == libc::CLONE_NEWPID) {
        let file = File::open(path).map_err(|err| RuntimeError::io("open namespace", path, err))?;
        // SAFETY: an open descriptor. It is the child that will be in it.
        let entered = sys::check(unsafe { libc::setns(file.as_raw_fd(), *flag) }.into());
        entered.map_err(|err| RuntimeError::io("enter namespace", path, err))?;
    }
    let (tasks, unified) = (cgroup.tasks, cgroup.unified);
    // SAFETY: the format is called in a process with a single thread.
    let forked = unsafe { sys::fork_sibling(spread, unified.as_ref()) };
    let pid = forked.map_err(|err| failed("make the container's process", err))?;
    let ends = child::Ends {
        tasks,
        report,
        start,
        streams,
    };
    if pid == 0 {
        drop(talk);
        child::run(plan, executor, bundle, ends);
    }
    // The socket ends when the child has let go of it, too.
    drop(ends);
    loop {
        match talk
            .hear()
            .map_err(|err| failed("hear from the container's process", err))?
        {
            Heard::Ready => break,
            Heard::End => return Err(killed(bundle)),
            Heard::Failure(text) => return Err(libcontainer_format::understood(&text)),
            Heard::Namespaces => {
                let state = bundle.oci_state(plan.spec, "creating", pid);
                for point in [HookPoint::Prestart, HookPoint::CreateRuntime] {
                    run_hooks(plan.spec, point, &state)?;
                }
                talk.go_on(pid)
                    .map_err(|err| failed("speak to the container's process", err))?;
            }
        }
    }
    let path = bundle.state_dir.join(PID);
    fs::write(&path, pid.to_string()).map_err(|err| RuntimeError::io("write", &path, err))?;
    Ok(pid)
}

fn killed(bundle: &Bundle) -> RuntimeError {
    let why = match crate::cgroup::Cgroup::new(&bundle.cgroup).oom_kills() {
        0 => "",
        _ => " for want of memory: its memory limit is too low",
    };
    RuntimeError::Failed(format!(
        "the container's process was killed before it could be started{why}"
    ))
}

fn failed(what: &str, source: io::Error) -> RuntimeError {
    RuntimeError::Io {
        what: what.to_owned(),
        source,
    }
}

/// The file behind which the container's process waits. It is open for writing, too: a reader alone would find its end.
fn gate(state_dir: &Path) -> Result<File, RuntimeError> {
    let path: PathBuf = state_dir.join(START);
    let make = || {
        let name = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: the path outlives the call.
        sys::check(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }.into())?;
        OpenOptions::new().read(true).write(true).open(&path)
    };
    make().map_err(|err| RuntimeError::io("make", &path, err))
}

fn pid_of(bundle: &Bundle) -> Result<Option<i32>, RuntimeError> {
    let path = bundle.state_dir.join(PID);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().parse().ok()),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(RuntimeError::io("read", &path, err)),
    }
}
