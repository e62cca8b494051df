//! Log drivers: which there are, what options each has, and what its entries look like.

use std::collections::{BTreeMap, HashMap};

use creel_shim::log::local::{self, Piece as LocalPiece};
use creel_shim::protocol::LogDriver;

use super::entry::Entry;
use super::json;
use crate::error::{EngineError, Result};

/// A line of a json-file log that is longer is damage: the shim splits what a container writes at 16 KiB.
const LONGEST_LINE: usize = 1 << 20;

/// The name of each driver.
pub const NAMES: [(&str, LogDriver); 3] = [
    ("json-file", LogDriver::JsonFile),
    ("local", LogDriver::Local),
    ("none", LogDriver::None),
];

/// The driver of that name, json-file for none; one that is unknown is refused in Docker's words.
pub fn by_name(name: &str) -> Result<LogDriver> {
    let name = if name.is_empty() { "json-file" } else { name };
    let known = NAMES.iter().find(|(known, _)| *known == name);
    known
        .map(|(_, driver)| *driver)
        .ok_or_else(|| EngineError::invalid(format!("logger: no log driver named '{name}' is registered")))
}

/// The options a driver takes.
pub fn options(driver: LogDriver) -> &'static [&'static str] {
    match driver {
        LogDriver::JsonFile => &[
            "max-size",
            "max-file",
            "compress",
            "labels",
            "labels-regex",
            "env",
            "env-regex",
            "tag",
        ],
        LogDriver::Local => &["max-size", "max-file", "compress"],
        LogDriver::None => &[],
    }
}

/// The file of a container's log, below its folder. Nothing is written there by a driver that keeps nothing.
pub fn file_name(driver: LogDriver, id: &str) -> String {
    match driver {
        LogDriver::JsonFile | LogDriver::None => format!("{id}-json.log"),
        LogDriver::Local => "local-logs/container.log".into(),
    }
}

/// The driver of a container, an engine's default already filled in.
pub fn of(log: Option<&crate::proto::LogConfig>) -> LogDriver {
    log.and_then(|log| by_name(&log.driver).ok())
        .unwrap_or(LogDriver::JsonFile)
}

/// What an engine gives containers that say nothing of logs.
#[derive(Clone, Debug)]
pub struct Defaults {
    pub driver: String,
    pub options: BTreeMap<String, String>,
}

impl Defaults {
    /// Fills in what a container does not say; its own driver takes no options of another's.
    pub fn fill(&self, log: Option<crate::proto::LogConfig>) -> crate::proto::LogConfig {
        let mut log = log.unwrap_or_default();
        if log.driver.is_empty() {
            log.driver.clone_from(&self.driver);
        }
        if log.driver == self.driver {
            let own = std::mem::take(&mut log.options);
            log.options = self.options.clone().into_iter().collect::<HashMap<_, _>>();
            log.options.extend(own);
        }
        log
    }
}

/// What stands at the beginning of some bytes of a log.
pub enum Piece<'a> {
    /// An entry, and the bytes it takes. Damage is an entry that is none.
    Entry(Option<Entry<'a>>, usize),
    /// The beginning of one.
    Incomplete,
}

/// Reads what stands at the beginning of `bytes`.
pub fn decode(driver: LogDriver, bytes: &[u8]) -> Piece<'_> {
    if driver == LogDriver::Local {
        return match local::decode(bytes) {
            LocalPiece::Entry(entry) => {
                let length = local::OVERHEAD + entry.text.len();
                Piece::Entry(Some(entry.into()), length)
            }
            LocalPiece::Damage(length) => Piece::Entry(None, length),
            LocalPiece::Incomplete => Piece::Incomplete,
        };
    }
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => Piece::Entry(json::decode(&bytes[..end]), end + 1),
        None if bytes.len() > LONGEST_LINE => Piece::Entry(None, bytes.len()),
        None => Piece::Incomplete,
    }
}

/// Where the entry begins that ends with the last of `bytes`; `None` where that is not all of an entry.
pub fn last(driver: LogDriver, bytes: &[u8]) -> Option<usize> {
    if driver == LogDriver::Local {
        return local::last(bytes);
    }
    let line = bytes.strip_suffix(b"\n")?;
    let before = line.iter().rposition(|byte| *byte == b'\n')?;
    Some(before + 1)
}
