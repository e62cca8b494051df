use creel_runtime::cgroup::Cgroup;
use lexopt::{Arg, Parser};

use crate::cli::{self, Global};
use crate::store::{Record, Status, Store};
use crate::{Outcome, process, signal};

/// `kill`: sends a signal to the container's first process, or to all.
pub fn run(global: &Global, mut arguments: Parser) -> Outcome<()> {
    let (mut all, mut id, mut number) = (false, None, None);
    while let Some(argument) = arguments.next().map_err(cli::said)? {
        match argument {
            Arg::Long("all") | Arg::Short('a') => all = cli::flag(&mut arguments)?,
            Arg::Value(value) if id.is_none() => id = value.into_string().ok(),
            Arg::Value(value) if number.is_none() => {
                number = Some(match value.to_string_lossy().as_ref() {
                    "" => libc::SIGTERM,
                    text => signal::parse(text)?,
                });
            }
            other => return Err(cli::said(other.unexpected())),
        }
    }
    let id = id.ok_or_else(|| cli::missing_id("kill"))?;
    let number = number.unwrap_or(libc::SIGTERM);
    let store = Store::new(&global.root);
    let record = store.load(&id)?;
    if all {
        return Cgroup::new(&record.cgroup)
            .signal_all(number)
            .map_err(|err| format!("kill {id}: {err}"));
    }
    let status = store.status(&record);
    if status == Status::Stopped || !send(&record, number)? {
        return Err("container not running".into());
    }
    // A frozen process dies only when it goes on.
    if status == Status::Paused && number == libc::SIGKILL {
        let thawed = Cgroup::new(&record.cgroup).freeze(false);
        return thawed.map_err(|err| format!("resume {id}: {err}"));
    }
    Ok(())
}

/// Sends a signal to the container's first process; `false` where that has ended.
pub fn send(record: &Record, number: i32) -> Outcome<bool> {
    process::send(record.pid, record.start_time, number).map_err(|err| format!("kill {}: {err}", record.id))
}
