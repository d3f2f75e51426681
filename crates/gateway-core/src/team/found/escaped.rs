//! Texts without the escapes that JSON may have of letters (`\u0061`, `\\u0061`), as far as they stand around such
//! escapes. A text that has none costs a search for it, and nothing is copied.

use memchr::memmem::Finder;
use once_cell::sync::Lazy;

/// What each escape of a letter has in it.
static ESCAPE: Lazy<Finder<'static>> = Lazy::new(|| Finder::new(b"\\u00"));
/// How many bytes are looked at in one go.
const WINDOW: usize = 16 * 1024;
/// How far apart escapes are that are looked at together.
const APART: usize = 512;
/// Most backslashes of one escape: JSON in JSON doubles them each time.
const MOST_BACKSLASHES: usize = 64;

/// Shows what stands around escapes without them, in pieces: whatever is no longer than `longest` is whole in one of them.
pub(super) fn around(text: &[u8], longest: usize, mut look: impl FnMut(&[u8])) {
    let (mut plain, mut at) = (Vec::new(), 0);
    while let Some(hit) = ESCAPE.find(&text[at..]).map(|hit| at + hit) {
        if escape(&text[hit..]).is_none() {
            at = hit + 1;
            continue;
        }
        // What stands before the first escape may be the beginning of what is looked for.
        at = hit.saturating_sub(longest);
        plain.clear();
        let (mut since, mut is_past) = (0, false);
        while at < text.len() && !(is_past && since > APART) {
            match escape(&text[at..]) {
                Some((byte, length)) => {
                    plain.push(byte);
                    (at, since) = (at + length, 0);
                }
                None => {
                    plain.push(text[at]);
                    (at, since) = (at + 1, since + 1);
                }
            }
            is_past |= at > hit;
            if plain.len() == WINDOW {
                look(&plain);
                // Something may go on behind it.
                plain.drain(..WINDOW - longest);
            }
        }
        look(&plain);
    }
}

/// The letter that an escape at the beginning of this text stands for, if tokens or Base64 may have it, and how long it is.
fn escape(text: &[u8]) -> Option<(u8, usize)> {
    let backslashes = text.iter().take(MOST_BACKSLASHES).take_while(|byte| **byte == b'\\').count();
    let digits = text.get(backslashes..)?.strip_prefix(b"u00").filter(|_| backslashes > 0)?.get(..2)?;
    let value = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    let is_of_tokens = value.is_ascii_alphanumeric() || b"_-+/=".contains(&value);
    (is_of_tokens && digits[0] != b'+').then_some((value, backslashes + 5))
}
