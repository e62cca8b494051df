use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use oci_spec::runtime::{LinuxDevice, LinuxDeviceBuilder, Mount, MountBuilder};

use super::resources::identify;
use super::{DeviceInput, SpecInput, id_mappings, invalid};
use crate::RuntimeError;

/// What of /proc and /sys nobody in a container sees, unless it is asked for.
pub fn masked_paths() -> Vec<String> {
    static THROTTLES: LazyLock<Vec<String>> = LazyLock::new(throttles);
    let mut paths: Vec<String> = [
        "/proc/asound",
        "/proc/acpi",
        "/proc/interrupts",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/proc/sched_debug",
        "/proc/scsi",
        "/sys/firmware",
        "/sys/devices/virtual/powercap",
    ]
    .map(String::from)
    .into();
    paths.extend(THROTTLES.iter().cloned());
    paths
}

/// How often each processor was slowed for its heat: others' work can be told by it.
fn throttles() -> Vec<String> {
    let path = |cpu| format!("/sys/devices/system/cpu/cpu{cpu}");
    (0..)
        .map(path)
        .take_while(|cpu| Path::new(cpu).exists())
        .map(|cpu| format!("{cpu}/thermal_throttle"))
        .filter(|path| Path::new(path).exists())
        .collect()
}

/// What of /proc nobody in a container changes, unless it is asked for.
pub fn readonly_paths() -> Vec<String> {
    [
        "/proc/bus",
        "/proc/fs",
        "/proc/irq",
        "/proc/sys",
        "/proc/sysrq-trigger",
    ]
    .map(String::from)
    .into()
}

/// The default mounts, and the container's own. One of its own replaces a default one of the same destination.
pub(super) fn mounts(input: &SpecInput) -> Result<Vec<Mount>, RuntimeError> {
    let shm = format!("size={}", input.shm_size);
    let (sys, cgroup) = if input.privileged {
        ("rw", "rw")
    } else {
        ("ro", "ro")
    };
    let defaults: [(&str, &str, &[&str]); 7] = [
        ("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        (
            "/dev",
            "tmpfs",
            &["nosuid", "strictatime", "mode=755", "size=65536k"],
        ),
        (
            "/dev/pts",
            "devpts",
            &[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
                "gid=5",
            ],
        ),
        ("/sys", "sysfs", &["nosuid", "noexec", "nodev", sys]),
        ("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", cgroup]),
        ("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        (
            "/dev/shm",
            "tmpfs",
            &["nosuid", "noexec", "nodev", "mode=1777", &shm],
        ),
    ];
    let mut mounts = Vec::new();
    let own = |path: &str| input.mounts.iter().any(|own| own.destination == Path::new(path));
    for (destination, kind, options) in defaults {
        // Whoever brings a /dev brings all of it, as with Docker.
        let none = destination == "/dev/shm" && input.shm_size == 0;
        if none || own(destination) || (destination.starts_with("/dev/") && own("/dev")) {
            continue;
        }
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let source = if destination == "/dev/shm" { "shm" } else { kind };
        mounts.push(mount(Path::new(destination), kind, Path::new(source), options)?);
    }
    // A mount below another must come after it.
    let mut more: Vec<_> = input.mounts.iter().collect();
    more.sort_by_key(|mount| mount.destination.components().count());
    for extra in more {
        if !extra.destination.is_absolute() {
            return Err(RuntimeError::Invalid(format!(
                "invalid mount path: {:?} must be absolute",
                extra.destination.display().to_string()
            )));
        }
        let mut options = extra.options.clone();
        if extra.kind == "bind" && !options.iter().any(|option| option == "bind" || option == "rbind") {
            options.insert(0, "rbind".into());
        }
        let mut made = mount(&extra.destination, &extra.kind, &extra.source, options)?;
        if let Some(ids) = input.ids.as_ref().filter(|_| extra.shown_inside) {
            made.set_uid_mappings(Some(id_mappings(&ids.users)?));
            made.set_gid_mappings(Some(id_mappings(&ids.groups)?));
        }
        mounts.push(made);
    }
    Ok(mounts)
}

fn mount(destination: &Path, kind: &str, source: &Path, options: Vec<String>) -> Result<Mount, RuntimeError> {
    invalid(
        MountBuilder::default()
            .destination(destination)
            .typ(kind)
            .source(source)
            .options(options)
            .build(),
    )
}

/// The device nodes besides the usual ones: those asked for, or all of the host's for a privileged container.
pub(super) fn device_nodes(
    devices: &[DeviceInput],
    privileged: bool,
) -> Result<Vec<LinuxDevice>, RuntimeError> {
    let mut nodes = Vec::new();
    for device in devices {
        nodes.push(node(&device.host_path, &device.container_path)?);
    }
    if privileged {
        for path in host_devices(Path::new("/dev")) {
            let own = path.parent() == Some(Path::new("/dev")) && is_made_anyway(&path);
            if !own && !nodes.iter().any(|known: &LinuxDevice| *known.path() == path) {
                nodes.extend(node(&path, &path).ok());
            }
        }
    }
    Ok(nodes)
}

fn node(host: &Path, container: &Path) -> Result<LinuxDevice, RuntimeError> {
    use std::os::unix::fs::MetadataExt;
    let (kind, major, minor) = identify(host)?;
    let meta = std::fs::metadata(host).map_err(|err| RuntimeError::io("device", host, err))?;
    let path = if container.as_os_str().is_empty() {
        host
    } else {
        container
    };
    invalid(
        LinuxDeviceBuilder::default()
            .path(path)
            .typ(kind)
            .major(major)
            .minor(minor)
            .file_mode(meta.mode() & 0o7777)
            .uid(meta.uid())
            .gid(meta.gid())
            .build(),
    )
}

/// The devices, those of a directory in its place, each at the same name below the directory in the container. A directory
/// without any stays: it is refused as what is not a device.
pub fn devices_of(asked: Vec<DeviceInput>) -> Vec<DeviceInput> {
    let expand = |device: DeviceInput| {
        let found = host_devices(&device.host_path);
        if found.is_empty() {
            return vec![device];
        }
        let below = |path: PathBuf| {
            let name = path.strip_prefix(&device.host_path).unwrap_or(&path);
            DeviceInput {
                container_path: device.container_path.join(name),
                access: device.access.clone(),
                host_path: path,
            }
        };
        found.into_iter().map(below).collect()
    };
    asked.into_iter().flat_map(expand).collect()
}

/// Whether it is what each container has in its /dev.
fn is_made_anyway(path: &Path) -> bool {
    const MADE: [&str; 7] = ["null", "zero", "full", "random", "urandom", "tty", "ptmx"];
    path.file_name()
        .is_some_and(|name| MADE.iter().any(|made| name == *made))
}

/// The devices below a directory, but what belongs to a /dev itself.
fn host_devices(directory: &Path) -> Vec<PathBuf> {
    const OWN: [&str; 5] = ["pts", "shm", "fd", "mqueue", "console"];
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if OWN.iter().any(|own| name == *own) {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(host_devices(&path)),
            Ok(kind) if kind.is_char_device() || kind.is_block_device() => found.push(path),
            _ => {}
        }
    }
    found
}
