//! A container's record as the runtime's spec.

use std::path::{Path, PathBuf};

use creel_runtime::spec::{
    DeviceInput, MountInput, NamespaceMode, Namespaces, ProcessInput, ResourcesInput, SeccompInput,
    SpecInput, Ulimit, resolve_user,
};

use super::record::{ContainerDir, Definition};
use super::subpaths::Subpaths;
use super::{files, mounts};
use crate::error::{EngineError, ErrorCode, Result};
use crate::init;
use crate::proto::{Resources, Security};
use crate::volume::Volumes;

/// Where the parts of a container are, at one start of it.
pub struct Surroundings<'a> {
    pub dir: &'a ContainerDir,
    pub rootfs: &'a Path,
    pub files_dir: &'a Path,
    /// The parts of volumes that are mounted.
    pub subpaths: &'a Subpaths,
    pub network: NamespaceMode,
    pub pid: NamespaceMode,
    pub ipc: NamespaceMode,
    pub cgroup: &'a str,
    /// Whose /etc/hosts and its like are used: its own, or those of the container whose network it shares.
    pub etc: &'a ContainerDir,
    /// /dev/shm of the container whose IPC namespace it shares.
    pub shm_of: Option<i32>,
    /// The program that starts the command and takes what it leaves; none: the command is the first process.
    pub init: Option<PathBuf>,
}

/// Turns a failure of the runtime's library into the engine's.
pub fn runtime_error(error: creel_runtime::RuntimeError) -> EngineError {
    use creel_runtime::RuntimeError as E;
    let code = match &error {
        E::Invalid(_) => ErrorCode::InvalidParameter,
        E::CommandNotFound(_) | E::CommandNotExecutable(_) => ErrorCode::CommandNotFound,
        E::State(_) => ErrorCode::Conflict,
        E::Io { .. } | E::Failed(_) => ErrorCode::ContainerFailed,
    };
    EngineError::new(code, error.to_string())
}

/// The spec of a container.
pub fn build(definition: &Definition, around: &Surroundings<'_>, volumes: &Volumes) -> Result<SpecInput> {
    let spec = &definition.spec;
    let merged = &definition.merged;
    let security = spec.security.clone().unwrap_or_default();
    let resources = spec.resources.clone().unwrap_or_default();
    let user = resolve_user(around.rootfs, &merged.user, &spec.groups).map_err(runtime_error)?;
    let home = home_of(around.rootfs, user.uid);
    let mut env = merged.env.clone();
    if !env.iter().any(|e| e.starts_with("HOME=")) {
        env.push(format!("HOME={home}"));
    }
    let uts = match spec.uts_mode.as_str() {
        "" | "private" => NamespaceMode::New,
        "host" => NamespaceMode::Host,
        other => return Err(EngineError::invalid(format!("invalid UTS mode: {other}"))),
    };
    let cgroup_namespace = match spec.cgroupns_mode.as_str() {
        "" => Namespaces::default().cgroup,
        "private" => NamespaceMode::New,
        "host" => NamespaceMode::Host,
        other => {
            return Err(EngineError::invalid(format!(
                "invalid cgroup namespace mode: {other}"
            )));
        }
    };
    let mut all_mounts = etc_mounts(definition, around.etc, around.dir);
    all_mounts.extend(mounts::inputs(&definition.mounts, volumes, around.subpaths)?);
    all_mounts.extend(files::inputs(around.files_dir, &spec.files)?);
    if let Some(pid) = around.shm_of {
        all_mounts.push(bind(
            Path::new(&format!("/proc/{pid}/root/dev/shm")),
            "/dev/shm",
            &["rbind", "rprivate"],
        ));
    }
    let mut args = merged.argv();
    if let Some(program) = &around.init {
        all_mounts.push(bind(program, init::PLACE, &["bind", "rprivate", "ro", "exec"]));
        args.splice(0..0, [init::PLACE, "--"].map(str::to_owned));
    }
    Ok(SpecInput {
        process: ProcessInput {
            args,
            env,
            cwd: merged.working_dir.clone(),
            user,
            terminal: spec.tty,
        },
        rootfs: around.rootfs.to_path_buf(),
        readonly_rootfs: spec.read_only,
        hostname: Some(merged.hostname.clone()),
        domainname: (!spec.domainname.is_empty()).then(|| spec.domainname.clone()),
        shm_size: if spec.shm_size > 0 {
            spec.shm_size as u64
        } else {
            64 << 20
        },
        mounts: all_mounts,
        masked_paths: paths(&security, &security.masked_paths),
        readonly_paths: paths(&security, &security.readonly_paths),
        cap_add: security.cap_add.clone(),
        cap_drop: security.cap_drop.clone(),
        privileged: security.privileged,
        devices: spec
            .devices
            .iter()
            .map(|d| DeviceInput {
                host_path: (&d.host_path).into(),
                container_path: if d.container_path.is_empty() {
                    &d.host_path
                } else {
                    &d.container_path
                }
                .into(),
                access: if d.permissions.is_empty() {
                    "rwm".into()
                } else {
                    d.permissions.clone()
                },
            })
            .collect(),
        namespaces: Namespaces {
            network: around.network.clone(),
            pid: around.pid.clone(),
            ipc: around.ipc.clone(),
            uts,
            cgroup: cgroup_namespace,
        },
        cgroup_path: around.cgroup.to_owned(),
        resources: limits(&resources),
        ulimits: resources
            .ulimits
            .iter()
            .map(|u| Ulimit {
                name: u.name.clone(),
                soft: u.soft as u64,
                hard: u.hard as u64,
            })
            .collect(),
        sysctls: spec.sysctls.clone().into_iter().collect(),
        no_new_privileges: security.no_new_privileges,
        seccomp: match security.seccomp.as_str() {
            "" | "builtin" => SeccompInput::Default,
            "unconfined" => SeccompInput::Unconfined,
            json => SeccompInput::Profile(json.to_owned()),
        },
        oom_score_adj: (resources.oom_score_adj != 0).then_some(resources.oom_score_adj),
        ..SpecInput::default()
    })
}

/// Docker's own masked and read-only paths unless the caller gave a list.
fn paths(security: &Security, own: &[String]) -> Option<Vec<String>> {
    if security.default_paths || own.is_empty() {
        None
    } else {
        Some(own.to_vec())
    }
}

/// The limits in the runtime's form.
pub(super) fn limits(resources: &Resources) -> ResourcesInput {
    ResourcesInput {
        memory: resources.memory,
        memory_reservation: resources.memory_reservation,
        memory_swap: resources.memory_swap,
        cpu_shares: resources.cpu_shares.max(0) as u64,
        cpu_quota: resources.cpu_quota,
        cpu_period: resources.cpu_period.max(0) as u64,
        nano_cpus: resources.nano_cpus,
        cpuset_cpus: resources.cpuset_cpus.clone(),
        cpuset_mems: resources.cpuset_mems.clone(),
        pids: resources.pids_limit,
        device_rules: resources.device_cgroup_rules.clone(),
    }
}

fn bind(source: &Path, destination: &str, options: &[&str]) -> MountInput {
    MountInput {
        destination: destination.into(),
        kind: "bind".into(),
        source: source.to_path_buf(),
        options: options.iter().map(|o| (*o).to_owned()).collect(),
    }
}

/// The engine's three files, except where the caller mounts something of its own.
fn etc_mounts(definition: &Definition, etc: &ContainerDir, own: &ContainerDir) -> Vec<MountInput> {
    let files = [
        ("/etc/hosts", etc.file("hosts")),
        ("/etc/resolv.conf", etc.file("resolv.conf")),
        ("/etc/hostname", own.file("hostname")),
    ];
    let free = |target: &str| !definition.mounts.iter().any(|m| m.target == target);
    let one = |(target, source): (&str, PathBuf)| {
        free(target).then(|| bind(&source, target, &["rbind", "rprivate", "rw"]))
    };
    files.into_iter().filter_map(one).collect()
}

fn home_of(rootfs: &Path, uid: u32) -> String {
    let passwd =
        creel_runtime::rootfs::read_in_root(rootfs, Path::new("/etc/passwd"), 1 << 20).unwrap_or_default();
    let home = passwd.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        (fields.len() >= 6 && fields[2].parse() == Ok(uid)).then(|| fields[5].to_owned())
    });
    match home {
        Some(home) if !home.is_empty() => home,
        _ if uid == 0 => "/root".into(),
        _ => "/".into(),
    }
}
