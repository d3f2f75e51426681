//! `gateway.key_names`: what the operator calls the keys of clients, by the beginnings of their fingerprints.

use crate::config::source::bounds;
use crate::config::source::message::Message;
use crate::config::source::node_reader::NodeReader;
use crate::config::source::settings_reader::Reader;
use marked_yaml::Node;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// The setting.
pub(crate) const KEY_NAMES: &str = "gateway.key_names";
/// Digits of a fingerprint that are kept of a key. Who writes the whole SHA-256 means its beginning.
const KEPT_DIGITS: usize = 16;
/// Digits that name a key: fewer could be another one's too.
const DIGITS: RangeInclusive<usize> = 8..=64;
/// Most characters of a name.
const LONGEST: usize = 60;

/// Names of keys, by the beginnings of fingerprints, in small letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyNames(BTreeMap<String, String>);

impl KeyNames {
    /// What a key with this fingerprint is called. One of an earlier version, which has fewer digits, has the name of the only
    /// key that it can be of.
    pub(crate) fn of(&self, fingerprint: &str) -> Option<&str> {
        let ends = (*DIGITS.start()..=fingerprint.len()).rev();
        let longest = ends.filter_map(|end| fingerprint.get(..end)).find_map(|part| self.0.get(part));
        let only = || {
            let from = self.0.range(fingerprint.to_owned()..);
            let mut of_it = from.take_while(|(known, _)| known.starts_with(fingerprint));
            of_it
                .next()
                .filter(|_| of_it.next().is_none() && fingerprint.len() >= *DIGITS.start())
                .map(|(_, name)| name)
        };
        longest.or_else(only).map(String::as_str)
    }

    /// All of them.
    pub(crate) fn all(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

/// The names of the file, or of the overlay.
pub(crate) fn read(reader: &mut Reader<'_>) -> KeyNames {
    let Some(node) = reader.node(KEY_NAMES).cloned() else { return KeyNames::default() };
    let mut problems = Vec::new();
    let places = reader.places();
    let names = read_names(&mut NodeReader::new(&places, reader.names, &mut problems), &node);
    reader.problems.append(&mut problems);
    names
}

fn read_names(reading: &mut NodeReader<'_, '_>, node: &Node) -> KeyNames {
    let mut names = BTreeMap::new();
    // Written as {}: nobody has a name, whatever the file says.
    if node.as_mapping().is_some_and(|mapping| mapping.is_empty()) {
        return KeyNames(names);
    }
    let entries = reading.any_entries(node, KEY_NAMES);
    if let Err(what) = bounds::count(entries.len(), bounds::KEY_NAMES) {
        reading.wrong(node, KEY_NAMES, what);
        return KeyNames(names);
    }
    for (written, value) in entries {
        let at = format!("{KEY_NAMES}.{written}");
        let Some(fingerprint) = fingerprint(&written) else {
            let (least, most) = (*DIGITS.start() as u64, *DIGITS.end() as u64);
            reading.wrong_name(node, &at, &written, Message::NotAFingerprint { text: written.clone(), least, most });
            continue;
        };
        let Some(name) = reading.parse(value, &at, name) else { continue };
        if names.insert(fingerprint, name).is_some() {
            reading.wrong_name(node, &at, &written, Message::Twice { name: written.clone() });
        }
    }
    KeyNames(names)
}

/// The digits that count.
fn fingerprint(written: &str) -> Option<String> {
    let is_one = DIGITS.contains(&written.len()) && written.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| written[..written.len().min(KEPT_DIGITS)].to_ascii_lowercase())
}

fn name(text: &str) -> Result<String, Message> {
    let text = text.trim();
    match text.chars().count() {
        1..=LONGEST if !text.chars().any(char::is_control) => Ok(text.to_owned()),
        _ => Err(Message::NotAKeyName { most: LONGEST as u64 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::layers::{Places, parsed};

    fn read(yaml: &str) -> (KeyNames, Vec<String>) {
        let node = parsed(yaml).expect("YAML");
        let mut problems = Vec::new();
        let places = Places::file("f");
        let names = read_names(&mut NodeReader::new(&places, &|_| None, &mut problems), &node);
        (names, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_key_is_called_by_the_longest_beginning_that_has_a_name() {
        let (names, problems) = read(
            "0a1b2c3d: team\n0A1B2C3D4E: alice\n'12345678': 小王\nffffffff00000001: one\nffffffff00000002: two\n\
             eeeeeeee00000001: eve\n",
        );
        assert_eq!(problems, [""; 0]);
        for (fingerprint, name) in [
            ("0a1b2c3d4e5f6071", Some("alice")),
            ("0a1b2c3d00000000", Some("team")),
            ("0a1b2c3d", Some("team")),
            ("12345678aaaaaaaa", Some("小王")),
            ("ffffffff00000002", Some("two")),
            ("ffffffff00000003", None),
            ("ffffffff", None),
            ("eeeeeeee", Some("eve")),
            ("0a1b2c", None),
            ("", None),
            ("模型模型模型", None),
        ] {
            assert_eq!(names.of(fingerprint), name, "{fingerprint}");
        }
    }

    #[test]
    fn the_whole_digest_means_its_beginning() {
        let (names, _) = read(&format!("{}: alice\n", "0a1b2c3d4e5f6071".repeat(4)));
        assert_eq!(names.of("0a1b2c3d4e5f6071"), Some("alice"));
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let long = "x".repeat(61);
        let (_, problems) =
            read(&format!("0a1b2c: short\nxa1b2c3d: no\n0a1b2c3d: {long}\n11111111: ''\nAAAAAAAA: a\naaaaaaaa: b\n"));
        let places: Vec<&str> = problems.iter().map(|problem| &problem[..4]).collect();
        assert_eq!(places, ["f:1:", "f:2:", "f:3:", "f:4:", "f:6:"], "{problems:#?}");
        assert_eq!(read("{}\n"), (KeyNames::default(), Vec::new()), "nobody has a name");
    }
}
