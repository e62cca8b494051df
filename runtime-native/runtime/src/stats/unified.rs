//! The counters of cgroup v2, in the terms of v1 that the readers of statistics know: times in nanoseconds, swap as the sum
//! of memory and swap.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use libcgroups::stats::{
    BlkioDeviceStat, BlkioStats, CpuStats, HugeTlbStats, MemoryData, MemoryStats, PidStats, Stats,
};

use super::{number, table, text};
use crate::RuntimeError;
use crate::cgroup::Cgroup;

/// What `io.stat` counts, by what v1 calls it: bytes, operations.
const IO: [(&str, &str, &str); 3] = [
    ("Read", "rbytes", "rios"),
    ("Write", "wbytes", "wios"),
    ("Discard", "dbytes", "dios"),
];

/// Reads them all; a controller that the cgroup does not have counts nothing.
pub(super) fn read(cgroup: &Cgroup) -> Result<Stats, RuntimeError> {
    let directory = cgroup
        .unified_directory()
        .ok_or_else(|| RuntimeError::State("the container has no cgroup".into()))?;
    Ok(Stats {
        cpu: cpu(&table(directory, "cpu.stat")?),
        memory: memory(directory)?,
        pids: PidStats {
            current: number(directory, "pids.current")?,
            limit: match number(directory, "pids.max")? {
                u64::MAX => 0,
                limit => limit,
            },
        },
        hugetlb: huge_pages(directory)?,
        blkio: block_io(&text(directory, "io.stat")?),
    })
}

fn cpu(counted: &HashMap<String, u64>) -> CpuStats {
    let count = |name: &str| counted.get(name).copied().unwrap_or_default();
    let nanoseconds = |name: &str| count(name).saturating_mul(1000);
    let mut cpu = CpuStats::default();
    cpu.usage.usage_total = nanoseconds("usage_usec");
    cpu.usage.usage_user = nanoseconds("user_usec");
    cpu.usage.usage_kernel = nanoseconds("system_usec");
    cpu.throttling.periods = count("nr_periods");
    cpu.throttling.throttled_periods = count("nr_throttled");
    cpu.throttling.throttled_time = nanoseconds("throttled_usec");
    cpu
}

fn memory(directory: &Path) -> Result<MemoryStats, RuntimeError> {
    let data = |name: &str, failed: &str| -> Result<MemoryData, RuntimeError> {
        let events = table(directory, &format!("{name}.events"))?;
        Ok(MemoryData {
            usage: number(directory, &format!("{name}.current"))?,
            max_usage: number(directory, &format!("{name}.peak"))?,
            fail_count: events.get(failed).copied().unwrap_or_default(),
            limit: number(directory, &format!("{name}.max"))?,
        })
    };
    let (memory, mut both) = (data("memory", "max")?, data("memory.swap", "fail")?);
    both.usage = both.usage.saturating_add(memory.usage);
    both.limit = both.limit.saturating_add(memory.limit);
    let stats = table(directory, "memory.stat")?;
    Ok(MemoryStats {
        cache: stats.get("file").copied().unwrap_or_default(),
        memory,
        memswap: both,
        hierarchy: true,
        stats,
        ..MemoryStats::default()
    })
}

fn huge_pages(directory: &Path) -> Result<HashMap<String, HugeTlbStats>, RuntimeError> {
    let mut all = HashMap::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let size = name
            .strip_prefix("hugetlb.")
            .and_then(|rest| rest.strip_suffix(".current"));
        if let Some(size) = size.filter(|size| !size.contains('.')) {
            let events = table(directory, &format!("hugetlb.{size}.events"))?;
            let used = HugeTlbStats {
                usage: number(directory, &name)?,
                max_usage: 0,
                fail_count: events.get("max").copied().unwrap_or_default(),
            };
            all.insert(size.to_owned(), used);
        }
    }
    Ok(all)
}

/// A device that has done nothing stands there by its numbers alone.
fn block_io(text: &str) -> BlkioStats {
    let mut all = BlkioStats::default();
    for line in text.lines() {
        let mut fields = line.split_whitespace();
        let device = fields.next().and_then(|device| device.split_once(':'));
        let Some((Ok(major), Ok(minor))) = device.map(|(major, minor)| (major.parse(), minor.parse())) else {
            continue;
        };
        let counted: HashMap<&str, u64> = fields
            .filter_map(|field| field.split_once('='))
            .filter_map(|(name, value)| Some((name, value.parse().ok()?)))
            .collect();
        for (operation, bytes, operations) in IO {
            for (list, name) in [(&mut all.service_bytes, bytes), (&mut all.serviced, operations)] {
                list.extend(counted.get(name).map(|value| BlkioDeviceStat {
                    major,
                    minor,
                    op_type: Some(operation.to_owned()),
                    value: *value,
                }));
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_did_nothing_is_no_error() {
        let text = "7:0 \n254:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0 cost.usage=5\n";
        let BlkioStats {
            service_bytes,
            serviced,
            ..
        } = block_io(text);
        let show = |all: Vec<BlkioDeviceStat>| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            show(service_bytes),
            ["254:0 Read 4096", "254:0 Write 0", "254:0 Discard 0"]
        );
        assert_eq!(
            show(serviced),
            ["254:0 Read 1", "254:0 Write 0", "254:0 Discard 0"]
        );
    }
}
