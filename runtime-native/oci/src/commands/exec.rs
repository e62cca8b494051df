use std::path::{Path, PathBuf};

use creel_runtime::oci::{Capabilities, Process, UserBuilder};
use creel_runtime::{ContainerFormat, NativeFormat, Stdio};
use lexopt::{Arg, Parser};

use super::create::{own_streams, write_pid};
use super::start::kept_spec;
use crate::cli::{self, Global};
use crate::console::Console;
use crate::helper::{self, in_child};
use crate::store::{self, Status, Store};
use crate::{Failure, Outcome, log, seal, spec_process};

/// The exit status for a process that could not begin.
const NOT_BEGUN: u8 = 255;

#[derive(Default)]
struct Options {
    id: String,
    command: Vec<String>,
    process: Option<PathBuf>,
    console_socket: Option<PathBuf>,
    pid_file: Option<PathBuf>,
    cwd: Option<PathBuf>,
    env: Vec<String>,
    user: Option<String>,
    groups: Vec<u32>,
    capabilities: Vec<String>,
    no_new_privileges: bool,
    terminal: bool,
    detach: bool,
    even_paused: bool,
    keep_fds: u32,
    label: Option<String>,
    apparmor: Option<String>,
    cgroup: Option<String>,
}

impl Options {
    fn parse(mut parser: Parser) -> Outcome<Self> {
        let mut options = Self::default();
        while let Some(argument) = parser.next().map_err(cli::said)? {
            match argument {
                Arg::Long("process") | Arg::Short('p') => options.process = Some(cli::path(&mut parser)?),
                Arg::Long("console-socket") => options.console_socket = Some(cli::path(&mut parser)?),
                Arg::Long("pid-file") => options.pid_file = Some(cli::path(&mut parser)?),
                Arg::Long("cwd") => options.cwd = given(cli::text(&mut parser)?).map(PathBuf::from),
                Arg::Long("env") | Arg::Short('e') => options.env.push(cli::text(&mut parser)?),
                Arg::Long("user") | Arg::Short('u') => options.user = given(cli::text(&mut parser)?),
                Arg::Long("additional-gids") | Arg::Short('g') => {
                    options.groups.push(cli::number(&mut parser, "additional-gids")?);
                }
                Arg::Long("cap") | Arg::Short('c') => options.capabilities.push(cli::text(&mut parser)?),
                Arg::Long("no-new-privs") => options.no_new_privileges = cli::flag(&mut parser)?,
                Arg::Long("tty") | Arg::Short('t') => options.terminal = cli::flag(&mut parser)?,
                Arg::Long("detach") | Arg::Short('d') => options.detach = cli::flag(&mut parser)?,
                Arg::Long("ignore-paused") => options.even_paused = cli::flag(&mut parser)?,
                Arg::Long("preserve-fds") => options.keep_fds = cli::number(&mut parser, "preserve-fds")?,
                Arg::Long("process-label") => options.label = given(cli::text(&mut parser)?),
                Arg::Long("apparmor") => options.apparmor = given(cli::text(&mut parser)?),
                Arg::Long("cgroup") => options.cgroup = below(&cli::text(&mut parser)?)?,
                Arg::Value(id) => {
                    options.id = id.into_string().map_err(|_| "the container id is not UTF-8")?;
                    // All that follows is the command's.
                    for word in parser.raw_args().map_err(cli::said)? {
                        options
                            .command
                            .push(word.into_string().map_err(|_| "the command is not UTF-8")?);
                    }
                    if options.command.first().is_some_and(|word| word == "--") {
                        options.command.remove(0);
                    }
                }
                other => return Err(cli::said(other.unexpected())),
            }
        }
        if options.id.is_empty() {
            return Err(cli::missing_id("exec"));
        }
        Ok(options)
    }

    /// The process: that of a file, whatever else was given, or the container's own with what was given here.
    fn process(&self, global: &Global, own: Process) -> Outcome<Process> {
        if let Some(path) = &self.process {
            let mut process = read(path).map_err(|reason| format!("{}: {reason}", path.display()))?;
            if process.capabilities().is_none() {
                process.set_capabilities(own.capabilities().clone());
            }
            spec_process::check(&mut process)?;
            return Ok(process);
        }
        if self.command.is_empty() {
            return Err(
                "exec: a command is missing (creel-runtime exec CONTAINER-ID COMMAND, or --process FILE)"
                    .into(),
            );
        }
        let mut process = own;
        process.set_args(Some(self.command.clone()));
        process.set_terminal(Some(self.terminal));
        if let Some(cwd) = &self.cwd {
            process.set_cwd(cwd.clone());
        }
        let mut env = process.env().clone().unwrap_or_default();
        env.extend(self.env.iter().cloned());
        process.set_env(Some(env));
        if self.no_new_privileges {
            process.set_no_new_privileges(Some(true));
        }
        if self.label.is_some() {
            process.set_selinux_label(self.label.clone());
        }
        if self.apparmor.is_some() {
            process.set_apparmor_profile(self.apparmor.clone());
        }
        self.set_user(&mut process)?;
        self.add_capabilities(global, &mut process);
        spec_process::check(&mut process)?;
        Ok(process)
    }

    fn set_user(&self, process: &mut Process) -> Outcome<()> {
        if self.user.is_none() && self.groups.is_empty() {
            return Ok(());
        }
        let (mut uid, mut gid) = (process.user().uid(), process.user().gid());
        if let Some(user) = &self.user {
            let number = |text: &str| {
                text.parse::<u32>()
                    .map_err(|_| format!("invalid user {user:?}: numbers, as UID or UID:GID"))
            };
            (uid, gid) = match user.split_once(':') {
                Some((uid, gid)) => (number(uid)?, number(gid)?),
                None => (number(user)?, gid),
            };
        }
        let mut groups = process.user().additional_gids().clone().unwrap_or_default();
        groups.extend(&self.groups);
        let user = UserBuilder::default()
            .uid(uid)
            .gid(gid)
            .additional_gids(groups)
            .build();
        process.set_user(user.map_err(|err| err.to_string())?);
        Ok(())
    }

    /// Those that this kernel does not have cannot be given, and that is a warning.
    fn add_capabilities(&self, global: &Global, process: &mut Process) {
        if self.capabilities.is_empty() {
            return;
        }
        let mut more = Capabilities::new();
        for name in &self.capabilities {
            match serde_json::from_value(serde_json::Value::from(name.to_ascii_uppercase())) {
                Ok(known) => drop(more.insert(known)),
                Err(_) => log::warning(global, &format!("unknown capability {name} is ignored")),
            }
        }
        let mut sets = process.capabilities().clone().unwrap_or_default();
        let with = |set: &Option<Capabilities>| {
            let mut set = set.clone().unwrap_or_default();
            set.extend(more.iter().copied());
            Some(set)
        };
        sets.set_bounding(with(sets.bounding()));
        sets.set_permitted(with(sets.permitted()));
        sets.set_effective(with(sets.effective()));
        process.set_capabilities(Some(sets));
    }
}

fn read(path: &Path) -> Outcome<Process> {
    let bytes = std::fs::read(path).map_err(|err| err.to_string())?;
    let mut value = serde_json::from_slice(&bytes).map_err(|err| err.to_string())?;
    spec_process::drop_unknown_capabilities(&mut value);
    serde_json::from_value(value).map_err(|err| err.to_string())
}

fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// A cgroup below the container's; none for the container's own.
fn below(text: &str) -> Outcome<Option<String>> {
    let path = text.trim_matches('/');
    if path.is_empty() {
        return Ok(None);
    }
    let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(':');
    if !path.split('/').all(plain) {
        return Err(format!(
            "invalid value {text:?} for --cgroup: a path below the container's cgroup that is in every hierarchy"
        ));
    }
    Ok(Some(path.to_owned()))
}

/// `exec`: one more process in a container that runs. Gives its exit status, unless it is detached.
pub fn run(global: &Global, arguments: Parser) -> Result<u8, Failure> {
    seal::seal()?;
    let options = Options::parse(arguments)?;
    execute(global, &options).map_err(|text| Failure {
        code: NOT_BEGUN,
        text,
    })
}

fn execute(global: &Global, options: &Options) -> Outcome<u8> {
    let store = Store::new(&global.root);
    let record = store.load(&options.id)?;
    match store.status(&record) {
        Status::Stopped => return Err("cannot exec in a stopped container".into()),
        Status::Paused if !options.even_paused => {
            return Err("cannot exec in a paused container (--ignore-paused lets it wait there)".into());
        }
        _ => {}
    }
    let own = kept_spec(&store, &record)?.process().clone().unwrap_or_default();
    let process = options.process(global, own)?;
    let terminal = process.terminal().unwrap_or(false);
    match (options.detach, terminal, &options.console_socket) {
        (true, true, None) => return Err("a detached process with a terminal needs --console-socket".into()),
        (_, false, Some(_)) => {
            return Err("--console-socket is given, but the process has no terminal (--tty)".into());
        }
        _ => {}
    }
    let file = store
        .directory(&record.id)
        .join(format!("exec-{}.json", std::process::id()));
    let text = serde_json::to_vec(&process).map_err(|err| err.to_string())?;
    store::replace(&file, &text)?;
    let mut console = None;
    let result = stdio(options, terminal, &store, &mut console).and_then(|stdio| {
        let mut made = store.made(&record);
        made.keep_fds = options.keep_fds;
        made.sub_cgroup.clone_from(&options.cgroup);
        in_child(|| {
            NativeFormat
                .exec(&made, &file, stdio)
                .map_err(|err| err.to_string())
        })
    });
    let _ = std::fs::remove_file(&file);
    let pid = result?;
    if let Some(path) = &options.pid_file {
        write_pid(path, pid)?;
    }
    if options.detach {
        return Ok(0);
    }
    match console {
        Some(console) => console.serve(pid),
        None => Ok(helper::wait_and_forward(pid) as u8),
    }
}

fn stdio(options: &Options, terminal: bool, store: &Store, console: &mut Option<Console>) -> Outcome<Stdio> {
    if !terminal {
        return own_streams();
    }
    if let Some(console_socket) = &options.console_socket {
        return Ok(Stdio::Terminal {
            console_socket: console_socket.clone(),
        });
    }
    let own = Console::prepare(&store.directory(&options.id))?;
    let console_socket = own.path().to_owned();
    *console = Some(own);
    Ok(Stdio::Terminal { console_socket })
}
