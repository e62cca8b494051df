//! An engine of its own for a test: own roots, own mount and network namespaces, own cgroup; all of it goes with it.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use creel_engine::proto::containers_client::ContainersClient;
use creel_engine::proto::engine_client::EngineClient;
use creel_engine::proto::images_client::ImagesClient;
use creel_engine::proto::networks_client::NetworksClient;
use creel_engine::proto::volumes_client::VolumesClient;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};

use crate::host::{drop_capability, join_namespaces, keeper};
use crate::image;

/// Nothing a test waits for takes this long.
pub const LIMIT: Duration = Duration::from_secs(30);

pub struct TestEngine {
    pub dir: tempfile::TempDir,
    /// The folder of creel-engine and creel-shim.
    pub programs: PathBuf,
    pub cgroup: String,
    child: Option<Child>,
    /// Holds the namespaces while an engine is killed and started again.
    keeper: Child,
    channel: Option<Channel>,
    /// What `--data-path-addr` says.
    pub data_path: Option<String>,
    /// A capability that it is started without.
    pub without: Option<libc::c_ulong>,
}

impl TestEngine {
    /// Starts an engine and gives it the tests' image.
    pub async fn start() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("creel-engine-test-")
            .tempdir()
            .unwrap();
        let name = dir.path().file_name().unwrap().to_string_lossy().into_owned();
        let mut engine = Self {
            dir,
            programs: image::programs().to_owned(),
            cgroup: format!("/{name}"),
            child: None,
            keeper: keeper(),
            channel: None,
            data_path: Some("127.0.0.1".into()),
            without: None,
        };
        engine.spawn().await;
        engine.import(&[]).await;
        engine
    }

    /// Starts the engine, again after `kill`.
    pub async fn spawn(&mut self) {
        let keeper = self.keeper.id();
        let mut command = Command::new(self.programs.join("creel-engine"));
        command
            .arg("--data-root")
            .arg(self.dir.path().join("data"))
            .arg("--exec-root")
            .arg(self.dir.path().join("exec"))
            .arg("--cgroup-parent")
            .arg(&self.cgroup)
            .arg("--log-level")
            .arg(std::env::var("CREEL_TEST_LOG").unwrap_or("warn".into()));
        if let Some(address) = &self.data_path {
            command.args(["--data-path-addr", address]);
        }
        let without = self.without;
        // SAFETY: only system calls, between fork and exec.
        unsafe {
            command.pre_exec(move || {
                join_namespaces(keeper)?;
                without.map_or(Ok(()), drop_capability)
            })
        };
        self.child = Some(command.spawn().unwrap());
        let socket = self.dir.path().join("exec/engine.sock");
        let connect = async {
            loop {
                let socket = socket.clone();
                let connector = tower::service_fn(move |_| {
                    let socket = socket.clone();
                    async move { UnixStream::connect(socket).await.map(TokioIo::new) }
                });
                match Endpoint::from_static("http://engine")
                    .connect_with_connector(connector)
                    .await
                {
                    Ok(channel) => return channel,
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        self.channel = Some(
            tokio::time::timeout(LIMIT, connect)
                .await
                .expect("the engine answers"),
        );
    }

    /// Ends the engine as a crash does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.channel = None;
    }

    /// What a power cut and a boot do to the engine and its containers: no process, mount or interface is left, and
    /// of the folders only the data root, unless the exec root is not on a tmpfs.
    pub async fn reboot(&mut self, exec_root_stays: bool) {
        self.kill();
        self.end_containers();
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        if !exec_root_stays {
            std::fs::remove_dir_all(self.dir.path().join("exec")).unwrap();
        }
        self.keeper = keeper();
        self.spawn().await;
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Waits for the engine's own end.
    pub fn wait(&mut self) -> bool {
        self.child.take().unwrap().wait().unwrap().success()
    }

    fn channel(&self) -> Channel {
        self.channel.clone().unwrap()
    }

    pub fn engine(&self) -> EngineClient<Channel> {
        EngineClient::new(self.channel())
    }

    pub fn images(&self) -> ImagesClient<Channel> {
        ImagesClient::new(self.channel())
    }

    pub fn containers(&self) -> ContainersClient<Channel> {
        ContainersClient::new(self.channel())
    }

    pub fn networks(&self) -> NetworksClient<Channel> {
        NetworksClient::new(self.channel())
    }

    pub fn volumes(&self) -> VolumesClient<Channel> {
        VolumesClient::new(self.channel())
    }

    /// The process that holds the engine's namespaces.
    pub fn keeper_pid(&self) -> u32 {
        self.keeper.id()
    }
}

impl Drop for TestEngine {
    fn drop(&mut self) {
        self.kill();
        self.end_containers();
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
