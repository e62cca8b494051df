use lexopt::Parser;
use serde_json::json;

use crate::Outcome;
use crate::cli::{self, Global};
use crate::store::Store;

/// `state`: what the container is and does, as JSON.
pub fn run(global: &Global, arguments: Parser) -> Outcome<()> {
    let id = cli::only_id("state", arguments)?;
    let store = Store::new(&global.root);
    let record = store.load(&id)?;
    let state = record.state(store.status(&record));
    let text = serde_json::to_string_pretty(&json!({
        "ociVersion": state.oci_version,
        "id": state.id,
        "pid": state.pid,
        "status": state.status,
        "bundle": state.bundle,
        "rootfs": record.rootfs,
        "created": record.created,
        "annotations": state.annotations,
        "owner": record.owner,
    }));
    println!("{}", text.map_err(|err| err.to_string())?);
    Ok(())
}
