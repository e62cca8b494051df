use creel_runtime::{ContainerFormat, NativeFormat};
use lexopt::Parser;

use crate::Outcome;
use crate::cli::{self, Global};
use crate::store::{Status, Store};

/// `pause`: freezes all processes of a container.
pub fn pause(global: &Global, arguments: Parser) -> Outcome<()> {
    let id = cli::only_id("pause", arguments)?;
    let store = Store::new(&global.root);
    let record = store.load(&id)?;
    match store.status(&record) {
        Status::Created | Status::Running => NativeFormat
            .pause(&store.made(&record))
            .map_err(|err| err.to_string()),
        status => Err(format!("container not running or created: {}", status.name())),
    }
}

/// `resume`: lets them go on.
pub fn resume(global: &Global, arguments: Parser) -> Outcome<()> {
    let id = cli::only_id("resume", arguments)?;
    let store = Store::new(&global.root);
    let record = store.load(&id)?;
    match store.status(&record) {
        Status::Paused => NativeFormat
            .resume(&store.made(&record))
            .map_err(|err| err.to_string()),
        status => Err(format!("container not paused: {}", status.name())),
    }
}
