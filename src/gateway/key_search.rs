//! Where a key stands in a request: in its target, its fields, their names, or its body.

use crate::config::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use gateway_core::http1::decoded;
use http::HeaderValue;
use http::header::{AUTHORIZATION, COOKIE, HeaderName, PROXY_AUTHORIZATION};
use memchr::memmem::Finder;
use pingora::http::RequestHeader;
use std::borrow::Cow;
use std::fmt;
use subtle::ConstantTimeEq as _;

/// What stands around a key in a field or a cookie, unless it is a character of the key itself.
const SEPARATORS: &[u8] = b" \t,;=\"'&?/:|()<>{}[]";

/// A key, ready to be looked for.
pub(super) enum KeySearch {
    /// One that nobody guesses stands nowhere by chance: it is looked for in everything.
    Anywhere(Box<Traces>),
    /// One that may be a common word is looked for among credentials alone, as a whole.
    AmongCredentials(Word),
}

impl fmt::Debug for KeySearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySearch")
    }
}

impl KeySearch {
    /// Prepares the search for a key; `is_rare` says that nobody would guess it.
    pub(super) fn new(key: &Secret, is_rare: bool) -> Self {
        match is_rare {
            true => Self::Anywhere(Box::new(Traces::new(key.expose()))),
            false => Self::AmongCredentials(Word::new(key)),
        }
    }

    /// Whether the key stands in this head.
    pub(super) fn is_in_head(&self, request: &RequestHeader) -> bool {
        let traces = match self {
            Self::Anywhere(traces) => traces,
            Self::AmongCredentials(word) => return word.is_in_head(request),
        };
        let authority = request.uri.authority().map_or(&b""[..], |authority| authority.as_str().as_bytes());
        [request.raw_path(), authority, request.method.as_str().as_bytes()].into_iter().any(|text| traces.are_in(text))
            || request.headers.iter().any(|(name, value)| traces.are_in(value.as_bytes()) || traces.are_in_name(name))
    }

    /// Whether the key stands in this body.
    pub(super) fn is_in_body(&self, body: &[u8]) -> bool {
        match self {
            Self::Anywhere(traces) => traces.plain.find(body).is_some(),
            Self::AmongCredentials(_) => false,
        }
    }
}

/// The forms in which clients put a key into other texts.
pub(super) struct Traces {
    plain: Finder<'static>,
    /// Names of fields have no upper case here.
    lower: Finder<'static>,
    /// In Base64, whatever is before and behind it.
    coded: Vec<Finder<'static>>,
}

impl Traces {
    fn new(key: &str) -> Self {
        let coded = (0..3).flat_map(|offset| {
            let standard = coded(key.as_bytes(), offset);
            let for_urls = standard.replace('+', "-").replace('/', "_");
            if for_urls == standard { vec![standard] } else { vec![standard, for_urls] }
        });
        Self {
            coded: coded.map(|text| Finder::new(&text).into_owned()).collect(),
            plain: Finder::new(key).into_owned(),
            lower: Finder::new(&key.to_ascii_lowercase()).into_owned(),
        }
    }

    fn length(&self) -> usize {
        self.plain.needle().len()
    }

    fn are_in(&self, text: &[u8]) -> bool {
        // Every other form is longer.
        text.len() >= self.length()
            && (self.are_in_decoded(text) || matches!(decoded(text), Cow::Owned(text) if self.are_in_decoded(&text)))
    }

    fn are_in_decoded(&self, text: &[u8]) -> bool {
        let may_hold = |form: &Finder| text.len() >= form.needle().len();
        self.plain.find(text).is_some() || self.coded.iter().any(|form| may_hold(form) && form.find(text).is_some())
    }

    fn are_in_name(&self, name: &HeaderName) -> bool {
        name.as_str().len() >= self.length() && self.lower.find(name.as_str().as_bytes()).is_some()
    }
}

/// The characters that stand for a key in Base64 when `offset` bytes of a group of three are before it: the outermost
/// belong to its neighbours too.
fn coded(key: &[u8], offset: usize) -> String {
    let padded: Vec<u8> = std::iter::repeat_n(0, offset).chain(key.iter().copied()).collect();
    let text = STANDARD_NO_PAD.encode(&padded);
    let (first, end) = ((offset * 8).div_ceil(6), padded.len() * 8 / 6);
    text.get(first..end).unwrap_or_default().to_owned()
}

/// A key that other texts may hold by chance.
pub(super) struct Word {
    key: Secret,
    separators: Vec<u8>,
}

impl Word {
    fn new(key: &Secret) -> Self {
        let own = key.expose().as_bytes();
        let separators = SEPARATORS.iter().copied().filter(|byte| !own.contains(byte)).collect();
        Self { key: key.clone(), separators }
    }

    fn is_in_head(&self, request: &RequestHeader) -> bool {
        request.headers.iter().any(|(name, value)| {
            is_for_credentials(name) && (self.equals(value.as_bytes()) || self.is_part_of(value.as_bytes()))
                || *name == AUTHORIZATION && self.is_in_basic(value)
        })
    }

    /// Name and password, one of which may be the key.
    fn is_in_basic(&self, value: &HeaderValue) -> bool {
        let Some((scheme, credentials)) = value.as_bytes().split_at_checked(6) else { return false };
        scheme.eq_ignore_ascii_case(b"basic ")
            && STANDARD.decode(credentials.trim_ascii()).is_ok_and(|decoded| self.is_part_of(&decoded))
    }

    /// Whether the key stands between separators.
    fn is_part_of(&self, text: &[u8]) -> bool {
        text.split(|byte| self.separators.contains(byte)).any(|part| self.equals(part))
    }

    /// Compares without a digest: only the length shows in the time.
    fn equals(&self, text: &[u8]) -> bool {
        text.ct_eq(self.key.expose().as_bytes()).into()
    }
}

fn is_for_credentials(name: &HeaderName) -> bool {
    *name == AUTHORIZATION
        || *name == PROXY_AUTHORIZATION
        || *name == COOKIE
        || matches!(name.as_str(), "x-api-key" | "x-goog-api-key" | "api-key")
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    const KEY: &str = "kX9vQ2mZ7pL4wR8tB6nY";

    fn request(target: &str, fields: &[(&str, &str)]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", target.as_bytes(), None).expect("a request");
        for (name, value) in fields {
            request.append_header((*name).to_owned(), *value).expect("a field");
        }
        request
    }

    fn is_in(key: &str, target: &str, fields: &[(&str, &str)]) -> bool {
        let is_rare = crate::config::panel_key::weakness(key).is_none();
        KeySearch::new(&Secret::new(key), is_rare).is_in_head(&request(target, fields))
    }

    #[test]
    fn the_key_is_found_wherever_a_client_may_put_it() {
        let basic = |user: &str| format!("Basic {}", STANDARD.encode(format!("{user}:{KEY}")));
        let escaped: String = KEY.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for (name, value) in [
            ("authorization", format!("Bearer {KEY}")),
            ("authorization", format!("bearer   {KEY} ")),
            ("authorization", KEY.to_owned()),
            ("authorization", format!("Bearer a.{KEY}")),
            ("authorization", format!("Bearer sk-{KEY}x")),
            ("authorization", basic("user")),
            ("authorization", basic("me")),
            ("authorization", basic("a")),
            ("proxy-authorization", basic("user")),
            ("x-api-key", KEY.to_owned()),
            ("x-goog-api-key", KEY.to_owned()),
            ("api-key", KEY.to_owned()),
            ("cookie", format!("a=b; key={KEY}; c=d")),
            ("cookie", format!("key={escaped}")),
            ("x-something", format!("token=\"{KEY}\"")),
            ("x-something", escaped.replace('%', "%25")),
            ("referer", format!("http://127.0.0.1/admin?key={KEY}&x")),
            ("sec-websocket-protocol", format!("chat, key.{KEY}")),
            ("sec-websocket-protocol", format!("base64url.bearer.{}", URL_SAFE_NO_PAD.encode(KEY))),
            (&format!("x-{KEY}"), "1".to_owned()),
        ] {
            assert!(is_in(KEY, "/v1/messages", &[("accept", "*/*"), (name, &value)]), "{name}: {value}");
        }
        for target in [
            format!("/v1/models?key={KEY}"),
            format!("/v1/models?key=a{KEY}b"),
            format!("/{KEY}/v1/models"),
            format!("/v1/models?key={escaped}"),
            format!("/v1/models?key={}", escaped.replace('%', "%2525")),
        ] {
            assert!(is_in(KEY, &target, &[]), "{target}");
        }
        let mut odd = request("/", &[]);
        odd.set_method(http::Method::from_bytes(KEY.as_bytes()).expect("a token"));
        assert!(KeySearch::new(&Secret::new(KEY), true).is_in_head(&odd));
        for (name, value) in [
            ("authorization", "Bearer sk-another".to_owned()),
            ("x-api-key", KEY.to_lowercase()),
            ("x-api-key", KEY[1..].to_owned()),
            ("authorization", "Basic !".to_owned()),
        ] {
            assert!(!is_in(KEY, "/v1/messages", &[(name, &value)]), "{name}: {value}");
        }
    }

    #[test]
    fn a_body_is_looked_through_for_a_key_that_is_in_none_by_chance() {
        let body = format!("{{\"text\":\"the file holds {KEY}\\n\"}}");
        let search = |key: &str, is_rare| KeySearch::new(&Secret::new(key), is_rare);
        assert!(search(KEY, true).is_in_body(body.as_bytes()));
        assert!(!search(&KEY.to_lowercase(), true).is_in_body(body.as_bytes()));
        assert!(!search("file", false).is_in_body(body.as_bytes()));
    }

    #[test]
    fn a_key_that_is_a_common_word_is_looked_for_among_credentials_only() {
        for key in ["cli", "1234", "my-secret-password"] {
            assert!(!is_in(key, &format!("/cli?x={key}"), &[("x-app", key), ("content-length", "1234")]));
            assert!(is_in(key, "/", &[("x-api-key", key)]));
            assert!(is_in(key, "/", &[("authorization", &format!("Bearer {key}"))]));
            let basic = format!("Basic {}", STANDARD.encode(format!("user:{key}")));
            assert!(is_in(key, "/", &[("authorization", &basic)]));
            assert!(!is_in(key, "/", &[("x-api-key", &format!("sk-{key}s"))]));
        }
    }

    #[test]
    fn a_key_may_have_separators_in_it() {
        for key in ["two words; and = a/slash", "a; b"] {
            assert!(is_in(key, "/", &[("authorization", &format!("Bearer,{key}"))]));
            assert!(is_in(key, "/", &[("x-api-key", key)]));
        }
    }

    proptest! {
        #[test]
        fn whatever_stands_beside_it_in_base64(before in "[ -~]{0,9}", after in "[ -~]{0,9}", key in "[!-~]{32}") {
            let text = format!("{before}{key}{after}");
            for value in [STANDARD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                let search = KeySearch::new(&Secret::new(key.clone()), true);
                prop_assert!(search.is_in_head(&request("/", &[("x-field", &value)])), "{}", value);
            }
        }
    }
}
