//! Places in a JSON text, found without building its values.
//!
//! `serde_json`'s `RawValue` checks the whole document and hands out the exact text of a member, which is a slice
//! of the input: its address tells where it stands. Nothing is ever serialised again.

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// Where `part` stands in `whole`, of which it must be a slice.
pub fn span_in(whole: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start..start + part.len()
}

/// The text of the member `name` of the object `text`. Of repeated members the last counts, as in the parsers of
/// Python and JavaScript.
///
/// # Errors
/// When `text` is not valid JSON, or not an object.
pub fn member<'a>(text: &'a str, name: &str) -> serde_json::Result<Option<&'a str>> {
    struct Member<'n> {
        name: &'n str,
    }
    impl<'de> Visitor<'de> for Member<'_> {
        type Value = Option<&'de str>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
            let mut found = None;
            while let Some(Key(key)) = map.next_key()? {
                if key == self.name {
                    found = Some(map.next_value::<&RawValue>()?.get());
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(found)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let found = deserializer.deserialize_map(Member { name })?;
    deserializer.end()?;
    Ok(found)
}

/// The text of the first element of the list `text`, or `None` if it is empty.
///
/// # Errors
/// When `text` is not valid JSON, or not a list.
pub fn first_element(text: &str) -> serde_json::Result<Option<&str>> {
    struct First;
    impl<'de> Visitor<'de> for First {
        type Value = Option<&'de str>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }
        fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
            let first = seq.next_element::<&RawValue>()?.map(RawValue::get);
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok(first)
        }
    }
    serde_json::Deserializer::from_str(text).deserialize_seq(First)
}

/// An object's key; borrowed unless it has escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(key)))
            }
            fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}
