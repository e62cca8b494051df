//! Times as images write them.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat};

/// Seconds since 1970 and nanoseconds, now.
pub(crate) fn now() -> (u64, u32) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now.as_secs(), now.subsec_nanos())
}

/// RFC 3339 in UTC.
pub(crate) fn format((seconds, nanos): (u64, u32)) -> String {
    let time = DateTime::from_timestamp(seconds as i64, nanos).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Seconds since 1970 and nanoseconds of an RFC 3339 time.
pub(crate) fn parse(text: &str) -> Option<(i64, u32)> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some((time.timestamp(), time.timestamp_subsec_nanos()))
}
