//! Thinking that comes back in a conversation: what of it is taken out, and what the API is asked to do with blocks that
//! fit no more. Nothing else of the body changes.
//!
//! What the API demands is Anthropic's documentation of preserved thinking, as of 2026-11-27: a block is bound to
//! `system`, `tools`, the messages before it and the thinking block before it, so that the blocks that stay must be an
//! unbroken run of those that there were. Who takes one out takes those after it too, as the API itself does.

use super::document::{Container, Document, Json, NoChange, Node, unquoted};
use std::borrow::Cow;

/// Where a block stands: `messages.{message}.content.{block}`, as the API counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which message.
    pub message: usize,
    /// Which block of its content.
    pub block: usize,
}

/// What stands in a turn that would have nothing left: the API takes no empty turn, and no text that is blank. It is what
/// Claude Code itself puts there.
const NOTHING_LEFT: &str = r#"{"type":"text","text":"(no content)"}"#;
/// What the API is asked to do with blocks that fit no more.
const DROP: &str = r#""drop_block""#;
/// Where that is said, and how its name ends in all versions of the API.
const BEHAVIOR: &str = "prefix_mismatch_behavior";
const ANY_BEHAVIOR: &str = "mismatch_behavior";

/// Whether thinking may come back in a body: whether a member of it is `"thinking"` or `"redacted_thinking"`. What texts say
/// does not count, as quotes are escaped there.
pub fn may_come_back(body: &[u8]) -> bool {
    memchr::memmem::find_iter(body, b"thinking\"").any(|at| {
        let before = body[..at].strip_suffix(b"redacted_").unwrap_or(&body[..at]);
        before.strip_suffix(b"\"").is_some_and(|before| before.trim_ascii_end().ends_with(b":"))
    })
}

/// Takes out the thinking block at `first` and all that come after it; all of them if there is none at that place, or none
/// is named. How many there were. Where the API wants the last turn to begin with thinking, it is told not to think.
pub fn take_out(document: &mut Document<'_>, first: Option<Place>) -> u32 {
    let Some(messages) = messages(document) else { return 0 };
    let is_there = |place: &Place| {
        place.message < messages.len()
            && content(messages.at(place.message))
                .is_some_and(|blocks| place.block < blocks.len() && is_thinking(blocks.at(place.block)))
    };
    let first = first.filter(is_there);
    let mut count = 0;
    for message in first.map_or(0, |place| place.message)..messages.len() {
        let Some(blocks) = content(messages.at(message)) else { continue };
        let mut was_any = false;
        for block in (0..blocks.len()).rev() {
            let is_after = first.is_none_or(|first| first <= Place { message, block });
            if is_after && is_thinking(blocks.at(block)) {
                blocks.remove(block);
                was_any = true;
                count += 1;
            }
        }
        if was_any && blocks.len() == 0 {
            blocks.insert(0, Json::trusted(NOTHING_LEFT.to_owned()));
        }
    }
    if count > 0 && wants_thinking(document) {
        think_no_more(document);
    }
    count
}

/// Asks the API to drop the blocks that fit no more, instead of refusing the request: if it thinks adaptively, if there
/// are such blocks, and if the client does not ask for one of both itself.
///
/// # Errors
/// Why nothing changed.
pub fn ask_to_drop(document: &mut Document<'_>) -> Result<(), NoChange> {
    let thinking = member(document, "thinking").and_then(Node::object).ok_or(NoChange::Absent)?;
    if text(thinking, "type").as_deref() != Some("adaptive") {
        return Err(NoChange::NoPlace);
    }
    if let Some(index) = thinking.find("block_binding") {
        let binding = thinking.at(index).object_or(NoChange::NoPlace)?;
        if [BEHAVIOR, ANY_BEHAVIOR].iter().any(|name| binding.find(name).is_some()) {
            return Err(NoChange::Present);
        }
    }
    if !comes_back(document) {
        return Err(NoChange::Absent);
    }
    let thinking = member(document, "thinking").and_then(Node::object).ok_or(NoChange::Absent)?;
    match thinking.find("block_binding") {
        Some(index) => thinking.at(index).object_or(NoChange::NoPlace)?.add(BEHAVIOR, Json::trusted(DROP.to_owned())),
        None => thinking.add("block_binding", Json::trusted(format!(r#"{{"{BEHAVIOR}":{DROP}}}"#))),
    }
    Ok(())
}

/// Whether any thinking block comes back.
pub fn comes_back(document: &mut Document<'_>) -> bool {
    let Some(messages) = messages(document) else { return false };
    // Those of the newest turn are the likeliest.
    (0..messages.len()).rev().any(|message| {
        content(messages.at(message)).is_some_and(|blocks| (0..blocks.len()).any(|block| is_thinking(blocks.at(block))))
    })
}

/// Whether the API would refuse the request for want of thinking: with a budget (`enabled`), the turn whose tools were
/// used last must begin with it. Adaptive thinking knows no such rule.
fn wants_thinking(document: &mut Document<'_>) -> bool {
    let thinking = member(document, "thinking").and_then(Node::object);
    if thinking.and_then(|thinking| text(thinking, "type")).as_deref() != Some("enabled") {
        return false;
    }
    let Some(messages) = messages(document) else { return false };
    let last_with = |messages: &mut Container<'_>, role: &str| {
        (0..messages.len()).rev().find(|&index| {
            messages.at(index).object().and_then(|message| text(message, "role")).as_deref() == Some(role)
        })
    };
    let (Some(turn), Some(results)) = (last_with(messages, "assistant"), last_with(messages, "user")) else {
        return false;
    };
    let is_open = results > turn && holds(messages.at(results), "tool_result");
    is_open
        && holds(messages.at(turn), "tool_use")
        && content(messages.at(turn)).is_some_and(|blocks| !is_thinking(blocks.at(0)))
}

/// No thinking, and no edit of a context that only works with it.
fn think_no_more(document: &mut Document<'_>) {
    if let Some(thinking) = member(document, "thinking") {
        // It was `enabled`, so this changes it.
        let _ = thinking.replace(Json::trusted(r#"{"type":"disabled"}"#.to_owned()));
    }
    let Some(management) = member(document, "context_management").and_then(Node::object) else { return };
    let Some(edits) = management.find("edits").and_then(|index| management.at(index).list()) else { return };
    for index in (0..edits.len()).rev() {
        let kind = edits.at(index).object().and_then(|edit| text(edit, "type"));
        if kind.is_some_and(|kind| kind.starts_with("clear_thinking")) {
            edits.remove(index);
        }
    }
}

fn messages<'d, 'a>(document: &'d mut Document<'a>) -> Option<&'d mut Container<'a>> {
    member(document, "messages")?.list()
}

fn member<'d, 'a>(document: &'d mut Document<'a>, name: &str) -> Option<&'d mut Node<'a>> {
    let root = document.root_mut().object()?;
    let index = root.find(name)?;
    Some(root.at(index))
}

/// The blocks of a message.
fn content<'n, 'a>(message: &'n mut Node<'a>) -> Option<&'n mut Container<'a>> {
    let message = message.object()?;
    let index = message.find("content")?;
    message.at(index).list()
}

fn holds(message: &mut Node<'_>, kind: &str) -> bool {
    let is_it = |block: &mut Node<'_>| kind_of(block).as_deref() == Some(kind);
    content(message).is_some_and(|blocks| (0..blocks.len()).any(|block| is_it(blocks.at(block))))
}

fn is_thinking(block: &mut Node<'_>) -> bool {
    matches!(kind_of(block).as_deref(), Some("thinking" | "redacted_thinking"))
}

fn kind_of(block: &mut Node<'_>) -> Option<String> {
    text(block.object()?, "type")
}

/// A member that is a short text.
fn text(object: &Container<'_>, name: &str) -> Option<String> {
    unquoted(object.member(name)?.quoted()?).map(Cow::into_owned)
}

#[cfg(test)]
#[path = "thinking_tests.rs"]
mod tests;
