//! Properties of a unit: from the limits that its cgroup has, and from a spec's annotations.

use std::collections::HashMap;

use creel_runtime::cgroup::Cgroup;

use super::message::Value;
use crate::Outcome;

const PREFIX: &str = "org.systemd.property.";
const MICROSECONDS: u64 = 1_000_000;
/// The files of a cgroup that hold one number, and the properties that stand for them: those of v2, and behind them those
/// that v1 has by other names.
const NUMBERS: [(&str, &str); 7] = [
    ("memory.max", "MemoryMax"),
    ("memory.low", "MemoryLow"),
    ("memory.swap.max", "MemorySwapMax"),
    ("pids.max", "TasksMax"),
    ("cpu.weight", "CPUWeight"),
    ("memory.limit_in_bytes", "MemoryLimit"),
    ("cpu.shares", "CPUShares"),
];
/// On v1 systemd sets none of these.
const SETS: [(&str, &str); 2] = [
    ("cpuset.cpus", "AllowedCPUs"),
    ("cpuset.mems", "AllowedMemoryNodes"),
];
/// No limit of memory: v1 says the largest number of pages, in bytes.
const UNLIMITED: u64 = 1 << 62;

/// The limits of a cgroup in systemd's terms, and on v1 the devices that it allows.
pub fn of_cgroup(cgroup: &Cgroup) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (file, property) in NUMBERS {
        if let Some(number) = cgroup.read(file).as_deref().and_then(number) {
            all.push((property.to_owned(), Value::U64(number)));
        }
    }
    let on_v1 = || {
        let [quota, period] = ["quota", "period"].map(|name| cgroup.read(&format!("cpu.cfs_{name}_us")));
        Some(format!("{} {}", quota?.trim().replace("-1", "max"), period?))
    };
    let quota_and_period = cgroup.read("cpu.max").or_else(on_v1);
    if let Some((quota, period)) = quota_and_period.as_deref().and_then(quota) {
        all.push(("CPUQuotaPerSecUSec".to_owned(), Value::U64(quota)));
        all.push(("CPUQuotaPeriodUSec".to_owned(), Value::U64(period)));
    }
    let weight = |file: &str| {
        let text = cgroup.read_unified(file)?;
        number(text.strip_prefix("default ")?.lines().next()?)
    };
    if let Some(weight) = weight("io.bfq.weight")
        .map(of_bfq)
        .or_else(|| weight("io.weight"))
    {
        all.push(("IOWeight".to_owned(), Value::U64(weight)));
    }
    for (file, property) in SETS {
        if let Some(bits) = cgroup.read_unified(file).as_deref().and_then(bits) {
            all.push((property.to_owned(), Value::Bytes(bits)));
        }
    }
    all.extend(
        cgroup
            .read("devices.list")
            .as_deref()
            .and_then(devices)
            .into_iter()
            .flatten(),
    );
    all
}

/// The devices of a v1 cgroup; none where it allows all. On v2 it has a program, which systemd leaves alone.
fn devices(list: &str) -> Option<[(String, Value); 2]> {
    let allowed = || list.lines().filter_map(device).collect();
    (!list.starts_with("a ")).then(|| {
        [
            ("DevicePolicy".to_owned(), Value::Text("strict".to_owned())),
            ("DeviceAllow".to_owned(), Value::Pairs(allowed())),
        ]
    })
}

/// A line like `c 1:3 rwm`. What systemd has no words for, a minor number of any major, is left out.
fn device(line: &str) -> Option<(String, String)> {
    let mut fields = line.split(' ');
    let kind = match fields.next()? {
        "b" => "block",
        "c" => "char",
        _ => return None,
    };
    let path = match fields.next()?.split_once(':')? {
        (major, "*") => format!("{kind}-{major}"),
        ("*", _) => return None,
        (major, minor) => format!("/dev/{kind}/{major}:{minor}"),
    };
    Some((path, fields.next()?.to_owned()))
}

/// A number, or `max`, which systemd writes as the largest.
fn number(text: &str) -> Option<u64> {
    match text.trim() {
        "max" => Some(u64::MAX),
        text => text.parse().ok().map(|number| match number {
            UNLIMITED.. => u64::MAX,
            number => number,
        }),
    }
}

/// The weight that systemd makes this one of bfq's of: it leaves 1 to 100 as they are, and has 10000 for 1000.
fn of_bfq(weight: u64) -> u64 {
    weight.min(100) + 11 * weight.saturating_sub(100)
}

/// `cpu.max` as the time in a second that systemd knows, in steps of 10 ms, and the period.
fn quota(text: &str) -> Option<(u64, u64)> {
    let (quota, period) = text.trim().split_once(' ')?;
    let period: u64 = period.parse().ok().filter(|period| *period > 0)?;
    let quota = match number(quota)? {
        u64::MAX => u64::MAX,
        quota => (quota.checked_mul(MICROSECONDS)? / period).next_multiple_of(10_000),
    };
    Some((quota, period))
}

/// A list like `0-3,7` as bits, the lowest first; none where it is empty.
fn bits(list: &str) -> Option<Vec<u8>> {
    let mut bits = Vec::new();
    for range in list.trim().split(',').filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        for at in first..=last.min(1 << 16) {
            if bits.len() <= at / 8 {
                bits.resize(at / 8 + 1, 0);
            }
            bits[at / 8] |= 1 << (at % 8);
        }
    }
    (!bits.is_empty()).then_some(bits)
}

/// The properties that annotations `org.systemd.property.NAME` ask for; values are text forms of GLib's variants.
pub fn of_annotations(annotations: &HashMap<String, String>) -> Outcome<Vec<(String, Value)>> {
    let mut all = Vec::new();
    for (annotation, text) in annotations {
        let Some(name) = annotation.strip_prefix(PREFIX) else {
            continue;
        };
        let bad = || format!("invalid spec: annotation {annotation}: {text:?} is not a value of a property");
        if name.len() < 3 || !name.chars().all(|c| c.is_ascii_alphabetic()) {
            return Err(format!(
                "invalid spec: annotation {annotation}: {name:?} is not the name of a property"
            ));
        }
        let value = value(text).ok_or_else(bad)?;
        all.push(match (name.strip_suffix("Sec"), value) {
            // Over D-Bus systemd counts microseconds.
            (Some(stem), Value::I32(seconds)) if !name.ends_with("USec") => {
                let seconds = u64::try_from(seconds).map_err(|_| bad())?;
                (format!("{stem}USec"), Value::U64(seconds * MICROSECONDS))
            }
            (Some(stem), Value::U64(seconds)) if !name.ends_with("USec") => {
                let time = seconds.checked_mul(MICROSECONDS).ok_or_else(bad)?;
                (format!("{stem}USec"), Value::U64(time))
            }
            (_, value) => (name.to_owned(), value),
        });
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(all)
}

fn value(text: &str) -> Option<Value> {
    let text = text.trim();
    for quote in ['\'', '"'] {
        if let Some(inner) = text.strip_prefix(quote) {
            let inner = inner.strip_suffix(quote)?;
            return (!inner.contains([quote, '\\'])).then(|| Value::Text(inner.to_owned()));
        }
    }
    Some(match text.split_once(' ') {
        Some(("int32", number)) => Value::I32(number.trim().parse().ok()?),
        Some(("uint32", number)) => Value::U32(number.trim().parse().ok()?),
        Some(("int64", number)) => Value::I64(number.trim().parse().ok()?),
        Some(("uint64", number)) => Value::U64(number.trim().parse().ok()?),
        Some(_) => return None,
        None if text == "true" || text == "false" => Value::Bool(text == "true"),
        None => Value::I32(text.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_cgroup_are_properties() {
        assert_eq!(number("max\n"), Some(u64::MAX));
        assert_eq!(number("67108864\n"), Some(67_108_864));
        assert_eq!(quota("50000 100000\n"), Some((500_000, 100_000)));
        assert_eq!(quota("33333 100000"), Some((340_000, 100_000)));
        assert_eq!(quota("max 100000"), Some((u64::MAX, 100_000)));
        assert_eq!([1, 100, 500, 1000].map(of_bfq), [1, 100, 4500, 10_000]);
        assert_eq!(bits("0-2,9"), Some(vec![0b111, 0b10]));
        assert_eq!(bits("\n"), None);
        assert_eq!(number("9223372036854771712\n"), Some(u64::MAX));
    }

    #[test]
    fn devices_are_named_as_systemd_names_them() {
        let named = |line: &str| device(line).map(|(path, access)| format!("{path} {access}"));
        for (line, expected) in [
            ("c 1:3 rwm", Some("/dev/char/1:3 rwm")),
            ("b 254:0 r", Some("/dev/block/254:0 r")),
            ("c 136:* rwm", Some("char-136 rwm")),
            ("b *:* m", Some("block-* m")),
            ("c *:5 rw", None),
        ] {
            assert_eq!(named(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn annotations_are_properties() {
        let of = |name: &str, text: &str| {
            let annotations = HashMap::from([(format!("{PREFIX}{name}"), text.to_owned())]);
            of_annotations(&annotations).map(|mut all| all.remove(0))
        };
        let is = |name: &str, value| Ok((name.to_owned(), value));
        assert_eq!(
            of("TimeoutStopUSec", "uint64 123"),
            is("TimeoutStopUSec", Value::U64(123))
        );
        assert_eq!(
            of("TimeoutStopSec", "2"),
            is("TimeoutStopUSec", Value::U64(2_000_000))
        );
        assert_eq!(
            of("CollectMode", "'inactive'"),
            is("CollectMode", Value::Text("inactive".into()))
        );
        assert_eq!(of("SendSIGHUP", "true"), is("SendSIGHUP", Value::Bool(true)));
        assert_eq!(of("KillSignal", "15"), is("KillSignal", Value::I32(15)));
        for (name, text) in [
            ("X", "1"),
            ("After-", "1"),
            ("After", "['a']"),
            ("After", "'a"),
            ("TimeoutSec", "-1"),
        ] {
            assert!(of(name, text).is_err(), "{name} {text}");
        }
        assert_eq!(
            of_annotations(&HashMap::from([("other".into(), "x".into())])),
            Ok(vec![])
        );
    }
}
