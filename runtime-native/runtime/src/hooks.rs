//! The programs that a spec wants run at points of a container's life (OCI runtime specification, "POSIX-platform
//! Hooks" and "Lifecycle").

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::FromRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oci_spec::runtime::{Hook, Spec};
use serde::{Deserialize, Serialize};

use crate::RuntimeError;

const POLL: Duration = Duration::from_millis(1);
const OUTPUT_LIMIT: u64 = 16 << 10;

/// The points of a container's life at which a spec can have programs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookPoint {
    /// The older name for what comes before `CreateRuntime`.
    Prestart,
    /// The namespaces are there, the root has not been changed; in the runtime's namespaces.
    CreateRuntime,
    /// The same moment, in the container's namespaces.
    CreateContainer,
    /// Before the command is executed; in the container.
    StartContainer,
    /// The command has been executed.
    Poststart,
    /// The container has been deleted.
    Poststop,
}

impl HookPoint {
    fn name(self) -> &'static str {
        match self {
            Self::Prestart => "prestart",
            Self::CreateRuntime => "createRuntime",
            Self::CreateContainer => "createContainer",
            Self::StartContainer => "startContainer",
            Self::Poststart => "poststart",
            Self::Poststop => "poststop",
        }
    }

    fn of(self, spec: &Spec) -> &[Hook] {
        let Some(hooks) = spec.hooks() else { return &[] };
        #[allow(deprecated)]
        let list = match self {
            Self::Prestart => hooks.prestart(),
            Self::CreateRuntime => hooks.create_runtime(),
            Self::CreateContainer => hooks.create_container(),
            Self::StartContainer => hooks.start_container(),
            Self::Poststart => hooks.poststart(),
            Self::Poststop => hooks.poststop(),
        };
        list.as_deref().unwrap_or_default()
    }
}

/// The state of a container, as a hook reads it from its standard input and `state` prints it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OciState {
    /// The version of the specification.
    pub oci_version: String,
    /// The container's id.
    pub id: String,
    /// creating, created, running, paused or stopped.
    pub status: String,
    /// The container's first process, as the host counts; 0 where there is none.
    pub pid: i32,
    /// The absolute path of its bundle.
    pub bundle: PathBuf,
    /// The spec's annotations.
    #[serde(default, skip_serializing_if = "HashMap::is_empty")]
    pub annotations: HashMap<String, String>,
}

impl OciState {
    /// The state of a container with this spec.
    pub fn of(spec: &Spec, id: &str, status: &str, pid: i32, bundle: PathBuf) -> Self {
        Self {
            oci_version: spec.version().clone(),
            id: id.to_owned(),
            status: status.to_owned(),
            pid,
            bundle,
            annotations: spec.annotations().clone().unwrap_or_default(),
        }
    }
}

/// Refuses hooks that no runtime could run: without an absolute path, or without time.
pub fn check_hooks(spec: &Spec) -> Result<(), RuntimeError> {
    use HookPoint::{CreateContainer, CreateRuntime, Poststart, Poststop, Prestart, StartContainer};
    for point in [
        Prestart,
        CreateRuntime,
        CreateContainer,
        StartContainer,
        Poststart,
        Poststop,
    ] {
        for (number, hook) in point.of(spec).iter().enumerate() {
            let reason = if !hook.path().is_absolute() {
                format!("its path {:?} is not absolute", hook.path().display().to_string())
            } else if hook.timeout().is_some_and(|seconds| seconds <= 0) {
                "its time-out is not more than 0 s".into()
            } else {
                continue;
            };
            return Err(RuntimeError::Invalid(format!(
                "{} hook #{number}: {reason}",
                point.name()
            )));
        }
    }
    Ok(())
}

/// Runs the spec's hooks of one point, one after another; the first that fails or takes longer than its time-out ends
/// it with an error that names it. Once the command runs, the others follow all the same.
pub fn run_hooks(spec: &Spec, point: HookPoint, state: &OciState) -> Result<(), RuntimeError> {
    let go_on = matches!(point, HookPoint::Poststart | HookPoint::Poststop);
    let mut first = Ok(());
    for (number, hook) in point.of(spec).iter().enumerate() {
        let result = run(hook, state).map_err(|reason| {
            RuntimeError::Failed(format!(
                "error running {} hook #{number} ({}): {reason}",
                point.name(),
                hook.path().display()
            ))
        });
        first = first.and(result);
        if first.is_err() && !go_on {
            break;
        }
    }
    first
}

fn run(hook: &Hook, state: &OciState) -> Result<(), String> {
    let text = serde_json::to_vec(state).map_err(|err| err.to_string())?;
    let args = hook.args().as_deref().unwrap_or_default();
    // Files take any amount of output without a reader.
    let failed = |err: std::io::Error| err.to_string();
    let (mut stdout, mut stderr) = (memory_file().map_err(failed)?, memory_file().map_err(failed)?);
    let mut command = Command::new(hook.path());
    command
        .arg0(
            args.first()
                .map_or_else(|| hook.path().as_os_str(), |arg| arg.as_ref()),
        )
        .args(args.iter().skip(1))
        .env_clear()
        .current_dir(if state.bundle.is_dir() {
            &state.bundle
        } else {
            Path::new("/")
        })
        .stdin(Stdio::piped())
        .stdout(stdout.try_clone().map_err(failed)?)
        .stderr(stderr.try_clone().map_err(failed)?);
    for entry in hook.env().iter().flatten() {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        command.env(name, value);
    }
    let mut child = command.spawn().map_err(|err| err.to_string())?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook need not read its state.
        let _ = stdin.write_all(&text);
    }
    let end = hook
        .timeout()
        .filter(|seconds| *seconds > 0)
        .map(|seconds| Instant::now() + Duration::from_secs(seconds as u64));
    let status = loop {
        match child.try_wait().map_err(|err| err.to_string())? {
            Some(status) => break status,
            None if end.is_some_and(|end| Instant::now() >= end) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!(
                    "it took longer than its time-out of {} s",
                    hook.timeout().unwrap_or_default()
                ));
            }
            None => std::thread::sleep(POLL),
        }
    };
    if status.success() {
        return Ok(());
    }
    Err(format!(
        "{status}, stdout: {}, stderr: {}",
        text_of(&mut stdout),
        text_of(&mut stderr)
    ))
}

fn memory_file() -> std::io::Result<File> {
    // SAFETY: a constant name; the descriptor is new and ours.
    unsafe {
        let fd = libc::memfd_create(c"hook".as_ptr(), libc::MFD_CLOEXEC);
        if fd < 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(File::from_raw_fd(fd))
    }
}

fn text_of(file: &mut File) -> String {
    let mut text = Vec::new();
    let _ = file.rewind();
    let _ = file.take(OUTPUT_LIMIT).read_to_end(&mut text);
    String::from_utf8_lossy(&text).trim_end().to_owned()
}
