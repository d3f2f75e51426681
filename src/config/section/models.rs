//! `gateway.models`: the models that are told where no upstream has a list of them.

use crate::config::source::bounds;
use crate::config::source::message::Message;
use crate::config::source::node_reader::NodeReader;
use crate::config::source::settings_reader::Reader;
use gateway_core::models::Model;
use marked_yaml::Node;

/// Most characters of an id or a name.
const LONGEST: usize = 200;

/// The models of the file, in its order.
pub(crate) fn read(reader: &mut Reader<'_>) -> Vec<Model> {
    let Some(list) = reader.node("gateway.models").cloned() else { return Vec::new() };
    let mut problems = Vec::new();
    let places = reader.places();
    let models = read_list(&mut NodeReader::new(&places, reader.names, &mut problems), &list);
    reader.problems.append(&mut problems);
    models
}

fn read_list(reading: &mut NodeReader<'_, '_>, list: &Node) -> Vec<Model> {
    let mut models: Vec<Model> = Vec::new();
    for (index, node) in reading.bounded_list(list, "gateway.models", bounds::MODELS).into_iter().enumerate() {
        let at = format!("gateway.models[{index}]");
        let Some(model) = read_one(reading, node, &at) else { continue };
        if models.iter().any(|other| other.id == model.id) {
            reading.wrong(node, &at, Message::Twice { name: model.id });
            continue;
        }
        models.push(model);
    }
    models
}

/// An id alone, or with the name that people read.
fn read_one(reading: &mut NodeReader<'_, '_>, node: &Node, at: &str) -> Option<Model> {
    if node.as_scalar().is_some() {
        return reading.parse(node, at, text).map(|id| Model::named(&id));
    }
    let before = reading.problems();
    let (mut id, mut display_name) = (None, None);
    for (key, value) in reading.entries(node, at, &["id", "display_name"]) {
        let text = reading.parse(value, &format!("{at}.{key}"), text);
        match key.as_str() {
            "id" => id = text,
            _ => display_name = text,
        }
    }
    if id.is_none() && reading.problems() == before {
        reading.wrong(node, at, Message::ModelIdMissing);
    }
    let id = id?;
    Some(Model { display_name: display_name.unwrap_or_else(|| id.clone()), id })
}

fn text(text: &str) -> Result<String, Message> {
    match text.chars().count() {
        ..=LONGEST => Ok(text.to_owned()),
        _ => Err(Message::TextTooLong { bytes: text.len() as u64, most: LONGEST as u64 }),
    }
}
