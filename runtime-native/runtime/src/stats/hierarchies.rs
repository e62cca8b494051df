//! The counters of cgroup v1, each in the hierarchy of its controller.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use libcgroups::stats::{
    BlkioDeviceStat, BlkioStats, CpuStats, HugeTlbStats, MemoryData, MemoryStats, PidStats, Stats,
};

use super::{number, table, text};
use crate::RuntimeError;
use crate::cgroup::Cgroup;

/// Reads them all; a controller that is not mounted counts nothing, and neither does what the kernel was built without.
pub(super) fn read(cgroup: &Cgroup) -> Result<Stats, RuntimeError> {
    if !cgroup.exists() {
        return Err(RuntimeError::State("the container has no cgroup".into()));
    }
    let mut stats = Stats::default();
    if let Some(directory) = cgroup.controller("cpuacct.usage") {
        processors(directory, &mut stats.cpu)?;
    }
    if let Some(directory) = cgroup.controller("cpu.shares") {
        let counted = table(directory, "cpu.stat")?;
        let count = |name: &str| counted.get(name).copied().unwrap_or_default();
        stats.cpu.throttling.periods = count("nr_periods");
        stats.cpu.throttling.throttled_periods = count("nr_throttled");
        stats.cpu.throttling.throttled_time = count("throttled_time");
    }
    if let Some(directory) = cgroup.controller("memory.limit_in_bytes") {
        stats.memory = memory(directory)?;
    }
    if let Some(directory) = cgroup.controller("pids.max") {
        stats.pids = PidStats {
            current: number(directory, "pids.current")?,
            limit: match number(directory, "pids.max")? {
                u64::MAX => 0,
                limit => limit,
            },
        };
    }
    if let Some(directory) = cgroup.controller("blkio.throttle.io_serviced") {
        stats.blkio = BlkioStats {
            service_bytes: block_io(&text(directory, "blkio.throttle.io_service_bytes")?),
            serviced: block_io(&text(directory, "blkio.throttle.io_serviced")?),
            ..BlkioStats::default()
        };
    }
    for directory in cgroup.places().map(|(path, _)| path) {
        stats.hugetlb.extend(huge_pages(directory)?);
    }
    Ok(stats)
}

fn processors(directory: &Path, cpu: &mut CpuStats) -> Result<(), RuntimeError> {
    let usage = &mut cpu.usage;
    usage.usage_total = number(directory, "cpuacct.usage")?;
    // SAFETY: a plain call.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as u64;
    let counted = table(directory, "cpuacct.stat")?;
    let nanoseconds = |name: &str| {
        counted
            .get(name)
            .map_or(0, |count| count * (1_000_000_000 / ticks))
    };
    usage.usage_user = nanoseconds("user");
    usage.usage_kernel = nanoseconds("system");
    let numbers = |line: &str| -> Vec<u64> {
        line.split_whitespace()
            .filter_map(|number| number.parse().ok())
            .collect()
    };
    usage.per_core_usage_total = numbers(&text(directory, "cpuacct.usage_percpu")?);
    // Below a line of names: the processor, its time in user mode, and in the kernel.
    for line in text(directory, "cpuacct.usage_all")?.lines().skip(1) {
        if let [_, user, kernel] = numbers(line)[..] {
            usage.per_core_usage_user.push(user);
            usage.per_core_usage_kernel.push(kernel);
        }
    }
    Ok(())
}

fn memory(directory: &Path) -> Result<MemoryStats, RuntimeError> {
    let data = |kind: &str| -> Result<MemoryData, RuntimeError> {
        let number = |name: &str| number(directory, &format!("memory.{kind}{name}"));
        Ok(MemoryData {
            usage: number("usage_in_bytes")?,
            max_usage: number("max_usage_in_bytes")?,
            fail_count: number("failcnt")?,
            limit: number("limit_in_bytes")?,
        })
    };
    let stats = table(directory, "memory.stat")?;
    Ok(MemoryStats {
        memory: data("")?,
        memswap: data("memsw.")?,
        kernel: data("kmem.")?,
        kernel_tcp: data("kmem.tcp.")?,
        cache: stats.get("cache").copied().unwrap_or_default(),
        hierarchy: number(directory, "memory.use_hierarchy")? == 1,
        stats,
        ..MemoryStats::default()
    })
}

/// What is reserved, where the kernel counts that, too.
fn huge_pages(directory: &Path) -> Result<HashMap<String, HugeTlbStats>, RuntimeError> {
    let mut all = HashMap::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let size = name
            .strip_prefix("hugetlb.")
            .and_then(|rest| rest.strip_suffix(".usage_in_bytes"));
        if let Some(size) = size.filter(|size| !size.contains('.')) {
            let reserved = format!("hugetlb.{size}.rsvd");
            let kind = match directory.join(format!("{reserved}.usage_in_bytes")).exists() {
                true => reserved,
                false => format!("hugetlb.{size}"),
            };
            let used = HugeTlbStats {
                usage: number(directory, &format!("{kind}.usage_in_bytes"))?,
                max_usage: number(directory, &format!("{kind}.max_usage_in_bytes"))?,
                fail_count: number(directory, &format!("{kind}.failcnt"))?,
            };
            all.insert(size.to_owned(), used);
        }
    }
    Ok(all)
}

/// Lines of a device, an operation and a number; a sum without a device ends them.
fn block_io(text: &str) -> Vec<BlkioDeviceStat> {
    let line = |line: &str| {
        let mut fields = line.split_whitespace();
        let (major, minor) = fields.next()?.split_once(':')?;
        Some(BlkioDeviceStat {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
            op_type: Some(fields.next()?.to_owned()),
            value: fields.next()?.parse().ok()?,
        })
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_nanoseconds_and_what_the_kernel_lacks_counts_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        write("cpuacct.usage", "1230000000\n");
        write("cpuacct.stat", "user 100\nsystem 23\n");
        write("cpuacct.usage_percpu", "1000000000 230000000 \n");
        write(
            "cpuacct.usage_all",
            "cpu user system\n0 900000000 100000000\n1 100000000 130000000\n",
        );
        let mut cpu = CpuStats::default();
        processors(directory.path(), &mut cpu).unwrap();
        let usage = cpu.usage;
        assert_eq!(
            [usage.usage_total, usage.usage_user, usage.usage_kernel],
            [1_230_000_000, 1_000_000_000, 230_000_000]
        );
        assert_eq!(usage.per_core_usage_total, [1_000_000_000, 230_000_000]);
        assert_eq!(usage.per_core_usage_kernel, [100_000_000, 130_000_000]);

        write("memory.usage_in_bytes", "4096\n");
        write("memory.limit_in_bytes", "8192\n");
        write("memory.stat", "cache 1024\nrss 2048\n");
        let used = memory(directory.path()).unwrap();
        assert_eq!(
            (used.memory.usage, used.memory.limit, used.cache),
            (4096, 8192, 1024)
        );
        // Without `swapaccount=1` many kernels do not count swap.
        assert_eq!(used.memswap, MemoryData::default());

        let io = block_io("8:0 Read 512\n8:0 Total 512\nTotal 512\n");
        let shown: Vec<_> = io.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["8:0 Read 512", "8:0 Total 512"]);
    }
}
