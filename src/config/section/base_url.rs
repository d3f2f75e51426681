//! Where an upstream is.

use crate::config::source::message::Message;
use gateway_core::http1::collapsed;

/// Where an upstream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    /// Whether it is `https`.
    pub tls: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// Port, the scheme's if the URL has none.
    pub port: u16,
    /// `Host` for requests to it: as in the URL, without the scheme's port.
    pub authority: String,
    /// What comes before every request's path: empty, or `/prefix` without a slash at its end.
    pub path_prefix: String,
}

/// What clients put behind a base URL, in small letters; longer ones first.
const ENDPOINTS: [&str; 13] = [
    "/v1/messages/count_tokens",
    "/v1/messages/batches",
    "/v1/messages",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/complete",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/models",
    "/v1beta/models",
    "/chat/completions",
    "/v1beta",
    "/v1",
];

impl BaseUrl {
    /// What is to be said of one whose path is an endpoint's, or the beginning of one.
    pub fn endpoint_in_it(&self) -> Option<Message> {
        let path = collapsed(self.path_prefix.as_bytes());
        let path = std::str::from_utf8(&path).ok()?;
        let small = path.to_ascii_lowercase();
        let rest = &path[..ENDPOINTS.into_iter().find_map(|end| small.strip_suffix(end))?.len()];
        let scheme = if self.tls { "https" } else { "http" };
        Some(Message::UrlHasV1 {
            prefix: self.path_prefix.clone(),
            end: path[rest.len()..].to_owned(),
            right: format!("{scheme}://{}{rest}", self.authority),
        })
    }
}

/// Reads `http(s)://host[:port][/prefix]`.
///
/// # Errors
/// What is wrong with the text. It is not repeated, for it may hold a password.
pub(crate) fn parse(text: &str) -> Result<BaseUrl, Message> {
    // The parser of URLs leaves them out, wherever they stand.
    if text.trim().contains(|c: char| c.is_control()) {
        return Err(Message::ValueControls);
    }
    let url = url::Url::parse(text).map_err(|error| match error {
        url::ParseError::RelativeUrlWithoutBase => Message::UrlSchemeMissing,
        error => Message::NotAUrl { said: error.to_string() },
    })?;
    let tls = match url.scheme() {
        "https" => true,
        "http" => false,
        other => return Err(Message::UrlScheme { scheme: other.to_owned() }),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Message::UrlCredentials);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Message::UrlQuery);
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(Message::UrlHost)?;
    let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    Ok(BaseUrl {
        tls,
        host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        port: url.port_or_known_default().ok_or(Message::UrlPort)?,
        authority,
        path_prefix: url.path().trim_end_matches('/').to_owned(),
    })
}

/// Reads `host[:port]`: another address of what is at `base_url`, with the same scheme and path.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn line(base_url: &BaseUrl, text: &str) -> Result<BaseUrl, Message> {
    let scheme = if base_url.tls { "https" } else { "http" };
    let wrong = || Message::NotALine { text: text.to_owned() };
    // Whatever else a URL may have would be dropped, or go to the parser as something else than it looks like.
    if text.contains(|c: char| matches!(c, '/' | '\\' | '?' | '#' | '@') || c.is_whitespace()) {
        return Err(wrong());
    }
    let url = parse(&format!("{scheme}://{text}")).map_err(|_| wrong())?;
    Ok(BaseUrl { path_prefix: base_url.path_prefix.clone(), ..url })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_host_with_the_scheme_and_the_path_of_the_base_url() {
        let base_url = parse("https://relay.example:8443/api/").expect("valid");
        let line = |text: &str| line(&base_url, text);
        let plain = line("Second.relay.example").expect("valid");
        assert_eq!((plain.tls, plain.host.as_str(), plain.port), (true, "second.relay.example", 443));
        assert_eq!((plain.authority.as_str(), plain.path_prefix.as_str()), ("second.relay.example", "/api"));
        let with_port = line("[::1]:8443").expect("valid");
        assert_eq!((with_port.host.as_str(), with_port.port), ("::1", 8443));
        for bad in
            ["", "https://b.example", "b.example/", "b.example/v1", "u@b.example", "b.example?", "b example", "b:x"]
        {
            assert!(matches!(line(bad), Err(Message::NotALine { .. })), "{bad}");
        }
    }

    #[test]
    fn a_base_url_is_taken_apart() {
        let url = parse("https://Relay.example/api/").expect("valid");
        assert_eq!((url.tls, url.host.as_str(), url.port), (true, "relay.example", 443));
        assert_eq!((url.authority.as_str(), url.path_prefix.as_str()), ("relay.example", "/api"));
        let url = parse("http://[::1]:8080").expect("valid");
        assert_eq!((url.host.as_str(), url.port, url.authority.as_str()), ("::1", 8080, "[::1]:8080"));
        assert_eq!(url.path_prefix, "");
        for bad in [
            "",
            "anyrouter.top",
            "ftp://a",
            "http://u:p@a",
            "http://a/?q",
            "http://a/#f",
            "http://",
            "/x",
            "http://a\nb",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
    #[test]
    fn an_endpoint_in_it_is_told_with_what_to_write() {
        let told = |url: &str| parse(url).expect("a URL").endpoint_in_it().map(|what| what.to_string());
        for (url, end, right) in [
            ("https://a.example/v1", "/v1", "https://a.example"),
            ("https://a.example:8443/api/v1/", "/v1", "https://a.example:8443/api"),
            ("http://a.example/v1/messages", "/v1/messages", "http://a.example"),
            ("http://a.example//V1//Messages//", "/V1/Messages", "http://a.example"),
            ("http://a.example/x/v1/chat/completions", "/v1/chat/completions", "http://a.example/x"),
            ("http://[::1]:9/v1/messages/count_tokens", "/v1/messages/count_tokens", "http://[::1]:9"),
        ] {
            let told = told(url).unwrap_or_else(|| panic!("{url}"));
            assert!(told.ends_with(&format!("leave {end} out, and write {right}")), "{url}: {told}");
        }
        for fine in ["https://a.example", "https://a.example/api", "https://v1.example/", "https://a.example/xv1"] {
            assert_eq!(told(fine), None, "{fine}");
        }
    }
}
