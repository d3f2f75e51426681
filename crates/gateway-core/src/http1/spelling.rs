//! The spellings of a path: what servers that are more lenient than others take for the same one.

use std::borrow::Cow;

/// Whether some server may take `path` for `place` or something below it: whatever the case, the percent-encoding (of
/// encodings too), backslashes, empty segments, segments of dots, parameters behind a semicolon, and what some end a path
/// with. `place` is a list of segments in lower case.
pub fn is_at_or_below(path: &[u8], place: &[&str]) -> bool {
    match is_plain(path) {
        true => begins_with(path.split(|&byte| byte == b'/').skip(1), place),
        false => leads_through(&decoded(path), place),
    }
}

/// A path whose repeated slashes are one each: who puts a path behind a base URL that ends with a slash means no other.
pub fn collapsed(path: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memmem::find(path, b"//").is_none() {
        return Cow::Borrowed(path);
    }
    let mut single = path.to_vec();
    single.dedup_by(|byte, before| *byte == b'/' && *before == b'/');
    Cow::Owned(single)
}

/// A text behind all its percent-encodings, however deep they are, and other ways to write ASCII that some servers know.
pub fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if text.is_ascii() && memchr::memchr(b'%', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    for &byte in text {
        decoded.push(byte);
        // What comes out may be the end of another one.
        while let Some((length, byte)) = coded_at_end(&decoded) {
            decoded.truncate(decoded.len() - length);
            decoded.push(byte);
        }
    }
    Cow::Owned(decoded)
}

/// The byte that the end of a text stands for, and the length of that end.
fn coded_at_end(text: &[u8]) -> Option<(usize, u8)> {
    match *text {
        [.., b'%', high, low] => hex(&[high, low]).map(|byte| (3, byte as u8)),
        // IIS.
        [.., b'%', b'u' | b'U', a, b, c, d] => ascii(hex(&[a, b, c, d])?).map(|byte| (6, byte)),
        // UTF-8 that is longer than it has to be, which careless decoders take; and the wide forms of ASCII.
        [.., 0xf0, 0x80, b @ 0x80..=0x81, a @ 0x80..=0xbf] => Some((4, tail(b, a))),
        [.., 0xe0, b @ 0x80..=0x81, a @ 0x80..=0xbf] => Some((3, tail(b, a))),
        [.., b @ 0xc0..=0xc1, a @ 0x80..=0xbf] => Some((2, tail(b, a))),
        [.., 0xef, b @ 0xbc..=0xbd, a @ 0x80..=0xbf] => {
            ascii(0xf000 | u32::from(b & 0x3f) << 6 | u32::from(a & 0x3f)).map(|byte| (3, byte))
        }
        _ => None,
    }
}

/// The last bits of a character.
fn tail(before: u8, last: u8) -> u8 {
    (before & 1) << 6 | last & 0x3f
}

/// What a character is to those who know no others.
fn ascii(character: u32) -> Option<u8> {
    match character {
        0..0x80 => Some(character as u8),
        0xff01..=0xff5e => Some((character - 0xff01 + 0x21) as u8),
        _ => None,
    }
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, &digit| Some(value << 4 | char::from(digit).to_digit(16)?))
}

/// Whether there is but one way to read this path.
fn is_plain(path: &[u8]) -> bool {
    let is_odd = |byte: &u8| matches!(byte, b'%' | b'\\' | b';') || !byte.is_ascii_graphic();
    !path.iter().any(is_odd) && !path.windows(2).any(|pair| pair[0] == b'/' && matches!(pair[1], b'/' | b'.'))
}

fn begins_with<'p>(mut path: impl Iterator<Item = &'p [u8]>, place: &[&str]) -> bool {
    place.iter().all(|segment| path.next().is_some_and(|given| given.eq_ignore_ascii_case(segment.as_bytes())))
}

/// Whether a walk along this path comes to the place: it may go on from there, but not for those who take no dots, or who
/// end the path before.
fn leads_through(path: &[u8], place: &[&str]) -> bool {
    let mut at: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| matches!(byte, b'/' | b'\\')) {
        // Some end a text there, and blanks around it are nothing to others.
        let is_end = |byte: &u8| matches!(byte, b';' | b'?' | b'#') || byte.is_ascii_control();
        let segment = segment.trim_ascii();
        let end = segment.iter().position(is_end).unwrap_or(segment.len());
        match segment[..end].trim_ascii() {
            b"" | b"." => {}
            b".." => drop(at.pop()),
            other => at.push(other),
        }
        if begins_with(at.iter().copied(), place) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_api(path: &str) -> bool {
        is_at_or_below(path.as_bytes(), &["api", "admin"])
    }

    #[test]
    fn every_spelling_of_a_place_is_that_place() {
        for path in [
            "/api/admin",
            "/api/admin/",
            "/api/admin/config",
            "/API/Admin/config",
            "/api//admin/config",
            "//api/admin",
            "/api/./admin",
            "/x/../api/admin/config",
            "/api/x/../admin",
            "/../api/admin",
            "/%61pi/admin",
            "/api%2Fadmin/config",
            "/api%2fadmin",
            "/%2561pi/admin",
            "/%252561pi/admin",
            "/x/%2e%2e/api/admin",
            "/api\\admin",
            "/api%5Cadmin",
            "/api;x=1/admin",
            "/api/admin;jsessionid=1",
            "/api/admin%00",
            "/api/admin%20/config",
            "/x/..;/api/admin",
            "/api/admin%3fx",
            "/api/admin%23/x",
            "/x%3f/../api/admin",
            "/api/admin%3f/../..",
            "/api/admin%0d%0aX-Field:%201",
            "/%0aapi/admin",
            "/%252525252561pi/admin",
            "/%25%36%31pi/admin",
            "/api%c0%afadmin",
            "/api%e0%80%afadmin",
            "/api%f0%80%80%afadmin",
            "/api%c1%9cadmin",
            "/ap%u0069/admin",
            "/ap%25u0069/admin",
            "/api%u002fadmin",
            "/api%uff0fadmin",
            "/api%ef%bc%8fadmin",
            "/%ef%bd%81pi/admin",
            "/api/admin/..",
            "/api/admin/..%2f..%2fx",
        ] {
            assert!(is_api(path), "{path}");
        }
    }

    #[test]
    fn other_places_are_not() {
        for path in [
            "/",
            "",
            "*",
            "/api",
            "/api/",
            "/api/administer",
            "/apiadmin",
            "/v1/api/admin",
            "/api/v1/admin",
            "/v1/messages",
            "/v1/%e4%b8%ad",
            "/v1/%u4e2d",
            "/v1/a%3Fb",
            "/%",
            "/%zz/admin",
            "/api/admin.json",
            "/v1/files/a%2Fb",
        ] {
            assert!(!is_api(path), "{path}");
        }
    }

    #[test]
    fn repeated_slashes_are_one() {
        for (path, single) in
            [("//v1///messages//", "/v1/messages/"), ("/v1/messages", "/v1/messages"), ("", ""), ("*", "*")]
        {
            assert_eq!(&*collapsed(path.as_bytes()), single.as_bytes(), "{path}");
        }
        assert!(matches!(collapsed(b"/v1/messages"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_is_coded_many_times_takes_no_longer() {
        let deep = format!("/%{}61pi/admin", "25".repeat(4000));
        assert!(is_api(&deep));
        assert_eq!(&*decoded(b"a%2"), b"a%2");
        assert_eq!(&*decoded(b"%zz%u12"), b"%zz%u12");
    }

    proptest! {
        #[test]
        fn however_its_bytes_are_encoded(
            encoded in proptest::collection::vec(0..3u8, 24),
            upper in any::<u32>(),
            slashes in proptest::collection::vec(1..3usize, 3),
        ) {
            let text = format!("{}api{}admin{}config", "/".repeat(slashes[0]), "/".repeat(slashes[1]), "/".repeat(slashes[2]));
            let mut path = String::from("/");
            for (at, byte) in text.bytes().enumerate() {
                let byte = if upper >> (at % 32) & 1 == 1 { byte.to_ascii_uppercase() } else { byte };
                match encoded.get(at).copied().unwrap_or_default() {
                    1 => path += &format!("%{byte:02x}"),
                    2 => path += &format!("%25{byte:02X}"),
                    _ => path.push(char::from(byte)),
                }
            }
            prop_assert!(is_api(&path), "{}", path);
        }
    }
}
