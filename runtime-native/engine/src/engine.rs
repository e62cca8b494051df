//! The engine: everything of one node, wired.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use creel_net::{Host, HostConfig};
use creel_runtime::cgroup::prepare_parent;
use creel_shim::client::Zygote;
use creel_storage::StorageDriver;
use rustix::fs::{FlockOperation, flock};
use tokio::sync::watch;

use crate::bulk::BulkSockets;
use crate::config::Config;
use crate::container::exec::Execs;
use crate::container::registry::Registry;
use crate::error::{EngineError, ErrorCode, Result};
use crate::events::Events;
use crate::ids;
use crate::images::Images;
use crate::init;
use crate::network::{DataPath, Networks, blocking};
use crate::user_namespaces::Remap;
use crate::volume::{Volumes, storage_error};

/// One node's engine.
pub struct Engine {
    pub config: Config,
    pub instance_id: String,
    pub events: Events,
    pub bulk: BulkSockets,
    pub storage: Arc<dyn StorageDriver>,
    pub images: Images,
    pub volumes: Arc<Volumes>,
    pub networks: Networks,
    pub containers: Registry,
    pub execs: Execs,
    pub zygote: Zygote,
    /// Users of containers' own.
    pub remap: Option<Remap>,
    stopping: watch::Sender<bool>,
    _lock: fs::File,
}

impl Engine {
    /// Opens everything below the roots, takes over what an earlier engine left running, and sweeps what it left undone.
    pub async fn open(config: Config) -> Result<Arc<Self>> {
        let lock = prepare_roots(&config)?;
        crate::format::check(&config.data_root)?;
        let storage: Arc<dyn StorageDriver> =
            creel_storage::open(config.storage_driver.as_deref(), &config.data_root)
                .map_err(storage_error)?
                .into();
        let images = Images::open(&config.data_root, storage.clone())?;
        let volumes = Arc::new(Volumes::open(&config.data_root)?);
        let data_path = match config.data_path_addr {
            Some(addr) => Some(DataPath {
                addr,
                port: config.data_path_port,
            }),
            None => DataPath::load(&config.data_root)?,
        };
        let host_config = HostConfig {
            exec_root: config.exec_root.join("net"),
            underlay: data_path.map(|d| d.addr),
            vxlan_port: data_path.map_or(config.data_path_port, |d| d.port),
            resolvers: Vec::new(),
        };
        let opened =
            || Host::open(host_config).map_err(|e| EngineError::internal(format!("open the network: {e}")));
        let host = blocking(opened).await?;
        let networks = Networks::open(config.data_root.join("networks"), host).await?;
        init::put(&config.data_root)?;
        prepare_parent(&config.cgroup_parent)
            .map_err(|e| EngineError::io(format_args!("prepare the cgroup {}", config.cgroup_parent), e))?;
        let remap = config
            .userns_remap
            .clone()
            .map(|ids| Remap::open(ids, &config.data_root))
            .transpose()?;
        let shim = shim_program(&config)?;
        let zygote = Zygote::spawn(&shim)
            .map_err(|e| EngineError::internal(format!("start {}: {e}", shim.display())))?;
        let engine = Arc::new(Self {
            bulk: BulkSockets::open(&config.exec_root.join("streams"))?,
            instance_id: ids::random_hex(16),
            events: Events::default(),
            storage,
            images,
            volumes,
            networks,
            containers: Registry::default(),
            execs: Execs::default(),
            zygote,
            remap,
            stopping: watch::Sender::new(false),
            _lock: lock,
            config,
        });
        let kept = engine.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = kept.zygote.keep() => {}
                () = kept.stopped() => {}
            }
        });
        engine.restore().await?;
        Ok(engine)
    }

    /// Asks the engine to end. Containers go on.
    pub fn request_stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Whether the engine is about to end.
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Returns when the engine is asked to end.
    pub async fn stopped(&self) {
        let mut stopping = self.stopping.subscribe();
        // The sender lives in `self`, so this cannot fail.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }
}

/// Makes the roots, and makes sure that no other engine uses them.
fn prepare_roots(config: &Config) -> Result<fs::File> {
    use std::os::unix::fs::PermissionsExt;
    for (root, mode) in [(&config.data_root, 0o711), (&config.exec_root, 0o711)] {
        let failed = |e| EngineError::io(format_args!("prepare {}", root.display()), e);
        fs::create_dir_all(root).map_err(failed)?;
        fs::set_permissions(root, fs::Permissions::from_mode(mode)).map_err(failed)?;
    }
    for folder in [
        config.data_root.join("containers"),
        config.exec_root.join("containers"),
        config.exec_root.join("seccomp"),
        config.exec_root.join("net"),
    ] {
        fs::create_dir_all(&folder)
            .map_err(|e| EngineError::io(format_args!("create {}", folder.display()), e))?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))
            .map_err(|e| EngineError::io(format_args!("prepare {}", folder.display()), e))?;
    }
    creel_storage::spread_directories(&config.data_root.join("containers"));
    let path = config.data_root.join("engine.lock");
    let failed = |e| EngineError::io(format_args!("lock {}", path.display()), e);
    let lock = fs::File::create(&path).map_err(failed)?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(EngineError::new(
            ErrorCode::Conflict,
            format!("another creel-engine already uses {}", config.data_root.display()),
        )),
        Err(error) => Err(failed(error.into())),
    }
}

fn shim_program(config: &Config) -> Result<PathBuf> {
    let path = match &config.shim {
        Some(path) => path.clone(),
        None => {
            let own =
                std::env::current_exe().map_err(|e| EngineError::io("find the engine's own program", e))?;
            own.parent().unwrap_or(Path::new("/")).join("creel-shim")
        }
    };
    if path.is_file() {
        return Ok(path);
    }
    Err(EngineError::internal(format!(
        "the program {} is not there: it belongs beside creel-engine, or name it with --shim",
        path.display()
    )))
}
