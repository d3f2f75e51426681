//! Changes of header fields.

use super::matcher::Facts;
use super::template::Template;
use crate::http1::list_members;
use http::header::AUTHORIZATION;
use http::header::InvalidHeaderName;
use http::{HeaderMap, HeaderName, HeaderValue};

/// A field name as the operator wrote it, for HTTP/1.1 upstreams, and as it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CasedName {
    /// In the operator's case.
    pub cased: String,
    /// In lower case.
    pub name: HeaderName,
}

impl CasedName {
    /// A field name.
    ///
    /// # Errors
    /// When the text is no field name.
    pub fn new(text: &str) -> Result<Self, InvalidHeaderName> {
        Ok(Self { cased: text.to_owned(), name: HeaderName::from_bytes(text.as_bytes())? })
    }
}

/// One change of a message's fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderOp {
    /// The field has this value, whatever it had before.
    Set(CasedName, Template),
    /// One more field line with this value.
    Add(CasedName, Template),
    /// This value if the field is not there.
    Default(CasedName, Template),
    /// The field goes.
    Remove(HeaderName),
    /// The field's values stand under another name.
    Rename(HeaderName, CasedName),
    /// The comma list has these members; what is there already is not added.
    ListAdd(CasedName, Vec<Template>),
    /// The comma list does not have these members.
    ListRemove(CasedName, Vec<Template>),
    /// The client's key stands in this field alone.
    ApiKey(ApiKeyField),
}

/// In which field the client's key goes to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiKeyField {
    /// `Authorization: Bearer KEY`
    Bearer,
    /// `x-api-key: KEY`
    XApiKey,
}

/// The fields of a message that is being changed.
pub trait Fields {
    /// What is there now.
    fn map(&self) -> &HeaderMap;
    /// One field line in place of all of this name.
    fn set(&mut self, name: &CasedName, value: HeaderValue);
    /// One more field line.
    fn append(&mut self, name: &CasedName, value: HeaderValue);
    /// No field line of this name.
    fn remove(&mut self, name: &HeaderName);
}

impl HeaderOp {
    /// Makes the change. A template that gives no field value changes nothing.
    pub fn apply(&self, fields: &mut impl Fields, facts: &Facts<'_>) {
        match self {
            Self::Set(name, value) => {
                if let Some(value) = value.header_value(facts) {
                    fields.set(name, value);
                }
            }
            Self::Add(name, value) => {
                if let Some(value) = value.header_value(facts) {
                    fields.append(name, value);
                }
            }
            Self::Default(name, value) => {
                if !fields.map().contains_key(&name.name)
                    && let Some(value) = value.header_value(facts)
                {
                    fields.set(name, value);
                }
            }
            Self::Remove(name) => fields.remove(name),
            Self::Rename(from, to) => {
                let values: Vec<HeaderValue> = fields.map().get_all(from).iter().cloned().collect();
                if !values.is_empty() {
                    fields.remove(from);
                    fields.remove(&to.name);
                }
                for value in values {
                    fields.append(to, value);
                }
            }
            Self::ListAdd(name, members) => {
                let mut list = joined(fields.map(), &name.name);
                let before = list.len();
                for member in list_members(&rendered(members, facts)) {
                    if !contains(&list, member) {
                        if !list.is_empty() {
                            list.push(b',');
                        }
                        list.extend_from_slice(member);
                    }
                }
                // One field with all members: some relays read only one line.
                if list.len() > before || fields.map().get_all(&name.name).iter().count() > 1 {
                    set_bytes(fields, name, &list);
                }
            }
            Self::ListRemove(name, members) => {
                let list = joined(fields.map(), &name.name);
                let gone = rendered(members, facts);
                if list_members(&gone).any(|member| contains(&list, member)) {
                    let left: Vec<&[u8]> = list_members(&list).filter(|there| !contains(&gone, there)).collect();
                    match left.is_empty() {
                        true => fields.remove(&name.name),
                        false => set_bytes(fields, name, &left.join(&b","[..])),
                    }
                }
            }
            Self::ApiKey(field) => move_api_key(*field, fields),
        }
    }
}

/// All lines of a list field as one list.
fn joined(map: &HeaderMap, name: &HeaderName) -> Vec<u8> {
    map.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b","[..])
}

/// The members that the templates stand for, as one list; one template may stand for several.
fn rendered(members: &[Template], facts: &Facts<'_>) -> Vec<u8> {
    let mut list = Vec::new();
    for member in members {
        list.extend_from_slice(&member.render(facts));
        list.push(b',');
    }
    list
}

fn contains(list: &[u8], member: &[u8]) -> bool {
    list_members(list).any(|there| there.eq_ignore_ascii_case(member))
}

fn set_bytes(fields: &mut impl Fields, name: &CasedName, bytes: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(bytes) {
        fields.set(name, value);
    }
}

/// Moves the client's key into the wanted field, where it then stands alone. Credentials of another scheme are no key:
/// without a key everything stays.
fn move_api_key(to: ApiKeyField, fields: &mut impl Fields) {
    const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
    let map = fields.map();
    let not_empty = |key: &&[u8]| !key.is_empty();
    let in_authorization = || map.get_all(AUTHORIZATION).iter().find_map(|value| key_in(value.as_bytes()));
    let in_x_api_key = || map.get_all(&X_API_KEY).iter().map(HeaderValue::as_bytes).find(not_empty);
    let (wanted, other, value) = match to {
        ApiKeyField::Bearer => {
            let Some(key) = in_authorization().or_else(in_x_api_key) else { return };
            ("Authorization", X_API_KEY, [b"Bearer ", key].concat())
        }
        ApiKeyField::XApiKey => {
            let Some(key) = in_x_api_key().or_else(in_authorization) else { return };
            ("x-api-key", AUTHORIZATION, key.to_vec())
        }
    };
    let Ok(wanted) = CasedName::new(wanted) else { return };
    let is_there = map.get_all(&wanted.name).iter().map(HeaderValue::as_bytes).eq([&value[..]]);
    if !is_there && let Ok(mut value) = HeaderValue::from_bytes(&value) {
        value.set_sensitive(true);
        fields.set(&wanted, value);
    }
    fields.remove(&other);
}

/// The key in an `Authorization: Bearer KEY`, or `Authorization: KEY`: a key without a scheme is one too.
pub fn key_in(value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii();
    let alone = (!value.contains(&b' ') && !value.eq_ignore_ascii_case(b"bearer")).then_some(value);
    bearer(value).or(alone).filter(|key| !key.is_empty())
}

/// The key in an `Authorization: Bearer KEY`.
pub fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| key.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::super::matcher::facts_for_tests;
    use super::*;

    impl Fields for HeaderMap {
        fn map(&self) -> &HeaderMap {
            self
        }
        fn set(&mut self, name: &CasedName, value: HeaderValue) {
            self.insert(&name.name, value);
        }
        fn append(&mut self, name: &CasedName, value: HeaderValue) {
            HeaderMap::append(self, &name.name, value);
        }
        fn remove(&mut self, name: &HeaderName) {
            HeaderMap::remove(self, name);
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            HeaderMap::append(&mut map, *name, HeaderValue::from_static(value));
        }
        map
    }

    fn name(text: &str) -> CasedName {
        CasedName::new(text).expect("a name")
    }

    fn text(text: &str) -> Template {
        Template::parse(text, &|_| None).expect("a template")
    }

    fn changed(op: &HeaderOp, before: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut map = headers(before);
        let original = map.clone();
        op.apply(&mut map, &facts_for_tests("GET", "/", &original));
        map.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect()
    }

    #[test]
    fn fields_are_set_added_and_removed() {
        let two = [("a", "1"), ("a", "2")];
        assert_eq!(changed(&HeaderOp::Set(name("A"), text("x${header.a}")), &two), ["a: x1"]);
        assert_eq!(changed(&HeaderOp::Add(name("A"), text("3")), &two), ["a: 1", "a: 2", "a: 3"]);
        assert_eq!(changed(&HeaderOp::Default(name("A"), text("3")), &two), ["a: 1", "a: 2"]);
        assert_eq!(changed(&HeaderOp::Default(name("B"), text("3")), &[]), ["b: 3"]);
        assert_eq!(changed(&HeaderOp::Remove(name("A").name), &two), [""; 0]);
        assert_eq!(changed(&HeaderOp::Rename(name("A").name, name("B")), &two), ["b: 1", "b: 2"]);
        assert_eq!(changed(&HeaderOp::Rename(name("X").name, name("A")), &two), ["a: 1", "a: 2"]);
    }

    #[test]
    fn lists_have_no_doubles_and_keep_their_order() {
        let add = HeaderOp::ListAdd(name("beta"), vec![text("b"), text("c")]);
        assert_eq!(changed(&add, &[("beta", "a, B")]), ["beta: a, B,c"]);
        assert_eq!(changed(&add, &[("beta", "a"), ("beta", "b")]), ["beta: a,b,c"]);
        assert_eq!(changed(&add, &[("beta", "c,b")]), ["beta: c,b"]);
        assert_eq!(changed(&add, &[("beta", "c"), ("beta", "b")]), ["beta: c,b"]);
        assert_eq!(changed(&add, &[]), ["beta: b,c"]);
        let remove = HeaderOp::ListRemove(name("beta"), vec![text("b")]);
        assert_eq!(changed(&remove, &[("beta", "a, B ,c")]), ["beta: a,c"]);
        assert_eq!(changed(&remove, &[("beta", "b")]), [""; 0]);
        assert_eq!(changed(&remove, &[("beta", "a ,c")]), ["beta: a ,c"]);
    }

    #[test]
    fn the_key_moves_to_the_wanted_field() {
        let to_bearer = HeaderOp::ApiKey(ApiKeyField::Bearer);
        assert_eq!(changed(&to_bearer, &[("x-api-key", "k")]), ["authorization: Bearer k"]);
        assert_eq!(
            changed(&to_bearer, &[("x-api-key", "k"), ("authorization", "Bearer l")]),
            ["authorization: Bearer l"]
        );
        assert_eq!(
            changed(&to_bearer, &[("x-api-key", "k"), ("authorization", "Basic l")]),
            ["authorization: Bearer k"]
        );
        assert_eq!(changed(&to_bearer, &[("authorization", "l")]), ["authorization: Bearer l"]);
        assert_eq!(changed(&to_bearer, &[("authorization", "Basic l")]), ["authorization: Basic l"]);
        assert_eq!(changed(&to_bearer, &[]), [""; 0]);
        for nothing in ["Bearer", "Bearer ", "bearer   ", ""] {
            assert_eq!(
                changed(&to_bearer, &[("x-api-key", "k"), ("authorization", nothing)]),
                ["authorization: Bearer k"],
                "{nothing}"
            );
        }
        let to_key = HeaderOp::ApiKey(ApiKeyField::XApiKey);
        assert_eq!(changed(&to_key, &[("authorization", "bearer k")]), ["x-api-key: k"]);
        assert_eq!(changed(&to_key, &[("authorization", "Basic k")]), ["authorization: Basic k"]);
    }
}
