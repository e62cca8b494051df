use creel_runtime::{ContainerFormat, HookPoint, NativeFormat, run_hooks};
use lexopt::{Arg, Parser};

use super::start::kept_spec;
use crate::cli::{self, Global};
use crate::store::{Record, Status, Store};
use crate::{Outcome, log, systemd};

/// `delete`: removes what is left of a container that has stopped; with force, of any.
pub fn run(global: &Global, mut arguments: Parser) -> Outcome<()> {
    let (mut force, mut id) = (false, None);
    while let Some(argument) = arguments.next().map_err(cli::said)? {
        match argument {
            Arg::Long("force") | Arg::Short('f') => force = cli::flag(&mut arguments)?,
            Arg::Value(value) if id.is_none() => id = value.into_string().ok(),
            other => return Err(cli::said(other.unexpected())),
        }
    }
    let id = id.ok_or_else(|| cli::missing_id("delete"))?;
    let store = Store::new(&global.root);
    let record = match store.load(&id) {
        // What was begun and not finished has no record.
        Err(_) if force => return store.forget(&id).or(Ok(())),
        other => other?,
    };
    let status = store.status(&record);
    if status != Status::Stopped && !force {
        return Err(format!(
            "cannot delete container {id} that is not stopped: {} (kill it first, or use --force)",
            status.name()
        ));
    }
    remove(global, &store, &record)
}

/// Ends what still runs in the container, and removes all that was made for it.
pub fn remove(global: &Global, store: &Store, record: &Record) -> Outcome<()> {
    let spec = kept_spec(store, record);
    NativeFormat
        .delete(&store.made(record))
        .map_err(|err| err.to_string())?;
    if let Some(unit) = &record.unit
        && let Err(text) = systemd::stop(unit)
    {
        log::warning(global, &text);
    }
    store.forget(&record.id)?;
    let hooks = spec.and_then(|spec| {
        run_hooks(&spec, HookPoint::Poststop, &record.state(Status::Stopped)).map_err(|err| err.to_string())
    });
    // The container is gone: what a hook has to say is a warning.
    if let Err(text) = hooks {
        log::warning(global, &text);
    }
    Ok(())
}
