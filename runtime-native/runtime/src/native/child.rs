//! The process that becomes the container: from its first moment to the execution of its command.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use libcontainer::workload::Executor;
use oci_spec::runtime::{PosixRlimitType, Process, Spec};

use super::plan::Plan;
use super::sys::{Outcome, check, when};
use super::talk::Talk;
use super::{filesystem, terminal};
use crate::RuntimeError;
use crate::executor::CommandExecutor;
use crate::format::{Bundle, Stdio};
use crate::hooks::{HookPoint, OciState, run_hooks};
use crate::rootfs::read_in_root;
use crate::short_path::ShortPath;
use crate::user_namespace;

const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
const PASSWD_LIMIT: u64 = 1 << 20;

/// What the process has from the one that made it.
pub(super) struct Ends {
    /// The files that take it into each v1 cgroup.
    pub(super) tasks: Vec<File>,
    /// Says how it went: nothing but the end when all is well.
    pub(super) report: Talk,
    /// A byte comes here when the command is to be executed.
    pub(super) start: File,
    pub(super) streams: Streams,
}

/// Where the standard streams come from.
pub(super) enum Streams {
    /// Input, output, error.
    Files([OwnedFd; 3]),
    /// A terminal is made; this is whom it is sent to.
    Terminal(UnixStream),
}

impl Streams {
    /// Opens what has a path, as long as the host's paths are in sight.
    pub(super) fn open(stdio: Stdio) -> Result<Self, RuntimeError> {
        Ok(match stdio {
            Stdio::Pipes {
                stdin,
                stdout,
                stderr,
            } => Self::Files([stdin, stdout, stderr]),
            Stdio::Terminal { console_socket } => Self::Terminal(
                UnixStream::connect(ShortPath::of(&console_socket)?.as_str())
                    .map_err(|err| RuntimeError::io("connect to console socket", &console_socket, err))?,
            ),
        })
    }
}

/// Never returns: it becomes the command, or ends.
pub(super) fn run(plan: &Plan, executor: &CommandExecutor, bundle: &Bundle, ends: Ends) -> ! {
    let Ends {
        tasks,
        report,
        mut start,
        streams,
    } = ends;
    let prepared = prepare(plan, executor, bundle, tasks, &report, streams)
        .and_then(|state| when(report.ready().map(|()| state), || "say that it is ready".into()));
    let state = match prepared {
        Ok(state) => state,
        Err(text) => {
            report.fail(&text);
            // SAFETY: ends this process without the destructors of its maker's objects.
            unsafe { libc::_exit(1) };
        }
    };
    drop(report);
    let mut byte = [0];
    loop {
        match start.read(&mut byte) {
            Ok(1) => break,
            Err(err) if err.kind() == std::io::ErrorKind::Interrupted => {}
            // SAFETY: as above.
            _ => unsafe { libc::_exit(1) },
        }
    }
    drop(start);
    if let Some(state) = state
        && let Err(err) = run_hooks(plan.spec, HookPoint::StartContainer, &state)
    {
        let _ = writeln!(std::io::stderr(), "{err}");
        // SAFETY: as above.
        unsafe { libc::_exit(1) };
    }
    // What went wrong is on the container's own standard error by then.
    let _ = executor.exec(plan.spec);
    // SAFETY: as above.
    unsafe { libc::_exit(127) }
}

/// Gives the state that hooks are to read, where there are any.
fn prepare(
    plan: &Plan,
    executor: &CommandExecutor,
    bundle: &Bundle,
    tasks: Vec<File>,
    report: &Talk,
    streams: Streams,
) -> Outcome<Option<OciState>> {
    join_cgroups(tasks)?;
    begin_session()?;
    if let Streams::Files(files) = &streams {
        take_streams(files)?;
    }
    new_keyring();
    namespaces(plan)?;
    let mut state = None;
    if plan.spec.hooks().is_some() {
        let pid = when(report.namespaces(), || "wait for the hooks".into())?;
        state = Some(bundle.oci_state(plan.spec, "creating", pid));
    }
    if let Some(score) = plan.process.oom_score_adj() {
        let written = fs::write("/proc/self/oom_score_adj", score.to_string());
        when(written, || format!("set the out-of-memory score to {score}"))?;
    }
    let users = plan.users.as_ref();
    let namespace = match users {
        Some(users) => {
            let file = File::open(users.path);
            let file = when(file, || {
                format!("open the user namespace {}", users.path.display())
            })?;
            when(user_namespace::act_as(users.ids.root()), || {
                "act as the container's root".into()
            })?;
            Some(OwnedFd::from(file))
        }
        None => None,
    };
    let filesystem = filesystem::enter(plan, namespace.as_ref(), || match &state {
        Some(state) => run_hooks(plan.spec, HookPoint::CreateContainer, state).map_err(|err| err.to_string()),
        None => Ok(()),
    })?;
    match &streams {
        Streams::Terminal(socket) => {
            let ids = users.map(|users| &users.ids);
            terminal::take(socket, &filesystem.root, plan.process, ids, true)?;
        }
        Streams::Files(_) => when(filesystem.take_null(), || "take the container's /dev/null".into())?,
    }
    keep_files(bundle.keep_fds)?;
    drop((filesystem, streams));
    if let Some(state) = &mut state {
        "created".clone_into(&mut state.status);
    }
    limit(plan.process)?;
    if let Some(namespace) = namespace {
        enter_users(&namespace)?;
        // Root of the new namespace may do in these what root does in a container.
        let again = plan.new & (libc::CLONE_NEWNS | libc::CLONE_NEWUTS);
        // SAFETY: a plain call of a single-threaded process.
        when(check(unsafe { libc::unshare(again) }.into()), || {
            "make namespaces".into()
        })?;
    }
    settle(plan.spec, executor)?;
    Ok(state)
}

/// From here on this process has all capabilities in the user namespace and none outside of it.
pub(super) fn enter_users(namespace: &OwnedFd) -> Outcome<()> {
    // SAFETY: an open descriptor; the process has a single thread.
    let entered = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWUSER) };
    when(check(entered.into()), || {
        "enter the container's user namespace".into()
    })
    .map(drop)
}

/// The thread itself, named 0, moves without the lock over all of the machine's forks that moving another takes.
pub(super) fn join_cgroups(tasks: Vec<File>) -> Outcome<()> {
    for mut task in tasks {
        when(task.write_all(b"0"), || "join the cgroup".into())?;
    }
    Ok(())
}

pub(super) fn begin_session() -> Outcome<()> {
    // SAFETY: plain calls of a single-threaded process.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, c"creel-init".as_ptr());
        check(libc::setsid().into()).map_err(|err| format!("begin a session: {err}"))?;
    }
    Ok(())
}

/// The engine's keys are not the container's. A kernel without keys has none to hide.
pub(super) fn new_keyring() {
    // SAFETY: no name asks for a keyring without one.
    unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0) };
}

/// What is open by now is for this process alone, but for the standard streams and `more` files after them.
pub(super) fn keep_files(more: u32) -> Outcome<()> {
    // SAFETY: a flag on descriptors.
    let closed = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3 + more,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    when(check(closed), || "keep files from the command".into()).map(drop)
}

/// The last steps that can fail before the command is executed: user, command, environment.
pub(super) fn settle(spec: &Spec, executor: &CommandExecutor) -> Outcome<()> {
    let process = spec.process().as_ref().ok_or("no process in the spec")?;
    become_user(process)?;
    let home = home_of(process.user().uid());
    let command = executor.validate(spec);
    command.map_err(|err| err.to_string())?;
    let environment = home.map(|home| ("HOME".to_owned(), home));
    let set = executor.setup_envs(environment.into_iter().collect());
    set.map_err(|err| err.to_string())
}

pub(super) fn take_streams(files: &[OwnedFd; 3]) -> Outcome<()> {
    for (number, stream) in files.iter().enumerate() {
        // SAFETY: both are open descriptors.
        let taken = unsafe { libc::dup2(stream.as_raw_fd(), number as i32) };
        when(check(taken.into()), || "take the standard streams".into())?;
    }
    Ok(())
}

/// Enters those that exist; what is new was made with the process, but for the view of the cgroups, which begins where
/// it is now.
fn namespaces(plan: &Plan) -> Outcome<()> {
    for (flag, path) in plan.joined.iter().filter(|(flag, _)| *flag != libc::CLONE_NEWPID) {
        let failed = || format!("enter the namespace {}", path.display());
        let file = when(File::open(path), failed)?;
        // SAFETY: an open descriptor.
        when(
            check(unsafe { libc::setns(file.as_raw_fd(), *flag) }.into()),
            failed,
        )?;
    }
    if plan.new & libc::CLONE_NEWCGROUP != 0 {
        // SAFETY: a plain call of a single-threaded process.
        let made = unsafe { libc::unshare(libc::CLONE_NEWCGROUP) };
        when(check(made.into()), || "make a cgroup namespace".into())?;
    }
    if plan.new & libc::CLONE_NEWUTS != 0 {
        type Set = unsafe extern "C" fn(*const libc::c_char, libc::size_t) -> libc::c_int;
        let names: [(&Option<String>, Set, &str); 2] = [
            (plan.spec.hostname(), libc::sethostname, "host"),
            (plan.spec.domainname(), libc::setdomainname, "domain"),
        ];
        for (name, set, kind) in names {
            if let Some(name) = name {
                // SAFETY: the name has the length given.
                let done = unsafe { set(name.as_ptr().cast(), name.len()) };
                when(check(done.into()), || format!("set the {kind} name to {name:?}"))?;
            }
        }
    }
    Ok(())
}

/// Limits of the process itself; to raise one is the host's root's to do.
pub(super) fn limit(process: &Process) -> Outcome<()> {
    for limit in process.rlimits().iter().flatten() {
        let value = libc::rlimit {
            rlim_cur: limit.soft(),
            rlim_max: limit.hard(),
        };
        // SAFETY: the structure outlives the call.
        let set = unsafe { libc::setrlimit(resource(limit.typ()), &value) };
        when(check(set.into()), || format!("set {:?}", limit.typ()))?;
    }
    Ok(())
}

/// Working directory, groups and user; the capabilities stay until the command is executed.
fn become_user(process: &Process) -> Outcome<()> {
    // SAFETY: a plain call.
    unsafe { libc::umask(process.user().umask().unwrap_or(0o022)) };
    let cwd = process.cwd();
    let enter = || std::env::set_current_dir(cwd).map_err(|err| format!("chdir to {}: {err}", cwd.display()));
    // As root, who may enter what the user may not; if not even root may, as the user.
    let entered = enter();
    let user = process.user();
    let groups = user.additional_gids().clone().unwrap_or_default();
    let (uid, gid) = (user.uid(), user.gid());
    // SAFETY: plain calls of a single-threaded process; the system calls, since the C library's speak to all threads.
    unsafe {
        let set = |result: libc::c_long, what: &str| when(check(result), || format!("set the {what}"));
        set(libc::setgroups(groups.len(), groups.as_ptr()).into(), "groups")?;
        set(
            libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0).into(),
            "capabilities",
        )?;
        set(libc::syscall(libc::SYS_setresgid, gid, gid, gid), "group")?;
        set(libc::syscall(libc::SYS_setresuid, uid, uid, uid), "user")?;
        set(
            libc::prctl(libc::PR_SET_KEEPCAPS, 0, 0, 0, 0).into(),
            "capabilities",
        )?;
        if process.no_new_privileges().unwrap_or(false) {
            set(
                libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).into(),
                "no_new_privileges flag",
            )?;
        }
    }
    if uid != 0 {
        let regained = crate::privileges::regain();
        when(regained, || "regain capabilities".into())?;
    }
    if entered.is_err() {
        enter()?;
    }
    // A directory that is outside the root, or gone, has no path.
    match std::env::current_dir() {
        Ok(path) if path.is_absolute() => Ok(()),
        _ => Err(format!(
            "the working directory {} is not in the container",
            cwd.display()
        )),
    }
}

fn resource(kind: PosixRlimitType) -> libc::__rlimit_resource_t {
    use PosixRlimitType as R;
    match kind {
        R::RlimitCpu => libc::RLIMIT_CPU,
        R::RlimitFsize => libc::RLIMIT_FSIZE,
        R::RlimitData => libc::RLIMIT_DATA,
        R::RlimitStack => libc::RLIMIT_STACK,
        R::RlimitCore => libc::RLIMIT_CORE,
        R::RlimitRss => libc::RLIMIT_RSS,
        R::RlimitNproc => libc::RLIMIT_NPROC,
        R::RlimitNofile => libc::RLIMIT_NOFILE,
        R::RlimitMemlock => libc::RLIMIT_MEMLOCK,
        R::RlimitAs => libc::RLIMIT_AS,
        R::RlimitLocks => libc::RLIMIT_LOCKS,
        R::RlimitSigpending => libc::RLIMIT_SIGPENDING,
        R::RlimitMsgqueue => libc::RLIMIT_MSGQUEUE,
        R::RlimitNice => libc::RLIMIT_NICE,
        R::RlimitRtprio => libc::RLIMIT_RTPRIO,
        R::RlimitRttime => libc::RLIMIT_RTTIME,
    }
}

/// The home of a user by the container's own /etc/passwd.
fn home_of(uid: u32) -> Option<String> {
    let passwd = read_in_root(Path::new("/"), Path::new("/etc/passwd"), PASSWD_LIMIT).ok()?;
    let home = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.nth(2)?.parse() == Ok(uid)).then(|| fields.nth(2).unwrap_or_default().to_owned())
    })?;
    (!home.is_empty()).then_some(home)
}
