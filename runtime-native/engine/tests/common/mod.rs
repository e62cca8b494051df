//! An engine of its own for a test: own roots, own mount and network namespaces, own cgroup; all of it goes with it.
#![allow(dead_code)]

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::time::Duration;

use creel_engine::proto::containers_client::ContainersClient;
use creel_engine::proto::engine_client::EngineClient;
use creel_engine::proto::images_client::ImagesClient;
use creel_engine::proto::networks_client::NetworksClient;
use creel_engine::proto::progress::Kind;
use creel_engine::proto::volumes_client::VolumesClient;
use creel_engine::proto::{self, ContainerRef, ContainerSpec};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

pub const IMAGE: &str = "helper:latest";
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
            programs: programs().to_owned(),
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

    fn end_containers(&self) {
        for cgroup in self.cgroups() {
            let name = cgroup.file_name().unwrap().to_string_lossy().into_owned();
            let cgroup = creel_runtime::cgroup::Cgroup::new(&format!("{}/{name}", self.cgroup));
            for shim in cgroup.pids().into_iter().filter_map(shim_of) {
                // SAFETY: plain kill.
                unsafe { libc::kill(shim, libc::SIGKILL) };
            }
            let _ = cgroup.kill_and_remove();
        }
        let _ = creel_runtime::cgroup::Cgroup::new(&self.cgroup).kill_and_remove();
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

    /// Imports the tests' image, with further `--change`s.
    pub async fn import(&self, changes: &[&str]) -> String {
        self.try_import(changes).await.unwrap()
    }

    /// The same with an engine that may go away meanwhile.
    pub async fn try_import(&self, changes: &[&str]) -> Result<String, Status> {
        let changes = changes
            .iter()
            .chain(&["ENTRYPOINT [\"/bin/helper\"]"])
            .map(|c| (*c).to_owned())
            .collect();
        let request = proto::ImportRequest {
            repo: "helper".into(),
            changes,
            ..Default::default()
        };
        let mut progress = self.images().import(request).await?.into_inner();
        let archive = archive();
        let mut id = String::new();
        while let Some(message) = progress.message().await? {
            match message.kind.unwrap() {
                Kind::Socket(path) => {
                    let mut socket = UnixStream::connect(path).await?;
                    socket.write_all(&archive).await?;
                    socket.shutdown().await?;
                }
                Kind::Line(_) => {}
                Kind::Done(done) => id = done.ids[0].clone(),
            }
        }
        Ok(id)
    }

    pub async fn create(&self, name: &str, spec: ContainerSpec) -> Result<String, Status> {
        let request = proto::CreateContainerRequest {
            name: name.into(),
            spec: Some(spec),
        };
        Ok(self.containers().create(request).await?.into_inner().id)
    }

    pub async fn start_container(&self, id: &str) -> Result<(), Status> {
        self.containers()
            .start(ContainerRef { id: id.into() })
            .await
            .map(|_| ())
    }

    pub async fn inspect(&self, id: &str) -> Result<proto::Container, Status> {
        Ok(self
            .containers()
            .inspect(ContainerRef { id: id.into() })
            .await?
            .into_inner())
    }

    pub async fn status(&self, id: &str) -> String {
        self.inspect(id).await.unwrap().state.unwrap().status
    }

    /// Where the shim of a running container is found.
    pub async fn shim_dir(&self, name: &str) -> std::path::PathBuf {
        let id = self.inspect(name).await.unwrap().id;
        let own = self.dir.path().join("exec/containers").join(id);
        let mut entries = std::fs::read_dir(own)
            .unwrap()
            .flatten()
            .map(|entry| entry.path());
        entries
            .find(|path| path.to_string_lossy().contains("/shim-"))
            .unwrap()
    }

    pub async fn remove(&self, id: &str) -> Result<(), Status> {
        let request = proto::RemoveContainerRequest {
            id: id.into(),
            force: true,
            volumes: true,
        };
        self.containers().remove(request).await.map(|_| ())
    }

    pub async fn stop(&self, id: &str, timeout_seconds: i32) -> Result<(), Status> {
        let request = proto::StopRequest {
            id: id.into(),
            timeout_seconds,
            ..Default::default()
        };
        self.containers().stop(request).await.map(|_| ())
    }

    /// Waits for the container to end and gives its exit status.
    pub async fn wait_for(&self, id: &str) -> i32 {
        let request = proto::WaitRequest {
            id: id.into(),
            condition: String::new(),
        };
        let mut stream = self.containers().wait(request).await.unwrap().into_inner();
        loop {
            let message = tokio::time::timeout(LIMIT, stream.message())
                .await
                .expect("it ends")
                .unwrap();
            if let Some(proto::wait_reply::Kind::Result(result)) = message.unwrap().kind {
                return result.exit_code;
            }
        }
    }

    /// Runs a container to its end; gives its exit status and what it printed.
    pub async fn run(&self, spec: ContainerSpec) -> (i32, String) {
        let id = self.create("", spec).await.unwrap();
        self.start_container(&id).await.unwrap();
        let code = self.wait_for(&id).await;
        let output = self.logs(&id).await;
        self.remove(&id).await.unwrap();
        (code, output)
    }

    /// Runs the helper with these words in a running container; gives what it printed.
    pub async fn exec(&self, id: &str, words: &[&str]) -> Result<String, Status> {
        let request = proto::ExecCreateRequest {
            container_id: id.into(),
            cmd: [&["/bin/helper"][..], words]
                .concat()
                .into_iter()
                .map(str::to_owned)
                .collect(),
            stdout: true,
            stderr: true,
            ..Default::default()
        };
        let id = self.containers().exec_create(request).await?.into_inner().id;
        let start = proto::ExecStartRequest {
            id,
            ..Default::default()
        };
        let reply = self.containers().exec_start(start).await?.into_inner();
        Ok(text(&read_all(&reply.socket).await, reply.raw))
    }

    /// What the container printed so far.
    pub async fn logs(&self, id: &str) -> String {
        let request = proto::LogsRequest {
            id: id.into(),
            stdout: true,
            stderr: true,
            tail: -1,
            ..Default::default()
        };
        let reply = self.containers().logs(request).await.unwrap().into_inner();
        text(&read_all(&reply.socket).await, reply.raw)
    }

    /// Waits until the container has printed `wanted`.
    pub async fn printed(&self, id: &str, wanted: &str) {
        let look = async {
            while !self.logs(id).await.contains(wanted) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LIMIT, look)
            .await
            .unwrap_or_else(|_| panic!("{id} never printed {wanted:?}"));
    }

    /// Runs `work` in the engine's network namespace.
    pub fn in_network<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let path = format!("/proc/{}/ns/net", self.keeper.id());
        creel_net::netns::Netns::open(Path::new(&path))
            .unwrap()
            .run(work)
            .unwrap()
    }

    /// The mount table that the engine sees.
    pub fn mounts(&self) -> String {
        std::fs::read_to_string(format!("/proc/{}/mounts", self.keeper.id())).unwrap()
    }

    /// What the engine's namespaces and folders still hold of containers.
    pub fn leftovers(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mounts = self.mounts();
        let inside =
            |m: &str| m.contains("/containers/") || m.contains("/overlay2/") || m.contains("/netns/");
        let own = self.dir.path().to_string_lossy().into_owned();
        found.extend(
            mounts
                .lines()
                .filter(|m| m.contains(&own) && inside(m))
                .map(str::to_owned),
        );
        for folder in [
            "data/containers",
            "exec/containers",
            "exec/streams",
            "data/overlay2/containers",
        ] {
            let entries = std::fs::read_dir(self.dir.path().join(folder))
                .into_iter()
                .flatten()
                .flatten();
            found.extend(entries.map(|e| e.path().to_string_lossy().into_owned()));
        }
        found.extend(
            self.cgroups()
                .into_iter()
                .map(|p| p.to_string_lossy().into_owned()),
        );
        let links = self.in_network(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap());
        let names = links
            .lines()
            .skip(2)
            .filter_map(|l| l.split(':').next())
            .map(str::trim);
        found.extend(names.filter(|n| n.starts_with("cv")).map(str::to_owned));
        found
    }

    /// Waits until what is deleted in the background is gone.
    pub async fn settled(&self) {
        let look = async {
            while !self.leftovers().is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(5), look).await;
    }

    fn cgroups(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for hierarchy in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
            let parent = hierarchy.path().join(self.cgroup.trim_start_matches('/'));
            let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
            found.extend(entries.filter(|e| e.path().is_dir()).map(|e| e.path()));
        }
        found
    }
}

impl Drop for TestEngine {
    fn drop(&mut self) {
        self.kill();
        // Shims and containers outlive the engine: what is left of them is found by their cgroups.
        self.end_containers();
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

fn check(code: libc::c_int) -> std::io::Result<()> {
    if code < 0 {
        Err(std::io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// The parent of a container's process, while that is its shim.
fn shim_of(pid: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    let parent: i32 = parent.trim().parse().ok()?;
    let command = std::fs::read_to_string(format!("/proc/{parent}/cmdline")).ok()?;
    command.contains("creel-shim").then_some(parent)
}

/// A process that holds namespaces for engines to join.
fn keeper() -> Child {
    let mut keeper = Command::new("sleep");
    keeper.arg("infinity");
    // SAFETY: only system calls, between fork and exec.
    unsafe { keeper.pre_exec(own_namespaces) };
    keeper.spawn().unwrap()
}

fn own_namespaces() -> std::io::Result<()> {
    // SAFETY: plain system calls with valid strings; the structure is zeroed and of its own size.
    unsafe {
        check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
        check(libc::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWNET))?;
        let slave = libc::MS_REC | libc::MS_PRIVATE;
        check(libc::mount(
            std::ptr::null(),
            c"/".as_ptr(),
            std::ptr::null(),
            slave,
            std::ptr::null(),
        ))?;
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        check(socket)?;
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
        check(libc::ioctl(socket, libc::SIOCSIFFLAGS, &request))?;
        libc::close(socket);
    }
    Ok(())
}

fn join_namespaces(keeper: u32) -> std::io::Result<()> {
    for name in ["net", "mnt"] {
        let path = std::ffi::CString::new(format!("/proc/{keeper}/ns/{name}")).unwrap();
        // SAFETY: plain system calls with a valid string and descriptor.
        unsafe {
            let fd = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
            check(fd)?;
            check(libc::setns(fd, 0))?;
        }
    }
    Ok(())
}

/// Takes a capability from this process and all that it becomes.
pub fn drop_capability(capability: libc::c_ulong) -> std::io::Result<()> {
    // SAFETY: a plain call.
    check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) })
}

/// The spec of a container that runs the helper with these words.
pub fn spec(words: &[&str]) -> ContainerSpec {
    ContainerSpec {
        image: IMAGE.into(),
        cmd: words.iter().map(|w| (*w).to_owned()).collect(),
        ..ContainerSpec::default()
    }
}

/// Reads a one-time socket to its end.
pub async fn read_all(path: &str) -> Vec<u8> {
    let mut socket = UnixStream::connect(path).await.unwrap();
    let mut bytes = Vec::new();
    tokio::time::timeout(LIMIT, socket.read_to_end(&mut bytes))
        .await
        .expect("it ends")
        .unwrap();
    bytes
}

/// The text of Docker's frames.
pub fn text(bytes: &[u8], raw: bool) -> String {
    let mut out = Vec::new();
    let mut rest = bytes;
    while !raw && rest.len() >= 8 {
        let length = u32::from_be_bytes(rest[4..8].try_into().unwrap()) as usize;
        out.extend_from_slice(&rest[8..8 + length]);
        rest = &rest[8 + length..];
    }
    if raw {
        out.extend_from_slice(bytes);
    }
    String::from_utf8(out).unwrap()
}

/// Asserts the code of the registry that came with an error.
pub fn assert_code(error: &Status, code: &str) {
    let found = error.metadata().get("creel-code").and_then(|c| c.to_str().ok());
    assert_eq!(found, Some(code), "{error:?}");
}

fn archive() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut program = Vec::new();
    std::fs::File::open(helper())
        .unwrap()
        .read_to_end(&mut program)
        .unwrap();
    let mut add = |path: &str, mode: u32, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.set_mtime(1_700_000_000);
        builder.append_data(&mut header, path, content).unwrap();
    };
    add("bin/helper", 0o755, &program);
    add("data/seed", 0o640, b"from the image\n");
    add(
        "etc/passwd",
        0o644,
        b"root:x:0:0::/root:/bin/sh\nweb:x:1000:1001::/home/web:/bin/sh\n",
    );
    add("etc/group", 0o644, b"root:x:0:\nweb:x:1001:\n");
    builder.into_inner().unwrap()
}

fn helper() -> &'static Path {
    static HELPER: OnceLock<PathBuf> = OnceLock::new();
    HELPER.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/helper/helper.c");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        // Several test programs may build it at once: each for itself, and the last one stays.
        let built = folder.join("engine-test-helper");
        let own = folder.join(format!("engine-test-helper-{}", std::process::id()));
        let status = Command::new("cc")
            .args(["-static", "-O1", "-o"])
            .arg(&own)
            .arg(&source)
            .status()
            .unwrap();
        assert!(status.success(), "cc builds {}", source.display());
        std::fs::rename(&own, &built).unwrap();
        built
    })
}

/// The folder of the programs under test; `CREEL_ENGINE` names another build of the engine, with its shim beside it.
fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        if let Some(engine) = std::env::var_os("CREEL_ENGINE") {
            return Path::new(&engine).parent().unwrap().to_owned();
        }
        let folder = Path::new(env!("CARGO_BIN_EXE_creel-engine")).parent().unwrap();
        let mut build = Command::new(env!("CARGO"));
        // Of the whole workspace, as it is always built: a package alone would be compiled with other features.
        build
            .args(["build", "--quiet", "--bin", "creel-shim"])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap());
        if folder.ends_with("release") {
            build.arg("--release");
        }
        build.env("CARGO_TARGET_DIR", folder.parent().unwrap());
        assert!(build.status().unwrap().success(), "cargo builds creel-shim");
        folder.to_owned()
    })
}

/// Connects to a port in the namespace the caller is in, and reads what comes.
pub fn fetch(address: &str) -> std::io::Result<String> {
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}
