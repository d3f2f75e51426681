//! Request targets and authorities (RFC 9112 section 3.2, RFC 3986).

use super::Refusal;
use crate::language::both;
use crate::reason::Reason;

/// Whether `byte` may stand in a request target as a client sends it.
///
/// RFC 3986's characters, and those that the URL standard leaves unescaped in queries (`{ } | \ ^ [ ]` and the
/// backtick), which browsers and Node.js send. Blanks, controls, non-ASCII, `"`, `<`, `>` and `#` are refused.
fn is_target_byte(byte: u8) -> bool {
    byte > b' ' && byte < 0x7f && !matches!(byte, b'"' | b'<' | b'>' | b'#')
}

/// The four forms of a request target that a gateway can meet.
#[derive(Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// `/path?query`
    Origin,
    /// `*`, for `OPTIONS` only
    Asterisk,
    /// `http://authority/path?query`
    Absolute {
        /// The authority, to be compared with `Host`.
        authority: &'a [u8],
        /// What is to be forwarded, from the first `/` on; empty or starting with `?` when there is none.
        path_and_query: &'a [u8],
    },
}

impl<'a> Target<'a> {
    /// Reads the target of a request with this method.
    ///
    /// # Errors
    /// 400 for a target with invalid characters, and for one in no form that a gateway serves.
    pub fn parse(method: &[u8], target: &'a [u8]) -> Result<Self, Refusal> {
        if !target.iter().copied().all(is_target_byte) {
            return Err(Refusal::bad(
                Reason::Target,
                both!(
                    "The request target has characters that a URI may not have; percent-encode them.",
                    "请求目标中含有 URI 不允许的字符；请用百分号编码。"
                ),
            ));
        }
        match target {
            [b'/', ..] => Ok(Self::Origin),
            b"*" if method == b"OPTIONS" => Ok(Self::Asterisk),
            _ => Self::parse_absolute(target).ok_or_else(|| {
                Refusal::bad(
                    Reason::Target,
                    both!(
                        "The request target must be a path that starts with '/', or an http(s) URI.",
                        "请求目标必须是以“/”开头的路径，或 http(s) URI。"
                    ),
                )
            }),
        }
    }

    fn parse_absolute(target: &'a [u8]) -> Option<Self> {
        let scheme_end = memchr::memmem::find(target, b"://")?;
        let scheme = &target[..scheme_end];
        if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
            return None;
        }
        let rest = &target[scheme_end + 3..];
        let authority_end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, path_and_query) = rest.split_at(authority_end);
        is_host(authority).then_some(Self::Absolute { authority, path_and_query })
    }
}

/// Whether `value` is a `uri-host [":" port]` with a non-empty host: a name, an IPv4 address, or `[IPv6]`.
pub fn is_host(value: &[u8]) -> bool {
    let (host, port) = match value {
        [b'[', rest @ ..] => match rest.iter().position(|&b| b == b']') {
            Some(end) => {
                let (address, after) = (&rest[..end], &rest[end + 1..]);
                let Ok(address) = std::str::from_utf8(address) else { return false };
                if address.parse::<std::net::Ipv6Addr>().is_err() {
                    return false;
                }
                match after {
                    [] => return true,
                    [b':', port @ ..] => (b"v6".as_slice(), port),
                    _ => return false,
                }
            }
            None => return false,
        },
        _ => match value.iter().position(|&b| b == b':') {
            Some(colon) => (&value[..colon], &value[colon + 1..]),
            None => (value, b"".as_slice()),
        },
    };
    let is_name_byte = |b: &u8| {
        b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'='
            )
    };
    !host.is_empty()
        && host.iter().all(is_name_byte)
        && port.iter().all(u8::is_ascii_digit)
        && (port.is_empty() || std::str::from_utf8(port).is_ok_and(|port| port.parse::<u16>().is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_an_optional_port() {
        for good in ["a", "a.example:80", "127.0.0.1:8088", "[::1]", "[::1]:443", "a:", "xn--bcher-kva.example"] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in
            ["", ":80", "a b", "a,b", "a/b", "a?b", "u@a", "a:b", "a:99999", "[::1", "[zz]", "[::1]x", "a:1:2", "::1"]
        {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn targets_come_in_three_forms() {
        assert_eq!(Target::parse(b"GET", b"/a?b={c|d}"), Ok(Target::Origin));
        assert_eq!(Target::parse(b"OPTIONS", b"*"), Ok(Target::Asterisk));
        assert_eq!(
            Target::parse(b"GET", b"HTTP://h:1/p?q"),
            Ok(Target::Absolute { authority: b"h:1", path_and_query: b"/p?q" })
        );
        for bad in
            ["*", "a", "", "http:/x", "ftp://h/", "http:///p", "http://u@h/", "/a b", "/\u{e9}", "/#f", "/\"", "/\0"]
        {
            assert!(Target::parse(b"GET", bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
