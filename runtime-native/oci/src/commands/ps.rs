use std::process::Command;

use creel_runtime::cgroup::Cgroup;
use lexopt::{Arg, Parser};

use crate::Outcome;
use crate::cli::{self, Global};
use crate::store::Store;

/// `ps`: the container's processes, as the host's ps shows them.
pub fn run(global: &Global, mut arguments: Parser) -> Outcome<()> {
    let (mut format, mut id) = ("table".to_owned(), None);
    let mut options: Vec<std::ffi::OsString> = Vec::new();
    while let Some(argument) = arguments.next().map_err(cli::said)? {
        match argument {
            Arg::Long("format") | Arg::Short('f') if id.is_none() => format = cli::text(&mut arguments)?,
            Arg::Value(value) if id.is_none() => {
                id = value.into_string().ok();
                // All that follows is for ps.
                options.extend(arguments.raw_args().map_err(cli::said)?);
            }
            other => return Err(cli::said(other.unexpected())),
        }
    }
    let record = Store::new(&global.root).load(&id.ok_or_else(|| cli::missing_id("ps"))?)?;
    let pids = Cgroup::new(&record.cgroup).pids();
    match format.as_str() {
        "json" => {
            println!("{}", serde_json::json!(pids));
            return Ok(());
        }
        "table" => {}
        other => return Err(format!("unknown format {other:?}: table or json")),
    }
    if options.is_empty() {
        options.push("-ef".into());
    }
    let output = Command::new("ps")
        .args(&options)
        .output()
        .map_err(|err| format!("run ps: {err}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    let column = header
        .split_whitespace()
        .position(|name| name == "PID")
        .ok_or("ps prints no column PID with these options")?;
    println!("{header}");
    for line in lines {
        let pid = line
            .split_whitespace()
            .nth(column)
            .and_then(|pid| pid.parse().ok());
        if pid.is_some_and(|pid: i32| pids.contains(&pid)) {
            println!("{line}");
        }
    }
    Ok(())
}
