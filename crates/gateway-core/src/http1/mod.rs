//! HTTP/1.1 request syntax, pure: bytes in, values out.
//!
//! Pingora parses requests leniently. This module is the strict reading that comes before it: what RFC 9110 and RFC 9112 tell an intermediary to refuse is refused
//! here, so that everything behind it can be understood in one way only. No sockets, no Pingora.

pub mod chunked;
pub mod head;
mod refusal;
mod spelling;
mod target;

pub use refusal::Refusal;
pub use spelling::{collapsed, decoded, is_at_or_below};
pub use target::{Target, is_host};

/// Whether `byte` may stand in a token (RFC 9110 section 5.6.2): methods, field names, codings.
pub fn is_token_byte(byte: u8) -> bool {
    const TOKEN: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            let b = byte as u8;
            table[byte] = b.is_ascii_alphanumeric()
                || matches!(
                    b,
                    b'!' | b'#'
                        | b'$'
                        | b'%'
                        | b'&'
                        | b'\''
                        | b'*'
                        | b'+'
                        | b'-'
                        | b'.'
                        | b'^'
                        | b'_'
                        | b'`'
                        | b'|'
                        | b'~'
                );
            byte += 1;
        }
        table
    };
    TOKEN[usize::from(byte)]
}

/// Whether `value` is a non-empty token.
pub fn is_token(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().copied().all(is_token_byte)
}

/// Whether `value` may be a field value: visible characters, obs-text, blanks and tabs (RFC 9110 section 5.5).
pub fn is_field_value(value: &[u8]) -> bool {
    value.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

/// `value` without leading and trailing blanks and tabs (OWS, RFC 9110 section 5.6.3).
pub fn trim_ows(value: &[u8]) -> &[u8] {
    let is_ows = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|b| !is_ows(b)).unwrap_or(value.len());
    let end = value.iter().rposition(|b| !is_ows(b)).map_or(start, |last| last + 1);
    &value[start..end]
}

/// Path and query of a target, the latter without its `?`.
pub fn split_query(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'?', target) {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    }
}

/// The members of a comma list, trimmed, without empty ones (RFC 9110 section 5.6.1).
pub fn list_members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim_ows).filter(|member| !member.is_empty())
}
