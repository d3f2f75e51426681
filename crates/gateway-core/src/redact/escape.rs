//! What an escape is, in whatever syntax.

/// What stands at the beginning of some bytes.
pub(super) enum Escape {
    /// An escape of this length for a byte.
    Byte(usize, u8),
    /// The same for a character.
    Char(usize, char),
    /// The beginning of one that the end cuts off.
    Cut,
    /// None.
    None,
}

/// The number that these hexadecimal digits are, if they are some and nothing else.
pub(super) fn hex(digits: &[u8]) -> Option<u32> {
    let is_hex = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    is_hex.then(|| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()).flatten()
}
