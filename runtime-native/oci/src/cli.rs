//! The command line: what stands before the command's name. Each command reads its own options.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

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
            Arg::Long("root") => match path(&mut parser)? {
                none if none.as_os_str().is_empty() => {}
                root => global.root = absolute(root)?,
            },
            Arg::Long("log") => global.log = Some(absolute(path(&mut parser)?)?),
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

/// A path that means the same in any directory.
pub fn absolute(path: PathBuf) -> Outcome<PathBuf> {
    std::path::absolute(&path).map_err(|err| format!("{}: {err}", path.display()))
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

/// A size in bytes: a number, or one with a unit as `64m` or `1.5g`. A negative one stands for no limit.
pub fn size(text: &str, option: &str) -> Outcome<i64> {
    let number = text.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-'));
    let (number, unit) = (
        &text[..text.len() - number.len()],
        number.trim_start().to_ascii_lowercase(),
    );
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let factor = match unit.strip_suffix('i').unwrap_or(unit) {
        "" => Some(1u64),
        "k" => Some(1 << 10),
        "m" => Some(1 << 20),
        "g" => Some(1 << 30),
        "t" => Some(1 << 40),
        "p" => Some(1 << 50),
        _ => None,
    };
    let bytes = factor.and_then(|factor| {
        let whole = number.parse::<i64>().ok();
        let whole = whole.and_then(|whole| whole.checked_mul(factor as i64));
        let part = |number: f64| number * factor as f64;
        whole.or_else(|| {
            let bytes = part(number.parse::<f64>().ok().filter(|number| *number >= 0.0)?);
            (bytes < i64::MAX as f64 && number.contains('.')).then_some(bytes as i64)
        })
    });
    bytes.ok_or_else(|| format!("invalid value {text:?} for --{option}: a size is needed, for example 64m"))
}

/// A length of time as Go writes it: `500ms`, `1.5s`, `1m30s`; a number alone means seconds.
pub fn duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 7] = [
        ("ns", 1e-9),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("ms", 1e-3),
        ("h", 3600.0),
        ("m", 60.0),
        ("s", 1.0),
    ];
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let (mut rest, mut seconds) = (text, 0.0);
    while !rest.is_empty() {
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let number = rest[..rest.len() - after.len()].parse::<f64>().ok()?;
        let (unit, factor) = UNITS.iter().find(|(unit, _)| after.starts_with(unit))?;
        seconds += number * factor;
        rest = &after[unit.len()..];
    }
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|_| !text.is_empty())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_and_fractions() {
        for (text, bytes) in [
            ("67108864", 64 << 20),
            ("64m", 64 << 20),
            ("64MiB", 64 << 20),
            ("1.5g", 3 << 29),
            (".5k", 512),
            ("1 g", 1 << 30),
            ("-1", -1),
        ] {
            assert_eq!(size(text, "memory"), Ok(bytes), "{text}");
        }
        for text in [
            "x",
            "1e9",
            "64mm",
            "1.5.5g",
            "100000000000000000000",
            "-0.5m",
            "m",
            "+1",
        ] {
            assert!(size(text, "memory").is_err(), "{text}");
        }
    }

    #[test]
    fn lengths_of_time_are_as_in_go() {
        for (text, millis) in [
            ("500ms", 500),
            ("1.5s", 1500),
            ("1m30s", 90_000),
            ("1h", 3_600_000),
            ("5", 5000),
            ("2000us", 2),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "x", "5x", "s", "-1s", "1e9s", "1.2.3s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
