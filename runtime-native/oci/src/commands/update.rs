use std::path::Path;

use creel_runtime::oci::LinuxResources;
use creel_runtime::{ContainerFormat, NativeFormat};
use lexopt::{Arg, Parser};
use serde_json::{Map, Value, json};

use crate::cli::{self, Global};
use crate::helper::in_child;
use crate::store::{Status, Store};
use crate::{Outcome, bundle, systemd};

/// Options and the place of their value in the resources of a spec.
const SIZES: [(&str, &str, &str); 5] = [
    ("memory", "memory", "limit"),
    ("memory-reservation", "memory", "reservation"),
    ("memory-swap", "memory", "swap"),
    ("kernel-memory", "memory", "kernel"),
    ("kernel-memory-tcp", "memory", "kernelTCP"),
];
const NUMBERS: [(&str, &str, &str); 10] = [
    ("cpu-share", "cpu", "shares"),
    ("cpu-shares", "cpu", "shares"),
    ("cpu-quota", "cpu", "quota"),
    ("cpu-period", "cpu", "period"),
    ("cpu-burst", "cpu", "burst"),
    ("cpu-idle", "cpu", "idle"),
    ("cpu-rt-period", "cpu", "realtimePeriod"),
    ("cpu-rt-runtime", "cpu", "realtimeRuntime"),
    ("blkio-weight", "blockIO", "weight"),
    ("pids-limit", "pids", "limit"),
];
const LISTS: [(&str, &str, &str); 2] = [("cpuset-cpus", "cpu", "cpus"), ("cpuset-mems", "cpu", "mems")];

/// `update`: changes the limits of a container that is there.
pub fn run(global: &Global, mut arguments: Parser) -> Outcome<()> {
    let (mut asked, mut file, mut id) = (Map::new(), None, None);
    while let Some(argument) = arguments.next().map_err(cli::said)? {
        match argument {
            Arg::Long("resources") | Arg::Short('r') => {
                file = Some(cli::path(&mut arguments)?).filter(|path| !path.as_os_str().is_empty());
            }
            Arg::Long("l3-cache-schema" | "mem-bw-schema") => {
                if !cli::text(&mut arguments)?.is_empty() {
                    return Err(
                        "Intel RDT is not enabled: this runtime does not divide caches or memory bandwidth"
                            .into(),
                    );
                }
            }
            Arg::Long(name) => {
                let name = name.to_owned();
                let of = |all: &[(&str, &'static str, &'static str)]| {
                    let found = all.iter().find(|(option, ..)| *option == name);
                    found.map(|(_, group, key)| (*group, *key))
                };
                let (size, number, list) = (of(&SIZES), of(&NUMBERS), of(&LISTS));
                let Some((group, key)) = size.or(number).or(list) else {
                    return Err(format!("invalid option '--{name}'"));
                };
                let text = cli::text(&mut arguments)?;
                if text.is_empty() {
                    continue;
                }
                let value =
                    if size.is_some() {
                        Value::from(cli::size(&text, &name)?)
                    } else if number.is_some() {
                        let number = text.parse::<i64>();
                        Value::from(number.map_err(|_| {
                            format!("invalid value {text:?} for --{name}: a number is needed")
                        })?)
                    } else {
                        Value::from(text)
                    };
                // As with runc: it leaves this limit as it is.
                if name == "pids-limit" && value == 0 {
                    continue;
                }
                asked.entry(group).or_insert_with(|| json!({}))[key] = value;
            }
            Arg::Value(value) if id.is_none() => id = value.into_string().ok(),
            other => return Err(cli::said(other.unexpected())),
        }
    }
    if let Some(file) = file {
        asked = read(&file)?;
    }
    let id = id.ok_or_else(|| cli::missing_id("update"))?;
    let resources: LinuxResources =
        serde_json::from_value(Value::Object(asked)).map_err(|err| format!("invalid resources: {err}"))?;
    bundle::check_resources(&resources)?;
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
    .map(drop)?;
    match &record.unit {
        Some(unit) => systemd::tell_limits(unit, &record.cgroup),
        None => Ok(()),
    }
}

/// Resources in a file, or on standard input.
fn read(file: &Path) -> Outcome<Map<String, Value>> {
    let failed = |reason: &dyn std::fmt::Display| format!("read {}: {reason}", file.display());
    let text = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    serde_json::from_str(&text.map_err(|err| failed(&err))?).map_err(|err| failed(&err))
}
