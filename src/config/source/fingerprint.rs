//! What tells keys apart where the keys themselves are not to be seen.

use sha2::{Digest, Sha256};
use std::fmt;

/// The beginning of the SHA-256 of a key: enough to tell keys apart, of no other use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyFingerprint([u8; 8]);

impl KeyFingerprint {
    /// Of this key.
    pub(crate) fn of(key: &[u8]) -> Self {
        Self::of_digest(&Sha256::digest(key).into())
    }

    /// Of the key with this SHA-256.
    pub(crate) fn of_digest(digest: &[u8; 32]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = *digest;
        Self([a, b, c, d, e, f, g, h])
    }
}

/// Sixteen hexadecimal digits.
impl fmt::Display for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}
