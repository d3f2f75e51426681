//! Texts without their secrets: masked where they are shown, put in again where an edited text still has the mask.
//!
//! Works on YAML, and on JSON, which is YAML too.

use marked_yaml::Node;
use marked_yaml::types::MarkedScalarNode;

/// What stands for a secret.
pub const MASK: &str = "********";

/// A secret in a text: where it is, what it is, and the path to it, in which entries of lists go by their names.
struct Secret {
    path: String,
    value: String,
    start: usize,
    end: usize,
    line: usize,
    column: usize,
}

/// The text with its secrets masked. One whose secrets cannot be found is masked as a whole.
pub fn mask(text: &str) -> String {
    match secrets(text) {
        Some(secrets) => splice(text, &secrets, |_| Some(format!("\"{MASK}\""))),
        None => MASK.to_owned(),
    }
}

/// The text with the secrets of `known` texts, the first one that has it, wherever it has the mask.
///
/// # Errors
/// Line and column of each mask whose secret nobody knows.
pub fn restore(text: &str, known: &[&str]) -> Result<String, Vec<(usize, usize)>> {
    if text.trim() == MASK {
        return known.first().map(|known| (*known).to_owned()).ok_or_else(|| vec![(1, 1)]);
    }
    // A text that is no YAML is refused later, with a better message.
    let Some(edited) = secrets(text) else { return Ok(text.to_owned()) };
    let masked: Vec<Secret> = edited.into_iter().filter(|secret| secret.value == MASK).collect();
    let known: Vec<Secret> = known.iter().filter_map(|known| secrets(known)).flatten().collect();
    let find = |secret: &Secret| known.iter().find(|known| known.path == secret.path && known.value != MASK);
    let unknown: Vec<_> = masked.iter().filter(|secret| find(secret).is_none()).map(|s| (s.line, s.column)).collect();
    if !unknown.is_empty() {
        return Err(unknown);
    }
    // A JSON string is one of YAML's too.
    let quoted = |secret: &Secret| Some(serde_json::Value::from(find(secret)?.value.as_str()).to_string());
    Ok(splice(text, &masked, quoted))
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

/// The secrets of a text in their order; `None` when it cannot be taken apart, or one of them cannot be delimited.
fn secrets(text: &str) -> Option<Vec<Secret>> {
    let has_content = |line: &str| !matches!(line.trim_start().chars().next(), None | Some('#'));
    if !text.lines().any(has_content) {
        return Some(Vec::new());
    }
    let options = marked_yaml::LoaderOptions::default().prevent_coercion(true);
    let root = marked_yaml::parse_yaml_with_options(0, text, options).ok()?;
    let offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let mut found = Vec::new();
    walk(&root, "", false, &mut |path, scalar| {
        found.push(locate(text, &offsets, path, scalar));
    });
    let mut found: Vec<Secret> = found.into_iter().collect::<Option<_>>()?;
    found.sort_by_key(|secret| secret.start);
    Some(found)
}

/// Calls `found` with each scalar that is a secret.
fn walk(node: &Node, path: &str, is_secret: bool, found: &mut impl FnMut(&str, &MarkedScalarNode)) {
    match node {
        Node::Scalar(scalar) if is_secret || scalar.as_str() == MASK || has_password(scalar.as_str()) => {
            if !is_reference(scalar.as_str()) {
                found(path, scalar);
            }
        }
        Node::Scalar(_) => {}
        Node::Mapping(mapping) => {
            for (key, value) in mapping.iter() {
                let is_secret = is_secret || is_secret_name(key.as_str());
                walk(value, &format!("{path}.{}", key.as_str()), is_secret, found);
            }
        }
        Node::Sequence(list) => {
            for (at, item) in list.iter().enumerate() {
                let name = item.as_mapping().and_then(|item| item.get_scalar("name"));
                let name = name.map_or_else(|| at.to_string(), |name| format!("{:?}", name.as_str()));
                walk(item, &format!("{path}[{name}]"), is_secret, found);
            }
        }
    }
}

/// Whether what has this name is a secret: keys, credentials and cookies, in headers too. A number of tokens is not.
fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    let parts: Vec<&str> = name.split('-').collect();
    name == "keys"
        || name.contains("apikey")
        || ["authorization", "cookie", "key", "token", "secret", "password", "credentials"]
            .iter()
            .any(|word| parts.contains(word))
}

/// Whether a text is a URL with a password in it.
fn has_password(text: &str) -> bool {
    let after = text.split_once("://").map_or(text, |(_, after)| after);
    let authority = after.split(['/', '?', ' ']).next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

/// Whether a text only says where the secret is: a variable, or a digest.
fn is_reference(text: &str) -> bool {
    text.is_empty()
        || text.starts_with("env:")
        || text.starts_with("sha256:")
        || (text.starts_with("${env.") && text.find('}') == Some(text.len() - 1))
}

/// Where a scalar begins and ends, in bytes; `None` for block scalars and others of several lines.
fn locate(text: &str, offsets: &[usize], path: &str, scalar: &MarkedScalarNode) -> Option<Secret> {
    let marker = scalar.span().start()?;
    let start = *offsets.get(marker.character())?;
    let (before, rest) = text.split_at_checked(start)?;
    let value = scalar.as_str();
    let is_alone = before.rsplit('\n').next().is_some_and(|line| line.trim().is_empty());
    if is_alone && !rest.starts_with(['"', '\'']) {
        return None;
    }
    let length = match rest.chars().next()? {
        '"' => quoted_length(rest, '"', |_, character| character == '\\')?,
        '\'' => quoted_length(rest, '\'', |next, character| character == '\'' && next == Some('\''))?,
        _ => rest.starts_with(value).then_some(value.len())?,
    };
    Some(Secret {
        path: path.to_owned(),
        value: value.to_owned(),
        start,
        end: start + length,
        line: marker.line(),
        column: marker.column(),
    })
}

/// The length of a quoted text, quotes included; `escapes` says whether a character belongs together with the next.
fn quoted_length(text: &str, quote: char, escapes: impl Fn(Option<char>, char) -> bool) -> Option<usize> {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if escapes(characters.peek().map(|(_, next)| *next), character) {
            characters.next();
        } else if character == quote {
            return Some(at + quote.len_utf8());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let masked = mask(TEXT);
        for secret in ["sk-1", "it''s", "pw@", "sk-2", "sk \\\"", "Bearer"] {
            assert!(TEXT.contains(secret) && !masked.contains(secret), "{secret}: {masked}");
        }
        for shown in ["中文 before", "${env.KEY}", "env:K", "X-App: cli", "/max_tokens: 5", "weight: 2", "# here"] {
            assert!(masked.contains(shown), "{shown}: {masked}");
        }
        assert_eq!(masked.matches(MASK).count(), 6, "{masked}");
    }

    #[test]
    fn masks_become_their_secrets_again_wherever_the_entry_is() {
        let masked = mask(TEXT);
        let restored = restore(&masked, &[TEXT]).expect("all known");
        let values = |text: &str| secrets(text).expect("valid").into_iter().map(|s| s.value).collect::<Vec<_>>();
        assert_eq!(values(&restored), values(TEXT));
        // Entries go by their names.
        let moved =
            "gateway:\n  upstreams:\n    - {name: new, api_key: sk-9}\n    - {name: a, api_key: \"********\"}\n";
        assert!(restore(moved, &["", TEXT]).expect("known").contains("api_key: \"sk-1\""));
        let unknown = "gateway:\n  upstreams:\n    - {name: z, api_key: \"********\"}\n";
        assert_eq!(restore(unknown, &[TEXT]), Err(vec![(3, 26)]));
        assert_eq!(restore("a: [", &[TEXT]).as_deref(), Ok("a: ["), "told by who reads it");
    }

    #[test]
    fn headers_keep_their_names_and_a_text_that_cannot_be_masked_is_hidden() {
        let headers = "{\n  \"User-Agent\": \"cli\",\n  \"x-api-key\": \"sk-\\\"1\",\n  \"Cookie\": \"a=b\"\n}";
        let masked = mask(headers);
        assert_eq!(
            masked,
            "{\n  \"User-Agent\": \"cli\",\n  \"x-api-key\": \"********\",\n  \"Cookie\": \"********\"\n}"
        );
        let restored = restore(&masked, &[headers]).expect("known");
        assert_eq!(restored, headers);
        let block = "gateway:\n  upstreams:\n    - name: a\n      api_key: |\n        sk-1\n";
        assert_eq!(mask(block), MASK);
        assert_eq!(restore(MASK, &[block]).as_deref(), Ok(block));
        assert_eq!(mask("# sk-none\n"), "# sk-none\n");
    }
}
