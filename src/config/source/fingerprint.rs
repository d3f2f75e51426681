//! What tells keys apart where the keys themselves are not to be seen.

use sha2::{Digest, Sha256};
use std::fmt;

/// What the ids of client tokens begin with, and how many hexadecimal digits follow.
const ID: (&[u8], usize) = (b"tok_", 16);

/// The beginning of the SHA-256 of a key: enough to tell keys apart, of no other use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KeyFingerprint([u8; 8]);

impl KeyFingerprint {
    /// Of this key. Where the id of a client token, which is no secret, is sent as a key, it is not taken for that token's.
    pub(crate) fn of(key: &[u8]) -> Self {
        match is_id(key) {
            true => Self::of_digest(&Sha256::new().chain_update(key).chain_update(b"\0").finalize().into()),
            false => Self::of_digest(&Sha256::digest(key).into()),
        }
    }

    /// Of the client token with this id, whatever its text is.
    pub(crate) fn of_token(id: &str) -> Self {
        Self::of_digest(&Sha256::digest(id).into())
    }

    /// Of the key with this SHA-256.
    pub(crate) fn of_digest(digest: &[u8; 32]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = *digest;
        Self([a, b, c, d, e, f, g, h])
    }
}

fn is_id(key: &[u8]) -> bool {
    key.strip_prefix(ID.0).is_some_and(|digits| digits.len() == ID.1 && digits.iter().all(u8::is_ascii_hexdigit))
}

/// Sixteen hexadecimal digits.
impl fmt::Display for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sends_the_id_of_a_token_as_a_key_is_not_its_holder() {
        let id = "tok_8c1f0a2b6d3e4f5a";
        assert_ne!(KeyFingerprint::of(id.as_bytes()), KeyFingerprint::of_token(id));
        // Fields of a head have no NUL: no other key gives the same.
        for key in ["sk-ant-1", "tok_8c1f0a2b6d3e4f5", "tok_8c1f0a2b6d3e4f5g"] {
            assert_eq!(KeyFingerprint::of(key.as_bytes()), KeyFingerprint::of_digest(&Sha256::digest(key).into()));
        }
    }
}
