//! What the panel may set, and what a check from there may tell.
//!
//! Whoever has the panel's key changes how requests are handled. Where files are read and written, as whom the gateway runs and
//! what Pingora shows of itself is decided where it is run; and an edit must not find out what else there is on the machine.

use super::section::upstream_keys::UPSTREAM_KEYS;
use super::section::{server_conf, settings};
use super::source::layers::parsed;
use super::source::message::Message;
use super::source::problem::Problem;
use super::source::setting::{Entry, Panel};
use super::source::settings_reader::Reader;
use marked_yaml::Node;
use std::collections::BTreeMap;

/// What is wrong with an overlay, and what is only to be told: what older versions let the panel set still counts.
#[derive(Debug, Default)]
pub(super) struct Barred {
    /// What it may not hold.
    pub problems: Vec<Problem>,
    /// What it may not hold any more.
    pub warnings: Vec<Problem>,
}

/// Looks for what the overlay of `reader` may not set. `former` is the overlay on the disk, of which this one is an edit.
pub(super) fn barred(reader: &Reader<'_>, former: Option<&str>) -> Barred {
    let mut barred = Barred::default();
    let former = former.map(|text| parsed(text).map_or_else(BTreeMap::new, |root| keys(&root)));
    for (key, node) in reader.in_overlay(keys_with_nodes) {
        let place = reader.place(node.span());
        let is_ours = key.starts_with("gateway.");
        let allowed = match is_ours {
            true => settings::find(&key).map_or(Panel::MaySet, |known| known.about.panel),
            false if server_conf::FOR_PANEL.contains(&key.as_str()) => Panel::MaySet,
            false => Panel::NoMore,
        };
        let is_as_before =
            former.as_ref().is_none_or(|former| former.get(&key) == Some(&super::source::node::json(&node)));
        let path = reader.path.clone();
        match allowed {
            Panel::MaySet => {}
            Panel::NoMore if is_as_before => {
                barred.warnings.push(Problem { at: place, key, what: Message::NoMoreFromPanel { path } });
            }
            _ => barred.problems.push(Problem { at: place, key, what: Message::NotFromPanel { path } }),
        }
    }
    if let Some(former) = &former {
        barred.problems.extend(new_files(reader, former));
    }
    barred
}

/// Files of upstreams that an edit names, and the configuration did not before: a list that the panel copies from the file may
/// keep its own.
fn new_files(reader: &Reader<'_>, former: &BTreeMap<String, String>) -> Vec<Problem> {
    const LIST: &str = "gateway.upstreams";
    let barred = || UPSTREAM_KEYS.iter().filter(|known| known.panel != Panel::MaySet).map(|known| known.key);
    let values = |list: &Node| -> Vec<(String, Node)> {
        let entries = list.as_sequence().into_iter().flat_map(|list| list.iter()).filter_map(Node::as_mapping);
        entries
            .flat_map(|entry| barred().filter_map(|key| Some((key.to_owned(), entry.get_node(key)?.clone()))))
            .collect()
    };
    let of = |list: Option<Node>| list.map(|list| values(&list)).unwrap_or_default();
    let known = of(reader.file_node(LIST).cloned());
    let known: Vec<String> = known.iter().map(|(_, node)| super::source::node::json(node)).collect();
    let before = former.get(LIST).map_or("", String::as_str);
    let new = of(reader.overlay_node(LIST).cloned()).into_iter().filter(|(_, node)| {
        let json = super::source::node::json(node);
        !known.contains(&json) && !before.contains(&json)
    });
    new.map(|(key, node)| Problem {
        at: reader.place(node.span()),
        key,
        what: Message::FileNotFromPanel { path: reader.path.clone() },
    })
    .collect()
}

/// The settings in a text, and their values as JSON.
fn keys(root: &Node) -> BTreeMap<String, String> {
    keys_with_nodes(root).into_iter().map(|(key, node)| (key, super::source::node::json(&node))).collect()
}

/// The settings in a text: those under `gateway:` by their whole path, and Pingora's.
fn keys_with_nodes(root: &Node) -> Vec<(String, Node)> {
    fn collect(prefix: &str, node: &Node, found: &mut Vec<(String, Node)>) {
        for (key, value) in node.as_mapping().into_iter().flat_map(|mapping| mapping.iter()) {
            let path = if prefix.is_empty() { key.as_str().to_owned() } else { format!("{prefix}.{}", key.as_str()) };
            let is_level =
                |known: &Entry| known.about.key.strip_prefix(&path).is_some_and(|rest| rest.starts_with('.'));
            match settings::all().any(is_level) {
                true => collect(&path, value, found),
                false => found.push((path, value.clone())),
            }
        }
    }
    let mut found = Vec::new();
    collect("", root, &mut found);
    found
        .retain(|(_, node)| node.as_scalar().is_none_or(|scalar| !super::source::node::scalar_text(scalar).is_empty()));
    found
}

/// Whether these texts name a variable: an edit from the panel may use it then.
pub(super) fn is_named(name: &str, texts: &[&str]) -> bool {
    let is_end = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let in_key = format!("env:{name}");
    texts.iter().any(|text| {
        text.contains(&format!("${{env.{name}}}"))
            || text.match_indices(&in_key).any(|(at, _)| is_end(&text[at + in_key.len()..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_named_by_its_whole_name() {
        let text = "a: ${env.ONE}\nkeys: [env:TWO, \"env:THREE\"]\n";
        for name in ["ONE", "TWO", "THREE"] {
            assert!(is_named(name, &["", text]), "{name}");
        }
        for name in ["ON", "TW", "THREE_", "NE", "FOUR"] {
            assert!(!is_named(name, &[text]), "{name}");
        }
    }
}
