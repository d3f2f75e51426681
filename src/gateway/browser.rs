//! What keeps a page of a relay's out of the panel. Both have one origin, because all that is not the gateway's own is
//! proxied on the same port: such a page would run with the operator's cookie.
//!
//! So a browser gets every answer that is not a page of the gateway's own with `Content-Security-Policy: sandbox`,
//! which gives a document an origin of its own, without scripts. Programs get answers as they came.

use super::answer::{Answer, Recipient};
use gateway_core::both;
use gateway_core::reason::Reason;
use http::header::{ACCEPT, CONTENT_SECURITY_POLICY, SET_COOKIE, USER_AGENT, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName};
use pingora::http::ResponseHeader;

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SERVICE_WORKER: HeaderName = HeaderName::from_static("service-worker");
const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");
/// The panel's cookie, whatever prefix it has.
const SESSION_COOKIE: &[u8] = b"gateway_session";
/// What browsers demand more of: a name is one with it and without.
const COOKIE_PREFIXES: [&[u8]; 2] = [b"__secure-", b"__host-"];
/// Fields that bind a browser beyond the response that they come with: for the whole origin, or the whole host, which
/// are the gateway's here. What holds for its own document alone (policies, `Link`, `Refresh`, `Location`) stays: the
/// sandbox has taken the origin from that document.
const BEYOND_THE_RESPONSE: [&str; 27] = [
    // Cookies go with every request to the host, whatever its port and path: some hide the panel's, many make its
    // requests too large.
    "set-cookie",
    // Browsers send what the visitor types then with all requests to the origin, and it looks like the gateway asked.
    "www-authenticate",
    "proxy-authenticate",
    // TLS for the whole host from then on, with a certificate that nobody has.
    "strict-transport-security",
    "public-key-pins",
    "public-key-pins-report-only",
    "expect-ct",
    // Where else the origin is served.
    "alt-svc",
    // Empties what the origin has stored.
    "clear-site-data",
    // Whom to tell of what goes wrong at the origin; its addresses go with it.
    "nel",
    "report-to",
    "reporting-endpoints",
    // Scripts that answer for the origin, and sessions that hold back its requests until somebody has answered.
    "service-worker-allowed",
    "sec-session-registration",
    "sec-session-challenge",
    "secure-session-registration",
    "secure-session-challenge",
    // More fields in every request to the origin, and requests made again with them.
    "accept-ch",
    "accept-ch-lifetime",
    "critical-ch",
    // A key to read later responses of the origin with, also those of other paths.
    "use-as-dictionary",
    // Pages of the origin that are fetched, or run, before anybody asks for them.
    "speculation-rules",
    // What browsers note of the origin: who is logged in, what was advertised, data for other sites, how its pages run.
    "set-login",
    "attribution-reporting-register-source",
    "attribution-reporting-register-trigger",
    "shared-storage-write",
    "origin-agent-cluster",
];

/// Whether a browser asks, for a document or for a part of one: what was fetched as a part can come out of the
/// browser's cache as a document later. Over plain HTTP, but on this machine, browsers send no `Sec-Fetch-*`; all of
/// them call themselves `Mozilla`, as programs do that are built of one. (Node sends `Sec-Fetch-Mode`, and is none.)
pub(super) fn is_browser(request: &HeaderMap) -> bool {
    let names_html = |value: &[u8]| value.windows(9).any(|part| part.eq_ignore_ascii_case(b"text/html"));
    let is_mozilla = |value: &[u8]| value.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"mozilla/"));
    request.contains_key(SEC_FETCH_DEST)
        || request.get(USER_AGENT).is_some_and(|value| is_mozilla(value.as_bytes()))
        || request.get_all(ACCEPT).iter().any(|value| names_html(value.as_bytes()))
}

/// Whether a browser wants a script that would answer for other pages from then on.
pub(super) fn wants_service_worker(request: &HeaderMap) -> bool {
    let is = |name: HeaderName, value: &str| {
        request.get_all(name).iter().any(|found| found.as_bytes().trim_ascii().eq_ignore_ascii_case(value.as_bytes()))
    };
    is(SERVICE_WORKER, "script") || is(SEC_FETCH_DEST, "serviceworker")
}

/// The answer to that.
pub(super) fn refuse_service_worker(to: Recipient<'_>) -> Answer {
    let message = both!(
        "No service worker comes through the gateway: it would answer for the gateway's own pages too. Open the relay's \
         site at its own address.",
        "网关不转发 Service Worker：否则它会接管网关自己的页面。请用中转站自己的地址打开它的网站。"
    );
    Answer::error(403, &message, to).again(Reason::ServiceWorker.again())
}

/// Takes from an upstream's answer what is not its business, and has a browser confine it. Rules have made their
/// changes before: they cannot take this back.
pub(super) fn confine(response: &mut ResponseHeader, request: &HeaderMap) -> pingora::Result<()> {
    // Of nobody's, should a browser have passed for a program.
    response.remove_header(&CLEAR_SITE_DATA);
    keep_our_cookies(response)?;
    if !is_browser(request) {
        return Ok(());
    }
    for name in BEYOND_THE_RESPONSE {
        response.remove_header(name);
    }
    if response.status.is_informational() {
        return Ok(());
    }
    // A line of its own: browsers keep to all of them.
    response.append_header("Content-Security-Policy", "sandbox")?;
    response.insert_header("X-Content-Type-Options", "nosniff")
}

/// The same for what the gateway says by itself; a rule that answers may say by a policy of its own what its page may
/// do.
pub(super) fn confine_own(response: &mut ResponseHeader, request: &HeaderMap) -> pingora::Result<()> {
    if !is_browser(request) {
        return Ok(());
    }
    if !response.headers.contains_key(CONTENT_SECURITY_POLICY) {
        response.insert_header(CONTENT_SECURITY_POLICY, "sandbox")?;
    }
    response.insert_header(X_CONTENT_TYPE_OPTIONS, "nosniff")
}

/// Removes cookies that have the name of ours.
fn keep_our_cookies(response: &mut ResponseHeader) -> pingora::Result<()> {
    let lines = response.headers.get_all(SET_COOKIE);
    if !lines.iter().any(|line| sets_our_cookie(line.as_bytes())) {
        return Ok(());
    }
    let kept: Vec<_> = lines.iter().filter(|line| !sets_our_cookie(line.as_bytes())).cloned().collect();
    response.remove_header(&SET_COOKIE);
    for line in kept {
        response.append_header("Set-Cookie", line)?;
    }
    Ok(())
}

/// Whether a browser would send this cookie under the name of ours, or somebody could take it for that. A cookie
/// without a name is sent as its value alone, so that `=name=value` comes back as `name=value`
/// (draft-ietf-httpbis-rfc6265bis section 5.6 and 5.8.3).
fn sets_our_cookie(line: &[u8]) -> bool {
    let pair = line.split(|&byte| byte == b';').next().unwrap_or_default();
    let is_noise = |byte: &u8| *byte == b'=' || *byte == b'"' || *byte <= b' ' || *byte == 0x7f;
    let start = pair.iter().position(|byte| !is_noise(byte)).unwrap_or(pair.len());
    let name = pair[start..].split(|&byte| byte == b'=').next().unwrap_or_default();
    let end = name.iter().rposition(|byte| !is_noise(byte)).map_or(0, |last| last + 1);
    let name = name[..end].to_ascii_lowercase();
    let base = COOKIE_PREFIXES.iter().find_map(|prefix| name.strip_prefix(*prefix)).unwrap_or(&name);
    base == SESSION_COOKIE
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn fields(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        fields.iter().map(field).collect()
    }

    fn confined(
        status: u16,
        request: &[(&'static str, &'static str)],
        answer: &[(&'static str, &'static str)],
    ) -> String {
        let mut response = ResponseHeader::build(status, None).expect("a head");
        for (name, value) in answer {
            response.append_header(*name, *value).expect("a field");
        }
        confine(&mut response, &fields(request)).expect("fields");
        let line = |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().expect("text"));
        response.headers.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    const SAID: [(&str, &str); 5] = [
        ("content-type", "text/html"),
        ("content-security-policy", "default-src *"),
        ("alt-svc", "h3=\":443\""),
        ("clear-site-data", "\"*\""),
        ("set-cookie", "a=1"),
    ];

    #[test]
    fn browsers_confine_what_they_get_and_programs_get_it_as_it_is() {
        for browser in [
            &[("sec-fetch-dest", "document")][..],
            &[("sec-fetch-dest", "iframe")],
            &[("sec-fetch-dest", "empty")],
            &[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")],
            &[("accept", "Text/HTML")],
            &[("accept", "*/*"), ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0")],
        ] {
            let answer = confined(200, browser, &SAID);
            assert!(answer.contains("content-security-policy: default-src *\n"), "{answer}");
            assert!(answer.contains("content-security-policy: sandbox"), "{answer}");
            assert!(answer.contains("x-content-type-options: nosniff") && !answer.contains("alt-svc"), "{answer}");
            assert!(!answer.contains("set-cookie") && !answer.contains("clear-site-data"), "{answer}");
        }
        for program in [
            &[][..],
            &[("accept", "*/*"), ("sec-fetch-mode", "cors")],
            &[("accept", "application/json")],
            &[("accept", "text/event-stream")],
            &[("accept", "*/*"), ("user-agent", "claude-cli/2.0 (external, cli)")],
        ] {
            let answer = confined(200, program, &SAID);
            let wanted = "content-type: text/html\ncontent-security-policy: default-src *\nalt-svc: h3=\":443\"\nset-cookie: a=1";
            let sorted = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
            assert_eq!(sorted(&answer), sorted(wanted));
        }
        let switched =
            confined(101, &[("sec-fetch-dest", "websocket")], &[("set-cookie", "gateway_session=x"), ("x", "1")]);
        assert_eq!(switched, "x: 1");
        let hints = confined(103, &[("sec-fetch-dest", "document")], &[("set-cookie", "a=1"), ("link", "</a>")]);
        assert_eq!(hints, "link: </a>");
    }

    #[test]
    fn the_panels_cookie_is_set_by_the_panel_alone() {
        for ours in [
            "gateway_session=x",
            "__Secure-gateway_session=x; Path=/api/admin",
            "__Host-gateway_session=x",
            "GATEWAY_SESSION=x",
            " \tgateway_session \t= x",
            "=gateway_session=x",
            "= gateway_session=x",
            "==gateway_session=x",
            "gateway_session",
            "gateway_session;",
            "\"gateway_session\"=x",
        ] {
            assert!(sets_our_cookie(ours.as_bytes()), "{ours:?}");
        }
        for theirs in [
            "a=gateway_session=x",
            "gateway_sessions=x",
            "xgateway_session=x",
            "session=1",
            "",
            ";",
            "a; gateway_session=x",
        ] {
            assert!(!sets_our_cookie(theirs.as_bytes()), "{theirs:?}");
        }
        let answer =
            confined(200, &[], &[("set-cookie", "a=1"), ("set-cookie", "gateway_session=x"), ("set-cookie", "b=2")]);
        assert_eq!(answer, "set-cookie: a=1\nset-cookie: b=2");
    }

    #[test]
    fn service_workers_are_told_by_what_browsers_say_of_them() {
        assert!(wants_service_worker(&fields(&[("service-worker", "script")])));
        assert!(wants_service_worker(&fields(&[("sec-fetch-dest", "serviceworker")])));
        assert!(!wants_service_worker(&fields(&[("sec-fetch-dest", "worker"), ("accept", "*/*")])));
    }

    #[test]
    fn a_page_of_a_rules_own_keeps_the_policy_that_the_rule_gives_it() {
        for (policy, wanted) in [(None, "sandbox"), (Some("default-src 'self'"), "default-src 'self'")] {
            let mut response = ResponseHeader::build(200, None).expect("a head");
            if let Some(policy) = policy {
                response.insert_header(CONTENT_SECURITY_POLICY, policy).expect("a field");
            }
            confine_own(&mut response, &fields(&[("accept", "text/html")])).expect("fields");
            let found: Vec<_> = response.headers.get_all(CONTENT_SECURITY_POLICY).iter().collect();
            assert_eq!(found, [wanted]);
        }
    }
}
