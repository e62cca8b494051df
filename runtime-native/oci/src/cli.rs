//! The command line: what stands before the command's name. Each command reads its own options.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser};

use crate::Outcome;

/// What holds for every command.
pub struct Global {
    /// The directory of all containers.
    pub root: PathBuf,
    pub log: Option<PathBuf>,
    pub log_json: bool,
    pub systemd_cgroup: bool,
}

/// A command's name and the arguments after it.
pub struct Command {
    pub name: String,
    pub arguments: Parser,
}

pub fn parse(mut parser: Parser) -> Outcome<(Global, Command)> {
    let mut global = Global {
        root: default_root(),
        log: None,
        log_json: false,
        systemd_cgroup: false,
    };
    while let Some(argument) = parser.next().map_err(said)? {
        match argument {
            Arg::Long("root") => global.root = path(&mut parser)?,
            Arg::Long("log") => global.log = Some(path(&mut parser)?),
            Arg::Long("log-format") => {
                global.log_json = match text(&mut parser)?.as_str() {
                    "json" => true,
                    "text" => false,
                    other => return Err(format!("unknown log format {other:?}: text or json")),
                }
            }
            Arg::Long("systemd-cgroup") => global.systemd_cgroup = flag(&mut parser)?,
            Arg::Long("rootless") => match text(&mut parser)?.as_str() {
                "true" | "false" | "auto" => {}
                other => {
                    return Err(format!(
                        "invalid value {other:?} for --rootless: true, false or auto"
                    ));
                }
            },
            Arg::Long("debug") => {
                flag(&mut parser)?;
            }
            Arg::Long("criu") => {
                text(&mut parser)?;
            }
            Arg::Long("help") | Arg::Short('h') => return Ok((global, builtin("help", parser))),
            Arg::Long("version") | Arg::Short('v') => return Ok((global, builtin("version", parser))),
            Arg::Value(name) => {
                let name = name.into_string().map_err(|_| "the command is not UTF-8")?;
                return Ok((
                    global,
                    Command {
                        name,
                        arguments: parser,
                    },
                ));
            }
            other => return Err(said(other.unexpected())),
        }
    }
    Ok((global, builtin("help", parser)))
}

fn builtin(name: &str, arguments: Parser) -> Command {
    Command {
        name: name.into(),
        arguments,
    }
}

fn default_root() -> PathBuf {
    // SAFETY: a plain call.
    match (unsafe { libc::geteuid() }, std::env::var_os("XDG_RUNTIME_DIR")) {
        (1.., Some(directory)) => PathBuf::from(directory).join("creel-runtime"),
        _ => PathBuf::from("/run/creel-runtime"),
    }
}

pub fn said(error: lexopt::Error) -> String {
    error.to_string()
}

/// The value of an option.
pub fn value(parser: &mut Parser) -> Outcome<OsString> {
    parser.value().map_err(said)
}

pub fn path(parser: &mut Parser) -> Outcome<PathBuf> {
    value(parser).map(PathBuf::from)
}

pub fn text(parser: &mut Parser) -> Outcome<String> {
    value(parser)?
        .into_string()
        .map_err(|value| format!("{} is not UTF-8", value.display()))
}

pub fn number<T: std::str::FromStr>(parser: &mut Parser, option: &str) -> Outcome<T> {
    let text = text(parser)?;
    text.parse()
        .map_err(|_| format!("invalid value {text:?} for --{option}: a number is needed"))
}

/// A size in bytes: a number, or one with a unit as `64m`. A negative one stands for no limit.
pub fn size(parser: &mut Parser, option: &str) -> Outcome<i64> {
    let text = text(parser)?;
    let lower = text.to_ascii_lowercase();
    let digits = lower
        .find(|c: char| !(c.is_ascii_digit() || c == '-'))
        .unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let unit = unit.trim_end_matches('b').trim_end_matches('i');
    let shift = match unit {
        "" => Some(0),
        "k" => Some(10),
        "m" => Some(20),
        "g" => Some(30),
        "t" => Some(40),
        "p" => Some(50),
        _ => None,
    };
    shift
        .and_then(|shift| number.parse::<i64>().ok()?.checked_mul(1 << shift))
        .ok_or_else(|| format!("invalid value {text:?} for --{option}: a size is needed, for example 64m"))
}

/// A switch: given alone, or as `--name=true` or `--name=false`.
pub fn flag(parser: &mut Parser) -> Outcome<bool> {
    match parser.optional_value() {
        None => Ok(true),
        Some(value) => match value.to_str() {
            Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            _ => Err(format!("invalid value {:?}: true or false", value.display())),
        },
    }
}

/// The one container id that a command takes.
pub fn only_id(command: &str, mut parser: Parser) -> Outcome<String> {
    let mut id = None;
    while let Some(argument) = parser.next().map_err(said)? {
        match argument {
            Arg::Value(value) if id.is_none() => id = value.into_string().ok(),
            other => return Err(said(other.unexpected())),
        }
    }
    id.ok_or_else(|| missing_id(command))
}

pub fn missing_id(command: &str) -> String {
    format!("{command}: a container id is missing (creel-runtime {command} CONTAINER-ID)")
}
