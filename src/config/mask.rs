//! Texts without their secrets: masked where they are shown, put in again where an edited text still has the mask.
//!
//! Works on YAML, and on JSON, which is YAML too. A secret is what has the name of one or looks like one, as everywhere
//! ([`gateway_core::redact`]).

mod lines;
mod locate;
mod marks;
mod texts;

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
    let known = |scalar: &MarkedScalarNode, why: Why| match why {
        Why::NotSecret => Vec::new(),
        Why::Looks => texts::secrets(scalar.as_str()),
        Why::Name => [vec![scalar.as_str().to_owned()], texts::secrets(scalar.as_str())].concat(),
    };
    let scalars = scalars.into_iter().map(|(path, scalar, why)| (path, scalar, why, known(scalar, why)));
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
                // The URL of a bot holds its key, somewhere.
                let is_hook = key == "url" && path.starts_with(".gateway.notify.targets[");
                // That of a test is the name of one.
                let is_named = key == "key" && path.starts_with(".gateway.upstreams[") && path.ends_with(".test");
                let is_none = is_none || is_named;
                let is_secret = is_secret || is_hook || is_secret_name(key) && !is_none;
                walk(value, &format!("{path}.{key}"), is_secret, scalars);
            }
        }
        Node::Sequence(list) => {
            for (at, item) in list.iter().enumerate() {
                let name = item.as_mapping().and_then(|item| item.get_scalar("name"));
                let name = name.map_or_else(|| at.to_string(), |name| format!("{:?}", name.as_str()));
                walk(item, &format!("{path}[{name}]"), is_secret, scalars);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restored(text: &str, known: &[&str]) -> Result<String, Vec<(usize, usize)>> {
        let known: Vec<Known<'_>> = known.iter().map(|text| Known { version: "", text }).collect();
        restore(text, &known, Hidden::Secrets)
    }

    const TEXT: &str = "\
gateway:
  # 中文 before
  upstreams:
    - {name: a, base_url: \"http://a\", api_key: sk-1, weight: 2}
    - name: b
      api_key: 'it''s'   # here
      proxy: socks5://u:pw@p.test:1
    - {name: c, api_key: \"${env.KEY}\"}
  routes:
    - keys: [sk-2, \"env:K\", \"sk \\\" 3\"]
      upstream: a
  rules:
    - {name: r, headers: {set: {Authorization: Bearer x, X-App: cli}}, body: {set: {/max_tokens: 5}}}
";

    #[test]
    fn secrets_are_masked_and_nothing_else() {
        let masked = mask(TEXT, Hidden::Secrets);
        for secret in ["sk-1", "it''s", "pw@", "sk-2", "sk \\\"", "Bearer"] {
            assert!(TEXT.contains(secret) && !masked.contains(secret), "{secret}: {masked}");
        }
        for shown in ["中文 before", "${env.KEY}", "env:K", "X-App: cli", "/max_tokens: 5", "weight: 2", "# here"] {
            assert!(masked.contains(shown), "{shown}: {masked}");
        }
        assert_eq!(masked.matches(MASK).count(), 6, "{masked}");
    }

    #[test]
    fn what_a_target_of_notifications_needs_is_masked() {
        let text = "gateway:\n  notify:\n    targets:\n      - {kind: slack, url: \"https://hooks.slack.com/services/T0/B0/x\"}\n      \
                    - {kind: telegram, token: \"1:abc\", chat_id: 5}\n      - {kind: email, url: \"env:MAIL\", password: pw}\n";
        let masked = mask(text, Hidden::Secrets);
        for secret in ["hooks.slack.com", "1:abc", "password: pw"] {
            assert!(text.contains(secret) && !masked.contains(secret), "{secret}: {masked}");
        }
        assert!(masked.contains("chat_id: 5") && masked.contains("env:MAIL"), "{masked}");
        assert!(restored(&masked, &[text]).expect("all known").contains("services/T0/B0/x"));
    }

    #[test]
    fn masks_become_their_secrets_again_wherever_the_entry_is() {
        let masked = mask(TEXT, Hidden::Secrets);
        let again = restored(&masked, &[TEXT]).expect("all known");
        let values = |text: &str| {
            found(text, Hidden::Secrets).expect("valid").secrets.into_iter().map(|s| s.value).collect::<Vec<_>>()
        };
        assert_eq!(values(&again), values(TEXT));
        // Entries go by their names.
        let moved =
            "gateway:\n  upstreams:\n    - {name: new, api_key: sk-9}\n    - {name: a, api_key: \"********\"}\n";
        assert!(restored(moved, &["", TEXT]).expect("known").contains("api_key: \"sk-1\""));
        let unknown = "gateway:\n  upstreams:\n    - {name: z, api_key: \"********\"}\n";
        assert_eq!(restored(unknown, &[TEXT]), Err(vec![(3, 26)]));
        assert_eq!(restored("a: [", &[TEXT]).as_deref(), Ok("a: ["), "told by who reads it");
    }

    #[test]
    fn headers_keep_their_names_and_a_text_that_cannot_be_masked_is_hidden() {
        let headers = "{\n  \"User-Agent\": \"cli\",\n  \"x-api-key\": \"sk-\\\"1\",\n  \"Cookie\": \"a=b\"\n}";
        let masked = mask(headers, Hidden::Secrets);
        assert_eq!(
            masked,
            "{\n  \"User-Agent\": \"cli\",\n  \"x-api-key\": \"********\",\n  \"Cookie\": \"********\"\n}"
        );
        let again = restored(&masked, &[headers]).expect("known");
        assert_eq!(again, headers);
        let block = "gateway:\n  upstreams:\n    - name: a\n      api_key: |\n        sk-1\n";
        assert_eq!(mask(block, Hidden::Secrets), MASK);
        assert_eq!(restored(MASK, &[block]).as_deref(), Ok(block));
        assert_eq!(mask("# none\n", Hidden::Secrets), "# none\n");
    }

    /// What is known of secrets elsewhere in a text: in comments, in other values, in texts over several lines.
    const HIDDEN_PLACES: &str = "\
# the old key was sk-ant-old-1234567
# api_key: commented-out-key
# - { name: x, api_key: \"another-old-key\", weight: 1 }
gateway:
  upstreams:
    - { name: a, base_url: \"http://a\", api_key: my-own-key-1 } # not my-own-key-1, please
    - { name: b, base_url: \"http://b/sk-ant-in-path-123\" }
  rules:
    - name: say
      respond: { status: 200, body: '{\"ok\": true, \"token\": \"respond-token\"}' }
    - name: again
      respond: { status: 200, body: { note: 'use my-own-key-1', secret: inside-json } }
    - name: prompt
      body: { system: { mode: append, text: 'one' }, set: { /metadata/api_key: pointer-key } }
    - name: long
      body:
        system:
          mode: append
          text: |
            first line
            use sk-ant-in-prompt-1 for this
      api_key: bearer
";

    #[test]
    fn secrets_in_comments_bodies_and_prompts_are_masked_and_come_back() {
        let masked = mask(HIDDEN_PLACES, Hidden::Secrets);
        for secret in [
            "sk-ant-old",
            "commented-out",
            "another-old",
            "my-own-key",
            "in-path",
            "respond-token",
            "inside-json",
            "pointer-key",
            "sk-ant-in-prompt",
        ] {
            assert!(HIDDEN_PLACES.contains(secret) && !masked.contains(secret), "{secret}: {masked}");
        }
        for shown in ["the old key was", "name: x", "first line", "for this", "api_key: bearer", "'one'", "please"] {
            assert!(masked.contains(shown), "{shown}: {masked}");
        }
        let values = |text: &str| {
            crate::config::source::layers::parsed(text).map(|root| crate::config::source::node::json(&root))
        };
        let again = restored(&masked, &[HIDDEN_PLACES]).expect("all known");
        assert_eq!(values(&again), values(HIDDEN_PLACES));
        let comments =
            |text: &str| text.lines().filter(|line| line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(comments(&again), comments(HIDDEN_PLACES));
        assert!(again.contains("# not my-own-key-1, please"), "{again}");
        // A line that is edited around a mask does not lose the secret without a word.
        let edited = masked.replace("for this", "for that");
        assert!(restored(&edited, &[HIDDEN_PLACES]).is_err(), "{edited}");
    }

    /// What only its place or a name beside it makes a secret.
    const NAMED_PLACES: &str = "\
# https://relay.example.com/?token=abcdef-in-a-comment
# the password: hunter22 was used before
gateway:
  upstreams:
    - { name: local-relay, base_url: \"http://local-relay:8080\", api_key: local-relay }
    - { name: path, base_url: \"https://relay.example.com/sk-ant-in-a-path-1/v1\" }
    - { name: other, base_url: \"https://relay.example.com/v1\" } # https://relay.example.com/docs
    - { name: pool, base_url: \"https://c.example\", api_keys: [{ key: pool-key-1, name: first, weight: 2 }] }
    - { name: again, base_url: \"http://b/local-relay\" }
  routes: [{ keys: [\"env:K\"], upstream: local-relay }]
  rules:
    - name: say
      respond: { status: 200, body: 'token=of-a-response' }
    - name: note
      body: { set: { /metadata/note: 'password: of-a-note-1' } }
    - name: regex
      match: { path: { regex: '^/sk\\-ant\\-in\\-a\\-regex/' } }
    - name: long
      respond:
        status: 200
        body: |
          {\"note\": \"kept\",
           \"token\": \"in-a-long-text\"}
";

    #[test]
    fn what_a_name_beside_it_makes_a_secret_is_masked_and_comes_back() {
        let masked = mask(NAMED_PLACES, Hidden::Secrets);
        for secret in [
            "abcdef-in",
            "hunter22",
            "in-a-path",
            "of-a-response",
            "of-a-note",
            "regex/",
            "in-a-long-text",
            "b/local-relay",
            "pool-key-1",
        ] {
            assert!(NAMED_PLACES.contains(secret) && !masked.contains(secret), "{secret}: {masked}");
        }
        for shown in [
            "name: local-relay, base_url: \"http://local-relay:8080\"",
            "base_url: \"https://relay.example.com/v1\" } # https://relay.example.com/docs",
            "upstream: local-relay",
            "name: first, weight: 2",
            "https://relay.example.com/?token=********",
            "\"note\": \"kept\"",
        ] {
            assert!(masked.contains(shown), "{shown}: {masked}");
        }
        let values = |text: &str| {
            crate::config::source::layers::parsed(text).map(|root| crate::config::source::node::json(&root))
        };
        let again = restored(&masked, &[NAMED_PLACES]).expect("all known");
        assert_eq!(values(&again), values(NAMED_PLACES));
        assert!(again.starts_with(&NAMED_PLACES[..NAMED_PLACES.find("gateway:").expect("there")]), "{again}");
    }

    #[test]
    fn a_version_of_the_history_tells_its_own_secrets_from_those_in_force() {
        let (old, new) =
            ("{\n  \"X-A\": \"old\",\n  \"X-B\": \"same\"\n}", "{\n  \"X-A\": \"new\",\n  \"X-B\": \"same\"\n}");
        let known = Known { version: "0123456789abcdef", text: old };
        let masked = Present::of(new, Hidden::Values).mask(known);
        assert_eq!(masked, "{\n  \"X-A\": \"********@01234567\",\n  \"X-B\": \"********\"\n}");
        let again = restore(&masked, &[Known { version: "", text: new }, known], Hidden::Values);
        assert_eq!(again.as_deref(), Ok(old));
        let unknown = masked.replace("@01234567", "@76543210");
        assert_eq!(restore(&unknown, &[known], Hidden::Values), Err(vec![(2, 10)]));
    }

    #[test]
    fn the_shipped_file_is_shown_as_it_is() {
        let shipped = include_str!("../../conf/gateway.yaml");
        assert_eq!(mask(shipped, Hidden::Secrets), shipped);
    }
}
