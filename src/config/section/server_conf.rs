//! Pingora's own settings, at the top level of the texts.

use super::settings;
use crate::config::source::message::Message;
use crate::config::source::settings_reader::Reader;
use pingora::server::configuration::ServerConf;
use serde_json::{Map, Value};

/// Those that would not do what they say.
pub(crate) const NOT_OURS: [(&str, Message); 3] =
    [("daemon", Message::NotInBackground), ("pid_file", Message::PidFile), ("upgrade_sock", Message::UpgradeSocket)];
/// Those that the panel may set: numbers that say how the work is shared out. All others name files, users or addresses, or are
/// there to look into Pingora.
pub(crate) const FOR_PANEL: [&str; 8] = [
    "version",
    "threads",
    "listener_tasks_per_fd",
    "work_stealing",
    "grace_period_seconds",
    "graceful_shutdown_timeout_seconds",
    "upstream_keepalive_pool_size",
    "max_retries",
];

/// What numbers may be: with none of these the gateway would serve nobody, and too many take all memory.
const RANGES: [(&str, std::ops::RangeInclusive<u64>); 4] = [
    ("threads", 1..=1024),
    ("listener_tasks_per_fd", 1..=64),
    ("upstream_keepalive_pool_size", 0..=1_000_000),
    ("max_retries", 0..=100),
];

/// Each of them with its value as JSON.
pub(crate) fn shown(conf: &ServerConf) -> Vec<(String, String)> {
    match serde_json::to_value(conf) {
        Ok(Value::Object(members)) => members.into_iter().map(|(key, value)| (key, value.to_string())).collect(),
        _ => Vec::new(),
    }
}

/// All of them, with the gateway's defaults for some.
pub(crate) fn read(reader: &mut Reader<'_>) -> ServerConf {
    let known: Vec<String> = shown(&ServerConf::default()).into_iter().map(|(key, _)| key).collect();
    let ours: Vec<&str> = settings::all().map(|setting| setting.about.key).collect();
    reader.refuse_unknown_keys(&known, &ours);
    let mut members = Map::new();
    for (key, node) in reader.top_level() {
        let value: Value = serde_json::from_str(&crate::config::source::node::json(&node)).unwrap_or_default();
        if !known.contains(&key) || value.is_null() {
            continue;
        }
        let range = RANGES.iter().find(|(known, _)| *known == key).map(|(_, range)| range);
        if let (Some(range), Some(number)) = (range, value.as_u64())
            && !range.contains(&number)
        {
            let place = reader.place(node.span());
            reader.problem(place, &key, Message::NotBetween { number, least: *range.start(), most: *range.end() });
            continue;
        }
        let alone = Value::Object(Map::from_iter([(key.clone(), value.clone())]));
        match serde_json::from_value::<ServerConf>(alone) {
            Ok(_) => drop(members.insert(key, value)),
            Err(error) => {
                let place = reader.place(node.span());
                reader.problem(place, &key, Message::Unsuitable { said: error.to_string() });
            }
        }
    }
    let mut conf: ServerConf = serde_json::from_value(Value::Object(members)).unwrap_or_default();
    for (key, what) in NOT_OURS {
        if let Some(place) = reader.node(key).map(|node| reader.place(node.span())) {
            reader.problem(place, key, what);
        }
    }
    // Without work stealing the same work takes 10 to 20 % less CPU.
    if reader.node("work_stealing").is_none() {
        conf.work_stealing = false;
    }
    if reader.node("upstream_keepalive_pool_size").is_none() {
        conf.upstream_keepalive_pool_size = 256;
    }
    conf.graceful_shutdown_timeout_seconds = conf.graceful_shutdown_timeout_seconds.or(Some(5));
    conf
}
