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
use crate::{Outcome, help};

/// Runs a command; gives the exit status.
pub fn run(global: &Global, command: Command) -> Outcome<u8> {
    let Command { name, arguments } = command;
    if global.systemd_cgroup && !std::path::Path::new("/run/systemd/system").exists() {
        return Err("systemd is not running on this host: its cgroup manager cannot be used (leave out --systemd-cgroup)".into());
    }
    let done = match name.as_str() {
        "create" => create::run(global, arguments),
        "start" => start::run(global, arguments),
        "run" => return run::run(global, arguments),
        "exec" => return exec::run(global, arguments),
        "kill" => kill::run(global, arguments),
        "delete" => delete::run(global, arguments),
        "state" => state::run(global, arguments),
        "list" => list::run(global, arguments),
        "ps" => ps::run(global, arguments),
        "pause" => freeze::pause(global, arguments),
        "resume" => freeze::resume(global, arguments),
        "update" => update::run(global, arguments),
        "events" => events::run(global, arguments),
        "spec" => spec::run(arguments),
        "features" => features::run(),
        "version" => {
            println!(
                "creel-runtime version {}\nspec: {}",
                env!("CARGO_PKG_VERSION"),
                spec::VERSION
            );
            Ok(())
        }
        "help" => {
            println!("{}", help::GENERAL);
            Ok(())
        }
        "checkpoint" | "restore" => Err(format!(
            "{name}: containers cannot be written to disk and revived: the kernel's CRIU is not used by this runtime"
        )),
        other => Err(format!("unknown command {other:?}\n{}", help::GENERAL)),
    };
    done.map(|()| 0)
}
