//! Changes of a request's query. Parameters that no rule names keep their bytes and their order.

use crate::http1::split_query;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use std::borrow::Cow;

/// What a parameter's name and value may hold as it is.
const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b',').remove(b':');

/// One change of the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryOp {
    /// The parameter is there once, with this value.
    Set(String, String),
    /// The parameter goes.
    Remove(String),
}

impl QueryOp {
    /// The target (path and query) with the change made.
    pub fn apply(&self, target: &[u8]) -> Vec<u8> {
        if target == b"*" {
            // The server as a whole has no query.
            return target.to_vec();
        }
        let (path, query) = split_query(target);
        let name = match self {
            Self::Set(name, _) | Self::Remove(name) => name,
        };
        let mut parameters: Vec<Cow<'_, [u8]>> = Vec::new();
        let mut new = match self {
            Self::Set(name, value) => {
                let encoded = format!("{}={}", utf8_percent_encode(name, PLAIN), utf8_percent_encode(value, PLAIN));
                Some(Cow::Owned(encoded.into_bytes()))
            }
            Self::Remove(_) => None,
        };
        for parameter in query.into_iter().flat_map(|query| query.split(|&byte| byte == b'&')) {
            if name_of(parameter) != name.as_bytes() {
                parameters.push(Cow::Borrowed(parameter));
            } else if let Some(new) = new.take() {
                parameters.push(new);
            }
        }
        // An empty query (`/path?`) is no parameter to put an & after.
        if let Some(new) = new {
            parameters.retain(|parameter| !parameter.is_empty() || query.is_some_and(|query| !query.is_empty()));
            parameters.push(new);
        }
        let mut changed = path.to_vec();
        if !parameters.is_empty() {
            changed.push(b'?');
            changed.extend_from_slice(&parameters.join(&b'&'));
        }
        changed
    }
}

/// The values of a parameter, decoded.
pub fn values<'q>(query: &'q [u8], name: &str) -> impl Iterator<Item = Cow<'q, [u8]>> {
    query.split(|&byte| byte == b'&').filter(move |parameter| name_of(parameter) == name.as_bytes()).map(|parameter| {
        let value = memchr::memchr(b'=', parameter).map_or(&[][..], |at| &parameter[at + 1..]);
        percent_decode(value).into()
    })
}

fn name_of(parameter: &[u8]) -> Cow<'_, [u8]> {
    let end = memchr::memchr(b'=', parameter).unwrap_or(parameter.len());
    percent_decode(&parameter[..end]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(op: &QueryOp, target: &str) -> String {
        String::from_utf8(op.apply(target.as_bytes())).expect("text")
    }

    #[test]
    fn a_parameter_is_set_once_in_its_place() {
        let set = QueryOp::Set("beta".to_owned(), "true".to_owned());
        for (before, after) in [
            ("/p", "/p?beta=true"),
            ("/p?", "/p?beta=true"),
            ("/p?a=1&&b", "/p?a=1&&b&beta=true"),
            ("/p?beta=true", "/p?beta=true"),
            ("/p?a&beta=false&b=%2F&be%74a=x", "/p?a&beta=true&b=%2F"),
        ] {
            assert_eq!(changed(&set, before), after, "{before}");
        }
        let odd = QueryOp::Set("a b".to_owned(), "ü&=".to_owned());
        assert_eq!(changed(&odd, "/p"), "/p?a%20b=%C3%BC%26%3D");
        assert_eq!(values(b"a%20b=%C3%BC&c", "a b").next().as_deref(), Some("ü".as_bytes()));
    }

    #[test]
    fn a_parameter_is_removed_and_the_others_stay() {
        let remove = QueryOp::Remove("beta".to_owned());
        for (before, after) in
            [("/p", "/p"), ("/p?beta=true", "/p"), ("/p?beta&a=%2f&beta=2", "/p?a=%2f"), ("/p?a&&b", "/p?a&&b")]
        {
            assert_eq!(changed(&remove, before), after, "{before}");
        }
    }
}
