//! Client tokens in requests: none of them goes to an upstream, wherever it stands.

use super::client_keys::X_API_KEY;
use crate::unix_time::now_ms;
use gateway_core::http1::decoded;
use gateway_core::protocol::{Endpoint, Protocol};
use gateway_core::redact::MASK;
use gateway_core::team::asked;
use gateway_core::team::roster::Roster;
use gateway_core::team::text::{self, PREFIX};
use gateway_core::team::token::{Denied, Token};
use http::Method;
use http::header::{AUTHORIZATION, UPGRADE};
use memchr::memmem;
use pingora::Result;
use pingora::http::RequestHeader;
use std::borrow::Cow;

/// Takes the token out of the fields in which clients send one, before anything looks at them: rules, what is kept of
/// requests, upstreams. The fields stay, since the upstream's own key goes out in the one that the client used.
///
/// # Errors
/// When a field cannot be set; that would be a mistake of the gateway's.
pub(super) fn conceal(request: &mut RequestHeader) -> Result<()> {
    for (name, masked) in [(AUTHORIZATION, format!("Bearer {MASK}")), (X_API_KEY, MASK.to_owned())] {
        let values = request.headers.get_all(&name);
        if values.iter().any(|value| memmem::find(value.as_bytes(), PREFIX.as_bytes()).is_some()) {
            request.insert_header(name, masked)?;
        }
    }
    Ok(())
}

/// Whether a token that is good now stands where an upstream would read it. The fields of [`conceal`] have none any more.
pub(super) fn are_exposed(request: &RequestHeader, body: &[u8], roster: &Roster) -> bool {
    if !roster.has_tokens() {
        return false;
    }
    let now_ms = now_ms();
    let is_in = |text: &[u8]| match decoded(text) {
        Cow::Owned(plain) if roster.is_in(&plain, now_ms) => true,
        _ => roster.is_in(text, now_ms),
    };
    let authority = request.uri.authority().map_or("", |authority| authority.as_str());
    is_in(request.raw_path())
        || is_in(request.method.as_str().as_bytes())
        || is_in(authority.as_bytes())
        || request.headers.iter().any(|(name, value)| is_in(value.as_bytes()) || is_token_like(name.as_str()))
        || roster.is_in(body, now_ms)
}

/// Whether the name of a field could be a token: names are known in lower case only.
fn is_token_like(name: &str) -> bool {
    memmem::find(name.as_bytes(), PREFIX.as_bytes()).is_some_and(|at| name.len() - at >= text::LENGTH)
}

/// Whether a token may send this request; `readable` is its body, none if it is in a content coding. One that is for some
/// models only is for requests that say which they want: messages, and what asks for nothing to be made.
///
/// # Errors
/// [`Denied::Model`].
pub(super) fn admit_models(token: &Token, request: &RequestHeader, readable: Option<&[u8]>) -> Result<(), Denied> {
    if token.models.is_empty() {
        return Ok(());
    }
    let endpoint = Protocol::of(request.method.as_str(), request.raw_path()).endpoint();
    let names_its_model = matches!(endpoint, Endpoint::Messages | Endpoint::CountTokens | Endpoint::Complete);
    let asks_only = matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS);
    match readable {
        _ if request.headers.contains_key(UPGRADE) => Err(Denied::Model),
        Some([]) if asks_only => Ok(()),
        Some(body) if names_its_model => token.admit_models(&asked::models(body).unwrap_or_default()),
        _ => Err(Denied::Model),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_core::holder::Holder;
    use gateway_core::rules::glob::Glob;
    use gateway_core::team::roster::Secret;
    use gateway_core::team::text;
    use gateway_core::team::token::State;
    use std::sync::Arc;

    fn token(models: &[&str]) -> Token {
        Token {
            holder: Arc::new(Holder { user: "alice".into(), group: None, token: "tok_1".into() }),
            models: models.iter().map(|glob| Glob::new(glob)).collect(),
            upstreams: Vec::new(),
            addresses: Vec::new(),
            ends_ms: None,
            state: State::Active,
            user: State::Active,
            is_admin: false,
            used_ms: Arc::default(),
        }
    }

    fn request(target: &str, fields: &[(&'static str, &str)]) -> RequestHeader {
        let mut request = RequestHeader::build("POST", target.as_bytes(), None).expect("a head");
        for (name, value) in fields {
            request.append_header(*name, *value).expect("a field");
        }
        request
    }

    #[test]
    fn a_token_is_taken_out_of_the_fields_for_keys() {
        let text = text::of([1; 32]);
        let bearer = format!("Bearer {text}");
        let mut request = request("/", &[("authorization", &bearer), ("x-api-key", "sk-1"), ("x-api-key", &text)]);
        conceal(&mut request).expect("concealed");
        let all = |name: &str| {
            request.headers.get_all(name).iter().map(|it| it.to_str().expect("a text")).collect::<Vec<_>>()
        };
        assert_eq!((all("authorization"), all("x-api-key")), (vec!["Bearer ********"], vec!["********"]));
        let mut other = self::request("/", &[("authorization", "Bearer sk-1")]);
        conceal(&mut other).expect("as it was");
        assert_eq!(other.headers["authorization"], "Bearer sk-1");
    }

    #[test]
    fn a_token_is_seen_in_every_part_of_a_request() {
        let text = text::of([1; 32]);
        let digest = text::digest(text.as_bytes()).expect("a token");
        let roster = Roster::new([(digest, Secret { token: Arc::new(token(&[])), ends_ms: None })]);
        let is_exposed = |target: &str, fields: &[(&'static str, &str)], body: &str| {
            are_exposed(&request(target, fields), body.as_bytes(), &roster)
        };
        let escaped = text.replacen('_', "%5F", 1);
        assert!(is_exposed(&format!("/v1/models?key={text}"), &[], ""));
        assert!(is_exposed(&format!("/v1/models?key={escaped}"), &[], ""));
        assert!(is_exposed("/", &[("cookie", &format!("a=b; key={text}"))], ""));
        assert!(is_exposed("/", &[], &format!("{{\"text\":\"{text}\"}}")));
        let mut odd = request("/", &[]);
        odd.set_method(Method::from_bytes(text.as_bytes()).expect("a method"));
        assert!(are_exposed(&odd, b"", &roster));
        let mut odd = request("/", &[]);
        odd.append_header(text.clone(), "1").expect("a field");
        assert!(are_exposed(&odd, b"", &roster));
        let mut odd = request("/", &[]);
        odd.set_uri(format!("https://{text}/").parse().expect("a URI"));
        assert!(are_exposed(&odd, b"", &roster));
        assert!(!is_exposed("/", &[("x", "agw_")], &text[..50]));
        assert!(!are_exposed(&request("/", &[]), text.as_bytes(), &Roster::default()));
    }

    #[test]
    fn a_token_for_some_models_is_for_requests_that_say_which_they_want() {
        let (all, some) = (token(&[]), token(&["claude-haiku-*"]));
        let body: &[u8] = br#"{"model":"claude-haiku-5-5"}"#;
        let admit = |token: &Token, method: &str, fields: &[(&'static str, &str)], target, readable| {
            let mut request = request(target, fields);
            request.set_method(Method::from_bytes(method.as_bytes()).expect("a method"));
            admit_models(token, &request, readable)
        };
        for (method, fields, target, readable, is_fine) in [
            ("POST", &[][..], "/v1/messages?beta=true", Some(body), true),
            ("POST", &[], "/v1/messages/count_tokens", Some(body), true),
            ("POST", &[], "/v1/messages", None, false),
            ("POST", &[], "/v1/messages", Some(b"{}"), false),
            ("POST", &[], "/v1/messages", Some(b""), false),
            ("POST", &[], "/v1/messages/batches", Some(body), false),
            ("POST", &[], "/v1beta/models/gemini:generateContent", Some(body), false),
            ("POST", &[], "/v1beta/models/gemini:generateContent", Some(b""), false),
            ("GET", &[], "/v1/models", Some(b""), true),
            ("GET", &[("upgrade", "websocket")], "/v1/realtime", Some(b""), false),
        ] {
            let expected = if is_fine { Ok(()) } else { Err(Denied::Model) };
            assert_eq!(admit(&some, method, fields, target, readable), expected, "{method} {target}");
            assert_eq!(admit(&all, method, fields, target, readable), Ok(()));
        }
    }
}
