//! The spellings of a path: what servers that are more lenient than others take for the same one.

use percent_encoding::percent_decode;
use std::borrow::Cow;

/// Times that a path is decoded: what is encoded more often is nobody's idea of a path.
const MOST_DECODINGS: usize = 4;

/// Whether some server may take `path` for `place` or something below it: whatever the case, the percent-encoding (of
/// encodings too), backslashes, empty segments, segments of dots, and parameters behind a semicolon. `place` is a list of
/// segments in lower case.
pub fn is_at_or_below(path: &[u8], place: &[&str]) -> bool {
    match is_plain(path) {
        true => begins_with(path.split(|&byte| byte == b'/').skip(1), place),
        false => begins_with(segments(&decoded(path)).into_iter(), place),
    }
}

/// Whether there is but one way to read this path.
fn is_plain(path: &[u8]) -> bool {
    let is_odd = |byte: &u8| matches!(byte, b'%' | b'\\' | b';');
    !path.iter().any(is_odd) && !path.windows(2).any(|pair| pair[0] == b'/' && matches!(pair[1], b'/' | b'.'))
}

fn begins_with<'p>(mut path: impl Iterator<Item = &'p [u8]>, place: &[&str]) -> bool {
    place.iter().all(|segment| path.next().is_some_and(|given| given.eq_ignore_ascii_case(segment.as_bytes())))
}

fn decoded(path: &[u8]) -> Cow<'_, [u8]> {
    let mut path = Cow::Borrowed(path);
    for _ in 0..MOST_DECODINGS {
        match percent_decode(&path).into() {
            Cow::Borrowed(_) => break,
            Cow::Owned(once) => path = Cow::Owned(once),
        }
    }
    path
}

/// The segments that are left when dots are resolved.
fn segments(path: &[u8]) -> Vec<&[u8]> {
    let mut left: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| matches!(byte, b'/' | b'\\')) {
        // A NUL ends a text for some, and blanks around it are nothing to others.
        let end = segment.iter().position(|byte| matches!(byte, b';' | b'\0')).unwrap_or(segment.len());
        match segment[..end].trim_ascii() {
            b"" | b"." => {}
            b".." => drop(left.pop()),
            other => left.push(other),
        }
    }
    left
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
            "/api/admin/..",
            "/apiadmin",
            "/v1/api/admin",
            "/api/v1/admin",
            "/api/admin/../x",
            "/v1/messages",
            "/%",
            "/%zz/admin",
            "/api/admin.json",
            "/v1/files/a%2Fb",
        ] {
            assert!(!is_api(path), "{path}");
        }
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
