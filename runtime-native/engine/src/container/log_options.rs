//! Where and how a container's output is logged, in Docker's options.

use creel_shim::protocol::{LogConfig, LogDriver};

use super::record::Definition;
use crate::error::{EngineError, Result};

/// Reads the log driver and its options; what makes no sense is refused.
pub fn read(definition: &Definition) -> Result<LogConfig> {
    let log = definition.spec.log.clone().unwrap_or_default();
    let driver = match log.driver.as_str() {
        "" | "json-file" | "local" => LogDriver::JsonFile,
        "none" => LogDriver::None,
        other => {
            let text = format!("logger: no log driver named '{other}' is registered");
            return Err(EngineError::invalid(text));
        }
    };
    let max_file = match log.options.get("max-file") {
        None => 1,
        Some(text) => text
            .parse()
            .ok()
            .filter(|n| *n > 0)
            .ok_or_else(|| EngineError::invalid(format!("invalid value for max-file: {text}")))?,
    };
    let max_size = log
        .options
        .get("max-size")
        .map_or(Ok(0), |text| parse_size(text))?;
    Ok(LogConfig {
        driver,
        path: (&definition.log_path).into(),
        max_size,
        max_file,
    })
}

fn parse_size(text: &str) -> Result<u64> {
    let invalid = || EngineError::invalid(format!("invalid value for max-size: {text}"));
    let lower = text.to_ascii_lowercase();
    if lower == "-1" {
        return Ok(0);
    }
    let lower = lower.trim_end_matches('b').trim_end_matches('i');
    let (digits, factor) = match lower.chars().last() {
        Some('k') => (&lower[..lower.len() - 1], 1u64 << 10),
        Some('m') => (&lower[..lower.len() - 1], 1 << 20),
        Some('g') => (&lower[..lower.len() - 1], 1 << 30),
        _ => (lower, 1),
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(factor))
        .ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, size) in [
            ("10", 10),
            ("1k", 1 << 10),
            ("2m", 2 << 20),
            ("3MiB", 3 << 20),
            ("1g", 1 << 30),
            ("-1", 0),
        ] {
            assert_eq!(parse_size(text).unwrap(), size, "{text}");
        }
        for bad in ["", "m", "x", "-2", "1t"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
