//! Names of upstreams that have only an address: the host, and where several share one, what tells them apart. The order
//! does not matter, so that figures of the past stay those of the same upstream.

use super::base_url::BaseUrl;
use crate::config::source::message::Message;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Longest name.
const LONGEST: usize = 64;
/// Digits of a digest that tells those apart whose names would be the same.
const DIGITS: usize = 6;

/// A name that an operator gives to an upstream, or to a key.
///
/// # Errors
/// When it does not fit into logs, metrics and heads.
pub(super) fn name(text: &str) -> Result<String, Message> {
    let fits =
        text.len() <= LONGEST && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if fits { Ok(text.to_owned()) } else { Err(Message::NotAName) }
}

/// A name for each of these, none twice; and none that is `taken`.
pub(crate) fn names(urls: &[BaseUrl], taken: &[&str]) -> Vec<String> {
    let told_by: [fn(&BaseUrl) -> String; 4] = [host, with_port_and_path, with_scheme, with_digest];
    let mut names: Vec<String> = vec![String::new(); urls.len()];
    let mut left: Vec<usize> = (0..urls.len()).collect();
    let mut settled: BTreeSet<String> = taken.iter().map(|name| name.to_ascii_lowercase()).collect();
    for name_of in told_by {
        let mut shared: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for index in left {
            names[index] = name_of(&urls[index]);
            shared.entry(names[index].to_ascii_lowercase()).or_default().push(index);
        }
        let (told, others): (Vec<_>, Vec<_>) =
            shared.into_iter().partition(|(name, of)| of.len() == 1 && !settled.contains(name));
        settled.extend(told.into_iter().map(|(name, _)| name));
        left = others.into_iter().flat_map(|(_, of)| of).collect();
    }
    number(&mut names, left, taken);
    names
}

/// One address several times has nothing that tells it apart.
fn number(names: &mut [String], mut left: Vec<usize>, taken: &[&str]) {
    left.sort_unstable();
    for index in left {
        let is_free = |name: &str| {
            !taken.contains(&name) && names.iter().enumerate().all(|(other, of)| other == index || of != name)
        };
        let name = names[index].clone();
        let free = (1..)
            .map(|number| if number == 1 { name.clone() } else { format!("{name}-{number}") })
            .find(|name| is_free(name));
        names[index] = free.unwrap_or(name);
    }
}

fn host(url: &BaseUrl) -> String {
    url.host.clone()
}

fn with_port_and_path(url: &BaseUrl) -> String {
    let port = if is_usual_port(url) { String::new() } else { format!("-{}", url.port) };
    let path: String = url.path_prefix.chars().map(|c| if is_of_name(c) { c } else { '-' }).collect();
    let path: Vec<&str> = path.split('-').filter(|part| !part.is_empty()).collect();
    let path = if path.is_empty() { String::new() } else { format!("-{}", path.join("-")) };
    let name = format!("{}{port}{path}", url.host);
    if name.len() > LONGEST { with_digest(url) } else { name }
}

fn with_scheme(url: &BaseUrl) -> String {
    let name = with_port_and_path(url);
    if url.tls { name } else { format!("{name}-http") }
}

fn with_digest(url: &BaseUrl) -> String {
    let whole = format!("{}|{}|{}|{}", url.tls, url.host, url.port, url.path_prefix);
    let digest: String = Sha256::digest(whole).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}", url.host, &digest[..DIGITS])
}

fn is_usual_port(url: &BaseUrl) -> bool {
    url.port == if url.tls { 443 } else { 80 }
}

fn is_of_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::section::base_url;

    fn named(urls: &[&str]) -> Vec<String> {
        let urls: Vec<BaseUrl> = urls.iter().map(|url| base_url::parse(url).expect("a URL")).collect();
        names(&urls, &[])
    }

    #[test]
    fn a_name_says_what_tells_an_upstream_from_its_neighbours() {
        for (urls, wanted) in [
            (&["https://anyrouter.top", "https://api.anyrouter.top"][..], &["anyrouter.top", "api.anyrouter.top"][..]),
            (&["http://127.0.0.1:8081", "http://127.0.0.1:8082"], &["127.0.0.1-8081", "127.0.0.1-8082"]),
            (&["http://127.0.0.1:8081", "http://127.0.0.2:8081"], &["127.0.0.1", "127.0.0.2"]),
            (&["https://a.example", "https://a.example/claude"], &["a.example", "a.example-claude"]),
            (&["https://a.example/api/claude/", "https://a.example/kiro"], &["a.example-api-claude", "a.example-kiro"]),
            (&["https://a.example", "https://a.example:8443"], &["a.example", "a.example-8443"]),
            (&["https://a.example:8443/x", "https://a.example/x"], &["a.example-8443-x", "a.example-x"]),
            (&["http://a.example", "https://a.example"], &["a.example-http", "a.example"]),
            (&["http://[::1]:1", "http://[::1]:2"], &["::1-1", "::1-2"]),
        ] {
            assert_eq!(named(urls), wanted, "{urls:?}");
        }
    }

    #[test]
    fn the_order_changes_no_name() {
        let urls = [
            "https://a.example",
            "http://a.example",
            "https://a.example/x-y",
            "https://a.example/x/y",
            "https://a.example/X/y",
            "https://a.example:8443",
            "https://b.example",
            "http://127.0.0.1:1",
            "http://127.0.0.1:2",
        ];
        let of = |urls: &[&str]| -> BTreeMap<String, String> {
            urls.iter().map(|url| (*url).to_owned()).zip(named(urls)).collect()
        };
        let first = of(&urls);
        let different: BTreeSet<_> = first.values().collect();
        assert_eq!(different.len(), urls.len(), "{first:?}");
        for turn in 0..urls.len() {
            let mut turned = urls;
            turned.rotate_left(turn);
            assert_eq!(of(&turned), first);
            turned.reverse();
            assert_eq!(of(&turned), first);
        }
    }

    #[test]
    fn long_paths_and_the_same_address_twice_have_names_too() {
        let long = format!("https://a.example/{}", "x".repeat(100));
        let names = named(&["https://a.example", &long, "https://b.example", "https://b.example"]);
        assert!(names[1].len() <= LONGEST && names[1].starts_with("a.example-"), "{names:?}");
        assert!(names[2] != names[3] && names[2].starts_with("b.example"), "{names:?}");
        let url = base_url::parse("https://a.example:8443").expect("a URL");
        assert_eq!(super::names(std::slice::from_ref(&url), &["a.example"]), ["a.example-8443"]);
    }
}
