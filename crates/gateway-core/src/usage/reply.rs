//! A whole reply, of which only what is wanted becomes values: a megabyte of brackets would take fifty.

use super::error_shape::{self, Said};
use super::tools::Tools;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Longest text of a member that is looked into; none of those that are wanted comes near.
const MEMBER_BYTES: usize = 64 * 1024;

/// What a whole reply is.
#[derive(Debug)]
pub(super) enum Whole {
    /// A message, or an object of another kind that does not say that anything failed.
    Good(Box<Reply>),
    /// An error.
    Error(Said),
    /// JSON that says nothing, or no JSON.
    Nothing,
}

/// What is wanted of a reply.
#[derive(Debug, Default)]
pub(super) struct Reply {
    /// `model`.
    pub model: Value,
    /// `usage`.
    pub usage: Value,
    /// `stop_reason`.
    pub stop_reason: Value,
    /// `input_transformations`.
    pub input_transformations: Value,
    /// How many blocks of its content are uses of tools.
    pub tool_uses: u32,
    /// Which tools.
    pub tools: Tools,
    /// Whether one is thinking.
    pub thinks: bool,
}

#[derive(Default)]
struct Members<'t> {
    kind: Option<&'t RawValue>,
    error: Option<&'t RawValue>,
    model: Option<&'t RawValue>,
    usage: Option<&'t RawValue>,
    stop_reason: Option<&'t RawValue>,
    input_transformations: Option<&'t RawValue>,
    content: Option<&'t RawValue>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Member {
    Type,
    Error,
    Model,
    Usage,
    StopReason,
    InputTransformations,
    Content,
    #[serde(other)]
    Other,
}

/// Of a member that is there twice the last one counts, as for JavaScript and Python.
impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Members::default();
        while let Some(member) = map.next_key::<Member>()? {
            let place = match member {
                Member::Type => &mut members.kind,
                Member::Error => &mut members.error,
                Member::Model => &mut members.model,
                Member::Usage => &mut members.usage,
                Member::StopReason => &mut members.stop_reason,
                Member::InputTransformations => &mut members.input_transformations,
                Member::Content => &mut members.content,
                Member::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *place = map.next_value()?;
        }
        Ok(members)
    }
}

impl Members<'_> {
    /// Whether it is a message, as far as its members tell.
    fn is_message(&self) -> bool {
        let is_list = self.content.is_some_and(|content| content.get().starts_with('['));
        self.error.is_none() && (is_list || self.kind.is_some_and(|kind| kind.get() == "\"message\""))
    }
}

impl Whole {
    /// Reads it. Bytes that are no text are read as clients do: as a mark in the place of each.
    pub(super) fn read(text: &[u8]) -> Self {
        match serde_json::from_slice::<Members<'_>>(text) {
            Ok(members) => Self::of(text, &members),
            Err(_) => match String::from_utf8_lossy(text) {
                Cow::Owned(mended) => serde_json::from_str::<Members<'_>>(&mended)
                    .map_or_else(|_| Self::of_no_object(text), |members| Self::of(mended.as_bytes(), &members)),
                Cow::Borrowed(_) => Self::of_no_object(text),
            },
        }
    }

    fn of(text: &[u8], members: &Members<'_>) -> Self {
        if !members.is_message() && text.len() <= MEMBER_BYTES {
            let value: Value = serde_json::from_slice(text).unwrap_or_default();
            if let Some(error) = error_shape::in_success(&value) {
                return Self::Error(error);
            }
            // Nothing is there but what says nothing.
            let says_nothing = |value: &Value| value.is_null() || *value == Value::Object(serde_json::Map::new());
            if value.as_object().is_none_or(|members| members.values().all(says_nothing)) {
                return Self::Nothing;
            }
        }
        let blocks = members
            .content
            .and_then(|content| serde_json::Deserializer::from_str(content.get()).deserialize_seq(Blocks).ok());
        let Content { tool_uses, tools, thinks } = blocks.unwrap_or_default();
        Self::Good(Box::new(Reply {
            model: small(members.model),
            usage: small(members.usage),
            stop_reason: small(members.stop_reason),
            input_transformations: small(members.input_transformations),
            tool_uses,
            tools,
            thinks,
        }))
    }

    /// A list may hold an error; nothing else says anything.
    fn of_no_object(text: &[u8]) -> Self {
        let value = Some(text).filter(|text| text.len() <= MEMBER_BYTES).map(serde_json::from_slice::<Value>);
        match value {
            Some(Ok(value)) => error_shape::in_success(&value).map_or(Self::Nothing, Self::Error),
            _ => Self::Nothing,
        }
    }
}

fn small(member: Option<&RawValue>) -> Value {
    let text = member.map(RawValue::get).filter(|text| text.len() <= MEMBER_BYTES);
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// Counts uses of tools and finds thinking, without keeping any block.
struct Blocks;

/// What is in them.
#[derive(Default)]
struct Content {
    tool_uses: u32,
    tools: Tools,
    thinks: bool,
}

#[derive(Deserialize)]
struct Block<'t> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'t RawValue>,
    #[serde(borrow)]
    name: Option<&'t RawValue>,
}

impl Block<'_> {
    fn is_a(&self, kind: &str) -> bool {
        self.kind.is_some_and(|of| of.get().ends_with(kind))
    }
}

impl<'de> Visitor<'de> for Blocks {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("blocks of content")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut blocks: A) -> Result<Content, A::Error> {
        let mut content = Content::default();
        while let Some(block) = blocks.next_element::<Block<'_>>()? {
            content.thinks |= block.is_a("thinking\"");
            if block.is_a("tool_use\"") {
                content.tool_uses = content.tool_uses.saturating_add(1);
                let name = block.name.and_then(|name| serde_json::from_str::<Cow<'_, str>>(name.get()).ok());
                content.tools.add(&name.unwrap_or_default());
            }
        }
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(text: &str) -> Box<Reply> {
        match Whole::read(text.as_bytes()) {
            Whole::Good(reply) => reply,
            other => panic!("{other:?}: {text}"),
        }
    }

    #[test]
    fn what_clients_can_read_is_a_message() {
        let twice = good(r#"{"type":"message","model":"a","content":[],"usage":{"output_tokens":5},"model":"x"}"#);
        assert_eq!((twice.model, twice.usage), ("x".into(), serde_json::json!({ "output_tokens": 5 })));
        let text = b"{\"type\":\"message\",\"model\":\"x\",\"content\":[{\"type\":\"text\",\"text\":\"\xff\"}]}";
        assert!(matches!(Whole::read(text), Whole::Good(reply) if reply.model == "x"));
        assert!(matches!(Whole::read(b"{\"type\":\"message\",\"text\":\"\xff\""), Whole::Nothing));
    }

    #[test]
    fn what_is_wanted_is_found_wherever_it_stands() {
        let reply = good(
            r#" {"content":[{"text":"[{","type":"text"},{"type":"tool_use"},{"type":"server_tool_use"},{}],
                "usage":{"input_tokens":1},"x":[[]],"model":"m","stop_reason":null} "#,
        );
        assert_eq!((&reply.model, &reply.usage["input_tokens"], reply.tool_uses), (&"m".into(), &1.into(), 2));
        assert!(reply.stop_reason.is_null());
    }

    #[test]
    fn what_is_too_large_or_of_another_kind_says_nothing() {
        let large =
            format!(r#"{{"usage":[{}0],"content":[{}0],"model":"m"}}"#, "0,".repeat(50_000), "0,".repeat(50_000));
        let reply = good(&large);
        assert_eq!((reply.usage, reply.tool_uses, reply.model), (Value::Null, 0, "m".into()));
    }

    #[test]
    fn an_error_is_one_although_it_came_as_a_success() {
        for (text, kind, message) in [
            (r#"{"type":"error","error":{"type":"api_error","message":"no"}}"#, Some("api_error"), Some("no")),
            (r#"{"content":[],"error":{"type":"x"}}"#, Some("x"), None),
            (r#"[{"error":"no"}]"#, None, Some("no")),
        ] {
            match Whole::read(text.as_bytes()) {
                Whole::Error(said) => assert_eq!((said.kind.as_deref(), said.message.as_deref()), (kind, message)),
                other => panic!("{other:?}: {text}"),
            }
        }
        // A message may well speak of errors.
        for text in [
            r#"{"type":"message","content":[{"type":"text","text":"{\"error\":1}"}],"status":"error"}"#,
            r#"{"type":"message","error":null,"content":[]}"#,
            r#"{"from":"a"}"#,
        ] {
            good(text);
        }
    }

    #[test]
    fn what_says_nothing_is_no_reply() {
        for text in
            ["", "[", "[]", "1", "null", "{}", r#"{"data":null}"#, r#"{"data":{}}"#, "{\"model\":}", "{} x", "no"]
        {
            assert!(matches!(Whole::read(text.as_bytes()), Whole::Nothing), "{text}");
        }
    }
}
