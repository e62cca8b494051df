use std::fs::OpenOptions;
use std::io::Write;

use crate::cli::Global;
use crate::{Outcome, time};

/// Refuses a log file that cannot be written to, before anything is done of which it should tell.
pub fn open(global: &Global) -> Outcome<()> {
    match &global.log {
        Some(path) => OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map(drop)
            .map_err(|err| format!("open the log {}: {err}", path.display())),
        None => Ok(()),
    }
}

/// Writes an error to the log file that was asked for; engines read there why a call failed.
pub fn error(global: &Global, text: &str) {
    entry(global, "error", text);
}

/// Writes a warning to the log file, and to standard error where there is no such file.
pub fn warning(global: &Global, text: &str) {
    if !entry(global, "warning", text) {
        eprintln!("creel-runtime: warning: {text}");
    }
}

fn entry(global: &Global, level: &str, text: &str) -> bool {
    let Some(path) = &global.log else { return false };
    let line = if global.log_json {
        serde_json::json!({ "level": level, "msg": text, "time": time::now() }).to_string()
    } else {
        format!("time={:?} level={level} msg={text:?}", time::now())
    };
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.and_then(|mut file| writeln!(file, "{line}")).is_ok()
}
