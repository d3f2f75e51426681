//! Which web pages may send requests that the gateway adds a key to: `gateway.allow_origins`.

use crate::config::source::message::Message;

use crate::config::source::setting::{Setting, settings};

settings! {
    ALLOW_ORIGINS: AllowOrigins = Setting::list(
        "gateway.allow_origins",
        "",
        AllowOrigins::parse,
        "Comma list of web pages (https://host) that may send requests without a key of their own, or *: without \
         it, a page of another site gets 403 where the gateway would add a key.",
        "可以不带自己的密钥发请求的网页（https://host，用逗号分隔，* 表示任意网页）。如果网关会替请求加上密钥，来自其他网页的这类请求一律返回 403。",
    )
    .env(&["ALLOW_ORIGINS"]);
}

/// The origins of such pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowOrigins {
    any: bool,
    /// In lower case, without the port that goes without saying.
    listed: Vec<String>,
}

impl AllowOrigins {
    /// Origins (`https://host`, `http://host:port`), or `*` for any; commas between.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, Message> {
        let mut origins = Self::default();
        for origin in text.split(',').map(str::trim).filter(|origin| !origin.is_empty()) {
            match origin {
                "*" => origins.any = true,
                // Pages of any site can hide theirs.
                "null" => return Err(Message::NullOrigin),
                _ => origins.listed.push(
                    normal(origin)
                        .filter(|_| is_origin(origin))
                        .ok_or_else(|| Message::NotAnOrigin { text: origin.to_owned() })?,
                ),
            }
        }
        Ok(origins)
    }

    /// Whether any page may.
    pub fn allow_any(&self) -> bool {
        self.any
    }

    /// Whether the page of this origin is one of them.
    pub fn allows(&self, origin: &str) -> bool {
        self.any || normal(origin).is_some_and(|origin| self.listed.contains(&origin))
    }

    /// Whether pages of a host that a client names may do so, whatever their scheme.
    pub fn allows_host(&self, authority: &str) -> bool {
        let at = |scheme: &str| self.allows(&format!("{scheme}://{authority}"));
        at("http") || at("https")
    }
}

/// A scheme, and a host without a path.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let is_web = matches!(scheme, "http" | "https");
    is_scheme && (gateway_core::http1::is_host(authority.as_bytes()) || authority.is_empty() && !is_web)
}

/// In lower case, without the port that goes without saying; `None` if there is no scheme.
fn normal(origin: &str) -> Option<String> {
    let origin = origin.to_ascii_lowercase();
    let (scheme, _) = origin.split_once("://")?;
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    Some(origin.strip_suffix(port).filter(|_| !port.is_empty()).map(str::to_owned).unwrap_or(origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_as_browsers_write_them() {
        let origins = AllowOrigins::parse("https://Chat.example:443, http://localhost:3000,app://obsidian.md,file://")
            .expect("a list");
        for listed in [
            "https://chat.example",
            "https://CHAT.example:443",
            "http://localhost:3000",
            "app://obsidian.md",
            "file://",
        ] {
            assert!(origins.allows(listed), "{listed}");
        }
        for other in [
            "http://chat.example",
            "https://chat.example:8443",
            "http://localhost",
            "null",
            "",
            "https://a.chat.example",
        ] {
            assert!(!origins.allows(other), "{other}");
        }
        assert!(origins.allows_host("chat.example") && !origins.allows_host("localhost"));
        assert!(AllowOrigins::parse("*").expect("any").allows("null"));
        assert!(!AllowOrigins::parse("").expect("none").allows("null"));
        for bad in ["chat.example", "https://chat.example/", "https://", "null", "https://a b", "://a"] {
            assert!(AllowOrigins::parse(bad).is_err(), "{bad}");
        }
    }
}
