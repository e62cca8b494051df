//! How overlay networks reach this node: told at run time, known again at the next start.

use std::fs;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Networks, blocking, net_error, parse_address};
use crate::container::record::write_file;
use crate::error::{EngineError, Result};
use crate::proto;

const FILE: &str = "data-path.json";

/// This node's address for overlay networks, and their UDP port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataPath {
    pub addr: Ipv4Addr,
    pub port: u16,
}

impl DataPath {
    /// What an earlier engine was told, if anything.
    pub fn load(data_root: &Path) -> Result<Option<Self>> {
        let path = data_root.join(FILE);
        match fs::read(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(EngineError::io(format_args!("read {}", path.display()), e)),
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|e| EngineError::internal(format!("{} is damaged: {e}", path.display()))),
        }
    }

    fn save(self, data_root: &Path) -> Result<()> {
        let text = serde_json::to_vec(&self)
            .map_err(|e| EngineError::internal(format!("encode the data path: {e}")))?;
        write_file(&data_root.join(FILE), &text, true)
    }
}

impl Networks {
    /// Takes a data path, from now on and after a restart. Refused where it changes while overlays are here.
    pub async fn set_data_path(&self, data_root: &Path, wanted: &proto::DataPath) -> Result<()> {
        let port = u16::try_from(wanted.port)
            .map_err(|_| EngineError::invalid(format!("{} is no UDP port", wanted.port)))?;
        let addr = parse_address(&wanted.addr)?;
        if addr.is_unspecified() || addr.is_multicast() || addr.is_broadcast() {
            return Err(EngineError::invalid(format!("{addr} is no address of a node")));
        }
        // One at a time, and no overlay is made meanwhile.
        let _changing = self.changing.lock().await;
        let host = self.host.clone();
        let data_root = data_root.to_owned();
        blocking(move || {
            let path = DataPath { addr, port };
            host.set_data_path(addr, port).map_err(net_error)?;
            if DataPath::load(&data_root)? != Some(path) {
                path.save(&data_root)?;
            }
            Ok(())
        })
        .await
    }
}
