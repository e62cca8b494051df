use lexopt::Parser;

use crate::Outcome;
use crate::cli::{self, Global};
use crate::store::Store;

/// `state`: what the container is and does, as JSON.
pub fn run(global: &Global, arguments: Parser) -> Outcome<()> {
    let id = cli::only_id("state", arguments)?;
    let store = Store::new(&global.root);
    let record = store.load(&id)?;
    let shown = record.shown(store.status(&record));
    let text = serde_json::to_string_pretty(&shown).map_err(|err| err.to_string())?;
    println!("{text}");
    Ok(())
}
