//! What the engine tells of the node.

use std::fs;
use std::path::Path;

use creel_runtime::support::Support;

use crate::engine::Engine;
use crate::logs::driver;
use crate::proto::InfoReply;

/// Describes the node and the engine.
pub fn info(engine: &Engine) -> InfoReply {
    let uname = rustix::system::uname();
    let text = |c: &std::ffi::CStr| c.to_string_lossy().into_owned();
    let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let mut security_options = vec!["name=seccomp,profile=builtin".to_owned()];
    if unified {
        security_options.push("name=cgroupns".to_owned());
    }
    if engine.remap.is_some() {
        security_options.push("name=userns".to_owned());
    }
    InfoReply {
        engine_version: env!("CARGO_PKG_VERSION").into(),
        storage_driver: engine.storage.name().into(),
        storage_status: engine.storage.status().into_iter().collect(),
        cgroup_version: if unified { "2" } else { "1" }.into(),
        cgroup_driver: "cgroupfs".into(),
        cpus: std::thread::available_parallelism().map_or(1, |n| n.get() as i64),
        memory_bytes: memory(),
        kernel_version: text(uname.release()),
        operating_system: operating_system(),
        os_type: "linux".into(),
        architecture: text(uname.machine()),
        security_options,
        runtimes: engine.config.runtimes.names(),
        data_root: engine.config.data_root.to_string_lossy().into_owned(),
        images: engine.images.count(),
        log_driver: engine.config.log.driver.clone(),
        log_drivers: driver::NAMES.map(|(name, _)| name.into()).into(),
        warnings: warnings(&Support::of_this_machine()),
        instance_id: engine.instance_id.clone(),
    }
}

fn warnings(support: &Support) -> Vec<String> {
    let lacking = [
        (support.swap_limit, "No swap limit support"),
        (support.blkio_weight, "No blkio weight support"),
        (support.blkio_weight_device, "No blkio weight_device support"),
        (support.blkio_throttle, "No blkio throttle support"),
    ];
    let lacking = lacking.into_iter().filter(|(there, _)| !there);
    lacking.map(|(_, what)| format!("WARNING: {what}")).collect()
}

fn memory() -> i64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    total
        .and_then(|t| t.trim().trim_end_matches(" kB").parse::<i64>().ok())
        .unwrap_or(0)
        * 1024
}

fn operating_system() -> String {
    let text = ["/etc/os-release", "/usr/lib/os-release"]
        .iter()
        .find_map(|p| fs::read_to_string(p).ok());
    let text = text.unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "Linux".to_owned(), |n| n.trim_matches('"').to_owned())
}
