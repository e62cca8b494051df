//! What a container uses at a moment, and where it takes connections.

use std::fs;

use creel_net::netns::Netns;
use creel_runtime::stats::{BlkioDeviceStat, Stats, read};

use super::runtime_spec::runtime_error;
use crate::clock::now_nanos;
use crate::engine::Engine;
use crate::error::Result;
use crate::network::{blocking, net_error};
use crate::proto::{ContainerStats, InterfaceStats, IoStats, ListeningReply};

/// The largest number that every reader of the contract can hold.
const MOST: u64 = (1 << 53) - 1;

impl Engine {
    /// The counters of a container; all 0 for one that does not run.
    pub async fn stats(&self, reference: &str) -> Result<ContainerStats> {
        let container = self.containers.find(reference)?;
        let mut stats = ContainerStats {
            id: container.id.clone(),
            name: container.name(),
            time_nanos: now_nanos(),
            ..ContainerStats::default()
        };
        let state = container.state();
        if !state.status.has_process() {
            return Ok(stats);
        }
        let bundle = self.bundle(&container, &self.places(&container));
        blocking(move || {
            fill(&mut stats, read(&bundle).map_err(runtime_error)?);
            stats.system_cpu = system_cpu();
            stats.interfaces = interfaces(state.pid);
            Ok(stats)
        })
        .await
    }
}

impl Engine {
    /// The TCP ports at which a container takes connections from outside; none for one that does not run.
    pub async fn listening(&self, reference: &str) -> Result<ListeningReply> {
        let state = self.containers.find(reference)?.state();
        if !state.status.has_process() {
            return Ok(ListeningReply::default());
        }
        let found = blocking(move || {
            let path = format!("/proc/{}/ns/net", state.pid);
            creel_net::listening(&Netns::open(path.as_ref()).map_err(net_error)?).map_err(net_error)
        });
        let ports = found.await?.into_iter().map(u32::from).collect();
        Ok(ListeningReply { ports })
    }
}

fn fill(stats: &mut ContainerStats, used: Stats) {
    let (cpu, memory) = (used.cpu, used.memory);
    stats.running = true;
    stats.cpu_total = cpu.usage.usage_total;
    stats.cpu_user = cpu.usage.usage_user;
    stats.cpu_kernel = cpu.usage.usage_kernel;
    stats.cpu_each = cpu.usage.per_core_usage_total;
    stats.online_cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
    stats.throttle_periods = cpu.throttling.periods;
    stats.throttled_periods = cpu.throttling.throttled_periods;
    stats.throttled = cpu.throttling.throttled_time;
    stats.memory = memory.memory.usage;
    stats.memory_most = memory.memory.max_usage.min(MOST);
    stats.memory_limit = match memory.memory.limit {
        0 => memory_of_the_machine(),
        limit => limit.min(memory_of_the_machine()),
    };
    stats.memory_failures = memory.memory.fail_count;
    stats.memory_details = memory
        .stats
        .into_iter()
        .map(|(name, value)| (name, value.min(MOST)))
        .collect();
    stats.pids = used.pids.current;
    stats.pids_limit = Some(used.pids.limit).filter(|most| *most < MOST).unwrap_or(0);
    stats.io_bytes = used.blkio.service_bytes.into_iter().map(io).collect();
    stats.io_operations = used.blkio.serviced.into_iter().map(io).collect();
}

fn io(one: BlkioDeviceStat) -> IoStats {
    IoStats {
        major: one.major,
        minor: one.minor,
        operation: one.op_type.unwrap_or_default().to_ascii_lowercase(),
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
