//! Texts with names in them: `${header.x}`, `${env.X}`, `${client.ip}`, `${request.id}`, and of the client token `${user}`,
//! `${group}`, `${token}`.

use super::matcher::Facts;
use crate::http1::is_field_value;
use http::{HeaderName, HeaderValue};
use std::fmt;

/// A text that is completed for each request.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
    is_secret: bool,
}

/// Not the text: it may hold a key.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Template")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Header(HeaderName),
    ClientIp,
    RequestId,
    User,
    Group,
    Token,
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// A `}` is missing after `${`.
    BraceMissing,
    /// This is no header name.
    NotAHeaderName(String),
    /// The environment variable with this name is not set.
    NotSet(String),
    /// No placeholder has this name.
    Unknown(String),
}

impl Template {
    /// Reads a template; `env` gives the values of `${env.X}`, which are fixed from then on. `$${` stands for `${`.
    ///
    /// # Errors
    /// When a name is unknown, a variable is not set, or a brace is missing.
    pub fn parse(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut is_secret = false;
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                literal.push_str(&rest[..at - 1]);
                literal.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            literal.push_str(&rest[..at]);
            let (name, after) = rest[at + 2..].split_once('}').ok_or(TemplateError::BraceMissing)?;
            let part = match name.split_once('.') {
                Some(("header", name)) => Part::Header(
                    HeaderName::from_bytes(name.as_bytes())
                        .map_err(|_| TemplateError::NotAHeaderName(name.to_owned()))?,
                ),
                Some(("env", name)) => Part::Text(
                    env(name)
                        .filter(|value| !value.is_empty())
                        .ok_or_else(|| TemplateError::NotSet(name.to_owned()))?,
                ),
                Some(("client", "ip")) => Part::ClientIp,
                Some(("request", "id")) => Part::RequestId,
                None if name == "user" => Part::User,
                None if name == "group" => Part::Group,
                None if name == "token" => Part::Token,
                _ => {
                    return Err(TemplateError::Unknown(name.to_owned()));
                }
            };
            match part {
                Part::Text(value) => {
                    is_secret = true;
                    literal.push_str(&value);
                }
                part => {
                    if !literal.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut literal)));
                    }
                    parts.push(part);
                }
            }
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts, is_secret })
    }

    /// A text without names in it that nobody is to see.
    pub fn secret(text: &str) -> Self {
        Self { parts: vec![Part::Text(text.to_owned())], is_secret: true }
    }

    /// The text, if nothing in it depends on the request.
    pub fn fixed_text(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// What is fixed in it.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// Whether a value in it comes from the environment or from a file of secrets.
    pub fn is_secret(&self) -> bool {
        self.is_secret
    }

    /// Whether what is fixed in it can stand in a field value.
    pub fn can_be_sent(&self) -> bool {
        self.parts.iter().all(|part| match part {
            Part::Text(text) => is_field_value(text.as_bytes()),
            _ => true,
        })
    }

    /// The text for this request; what is not known is empty.
    pub fn render(&self, facts: &Facts<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => bytes.extend_from_slice(text.as_bytes()),
                Part::Header(name) => {
                    bytes.extend_from_slice(facts.headers.get(name).map_or(&[][..], HeaderValue::as_bytes));
                }
                Part::ClientIp => {
                    if let Some(client) = facts.client {
                        bytes.extend_from_slice(client.to_string().as_bytes());
                    }
                }
                Part::RequestId => bytes.extend_from_slice(facts.request_id.as_bytes()),
                Part::User => bytes.extend_from_slice(facts.holder.map_or("", |holder| &holder.user).as_bytes()),
                Part::Group => {
                    let group = facts.holder.and_then(|holder| holder.group.as_deref());
                    bytes.extend_from_slice(group.unwrap_or_default().as_bytes());
                }
                Part::Token => bytes.extend_from_slice(facts.holder.map_or("", |holder| &holder.token).as_bytes()),
            }
        }
        bytes
    }

    /// The text as a field value; marked as sensitive if it comes from the environment or a file of secrets.
    pub fn header_value(&self, facts: &Facts<'_>) -> Option<HeaderValue> {
        let mut value = match self.fixed_text() {
            Some(text) => HeaderValue::from_bytes(text.as_bytes()),
            None => HeaderValue::from_bytes(&self.render(facts)),
        }
        .ok()?;
        value.set_sensitive(self.is_secret);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::super::matcher::facts_for_tests;
    use super::*;
    use crate::holder::Holder;

    fn env(name: &str) -> Option<String> {
        (name == "KEY").then(|| "k".to_owned())
    }

    #[test]
    fn names_are_filled_in() {
        let headers = http::HeaderMap::from_iter([(HeaderName::from_static("x-a"), HeaderValue::from_static("1"))]);
        let facts = facts_for_tests("GET", "/", &headers);
        let render =
            |text: &str| String::from_utf8(Template::parse(text, &env).expect(text).render(&facts)).expect("text");
        assert_eq!(render("plain"), "plain");
        assert_eq!(render("<${header.X-A}${env.KEY}${header.none}>"), "<1k>");
        assert_eq!(render("${client.ip} ${request.id}"), "127.0.0.1 req_1");
        assert_eq!(render("$${env.KEY} $5"), "${env.KEY} $5");
        assert_eq!(render("<${user}${group}${token}>"), "<>");
        let holder = Holder { user: "alice".into(), group: Some("dev".into()), token: "tok_1".into() };
        let template = Template::parse("${user}/${group}/${token}", &env).expect("a template");
        assert_eq!(template.render(&Facts { holder: Some(&holder), ..facts }), b"alice/dev/tok_1");
    }

    #[test]
    fn what_cannot_be_filled_in_is_refused_at_load() {
        for bad in ["${", "${x}", "${header.a b}", "${env.NONE}", "${client.port}", "${user.name}", "a ${env"] {
            assert!(Template::parse(bad, &env).is_err(), "{bad}");
        }
    }
}
