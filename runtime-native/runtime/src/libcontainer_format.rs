use std::fs;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use libcgroups::common::{CgroupConfig, CgroupManager, ControllerOpt, create_cgroup_manager};
use libcontainer::config::YoukiConfig;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::container::{Container, ContainerStatus};
use libcontainer::syscall::syscall::SyscallType;
use oci_spec::runtime::{LinuxResources, Process, Spec};

use crate::cgroup::Cgroup;
use crate::executor::{CommandExecutor, HOLDS_SIGNALS, MARK};
use crate::format::{Bundle, ContainerFormat, ContainerState, Stdio};
use crate::privileges::CapabilitySets;
use crate::trace::Trace;
use crate::user_namespace::{IdMap, as_root_of};
use crate::{RuntimeError, block_io, cgroup_mounts, device_filter, proc_mounts, rootfs, seccomp};

/// Containers by youki's libcontainer, called as a library. Capabilities and seccomp are set by our own executor.
#[derive(Clone, Copy, Debug, Default)]
pub struct LibcontainerFormat;

impl ContainerFormat for LibcontainerFormat {
    fn create(&self, bundle: &Bundle, stdio: Stdio) -> Result<i32, RuntimeError> {
        let (mut spec, executor) = load(bundle, &stdio)?;
        proc_mounts::check(&spec)?;
        let resources = spec.linux().as_ref().and_then(|linux| linux.resources().clone());
        if let Some(linux) = spec.linux_mut() {
            linux.set_resources(resources.clone().map(without_block_io));
        }
        // libcontainer reads the spec from a bundle of its own, and again for each exec.
        let own_bundle = own_bundle(bundle, &spec)?;
        Cgroup::new(&bundle.cgroup).enter_named()?;
        let trace = Trace::begin().ok();
        let container = with_stdio(builder(bundle)?, stdio)
            .with_executor(executor)
            .as_init(&own_bundle)
            .with_systemd(false)
            .as_sibling(true)
            .build()
            .map_err(|err| explained(&err, trace))?;
        let pid = container.pid().map(|pid| pid.as_raw()).unwrap_or_default();
        if let Some(resources) = resources {
            let cgroup = Cgroup::new(&bundle.cgroup);
            block_io::apply(&cgroup, &resources)?;
            cgroup.forbid_swap(&resources)?;
            device_filter::attach(&cgroup, &resources)?;
        }
        Ok(pid)
    }

    fn start(&self, bundle: &Bundle) -> Result<(), RuntimeError> {
        container(bundle)?.start().map_err(|err| failure(&err))
    }

    fn exec(&self, bundle: &Bundle, process_file: &Path, stdio: Stdio) -> Result<i32, RuntimeError> {
        if bundle.sub_cgroup.is_some() {
            return Err(RuntimeError::Invalid(
                "a process of this container cannot begin in a cgroup below the container's".into(),
            ));
        }
        let (mut spec, executor) = load_exec(bundle, process_file, &stdio)?;
        let mut process = spec.process_mut().take().unwrap_or_default();
        process.set_capabilities(None);
        let own = process_file.with_extension("own.json");
        let json = serde_json::to_vec(&process).map_err(|err| RuntimeError::Invalid(err.to_string()))?;
        fs::write(&own, json).map_err(|err| RuntimeError::io("write", &own, err))?;
        Cgroup::new(&bundle.cgroup).enter_named()?;
        let trace = Trace::begin().ok();
        let result = with_stdio(builder(bundle)?, stdio)
            .with_executor(executor)
            .as_tenant()
            .with_detach(true)
            .as_sibling(true)
            .with_process(Some(&own))
            .build();
        let _ = fs::remove_file(&own);
        result
            .map(|pid| pid.as_raw())
            .map_err(|err| explained(&err, trace))
    }

    fn kill(&self, bundle: &Bundle, pid: i32, signal: i32, all: bool) -> Result<(), RuntimeError> {
        if all {
            return Cgroup::new(&bundle.cgroup)
                .signal_all(signal)
                .map_err(|err| io_failure("kill", err));
        }
        // SAFETY: plain kill; the caller is the parent, so the id cannot have gone to another process.
        if unsafe { libc::kill(pid, signal) } != 0 {
            let err = std::io::Error::last_os_error();
            if err.raw_os_error() == Some(libc::ESRCH) {
                return Err(RuntimeError::State("container is not running".into()));
            }
            return Err(io_failure("kill", err));
        }
        Ok(())
    }

    fn pause(&self, bundle: &Bundle) -> Result<(), RuntimeError> {
        Cgroup::new(&bundle.cgroup)
            .freeze(true)
            .map_err(|err| io_failure("pause", err))
    }

    fn resume(&self, bundle: &Bundle) -> Result<(), RuntimeError> {
        Cgroup::new(&bundle.cgroup)
            .freeze(false)
            .map_err(|err| io_failure("resume", err))
    }

    fn update(&self, bundle: &Bundle, resources: &LinuxResources) -> Result<(), RuntimeError> {
        let cgroup = Cgroup::new(&bundle.cgroup);
        let manager = create_cgroup_manager(CgroupConfig {
            cgroup_path: PathBuf::from(&bundle.cgroup),
            systemd_cgroup: false,
            container_name: bundle.id.clone(),
        })
        .map_err(|err| failure(&err))?;
        manager
            .apply(&ControllerOpt {
                resources: &without_block_io(resources.clone()),
                disable_oom_killer: cgroup.oom_kill_disabled(),
                oom_score_adj: None,
                freezer_state: None,
            })
            .map_err(|err| failure(&err))?;
        block_io::apply(&cgroup, resources)?;
        cgroup.forbid_swap(resources)
    }

    fn state(&self, bundle: &Bundle) -> Result<ContainerState, RuntimeError> {
        let container = container(bundle)?;
        if Cgroup::new(&bundle.cgroup).frozen() {
            return Ok(ContainerState::Paused);
        }
        Ok(match container.status() {
            ContainerStatus::Creating | ContainerStatus::Created => ContainerState::Created,
            ContainerStatus::Running => ContainerState::Running,
            ContainerStatus::Paused => ContainerState::Paused,
            ContainerStatus::Stopped => ContainerState::Stopped,
        })
    }

    fn delete(&self, bundle: &Bundle) -> Result<(), RuntimeError> {
        Cgroup::new(&bundle.cgroup)
            .kill_and_remove()
            .map_err(|err| io_failure("remove cgroup", err))?;
        for directory in ["bundle", "libcontainer", crate::external::STATE] {
            let path = bundle.state_dir.join(directory);
            match fs::remove_dir_all(&path) {
                Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                    return Err(RuntimeError::io("remove", &path, err));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The spec of a bundle without what our executor does itself, and that executor. What must be there before the container
/// is, is made.
pub(crate) fn load(bundle: &Bundle, stdio: &Stdio) -> Result<(Spec, CommandExecutor), RuntimeError> {
    let (mut spec, process) = prepare(bundle, stdio)?;
    let mut executor = executor(&spec, &process, bundle)?;
    executor.holds_signals =
        (spec.annotations().as_ref()).is_some_and(|annotations| annotations.contains_key(HOLDS_SIGNALS));
    strip(&mut spec, &bundle.bundle_dir);
    cgroup_mounts::write_out(&mut spec, &bundle.cgroup)?;
    Ok((spec, executor))
}

/// The spec of a bundle and its process. What must be there before the container is, is made.
pub(crate) fn prepare(bundle: &Bundle, stdio: &Stdio) -> Result<(Spec, Process), RuntimeError> {
    let spec = read_spec(&bundle.bundle_dir.join("config.json"))?;
    if !bundle.cgroup.starts_with('/') || bundle.cgroup.trim_matches('/').is_empty() {
        let text = format!(
            "cgroup path {:?} is not an absolute path below the root",
            bundle.cgroup
        );
        return Err(RuntimeError::Invalid(text));
    }
    let process = spec
        .process()
        .clone()
        .ok_or_else(|| RuntimeError::Invalid("no process in the spec".into()))?;
    let ids = IdMap::of(&spec);
    prepare_working_directory(&spec, &bundle.bundle_dir, &process, ids.as_ref())?;
    hand_over(stdio, &process, ids.as_ref())?;
    Ok((spec, process))
}

/// The spec of a container with the process of an exec in the place of its own, and the executor for that.
pub(crate) fn load_exec(
    bundle: &Bundle,
    process_file: &Path,
    stdio: &Stdio,
) -> Result<(Spec, CommandExecutor), RuntimeError> {
    let mut spec = read_spec(&bundle.bundle_dir.join("config.json"))?;
    let bytes = fs::read(process_file).map_err(|err| RuntimeError::io("read", process_file, err))?;
    let process: Process = serde_json::from_slice(&bytes)
        .map_err(|err| RuntimeError::Invalid(format!("{}: {err}", process_file.display())))?;
    let executor = executor(&spec, &process, bundle)?;
    hand_over(stdio, &process, IdMap::of(&spec).as_ref())?;
    spec.set_process(Some(process));
    Ok((spec, executor))
}

/// Lets libcontainer know of a container that runs and that it has not made.
pub(crate) fn introduce(bundle: &Bundle, pid: i32) -> Result<(), RuntimeError> {
    let root = bundle.state_dir.join("libcontainer");
    let known = root.join(&bundle.id);
    if known.exists() {
        return Ok(());
    }
    let mut spec = read_spec(&bundle.bundle_dir.join("config.json"))?;
    strip(&mut spec, &bundle.bundle_dir);
    let own_bundle = own_bundle(bundle, &spec)?;
    // It is there whole or not at all, also where two do this at once.
    let begun = root.join(format!("{}.{}", bundle.id, std::process::id()));
    fs::create_dir_all(&begun).map_err(|err| RuntimeError::io("create", &begun, err))?;
    let make = || {
        YoukiConfig::from_spec(&spec, &bundle.id)
            .and_then(|config| config.save(&begun))
            .map_err(|err| failure(&err))?;
        Container::new(
            &bundle.id,
            ContainerStatus::Running,
            Some(pid),
            &own_bundle,
            &begun,
        )
        .and_then(|container| container.save())
        .map_err(|err| failure(&err))
    };
    let made = make();
    let placed = fs::rename(&begun, &known);
    if placed.is_err() {
        let _ = fs::remove_dir_all(&begun);
    }
    match placed {
        Err(err) if !known.exists() => Err(RuntimeError::io("create", &known, err)),
        _ => made,
    }
}

/// What of the limits libcgroups is to set: block I/O is ours, since it overflows where it scales weights for v2.
fn without_block_io(mut resources: LinuxResources) -> LinuxResources {
    resources.set_block_io(None);
    resources
}

fn own_bundle(bundle: &Bundle, spec: &Spec) -> Result<PathBuf, RuntimeError> {
    let own = bundle.state_dir.join("bundle");
    fs::create_dir_all(&own).map_err(|err| RuntimeError::io("create", &own, err))?;
    let config = own.join("config.json");
    // Read by others at any time: replaced at once.
    let begun = own.join(format!("config.{}", std::process::id()));
    spec.save(&begun)
        .map_err(|err| RuntimeError::Failed(format!("write {}: {err}", begun.display())))?;
    fs::rename(&begun, &config).map_err(|err| RuntimeError::io("write", &config, err))?;
    Ok(own)
}

fn builder(bundle: &Bundle) -> Result<ContainerBuilder, RuntimeError> {
    let root = bundle.state_dir.join("libcontainer");
    fs::create_dir_all(&root).map_err(|err| RuntimeError::io("create", &root, err))?;
    ContainerBuilder::new(bundle.id.clone(), SyscallType::default())
        .with_root_path(root)
        .map_err(|err| failure(&err))
}

fn container(bundle: &Bundle) -> Result<Container, RuntimeError> {
    Container::load(bundle.state_dir.join("libcontainer").join(&bundle.id)).map_err(|err| failure(&err))
}

fn with_stdio(builder: ContainerBuilder, stdio: Stdio) -> ContainerBuilder {
    match stdio {
        Stdio::Pipes {
            stdin,
            stdout,
            stderr,
        } => builder.with_stdin(stdin).with_stdout(stdout).with_stderr(stderr),
        Stdio::Terminal { console_socket } => builder.with_console_socket(Some(console_socket)),
    }
}

fn read_spec(path: &Path) -> Result<Spec, RuntimeError> {
    Spec::load(path).map_err(|err| RuntimeError::Invalid(format!("{}: {}", path.display(), chain(&err))))
}

fn executor(spec: &Spec, process: &Process, bundle: &Bundle) -> Result<CommandExecutor, RuntimeError> {
    let filter = match spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref()) {
        Some(policy) => Some(seccomp::load_filter(policy, &bundle.filter_cache)?),
        None => None,
    };
    Ok(CommandExecutor::new(
        filter,
        process.capabilities().as_ref().map(CapabilitySets::from_oci),
    ))
}

/// Takes out what our executor does itself, and makes the root absolute.
fn strip(spec: &mut Spec, bundle_dir: &Path) {
    if let Some(process) = spec.process_mut() {
        process.set_capabilities(None);
    }
    if let Some(linux) = spec.linux_mut() {
        linux.set_seccomp(None);
        // It knows the names without the r alone, and means all that is below.
        if let Some(kind) = linux
            .rootfs_propagation()
            .as_deref()
            .and_then(|kind| kind.strip_prefix('r'))
        {
            let kind = kind.to_owned();
            linux.set_rootfs_propagation(Some(kind));
        }
    }
    // The caller runs these itself: it tells hooks the bundle's own path.
    if let Some(hooks) = spec.hooks_mut() {
        hooks.set_poststart(None).set_poststop(None);
    }
    if let Some(root) = spec.root_mut() {
        let absolute = bundle_dir.join(root.path());
        root.set_path(absolute);
    }
}

/// Docker makes the working directory where the image lacks it.
fn prepare_working_directory(
    spec: &Spec,
    bundle_dir: &Path,
    process: &Process,
    ids: Option<&IdMap>,
) -> Result<(), RuntimeError> {
    let Some(root) = spec.root() else { return Ok(()) };
    let root = bundle_dir.join(root.path());
    match as_root_of(ids, || rootfs::create_dir_all(&root, process.cwd(), 0o755)) {
        Err(err) if err.raw_os_error() != Some(libc::EROFS) => {
            Err(RuntimeError::io("create working directory", process.cwd(), err))
        }
        _ => Ok(()),
    }
}

/// A user who is not root must be able to open /dev/stdout and its like again.
fn hand_over(stdio: &Stdio, process: &Process, ids: Option<&IdMap>) -> Result<(), RuntimeError> {
    let inside = (process.user().uid(), process.user().gid());
    let (uid, gid) = ids.map_or(inside, |ids| ids.outside(inside));
    if let Stdio::Pipes {
        stdin,
        stdout,
        stderr,
    } = stdio
        && uid != 0
    {
        for fd in [stdin, stdout, stderr] {
            let mut status: libc::stat = unsafe { std::mem::zeroed() };
            // SAFETY: the descriptor is open and the buffer is ours.
            let is_pipe = unsafe { libc::fstat(fd.as_raw_fd(), &mut status) } == 0
                && status.st_mode & libc::S_IFMT == libc::S_IFIFO;
            if is_pipe && unsafe { libc::fchown(fd.as_raw_fd(), uid, gid) } != 0 {
                return Err(io_failure(
                    "change the owner of a pipe",
                    std::io::Error::last_os_error(),
                ));
            }
        }
    }
    Ok(())
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(next) = source {
        let more = next.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = next.source();
    }
    text
}

/// Finds our own message in libcontainer's, and what Docker makes of it.
fn failure(error: &dyn std::error::Error) -> RuntimeError {
    understood(&chain(error))
}

/// The same for the text of an error.
pub(crate) fn understood(text: &str) -> RuntimeError {
    let text = text.replace('\0', "");
    let Some(own) = text.split(MARK).nth(1).map(str::to_owned) else {
        return RuntimeError::Failed(text);
    };
    if own.ends_with("executable file not found in $PATH") || own.ends_with("no such file or directory") {
        RuntimeError::CommandNotFound(own)
    } else if own.starts_with("exec: ") {
        RuntimeError::CommandNotExecutable(own)
    } else {
        RuntimeError::Invalid(own)
    }
}

/// A failure with the cause that libcontainer reported on its way.
fn explained(error: &dyn std::error::Error, trace: Option<Trace>) -> RuntimeError {
    match (failure(error), trace.and_then(|trace| trace.first())) {
        (RuntimeError::Failed(text), Some(cause)) if !text.contains(&cause) => {
            RuntimeError::Failed(format!("{text}: {cause}"))
        }
        (failure, _) => failure,
    }
}

fn io_failure(what: &str, source: std::io::Error) -> RuntimeError {
    RuntimeError::Io {
        what: what.to_owned(),
        source,
    }
}
