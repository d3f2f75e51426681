//! Which client keys go to which upstream: `gateway.routes` and `env/.env.key-mappings.json`. A route may be for some of
//! their requests only, by what those are for.

use super::base_url::{self, BaseUrl};
use super::upstream::{Inherited, UpstreamConfig};
use super::upstream_names::names;
use crate::config::source::bounds;
use crate::config::source::environment::Lookup;
use crate::config::source::json_text::{self, JsonText, Member};
use crate::config::source::message::Message;
use crate::config::source::node_reader::NodeReader;
use crate::config::source::problem::{Problem, Source, near};
use crate::config::source::settings_reader::Reader;
use crate::config::source::value;
use gateway_core::http1::is_field_value;
use gateway_core::record::request_class;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// Keys of a route.
pub(crate) const ROUTE_KEYS: [&str; 4] = ["keys", "request_class", "upstream", "upstreams"];
/// The file that users of the original's fork have.
pub(crate) const KEY_MAPPINGS_FILE: &str = "env/.env.key-mappings.json";

/// Keys and where their requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// SHA-256 of each key: the keys themselves are not kept.
    pub keys: Vec<[u8; 32]>,
    /// What the requests are for that it takes; empty if it takes all that no other route of the key takes.
    pub classes: Vec<&'static str>,
    /// Names of the upstreams among which they go, as the operator lists them: at least one, and none twice.
    pub upstreams: Vec<String>,
}

/// The digest by which keys are compared.
pub(crate) fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// Reads all routes. The key mappings may bring upstreams of their own, which go to the end of `upstreams`.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    upstreams: &mut Vec<UpstreamConfig>,
    inherited: Inherited<'_>,
) -> Vec<Route> {
    let mut routes = from_yaml(reader, upstreams);
    match crate::config::source::text_file::read(KEY_MAPPINGS_FILE) {
        Ok(text) => match from_mappings(&text, upstreams, inherited, &mut reader.warnings) {
            Ok(mapped) => routes.extend(mapped),
            Err(problem) => reader.problems.push(*problem),
        },
        Err(error) if Path::new(KEY_MAPPINGS_FILE).exists() => {
            let what = Message::CannotBeRead { said: error.to_string() };
            reader.problems.push(Problem::unreadable(KEY_MAPPINGS_FILE, &error, what));
        }
        Err(_) => {}
    }
    routes
}

fn from_yaml(reader: &mut Reader<'_>, upstreams: &[UpstreamConfig]) -> Vec<Route> {
    let Some(list) = reader.node("gateway.routes").cloned() else { return Vec::new() };
    let (places, env) = (reader.places(), reader.names);
    // The variable replaces the upstreams that the routes name: they are of no use then.
    let is_replaced = reader.upstreams_variable().is_some();
    let mut problems = Vec::new();
    let mut reading = NodeReader::new(&places, env, &mut problems);
    let mut routes: Vec<Route> = Vec::new();
    for (index, node) in reading.bounded_list(&list, "gateway.routes", bounds::ROUTES).into_iter().enumerate() {
        let at = format!("gateway.routes[{index}]");
        let before = reading.problems();
        let (mut keys, mut classes, mut names) = (Vec::new(), Vec::new(), Vec::new());
        let mut entries = reading.entries(node, &at, &ROUTE_KEYS);
        // Whether a key is another route's depends on them.
        entries.sort_by_key(|(key, _)| key != "request_class");
        for (key, value) in entries {
            let at = format!("{at}.{key}");
            if key == "request_class" {
                classes = reading.parse_each(value, &at, |text| {
                    value::choice(text, &request_class::KNOWN.map(|class| (class, class)))
                });
                continue;
            }
            if key == "keys" {
                let keys_of = value.as_sequence().map_or(1, |keys| keys.len());
                if let Err(what) = bounds::count(keys_of, bounds::ROUTE_KEYS) {
                    reading.wrong(value, &at, what);
                    continue;
                }
                let is_taken = |key: &[u8; 32]| {
                    let mut others = routes.iter().filter(|route| route.keys.contains(key));
                    others.any(|other| {
                        other.classes.is_empty() && classes.is_empty()
                            || other.classes.iter().any(|class| classes.contains(class))
                    })
                };
                keys = reading.parse_keys(value, &at, |text| {
                    read_key(text, env).and_then(|(key, was_cut)| match is_taken(&key) {
                        true => Err(Message::KeyOfAnotherRoute),
                        false => Ok((key, was_cut)),
                    })
                });
                continue;
            }
            let known = |name: &str| {
                if is_replaced || upstreams.iter().any(|upstream| upstream.name == name) {
                    return Ok(name.to_owned());
                }
                let near = near(name, upstreams.iter().map(|upstream| upstream.name.as_str()));
                Err(Message::NoUpstream { name: name.to_owned(), near })
            };
            let named = match key.as_str() {
                "upstream" => reading.parse(value, &at, known).into_iter().collect(),
                _ => reading.parse_each(value, &at, known),
            };
            for name in named {
                if names.contains(&name) {
                    reading.wrong(value, &at, Message::Twice { name: name.clone() });
                }
                names.push(name);
            }
        }
        if reading.problems() > before {
            continue;
        }
        match (keys.is_empty(), names.is_empty()) {
            (false, false) => routes.push(Route { keys, classes, upstreams: names }),
            (true, false) => reading.wrong(node, &at, Message::KeysMissing),
            (_, true) => reading.wrong(node, &at, Message::UpstreamMissing),
        }
    }
    let mut warnings = reading.warnings;
    reader.warnings.append(&mut warnings);
    reader.problems.append(&mut problems);
    for route in &mut routes {
        route.upstreams.retain(|name| upstreams.iter().any(|upstream| upstream.name == *name));
    }
    routes.retain(|route| !route.upstreams.is_empty());
    routes
}

/// `sha256:HEX`, `env:NAME`, or the key itself; and whether blanks around it were cut off. Messages never repeat it.
fn read_key(text: &str, env: Lookup<'_>) -> Result<([u8; 32], bool), Message> {
    let written = value::bare(text);
    let was_cut = written.len() < text.len();
    if let Some(hex) = written.strip_prefix("sha256:") {
        let bytes: Option<Vec<u8>> = (hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .then(|| (0..32).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()).collect())
            .flatten();
        let digest = bytes.and_then(|bytes| bytes.try_into().ok());
        return digest.map(|digest| (digest, was_cut)).ok_or(Message::NotSha256);
    }
    if let Some(name) = written.strip_prefix("env:") {
        let not_set = || Message::VariableNotSet { name: name.to_owned() };
        let mut key = env(name).filter(|key| !value::bare(key).is_empty()).ok_or_else(not_set)?;
        let was_cut = value::cut(&mut key) || was_cut;
        return digest_of(&key).map(|digest| (digest, was_cut));
    }
    digest_of(written).map(|digest| (digest, was_cut))
}

/// The digest of a key that a client can send.
fn digest_of(key: &str) -> Result<[u8; 32], Message> {
    match key.as_bytes() {
        [] => Err(Message::ValueMissing),
        bytes if is_field_value(bytes) => Ok(digest(bytes)),
        _ => Err(Message::KeyControls),
    }
}

/// One entry of `env/.env.key-mappings.json`: parts of its text.
struct KeyMapping<'t> {
    target_url: &'t str,
    keys: Vec<&'t str>,
}

/// The entries of the file: `{"mappings":[{"target_url":...,"keys":[...]}]}`. Members that begin with `__` are comments, as in
/// the headers file.
fn key_mappings<'t>(json: JsonText<'t>) -> Result<Vec<KeyMapping<'t>>, Box<Problem>> {
    let is_none = |at: Source| Box::new(Problem { at, key: String::new(), what: Message::MappingsExpected });
    let members = |part: &'t str, known: &[&str]| {
        let mut members = json.members(part).map_err(|wrong| is_none(wrong.at))?;
        members.retain(|member| !member.name.starts_with("__"));
        match members.iter().find(|member| !known.contains(&&*member.name)) {
            Some(unknown) => Err(is_none(json.place_of_name(unknown))),
            None => Ok(members),
        }
    };
    let items = |part: &'t str| json.items(part).map_err(|wrong| is_none(wrong.at));
    let member = |members: &[Member<'t>], name: &str| {
        members.iter().rfind(|member| member.name == name).map(|member| member.value)
    };
    let whole = json.whole();
    let list = member(&members(whole, &["mappings"])?, "mappings").ok_or_else(|| is_none(json.place(whole)))?;
    let read = |part: &'t str| {
        let members = members(part, &["target_url", "keys"])?;
        let target_url = member(&members, "target_url").ok_or_else(|| is_none(json.place(part)))?;
        Ok(KeyMapping { target_url, keys: member(&members, "keys").map(items).transpose()?.unwrap_or_default() })
    };
    items(list)?.into_iter().map(read).collect()
}

fn from_mappings(
    text: &str,
    upstreams: &mut Vec<UpstreamConfig>,
    inherited: Inherited<'_>,
    warnings: &mut Vec<Problem>,
) -> Result<Vec<Route>, Box<Problem>> {
    let json = JsonText::new(KEY_MAPPINGS_FILE, text);
    let problem =
        |part: &str, key: &str, what: Message| Box::new(Problem { at: json.place(part), key: key.to_owned(), what });
    let mappings = key_mappings(json)?;
    bounds::count(mappings.len(), bounds::ROUTES).map_err(|what| problem(json.whole(), "mappings", what))?;
    let all_keys = mappings.iter().map(|mapping| mapping.keys.len()).sum();
    bounds::count(all_keys, bounds::ROUTE_KEYS).map_err(|what| problem(json.whole(), "keys", what))?;
    // The upstreams that only this file has, with their names.
    let mut urls: Vec<BaseUrl> = Vec::new();
    let targets = mappings.iter().filter_map(|mapping| json_text::string(mapping.target_url));
    for url in targets.filter_map(|target| base_url::parse(&target).ok()) {
        if !urls.contains(&url) && !upstreams.iter().any(|upstream| upstream.base_url == url) {
            urls.push(url);
        }
    }
    let taken: Vec<&str> = upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
    let names = names(&urls, &taken);
    let own: Vec<(BaseUrl, String)> = urls.into_iter().zip(names).collect();
    // Each key with its upstreams, in the order of the file.
    let mut targets: Vec<([u8; 32], Vec<String>)> = Vec::new();
    let mut places: BTreeMap<[u8; 32], usize> = BTreeMap::new();
    for KeyMapping { target_url, keys } in mappings {
        let text_of = |part: &str| json_text::string(part).ok_or_else(|| problem(part, "", Message::MappingsExpected));
        let base_url = base_url::parse(&text_of(target_url)?).map_err(|what| problem(target_url, "", what))?;
        warnings.extend(base_url.endpoint_in_it().map(|what| *problem(target_url, "", what)));
        let known =
            upstreams.iter().find(|upstream| upstream.base_url == base_url).map(|upstream| upstream.name.clone());
        let name = match known {
            Some(name) => name,
            None => {
                let mut upstream = UpstreamConfig::at(base_url, inherited);
                upstream.is_reserved = true;
                let named = own.iter().find(|(url, _)| *url == upstream.base_url);
                upstream.name = named.map(|(_, name)| name.clone()).unwrap_or(upstream.name);
                upstreams.push(upstream.clone());
                upstream.name
            }
        };
        for part in keys {
            let written = text_of(part)?;
            let key = value::bare(&written);
            if key.is_empty() {
                continue;
            }
            if key.len() < written.len() {
                warnings.push(*problem(part, "keys", Message::BlanksCut));
            }
            let key = digest_of(key).map_err(|what| problem(part, "keys", what))?;
            let place = *places.entry(key).or_insert(targets.len());
            match targets.get_mut(place) {
                Some((_, names)) if names.contains(&name) => {}
                Some((_, names)) => names.push(name.clone()),
                None => targets.push((key, vec![name.clone()])),
            }
        }
    }
    let mut routes: Vec<Route> = Vec::new();
    for (key, upstreams) in targets {
        match routes.iter_mut().find(|route| route.upstreams == upstreams) {
            Some(route) => route.keys.push(key),
            None => routes.push(Route { keys: vec![key], classes: Vec::new(), upstreams }),
        }
    }
    Ok(routes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::section::proxy::{OutboundProxy, Proxies};

    #[test]
    fn keys_are_written_in_three_ways() {
        let env = |name: &str| (name == "K").then(|| "sk-1".to_owned());
        let expected = digest(b"sk-1");
        let hex: String = expected.iter().map(|byte| format!("{byte:02x}")).collect();
        for text in ["sk-1", "env:K", &format!("sha256:{hex}")] {
            assert_eq!(read_key(text, &env), Ok((expected, false)), "{text}");
        }
        assert!(read_key("env:NONE", &env).is_err() && read_key("sha256:12", &env).is_err());
        let env = |name: &str| (name == "K").then(|| "sk-1\r\n".to_owned());
        for text in [" sk-1", "sk-1\n", "\u{feff}sk-1", "sk-1\u{a0}", "env:K", &format!(" sha256:{hex}")] {
            assert_eq!(read_key(text, &env), Ok((expected, true)), "{text:?}");
        }
        assert_eq!(read_key("sk-1\nsk-2", &env), Err(Message::KeyControls), "no client can send it");
        assert_eq!(read_key(" ", &env), Err(Message::ValueMissing));
    }

    #[test]
    fn key_mappings_bring_their_upstreams() {
        let mut upstreams =
            vec![UpstreamConfig::at(base_url::parse("https://a.example").expect("a URL"), Inherited::NONE)];
        let text = r#"{"mappings":[
            {"target_url":"https://a.example/","keys":["sk-1"]},
            {"target_url":"https://anyrouter.top","keys":["sk-2", ""]}]}"#;
        let routes = from_mappings(text, &mut upstreams, Inherited::NONE, &mut Vec::new()).expect("valid");
        let route = |key: &[u8], upstream: &str| Route {
            keys: vec![digest(key)],
            classes: Vec::new(),
            upstreams: vec![upstream.to_owned()],
        };
        assert_eq!(routes[0], route(b"sk-1", "a.example"));
        assert_eq!(routes[1], route(b"sk-2", "anyrouter.top"));
        assert_eq!(upstreams.len(), 2);
        let problem = from_mappings("{\n\"mappings\": \"sk-3\"}", &mut upstreams, Inherited::NONE, &mut Vec::new())
            .expect_err("bad");
        assert!(!problem.to_string().contains("sk-3") && problem.to_string().contains(":2:13: "), "{problem}");
    }
    #[test]
    fn upstreams_of_key_mappings_have_their_proxy() {
        let mut upstreams = Vec::new();
        let text = r#"{"mappings":[{"target_url":"https://a.example","keys":["sk-1"]}]}"#;
        let proxies = Proxies { all: Some(OutboundProxy::parse("p.test").expect("a proxy")), ..Proxies::default() };
        let inherited = Inherited { proxies: &proxies, ..Inherited::NONE };
        from_mappings(text, &mut upstreams, inherited, &mut Vec::new()).expect("valid");
        assert_eq!(upstreams[0].proxy, proxies.all);
    }

    #[test]
    fn a_key_of_several_mappings_has_several_upstreams() {
        let mut upstreams = Vec::new();
        let text = r#"{"mappings":[
            {"target_url":"https://a.example","keys":["sk-1", "sk-2", "sk-3"]},
            {"target_url":"https://b.example","keys":["sk-3", "sk-1", "sk-4", "sk-4"]},
            {"target_url":"https://a.example/","keys":["sk-1", "sk-4"]}]}"#;
        let routes = from_mappings(text, &mut upstreams, Inherited::NONE, &mut Vec::new()).expect("valid");
        let route = |keys: &[&str], upstreams: &[&str]| Route {
            classes: Vec::new(),
            keys: keys.iter().map(|key| digest(key.as_bytes())).collect(),
            upstreams: upstreams.iter().map(|name| format!("{name}.example")).collect(),
        };
        assert_eq!(
            routes,
            [route(&["sk-1", "sk-3"], &["a", "b"]), route(&["sk-2"], &["a"]), route(&["sk-4"], &["b", "a"])]
        );
        assert_eq!(upstreams.len(), 2);
    }
}
