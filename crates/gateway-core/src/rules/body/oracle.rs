//! What body actions mean, on parsed values: written a second time, plainly, to compare with.
//!
//! Used by the property tests and by the fuzz target `rules_body`.

use crate::rules::body::system::IDENTITIES;
use crate::rules::body::{BodyAction, Mode, NewName, Outcome, System, Target, model_of, touches_cached_prefix};
use crate::rules::document::{Document, Ends, Json, Written};
use crate::rules::glob::Glob;
use regex::Regex;
use serde_json::{Value, json};

/// An action as a user would write it.
#[derive(Clone, Debug)]
pub enum Step {
    /// Mode, target, text.
    System(Mode, Block, String),
    /// Globs and names.
    Model(Vec<(String, String)>),
    /// Pointer and JSON text.
    Set(String, String),
    /// Pointer and JSON text.
    Default(String, String),
    /// Pointer.
    Remove(String),
    /// Blanks.
    Compact,
}

/// A target as a user would write it.
#[derive(Clone, Debug)]
pub enum Block {
    /// The first.
    First,
    /// The identity.
    Identity,
    /// The last.
    Last,
    /// By index.
    Index(usize),
    /// By a regular expression.
    Matching(String),
}

const MODES: [Mode; 7] = [
    Mode::Replace,
    Mode::Prepend,
    Mode::Append,
    Mode::InsertIfMissing,
    Mode::InsertOrReplace,
    Mode::EnsureList,
    Mode::Remove,
];
const TEXTS: [&str; 6] = ["new \"text\"\n\\ 中 \u{1F600}", "", "Claude Code", "hi", IDENTITIES[0], IDENTITIES[1]];
const EXPRESSIONS: [&str; 4] = ["hi", "^You are", "(?i)claude", "中|^$"];
const TOKENS: [&str; 14] =
    ["system", "0", "text", "model", "-", "a", "tools", "1", "", "cache_control", "a~1b", "m~0n", "中", "00"];
const VALUES: [&str; 9] = [
    "null",
    "1.50E+1",
    "\"\\u4e2d x\"",
    "[]",
    "{}",
    "[ 1 , {\"text\" : \"hi\", \"a\":[2]} ]",
    "{\"a\":{\"0\":true},\"a\":[[]]}",
    "\"claude-opus\"",
    "{\"type\":\"text\",\"text\":\"hi\"}",
];
const GLOBS: [&str; 6] = ["*", "claude-*", "claude-?pus*", "", "*中?", "a*b*c"];

/// Steps chosen by bytes, which are used up; at most six.
pub fn steps_from(choices: &mut impl Iterator<Item = u8>) -> Vec<Step> {
    let count = choices.next().unwrap_or(0) % 7;
    (0..count).map(|_| step_from(choices)).collect()
}

fn step_from(choices: &mut impl Iterator<Item = u8>) -> Step {
    let mut next = || usize::from(choices.next().unwrap_or(0));
    let kind = next();
    if kind % 8 < 3 {
        let block = match next() {
            n if n % 5 == 0 => Block::First,
            n if n % 5 == 1 => Block::Identity,
            n if n % 5 == 2 => Block::Last,
            n if n % 5 == 3 => Block::Index(n / 5 % 4),
            n => Block::Matching(EXPRESSIONS[n / 5 % EXPRESSIONS.len()].to_owned()),
        };
        return Step::System(MODES[next() % MODES.len()], block, TEXTS[next() % TEXTS.len()].to_owned());
    }
    if kind % 8 == 3 {
        let pairs = 1 + next() % 2;
        return Step::Model((0..pairs).map(|n| (GLOBS[next() % GLOBS.len()].to_owned(), format!("m{n}"))).collect());
    }
    let pointer: String = (0..next() % 5).map(|_| format!("/{}", TOKENS[next() % TOKENS.len()])).collect();
    let value = VALUES[next() % VALUES.len()].to_owned();
    match kind % 8 {
        4 | 5 => Step::Set(pointer, value),
        6 => Step::Default(pointer, value),
        _ if kind % 16 == 7 => Step::Compact,
        _ => Step::Remove(pointer),
    }
}

/// The step as a compiled action.
pub fn compiled(step: &Step) -> BodyAction {
    let pointer = |text: &String| text.parse().expect("a pointer");
    let json = |text: &String| Json::parse(text).expect("JSON");
    match step {
        Step::System(mode, block, text) => {
            let target = match block {
                Block::First => Target::First,
                Block::Identity => Target::Identity,
                Block::Last => Target::Last,
                Block::Index(index) => Target::Index(*index),
                Block::Matching(text) => Target::Matching(Regex::new(text).expect("a regular expression")),
            };
            BodyAction::System(System::new(*mode, target, text))
        }
        Step::Model(names) => {
            BodyAction::Model(names.iter().map(|(glob, name)| (Glob::new(glob), NewName::new(name))).collect())
        }
        Step::Set(at, text) => BodyAction::Set(pointer(at), json(text)),
        Step::Default(at, text) => BodyAction::Default(pointer(at), json(text)),
        Step::Remove(at) => BodyAction::Remove(pointer(at)),
        Step::Compact => BodyAction::Compact,
    }
}

/// What the step means on a parsed value.
pub fn act(step: &Step, value: &mut Value) {
    match step {
        Step::System(mode, block, text) => {
            system(*mode, block, text, value);
        }
        Step::Model(names) => {
            if let Some(Value::String(model)) = value.as_object_mut().and_then(|root| root.get_mut("model"))
                && let Some((_, name)) = names
                    .iter()
                    .find(|(glob, _)| is_match(&glob.chars().collect::<Vec<_>>(), &model.chars().collect::<Vec<_>>()))
            {
                *model = name.clone();
            }
        }
        Step::Set(at, text) => set(value, &path(at), &parsed(text), true),
        Step::Default(at, text) => set(value, &path(at), &parsed(text), false),
        Step::Remove(at) => {
            let path = path(at);
            let Some((last, parents)) = path.split_last() else { return };
            let parent = parents.iter().try_fold(value, |value, token| child(value, token));
            match parent {
                Some(Value::Object(members)) => drop(members.remove(last)),
                Some(Value::Array(list)) => {
                    if let Some(index) = index(last).filter(|index| *index < list.len()) {
                        list.remove(index);
                    }
                }
                _ => {}
            }
        }
        Step::Compact => {}
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn path(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~")).collect()
}

fn index(token: &str) -> Option<usize> {
    let index: usize = token.parse().ok()?;
    (index.to_string() == token).then_some(index)
}

fn child<'v>(value: &'v mut Value, token: &str) -> Option<&'v mut Value> {
    match value {
        Value::Object(members) => members.get_mut(token),
        Value::Array(list) => list.get_mut(index(token)?),
        _ => None,
    }
}

fn set(value: &mut Value, path: &[String], new: &Value, overwrite: bool) {
    let Some((token, rest)) = path.split_first() else {
        if overwrite {
            *value = new.clone();
        }
        return;
    };
    if child(value, token).is_some() {
        return set(child(value, token).expect("it is there"), rest, new, overwrite);
    }
    let made = rest.iter().rev().fold(new.clone(), |inner, token| match token.as_str() {
        "-" => json!([inner]),
        _ => json!({ token: inner }),
    });
    match value {
        Value::Object(members) => drop(members.insert(token.clone(), made)),
        Value::Array(list) if token == "-" => list.push(made),
        _ => {}
    }
}

fn system(mode: Mode, block: &Block, text: &str, value: &mut Value) -> Option<()> {
    let root = value.as_object_mut()?;
    if mode == Mode::EnsureList {
        let ours = match text {
            "" => json!([]),
            _ => json!([{"type": "text", "text": text}]),
        };
        let listed = match root.get("system") {
            None if text.is_empty() => return None,
            None | Some(Value::Null) => ours,
            Some(Value::String(old)) if old.trim().is_empty() => ours,
            Some(Value::String(old)) => json!([{"type": "text", "text": old}]),
            Some(Value::Array(list)) if list.is_empty() => ours,
            Some(_) => return None,
        };
        root.insert("system".to_owned(), listed);
        return Some(());
    }
    let blocks = root.get_mut("system")?.as_array_mut()?;
    let text_of = |block: &Value| block.as_object().and_then(|block| block.get("text")?.as_str().map(str::to_owned));
    let find = |passes: &dyn Fn(String) -> bool| blocks.iter().position(|block| text_of(block).is_some_and(passes));
    let found = match block {
        Block::First => Some(0),
        Block::Last => blocks.len().checked_sub(1),
        Block::Index(index) => Some(*index),
        Block::Identity => find(&|text| IDENTITIES.iter().any(|identity| text.starts_with(identity))),
        Block::Matching(regex) => {
            let regex = Regex::new(regex).expect("a regular expression");
            find(&|text| regex.is_match(&text))
        }
    };
    let mut found = found.filter(|found| *found < blocks.len());
    let is_attribution = |text: &str| text.starts_with("x-anthropic-billing-header:");
    let behind = usize::from(blocks.first().and_then(text_of).is_some_and(|text| is_attribution(&text)));
    if matches!(mode, Mode::InsertIfMissing | Mode::InsertOrReplace) {
        if let Block::First = block {
            let first = text_of(blocks.first()?)?;
            found = match behind {
                0 => first.to_lowercase().contains("claude code").then_some(0),
                _ => (blocks.get(1).and_then(text_of).as_deref() == Some(text)).then_some(1),
            };
        }
        match found {
            None => {
                let new = json!({"type": "text", "text": text, "cache_control": {"type": "ephemeral"}});
                blocks.insert(behind, new);
                return Some(());
            }
            Some(_) if mode == Mode::InsertIfMissing => return None,
            Some(_) => {}
        }
    }
    let found = found?;
    if mode == Mode::Remove {
        blocks.remove(found);
        return Some(());
    }
    let old = text_of(&blocks[found])?;
    if matches!(mode, Mode::Prepend | Mode::Append) && is_attribution(&old) {
        return None;
    }
    blocks[found]["text"] = Value::from(match mode {
        _ if text.is_empty() && matches!(mode, Mode::Prepend | Mode::Append) => old,
        Mode::Prepend if !old.is_empty() => format!("{text}\n\n{old}"),
        Mode::Append if !old.is_empty() => format!("{old}\n\n{text}"),
        _ => text.to_owned(),
    });
    Some(())
}

fn is_match(glob: &[char], text: &[char]) -> bool {
    match (glob.split_first(), text.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => is_match(rest, text) || !text.is_empty() && is_match(glob, &text[1..]),
        (Some((wanted, rest)), Some((found, text))) => (*wanted == '?' || wanted == found) && is_match(rest, text),
        _ => false,
    }
}

/// Compares everything that can be said about these steps on this text.
///
/// # Panics
/// When something does not hold.
pub fn check(body: &[u8], steps: &[Step]) {
    let value: Result<Value, _> = serde_json::from_slice(body);
    let Ok(mut document) = Document::parse(body) else {
        assert!(value.is_err(), "valid JSON was refused");
        return;
    };
    if let Err(error) = &value {
        // Valid by the grammar, but not to be held in a Value.
        let error = error.to_string();
        let known = ["surrogate", "hex escape", "out of range", "recursion limit"];
        assert!(known.iter().any(|known| error.contains(known)), "invalid JSON was accepted: {error}");
    }
    assert!(!document.is_changed() && document.edits().is_empty());
    assert_eq!(document.to_bytes(), body);

    let actions: Vec<BodyAction> = steps.iter().map(compiled).collect();
    let mut outcomes = Vec::new();
    for action in &actions {
        let before = document.to_bytes();
        let outcome = action.apply(&mut document);
        if outcome.is_err() {
            assert_eq!(document.to_bytes(), before, "{action:?} changed something and says {outcome:?}");
        }
        outcomes.push(outcome);
    }
    let changed = document.to_bytes();
    assert_eq!(changed.capacity(), changed.len());
    assert_eq!(document.is_changed(), changed != body);
    let written = document.written(Vec::with_capacity);
    assert_eq!(written.is_some(), document.is_changed());
    if let Some(Written { bytes, ends: Ends { front, back } }) = written {
        assert_eq!(bytes, changed);
        assert_eq!(bytes[..front], body[..front]);
        assert_eq!(bytes[bytes.len() - back..], body[body.len() - back..]);
    }
    let mut again = Document::parse(body).expect("as before");
    assert_eq!(apply(&actions, &mut again), outcomes);
    assert_eq!(again.to_bytes(), changed);
    check_edits(body, &document, &changed);

    let reparsed = Document::parse(&changed).expect("still JSON");
    assert_eq!(model_of(&reparsed), model_of(&document));
    touches_cached_prefix(&document);
    if let Some(last) = steps.iter().rposition(|step| matches!(step, Step::Compact)) {
        assert_eq!(actions[last].apply(&mut document).err().map(|error| error.name()), Some("same"));
    }

    let Ok(mut expected) = value else { return };
    for (step, outcome) in steps.iter().zip(&outcomes) {
        let before = expected.clone();
        act(step, &mut expected);
        assert!(outcome.is_ok() || before == expected, "{step:?} says {outcome:?}");
    }
    let got: Value = serde_json::from_slice(&changed).expect("still JSON");
    assert_eq!(got, expected, "{}", String::from_utf8_lossy(&changed));
    for step in steps {
        let (Step::Set(at, _) | Step::Default(at, _) | Step::Remove(at)) = step else { continue };
        let got = document.get(&at.parse().expect("a pointer")).map(|text| parsed(&text));
        assert_eq!(got.as_ref(), expected.pointer(at), "{at}");
    }
}

/// Applies the actions in their order; each sees what those before it did. One outcome for each.
pub fn apply<'a>(actions: &'a [BodyAction], document: &mut Document<'a>) -> Vec<Outcome> {
    actions.iter().map(|action| action.apply(document)).collect()
}

fn check_edits(body: &[u8], document: &Document<'_>, changed: &[u8]) {
    let mut spliced = Vec::new();
    let mut at = 0;
    for (number, edit) in document.edits().iter().enumerate() {
        assert!(edit.span.start > at || number == 0, "edits touch or are out of order");
        spliced.extend_from_slice(&body[at..edit.span.start]);
        spliced.extend_from_slice(edit.replacement.as_bytes());
        at = edit.span.end;
    }
    spliced.extend_from_slice(&body[at..]);
    assert_eq!(spliced, changed);
}
