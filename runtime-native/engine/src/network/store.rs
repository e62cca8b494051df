//! The records of networks: one JSON file each.

use std::fs;
use std::path::Path;

use crate::container::record::write_file;
use crate::error::{EngineError, Result};
use crate::proto::Network;

/// Reads all records.
pub(super) fn load(dir: &Path) -> Result<Vec<Network>> {
    let failed = |e| EngineError::io(format_args!("read {}", dir.display()), e);
    fs::create_dir_all(dir).map_err(failed)?;
    let mut records = Vec::new();
    for file in fs::read_dir(dir).map_err(failed)? {
        let path = file.map_err(failed)?.path();
        match path.extension().and_then(|e| e.to_str()) {
            Some("json") => {
                let bytes = fs::read(&path).map_err(failed)?;
                let record = serde_json::from_slice(&bytes)
                    .map_err(|e| EngineError::internal(format!("{} is damaged: {e}", path.display())))?;
                records.push(record);
            }
            // A write that was never finished.
            _ => drop(fs::remove_file(&path)),
        }
    }
    Ok(records)
}

/// Writes a record so that it outlives a power cut.
pub(super) fn save(dir: &Path, network: &Network) -> Result<()> {
    let text =
        serde_json::to_vec(network).map_err(|e| EngineError::internal(format!("encode a network: {e}")))?;
    write_file(&dir.join(format!("{}.json", network.id)), &text, true)
}

/// Deletes a record.
pub(super) fn delete(dir: &Path, id: &str) -> Result<()> {
    let path = dir.join(format!("{id}.json"));
    match fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(EngineError::io(format_args!("remove {}", path.display()), e))
        }
        _ => Ok(()),
    }
}
