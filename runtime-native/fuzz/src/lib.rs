//! Random input for tests of readers. Everything a case does follows from its seed.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

const SECONDS: u64 = 2;
/// No case of sound code takes this long.
const HUNG: Duration = Duration::from_secs(60);

/// Runs `case` for each kept seed and then for new ones, for two seconds or `CREEL_FUZZ_SECONDS`; with
/// `CREEL_FUZZ_SEED` for that seed alone. Says the seed of a case that panics, and ends the process at one that hangs.
pub fn run(kept: &[u64], case: impl Fn(&mut Rng)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let once = |seed: u64| {
        CURRENT.store(seed, Ordering::Relaxed);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| case(&mut Rng::new(seed)))) {
            eprintln!("CREEL_FUZZ_SEED={seed} fails again");
            resume_unwind(panic);
        }
    };
    watch();
    if let Some(seed) = number("CREEL_FUZZ_SEED") {
        return once(seed);
    }
    kept.iter().copied().for_each(once);
    let end = Instant::now() + Duration::from_secs(number("CREEL_FUZZ_SECONDS").unwrap_or(SECONDS));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let first = now.unwrap_or_default().as_nanos() as u64 >> 10;
    let mut cases = 0;
    while Instant::now() < end {
        once(first + cases);
        cases += 1;
    }
    eprintln!("{cases} cases from seed {first}");
}

static CURRENT: AtomicU64 = AtomicU64::new(0);

fn watch() {
    std::thread::spawn(|| {
        let (mut seed, mut since) = (CURRENT.load(Ordering::Relaxed), Instant::now());
        loop {
            std::thread::sleep(HUNG / 20);
            match CURRENT.load(Ordering::Relaxed) {
                same if same == seed && since.elapsed() > HUNG => {
                    eprintln!("CREEL_FUZZ_SEED={seed} hangs");
                    std::process::abort();
                }
                same if same == seed => {}
                other => (seed, since) = (other, Instant::now()),
            }
        }
    });
}

/// Numbers by chance, the same ones for the same seed.
#[derive(Debug)]
pub struct Rng(u64);

impl Rng {
    /// The numbers of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number (splitmix64).
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number less than `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.any() % end as u64) as usize
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

/// Damages bytes in a few places: bits, runs that go, come twice or are others, numbers at their limits.
pub fn bytes(rng: &mut Rng, data: &mut Vec<u8>) {
    const WORDS: [&[u8]; 8] = [
        b"\0",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"../",
        b"/",
        b"77777777777",
        b"\x80\0\0\0\xff\xff\xff\xff",
        b"-1",
        b"\n",
    ];
    for _ in 0..=rng.below(8) {
        if data.is_empty() {
            return;
        }
        let at = rng.below(data.len());
        let end = data.len().min(at + 1 + rng.below(600));
        match rng.below(6) {
            0 => data[at] ^= 1 << rng.below(8),
            1 => data[at] = rng.any() as u8,
            2 => drop(data.drain(at..end)),
            3 => data.truncate(at),
            4 => {
                let twice = data[at..end].to_vec();
                data.splice(at..at, twice);
            }
            _ => {
                let word = rng.pick(&WORDS);
                let end = data.len().min(at + word.len());
                data.splice(at..end, word.iter().copied());
            }
        }
    }
}

/// Damages a JSON value in a few places: other kinds, numbers and words at their limits, members that go or move.
pub fn json(rng: &mut Rng, value: &mut Value) {
    for _ in 0..=rng.below(4) {
        damage(rng, value);
    }
}

fn damage(rng: &mut Rng, value: &mut Value) {
    let deeper = !rng.once_in(6);
    match value {
        Value::Object(members) if deeper && !members.is_empty() => {
            let name = members
                .keys()
                .nth(rng.below(members.len()))
                .cloned()
                .unwrap_or_default();
            match rng.below(12) {
                0 => drop(members.remove(&name)),
                1 => {
                    let moved = members.get(&name).cloned().unwrap_or_default();
                    members.insert(format!("{name}s"), moved);
                }
                _ => members
                    .get_mut(&name)
                    .into_iter()
                    .for_each(|child| damage(rng, child)),
            }
        }
        Value::Array(list) if deeper && !list.is_empty() => {
            let at = rng.below(list.len());
            match rng.below(10) {
                0 => drop(list.remove(at)),
                1 => list.push(list[at].clone()),
                _ => damage(rng, &mut list[at]),
            }
        }
        _ => *value = strange(rng),
    }
}

fn strange(rng: &mut Rng) -> Value {
    const TEXTS: [&str; 12] = [
        "",
        "/",
        "..",
        "/../../..",
        "/proc/self/fd/9",
        "a\0b",
        "\u{feff}",
        "CAP_",
        "SCMP_ACT_ERRNO",
        "-1",
        "18446744073709551616",
        "%s%n",
    ];
    match rng.below(9) {
        0 => Value::Null,
        1 => Value::Bool(rng.once_in(2)),
        2 => Value::from(i64::MIN),
        3 => Value::from(u64::MAX >> rng.below(64)),
        4 => Value::from(-(rng.below(1 << 40) as i64)),
        5 => Value::from(1e300),
        6 => Value::from("x".repeat(rng.below(5000))),
        7 => (0..rng.below(80)).fold(Value::Array(Vec::new()), |inner, _| Value::Array(vec![inner])),
        _ => Value::from(*rng.pick(&TEXTS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_again() {
        let of = |seed| {
            let mut rng = Rng::new(seed);
            let mut data = vec![7; 2000];
            bytes(&mut rng, &mut data);
            let mut value = serde_json::json!({"a": [1, 2, {"b": "c"}], "d": null});
            json(&mut rng, &mut value);
            (data, value)
        };
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }
}
