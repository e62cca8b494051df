use std::io::Write;
use std::time::{Duration, Instant};

use creel_runtime::cgroup::Cgroup;
use creel_runtime::stats::{BlkioDeviceStat, MemoryData, Stats, read};
use lexopt::{Arg, Parser};
use serde_json::{Map, Value, json};

use crate::Outcome;
use crate::cli::{self, Global};
use crate::store::{Status, Store};

/// How long a want of memory may stay untold.
const TICK: Duration = Duration::from_millis(100);

/// `events`: what the container uses, once or at intervals, and when the kernel killed a process of it for want of memory.
pub fn run(global: &Global, mut arguments: Parser) -> Outcome<()> {
    let (mut once, mut interval, mut id) = (false, Duration::from_secs(5), None);
    while let Some(argument) = arguments.next().map_err(cli::said)? {
        match argument {
            Arg::Long("stats") => once = cli::flag(&mut arguments)?,
            Arg::Long("interval") => {
                let text = cli::text(&mut arguments)?;
                interval = cli::duration(&text)
                    .filter(|interval| !interval.is_zero())
                    .ok_or_else(|| format!("invalid interval {text:?}: for example 500ms, 5s or 1m"))?;
            }
            Arg::Value(value) if id.is_none() => id = value.into_string().ok(),
            other => return Err(cli::said(other.unexpected())),
        }
    }
    let id = id.ok_or_else(|| cli::missing_id("events"))?;
    let store = Store::new(&global.root);
    let record = store.load(&id)?;
    if store.status(&record) == Status::Stopped {
        return Err(format!("container with id {id} is not running"));
    }
    let cgroup = Cgroup::new(&record.cgroup);
    let tell_stats = || {
        let stats = read(&store.made(&record)).map_err(|err| err.to_string())?;
        tell(&json!({ "type": "stats", "id": id, "data": picture(&stats, &cgroup) }))
    };
    if once {
        return tell_stats();
    }
    let mut kills = cgroup.oom_kills();
    loop {
        let next = Instant::now() + interval;
        while let Some(left) = next.checked_duration_since(Instant::now()) {
            std::thread::sleep(left.min(TICK));
            let now = cgroup.oom_kills();
            if now > kills {
                kills = now;
                tell(&json!({ "type": "oom", "id": id }))?;
            }
            if store.status(&record) == Status::Stopped {
                return Ok(());
            }
        }
        tell_stats()?;
    }
}

/// A reader that has gone ends the stream.
fn tell(event: &Value) -> Outcome<()> {
    writeln!(std::io::stdout(), "{event}").map_err(|err| format!("write to standard output: {err}"))
}

/// As runc's callers read it.
fn picture(stats: &Stats, cgroup: &Cgroup) -> Value {
    let memory = |data: &MemoryData| json!({ "usage": data.usage, "max": data.max_usage, "limit": data.limit, "failcnt": data.fail_count });
    let (usage, throttling) = (&stats.cpu.usage, &stats.cpu.throttling);
    let set = |name: &str| cgroup.read(name).map_or(Vec::new(), |list| numbers(&list));
    let huge: Map<String, Value> = stats
        .hugetlb
        .iter()
        .map(|(size, data)| {
            (
                size.clone(),
                json!({ "usage": data.usage, "max": data.max_usage, "failcnt": data.fail_count }),
            )
        })
        .collect();
    json!({
        "cpu": {
            "usage": {
                "total": usage.usage_total,
                "percpu": usage.per_core_usage_total,
                "percpu_kernel": usage.per_core_usage_kernel,
                "percpu_user": usage.per_core_usage_user,
                "kernel": usage.usage_kernel,
                "user": usage.usage_user,
            },
            "throttling": {
                "periods": throttling.periods,
                "throttledPeriods": throttling.throttled_periods,
                "throttledTime": throttling.throttled_time,
            },
        },
        "cpuset": { "cpus": set("cpuset.cpus"), "mems": set("cpuset.mems") },
        "memory": {
            "cache": stats.memory.cache,
            "usage": memory(&stats.memory.memory),
            "swap": memory(&stats.memory.memswap),
            "kernel": memory(&stats.memory.kernel),
            "kernelTCP": memory(&stats.memory.kernel_tcp),
            "raw": stats.memory.stats,
        },
        "pids": { "current": stats.pids.current, "limit": stats.pids.limit },
        "blkio": {
            "ioServiceBytesRecursive": devices(&stats.blkio.service_bytes),
            "ioServicedRecursive": devices(&stats.blkio.serviced),
            "ioQueueRecursive": devices(&stats.blkio.queued),
            "ioServiceTimeRecursive": devices(&stats.blkio.service_time),
            "ioWaitTimeRecursive": devices(&stats.blkio.wait_time),
            "ioMergedRecursive": devices(&stats.blkio.merged),
            "ioTimeRecursive": devices(&stats.blkio.time),
            "sectorsRecursive": devices(&stats.blkio.sectors),
        },
        "hugetlb": huge,
        "intel_rdt": {},
        "network_interfaces": null,
    })
}

fn devices(all: &[BlkioDeviceStat]) -> Vec<Value> {
    all.iter()
        .map(|one| json!({ "major": one.major, "minor": one.minor, "op": one.op_type, "value": one.value }))
        .collect()
}

/// A list of the kernel's, like `0-2,7`.
fn numbers(list: &str) -> Vec<u32> {
    let ranges = list.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse::<u32>().ok()?..=last.parse().ok()?)
    });
    ranges.flatten().collect()
}
