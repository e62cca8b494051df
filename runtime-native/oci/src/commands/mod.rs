//! One file for each command, or for few that are alike.

mod create;
mod delete;
mod events;
mod exec;
mod features;
mod freeze;
mod kill;
mod list;
mod ps;
mod run;
pub mod spec;
mod start;
mod state;
mod update;

use crate::cli::{Command, Global};
use crate::{Failure, help, systemd};

/// Runs a command; gives the exit status.
pub fn run(global: &Global, command: Command) -> Result<u8, Failure> {
    let Command { name, mut arguments } = command;
    if let Some(rest) = arguments.try_raw_args()
        && rest
            .peek()
            .is_some_and(|first| first == "--help" || first == "-h")
        && let Some(text) = help::of(&name)
    {
        println!("{text}");
        return Ok(0);
    }
    if global.systemd_cgroup && !systemd::booted() {
        let text = "systemd is not running on this host: its cgroup manager cannot be used (leave out --systemd-cgroup)";
        return Err(text.to_owned().into());
    }
    match name.as_str() {
        "create" => create::run(global, arguments)?,
        "start" => start::run(global, arguments)?,
        "run" => return Ok(run::run(global, arguments)?),
        "exec" => return exec::run(global, arguments),
        "kill" => kill::run(global, arguments)?,
        "delete" => delete::run(global, arguments)?,
        "state" => state::run(global, arguments)?,
        "list" => list::run(global, arguments)?,
        "ps" => ps::run(global, arguments)?,
        "pause" => freeze::pause(global, arguments)?,
        "resume" => freeze::resume(global, arguments)?,
        "update" => update::run(global, arguments)?,
        "events" => events::run(global, arguments)?,
        "spec" => spec::run(arguments)?,
        "features" => features::run(arguments)?,
        "version" => println!(
            "creel-runtime version {}\nspec: {}",
            env!("CARGO_PKG_VERSION"),
            spec::VERSION
        ),
        "help" | "h" => {
            let asked = arguments
                .value()
                .ok()
                .and_then(|name| help::of(&name.to_string_lossy()));
            println!("{}", asked.unwrap_or_else(help::general));
        }
        "checkpoint" | "restore" => {
            let text = format!(
                "{name}: containers cannot be written to disk and revived: CRIU is not used by this runtime"
            );
            return Err(text.into());
        }
        other => {
            let text = format!("unknown command {other:?} (creel-runtime --help lists them)");
            return Err(Failure { code: 3, text });
        }
    }
    Ok(0)
}
