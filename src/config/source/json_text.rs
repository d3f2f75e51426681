//! A JSON text whose parts know where they stand: members and items are slices of it.

use super::place::{offset_of, place_in};
use super::problem::Source;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// A JSON file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JsonText<'t> {
    path: &'t str,
    text: &'t str,
}

/// A member of an object.
#[derive(Debug)]
pub(crate) struct Member<'t> {
    /// Its name.
    pub name: Cow<'t, str>,
    /// The text of its value.
    pub value: &'t str,
}

/// What a part of a text is not, and where that shows.
#[derive(Debug)]
pub(crate) struct Wrong {
    /// The place.
    pub at: Source,
    /// The reader's words, without a value, which may be a key.
    pub said: String,
}

impl<'t> JsonText<'t> {
    /// The text of the file at `path`.
    pub(crate) fn new(path: &'t str, text: &'t str) -> Self {
        Self { path, text }
    }

    /// The whole of it.
    pub(crate) fn whole(&self) -> &'t str {
        self.text.trim_start()
    }

    /// Where a part of it stands.
    pub(crate) fn place(&self, part: &str) -> Source {
        self.at(self.offset(part))
    }

    /// The line in which a part of it begins.
    pub(crate) fn line_of(&self, part: &str) -> usize {
        place_in(self.text, self.offset(part)).0
    }

    /// Where the name of a member stands; its value, if the name is written with escapes.
    pub(crate) fn place_of_name(&self, member: &Member<'t>) -> Source {
        match &member.name {
            // In front of it is a quote.
            Cow::Borrowed(name) => self.at(self.offset(name).saturating_sub(1)),
            Cow::Owned(_) => self.place(member.value),
        }
    }

    /// The members of an object, in their order.
    ///
    /// # Errors
    /// When this is none.
    pub(crate) fn members(&self, part: &'t str) -> Result<Vec<Member<'t>>, Wrong> {
        serde_json::from_str(part)
            .map(|Members(members)| members)
            .map_err(|error| self.wrong(part, &error, "an object"))
    }

    /// The items of a list.
    ///
    /// # Errors
    /// When this is none.
    pub(crate) fn items(&self, part: &'t str) -> Result<Vec<&'t str>, Wrong> {
        let items: Result<Vec<&RawValue>, _> = serde_json::from_str(part);
        items
            .map(|items| items.into_iter().map(RawValue::get).collect())
            .map_err(|error| self.wrong(part, &error, "a list"))
    }

    fn wrong(&self, part: &str, error: &serde_json::Error, wanted: &str) -> Wrong {
        if error.is_data() {
            return Wrong { at: self.place(part), said: format!("this is not {wanted}") };
        }
        let within = match error.is_eof() {
            true => part.trim_end().len(),
            false => offset_of(part, error.line(), error.column()),
        };
        Wrong { at: self.at(self.offset(part) + within), said: without_place(&error.to_string()).to_owned() }
    }

    fn offset(&self, part: &str) -> usize {
        part.as_ptr().addr().saturating_sub(self.text.as_ptr().addr())
    }

    fn at(&self, offset: usize) -> Source {
        let (line, column) = place_in(self.text, offset);
        Source::File { path: self.path.to_owned(), line, column }
    }
}

/// The text of a string.
pub(crate) fn string(part: &str) -> Option<String> {
    serde_json::from_str(part).ok()
}

/// What serde_json says, but not where: its columns count bytes.
pub(crate) fn without_place(said: &str) -> &str {
    said.rsplit_once(" at line ").map_or(said, |(what, _)| what)
}

struct Members<'t>(Vec<Member<'t>>);

/// Borrowed from the text where no escape is in it.
#[derive(Deserialize)]
struct Name<'t>(#[serde(borrow)] Cow<'t, str>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    members.push(Member { name, value: value.get() });
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_items_know_their_places() {
        let text = "\n {\"中文\": [1, \"é\"],\n  \"\\u0041\": {\"b\": null}}";
        let json = JsonText::new("f", text);
        let members = json.members(json.whole()).expect("an object");
        let names: Vec<&str> = members.iter().map(|member| &*member.name).collect();
        assert_eq!(names, ["中文", "A"]);
        assert_eq!(json.place_of_name(&members[0]).to_string(), "f:2:3");
        assert_eq!(json.place(members[0].value).to_string(), "f:2:9");
        let items = json.items(members[0].value).expect("a list");
        assert_eq!((items.clone(), json.place(items[1]).to_string().as_str()), (vec!["1", "\"é\""], "f:2:13"));
        assert_eq!(json.place_of_name(&members[1]).to_string(), "f:3:13", "its value: the name has an escape");
        let within = json.members(members[1].value).expect("an object");
        assert_eq!(json.place_of_name(&within[0]).to_string(), "f:3:14");
    }

    #[test]
    fn mistakes_have_places_in_characters_and_no_values() {
        for (text, place, said) in [
            ("{\"网关\": \"网关\", x}", "f:1:14", "key must be a string"),
            ("{\"a\": 1\n \"b\": 2}", "f:2:2", "expected `,` or `}`"),
            ("{\"网\": \"关", "f:1:9", "EOF while parsing a string"),
            ("  \"sk-secret\"", "f:1:3", "this is not an object"),
            ("[1]", "f:1:1", "this is not an object"),
            ("", "f:1:1", "EOF while parsing a value"),
            ("{} x", "f:1:4", "trailing characters"),
            ("{\"a\": tru}", "f:1:10", "expected ident"),
        ] {
            let json = JsonText::new("f", text);
            let wrong = json.members(json.whole()).expect_err(text);
            assert_eq!((wrong.at.to_string().as_str(), wrong.said.as_str()), (place, said), "{text}");
        }
        let json = JsonText::new("f", "{\"a\":\n {\"b\": 1}}");
        let members = json.members(json.whole()).expect("an object");
        let wrong = json.items(members[0].value).expect_err("no list");
        assert_eq!((wrong.at.to_string().as_str(), wrong.said.as_str()), ("f:2:2", "this is not a list"));
    }
}
