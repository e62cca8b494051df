use std::path::PathBuf;

use creel_runtime::oci::{Capabilities, Process, UserBuilder};
use creel_runtime::{ContainerFormat, NativeFormat, Stdio};
use lexopt::{Arg, Parser};

use super::create::{own_streams, write_pid};
use super::start::kept_spec;
use crate::cli::{self, Global};
use crate::console::Console;
use crate::helper::{self, in_child};
use crate::store::{self, Status, Store};
use crate::{Outcome, bundle, seal};

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
}

impl Options {
    fn parse(mut parser: Parser) -> Outcome<Self> {
        let mut options = Self::default();
        while let Some(argument) = parser.next().map_err(cli::said)? {
            match argument {
                Arg::Long("process") | Arg::Short('p') => options.process = Some(cli::path(&mut parser)?),
                Arg::Long("console-socket") => options.console_socket = Some(cli::path(&mut parser)?),
                Arg::Long("pid-file") => options.pid_file = Some(cli::path(&mut parser)?),
                Arg::Long("cwd") => options.cwd = Some(cli::path(&mut parser)?),
                Arg::Long("env") | Arg::Short('e') => options.env.push(cli::text(&mut parser)?),
                Arg::Long("user") | Arg::Short('u') => options.user = Some(cli::text(&mut parser)?),
                Arg::Long("additional-gids") | Arg::Short('g') => {
                    options.groups.push(cli::number(&mut parser, "additional-gids")?);
                }
                Arg::Long("cap") | Arg::Short('c') => options.capabilities.push(cli::text(&mut parser)?),
                Arg::Long("no-new-privs") => options.no_new_privileges = cli::flag(&mut parser)?,
                Arg::Long("tty") | Arg::Short('t') => options.terminal = cli::flag(&mut parser)?,
                Arg::Long("detach") | Arg::Short('d') => options.detach = cli::flag(&mut parser)?,
                Arg::Long("ignore-paused") => options.even_paused = cli::flag(&mut parser)?,
                Arg::Long("preserve-fds") => options.keep_fds = cli::number(&mut parser, "preserve-fds")?,
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
        if options.command.is_empty() && options.process.is_none() {
            return Err(
                "exec: a command is missing (creel-runtime exec CONTAINER-ID COMMAND, or --process FILE)"
                    .into(),
            );
        }
        Ok(options)
    }

    /// The process: that of a file, or the container's own with what was given here.
    fn process(&self, own: Process) -> Outcome<Process> {
        let mut process = match &self.process {
            Some(path) => {
                let failed = |reason: String| format!("{}: {reason}", path.display());
                let bytes = std::fs::read(path).map_err(|err| failed(err.to_string()))?;
                serde_json::from_slice(&bytes).map_err(|err| failed(err.to_string()))?
            }
            None => {
                let mut process = own;
                process.set_args(Some(self.command.clone()));
                process.set_terminal(Some(self.terminal));
                process
            }
        };
        if let Some(cwd) = &self.cwd {
            process.set_cwd(cwd.clone());
        }
        let mut env = process.env().clone().unwrap_or_default();
        env.extend(self.env.iter().cloned());
        process.set_env(Some(env));
        if self.terminal {
            process.set_terminal(Some(true));
        }
        if self.no_new_privileges {
            process.set_no_new_privileges(Some(true));
        }
        self.set_user(&mut process)?;
        self.add_capabilities(&mut process)?;
        bundle::check_process(&process)?;
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

    fn add_capabilities(&self, process: &mut Process) -> Outcome<()> {
        if self.capabilities.is_empty() {
            return Ok(());
        }
        let mut more = Capabilities::new();
        for name in &self.capabilities {
            let name = name.to_ascii_uppercase();
            let known = serde_json::from_value(serde_json::Value::from(name.clone()));
            more.insert(known.map_err(|_| format!("unknown capability {name}"))?);
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
        Ok(())
    }
}

/// `exec`: one more process in a container that runs. Gives its exit status, unless it is detached.
pub fn run(global: &Global, arguments: Parser) -> Outcome<u8> {
    seal::seal().map_err(|err| format!("seal the runtime's program: {err}"))?;
    let options = Options::parse(arguments)?;
    let store = Store::new(&global.root);
    let record = store.load(&options.id)?;
    match store.status(&record) {
        Status::Stopped => return Err("cannot exec in a stopped container".into()),
        Status::Paused if !options.even_paused => return Err("cannot exec in a paused container".into()),
        _ => {}
    }
    let own = kept_spec(&store, &record)?.process().clone().unwrap_or_default();
    let process = options.process(own)?;
    let terminal = process.terminal().unwrap_or(false);
    if options.detach && terminal && options.console_socket.is_none() {
        return Err("a detached process with a terminal needs --console-socket".into());
    }
    let file = store
        .directory(&record.id)
        .join(format!("exec-{}.json", std::process::id()));
    let text = serde_json::to_vec(&process).map_err(|err| err.to_string())?;
    store::replace(&file, &text)?;
    let mut console = None;
    let result = stdio(&options, terminal, &store, &mut console).and_then(|stdio| {
        let mut made = store.made(&record);
        made.keep_fds = options.keep_fds;
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
