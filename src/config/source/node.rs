//! What a node of YAML says: its text, and itself as JSON.

use marked_yaml::Node;
use marked_yaml::types::MarkedScalarNode;

/// The text of a scalar; YAML's nulls are empty.
pub(crate) fn scalar_text(scalar: &MarkedScalarNode) -> &str {
    match scalar.as_str() {
        "~" | "null" if scalar.may_coerce() => "",
        text => text,
    }
}

/// A node as JSON. A plain scalar is what YAML 1.2 takes it for.
pub(crate) fn json(node: &Node) -> String {
    let mut text = String::new();
    write_json(node, &mut text);
    text
}

fn write_json(node: &Node, text: &mut String) {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    match node {
        Node::Scalar(scalar) if scalar.may_coerce() => text.push_str(&plain_json(scalar.as_str())),
        Node::Scalar(scalar) => text.push_str(&quoted(scalar.as_str())),
        Node::Mapping(mapping) => {
            text.push('{');
            for (index, (key, value)) in mapping.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&quoted(key.as_str()));
                text.push(':');
                write_json(value, text);
            }
            text.push('}');
        }
        Node::Sequence(list) => {
            text.push('[');
            for (index, value) in list.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_json(value, text);
            }
            text.push(']');
        }
    }
}

/// A plain scalar by YAML 1.2's core schema.
fn plain_json(plain: &str) -> String {
    match plain {
        "" | "~" | "null" | "Null" | "NULL" => return "null".to_owned(),
        "true" | "True" | "TRUE" => return "true".to_owned(),
        "false" | "False" | "FALSE" => return "false".to_owned(),
        _ => {}
    }
    let in_base = |prefix: &str, base| u64::from_str_radix(plain.strip_prefix(prefix)?, base).ok();
    if let Some(number) = in_base("0x", 16).or_else(|| in_base("0o", 8)) {
        return number.to_string();
    }
    let number = plain.strip_prefix('+').unwrap_or(plain);
    match serde_json::from_str::<&serde_json::value::RawValue>(number) {
        // As it is written: no digit is lost.
        Ok(raw) if number.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => raw.get().to_owned(),
        _ => serde_json::Value::from(plain).to_string(),
    }
}
