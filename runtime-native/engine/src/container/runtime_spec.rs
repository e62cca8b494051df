//! A container's record as the runtime's spec.

use std::path::{Path, PathBuf};

use creel_runtime::HOLDS_SIGNALS;
use creel_runtime::spec::{
    DeviceInput, MountInput, NamespaceMode, Namespaces, ProcessInput, ResourcesInput, SeccompInput,
    SpecInput, Ulimit, devices_of, resolve_user,
};
use creel_runtime::user_namespace::IdMap;

use super::record::{ContainerDir, Definition};
use super::subpaths::Subpaths;
use super::{files, merge, mounts, propagation};
use crate::error::{EngineError, ErrorCode, Result};
use crate::init;
use crate::proto::{BlkioDevice, Device, Resources};
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
    pub users: NamespaceMode,
    pub ids: Option<IdMap>,
    /// The /dev/shm that belongs to the IPC namespace it shares.
    pub shm: Option<PathBuf>,
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
    let env = with_home(merge::environment(definition, spec.tty), around.rootfs, user.uid);
    let own_or_host = |mode: &str| {
        if mode == "host" {
            NamespaceMode::Host
        } else {
            NamespaceMode::New
        }
    };
    let cgroup_namespace = match spec.cgroupns_mode.as_str() {
        "" => Namespaces::default().cgroup,
        mode => own_or_host(mode),
    };
    let mut all_mounts = etc_mounts(definition, around.etc, around.dir);
    all_mounts.extend(mounts::inputs(&definition.mounts, volumes, around.subpaths)?);
    all_mounts.extend(files::inputs(around.files_dir, &spec.files)?);
    if let Some(shm) = &around.shm {
        all_mounts.push(MountInput {
            shown_inside: shm != Path::new("/dev/shm"),
            ..bind(shm, "/dev/shm", &["rbind", "rprivate"])
        });
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
        rootfs_propagation: propagation::of_root(&definition.mounts).into(),
        hostname: Some(merged.hostname.clone()),
        domainname: (!spec.domainname.is_empty()).then(|| spec.domainname.clone()),
        shm_size: match spec.shm_size {
            _ if spec.ipc_mode == "none" => 0,
            size if size > 0 => size as u64,
            _ => files::SHM_SIZE as u64,
        },
        mounts: all_mounts,
        masked_paths: paths(&security.masked_paths, security.no_masked_paths),
        readonly_paths: paths(&security.readonly_paths, security.no_readonly_paths),
        cap_add: security.cap_add.clone(),
        cap_drop: security.cap_drop.clone(),
        privileged: security.privileged,
        devices: devices_of(spec.devices.iter().map(device).collect()),
        namespaces: Namespaces {
            network: around.network.clone(),
            pid: around.pid.clone(),
            ipc: around.ipc.clone(),
            uts: own_or_host(&spec.uts_mode),
            user: around.users.clone(),
            cgroup: cgroup_namespace,
        },
        ids: around.ids.clone(),
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
        annotations: (spec.annotations.clone().into_iter())
            .filter(|(name, _)| !name.starts_with("creel."))
            .chain((around.init.iter()).map(|_| (HOLDS_SIGNALS.to_owned(), String::new())))
            .collect(),
        oom_score_adj: (resources.oom_score_adj != 0).then_some(resources.oom_score_adj),
    })
}

fn device(asked: &Device) -> DeviceInput {
    let or = |own: &str, otherwise: &str| (if own.is_empty() { otherwise } else { own }).to_owned();
    DeviceInput {
        host_path: (&asked.host_path).into(),
        container_path: or(&asked.container_path, &asked.host_path).into(),
        access: or(&asked.permissions, "rwm"),
    }
}

/// `None` for Docker's own.
fn paths(own: &[String], none: bool) -> Option<Vec<String>> {
    (none || !own.is_empty()).then(|| own.to_vec())
}

/// The limits in the runtime's form.
pub(super) fn limits(resources: &Resources) -> ResourcesInput {
    let of_devices =
        |limits: &[BlkioDevice]| limits.iter().map(|l| (PathBuf::from(&l.path), l.value)).collect();
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
        blkio_weight: u16::try_from(resources.blkio_weight).unwrap_or(u16::MAX),
        blkio_weight_devices: of_devices(&resources.blkio_weight_devices),
        blkio_read_bps: of_devices(&resources.blkio_read_bps),
        blkio_write_bps: of_devices(&resources.blkio_write_bps),
        blkio_read_iops: of_devices(&resources.blkio_read_iops),
        blkio_write_iops: of_devices(&resources.blkio_write_iops),
        memory_swappiness: resources.memory_swappiness.map(|s| s.clamp(0, 100) as u64),
        oom_kill_disable: resources.oom_kill_disable,
    }
}

fn bind(source: &Path, destination: &str, options: &[&str]) -> MountInput {
    MountInput {
        destination: destination.into(),
        kind: "bind".into(),
        source: source.to_path_buf(),
        options: options.iter().map(|o| (*o).to_owned()).collect(),
        shown_inside: false,
    }
}

/// The engine's three files, except where the caller mounts something of its own.
fn etc_mounts(definition: &Definition, etc: &ContainerDir, own: &ContainerDir) -> Vec<MountInput> {
    let files = [
        ("/etc/hosts", etc.file("hosts")),
        ("/etc/resolv.conf", etc.file("resolv.conf")),
        ("/etc/hostname", own.file("hostname")),
    ];
    let access = if definition.spec.read_only { "ro" } else { "rw" };
    let one = |(target, source): (&str, PathBuf)| {
        (!definition.has_mount(target)).then(|| MountInput {
            shown_inside: true,
            ..bind(&source, target, &["rbind", "rprivate", access])
        })
    };
    files.into_iter().filter_map(one).collect()
}

/// `env` with the home directory that the image's users say, where nobody said another.
pub(super) fn with_home(mut env: Vec<String>, rootfs: &Path, uid: u32) -> Vec<String> {
    if !env.iter().any(|e| e.starts_with("HOME=")) {
        env.push(format!("HOME={}", home_of(rootfs, uid)));
    }
    env
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
