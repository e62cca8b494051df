use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;

use libcontainer::oci_spec::runtime::Spec;
use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};

use crate::privileges::CapabilitySets;
use crate::seccomp::Filter;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The annotation of a spec whose command takes its signals by waiting for them. They are held back from it on: the first
/// process of a pid namespace loses what it is sent before it has said how it takes it.
pub const HOLDS_SIGNALS: &str = "creel.holds-signals";

/// Marks a message of ours inside the longer texts that libcontainer wraps around it.
pub(crate) const MARK: char = '\u{1}';

/// The last steps before the container's command: seccomp filter, capability sets, signals, execve.
#[derive(Clone)]
pub(crate) struct CommandExecutor {
    pub(crate) filter: Option<Rc<Filter>>,
    pub(crate) capabilities: Option<CapabilitySets>,
    /// Whether the command begins with all signals blocked.
    pub(crate) holds_signals: bool,
    home: RefCell<Option<String>>,
    command: RefCell<Option<PathBuf>>,
}

impl CommandExecutor {
    pub(crate) fn new(filter: Option<Filter>, capabilities: Option<CapabilitySets>) -> Self {
        Self {
            filter: filter.map(Rc::new),
            capabilities,
            holds_signals: false,
            home: RefCell::default(),
            command: RefCell::default(),
        }
    }

    fn confine(&self, no_new_privileges: bool) -> Result<(), String> {
        let load = || match &self.filter {
            Some(filter) => filter
                .load()
                .map_err(|err| format!("loading the seccomp filter: {err}")),
            None => Ok(()),
        };
        let restrict = || match &self.capabilities {
            Some(sets) => sets.apply().map_err(|err| format!("setting capabilities: {err}")),
            None => Ok(()),
        };
        // Without no_new_privileges the filter needs a capability that the sets may take away; with it the filter
        // comes last, so that the policy need not allow what setting capabilities uses.
        if no_new_privileges {
            restrict().and_then(|()| load())
        } else {
            load().and_then(|()| restrict())
        }
    }
}

impl Executor for CommandExecutor {
    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        let refuse =
            |text: String| ExecutorValidationError::ArgValidationError(format!("{MARK}{text}{MARK}"));
        let process = spec
            .process()
            .as_ref()
            .ok_or_else(|| refuse("no process in the spec".into()))?;
        let name = process
            .args()
            .as_ref()
            .and_then(|args| args.first())
            .ok_or_else(|| refuse("no command specified".into()))?;
        let env = process.env().as_deref().unwrap_or_default();
        let path = env
            .iter()
            .rev()
            .find_map(|entry| entry.strip_prefix("PATH="))
            .unwrap_or(DEFAULT_PATH);
        let found = find_command(name, path).map_err(|reason| refuse(format!("exec: {name:?}: {reason}")))?;
        *self.command.borrow_mut() = Some(found);
        if self.holds_signals {
            set_mask(libc::sigfillset);
        }
        Ok(())
    }

    fn setup_envs(&self, envs: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        // The environment goes to execve as the spec orders it; only HOME is taken from what libcontainer found out.
        *self.home.borrow_mut() = envs.get("HOME").cloned();
        Ok(())
    }

    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let process = spec.process().as_ref().ok_or(ExecutorError::InvalidArg)?;
        let c_string = |text: &str| CString::new(text).map_err(|_| ExecutorError::InvalidArg);
        let args: Vec<CString> = process
            .args()
            .iter()
            .flatten()
            .map(|arg| c_string(arg))
            .collect::<Result<_, _>>()?;
        let mut env: Vec<CString> = process
            .env()
            .iter()
            .flatten()
            .map(|entry| c_string(entry))
            .collect::<Result<_, _>>()?;
        let mut entries = process.env().iter().flatten();
        if !entries.any(|entry| entry.starts_with("HOME=")) {
            let home = self.home.borrow();
            env.push(c_string(&format!("HOME={}", home.as_deref().unwrap_or("/")))?);
        }
        let command = self.command.borrow().clone().ok_or(ExecutorError::InvalidArg)?;
        let path = CString::new(command.as_os_str().as_bytes()).map_err(|_| ExecutorError::InvalidArg)?;
        if !self.holds_signals {
            set_mask(libc::sigemptyset);
        }
        reset_handlers();
        if let Err(text) = self.confine(process.no_new_privileges().unwrap_or(false)) {
            report(&text);
            return Err(ExecutorError::Other(text));
        }

        let pointers = |list: &[CString]| -> Vec<*const libc::c_char> {
            list.iter()
                .map(|text| text.as_ptr())
                .chain([std::ptr::null()])
                .collect()
        };
        // SAFETY: both lists end with a null pointer and outlive the call.
        unsafe { libc::execve(path.as_ptr(), pointers(&args).as_ptr(), pointers(&env).as_ptr()) };
        let error = std::io::Error::last_os_error();
        let reason = describe(&error);
        report(&format!("exec {}: {reason}", command.display()));
        Err(ExecutorError::Other(format!(
            "{MARK}exec: {:?}: {reason}{MARK}",
            command.display().to_string()
        )))
    }
}

/// The container has been started when this is called: its own standard error is where the reader looks.
fn report(text: &str) {
    let line = format!("{text}\n");
    // SAFETY: the buffer has the length given.
    unsafe { libc::write(2, line.as_ptr().cast(), line.len()) };
}

/// Blocks the signals of the set that `fill` makes, and no others: the shim blocks some.
fn set_mask(fill: unsafe extern "C" fn(*mut libc::sigset_t) -> libc::c_int) {
    // SAFETY: plain signal calls in a single-threaded process.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        fill(&mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &set, std::ptr::null_mut());
    }
}

/// Gives the command the handlers that a fresh process has: Rust ignores SIGPIPE.
fn reset_handlers() {
    // SAFETY: plain signal calls in a single-threaded process.
    unsafe {
        // By the system call: the C library keeps two of the signals to itself.
        let default = [0u64; 4];
        for signal in 1..=64 {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), 0, 8);
        }
    }
}

fn find_command(name: &str, path: &str) -> Result<PathBuf, String> {
    if name.contains('/') {
        return executable(PathBuf::from(name)).map_err(|err| match err.raw_os_error() {
            Some(libc::ENOENT) => format!("stat {name}: no such file or directory"),
            _ => describe(&err),
        });
    }
    let mut denied = None;
    for directory in path.split(':') {
        let directory = if directory.is_empty() { "." } else { directory };
        match executable(PathBuf::from(directory).join(name)) {
            Ok(found) => return Ok(found),
            Err(err) if err.raw_os_error() == Some(libc::EACCES) => denied = Some(err),
            Err(_) => {}
        }
    }
    // As Docker: a file that is there and cannot be executed is passed over in the search.
    drop(denied);
    Err("executable file not found in $PATH".into())
}

fn executable(path: PathBuf) -> std::io::Result<PathBuf> {
    if std::fs::metadata(&path)?.is_dir() {
        return Err(std::io::Error::from_raw_os_error(libc::EISDIR));
    }
    let c_path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the path is a C string that outlives the call.
    if unsafe { libc::faccessat(libc::AT_FDCWD, c_path.as_ptr(), libc::X_OK, libc::AT_EACCESS) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(path)
}

fn describe(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOENT) => "no such file or directory".into(),
        Some(libc::EACCES) => "permission denied".into(),
        // Engines look for the latter words.
        Some(libc::EISDIR) => "is a directory: permission denied".into(),
        Some(libc::ENOEXEC) => "exec format error".into(),
        Some(libc::ENOTDIR) => "not a directory".into(),
        _ => error.to_string(),
    }
}
