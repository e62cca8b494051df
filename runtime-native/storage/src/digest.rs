use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::{ErrorKind, StorageError};

/// A sha256 digest in its written form, `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

const PREFIX: &str = "sha256:";

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// A digest from its 64 hexadecimal digits alone.
    pub fn from_hex(hex: &str) -> Result<Self, StorageError> {
        format!("{PREFIX}{hex}").parse()
    }

    /// The 64 hexadecimal digits.
    pub fn hex(&self) -> &str {
        &self.0[PREFIX.len()..]
    }

    /// The first twelve hexadecimal digits, as people are shown them.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }

    /// The whole digest, `sha256:…`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = StorageError;

    fn from_str(text: &str) -> Result<Self, StorageError> {
        let valid = text.strip_prefix(PREFIX).is_some_and(|hex| {
            hex.len() == 64
                && hex
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        });
        if !valid {
            let text = format!("invalid digest {text:?}: expected sha256: and 64 hexadecimal digits");
            return Err(StorageError::new(ErrorKind::InvalidArgument, text));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Digest {
    type Error = StorageError;

    fn try_from(text: String) -> Result<Self, StorageError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A running sha256.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// A hasher that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes taken in.
    pub fn finish(self) -> Digest {
        use std::fmt::Write;
        let mut text = String::with_capacity(PREFIX.len() + 64);
        text.push_str(PREFIX);
        for byte in self.0.finalize() {
            let _ = write!(text, "{byte:02x}");
        }
        Digest(text)
    }
}

/// A reader that hashes and counts what passes through it; with an expected digest, the end of a stream with another
/// digest is an error instead of an end, so that whoever reads to the end has verified it.
pub struct DigestReader<R> {
    inner: R,
    hasher: Option<Hasher>,
    expected: Option<Digest>,
    seen: Option<Digest>,
    bytes: u64,
}

impl<R: Read> DigestReader<R> {
    /// Hashes `inner`, and verifies it when a digest is expected.
    pub fn new(inner: R, expected: Option<Digest>) -> Self {
        Self {
            inner,
            hasher: Some(Hasher::new()),
            expected,
            seen: None,
            bytes: 0,
        }
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The digest, once the stream has been read to its end.
    pub fn digest(&self) -> Option<&Digest> {
        self.seen.as_ref()
    }
}

impl<R: Read> Read for DigestReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        if n > 0 {
            self.bytes += n as u64;
            if let Some(hasher) = &mut self.hasher {
                hasher.update(&buffer[..n]);
            }
            return Ok(n);
        }
        if buffer.is_empty() {
            return Ok(0);
        }
        if let Some(hasher) = self.hasher.take() {
            self.seen = Some(hasher.finish());
        }
        match (&self.expected, &self.seen) {
            (Some(expected), Some(seen)) if expected != seen => {
                let text = format!("digest mismatch: expected {expected}, got {seen}");
                Err(io::Error::new(io::ErrorKind::InvalidData, text))
            }
            _ => Ok(0),
        }
    }
}

/// The chain id of a layer: its own diff id on the bottom, else the digest of its parent's chain id and its diff id.
pub fn chain_id(parent: Option<&Digest>, diff_id: &Digest) -> Digest {
    match parent {
        None => diff_id.clone(),
        Some(parent) => Digest::of(format!("{parent} {diff_id}").as_bytes()),
    }
}

/// The chain ids of a stack of layers, bottom first.
pub fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        let next = chain_id(chain.last(), diff_id);
        chain.push(next);
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_parsed_strictly() {
        assert!(Digest::of(b"").as_str().parse::<Digest>().is_ok());
        for bad in [
            "",
            "sha256:",
            "sha256:../..",
            "md5:00",
            &"a".repeat(64),
            &format!("sha256:{}", "G".repeat(64)),
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").hex(), hex);
    }

    #[test]
    fn reader_refuses_another_digest_at_the_end() {
        let mut out = Vec::new();
        assert!(
            DigestReader::new(&b"abc"[..], Some(Digest::of(b"abc")))
                .read_to_end(&mut out)
                .is_ok()
        );
        let error = DigestReader::new(&b"abd"[..], Some(Digest::of(b"abc")))
            .read_to_end(&mut out)
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
