use std::io::Read;

use creel_runtime::oci::LinuxResources;
use creel_runtime::{ContainerFormat, NativeFormat};
use lexopt::{Arg, Parser};
use serde_json::{Map, Value, json};

use crate::Outcome;
use crate::cli::{self, Global};
use crate::helper::in_child;
use crate::store::{Status, Store};

/// Options and the place of their value in the resources of a spec.
const OPTIONS: [(&str, &str, &str); 14] = [
    ("memory", "memory", "limit"),
    ("memory-reservation", "memory", "reservation"),
    ("memory-swap", "memory", "swap"),
    ("kernel-memory", "memory", "kernel"),
    ("kernel-memory-tcp", "memory", "kernelTCP"),
    ("cpu-share", "cpu", "shares"),
    ("cpu-shares", "cpu", "shares"),
    ("cpu-quota", "cpu", "quota"),
    ("cpu-period", "cpu", "period"),
    ("cpu-rt-period", "cpu", "realtimePeriod"),
    ("cpu-rt-runtime", "cpu", "realtimeRuntime"),
    ("cpuset-cpus", "cpu", "cpus"),
    ("cpuset-mems", "cpu", "mems"),
    ("blkio-weight", "blockIO", "weight"),
];

/// `update`: changes the limits of a container that is there.
pub fn run(global: &Global, mut arguments: Parser) -> Outcome<()> {
    let mut asked = Map::new();
    let mut id = None;
    while let Some(argument) = arguments.next().map_err(cli::said)? {
        match argument {
            Arg::Long("resources") | Arg::Short('r') => {
                let file = cli::path(&mut arguments)?;
                let text = if file.as_os_str() == "-" {
                    let mut text = String::new();
                    std::io::stdin().read_to_string(&mut text).map(|_| text)
                } else {
                    std::fs::read_to_string(&file)
                };
                let text = text.map_err(|err| format!("read {}: {err}", file.display()))?;
                asked = serde_json::from_str(&text).map_err(|err| format!("{}: {err}", file.display()))?;
            }
            Arg::Long("pids-limit") => {
                let limit: i64 = cli::number(&mut arguments, "pids-limit")?;
                asked.insert("pids".into(), json!({ "limit": limit }));
            }
            Arg::Long(name) => {
                let known = OPTIONS.iter().find(|(option, ..)| *option == name);
                let Some((option, group, key)) = known.copied() else {
                    return Err(format!("invalid option '--{name}'"));
                };
                let value = match option {
                    "cpuset-cpus" | "cpuset-mems" => Value::from(cli::text(&mut arguments)?),
                    _ => Value::from(cli::number::<i64>(&mut arguments, option)?),
                };
                let entry = asked.entry(group).or_insert_with(|| json!({}));
                entry[key] = value;
            }
            Arg::Value(value) if id.is_none() => id = value.into_string().ok(),
            other => return Err(cli::said(other.unexpected())),
        }
    }
    let id = id.ok_or_else(|| cli::missing_id("update"))?;
    let resources: LinuxResources =
        serde_json::from_value(Value::Object(asked)).map_err(|err| format!("invalid resources: {err}"))?;
    let store = Store::new(&global.root);
    let record = store.load(&id)?;
    if store.status(&record) == Status::Stopped {
        return Err(format!("container {id} is not running"));
    }
    let made = store.made(&record);
    in_child(|| {
        NativeFormat
            .update(&made, &resources)
            .map(|()| 0)
            .map_err(|err| err.to_string())
    })
    .map(drop)
}
