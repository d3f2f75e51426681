//! Which models a request asks for, whoever reads it: a token that may use some models only must not get others by a member
//! that stands twice, or that another program reads as the same.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// The members of a request that name its model, or others for when that one fails: one, or several in a list.
const MEMBERS: [&str; 5] = ["model", "models", "fallback_model", "fallback_models", "fallbacks"];

/// All models that the top level of a body names. Programs differ in which of two members counts; some, such as those in
/// Go, do not tell upper from lower case in names, and for some a name ends at its first NUL. `None` if the body is no object
/// in JSON, or a model no text.
pub fn models(body: &[u8]) -> Option<Vec<String>> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let named = reader.deserialize_map(Models).ok()?;
    reader.end().ok().map(|()| named)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Named {
    One(String),
    Several(Vec<Choice>),
}

/// A model in a list, which may stand there with settings of its own.
#[derive(Deserialize)]
#[serde(untagged)]
enum Choice {
    Name(String),
    Object { model: String },
}

impl Choice {
    fn model(self) -> String {
        match self {
            Self::Name(model) | Self::Object { model } => model,
        }
    }
}

struct Models;

impl<'de> Visitor<'de> for Models {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Vec<String>, A::Error> {
        let mut models = Vec::new();
        while let Some(name) = members.next_key::<Cow<'de, str>>()? {
            let name = name.split('\0').next().unwrap_or_default();
            match MEMBERS.iter().any(|member| name.eq_ignore_ascii_case(member)) {
                true => match members.next_value()? {
                    Named::One(model) => models.push(model),
                    Named::Several(all) => models.extend(all.into_iter().map(Choice::model)),
                },
                false => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(models)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_that_somebody_could_read_is_named() {
        for (body, expected) in [
            (r#"{"model":"a","messages":[{"model":"x"}]}"#, Some(&["a"][..])),
            (r#"{"model":"a","model":"b"}"#, Some(&["a", "b"])),
            (r#"{"mod\u0065l":"a","MODEL":"b"}"#, Some(&["a", "b"])),
            (r#"{"messages":[]}"#, Some(&[])),
            (r#"{"model":"a","model\u0000x":"b"}"#, Some(&["a", "b"])),
            (
                r#"{"model":"a","models":["b","c"],"fallbacks":[{"model":"d","max_tokens":1}]}"#,
                Some(&["a", "b", "c", "d"]),
            ),
            (r#"{"model":"a","fallback_model":"b"}"#, Some(&["a", "b"])),
            (r#"{"model":"a","fallbacks":[{"max_tokens":1}]}"#, None),
            (r#"{"model":1}"#, None),
            (r#"{"model":null}"#, None),
            (r#"["model"]"#, None),
            (r#"{"model":"a"} {"model":"b"}"#, None),
            (r#"{"model":"a""#, None),
            ("model=a", None),
            ("", None),
        ] {
            let expected = expected.map(|names| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
            assert_eq!(models(body.as_bytes()), expected, "{body}");
        }
    }
}
