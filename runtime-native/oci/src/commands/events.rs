use std::time::Duration;

use creel_runtime::cgroup::Cgroup;
use creel_runtime::stats::{MemoryData, Stats, read};
use lexopt::{Arg, Parser};
use serde_json::{Value, json};

use crate::Outcome;
use crate::cli::{self, Global};
use crate::store::{Status, Store};

/// `events`: what the container uses, once or at intervals, and when the kernel killed a process of it for want of memory.
pub fn run(global: &Global, mut arguments: Parser) -> Outcome<()> {
    let (mut once, mut interval, mut id) = (false, Duration::from_secs(5), None);
    while let Some(argument) = arguments.next().map_err(cli::said)? {
        match argument {
            Arg::Long("stats") => once = cli::flag(&mut arguments)?,
            Arg::Long("interval") => interval = duration(&cli::text(&mut arguments)?)?,
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
    let mut kills = cgroup.oom_kills();
    loop {
        let stats = read(&store.made(&record)).map_err(|err| err.to_string())?;
        println!(
            "{}",
            json!({ "type": "stats", "id": id, "data": picture(&stats) })
        );
        if once {
            return Ok(());
        }
        std::thread::sleep(interval);
        if cgroup.oom_kills() > kills {
            kills = cgroup.oom_kills();
            println!("{}", json!({ "type": "oom", "id": id }));
        }
        if store.status(&record) == Status::Stopped {
            return Ok(());
        }
    }
}

fn duration(text: &str) -> Outcome<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let millis = match (number.parse::<u64>(), unit) {
        (Ok(number), "ms") => Some(number),
        (Ok(number), "s" | "") => number.checked_mul(1000),
        (Ok(number), "m") => number.checked_mul(60_000),
        _ => None,
    };
    millis
        .filter(|millis| *millis > 0)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("invalid interval {text:?}: for example 500ms, 5s or 1m"))
}

fn picture(stats: &Stats) -> Value {
    let memory = |data: &MemoryData| json!({ "usage": data.usage, "max": data.max_usage, "limit": data.limit, "failcnt": data.fail_count });
    let cpu = &stats.cpu;
    json!({
        "cpu": {
            "usage": {
                "total": cpu.usage.usage_total,
                "percpu": cpu.usage.per_core_usage_total,
                "kernel": cpu.usage.usage_kernel,
                "user": cpu.usage.usage_user,
            },
            "throttling": {
                "periods": cpu.throttling.periods,
                "throttledPeriods": cpu.throttling.throttled_periods,
                "throttledTime": cpu.throttling.throttled_time,
            },
        },
        "memory": {
            "cache": stats.memory.cache,
            "usage": memory(&stats.memory.memory),
            "swap": memory(&stats.memory.memswap),
            "kernel": memory(&stats.memory.kernel),
            "kernelTCP": memory(&stats.memory.kernel_tcp),
            "raw": stats.memory.stats,
        },
        "pids": { "current": stats.pids.current, "limit": stats.pids.limit },
    })
}
