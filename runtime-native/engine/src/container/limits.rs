//! Limits that no container of this machine could have, refused in Docker's words before anything is made.

use std::collections::BTreeSet;
use std::fs;

use crate::error::{EngineError, Result};
use crate::proto::Resources;

const MIN_MEMORY: i64 = 6 << 20;
/// Bounds of the kernel's for a share of processor time, in microseconds.
const SHORTEST: i64 = 1_000;
const LONGEST: i64 = 1_000_000;
/// The highest number of a processor or memory node in a list; one that is higher cannot be read as a number.
const HIGHEST: usize = 8191;

/// Refuses what is out of the machine's bounds.
pub fn check(resources: &Resources) -> Result<()> {
    let invalid = |text: String| Err(EngineError::invalid(text));
    let Resources {
        memory,
        memory_swap,
        memory_reservation,
        cpu_period,
        cpu_quota,
        cpu_shares,
        nano_cpus,
        ..
    } = *resources;
    if memory != 0 && memory < MIN_MEMORY {
        return invalid("Minimum memory limit allowed is 6MB".into());
    }
    if memory_swap > 0 && memory_swap < memory {
        return invalid("Minimum memoryswap limit should be larger than memory limit, see usage".into());
    }
    if memory_swap > 0 && memory == 0 {
        return invalid(
            "You should always set the Memory limit when using Memoryswap limit, see usage".into(),
        );
    }
    if memory_reservation > 0 && memory_reservation < MIN_MEMORY {
        return invalid("Minimum memory reservation allowed is 6MB".into());
    }
    if memory > 0 && memory_reservation > memory {
        return invalid(
            "Minimum memory limit can not be less than memory reservation limit, see usage".into(),
        );
    }
    if cpu_shares < 0 {
        return invalid(format!(
            "invalid CPU shares ({cpu_shares}): value must be a positive integer"
        ));
    }
    for (value, name) in [(cpu_period, "Period"), (cpu_quota, "Quota")] {
        if nano_cpus > 0 && value > 0 {
            return invalid(format!(
                "Conflicting options: Nano CPUs and CPU {name} cannot both be set"
            ));
        }
    }
    let there = available("/sys/devices/system/cpu/online");
    let count = there.len().max(1);
    if nano_cpus < 0 || nano_cpus > count as i64 * 1_000_000_000 {
        return invalid(format!(
            "range of CPUs is from 0.01 to {count}.00, as there are only {count} CPUs available"
        ));
    }
    if cpu_period != 0 && !(SHORTEST..=LONGEST).contains(&cpu_period) {
        return invalid(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)".into(),
        );
    }
    if cpu_quota > 0 && cpu_quota < SHORTEST {
        return invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)".into());
    }
    check_set("CPUs", "cpus", &resources.cpuset_cpus, &there)?;
    let nodes = available("/sys/devices/system/node/online");
    check_set("memory nodes", "mems", &resources.cpuset_mems, &nodes)
}

fn check_set(what: &str, name: &str, asked: &str, there: &BTreeSet<usize>) -> Result<()> {
    let Some(wanted) = numbers(asked) else {
        let text = format!("Invalid value {asked} for cpuset {name}");
        return Err(EngineError::invalid(text));
    };
    // A kernel that does not say which there are decides itself.
    if there.is_empty() || wanted.is_subset(there) {
        return Ok(());
    }
    let has: Vec<String> = there.iter().map(usize::to_string).collect();
    Err(EngineError::invalid(format!(
        "Requested {what} are not available - requested {asked}, available: {}",
        has.join(",")
    )))
}

fn available(path: &str) -> BTreeSet<usize> {
    fs::read_to_string(path)
        .ok()
        .and_then(|text| numbers(text.trim()))
        .unwrap_or_default()
}

/// The numbers of a list such as `0-2,7`; none if it is no such list.
fn numbers(list: &str) -> Option<BTreeSet<usize>> {
    let number = |text: &str| text.trim().parse::<usize>().ok().filter(|n| *n <= HIGHEST);
    let mut found = BTreeSet::new();
    for part in list.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if last < first {
            return None;
        }
        found.extend(first..=last);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_lacks_is_said() {
        let said = |change: fn(&mut Resources)| {
            let mut resources = Resources::default();
            change(&mut resources);
            check(&resources)
                .err()
                .map(|error| error.text)
                .unwrap_or_default()
        };
        assert_eq!(said(|_| ()), "");
        assert_eq!(said(|r| (r.cpu_period, r.cpu_quota) = (1000, -1)), "");
        assert!(said(|r| r.memory_swap = 1 << 30).starts_with("You should always set the Memory limit"));
        assert!(said(|r| r.memory = -1).starts_with("Minimum memory limit"));
        assert!(said(|r| r.cpu_shares = -3).starts_with("invalid CPU shares (-3)"));
        assert!(said(|r| (r.nano_cpus, r.cpu_quota) = (1, 1000)).contains("Nano CPUs and CPU Quota"));
        assert!(said(|r| r.memory_reservation = 1).starts_with("Minimum memory reservation"));
        assert!(said(|r| r.nano_cpus = i64::MAX).starts_with("range of CPUs is from 0.01 to "));
        assert!(said(|r| r.cpu_period = 10).starts_with("CPU cfs period"));
        assert!(said(|r| r.cpu_quota = 10).starts_with("CPU cfs quota"));
        assert!(said(|r| r.cpuset_cpus = "0-8191".into()).contains("requested 0-8191, available: 0"));
        for bad in ["abc", "1-0", "0-", "99999999999", "-1"] {
            assert!(numbers(bad).is_none(), "{bad}");
        }
        assert_eq!(numbers("0-2,7").unwrap(), BTreeSet::from([0, 1, 2, 7]));
    }
}
