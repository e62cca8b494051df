//! The wall clock in nanoseconds, and its text form.

use std::time::{SystemTime, UNIX_EPOCH};

const SECOND: u64 = 1_000_000_000;

/// Nanoseconds since the epoch.
pub fn now_nanos() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_nanos() as i64)
}

/// RFC 3339 in UTC with nine digits of a second, as Docker prints log times.
pub fn rfc3339_nano(nanos: i64) -> String {
    let seconds = nanos.div_euclid(1_000_000_000);
    let fraction = nanos.rem_euclid(1_000_000_000);
    let days = seconds.div_euclid(86_400);
    let of_day = seconds.rem_euclid(86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:09}Z")
}

/// Now in RFC 3339, with as many digits of a second as Go prints: none at its end is a zero.
pub fn now() -> String {
    as_go_prints(now_nanos())
}

fn as_go_prints(nanos: i64) -> String {
    let long = rfc3339_nano(nanos);
    let short = long
        .trim_end_matches('Z')
        .trim_end_matches('0')
        .trim_end_matches('.');
    format!("{short}Z")
}

/// A span of at least a millisecond as Go prints it: 200ms, 1.5s, 1m30s.
pub fn span(nanos: u64) -> String {
    let decimal = |value: u64, digits: usize| {
        let unit = 10u64.pow(digits as u32);
        let text = format!("{}.{:0digits$}", value / unit, value % unit);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    if nanos < SECOND {
        return format!("{}ms", decimal(nanos, 6));
    }
    let minutes = nanos / SECOND / 60;
    let seconds = decimal(nanos - minutes * 60 * SECOND, 9);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// Reads an RFC 3339 time; `None` if it is not one.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() < 20 || bytes[4] != b'-' || bytes[7] != b'-' || bytes[13] != b':' || bytes[16] != b':' {
        return None;
    }
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let days = days_from_civil(number(0..4)?, number(5..7)?, number(8..10)?);
    let seconds = days * 86_400 + number(11..13)? * 3600 + number(14..16)? * 60 + number(17..19)?;
    let mut rest = &text[19..];
    let mut fraction = 0i64;
    if let Some(after) = rest.strip_prefix('.') {
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 || digits > 9 {
            return None;
        }
        fraction = after[..digits].parse::<i64>().ok()? * 10i64.pow(9 - digits as u32);
        rest = &after[digits..];
    }
    let offset = match rest {
        "Z" | "z" => 0,
        _ => {
            let sign = if rest.starts_with('-') { -1 } else { 1 };
            let hours = rest.get(1..3)?.parse::<i64>().ok()?;
            let minutes = rest.get(4..6)?.parse::<i64>().ok()?;
            sign * (hours * 3600 + minutes * 60)
        }
    };
    Some((seconds - offset) * 1_000_000_000 + fraction)
}

// Days since the epoch to a date and back, proleptic Gregorian, by eras of 400 years starting in March.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_go_does() {
        assert_eq!(as_go_prints(0), "1970-01-01T00:00:00Z");
        assert_eq!(as_go_prints(951_782_400_120_000_000), "2000-02-29T00:00:00.12Z");
        assert_eq!(
            as_go_prints(1_767_225_599_000_000_001),
            "2025-12-31T23:59:59.000000001Z"
        );
    }

    #[test]
    fn spans_are_as_go_prints_them() {
        for (nanos, text) in [
            (1_000_000, "1ms"),
            (1_500_000, "1.5ms"),
            (200_000_000, "200ms"),
            (1_500_000_000, "1.5s"),
            (30 * SECOND, "30s"),
            (90 * SECOND, "1m30s"),
            (3600 * SECOND, "1h0m0s"),
            (3661 * SECOND + 1, "1h1m1.000000001s"),
        ] {
            assert_eq!(span(nanos), text);
        }
    }

    #[test]
    fn times_go_there_and_back() {
        for nanos in [
            0,
            1,
            951_782_400_000_000_000,
            1_795_555_555_123_456_789,
            4_102_444_799_999_999_999,
        ] {
            assert_eq!(parse_rfc3339(&rfc3339_nano(nanos)), Some(nanos));
        }
        assert_eq!(
            rfc3339_nano(1_709_210_096_000_000_007),
            "2024-02-29T12:34:56.000000007Z"
        );
        assert_eq!(
            parse_rfc3339("2024-02-29T14:34:56.5+02:00"),
            Some(1_709_210_096_500_000_000)
        );
        assert_eq!(parse_rfc3339("yesterday"), None);
    }
}
