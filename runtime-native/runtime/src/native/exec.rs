//! Another process in a container that runs.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use libcontainer::workload::Executor;
use oci_spec::runtime::{Process, Spec};

use super::child::{self, Streams};
use super::sys::{self, Outcome, check, when};
use super::talk::{self, Heard, Talk};
use super::{cgroup, failed, terminal};
use crate::RuntimeError;
use crate::executor::CommandExecutor;
use crate::format::{Bundle, Stdio};
use crate::libcontainer_format;
use crate::user_namespace::IdMap;

/// Kinds of namespaces in the order in which they are entered: what paths mean changes late, what may be done last.
const KINDS: [(&str, i32); 7] = [
    ("ipc", libc::CLONE_NEWIPC),
    ("uts", libc::CLONE_NEWUTS),
    ("net", libc::CLONE_NEWNET),
    ("cgroup", libc::CLONE_NEWCGROUP),
    ("pid", libc::CLONE_NEWPID),
    ("mnt", libc::CLONE_NEWNS),
    ("user", libc::CLONE_NEWUSER),
];

/// Whether a process like this can be made here; if not, it is libcontainer's.
pub(super) fn known(process: &Process) -> bool {
    let plain = process.apparmor_profile().is_none()
        && process.selinux_label().is_none()
        && process.scheduler().is_none()
        && process.io_priority().is_none()
        && process.exec_cpu_affinity().is_none();
    plain && sys::available()
}

/// Makes the process a child of this process's parent; gives its id.
pub(super) fn make(
    bundle: &Bundle,
    init: i32,
    spec: &Spec,
    executor: &CommandExecutor,
    stdio: Stdio,
) -> Result<i32, RuntimeError> {
    let (talk, report) = talk::pair().map_err(|err| failed("make a socket", err))?;
    let streams = Streams::open(stdio)?;
    let mut namespaces = Vec::new();
    for (kind, flag) in KINDS.iter().filter(|(kind, _)| !same_namespace(kind, init)) {
        let path = PathBuf::from(format!("/proc/{init}/ns/{kind}"));
        let file = File::open(&path).map_err(|err| RuntimeError::io("open namespace", &path, err))?;
        namespaces.push((*kind, *flag, file));
    }
    let cgroup::Prepared { tasks, unified } = cgroup::find(bundle)?;
    // SAFETY: plain calls; nobody else may look into a process that holds the host's files on its way into a container.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
    if let Some((_, flag, file)) = namespaces.iter().find(|(kind, ..)| *kind == "pid") {
        // SAFETY: an open descriptor. It is the child that will be in it.
        let entered = check(unsafe { libc::setns(file.as_raw_fd(), *flag) }.into());
        entered.map_err(|err| failed("enter the container's pid namespace", err))?;
    }
    // SAFETY: the format is called in a process with a single thread.
    let forked = unsafe { sys::fork_sibling(0, unified.as_ref()) };
    let pid = forked.map_err(|err| failed("make the process", err))?;
    if pid == 0 {
        drop(talk);
        run(bundle, spec, executor, namespaces, tasks, &report, streams);
    }
    drop((report, streams, tasks));
    match talk.hear().map_err(|err| failed("hear from the process", err))? {
        Heard::Failure(text) => Err(libcontainer_format::understood(&text)),
        _ => Ok(pid),
    }
}

/// Never returns: it becomes the command, or ends.
fn run(
    bundle: &Bundle,
    spec: &Spec,
    executor: &CommandExecutor,
    namespaces: Vec<(&str, i32, File)>,
    tasks: Vec<File>,
    report: &Talk,
    streams: Streams,
) -> ! {
    let prepared = prepare(bundle, spec, executor, namespaces, tasks, streams);
    // Its end is closed by the execution of the command; until then it says what went wrong.
    let failure = match prepared {
        Ok(()) => executor.exec(spec).err().map(|err| err.to_string()),
        Err(text) => Some(text),
    };
    report.fail(&failure.unwrap_or_default());
    // SAFETY: ends this process without the destructors of its maker's objects.
    unsafe { libc::_exit(127) }
}

fn prepare(
    bundle: &Bundle,
    spec: &Spec,
    executor: &CommandExecutor,
    namespaces: Vec<(&str, i32, File)>,
    tasks: Vec<File>,
    streams: Streams,
) -> Outcome<()> {
    child::join_cgroups(tasks)?;
    child::begin_session()?;
    if let Streams::Files(files) = &streams {
        child::take_streams(files)?;
    }
    child::new_keyring();
    let process = spec.process().as_ref().ok_or("no process in the spec")?;
    if let Some(score) = process.oom_score_adj() {
        let written = fs::write("/proc/self/oom_score_adj", score.to_string());
        when(written, || format!("set the out-of-memory score to {score}"))?;
    }
    let is_users = |kind: &str| kind == "user";
    let (users, others): (Vec<_>, Vec<_>) = namespaces.into_iter().partition(|(kind, ..)| is_users(kind));
    for (kind, flag, file) in others.into_iter().filter(|(kind, ..)| *kind != "pid") {
        // SAFETY: an open descriptor.
        let entered = check(unsafe { libc::setns(file.as_raw_fd(), flag) }.into());
        when(entered, || format!("enter the container's {kind} namespace"))?;
    }
    if let Streams::Terminal(socket) = &streams {
        let root = when(File::open("/"), || "open the root".into())?.into();
        terminal::take(socket, &root, process, IdMap::of(spec).as_ref(), false)?;
    }
    child::keep_files(bundle.keep_fds)?;
    drop(streams);
    child::limit(process)?;
    for (.., file) in users {
        child::enter_users(&file.into())?;
    }
    child::settle(spec, executor)
}

fn same_namespace(kind: &str, pid: i32) -> bool {
    let name = |who: &str| fs::read_link(format!("/proc/{who}/ns/{kind}")).ok();
    // One that cannot be read is entered, so that it is told what failed.
    name("self").is_some_and(|own| Some(own) == name(&pid.to_string()))
}
