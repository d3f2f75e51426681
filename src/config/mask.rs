//! Texts without their secrets: masked where they are shown, put in again where an edited text still has the mask.
//!
//! Works on YAML, and on JSON, which is YAML too. A secret is what has the name of one or looks like one, as everywhere
//! ([`gateway_core::redact`]).

mod lines;
mod locate;
mod marks;
mod texts;

use super::source::value;
use gateway_core::redact::{Needles, Secrets, is_secret_name};
use lines::{Elsewhere, Masked};
use locate::{Secret, locate};
use marked_yaml::Node;
use marked_yaml::types::MarkedScalarNode;
use marks::{FIELDS_FOR_KEYS, is_reference};

pub(super) use marks::MASK;

/// So much of a version's name follows the mask.
const TAG_LENGTH: usize = 8;
/// Which values are masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hidden {
    /// Secrets.
    Secrets,
    /// All of them: the headers file.
    Values,
}

/// A text in which secrets are looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'t> {
    /// Names the version that it is of; empty for those in force.
    pub version: &'t str,
    /// The text.
    pub text: &'t str,
}

/// What is to be hidden in a text.
#[derive(Default)]
struct Found {
    /// In its order.
    secrets: Vec<Secret>,
    /// What is secret in its texts over several lines.
    in_long_texts: Vec<String>,
}

impl Found {
    /// For the lines of the text, in which the values themselves are masked.
    fn elsewhere(&self) -> Elsewhere {
        let needles = |known: &mut dyn Iterator<Item = &String>| {
            let mut secrets = Secrets::default();
            known.for_each(|known| secrets.add(known.as_bytes()));
            Needles::new(&secrets)
        };
        let values = self.secrets.iter().filter(|secret| !secret.value.contains(MASK));
        Elsewhere {
            in_values: needles(&mut values.flat_map(|secret| &secret.known)),
            in_long_texts: needles(&mut self.in_long_texts.iter()),
        }
    }
}

/// The text without what is to be hidden. One whose secrets cannot be delimited is masked as a whole.
pub(super) fn mask(text: &str, hidden: Hidden) -> String {
    mask_with(text, hidden, &|_| format!("\"{MASK}\""))
}

/// The secrets of the text in force, beside which versions of the history are shown.
pub(super) struct Present {
    secrets: Vec<Secret>,
    hidden: Hidden,
}

impl Present {
    /// Those of this text.
    pub(super) fn of(in_force: &str, hidden: Hidden) -> Self {
        Self { secrets: found(in_force, hidden).unwrap_or_default().secrets, hidden }
    }

    /// As [`mask`], for a version: what differs from what is in force is told from what is the same.
    pub(super) fn mask(&self, known: Known<'_>) -> String {
        let tag = &known.version[..known.version.len().min(TAG_LENGTH)];
        let is_same = |secret: &Secret| {
            self.secrets.iter().any(|present| present.path == secret.path && present.value == secret.value)
        };
        mask_with(known.text, self.hidden, &|secret| match is_same(secret) {
            true => format!("\"{MASK}\""),
            false => format!("\"{MASK}@{tag}\""),
        })
    }
}

fn mask_with(text: &str, hidden: Hidden, with: &dyn Fn(&Secret) -> String) -> String {
    let Some(found) = found(text, hidden).filter(|_| !text.contains("PRIVATE KEY-----")) else {
        return MASK.to_owned();
    };
    let spliced = splice(text, &found.secrets, |secret| Some(with(secret)));
    let elsewhere = found.elsewhere();
    let masked = lines::masked(&spliced, &elsewhere);
    let mut numbered = masked.iter().peekable();
    let lines = spliced.split_inclusive('\n').enumerate().map(|(number, line)| {
        match numbered.next_if(|(at, _)| *at == number) {
            Some((_, masked)) => line.replacen(masked.line, &masked.shown, 1),
            None => line.to_owned(),
        }
    });
    lines.collect()
}

/// The text with the secrets of `known` texts, the first one that has it, wherever it has the mask.
///
/// # Errors
/// Line and column of each mask whose secret nobody knows.
pub(super) fn restore(text: &str, known: &[Known<'_>], hidden: Hidden) -> Result<String, Vec<(usize, usize)>> {
    if text.trim() == MASK {
        return known.first().map(|known| known.text.to_owned()).ok_or_else(|| vec![(1, 1)]);
    }
    let sources: Vec<(&str, Found)> =
        known.iter().filter_map(|known| Some((known.version, found(known.text, hidden)?))).collect();
    let spliced: Vec<(String, Elsewhere)> = known
        .iter()
        .zip(&sources)
        .map(|(known, (_, found))| {
            let masked = splice(known.text, &found.secrets, |_| Some(format!("\"{MASK}\"")));
            (masked, found.elsewhere())
        })
        .collect();
    let lines: Vec<Masked<'_>> =
        spliced.iter().flat_map(|(text, known)| lines::masked(text, known)).map(|(_, masked)| masked).collect();
    let text = lines::restore(text, &lines);
    // A text that is no YAML is refused later, with a better message.
    let Some(edited) = found(&text, hidden) else {
        let left = left_in_long_texts(&text);
        return if left.is_empty() { Ok(text) } else { Err(left) };
    };
    let masked: Vec<Secret> = edited.secrets.into_iter().filter(|secret| secret.value.contains(MASK)).collect();
    let find = |secret: &Secret| {
        let tag = match secret.value.strip_prefix(MASK)? {
            "" => "",
            tag => tag.strip_prefix('@').filter(|tag| tag.len() == TAG_LENGTH)?,
        };
        let of_version = sources.iter().filter(|(version, _)| version.starts_with(tag));
        of_version
            .flat_map(|(_, found)| &found.secrets)
            .find(|known| known.path == secret.path && !known.value.contains(MASK))
    };
    let unknown: Vec<_> = masked.iter().filter(|secret| find(secret).is_none()).map(|s| (s.line, s.column)).collect();
    if !unknown.is_empty() {
        return Err(unknown);
    }
    // A JSON string is one of YAML's too.
    let quoted = |secret: &Secret| Some(serde_json::Value::from(find(secret)?.value.as_str()).to_string());
    Ok(splice(&text, &masked, quoted))
}

/// Masks in texts over several lines, which only come back with their whole line.
fn left_in_long_texts(text: &str) -> Vec<(usize, usize)> {
    let Some(root) = crate::config::source::layers::parsed(text) else { return Vec::new() };
    let mut scalars = Vec::new();
    walk(&root, "", false, &mut scalars);
    let masked = scalars.into_iter().filter(|(_, scalar, _)| scalar.as_str().contains(MASK));
    masked.filter_map(|(_, scalar, _)| scalar.span().start().map(|at| (at.line(), at.column()))).collect()
}

/// Whether a text holds secrets that are written out in it.
pub(crate) fn has_secrets(text: &str) -> bool {
    mask(text, Hidden::Secrets) != text
}

fn splice(text: &str, secrets: &[Secret], with: impl Fn(&Secret) -> Option<String>) -> String {
    let (mut spliced, mut from) = (String::new(), 0);
    for secret in secrets {
        let Some(replacement) = with(secret) else { continue };
        spliced.push_str(&text[from..secret.start]);
        spliced.push_str(&replacement);
        from = secret.end;
    }
    spliced.push_str(&text[from..]);
    spliced
}

/// What is to be hidden in a text; `None` when it cannot be taken apart, or a secret cannot be delimited.
fn found(text: &str, hidden: Hidden) -> Option<Found> {
    let has_content = |line: &str| !matches!(line.trim_start().chars().next(), None | Some('#'));
    if !text.lines().any(has_content) {
        return Some(Found::default());
    }
    let root = crate::config::source::layers::parsed(text)?;
    let offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let mut scalars = Vec::new();
    walk(&root, "", hidden == Hidden::Values, &mut scalars);
    let known = |path: &str, scalar: &MarkedScalarNode, why: Why| match why {
        Why::NotSecret => Vec::new(),
        Why::Looks => texts::secrets(scalar.as_str()),
        Why::Name if is_hook(path) => [texts::of_hook(scalar.as_str()), texts::secrets(scalar.as_str())].concat(),
        Why::Name => [vec![scalar.as_str().to_owned()], texts::secrets(scalar.as_str())].concat(),
    };
    let scalars = scalars.into_iter().map(|(path, scalar, why)| {
        let known = known(&path, scalar, why);
        (path, scalar, why, known)
    });
    let scalars: Vec<_> = scalars.collect();
    // The same secret may stand in a value of another name.
    let mut named = Secrets::default();
    for (.., known) in scalars.iter().filter(|(_, scalar, ..)| !scalar.as_str().contains(MASK)) {
        known.iter().for_each(|known| named.add(known.as_bytes()));
    }
    let named = Needles::new(&named);
    let mut found = Found::default();
    for (path, scalar, why, known) in scalars {
        match (why, locate(text, &offsets, &path, scalar)) {
            (Why::NotSecret, Some(place)) if !is_name(&path) && texts::repeats(scalar.as_str(), &named) => {
                found.secrets.push(place);
            }
            (Why::NotSecret, _) => {}
            // Of a text over several lines, the lines with secrets are masked.
            (Why::Looks, _) if scalar.as_str().contains('\n') => found.in_long_texts.extend(known),
            (_, place) => found.secrets.push(Secret { known, ..place? }),
        }
    }
    found.secrets.sort_by_key(|secret| secret.start);
    Some(found)
}

/// Whether the value at this path is the name of something.
fn is_name(path: &str) -> bool {
    let key = path.rsplit('.').next().unwrap_or_default();
    matches!(key.split('[').next(), Some("name" | "upstream" | "upstreams"))
}

/// Whether the value at this path is the URL of a bot, which holds its key, somewhere.
fn is_hook(path: &str) -> bool {
    path.starts_with(".gateway.notify.targets[") && path.ends_with(".url")
}

/// Why a value is hidden.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    NotSecret,
    Name,
    Looks,
}

/// All scalars in which a secret may be, with the paths to them.
fn walk<'n>(node: &'n Node, path: &str, is_secret: bool, scalars: &mut Vec<(String, &'n MarkedScalarNode, Why)>) {
    match node {
        Node::Scalar(scalar) => {
            let text = scalar.as_str();
            let why = match () {
                () if is_reference(text) => Why::NotSecret,
                () if is_secret || text.contains(MASK) => Why::Name,
                () if !texts::secrets(text).is_empty() => Why::Looks,
                () => Why::NotSecret,
            };
            scalars.push((path.to_owned(), scalar, why));
        }
        Node::Mapping(mapping) => {
            for (key, value) in mapping.iter() {
                let key = key.as_str();
                let is_field = value.as_scalar().is_some_and(|value| FIELDS_FOR_KEYS.contains(&value.as_str()));
                // `tls.key` is the path of a file.
                let is_path = path == ".gateway.tls";
                // Of a pool of keys, what else is said of each is no secret.
                let items = value.as_sequence().filter(|_| key == "api_keys");
                let is_pool = items.is_some_and(|items| items.iter().all(|item| item.as_mapping().is_some()));
                let is_none = key == "api_key" && is_field || is_path || is_pool;
                // That of a test is the name of one.
                let is_named = key == "key" && path.starts_with(".gateway.upstreams[") && path.ends_with(".test");
                // What keys are called is there to be read.
                let are_names = key == "key_names" && path == ".gateway";
                // A rule of the profile may be named after a secret, and is on or off.
                let are_rules = path.starts_with(".gateway.upstreams[") && path.ends_with(".profile_rules");
                let is_switch = are_rules && value.as_scalar().is_some_and(|on| value::boolean(on.as_str()).is_ok());
                // What a rule asks for is the id of a token; a token itself is refused there.
                let is_id = key == "token" && (path.ends_with(".match") || path.ends_with(".not"));
                let is_none = is_none || is_named || are_names || is_switch || is_id;
                let at = format!("{path}.{key}");
                let is_secret = is_secret || is_hook(&at) || is_secret_name(key) && !is_none;
                walk(value, &at, is_secret, scalars);
            }
        }
        Node::Sequence(list) => {
            let mut known: Vec<String> = Vec::new();
            for (at, item) in list.iter().enumerate() {
                let name = label(item).unwrap_or_else(|| at.to_string());
                // Of those that look the same, only their order tells one from the other.
                let before = known.iter().filter(|known| **known == name).count();
                let path = if before == 0 { format!("{path}[{name}]") } else { format!("{path}[{name}#{before}]") };
                walk(item, &path, is_secret, scalars);
                known.push(name);
            }
        }
    }
}

/// What an entry of a list is told from the others by, so that its secrets stay its own when others are taken out or moved: its
/// name, or else where it leads.
fn label(item: &Node) -> Option<String> {
    let item = item.as_mapping()?;
    let scalar = |key: &str| item.get_scalar(key).map(|value| format!("{:?}", value.as_str()));
    let upstreams = || {
        let names = item.get_sequence("upstreams")?.iter();
        Some(names.map(|name| name.as_scalar().map_or("", |name| name.as_str())).collect::<Vec<_>>().join(","))
    };
    scalar("name").or_else(|| scalar("base_url")).or_else(|| scalar("upstream")).or_else(upstreams)
}

#[cfg(test)]
mod tests;
