//! Which limits this machine's kernel can set.

use std::fs;
use std::path::Path;

/// What the cgroups of this machine can do, by what Docker calls it.
#[derive(Clone, Copy, Debug)]
pub struct Support {
    /// Weights of block I/O.
    pub blkio_weight: bool,
    /// Weights for a single device.
    pub blkio_weight_device: bool,
    /// Bytes and operations a second of a device.
    pub blkio_throttle: bool,
    /// Processes that wait instead of being killed when memory is at an end.
    pub oom_kill_disable: bool,
    /// How readily memory is swapped out.
    pub memory_swappiness: bool,
    /// Swap is counted and limited.
    pub swap_limit: bool,
}

impl Support {
    /// Looks at this machine.
    pub fn of_this_machine() -> Self {
        let root = Path::new("/sys/fs/cgroup");
        match fs::read_to_string(root.join("cgroup.controllers")) {
            Ok(controllers) => Self::of_v2(root, &controllers),
            Err(_) => Self::of_v1(root),
        }
    }

    fn of_v2(root: &Path, controllers: &str) -> Self {
        let io = controllers.split_whitespace().any(|name| name == "io");
        let bfq = children_have(root, "io.bfq.weight");
        Self {
            blkio_weight: io
                && (bfq || root.join("io.cost.qos").exists() || children_have(root, "io.weight")),
            blkio_weight_device: io && bfq,
            blkio_throttle: io,
            oom_kill_disable: false,
            memory_swappiness: false,
            swap_limit: !children_have(root, "memory.max") || children_have(root, "memory.swap.max"),
        }
    }

    fn of_v1(root: &Path) -> Self {
        let has = |file: &str| root.join(file).exists();
        // Its weights are missing in the root alone.
        let bfq = has("blkio/blkio.bfq.io_serviced");
        Self {
            blkio_weight: bfq || has("blkio/blkio.weight"),
            blkio_weight_device: bfq || has("blkio/blkio.weight_device"),
            blkio_throttle: has("blkio/blkio.throttle.read_bps_device"),
            oom_kill_disable: has("memory/memory.oom_control"),
            memory_swappiness: has("memory/memory.swappiness"),
            swap_limit: has("memory/memory.memsw.limit_in_bytes"),
        }
    }
}

fn children_have(root: &Path, file: &str) -> bool {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    entries.take(100).any(|entry| entry.path().join(file).exists())
}
