//! A JSON Schema of the YAML file, made from the table of settings: for completion and hints while somebody writes.
//! What is really valid is decided when the file is loaded.

use super::section::key_names::KEY_NAMES;
use super::section::server_conf::NOT_OURS;
use super::section::upstream_keys::UPSTREAM_KEYS;
use super::section::{error_rules, notify_target, settings};
use super::source::setting::{Entry, LISTS};
use pingora::server::configuration::ServerConf;
use serde_json::{Map, Value, json};

/// The schema.
pub(crate) fn schema() -> Value {
    let mut gateway = json!({"type": ["object", "null"], "additionalProperties": false, "properties": {}});
    for setting in settings::all() {
        insert(&mut gateway, setting.about.key.trim_start_matches("gateway."), of_setting(setting));
    }
    for list in LISTS {
        let items = match list.key {
            "gateway.upstreams" => upstream(),
            "gateway.routes" => route(),
            "gateway.prices" => json!({"type": "object"}),
            "gateway.models" => json!({"type": ["string", "object"], "properties": {"id": {"type": "string"},
                "display_name": {"type": "string"}}, "required": ["id"], "additionalProperties": false}),
            "gateway.notify.targets" => notify_target(),
            error_rules::ERRORS => error_rule(),
            _ => rule(),
        };
        let mut schema = json!({"type": ["array", "null"], "description": list.help.en, "items": items});
        if list.key == KEY_NAMES {
            schema = json!({"type": ["object", "null"], "description": list.help.en, "additionalProperties":
                {"type": ["string", "number"]}, "propertyNames": {"pattern": "^[0-9a-fA-F]{8,64}$"}});
        }
        insert(&mut gateway, list.key.trim_start_matches("gateway."), schema);
    }
    let mut properties = Map::new();
    if let Ok(Value::Object(own)) = serde_json::to_value(ServerConf::default()) {
        for (key, default) in own.into_iter().filter(|(key, _)| !NOT_OURS.iter().any(|(name, _)| name == key)) {
            let hint = json!({"description": "A setting of Pingora's.", "default": default});
            properties.insert(key, hint);
        }
    }
    properties.insert("gateway".to_owned(), gateway);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "anyrouter-gateway",
        "type": ["object", "null"],
        "additionalProperties": false,
        "properties": properties,
    })
}

/// Puts a schema at a dotted path below `level`.
fn insert(level: &mut Value, path: &str, schema: Value) {
    match path.split_once('.') {
        None => level["properties"][path] = schema,
        Some((name, rest)) => {
            let below = &mut level["properties"][name];
            if below.is_null() {
                *below = json!({"type": ["object", "null"], "additionalProperties": false, "properties": {}});
            }
            insert(below, rest, schema);
        }
    }
}

fn of_setting(setting: &Entry) -> Value {
    let (about, choices) = (setting.about, (setting.choices)());
    let mut schema = scalar(about.default, about.help.en);
    if about.is_list {
        schema["type"] = json!(["string", "number", "array", "null"]);
        schema["items"] = json!({"type": ["string", "number"]});
    }
    if !choices.is_empty() {
        let choices: Vec<Value> = choices.into_iter().map(Value::from).chain([Value::Null]).collect();
        schema["enum"] = choices.into();
    }
    if about.needs_restart {
        let help = format!("{} A change needs a restart or an upgrade.", about.help.en);
        schema["description"] = help.into();
    }
    schema
}

/// One value; an empty one counts as not set.
fn scalar(default: &str, help: &str) -> Value {
    let types = match default {
        "true" | "false" => json!(["boolean", "string", "null"]),
        _ => json!(["string", "number", "boolean", "null"]),
    };
    let mut schema = json!({"type": types, "description": help});
    match default {
        "" => {}
        "true" | "false" => schema["default"] = (default == "true").into(),
        _ => schema["default"] = default.into(),
    }
    schema
}

fn upstream() -> Value {
    let mut properties = Map::new();
    for setting in UPSTREAM_KEYS {
        let schema = match setting.key {
            "profile_rules" => json!({"type": "object", "description": setting.help.en}),
            "long_context" => json!({"type": ["string", "array"], "items": {"type": "string"},
                "description": setting.help.en}),
            "balance" => balance(setting.help.en),
            "api_keys" => json!({"type": ["array", "null"], "items": api_key(), "description": setting.help.en}),
            "test" => json!({"type": ["object", "null"], "required": ["every", "model"], "additionalProperties": false,
                "properties": test(), "description": setting.help.en}),
            _ => scalar(setting.default, setting.help.en),
        };
        properties.insert(setting.key.to_owned(), schema);
    }
    json!({"type": "object", "required": ["base_url"], "additionalProperties": false, "properties": properties})
}

fn api_key() -> Value {
    let mut properties = Map::new();
    for key in super::section::api_keys::ENTRY_KEYS {
        let types = match key {
            "enabled" => json!(["boolean", "string"]),
            _ => json!(["string", "number"]),
        };
        properties.insert(key.to_owned(), json!({"type": types}));
    }
    json!({"type": "object", "required": ["key"], "additionalProperties": false, "properties": properties})
}

fn balance(help: &str) -> Value {
    let mut properties = Map::new();
    for key in super::section::balance::BALANCE_KEYS {
        let schema = match key {
            "kind" => json!({"enum": super::section::balance::KINDS}),
            "rest_below" => json!({"type": ["number", "string"], "minimum": 0}),
            "headers" => json!({"type": "object", "additionalProperties": {"type": ["string", "number"]}}),
            _ => json!({"type": "string"}),
        };
        properties.insert(key.to_owned(), schema);
    }
    json!({"type": "object", "description": help, "required": ["kind"], "additionalProperties": false,
        "properties": properties})
}

fn test() -> Value {
    let keys = super::section::upstream_test::TEST_KEYS;
    keys.map(|key| (key.to_owned(), json!({"type": "string"}))).into_iter().collect::<Map<_, _>>().into()
}

fn route() -> Value {
    let texts = json!({"type": ["string", "array"], "items": {"type": "string"}});
    json!({
        "type": "object",
        "required": ["keys"],
        "additionalProperties": false,
        "properties": {"keys": texts, "request_class": {"anyOf": [
            {"enum": gateway_core::record::request_class::KNOWN},
            {"type": "array", "items": {"enum": gateway_core::record::request_class::KNOWN}}
        ]}, "upstream": {"type": "string"}, "upstreams": texts},
    })
}

fn notify_target() -> Value {
    let kinds: Vec<&str> = notify_target::KINDS.iter().map(|(kind, ..)| *kind).collect();
    let events: Vec<&str> = notify_target::EventKind::ALL.iter().map(|(name, _)| *name).collect();
    let text = json!({"type": ["string", "number"]});
    let mut properties = Map::new();
    for key in notify_target::TARGET_KEYS {
        let schema = match key {
            "kind" => json!({"enum": kinds}),
            "language" => json!({"enum": ["zh", "en"]}),
            "events" => json!({"anyOf": [{"enum": events}, {"type": "array", "items": {"enum": events}}]}),
            "to" => json!({"type": ["string", "array"], "items": {"type": "string"}}),
            _ => text.clone(),
        };
        properties.insert(key.to_owned(), schema);
    }
    json!({"type": "object", "required": ["kind"], "additionalProperties": false, "properties": properties})
}

fn error_rule() -> Value {
    let texts = json!({"type": ["string", "number", "array"], "items": {"type": ["string", "number"]}});
    let matches: Map<String, Value> =
        error_rules::MATCH_KEYS.into_iter().map(|key| (key.to_owned(), texts.clone())).collect();
    let mut properties = Map::new();
    for key in error_rules::RULE_KEYS {
        let schema = match key {
            "match" => json!({"type": "object", "additionalProperties": false, "properties": matches.clone()}),
            "then" => json!({"enum": error_rules::THEN.map(|(name, _)| name)}),
            "of" => json!({"enum": error_rules::OF.map(|(name, _)| name)}),
            "disable_key" => json!({"type": ["boolean", "string"]}),
            "answer" => json!({"type": "object", "required": ["message"], "additionalProperties": false,
                "properties": {"status": {"type": ["number", "string"]}, "message": {"type": "string"}}}),
            _ => json!({"type": "string"}),
        };
        properties.insert(key.to_owned(), schema);
    }
    let required = ["name", "match", "then"];
    json!({"type": "object", "required": required, "additionalProperties": false, "properties": properties})
}

fn rule() -> Value {
    let mut properties = Map::new();
    for key in super::section::rules::RULE_KEYS {
        properties.insert(key.to_owned(), json!({}));
    }
    json!({"type": "object", "additionalProperties": false, "properties": properties})
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a YAML value fits a schema, as far as the words go that are used here.
    fn fits(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let is_of_type = match &schema["type"] {
            Value::Null => true,
            Value::String(only) => only == kind,
            types => types.as_array().is_some_and(|types| types.iter().any(|name| name == kind)),
        };
        if !is_of_type {
            return Err(format!("{at}: {kind} does not fit {}", schema["type"]));
        }
        if schema["enum"].as_array().is_some_and(|choices| !choices.contains(value)) {
            return Err(format!("{at}: {value} is no choice"));
        }
        for (key, value) in value.as_object().into_iter().flatten() {
            match schema["properties"].get(key) {
                Some(schema) => fits(schema, value, &format!("{at}.{key}"))?,
                None if schema["additionalProperties"] == false => return Err(format!("{at}.{key} is unknown")),
                None => {}
            }
        }
        value.as_array().into_iter().flatten().try_for_each(|item| fits(&schema["items"], item, at))
    }

    #[test]
    fn the_shipped_file_fits_and_slips_do_not() {
        let schema = schema();
        let parse = |text: &str| serde_yaml::from_str::<Value>(text).expect("YAML");
        assert_eq!(fits(&schema, &parse(super::super::files::BUILT_IN), ""), Ok(()));
        for bad in [
            "gateway: {lissten: x}",
            "treads: 1",
            "gateway: {log: {format: jsno}}",
            "gateway: {upstreams: {}}",
            "gateway: {upstreams: [{base: x}]}",
            "gateway: {rules: [{mach: {}}]}",
        ] {
            assert!(fits(&schema, &parse(bad), "").is_err(), "{bad}");
        }
        let help = &schema["properties"]["gateway"]["properties"]["limits"]["properties"]["queue"]["description"];
        assert!(help.as_str().is_some_and(|help| help.contains("max_in_flight")), "{help}");
    }
}
