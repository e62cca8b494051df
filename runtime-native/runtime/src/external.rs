//! Containers by another OCI runtime, a program with runc's command line.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio as Streams};

use oci_spec::runtime::LinuxResources;

use crate::RuntimeError;
use crate::format::{Bundle, ContainerFormat, ContainerState, Stdio};
use crate::libcontainer_format::{self, LibcontainerFormat};
use crate::short_path::ShortPath;

/// What the runtime keeps of a container, below the container's state directory.
pub(crate) const STATE: &str = "external";
const PID: &str = "init.pid";
const LOG: &str = "log.json";
const LOG_LIMIT: u64 = 1 << 20;

/// The format that calls a program for what makes processes; signals, the freezer and limits need none.
#[derive(Clone, Debug)]
pub struct ExternalFormat {
    program: PathBuf,
}

impl ExternalFormat {
    /// `program` is a path, or a name to be found on the PATH.
    pub fn new(program: PathBuf) -> Self {
        Self { program }
    }

    /// Calls the program; an error is the last one in its log, or what it printed.
    fn call(&self, bundle: &Bundle, arguments: &[&str], stdio: Option<Stdio>) -> Result<(), RuntimeError> {
        let state = state(bundle)?;
        let log = state.join(LOG);
        let _ = fs::remove_file(&log);
        let mut command = Command::new(&self.program);
        command
            .arg("--root")
            .arg(&state)
            .arg("--log")
            .arg(&log)
            .args(["--log-format", "json"])
            .args(arguments)
            .stdin(Streams::null())
            .stdout(Streams::null())
            .stderr(Streams::null());
        match stdio {
            Some(Stdio::Pipes {
                stdin,
                stdout,
                stderr,
            }) => {
                command.stdin(stdin).stdout(stdout).stderr(stderr);
            }
            Some(Stdio::Terminal { .. }) | None => {}
        }
        let status = command
            .status()
            .map_err(|err| RuntimeError::io("run", &self.program, err))?;
        // The streams are the container's alone from now on.
        drop(command);
        if status.success() {
            return Ok(());
        }
        let text = last_error(&log)
            .unwrap_or_else(|| format!("{} {}: {status}", self.program.display(), arguments.join(" ")));
        Err(understood(text))
    }
}

impl ContainerFormat for ExternalFormat {
    fn create(&self, bundle: &Bundle, stdio: Stdio) -> Result<i32, RuntimeError> {
        libcontainer_format::prepare(bundle, &stdio)?;
        let pid_file = state(bundle)?.join(PID);
        let console = console(&stdio)?;
        let mut arguments = vec![
            "create",
            "--bundle",
            text(&bundle.bundle_dir)?,
            "--pid-file",
            text(&pid_file)?,
        ];
        if let Some(console) = &console {
            arguments.extend(["--console-socket", console.as_str()]);
        }
        arguments.push(&bundle.id);
        self.call(bundle, &arguments, Some(stdio))?;
        read_pid(&pid_file)
    }

    fn start(&self, bundle: &Bundle) -> Result<(), RuntimeError> {
        self.call(bundle, &["start", &bundle.id], None)
    }

    fn exec(&self, bundle: &Bundle, process: &Path, stdio: Stdio) -> Result<i32, RuntimeError> {
        let pid_file = process.with_extension("pid");
        let console = console(&stdio)?;
        let mut arguments = vec![
            "exec",
            "--detach",
            "--process",
            text(process)?,
            "--pid-file",
            text(&pid_file)?,
        ];
        if let Some(console) = &console {
            arguments.extend(["--console-socket", console.as_str()]);
        }
        arguments.push(&bundle.id);
        let pid = self
            .call(bundle, &arguments, Some(stdio))
            .and_then(|()| read_pid(&pid_file));
        let _ = fs::remove_file(&pid_file);
        pid
    }

    fn kill(&self, bundle: &Bundle, pid: i32, signal: i32, all: bool) -> Result<(), RuntimeError> {
        LibcontainerFormat.kill(bundle, pid, signal, all)
    }

    fn pause(&self, bundle: &Bundle) -> Result<(), RuntimeError> {
        LibcontainerFormat.pause(bundle)
    }

    fn resume(&self, bundle: &Bundle) -> Result<(), RuntimeError> {
        LibcontainerFormat.resume(bundle)
    }

    fn update(&self, bundle: &Bundle, resources: &LinuxResources) -> Result<(), RuntimeError> {
        LibcontainerFormat.update(bundle, resources)
    }

    fn state(&self, bundle: &Bundle) -> Result<ContainerState, RuntimeError> {
        let pid = read_pid(&state(bundle)?.join(PID))?;
        Ok(ContainerState::of(pid, true, &bundle.cgroup))
    }

    fn delete(&self, bundle: &Bundle) -> Result<(), RuntimeError> {
        // A container that it failed to make is not known to it.
        let _ = self.call(bundle, &["delete", "--force", &bundle.id], None);
        LibcontainerFormat.delete(bundle)
    }
}

fn state(bundle: &Bundle) -> Result<PathBuf, RuntimeError> {
    let path = bundle.state_dir.join(STATE);
    fs::create_dir_all(&path).map_err(|err| RuntimeError::io("create", &path, err))?;
    Ok(path)
}

fn console(stdio: &Stdio) -> Result<Option<ShortPath>, RuntimeError> {
    match stdio {
        Stdio::Terminal { console_socket } => ShortPath::of(console_socket).map(Some),
        Stdio::Pipes { .. } => Ok(None),
    }
}

fn text(path: &Path) -> Result<&str, RuntimeError> {
    path.to_str()
        .ok_or_else(|| RuntimeError::Invalid(format!("{} is not UTF-8", path.display())))
}

fn read_pid(path: &Path) -> Result<i32, RuntimeError> {
    let text = fs::read_to_string(path).map_err(|err| RuntimeError::io("read", path, err))?;
    text.trim()
        .parse()
        .map_err(|_| RuntimeError::Failed(format!("{} holds no process id", path.display())))
}

fn last_error(log: &Path) -> Option<String> {
    let mut text = String::new();
    let file = fs::File::open(log).ok()?;
    file.take(LOG_LIMIT).read_to_string(&mut text).ok()?;
    text.lines()
        .rev()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|entry| entry["msg"].as_str().map(str::to_owned))
}

/// Docker's exit status for a command that cannot be executed hangs on what the runtime says of it.
fn understood(text: String) -> RuntimeError {
    let about_command = text.contains("exec: ") || text.contains("executable file");
    if about_command
        && (text.contains("executable file not found") || text.contains("no such file or directory"))
    {
        RuntimeError::CommandNotFound(text)
    } else if about_command && (text.contains("permission denied") || text.contains("is a directory")) {
        RuntimeError::CommandNotExecutable(text)
    } else {
        RuntimeError::Failed(text)
    }
}
