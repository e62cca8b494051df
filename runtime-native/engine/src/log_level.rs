//! The log: JSON lines on standard error, at a level that can be changed while the engine runs.

use std::sync::OnceLock;

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

static CHANGE: OnceLock<Box<dyn Fn(Level) + Send + Sync>> = OnceLock::new();

/// Begins to log; to be called once, by the program.
pub fn init(level: Level) {
    let (filter, handle) = reload::Layer::new(targets(level));
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_writer(std::io::stderr);
    tracing_subscriber::registry().with(filter).with(lines).init();
    let change = move |level| {
        // it fails only when the subscriber is gone, and with it the log
        let _ = handle.reload(targets(level));
    };
    let _ = CHANGE.set(Box::new(change));
}

/// What is less than information is of use from our own crates: others' tell of each frame that they send.
fn targets(level: Level) -> Targets {
    Targets::new()
        .with_default(level.min(Level::INFO))
        .with_target("creel", level)
}

/// Changes the level; the error is a text for the person.
pub fn set(name: &str) -> Result<(), String> {
    let level = parse(name)?;
    if let Some(change) = CHANGE.get() {
        change(level);
    }
    Ok(())
}

/// A level by the names that dockerd's `--log-level` takes, and `trace`.
pub fn parse(name: &str) -> Result<Level, String> {
    match name {
        "fatal" => Ok(Level::ERROR),
        "warning" => Ok(Level::WARN),
        other => other
            .parse()
            .map_err(|_| format!("unknown log level '{name}': error, warn, info, debug or trace")),
    }
}
