//! What differs between two configurations, in terms that people know: settings by key, lists by the names of their
//! entries. No secrets.

use super::super::mask::MASK;
use super::super::source::settings_reader::List;
use gateway_core::both;
use gateway_core::language::Words;
use gateway_core::redact::{is_secret_name, shapes};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Most names of one list that are told: a price list has hundreds.
const MOST_NAMES: usize = 20;
/// Most characters of a value that are told.
const MOST_CHARACTERS: usize = 120;
/// What entries of lists are called by.
const NAMES: [&str; 5] = ["name", "model", "id", "upstream", "base_url"];

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Difference {
    /// A setting has another value.
    Value {
        /// Its path.
        key: String,
        /// The value before; empty if it was not set.
        before: String,
        /// The value now; empty if it is not set.
        after: String,
    },
    /// A secret, or a file whose text is not shown, is another one.
    Hidden {
        /// What it is called.
        key: String,
    },
    /// A list has other entries.
    List {
        /// Its path.
        key: String,
        /// Names of entries that came.
        added: Vec<String>,
        /// Names of those that went.
        removed: Vec<String>,
        /// Names of those that are others now, with the keys that differ in them.
        changed: Vec<String>,
        /// Whether nothing but the order differs.
        is_reordered: bool,
    },
}

impl Difference {
    /// The key of what differs.
    pub(crate) fn key(&self) -> &str {
        match self {
            Self::Value { key, .. } | Self::Hidden { key } | Self::List { key, .. } => key,
        }
    }

    /// What differs, in words.
    pub(crate) fn words(&self) -> Words {
        let shown =
            |value: &str, not_set: &str| if value.is_empty() { not_set.to_owned() } else { short(&shapes(value)) };
        match self {
            Self::Value { key, before, after } => Words::new(
                format_args!("{key}: {} -> {}", shown(before, "(not set)"), shown(after, "(not set)")),
                format_args!("{key}：{} -> {}", shown(before, "（未设置）"), shown(after, "（未设置）")),
            ),
            Self::Hidden { key } => both!("{key}: changed ({MASK})", "{key}：已改变（{MASK}）"),
            Self::List { key, is_reordered: true, .. } => {
                both!("{key}: the same entries in another order", "{key}：条目相同，顺序不同")
            }
            Self::List { key, added, removed, changed, .. } => {
                let parts = [("added", "新增", added), ("removed", "删除", removed), ("changed", "修改", changed)];
                let parts: Vec<_> = parts.into_iter().filter(|(.., names)| !names.is_empty()).collect();
                let english: Vec<String> =
                    parts.iter().map(|(en, _, names)| format!("{en} {}", names.join(", "))).collect();
                let chinese: Vec<String> =
                    parts.iter().map(|(_, zh, names)| format!("{zh} {}", names.join("、"))).collect();
                Words::new(format_args!("{key}: {}", english.join("; ")), format_args!("{key}：{}", chinese.join("；")))
            }
        }
    }
}

/// A value of at most so many characters, in one line.
fn short(value: &str) -> String {
    let line: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST_CHARACTERS + 1).collect();
    match line.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// What differs between a list and the one in its place.
pub(super) fn of_lists(old: &List, new: &List) -> Option<Difference> {
    if old.json == new.json {
        return None;
    }
    let (before, after) = (entries(&old.json), entries(&new.json));
    let find = |list: &[(String, Value)], name: &str| list.iter().find(|(known, _)| known == name).cloned();
    let missing = |list: &[(String, Value)], other: &[(String, Value)]| {
        let names = list.iter().map(|(name, _)| name).filter(|name| find(other, name).is_none());
        bounded(names.cloned().collect())
    };
    let changed = after.iter().filter_map(|(name, entry)| {
        let (_, former) = find(&before, name)?;
        (former != *entry).then(|| match fields(&former, entry) {
            fields if fields.is_empty() => name.clone(),
            fields => format!("{name} ({})", fields.join(", ")),
        })
    });
    let (added, removed, changed) = (missing(&after, &before), missing(&before, &after), bounded(changed.collect()));
    let is_reordered = added.is_empty() && removed.is_empty() && changed.is_empty();
    Some(Difference::List { key: new.key.to_owned(), added, removed, changed, is_reordered })
}

fn bounded(mut names: Vec<String>) -> Vec<String> {
    if names.len() > MOST_NAMES {
        let left = names.len() - MOST_NAMES;
        names.truncate(MOST_NAMES);
        names.push(format!("… +{left}"));
    }
    names
}

/// The entries of a list with what each is called by; no two have one name.
fn entries(json: &str) -> Vec<(String, Value)> {
    let list = serde_json::from_str(json).unwrap_or(Value::Null);
    let list = match list {
        Value::Array(list) => list,
        Value::Object(names) => return names.into_iter().map(|(name, value)| (short(&shapes(&name)), value)).collect(),
        _ => return Vec::new(),
    };
    let mut named: Vec<(String, Value)> = Vec::new();
    for (index, entry) in list.into_iter().enumerate() {
        let text = |key: &&str| entry.get(key).and_then(Value::as_str);
        let name = NAMES.iter().find_map(text).or_else(|| entry.as_str());
        let name = name.map_or_else(|| format!("[{index}]"), |name| short(&shapes(name)));
        // The route of a key has no name of its own.
        let is_taken = named.iter().any(|(known, _)| *known == name);
        named.push((if is_taken { format!("{name} [{index}]") } else { name }, entry));
    }
    named
}

/// What differs in an entry: plain values with both of them, the rest by key.
fn fields(before: &Value, after: &Value) -> Vec<String> {
    let (Value::Object(before), Value::Object(after)) = (before, after) else { return Vec::new() };
    let keys = before.keys().chain(after.keys().filter(|key| !before.contains_key(*key)));
    let differs = |key: &&String| before.get(*key) != after.get(*key);
    keys.filter(differs).map(|key| field(key, before, after)).collect()
}

/// A key with its value before and now; `+` is one that came, and `-` one that went. Both are read in any language.
fn field(key: &str, before: &Map<String, Value>, after: &Map<String, Value>) -> String {
    let value = |map: &Map<String, Value>| map.get(key).filter(|value| !value.is_null()).cloned();
    let plain = |value: &Value| match value {
        Value::String(text) => Some(short(&shapes(text))),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    };
    // What a proxy's address holds of a password, `shapes` does not see, nor what the URL of a bot holds of its key.
    let is_shown = !is_secret_name(key) && !matches!(key, "proxy" | "keys" | "url");
    let plain = |value: &Value| plain(value).filter(|_| is_shown);
    match (value(before).as_ref(), value(after).as_ref()) {
        (None, Some(after)) => plain(after).map_or_else(|| format!("+{key}"), |after| format!("+{key} {after}")),
        (Some(before), None) => plain(before).map_or_else(|| format!("-{key}"), |before| format!("-{key} {before}")),
        (Some(before), Some(after)) => match (plain(before), plain(after)) {
            (Some(before), Some(after)) if before != after => format!("{key} {before} -> {after}"),
            _ => key.to_owned(),
        },
        (None, None) => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::source::problem::Source;
    use super::*;

    fn told(before: &str, after: &str) -> Option<String> {
        let list =
            |json: &str| List { key: "gateway.upstreams", len: 0, json: json.to_owned(), source: Source::Default };
        of_lists(&list(before), &list(after)).map(|difference| difference.words().to_string())
    }

    #[test]
    fn lists_are_told_by_the_names_of_their_entries() {
        let (a, b) = (r#"{"name":"a","priority":0}"#, r#"{"name":"b"}"#);
        assert_eq!(told(&format!("[{a},{b}]"), &format!("[{a},{b}]")), None);
        for (after, wanted) in [
            (format!("[{b},{a}]"), "gateway.upstreams: the same entries in another order"),
            (format!("[{a}]"), "gateway.upstreams: removed b"),
            (format!(r#"[{a},{b},{{"base_url":"http://c"}}]"#), "gateway.upstreams: added http://c"),
            (
                r#"[{"name":"a","priority":1,"http":"2"},{"name":"x"}]"#.to_owned(),
                "gateway.upstreams: added x; removed b; changed a (priority 0 -> 1, +http 2)",
            ),
            (format!(r#"[{{"name":"a"}},{b}]"#), "gateway.upstreams: changed a (-priority 0)"),
            (
                format!(r#"[{{"name":"a","priority":0,"url":"https://hooks.test/T0/its-key"}},{b}]"#),
                "gateway.upstreams: changed a (+url)",
            ),
            (String::new(), "gateway.upstreams: removed a, b"),
        ] {
            assert_eq!(told(&format!("[{a},{b}]"), &after).as_deref(), Some(wanted));
        }
    }

    #[test]
    fn secrets_and_what_has_a_shape_of_its_own_are_told_by_key_alone() {
        let entry = |rest: &str| format!(r#"[{{"name":"a",{rest}}}]"#);
        for (before, after, key) in [
            (r#""api_key":"one-secret""#, r#""api_key":"two-secret""#, "api_key"),
            (r#""proxy":"http://u:p@h:1""#, r#""proxy":"http://u:q@h:1""#, "proxy"),
            (r#""headers":{"set":{"A":"1"}}"#, r#""headers":{"set":{"A":"2"}}"#, "headers"),
            (r#""keys":"abc""#, r#""keys":"abd""#, "keys"),
        ] {
            let wanted = format!("gateway.upstreams: changed a ({key})");
            assert_eq!(told(&entry(before), &entry(after)), Some(wanted));
            let wanted = format!("gateway.upstreams: changed a (+{key})");
            assert_eq!(told("[{\"name\":\"a\"}]", &entry(after)), Some(wanted));
        }
        let key = "sk-ant-api03-abcdefghijklmnopqrstuvwxyz0123456789";
        let replacement = "gateway.system_prompt.replacement".to_owned();
        let value = Difference::Value { key: replacement, before: String::new(), after: format!("say {key}") };
        assert!(!value.words().to_string().contains(key), "{value:?}");
        let told = told("[]", &format!(r#"[{{"name":"{key}"}}]"#)).expect("a difference");
        assert!(!told.contains(key), "{told}");
    }

    #[test]
    fn what_is_told_is_short_and_of_one_line() {
        let many: Vec<String> = (0..30).map(|n| format!(r#"{{"model":"m{n}"}}"#)).collect();
        let told = told("[]", &format!("[{}]", many.join(","))).expect("a difference");
        assert!(told.ends_with("m18, m19, … +10"), "{told}");
        let value = Difference::Value { key: "k".to_owned(), before: String::new(), after: "ä\n".repeat(200) };
        let told = value.words().to_string();
        assert!(told.starts_with("k: (not set) -> ä ä") && told.ends_with('…') && told.chars().count() < 150, "{told}");
    }
}
