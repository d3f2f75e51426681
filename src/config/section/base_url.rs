//! Where an upstream is.

use crate::config::source::message::Message;

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

/// Reads `http(s)://host[:port][/prefix]`.
///
/// # Errors
/// What is wrong with the text. It is not repeated, for it may hold a password.
pub(crate) fn parse(text: &str) -> Result<BaseUrl, Message> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_taken_apart() {
        let url = parse("https://Relay.example/api/").expect("valid");
        assert_eq!((url.tls, url.host.as_str(), url.port), (true, "relay.example", 443));
        assert_eq!((url.authority.as_str(), url.path_prefix.as_str()), ("relay.example", "/api"));
        let url = parse("http://[::1]:8080").expect("valid");
        assert_eq!((url.host.as_str(), url.port, url.authority.as_str()), ("::1", 8080, "[::1]:8080"));
        assert_eq!(url.path_prefix, "");
        for bad in ["", "anyrouter.top", "ftp://a", "http://u:p@a", "http://a/?q", "http://a/#f", "http://", "/x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
