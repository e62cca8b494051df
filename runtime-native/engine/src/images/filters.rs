//! The filters of `docker images`.

use creel_image::ImageFilter;

use crate::clock::{now_nanos, parse_rfc3339};
use crate::error::{EngineError, ErrorCode, Result};
use crate::proto::Filter;

/// Reads filters; one that is unknown or has a value that makes no sense is refused.
pub fn parse(filters: &[Filter]) -> Result<ImageFilter> {
    let mut parsed = ImageFilter::default();
    for Filter { key, values } in filters {
        match key.as_str() {
            "reference" => parsed.references.extend(values.iter().cloned()),
            "label" => parsed.labels.extend(values.iter().cloned()),
            "before" => parsed.before.extend(values.iter().cloned()),
            "since" => parsed.since.extend(values.iter().cloned()),
            "dangling" => {
                for value in values {
                    parsed.dangling = Some(match value.to_ascii_lowercase().as_str() {
                        "true" | "1" | "t" => true,
                        "false" | "0" | "f" => false,
                        _ => return Err(invalid(&format!("dangling={value}"))),
                    });
                }
            }
            "until" => {
                for value in values {
                    parsed.until = Some(until(value).ok_or_else(|| invalid(&format!("until={value}")))?);
                }
            }
            other => return Err(invalid(other)),
        }
    }
    Ok(parsed)
}

fn invalid(filter: &str) -> EngineError {
    EngineError::new(ErrorCode::InvalidFilter, format!("invalid filter '{filter}'"))
}

/// A moment as RFC 3339, as seconds since the epoch, or as a time ago (`24h`, `1h30m`).
fn until(text: &str) -> Option<i64> {
    if let Some(nanos) = parse_rfc3339(text) {
        return Some(nanos / 1_000_000_000);
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return Some(seconds as i64);
    }
    let (mut ago, mut number) = (0i64, String::new());
    for letter in text.chars() {
        match letter {
            '0'..='9' | '.' => number.push(letter),
            'h' | 'm' | 's' => {
                let unit = match letter {
                    'h' => 3600.0,
                    'm' => 60.0,
                    _ => 1.0,
                };
                ago += (number.parse::<f64>().ok()? * unit) as i64;
                number.clear();
            }
            _ => return None,
        }
    }
    (number.is_empty() && ago > 0).then(|| now_nanos() / 1_000_000_000 - ago)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        assert_eq!(until("1970-01-01T00:01:00Z"), Some(60));
        assert_eq!(until("90"), Some(90));
        let now = now_nanos() / 1_000_000_000;
        assert!((now - until("1h30m").unwrap() - 5400).abs() <= 1);
        assert_eq!(until("soon"), None);
    }
}
