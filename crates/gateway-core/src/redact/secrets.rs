//! The secrets that a request brings.

use super::length::SHORTEST;
use super::{is_secret_name, looks_like_secret, shapes};
use http::HeaderMap;
use percent_encoding::percent_decode;
use std::borrow::Cow;

/// How many are looked for.
const MOST: usize = 128;
/// Schemes of `Authorization` behind whose name the secret stands.
const LONGEST_SCHEME: usize = 20;

/// Secrets; those too short to be any are left out.
#[derive(Default)]
pub struct Secrets<'s>(Vec<Cow<'s, [u8]>>);

impl std::fmt::Debug for Secrets<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

impl<'s> Secrets<'s> {
    /// Those of a request: of its fields, its query and its path.
    pub fn of_request(headers: &'s HeaderMap, target: &'s [u8]) -> Self {
        let mut secrets = Self::default();
        for (name, value) in headers {
            secrets.add_field(name.as_str(), value.as_bytes());
        }
        secrets.add_target(target);
        secrets
    }

    /// One more.
    pub fn add(&mut self, secret: impl Into<Cow<'s, [u8]>>) {
        let secret = secret.into();
        // Of more than can be looked for nothing is shown, whatever the others are.
        if secret.len() >= SHORTEST && !self.are_too_many() && !self.0.contains(&secret) {
            self.0.push(secret);
        }
    }

    /// Those of a field: the value, if its name is that of a secret, and otherwise what looks like one in it.
    pub fn add_field(&mut self, name: &str, value: &'s [u8]) {
        if !is_secret_name(name) {
            return shapes::find(value, |at| {
                let found = &value[at];
                self.add(found);
                shapes::credentials(found).into_iter().for_each(|pair| self.add_pair(pair));
            });
        }
        if name.eq_ignore_ascii_case("cookie") {
            for cookie in value.split(|&byte| byte == b';') {
                let at = cookie.iter().position(|&byte| byte == b'=').map_or(0, |at| at + 1);
                let value = cookie[at..].trim_ascii();
                self.add(value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value));
            }
            return;
        }
        let value = value.trim_ascii();
        let scheme = value.iter().take(LONGEST_SCHEME).position(|&byte| byte == b' ');
        let Some(at) = scheme else { return self.add(value) };
        let (scheme, secret) = (&value[..at], value[at..].trim_ascii());
        self.add(secret);
        if scheme.eq_ignore_ascii_case(b"basic")
            && let Some(pair) = shapes::credentials(secret)
        {
            self.add_pair(pair);
        }
    }

    /// `user:password`, and the password alone.
    fn add_pair(&mut self, pair: Vec<u8>) {
        let at = pair.iter().position(|&byte| byte == b':').map_or(0, |at| at + 1);
        self.add(pair[at..].to_vec());
        self.add(pair);
    }

    /// Those of a target: values of its query by name and looks, and segments of its path by looks.
    fn add_target(&mut self, target: &'s [u8]) {
        let (path, query) = crate::http1::split_query(target);
        for pair in query.into_iter().flat_map(|query| query.split(|&byte| byte == b'&')) {
            let Some(at) = pair.iter().position(|&byte| byte == b'=') else { continue };
            let (name, value) = (percent_decode(&pair[..at]).decode_utf8_lossy(), &pair[at + 1..]);
            let decoded: Cow<'s, [u8]> = percent_decode(value).into();
            if is_secret_name(&name) || looks_like_secret(&decoded) {
                self.add(value);
                self.add(decoded);
            }
        }
        shapes::find(path, |at| self.add(&path[at]));
    }

    /// Whether there are more than can be looked for.
    pub(super) fn are_too_many(&self) -> bool {
        self.0.len() > MOST
    }

    /// Whether one of them stands in this text as it is.
    pub fn are_in(&self, text: &[u8]) -> bool {
        self.are_too_many() || self.0.iter().any(|secret| memchr::memmem::find(text, secret).is_some())
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.0.iter().map(|secret| &**secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    #[test]
    fn of_very_many_no_more_are_kept_than_tell_that_they_are_too_many() {
        let mut headers = HeaderMap::new();
        let cookies: String = (0..20_000).map(|number| format!("{number:06};")).collect();
        headers.append(http::header::COOKIE, HeaderValue::from_str(&cookies).expect("a field"));
        let secrets = Secrets::of_request(&headers, b"/");
        assert!(secrets.iter().len() == MOST + 1 && secrets.are_too_many() && secrets.are_in(b"anything"));
    }

    #[test]
    fn every_secret_of_a_request_is_known() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-goog-api-key", "goog-key-1"),
            ("api-key", "azure-key-1"),
            ("authorization", "Basic dXNlcjpwYXNzd29yZDE="),
            ("cookie", "a=cookie-1; b=\"cookie-2\"; c=x"),
            ("x-forwarded-thing", "sk-ant-1234567"),
            ("x-app", "nothing to hide"),
            ("referer", "https://docs.example.com/page?token=of-a-referer"),
            ("x-again", "Basic dXNlcjpwYXNzd29yZDI="),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let target = b"/AIzaSyA1234567890abcdefghijkl/v1?beta=true&access_token=to%2Fken1&x=sk-ant-7654321";
        let secrets = Secrets::of_request(&headers, target);
        let mut found: Vec<String> =
            secrets.iter().map(|secret| String::from_utf8_lossy(secret).into_owned()).collect();
        found.sort();
        let mut wanted = [
            "goog-key-1",
            "azure-key-1",
            "dXNlcjpwYXNzd29yZDE=",
            "user:password1",
            "password1",
            "of-a-referer",
            "dXNlcjpwYXNzd29yZDI=",
            "user:password2",
            "password2",
            "cookie-1",
            "cookie-2",
            "sk-ant-1234567",
            "AIzaSyA1234567890abcdefghijkl",
            "to%2Fken1",
            "to/ken1",
            "sk-ant-7654321",
        ];
        wanted.sort_unstable();
        assert_eq!(found, wanted);
    }
}
