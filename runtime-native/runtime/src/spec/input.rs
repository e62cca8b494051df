use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::user_namespace::IdMap;

/// What a container should be, in Docker's terms. `SpecInput::default()` is a container without network that has
/// Docker's confinement and nothing else.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct SpecInput {
    /// The first process.
    pub process: ProcessInput,
    /// The root filesystem, mounted already.
    pub rootfs: PathBuf,
    /// Whether the root is mounted read-only.
    pub readonly_rootfs: bool,
    /// Propagation of mounts of the root: `private`, `slave`, `shared` and their `r…` forms; empty: as a slave.
    pub rootfs_propagation: String,
    /// The container's host name.
    pub hostname: Option<String>,
    /// The container's NIS domain name.
    pub domainname: Option<String>,
    /// Bytes of /dev/shm; 0: there is none.
    pub shm_size: u64,
    /// Mounts besides the default ones; one with the destination of a default one replaces it.
    pub mounts: Vec<MountInput>,
    /// Paths hidden from the container; none: Docker's.
    pub masked_paths: Option<Vec<String>>,
    /// Paths the container cannot write; none: Docker's.
    pub readonly_paths: Option<Vec<String>>,
    /// Capabilities to add, with or without `CAP_`; `ALL` means all.
    pub cap_add: Vec<String>,
    /// Capabilities to take away, likewise.
    pub cap_drop: Vec<String>,
    /// All capabilities, all devices, nothing masked, no seccomp policy.
    pub privileged: bool,
    /// Devices of the host the container sees.
    pub devices: Vec<DeviceInput>,
    /// Which namespaces are its own.
    pub namespaces: Namespaces,
    /// What the ids of its user namespace are outside of it, where that is not the host's.
    pub ids: Option<IdMap>,
    /// The cgroup, absolute within each hierarchy.
    pub cgroup_path: String,
    /// Limits.
    pub resources: ResourcesInput,
    /// Process limits.
    pub ulimits: Vec<Ulimit>,
    /// Kernel parameters of the container's namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Whether set-user-id programs and file capabilities are without effect.
    pub no_new_privileges: bool,
    /// The seccomp policy.
    pub seccomp: SeccompInput,
    /// Likelihood of being killed when memory is short, -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// OCI annotations.
    pub annotations: BTreeMap<String, String>,
}

impl Default for SpecInput {
    fn default() -> Self {
        Self {
            process: ProcessInput::default(),
            rootfs: PathBuf::new(),
            readonly_rootfs: false,
            rootfs_propagation: String::new(),
            hostname: None,
            domainname: None,
            shm_size: 64 << 20,
            mounts: Vec::new(),
            masked_paths: None,
            readonly_paths: None,
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            privileged: false,
            devices: Vec::new(),
            namespaces: Namespaces::default(),
            ids: None,
            cgroup_path: String::new(),
            resources: ResourcesInput::default(),
            ulimits: Vec::new(),
            sysctls: BTreeMap::new(),
            no_new_privileges: false,
            seccomp: SeccompInput::Default,
            oom_score_adj: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// A process of a container: the first, or one of an `exec`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessInput {
    /// The command and its arguments.
    pub args: Vec<String>,
    /// `NAME=value` entries.
    pub env: Vec<String>,
    /// The working directory; empty means `/`.
    pub cwd: String,
    /// Who runs it.
    pub user: User,
    /// Whether it has a terminal.
    pub terminal: bool,
}

/// A user by numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Further group ids.
    pub additional_gids: Vec<u32>,
}

/// One mount.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MountInput {
    /// Where in the container.
    pub destination: PathBuf,
    /// `bind`, `tmpfs` or another type.
    pub kind: String,
    /// The source: a path of the host for `bind`.
    pub source: PathBuf,
    /// OCI mount options: `rbind`, `ro`, `rprivate`, `size=64m`, …
    pub options: Vec<String>,
    /// In a container with ids of its own: the owners of its files are meant as they are inside.
    pub shown_inside: bool,
}

/// A device of the host.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceInput {
    /// Path on the host.
    pub host_path: PathBuf,
    /// Path in the container.
    pub container_path: PathBuf,
    /// Access: letters of `rwm`.
    pub access: String,
}

/// Whether a namespace is the host's, a new one, or one that exists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NamespaceMode {
    /// A new one.
    #[default]
    New,
    /// The host's.
    Host,
    /// The one at this path.
    Path(PathBuf),
}

/// The namespaces of a container. It always has mounts of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespaces {
    /// Network.
    pub network: NamespaceMode,
    /// Process ids.
    pub pid: NamespaceMode,
    /// System V IPC and POSIX message queues.
    pub ipc: NamespaceMode,
    /// Host name.
    pub uts: NamespaceMode,
    /// User and group ids: the host's, or the one at a path, which `SpecInput::ids` describes.
    pub user: NamespaceMode,
    /// View of the cgroups. Docker's default is the host's on v1 and a new one on v2.
    pub cgroup: NamespaceMode,
}

impl Default for Namespaces {
    fn default() -> Self {
        let cgroup = if crate::cgroup::unified_alone() {
            NamespaceMode::New
        } else {
            NamespaceMode::Host
        };
        let new = NamespaceMode::New;
        Self {
            network: new.clone(),
            pid: new.clone(),
            ipc: new.clone(),
            uts: new,
            user: NamespaceMode::Host,
            cgroup,
        }
    }
}

/// Limits of a container; zero or none means no limit.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourcesInput {
    /// Bytes of memory.
    pub memory: i64,
    /// Bytes of memory it should keep to when memory is short.
    pub memory_reservation: i64,
    /// Bytes of memory and swap together; -1 means unlimited swap, 0 twice the memory.
    pub memory_swap: i64,
    /// Weight of the CPU against others, 1024 is the usual one.
    pub cpu_shares: u64,
    /// Microseconds of CPU in a period.
    pub cpu_quota: i64,
    /// The period in microseconds.
    pub cpu_period: u64,
    /// Billionths of a CPU, in place of quota and period.
    pub nano_cpus: i64,
    /// CPUs it may use: `0-2,4`.
    pub cpuset_cpus: String,
    /// Memory nodes it may use.
    pub cpuset_mems: String,
    /// Number of processes; 0 and -1 mean unlimited.
    pub pids: i64,
    /// Further device rules, as `c 1:3 rwm`.
    pub device_rules: Vec<String>,
    /// Weight of its block I/O against others, 10 to 1000.
    pub blkio_weight: u16,
    /// The same for a device (a path of the host).
    pub blkio_weight_devices: Vec<(PathBuf, u64)>,
    /// Bytes a second that it may read from a device.
    pub blkio_read_bps: Vec<(PathBuf, u64)>,
    /// Bytes a second that it may write to a device.
    pub blkio_write_bps: Vec<(PathBuf, u64)>,
    /// Reads a second of a device.
    pub blkio_read_iops: Vec<(PathBuf, u64)>,
    /// Writes a second to a device.
    pub blkio_write_iops: Vec<(PathBuf, u64)>,
    /// How readily its memory is swapped out, 0 to 100.
    pub memory_swappiness: Option<u64>,
    /// When its memory is at an end its processes wait, and none is killed.
    pub oom_kill_disable: bool,
}

/// One process limit, by Docker's name (`nofile`).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Ulimit {
    /// The name without `RLIMIT_`, in any case.
    pub name: String,
    /// The limit in force.
    pub soft: u64,
    /// The limit to which it can be raised.
    pub hard: u64,
}

/// Which seccomp policy a container has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeccompInput {
    /// Docker's default; none for a privileged container.
    #[default]
    Default,
    /// The text of a profile.
    Profile(String),
    /// None.
    Unconfined,
}
