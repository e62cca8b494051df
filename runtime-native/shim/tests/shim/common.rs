//! Containers for tests: a root filesystem with one static program, a zygote, and directories that go away again.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use creel_runtime::spec::SpecInput;
use creel_runtime::{Bundle, cgroup::Cgroup};
use creel_shim::client::{Shim, ShimError, Zygote};
use creel_shim::protocol::{AttachRequest, CreateRequest, LogConfig, LogDriver, PROTOCOL};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// One zygote and a place for its containers. Dropping it ends and removes whatever is left of them.
pub struct Fixture {
    pub zygote: Zygote,
    pub directory: tempfile::TempDir,
    cgroup: String,
    pub containers: std::sync::Mutex<Vec<(PathBuf, String)>>,
}

/// A container that was created.
pub struct Container {
    pub shim: Shim,
    pub pid: i32,
    pub state_dir: PathBuf,
    pub log: PathBuf,
    pub cgroup: String,
    pub spec: SpecInput,
}

/// What a test changes in a spec.
pub type Change = Box<dyn FnOnce(&mut SpecInput) + Send>;

/// What a test sets besides the command.
#[derive(Default)]
pub struct Options {
    pub open_stdin: bool,
    pub change: Option<Change>,
    /// What the engine speaks, where that is not what the shim does.
    pub protocol: Option<u32>,
}

impl Fixture {
    pub fn new() -> Self {
        assert!(
            unsafe { libc::geteuid() } == 0,
            "these tests make containers and must run as root"
        );
        let directory = tempfile::Builder::new()
            .prefix("creel-shim-test-")
            .tempdir()
            .unwrap();
        let zygote = Zygote::spawn(Path::new(env!("CARGO_BIN_EXE_creel-shim"))).unwrap();
        let cgroup = format!(
            "/creel-test-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        Self {
            zygote,
            directory,
            cgroup,
            containers: Default::default(),
        }
    }

    pub async fn create(&self, words: &[&str]) -> Result<Container, ShimError> {
        self.create_with(words, Options::default()).await
    }

    pub async fn create_with(&self, words: &[&str], options: Options) -> Result<Container, ShimError> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let id = format!("test-{}-{number}", std::process::id());
        let base = self.directory.path().join(&id);
        let (rootfs, state_dir) = (base.join("rootfs"), base.join("state"));
        for directory in ["bin", "etc", "proc", "dev", "sys", "tmp"] {
            fs::create_dir_all(rootfs.join(directory)).unwrap();
        }
        fs::create_dir_all(&state_dir).unwrap();
        fs::hard_link(probe(), rootfs.join("bin/probe"))
            .or_else(|_| fs::copy(probe(), rootfs.join("bin/probe")).map(drop))
            .unwrap();
        fs::write(rootfs.join("etc/plain"), "not a program\n").unwrap();

        let mut spec = SpecInput {
            rootfs,
            cgroup_path: format!("{}/{id}", self.cgroup),
            ..SpecInput::default()
        };
        spec.hostname = Some("probe-host".into());
        spec.process.args = words.iter().map(|word| (*word).to_owned()).collect();
        if let Some(change) = options.change {
            change(&mut spec);
        }
        spec.build().unwrap().save(base.join("config.json")).unwrap();
        let log = base.join(format!("{id}-json.log"));
        let request = CreateRequest {
            protocol: options.protocol.unwrap_or(PROTOCOL),
            bundle: Bundle {
                id,
                bundle_dir: base.clone(),
                state_dir: state_dir.clone(),
                filter_cache: self.directory.path().join("seccomp"),
                cgroup: spec.cgroup_path.clone(),
                keep_fds: 0,
                sub_cgroup: None,
                shown_dir: None,
            },
            terminal: spec.process.terminal,
            open_stdin: options.open_stdin,
            stdin_once: true,
            log: LogConfig {
                driver: LogDriver::JsonFile,
                path: log.clone(),
                max_size: 0,
                max_file: 1,
                compress: false,
                attributes: Default::default(),
                buffer: None,
            },
            runtime: None,
        };
        self.containers
            .lock()
            .unwrap()
            .push((state_dir.clone(), spec.cgroup_path.clone()));
        let (shim, pid) = self.zygote.create(&request).await?;
        Ok(Container {
            shim,
            pid,
            state_dir,
            log,
            cgroup: spec.cgroup_path.clone(),
            spec,
        })
    }

    /// Runs a container to its end; gives its exit status, standard output and standard error.
    pub async fn run(&self, words: &[&str], options: Options) -> (i32, String, String) {
        let container = self.create_with(words, options).await.unwrap();
        let attached = container.attach(false).await;
        container.shim.start().await.unwrap();
        let (stdout, stderr) = demultiplex(attached).await;
        let exit = container.shim.wait().await.unwrap();
        (exit.code, stdout, stderr)
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        for (state_dir, cgroup) in self.containers.lock().unwrap().drain(..) {
            if let Err(err) = creel_shim::cleanup(&state_dir, &cgroup) {
                eprintln!("cleanup of {cgroup}: {err}");
            }
        }
        if let Err(err) = Cgroup::new(&self.cgroup).kill_and_remove() {
            eprintln!("cleanup of {}: {err}", self.cgroup);
        }
    }
}

impl Container {
    pub async fn attach(&self, stdin: bool) -> UnixStream {
        let request = AttachRequest {
            stdin,
            stdout: true,
            stderr: true,
            detach_keys: Vec::new(),
        };
        self.shim.attach(request).await.unwrap()
    }

    pub fn logged(&self) -> Vec<(String, String)> {
        fs::read_to_string(&self.log)
            .unwrap()
            .lines()
            .map(|line| {
                let entry: serde_json::Value = serde_json::from_str(line).unwrap();
                (
                    entry["stream"].as_str().unwrap().to_owned(),
                    entry["log"].as_str().unwrap().to_owned(),
                )
            })
            .collect()
    }

    /// Fails if anything of an ended container is left.
    pub async fn assert_nothing_left(&self) {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let left = || -> Vec<String> {
            let mut left: Vec<String> = fs::read_dir(&self.state_dir)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter(|name| name != "exit.json")
                .collect();
            if Cgroup::new(&self.cgroup).exists() {
                left.push(format!("cgroup {}", self.cgroup));
            }
            left
        };
        while !left().is_empty() {
            assert!(std::time::Instant::now() < end, "left behind: {:?}", left());
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

/// Takes Docker's frames apart until the end.
pub async fn demultiplex(mut socket: UnixStream) -> (String, String) {
    let mut out: HashMap<u8, Vec<u8>> = HashMap::new();
    let mut header = [0; 8];
    while socket.read_exact(&mut header).await.is_ok() {
        let size = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let mut body = vec![0; size];
        if socket.read_exact(&mut body).await.is_err() {
            break;
        }
        out.entry(header[0]).or_default().extend(body);
    }
    let mut text = |kind| String::from_utf8_lossy(&out.remove(&kind).unwrap_or_default()).into_owned();
    (text(1), text(2))
}

fn probe() -> &'static Path {
    static PROBE: OnceLock<PathBuf> = OnceLock::new();
    PROBE.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shim/probe.c");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("probe");
        let compiled = Command::new("cc")
            .args(["-static", "-O1", "-w", "-o"])
            .arg(&target)
            .arg(&source)
            .output()
            .unwrap();
        assert!(
            compiled.status.success(),
            "{}",
            String::from_utf8_lossy(&compiled.stderr)
        );
        target
    })
}
