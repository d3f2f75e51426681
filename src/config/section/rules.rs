//! Rules as the operator writes them -> compiled rules.

use super::built_in::is_built_in;
use super::headers::refuse_name;
use super::rule_match;
use crate::config::source::bounds;
use crate::config::source::environment::Lookup;
use crate::config::source::message::Message;
use crate::config::source::node_reader::NodeReader;
use crate::config::source::problem::near;
use crate::config::source::value;
use gateway_core::rules::body::{BodyAction, Mode, NewName, System, Target};
use gateway_core::rules::document::{Json, Pointer};
use gateway_core::rules::glob::Glob;
use gateway_core::rules::header::{ApiKeyField, CasedName, HeaderOp};
use gateway_core::rules::query::QueryOp;
use gateway_core::rules::rule::{Respond, Rule};
use gateway_core::rules::template::{Template, TemplateError};
use http::header::HOST;
use marked_yaml::Node;
use std::cell::Cell;

/// Keys of a rule.
pub(crate) const RULE_KEYS: [&str; 9] =
    ["name", "enabled", "match", "headers", "api_key", "query", "body", "response_headers", "respond"];
/// Keys of `headers`.
const HEADER_KEYS: [&str; 7] = ["set", "add", "default", "remove", "rename", "list_add", "list_remove"];
/// Keys of `body`.
const BODY_KEYS: [&str; 6] = ["system", "model", "set", "default", "remove", "compact"];

/// What rules may name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    /// Names of upstreams that `match` may ask for; `None` if any name will do.
    pub upstreams: Option<&'a [String]>,
    /// Whether these are the gateway's own rules, whose names nobody else may take.
    pub is_built_in: bool,
}

/// The rules of a list.
#[derive(Debug, Default)]
pub(crate) struct List {
    /// Those that are on, in order.
    pub on: Vec<Rule>,
    /// Names of those that are off.
    pub off: Vec<String>,
}

/// Reads a list of rules. Mistakes are noted in `reading`; a rule with one is left out.
pub(crate) fn read(reading: &mut NodeReader<'_, '_>, list: &Node, at: &str, known: Known<'_>) -> List {
    let mut rules = List::default();
    for (index, node) in reading.bounded_list(list, at, bounds::RULES).into_iter().enumerate() {
        let at = format!("{at}[{index}]");
        let Some((rule, is_enabled)) = read_rule(reading, node, &at, known) else { continue };
        if rules
            .on
            .iter()
            .map(|other| &*other.name)
            .chain(rules.off.iter().map(String::as_str))
            .any(|name| *name == *rule.name)
        {
            reading.wrong(node, "", Message::RuleTwice { name: rule.name.to_string() });
        }
        match is_enabled {
            true => rules.on.push(rule),
            false => rules.off.push(rule.name.to_string()),
        }
    }
    rules
}

fn read_rule(reading: &mut NodeReader<'_, '_>, node: &Node, at: &str, known: Known<'_>) -> Option<(Rule, bool)> {
    let before = reading.problems();
    let mut rule = Rule::default();
    let mut is_enabled = true;
    let mut does_something = false;
    for (key, value) in reading.entries(node, at, &RULE_KEYS) {
        let at = format!("{at}.{key}");
        does_something |= !matches!(key.as_str(), "name" | "enabled" | "match");
        match key.as_str() {
            "name" => rule.name = reading.parse(value, &at, value::text).unwrap_or_default().into(),
            "enabled" => is_enabled = reading.parse(value, &at, value::boolean).unwrap_or(true),
            // An empty one is for all requests.
            "match" if value.as_mapping().is_some_and(|match_all| match_all.is_empty()) => {}
            "match" => rule.matcher = rule_match::read(reading, value, &at, known.upstreams),
            "headers" => rule.headers.extend(read_headers(reading, value, &at, &HEADER_KEYS)),
            "api_key" => rule.headers.extend(read_api_key(reading, value, &at)),
            "query" => rule.query = read_query(reading, value, &at),
            "body" => rule.body = read_body(reading, value, &at),
            "response_headers" => rule.response = read_headers(reading, value, &at, &["set", "add", "remove"]),
            "respond" => rule.respond = read_respond(reading, value, &at),
            _ => {}
        }
    }
    if node.as_mapping().is_some_and(|entry| entry.get_node("name").is_none()) {
        reading.wrong(node, at, Message::RuleName);
    }
    if reading.problems() > before {
        return None;
    }
    if !known.is_built_in && is_built_in(&rule.name) {
        reading.wrong(node, at, Message::RuleNameTaken { name: rule.name.to_string() });
    }
    if !does_something {
        reading.wrong(node, at, Message::RuleChangesNothing);
    }
    if rule.respond.is_some() && rule.matcher.needs_upstream() {
        reading.wrong(node, at, Message::RespondBeforeUpstream);
    }
    (reading.problems() == before).then_some((rule, is_enabled))
}

fn read_headers(reading: &mut NodeReader<'_, '_>, node: &Node, at: &str, keys: &[&str]) -> Vec<HeaderOp> {
    let mut ops = Vec::new();
    for (key, value) in reading.entries(node, at, keys) {
        let at = format!("{at}.{key}");
        if key == "remove" {
            let names = reading.parse_each(value, &at, |text| header_name(text, &key));
            ops.extend(names.into_iter().map(|name| HeaderOp::Remove(name.name)));
            continue;
        }
        for (name, value) in reading.any_entries(value, &at) {
            let at = format!("{at}.{name}");
            let name = match header_name(&name, &key) {
                Ok(name) => name,
                Err(what) => {
                    reading.wrong(value, &at, what);
                    continue;
                }
            };
            match key.as_str() {
                "rename" => {
                    let to = reading.parse(value, &at, |text| header_name(text, &key));
                    ops.extend(to.map(|to| HeaderOp::Rename(name.name, to)));
                }
                "list_add" => ops.push(HeaderOp::ListAdd(name, templates(reading, value, &at))),
                "list_remove" => ops.push(HeaderOp::ListRemove(name, templates(reading, value, &at))),
                _ => {
                    let Some(template) = template(reading, value, &at, &name) else { continue };
                    ops.push(match key.as_str() {
                        "add" => HeaderOp::Add(name, template),
                        "default" => HeaderOp::Default(name, template),
                        _ => HeaderOp::Set(name, template),
                    });
                }
            }
        }
    }
    ops
}

fn template(reading: &mut NodeReader<'_, '_>, node: &Node, at: &str, name: &CasedName) -> Option<Template> {
    let env = reading.env();
    reading.parse_key(node, at, |text| {
        let (template, was_cut) = parse_template(text, env)?;
        match template.fixed_text() {
            Some(host) if name.name == HOST && !gateway_core::http1::is_host(host.as_bytes()) => Err(Message::NotAHost),
            _ => Ok((template, was_cut)),
        }
    })
}

fn templates(reading: &mut NodeReader<'_, '_>, node: &Node, at: &str) -> Vec<Template> {
    let env = reading.env();
    reading.parse_keys(node, at, |text| parse_template(text, env))
}

/// A text for a header; and whether something around the value of a variable was cut off.
fn parse_template(text: &str, env: Lookup<'_>) -> Result<(Template, bool), Message> {
    let was_cut = Cell::new(false);
    let bare = |name: &str| {
        let mut value = env(name)?;
        was_cut.set(was_cut.get() | value::cut(&mut value));
        Some(value)
    };
    let template = Template::parse(text, &bare).map_err(of_template)?;
    match template.can_be_sent() {
        true => Ok((template, was_cut.get())),
        false => Err(Message::ValueControls),
    }
}

fn of_template(error: TemplateError) -> Message {
    match error {
        TemplateError::BraceMissing => Message::BraceMissing,
        TemplateError::NotAHeaderName(name) => Message::NotAHeaderName { name },
        TemplateError::NotSet(name) => Message::VariableNotSet { name },
        TemplateError::Unknown(name) => Message::UnknownPlaceholder { name },
    }
}

/// The name of a field that may be changed by this kind of change. A request has one `Host`: it can only be set.
fn header_name(text: &str, change: &str) -> Result<CasedName, Message> {
    let name = CasedName::new(text).map_err(|_| Message::NotAHeaderName { name: text.to_owned() })?;
    refuse_name(text)?;
    match name.name == HOST && change != "set" {
        true => Err(Message::HostOnlySet),
        false => Ok(name),
    }
}

fn read_api_key(reading: &mut NodeReader<'_, '_>, node: &Node, at: &str) -> Option<HeaderOp> {
    // The value is not repeated: it may be a key that was meant for an upstream.
    let field = reading.parse(node, at, |text| match text {
        "bearer" => Ok(Some(ApiKeyField::Bearer)),
        "x-api-key" => Ok(Some(ApiKeyField::XApiKey)),
        "keep" => Ok(None),
        _ => Err(Message::ApiKeyField { near: near(text, ["bearer", "x-api-key", "keep"]) }),
    });
    field?.map(HeaderOp::ApiKey)
}

fn read_query(reading: &mut NodeReader<'_, '_>, node: &Node, at: &str) -> Vec<QueryOp> {
    let mut ops = Vec::new();
    for (key, value) in reading.entries(node, at, &["set", "remove"]) {
        let at = format!("{at}.{key}");
        if key == "remove" {
            ops.extend(reading.texts(value, &at).into_iter().map(QueryOp::Remove));
            continue;
        }
        for (name, value) in reading.any_entries(value, &at) {
            let value = reading.parse_empty(value, &format!("{at}.{name}"));
            ops.extend(value.map(|value| QueryOp::Set(name, value)));
        }
    }
    ops
}

fn read_body(reading: &mut NodeReader<'_, '_>, node: &Node, at: &str) -> Vec<BodyAction> {
    let mut actions = Vec::new();
    for (key, value) in reading.entries(node, at, &BODY_KEYS) {
        let at = format!("{at}.{key}");
        match key.as_str() {
            "system" => {
                let nodes: Vec<&Node> = value.as_sequence().map_or_else(|| vec![value], |list| list.iter().collect());
                for node in nodes {
                    actions.extend(read_system(reading, node, &at).map(BodyAction::System));
                }
            }
            "model" => {
                let mut names = Vec::new();
                for (pattern, name) in reading.any_entries(value, &at) {
                    let glob = Glob::new(&pattern);
                    let name = reading.parse(name, &format!("{at}.{pattern}"), |name| new_name(&glob, name));
                    names.extend(name.map(|name| (glob, name)));
                }
                actions.push(BodyAction::Model(names));
            }
            "remove" => {
                let pointers = reading.parse_each(value, &at, pointer);
                actions.extend(pointers.into_iter().map(BodyAction::Remove));
            }
            "compact" => {
                if reading.parse(value, &at, value::boolean) == Some(true) {
                    actions.push(BodyAction::Compact);
                }
            }
            _ => {
                for (place, json) in reading.any_entries(value, &at) {
                    let parsed = pointer(&place);
                    let text = reading.json(json);
                    let json_value = match Json::parse(&text) {
                        Ok(value) => value,
                        Err(error) => {
                            reading.wrong(json, &at, Message::NotJson { said: error.to_string() });
                            continue;
                        }
                    };
                    match parsed {
                        Ok(pointer) if key == "default" => actions.push(BodyAction::Default(pointer, json_value)),
                        Ok(pointer) => actions.push(BodyAction::Set(pointer, json_value)),
                        Err(what) => reading.wrong(json, &at, what),
                    }
                }
            }
        }
    }
    actions
}

/// Another name for a model; a star in it stands for what the star of the glob stands for.
fn new_name(glob: &Glob, name: &str) -> Result<NewName, Message> {
    match name.matches('*').count() {
        0 => Ok(NewName::new(name)),
        1 if glob.has_one_star() => Ok(NewName::new(name)),
        _ => Err(Message::NameStar),
    }
}

fn pointer(text: &str) -> Result<Pointer, Message> {
    let pointer: Pointer = text.parse().map_err(|error: gateway_core::rules::document::PointerError| {
        Message::NotAPointer { said: error.to_string() }
    })?;
    if pointer.is_root() { Err(Message::PointerRoot) } else { Ok(pointer) }
}

fn read_system(reading: &mut NodeReader<'_, '_>, node: &Node, at: &str) -> Option<System> {
    let modes = [
        ("replace", Mode::Replace),
        ("prepend", Mode::Prepend),
        ("append", Mode::Append),
        ("insert_if_missing", Mode::InsertIfMissing),
        ("ensure_list", Mode::EnsureList),
        ("remove", Mode::Remove),
    ];
    let before = reading.problems();
    let (mut mode, mut target, mut text) = (None, Target::First, None);
    let mut is_marked = true;
    for (key, value) in reading.entries(node, at, &["mode", "target", "text", "cache_control"]) {
        let at = format!("{at}.{key}");
        match key.as_str() {
            "mode" => mode = reading.parse(value, &at, |text| value::choice(text, &modes)),
            "target" => target = read_target(reading, value, &at)?,
            "cache_control" => is_marked = reading.parse(value, &at, value::boolean)?,
            _ => text = reading.parse(value, &at, value::text),
        }
    }
    if reading.problems() > before {
        return None;
    }
    let Some(mode) = mode else {
        reading.wrong(node, at, Message::ModeMissing);
        return None;
    };
    if text.is_none() && !matches!(mode, Mode::EnsureList | Mode::Remove) {
        reading.wrong(node, at, Message::TextMissing);
        return None;
    }
    let system = System::new(mode, target, text.as_deref().unwrap_or_default());
    Some(if is_marked { system } else { system.unmarked() })
}

fn read_target(reading: &mut NodeReader<'_, '_>, node: &Node, at: &str) -> Option<Target> {
    if node.as_mapping().is_some() {
        let (key, value) = reading.entries(node, at, &["index", "matching"]).into_iter().next()?;
        let at = format!("{at}.{key}");
        if key == "index" {
            let index = reading.parse(value, &at, |text| value::number(text, 0..=10_000))?;
            return Some(Target::Index(usize::try_from(index).unwrap_or(usize::MAX)));
        }
        let left = std::mem::take(&mut reading.left);
        let regex = reading.parse(value, &at, |text| left.text_regex(text));
        reading.left = left;
        return regex.map(Target::Matching);
    }
    let names = ["first", "identity", "last"];
    match reading.parse(node, at, |text| value::choice(text, &names.map(|name| (name, name))))? {
        "first" => Some(Target::First),
        "identity" => Some(Target::Identity),
        _ => Some(Target::Last),
    }
}

fn read_respond(reading: &mut NodeReader<'_, '_>, node: &Node, at: &str) -> Option<Respond> {
    let mut respond = Respond { status: 200, headers: Vec::new(), body: String::new() };
    for (key, value) in reading.entries(node, at, &["status", "headers", "body"]) {
        let at = format!("{at}.{key}");
        match key.as_str() {
            "status" => {
                let status = reading.parse(value, &at, |text| value::number(text, 200..=599))?;
                respond.status = u16::try_from(status).ok()?;
            }
            "headers" => {
                for (name, value) in reading.any_entries(value, &at) {
                    let at = format!("{at}.{name}");
                    let name = header_name(&name, "set").map_err(|what| reading.wrong(value, &at, what)).ok();
                    let text =
                        reading.parse(value, &at, |text| match gateway_core::http1::is_field_value(text.as_bytes()) {
                            true => Ok(text.to_owned()),
                            false => Err(Message::ValueControls),
                        });
                    respond.headers.extend(name.zip(text));
                }
            }
            // A text is sent as it is, anything else as JSON.
            _ if value.as_scalar().is_some() => respond.body = reading.parse_empty(value, &at).unwrap_or_default(),
            _ => respond.body = reading.json(value),
        }
    }
    if !respond.body.is_empty() && matches!(respond.status, 204 | 205 | 304) {
        reading.wrong(node, at, Message::NoBodyWithStatus { status: u64::from(respond.status) });
    }
    if !respond.body.is_empty() && !respond.headers.iter().any(|(name, _)| name.name == http::header::CONTENT_TYPE) {
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&respond.body).is_ok();
        let kind = if is_json { "application/json" } else { "text/plain; charset=utf-8" };
        respond.headers.extend(CasedName::new("Content-Type").ok().map(|name| (name, kind.to_owned())));
    }
    Some(respond)
}
