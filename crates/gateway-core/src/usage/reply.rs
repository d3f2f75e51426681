//! A whole reply, of which only what is wanted becomes values: a megabyte of brackets would take fifty.

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;

/// Longest text of a member that is looked into; none of those that are wanted comes near.
const MEMBER_BYTES: usize = 64 * 1024;

/// What is wanted of a reply.
#[derive(Debug, Default)]
pub struct Reply {
    /// `error`.
    pub error: Value,
    /// `model`.
    pub model: Value,
    /// `usage`.
    pub usage: Value,
    /// `stop_reason`.
    pub stop_reason: Value,
    /// How many blocks of its content are uses of tools.
    pub tool_uses: u32,
}

#[derive(Deserialize)]
struct Members<'t> {
    #[serde(borrow)]
    error: Option<&'t RawValue>,
    #[serde(borrow)]
    model: Option<&'t RawValue>,
    #[serde(borrow)]
    usage: Option<&'t RawValue>,
    #[serde(borrow)]
    stop_reason: Option<&'t RawValue>,
    #[serde(borrow)]
    content: Option<&'t RawValue>,
}

impl Reply {
    /// Reads it; `None` if it is not a JSON object.
    pub fn read(text: &[u8]) -> Option<Self> {
        let members: Members<'_> = serde_json::from_slice(text).ok()?;
        let tools = members
            .content
            .and_then(|content| serde_json::Deserializer::from_str(content.get()).deserialize_seq(ToolUses).ok());
        Some(Self {
            error: small(members.error),
            model: small(members.model),
            usage: small(members.usage),
            stop_reason: small(members.stop_reason),
            tool_uses: tools.unwrap_or_default(),
        })
    }
}

fn small(member: Option<&RawValue>) -> Value {
    let text = member.map(RawValue::get).filter(|text| text.len() <= MEMBER_BYTES);
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// Counts blocks without keeping any.
struct ToolUses;

#[derive(Deserialize)]
struct Block<'t> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'t RawValue>,
}

impl<'de> Visitor<'de> for ToolUses {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("blocks of content")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut blocks: A) -> Result<u32, A::Error> {
        let mut count = 0_u32;
        while let Some(block) = blocks.next_element::<Block<'_>>()? {
            let is_tool_use = block.kind.is_some_and(|kind| kind.get().ends_with("tool_use\""));
            count = count.saturating_add(u32::from(is_tool_use));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_found_wherever_it_stands() {
        let reply = Reply::read(
            br#" {"content":[{"text":"[{","type":"text"},{"type":"tool_use"},{"type":"server_tool_use"},{}],
                "usage":{"input_tokens":1},"x":[[]],"model":"m","stop_reason":null} "#,
        )
        .expect("an object");
        assert_eq!((&reply.model, &reply.usage["input_tokens"], reply.tool_uses), (&"m".into(), &1.into(), 2));
        assert!(reply.stop_reason.is_null() && reply.error.is_null());
        for none in ["", "[", "[]", "1", "{\"model\":}", "{} x"] {
            assert!(Reply::read(none.as_bytes()).is_none(), "{none}");
        }
    }

    #[test]
    fn what_is_too_large_or_of_another_kind_says_nothing() {
        let large =
            format!(r#"{{"usage":[{}0],"content":[{}0],"model":"m"}}"#, "0,".repeat(50_000), "0,".repeat(50_000));
        let reply = Reply::read(large.as_bytes()).expect("an object");
        assert_eq!((reply.usage, reply.tool_uses, reply.model), (Value::Null, 0, "m".into()));
    }
}
