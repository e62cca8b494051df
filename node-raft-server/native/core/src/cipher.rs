//! Encryption at rest: XChaCha20-Poly1305, a random nonce before each sealed piece.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};

const NONCE: usize = 24;

/// Seals what goes to the disk, or hands it through where no key is set.
pub struct Cipher(Option<XChaCha20Poly1305>);

impl Cipher {
    /// A cipher with that key; without one nothing is encrypted.
    pub fn new(key: Option<&[u8; 32]>) -> Self {
        Cipher(key.map(|k| XChaCha20Poly1305::new(Key::from_slice(k))))
    }

    /// Whether there is a key.
    pub fn enabled(&self) -> bool {
        self.0.is_some()
    }

    /// Sealed bytes; `place` binds them to where they belong, so that none can be swapped for another.
    pub fn seal(&self, place: &[u8], plain: &[u8]) -> Vec<u8> {
        let Some(cipher) = &self.0 else {
            return plain.to_vec();
        };
        let mut out = vec![0; NONCE];
        getrandom::fill(&mut out).expect("the kernel gives random bytes");
        let sealed = cipher
            .encrypt(
                XNonce::from_slice(&out),
                Payload {
                    msg: plain,
                    aad: place,
                },
            )
            .expect("less than 256 GB");
        out.extend_from_slice(&sealed);
        out
    }

    /// What was sealed at that place; none if the key is another or the bytes were changed.
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let Some(cipher) = &self.0 else {
            return Some(sealed.to_vec());
        };
        let (nonce, body) = sealed.split_at_checked(NONCE)?;
        cipher
            .decrypt(
                XNonce::from_slice(nonce),
                Payload {
                    msg: body,
                    aad: place,
                },
            )
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binds_to_place_and_key() {
        let cipher = Cipher::new(Some(&[7; 32]));
        let sealed = cipher.seal(b"1", b"secret");
        assert!(!sealed.windows(6).any(|w| w == b"secret"));
        assert_eq!(cipher.open(b"1", &sealed).as_deref(), Some(&b"secret"[..]));
        assert_eq!(cipher.open(b"2", &sealed), None);
        assert_eq!(Cipher::new(Some(&[8; 32])).open(b"1", &sealed), None);
    }
}
