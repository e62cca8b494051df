//! What a container uses at a moment.

use std::fs;

use creel_runtime::cgroup::Cgroup;
use creel_runtime::usage::Io;

use crate::clock::now_nanos;
use crate::engine::Engine;
use crate::error::Result;
use crate::network::blocking;
use crate::proto::{InterfaceStats, IoStats, Stats};

/// The largest number that every reader of the contract can hold.
const MOST: u64 = (1 << 53) - 1;

impl Engine {
    /// The counters of a container; all 0 for one that does not run.
    pub async fn stats(&self, reference: &str) -> Result<Stats> {
        let container = self.containers.find(reference)?;
        let mut stats = Stats {
            id: container.id.clone(),
            name: container.name(),
            time_nanos: now_nanos(),
            ..Stats::default()
        };
        let state = container.state();
        if !state.status.has_process() {
            return Ok(stats);
        }
        let cgroup = self.places(&container).cgroup;
        blocking(move || {
            fill(&mut stats, &cgroup);
            stats.system_cpu = system_cpu();
            stats.interfaces = interfaces(state.pid);
            Ok(stats)
        })
        .await
    }
}

fn fill(stats: &mut Stats, cgroup: &str) {
    let usage = Cgroup::new(cgroup).usage();
    stats.running = true;
    stats.cpu_total = usage.cpu_total;
    stats.cpu_user = usage.cpu_user;
    stats.cpu_kernel = usage.cpu_kernel;
    stats.cpu_each = usage.cpu_each;
    stats.online_cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
    stats.throttle_periods = usage.throttle_periods;
    stats.throttled_periods = usage.throttled_periods;
    stats.throttled = usage.throttled;
    stats.memory = usage.memory;
    stats.memory_most = usage.memory_most;
    stats.memory_limit = usage.memory_limit.unwrap_or(MOST).min(memory_of_the_machine());
    stats.memory_failures = usage.memory_failures;
    stats.memory_details = usage
        .memory_details
        .into_iter()
        .map(|(name, value)| (name, value.min(MOST)))
        .collect();
    stats.pids = usage.pids;
    stats.pids_limit = usage.pids_limit.unwrap_or(0);
    stats.io_bytes = usage.io_bytes.into_iter().map(io).collect();
    stats.io_operations = usage.io_operations.into_iter().map(io).collect();
}

fn io(one: Io) -> IoStats {
    IoStats {
        major: one.major,
        minor: one.minor,
        operation: one.operation,
        value: one.value,
    }
}

fn memory_of_the_machine() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram * u64::from(info.mem_unit)
}

/// What all processors did since the boot, in nanoseconds.
fn system_cpu() -> u64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    let ticks: u64 = first
        .split_whitespace()
        .skip(1)
        .take(7)
        .filter_map(|n| n.parse::<u64>().ok())
        .sum();
    ticks * (1_000_000_000 / rustix::param::clock_ticks_per_second().max(1))
}

/// The interfaces of the network that a process has, without the loopback.
fn interfaces(pid: i32) -> Vec<InterfaceStats> {
    let text = fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default();
    text.lines().filter_map(interface).collect()
}

fn interface(line: &str) -> Option<InterfaceStats> {
    let (name, numbers) = line.split_once(':')?;
    let numbers: Vec<u64> = numbers
        .split_whitespace()
        .filter_map(|n| n.parse().ok())
        .collect();
    let name = name.trim();
    if name == "lo" || numbers.len() < 12 {
        return None;
    }
    Some(InterfaceStats {
        name: name.to_owned(),
        rx_bytes: numbers[0],
        rx_packets: numbers[1],
        rx_errors: numbers[2],
        rx_dropped: numbers[3],
        tx_bytes: numbers[8],
        tx_packets: numbers[9],
        tx_errors: numbers[10],
        tx_dropped: numbers[11],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_read_by_column() {
        let line = "  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16";
        let found = interface(line).unwrap();
        assert_eq!(
            (found.name.as_str(), found.rx_dropped, found.tx_bytes),
            ("eth0", 4, 9)
        );
        assert!(interface("    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16").is_none());
        assert!(interface("Inter-|   Receive").is_none());
    }
}
