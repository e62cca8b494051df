//! What a container uses, as its cgroup counts it: v1, hybrid or v2. What the kernel does not count is 0.

use std::collections::BTreeMap;

use crate::cgroup::{Cgroup, field};

/// The counters of one moment; times are in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub cpu_total: u64,
    pub cpu_user: u64,
    pub cpu_kernel: u64,
    pub cpu_each: Vec<u64>,
    pub throttle_periods: u64,
    pub throttled_periods: u64,
    pub throttled: u64,
    pub memory: u64,
    pub memory_most: u64,
    /// None where there is no limit.
    pub memory_limit: Option<u64>,
    pub memory_failures: u64,
    pub memory_details: BTreeMap<String, u64>,
    pub pids: u64,
    pub pids_limit: Option<u64>,
    pub io_bytes: Vec<Io>,
    pub io_operations: Vec<Io>,
}

/// What one device was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Io {
    pub major: u64,
    pub minor: u64,
    /// As the kernel writes it, in small letters: `read`, `write`, …
    pub operation: String,
    pub value: u64,
}

/// v1 has no way to write "none": this is its largest page-aligned number.
const NO_LIMIT: u64 = 1 << 62;

impl Cgroup {
    /// What the container has used until now.
    pub fn usage(&self) -> Usage {
        let text = |file: &str| self.read(file).unwrap_or_default();
        let number = |files: &[&str]| files.iter().find_map(|file| self.read(file)?.trim().parse().ok());
        let limit = |files: &[&str]| number(files).filter(|limit: &u64| *limit < NO_LIMIT);
        let mut usage = Usage {
            memory: number(&["memory.usage_in_bytes", "memory.current"]).unwrap_or(0),
            memory_most: number(&["memory.max_usage_in_bytes", "memory.peak"]).unwrap_or(0),
            memory_limit: limit(&["memory.limit_in_bytes", "memory.max"]),
            memory_failures: number(&["memory.failcnt"])
                .or_else(|| field(&text("memory.events"), "max"))
                .unwrap_or(0),
            memory_details: pairs(&text("memory.stat")),
            pids: number(&["pids.current"]).unwrap_or(0),
            pids_limit: limit(&["pids.max"]),
            ..Usage::default()
        };
        if let Some(total) = number(&["cpuacct.usage"]) {
            usage.cpu_total = total;
            usage.cpu_user = number(&["cpuacct.usage_user"]).unwrap_or(0);
            usage.cpu_kernel = number(&["cpuacct.usage_sys"]).unwrap_or(0);
            let each = text("cpuacct.usage_percpu");
            usage.cpu_each = each.split_whitespace().filter_map(|n| n.parse().ok()).collect();
            let stat = text("cpu.stat");
            usage.throttle_periods = field(&stat, "nr_periods").unwrap_or(0);
            usage.throttled_periods = field(&stat, "nr_throttled").unwrap_or(0);
            usage.throttled = field(&stat, "throttled_time").unwrap_or(0);
            usage.io_bytes = v1_io(&text("blkio.throttle.io_service_bytes_recursive"));
            usage.io_operations = v1_io(&text("blkio.throttle.io_serviced_recursive"));
        } else {
            let stat = text("cpu.stat");
            let micros = |key| field(&stat, key).unwrap_or(0) * 1000;
            usage.cpu_total = micros("usage_usec");
            usage.cpu_user = micros("user_usec");
            usage.cpu_kernel = micros("system_usec");
            usage.throttle_periods = field(&stat, "nr_periods").unwrap_or(0);
            usage.throttled_periods = field(&stat, "nr_throttled").unwrap_or(0);
            usage.throttled = micros("throttled_usec");
            let io = text("io.stat");
            usage.io_bytes = v2_io(&io, [("rbytes", "read"), ("wbytes", "write")]);
            usage.io_operations = v2_io(&io, [("rios", "read"), ("wios", "write")]);
        }
        usage
    }
}

fn pairs(text: &str) -> BTreeMap<String, u64> {
    text.lines()
        .filter_map(|line| {
            let (key, value) = line.split_once(' ')?;
            Some((key.to_owned(), value.trim().parse().ok()?))
        })
        .collect()
}

fn device(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Lines such as `8:0 Read 4096`.
fn v1_io(text: &str) -> Vec<Io> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (major, minor) = device(words.next()?)?;
            let operation = words.next()?.to_ascii_lowercase();
            let value = words.next()?.parse().ok()?;
            Some(Io {
                major,
                minor,
                operation,
                value,
            })
        })
        .collect()
}

/// Lines such as `8:0 rbytes=4096 wbytes=0 rios=1 wios=0`.
fn v2_io(text: &str, keys: [(&str, &str); 2]) -> Vec<Io> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let Some((major, minor)) = words.next().and_then(device) else {
            continue;
        };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            if let Some((_, operation)) = keys.iter().find(|(name, _)| *name == key)
                && let Ok(value) = value.parse()
            {
                found.push(Io {
                    major,
                    minor,
                    operation: (*operation).to_owned(),
                    value,
                });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_devices_of_both_versions() {
        let v1 = v1_io("8:0 Read 4096\n8:0 Write 10\nTotal 4106\n");
        let v2 = v2_io(
            "8:0 rbytes=4096 wbytes=10 rios=1 wios=2 dbytes=0 dios=0\n",
            [("rbytes", "read"), ("wbytes", "write")],
        );
        assert_eq!(v1, v2);
        assert_eq!(
            (v1[0].major, v1[1].operation.as_str(), v1[1].value),
            (8, "write", 10)
        );
    }

    #[test]
    fn a_cgroup_that_is_not_there_uses_nothing() {
        assert_eq!(Cgroup::new("/creel-never-made").usage(), Usage::default());
    }
}
