use creel_runtime::oci::Spec;
use creel_runtime::{ContainerFormat, HookPoint, NativeFormat, run_hooks};
use lexopt::Parser;

use crate::cli::{self, Global};
use crate::helper::in_child;
use crate::store::{self, Record, Status, Store};
use crate::{Outcome, bundle, log};

/// `start`: executes the command of a created container.
pub fn run(global: &Global, arguments: Parser) -> Outcome<()> {
    let id = cli::only_id("start", arguments)?;
    let store = Store::new(&global.root);
    let record = store.load(&id)?;
    begin(global, &store, &record)
}

pub fn begin(global: &Global, store: &Store, record: &Record) -> Outcome<()> {
    match store.status(record) {
        Status::Created => {}
        Status::Stopped => return Err("cannot start a container that has stopped".into()),
        status => return Err(format!("cannot start a container in the {} state", status.name())),
    }
    let made = store.made(record);
    in_child(|| {
        NativeFormat
            .start(&made)
            .map(|()| 0)
            .map_err(|err| err.to_string())
    })?;
    let spec = kept_spec(store, record)?;
    // The command runs by now: what a hook has to say is a warning.
    if let Err(err) = run_hooks(&spec, HookPoint::Poststart, &record.state(Status::Running)) {
        log::warning(global, &err.to_string());
    }
    Ok(())
}

/// The spec that the container was made from.
pub fn kept_spec(store: &Store, record: &Record) -> Outcome<Spec> {
    let path = store.directory(&record.id).join(store::SPEC);
    let bytes = std::fs::read(&path).map_err(|err| format!("read {}: {err}", path.display()))?;
    bundle::parse(&bytes)
}
