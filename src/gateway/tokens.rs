//! Client tokens in requests: none of them goes to an upstream, wherever it stands.

use super::client_keys::X_API_KEY;
use gateway_core::http1::decoded;
use gateway_core::redact::MASK;
use gateway_core::team::asked;
use gateway_core::team::roster::Roster;
use gateway_core::team::text::PREFIX;
use gateway_core::team::token::{Denied, Token};
use http::header::AUTHORIZATION;
use memchr::memmem;
use pingora::Result;
use pingora::http::RequestHeader;
use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970: what tokens end by.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

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
    is_in(request.raw_path())
        || request.headers.values().any(|value| is_in(value.as_bytes()))
        || roster.is_in(body, now_ms)
}

/// Whether a token may send this body; `readable` is none if it is in a content coding. What has none asks for no model.
///
/// # Errors
/// [`Denied::Model`].
pub(super) fn admit_body(token: &Token, body: &[u8], readable: Option<&[u8]>) -> Result<(), Denied> {
    if token.models.is_empty() || body.is_empty() {
        return Ok(());
    }
    token.admit_models(&readable.and_then(asked::models).unwrap_or_default())
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
        assert!(!is_exposed("/", &[("x", "agw_")], &text[..50]));
        assert!(!are_exposed(&request("/", &[]), text.as_bytes(), &Roster::default()));
    }

    #[test]
    fn a_body_whose_model_nobody_can_tell_is_for_those_who_may_use_all() {
        let (all, some) = (token(&[]), token(&["claude-haiku-*"]));
        let body = br#"{"model":"claude-haiku-5-5"}"#;
        assert_eq!(admit_body(&some, body, Some(body)), Ok(()));
        assert_eq!(admit_body(&some, body, None), Err(Denied::Model));
        assert_eq!(admit_body(&some, b"{}", Some(b"{}")), Err(Denied::Model));
        assert_eq!(admit_body(&some, b"", Some(b"")), Ok(()));
        assert_eq!(admit_body(&all, b"{}", None), Ok(()));
    }
}
