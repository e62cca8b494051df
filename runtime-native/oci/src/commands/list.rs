use lexopt::{Arg, Parser};

use crate::Outcome;
use crate::cli::{self, Global};
use crate::store::Store;

const NARROWEST: usize = 9;

/// `list`: the containers below the root.
pub fn run(global: &Global, mut arguments: Parser) -> Outcome<()> {
    let (mut format, mut quiet) = ("table".to_owned(), false);
    while let Some(argument) = arguments.next().map_err(cli::said)? {
        match argument {
            Arg::Long("format") | Arg::Short('f') => format = cli::text(&mut arguments)?,
            Arg::Long("quiet") | Arg::Short('q') => quiet = cli::flag(&mut arguments)?,
            other => return Err(cli::said(other.unexpected())),
        }
    }
    let store = Store::new(&global.root);
    let records = store.list()?;
    if quiet {
        for record in records {
            println!("{}", record.id);
        }
        return Ok(());
    }
    let rows = records.iter().map(|record| (record, store.status(record)));
    match format.as_str() {
        "json" => {
            let list: Vec<_> = rows.map(|(record, status)| record.shown(status)).collect();
            println!("{}", serde_json::Value::from(list));
        }
        "table" => {
            let mut table = vec![["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned)];
            table.extend(rows.map(|(record, status)| {
                let state = record.state(status);
                let bundle = state.bundle.display().to_string();
                let (created, owner) = (record.created.clone(), record.owner.clone());
                [
                    state.id,
                    state.pid.to_string(),
                    state.status,
                    bundle,
                    created,
                    owner,
                ]
            }));
            print_table(&table);
        }
        other => return Err(format!("unknown format {other:?}: table or json")),
    }
    Ok(())
}

fn print_table<const N: usize>(rows: &[[String; N]]) {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..N).map(|column| width(column).max(NARROWEST)).collect();
    for row in rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        println!("{}", cells.collect::<Vec<_>>().join("   ").trim_end());
    }
}
