//! The command line.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::container::log_options;
use crate::log_level;
use crate::logs::driver::Defaults;
use creel_runtime::user_namespace::IdMap;

use crate::runtimes::Runtimes;
use crate::user_namespaces;

/// How the engine is started.
#[derive(Debug, Clone)]
pub struct Config {
    pub data_root: PathBuf,
    pub exec_root: PathBuf,
    pub socket: PathBuf,
    pub cgroup_parent: String,
    pub log_level: tracing::Level,
    pub storage_driver: Option<String>,
    pub data_path_addr: Option<Ipv4Addr>,
    pub data_path_port: u16,
    pub pidfile: Option<PathBuf>,
    /// The program creel-shim; else the one beside the engine.
    pub shim: Option<PathBuf>,
    pub runtimes: Runtimes,
    /// Whether containers that do not say have an init of Creel's.
    pub init: bool,
    /// The log of containers that say nothing of theirs.
    pub log: Defaults,
    /// What the ids of containers are outside of their user namespaces; none: they have none of their own.
    pub userns_remap: Option<IdMap>,
}

/// What `--help` prints.
pub const HELP: &str = "\
creel-engine runs the containers of one node

Usage: creel-engine [OPTIONS]

      --data-root DIR         what must outlive a reboot (default /var/lib/creel)
      --exec-root DIR         what need not (default /run/creel)
      --socket PATH           where it listens (default EXEC-ROOT/engine.sock)
      --cgroup-parent PATH    the cgroup that holds those of containers (default /creel)
      --log-level LEVEL       error, warn, info, debug or trace (default info)
      --storage-driver NAME   overlay2, btrfs or vfs (default: the data root's, else btrfs on btrfs, else overlay2)
      --data-path-addr IP     this node's address for overlay networks (default: as told by Networks.SetDataPath)
      --data-path-port PORT   UDP port of overlay networks (default 4789)
      --pidfile PATH          where to write the process id
      --add-runtime NAME=PATH a further OCI runtime (may be given several times; runc and crun are found on the PATH)
      --default-runtime NAME  the one that makes containers which ask for none (default creel)
      --init                  containers that do not say otherwise have Creel's init as their first process
      --log-driver NAME       json-file (default), local or none
      --log-opt NAME=VALUE    an option of that driver (may be given several times)
      --shim PATH             the program creel-shim (default: the one beside creel-engine)
      --userns-remap USER     containers have users of their own: the subordinate ids of USER[:GROUP], or of default
      --version               print the version
  -h, --help                  print this
";

/// What the command line asks for.
pub enum Command {
    Run(Box<Config>),
    Help,
    Version,
}

/// Reads the command line; the error is a text for the person.
pub fn parse(mut arguments: lexopt::Parser) -> Result<Command, String> {
    let mut config = Config {
        data_root: "/var/lib/creel".into(),
        exec_root: "/run/creel".into(),
        socket: PathBuf::new(),
        cgroup_parent: "/creel".into(),
        log_level: tracing::Level::INFO,
        storage_driver: None,
        data_path_addr: None,
        data_path_port: 4789,
        pidfile: None,
        shim: None,
        runtimes: Runtimes::new(&[], "")?,
        init: false,
        log: Defaults {
            driver: "json-file".into(),
            options: BTreeMap::new(),
        },
        userns_remap: None,
    };
    let (mut added, mut default_runtime) = (Vec::new(), String::new());
    let mut next = || -> Result<Option<Command>, lexopt::Error> {
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("data-root") => config.data_root = arguments.value()?.into(),
                Long("exec-root") => config.exec_root = arguments.value()?.into(),
                Long("socket") => config.socket = arguments.value()?.into(),
                Long("cgroup-parent") => config.cgroup_parent = arguments.value()?.parse()?,
                Long("log-level") => {
                    let level: String = arguments.value()?.parse()?;
                    config.log_level = log_level::parse(&level).map_err(lexopt::Error::from)?;
                }
                Long("storage-driver") => {
                    let driver: String = arguments.value()?.parse()?;
                    config.storage_driver = (!driver.is_empty()).then_some(driver);
                }
                Long("data-path-addr") => {
                    let address: String = arguments.value()?.parse()?;
                    config.data_path_addr = match address.as_str() {
                        "" => None,
                        text => Some(text.parse().map_err(|_| {
                            lexopt::Error::from(format!("--data-path-addr '{text}' is not an IPv4 address"))
                        })?),
                    };
                }
                Long("data-path-port") => config.data_path_port = arguments.value()?.parse()?,
                Long("pidfile") => config.pidfile = Some(arguments.value()?.into()),
                Long("shim") => config.shim = Some(arguments.value()?.into()),
                Long("userns-remap") => {
                    let user: String = arguments.value()?.parse()?;
                    config.userns_remap = Some(user_namespaces::parse(&user).map_err(lexopt::Error::from)?);
                }
                Long("init") => config.init = true,
                Long("add-runtime") => added.push(arguments.value()?.parse::<String>()?),
                Long("default-runtime") => default_runtime = arguments.value()?.parse()?,
                Long("log-driver") => {
                    let driver: String = arguments.value()?.parse()?;
                    if !driver.is_empty() {
                        config.log.driver = driver;
                    }
                }
                Long("log-opt") => {
                    let text: String = arguments.value()?.parse()?;
                    let (name, value) = text
                        .split_once('=')
                        .ok_or_else(|| format!("invalid --log-opt {text:?}: use NAME=VALUE"))?;
                    config.log.options.insert(name.into(), value.into());
                }
                Long("version") => return Ok(Some(Command::Version)),
                Short('h') | Long("help") => return Ok(Some(Command::Help)),
                other => return Err(other.unexpected()),
            }
        }
        Ok(None)
    };
    if let Some(command) = next().map_err(|e| e.to_string())? {
        return Ok(command);
    }
    config.runtimes = Runtimes::new(&added, &default_runtime)?;
    let options = config.log.options.clone().into_iter().collect();
    log_options::check(&config.log.driver, &options).map_err(|e| e.to_string())?;
    for root in [&mut config.data_root, &mut config.exec_root] {
        *root = std::path::absolute(&*root).map_err(|e| format!("{}: {e}", root.display()))?;
    }
    if config.socket.as_os_str().is_empty() {
        config.socket = config.exec_root.join("engine.sock");
    }
    if !config.cgroup_parent.starts_with('/') {
        config.cgroup_parent.insert(0, '/');
    }
    Ok(Command::Run(Box::new(config)))
}
