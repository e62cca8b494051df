//! Random identifiers, and the names of containers that were given none.

use crate::error::{EngineError, ErrorCode, Result};

const LEFT: &[&str] = &[
    "agile", "amber", "ancient", "artful", "balmy", "blithe", "bold", "brave", "breezy", "bright", "brisk",
    "calm", "candid", "careful", "cheerful", "clever", "cosy", "crisp", "curious", "daring", "deft", "eager",
    "earnest", "fair", "fearless", "fleet", "fond", "frank", "gentle", "glad", "golden", "hardy", "hearty",
    "honest", "jolly", "keen", "kind", "lively", "loyal", "lucid", "mellow", "merry", "mighty", "modest",
    "neat", "nimble", "noble", "patient", "placid", "plucky", "polite", "proud", "quick", "quiet", "ready",
    "serene", "sharp", "silent", "silver", "sincere", "steady", "sturdy", "sunny", "swift", "tidy",
    "tranquil", "trusty", "upbeat", "valiant", "vivid", "warm", "wise", "witty", "zesty",
];

const RIGHT: &[&str] = &[
    "abel",
    "agnesi",
    "anning",
    "babbage",
    "bardeen",
    "bell",
    "bernoulli",
    "bohr",
    "boole",
    "cantor",
    "carson",
    "cavendish",
    "cerf",
    "chandrasekhar",
    "clarke",
    "curie",
    "darwin",
    "dijkstra",
    "dirac",
    "engelbart",
    "erdos",
    "euclid",
    "euler",
    "faraday",
    "fermat",
    "fermi",
    "feynman",
    "fourier",
    "franklin",
    "galileo",
    "gauss",
    "germain",
    "goodall",
    "hamilton",
    "hawking",
    "heisenberg",
    "hilbert",
    "hopper",
    "hubble",
    "hypatia",
    "joliot",
    "jones",
    "kepler",
    "khorana",
    "knuth",
    "kovalevskaya",
    "lamarr",
    "lamport",
    "leavitt",
    "liskov",
    "lovelace",
    "maxwell",
    "mcclintock",
    "meitner",
    "mendel",
    "mirzakhani",
    "noether",
    "nobel",
    "pascal",
    "pasteur",
    "perlman",
    "planck",
    "raman",
    "ride",
    "ritchie",
    "rubin",
    "shannon",
    "somerville",
    "tesla",
    "thompson",
    "torvalds",
    "turing",
    "volta",
    "wescoff",
    "wing",
    "wright",
    "wu",
    "yalow",
];

/// `bytes` random bytes as lower-case hex digits.
pub fn random_hex(bytes: usize) -> String {
    let mut raw = vec![0u8; bytes];
    getrandom::fill(&mut raw).expect("the kernel gives random bytes");
    hex(&raw)
}

fn hex(raw: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    raw.iter()
        .flat_map(|b| {
            [
                DIGITS[usize::from(b >> 4)] as char,
                DIGITS[usize::from(b & 15)] as char,
            ]
        })
        .collect()
}

/// A new identifier of 64 hex digits whose first twelve are not all decimal (a short id is never a number).
pub fn new_id() -> String {
    loop {
        let id = random_hex(32);
        if id[..12].bytes().any(|b| b.is_ascii_alphabetic()) {
            return id;
        }
    }
}

/// The short form of an id that people see.
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// A name such as `brave_curie`; later attempts get a digit at the end.
pub fn random_name(attempt: u32) -> String {
    let mut raw = [0u8; 8];
    getrandom::fill(&mut raw).expect("the kernel gives random bytes");
    let pick = |half: &[u8], words: &[&'static str]| {
        words[usize::from(u16::from_le_bytes([half[0], half[1]])) % words.len()]
    };
    let name = format!("{}_{}", pick(&raw[..2], LEFT), pick(&raw[2..4], RIGHT));
    if attempt < 3 {
        name
    } else {
        format!("{name}{}", u32::from(raw[4]) % 10 + attempt * 10)
    }
}

/// Refuses names that Docker refuses.
pub fn check_name(name: &str) -> Result<()> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
    if first && name.len() > 1 && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
    {
        return Ok(());
    }
    Err(EngineError::new(
        ErrorCode::InvalidName,
        format!("Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_and_ids_are_ids() {
        for attempt in 0..6 {
            check_name(&random_name(attempt)).unwrap();
        }
        assert_eq!(new_id().len(), 64);
        for bad in ["", "a", "-a", "a b", "a/b", "é1"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
