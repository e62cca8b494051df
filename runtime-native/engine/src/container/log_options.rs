//! Where and how a container's output is logged, in Docker's options.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use creel_shim::protocol::{LogConfig, LogDriver};
use regex::Regex;

use super::record::Definition;
use crate::error::{EngineError, Result};
use crate::ids;
use crate::logs::{Source, driver};

/// The container's log as it is written; what makes no sense is refused.
pub fn read(definition: &Definition) -> Result<LogConfig> {
    let log = definition.spec.log.clone().unwrap_or_default();
    let mut config = check(&log.driver, &log.options)?;
    config.path = (&definition.log_path).into();
    config.attributes = attributes(definition, &log.options)?;
    Ok(config)
}

/// The container's log as it is read; a driver that keeps nothing is refused.
pub fn source(definition: &Definition) -> Result<Source> {
    match driver::of(definition.spec.log.as_ref()) {
        LogDriver::None => {
            let text = "configured logging driver does not support reading";
            Err(EngineError::new(crate::error::ErrorCode::Unsupported, text))
        }
        driver => Ok(Source {
            path: (&definition.log_path).into(),
            driver,
        }),
    }
}

/// Reads a driver's options, but for those that are about one container.
pub fn check(name: &str, options: &HashMap<String, String>) -> Result<LogConfig> {
    let driver = driver::by_name(name)?;
    let common = ["mode", "max-buffer-size"];
    for key in options.keys() {
        if !driver::options(driver).contains(&key.as_str()) && !common.contains(&key.as_str()) {
            let text = format!("unknown log opt '{key}' for {name} log driver");
            return Err(EngineError::invalid(text));
        }
    }
    let local = driver == LogDriver::Local;
    let max_size = match options.get("max-size") {
        None if local => 20_000_000,
        None => 0,
        Some(text) => size(text, 1000)
            .ok_or_else(|| EngineError::invalid(format!("invalid value for max-size: {text}")))?,
    };
    let max_file = match options.get("max-file") {
        None if local => 5,
        None => 1,
        Some(text) => text
            .parse()
            .ok()
            .filter(|n| *n > 0)
            .ok_or_else(|| EngineError::invalid(format!("invalid value for max-file: {text}")))?,
    };
    let compress = match options.get("compress") {
        None => local && max_file > 1,
        Some(text) => boolean(text)
            .ok_or_else(|| EngineError::invalid(format!("invalid value for compress: {text}")))?,
    };
    if compress && (max_file < 2 || max_size == 0) {
        let text = "compress cannot be true when max-file is less than 2 or max-size is not set";
        return Err(EngineError::invalid(text));
    }
    Ok(LogConfig {
        driver,
        path: PathBuf::new(),
        max_size,
        max_file,
        compress,
        attributes: BTreeMap::new(),
        buffer: buffer(options)?,
    })
}

/// How much output may wait for the log; `None` where output waits for it.
fn buffer(options: &HashMap<String, String>) -> Result<Option<u64>> {
    let non_blocking = match options.get("mode").map_or("", String::as_str) {
        "" | "blocking" => false,
        "non-blocking" => true,
        other => {
            return Err(EngineError::invalid(format!(
                "logger: logging mode not supported: {other}"
            )));
        }
    };
    let Some(text) = options.get("max-buffer-size") else {
        return Ok(non_blocking.then_some(1 << 20));
    };
    if !non_blocking {
        let text = "logger: max-buffer-size option is only supported with 'mode=non-blocking'";
        return Err(EngineError::invalid(text));
    }
    let size = size(text, 1024).ok_or_else(|| {
        EngineError::invalid(format!(
            "error parsing option max-buffer-size: invalid size: '{text}'"
        ))
    })?;
    Ok(Some(size))
}

/// What each entry tells of the container: labels and variables that are asked for, and the tag.
fn attributes(
    definition: &Definition,
    options: &HashMap<String, String>,
) -> Result<BTreeMap<String, String>> {
    let mut attributes = BTreeMap::new();
    let variables: BTreeMap<String, String> = definition
        .merged
        .env
        .iter()
        .filter_map(|entry| entry.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let sources = [
        ("labels", "labels-regex", &definition.merged.labels),
        ("env", "env-regex", &variables),
    ];
    for (names, pattern, values) in sources {
        let names: Vec<_> = options.get(names).map_or("", String::as_str).split(',').collect();
        let pattern = match options.get(pattern) {
            Some(text) => Some(Regex::new(text).map_err(|error| {
                EngineError::invalid(format!("invalid value for {pattern}: {text}: {error}"))
            })?),
            None => None,
        };
        let wanted = |name: &str| {
            names.contains(&name) || pattern.as_ref().is_some_and(|pattern| pattern.is_match(name))
        };
        let found = values.iter().filter(|(name, _)| wanted(name));
        attributes.extend(found.map(|(name, value)| (name.clone(), value.clone())));
    }
    if let Some(tag) = options.get("tag").filter(|tag| !tag.is_empty()) {
        attributes.insert("tag".into(), expand(tag, definition)?);
    }
    Ok(attributes)
}

/// A tag with its placeholders filled in.
fn expand(tag: &str, definition: &Definition) -> Result<String> {
    let mut out = String::new();
    let mut rest = tag;
    while let Some((before, after)) = rest.split_once("{{") {
        let (field, after) = after
            .split_once("}}")
            .ok_or_else(|| EngineError::invalid(format!("invalid tag {tag}: a {{{{ has no }}}}")))?;
        let image = definition.image_id.trim_start_matches("sha256:");
        out.push_str(before);
        out.push_str(match field.trim() {
            ".ID" => ids::short(&definition.id),
            ".FullID" => &definition.id,
            ".Name" => &definition.name,
            ".ImageID" => ids::short(image),
            ".ImageFullID" => &definition.image_id,
            ".ImageName" => &definition.spec.image,
            ".DaemonName" => "creel",
            other => {
                let text = format!(
                    "invalid tag {tag}: there is no {other}; use .ID, .FullID, .Name, .ImageID, .ImageFullID, \
                     .ImageName or .DaemonName"
                );
                return Err(EngineError::invalid(text));
            }
        });
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A size with its unit, each `base` times the one before; -1 is none, which is 0.
fn size(text: &str, base: u64) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    if lower == "-1" {
        return Some(0);
    }
    let lower = lower.trim_end_matches('b').trim_end_matches('i');
    let (digits, power) = match lower.chars().last() {
        Some(unit @ ('k' | 'm' | 'g' | 't')) => {
            let power = "kmgt".find(unit).unwrap_or(0) as u32 + 1;
            (&lower[..lower.len() - 1], power)
        }
        _ => (lower, 0),
    };
    let number: f64 = digits.parse().ok().filter(|number: &f64| number.is_finite())?;
    let size = number * (base.checked_pow(power)? as f64);
    (size >= 1.0 && size < (1u64 << 62) as f64).then_some(size as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(driver: &str, options: &[(&str, &str)]) -> String {
        let options = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        check(driver, &options.collect()).unwrap_err().to_string()
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("10", 10),
            ("1k", 1000),
            ("2m", 2_000_000),
            ("1.5MiB", 1_500_000),
            ("1g", 1_000_000_000),
            ("-1", 0),
        ] {
            assert_eq!(size(text, 1000), Some(bytes), "{text}");
        }
        assert_eq!(size("4k", 1024), Some(4096));
        for bad in ["", "m", "x", "-2", "0", "nan", "inf", "9999999t"] {
            assert_eq!(size(bad, 1000), None, "{bad}");
        }
    }

    #[test]
    fn defaults_and_refusals() {
        let local = check("local", &HashMap::new()).unwrap();
        assert_eq!(
            (local.max_size, local.max_file, local.compress),
            (20_000_000, 5, true)
        );
        let json = check("json-file", &HashMap::new()).unwrap();
        assert_eq!((json.max_size, json.max_file, json.compress), (0, 1, false));
        for (driver, options, words) in [
            ("syslog", &[][..], "no log driver named 'syslog' is registered"),
            (
                "local",
                &[("labels", "a")],
                "unknown log opt 'labels' for local log driver",
            ),
            ("json-file", &[("max-file", "0")], "invalid value for max-file: 0"),
            ("json-file", &[("compress", "true")], "compress cannot be true"),
            (
                "json-file",
                &[("mode", "maybe")],
                "logging mode not supported: maybe",
            ),
            (
                "none",
                &[("max-buffer-size", "1m")],
                "only supported with 'mode=non-blocking'",
            ),
        ] {
            let text = refused(driver, options);
            assert!(text.contains(words), "{text}");
        }
    }
}
