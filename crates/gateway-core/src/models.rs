//! The list of models as the API has it (`GET /v1/models`, `GET /v1/models/ID`), for the time when no upstream has one.

use crate::http1::{collapsed, split_query};
use serde::Serialize;
use std::borrow::Cow;

/// Entries in one page, if nobody says how many.
const PAGE: usize = 20;
/// Most entries in one page.
const LARGEST_PAGE: usize = 1_000;
/// What the API tells of a model whose date is not known.
const NO_DATE: &str = "1970-01-01T00:00:00Z";

/// Longest name of a model that somebody asks for.
pub const LONGEST_NAME: usize = 200;

/// Whether this can be the name of a model: it has no blank, and nothing that quotes or controls a terminal.
pub fn is_name(text: &str) -> bool {
    let is_usual = |byte: u8| byte.is_ascii_graphic() && !b"\"'\\`<>".contains(&byte);
    !text.is_empty() && text.len() <= LONGEST_NAME && text.bytes().all(is_usual)
}

/// A model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// What requests call it.
    pub id: String,
    /// What people call it.
    pub display_name: String,
}

impl Model {
    /// One without a name of its own.
    pub fn named(id: &str) -> Self {
        Self { id: id.to_owned(), display_name: id.to_owned() }
    }
}

/// The order of the members is the API's own.
#[derive(Serialize)]
struct Entry<'m> {
    r#type: &'static str,
    id: &'m str,
    display_name: &'m str,
    created_at: &'static str,
}

#[derive(Serialize)]
struct Page<'m> {
    data: Vec<Entry<'m>>,
    has_more: bool,
    first_id: Option<&'m str>,
    last_id: Option<&'m str>,
}

impl<'m> Entry<'m> {
    fn of(model: &'m Model) -> Self {
        Self { r#type: "model", id: &model.id, display_name: &model.display_name, created_at: NO_DATE }
    }
}

/// Whether a request asks for models: for all of them, or for one.
pub fn asks_for_models(method: &str, target: &[u8]) -> bool {
    method == "GET" && below_models(&collapsed(split_query(target).0)).is_some()
}

/// The body of the response to a request for models with this target; `None` where it asks for a model that is not among
/// these, or there are none.
pub fn response(target: &[u8], models: &[Model]) -> Option<String> {
    let (path, query) = split_query(target);
    let path = collapsed(path);
    let id = below_models(&path)?;
    if models.is_empty() {
        return None;
    }
    if id.is_empty() {
        return serde_json::to_string(&page(query.unwrap_or_default(), models)).ok();
    }
    let id = percent_encoding::percent_decode(id).decode_utf8().ok()?;
    let model = models.iter().find(|model| model.id == id)?;
    serde_json::to_string(&Entry::of(model)).ok()
}

/// What stands behind `/v1/models/`, perhaps nothing.
fn below_models(path: &[u8]) -> Option<&[u8]> {
    match path.strip_prefix(b"/v1/models")? {
        [] => Some(&[]),
        [b'/', id @ ..] => Some(id.strip_suffix(b"/").unwrap_or(id)),
        _ => None,
    }
}

fn page<'m>(query: &[u8], models: &'m [Model]) -> Page<'m> {
    let wanted = |name: &str| parameter(query, name);
    let place = |id: Cow<'_, str>| models.iter().position(|model| model.id == id);
    let limit = wanted("limit").and_then(|limit| limit.parse().ok()).filter(|limit| *limit > 0).unwrap_or(PAGE);
    let limit = limit.min(LARGEST_PAGE);
    // As the API has it: the page before an entry ends there, and what is left over then lies before it.
    let (page, has_more) = match (wanted("after_id").and_then(place), wanted("before_id").and_then(place)) {
        (_, Some(end)) => (&models[end.saturating_sub(limit)..end], end > limit),
        (after, None) => {
            let rest = &models[after.map_or(0, |at| at + 1)..];
            (&rest[..rest.len().min(limit)], rest.len() > limit)
        }
    };
    let id = |model: &'m Model| model.id.as_str();
    Page {
        data: page.iter().map(Entry::of).collect(),
        has_more,
        first_id: page.first().map(id),
        last_id: page.last().map(id),
    }
}

/// The first value of a parameter, decoded.
fn parameter<'q>(query: &'q [u8], name: &str) -> Option<Cow<'q, str>> {
    let pairs = query.split(|&byte| byte == b'&');
    let value = pairs.filter_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")).next()?;
    percent_encoding::percent_decode(value).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn models() -> Vec<Model> {
        let display_name = "Claude Opus 5.5".to_owned();
        let mut models = vec![Model { id: "claude-opus-5-5".to_owned(), display_name }];
        models.extend((0..30).map(|n| Model::named(&format!("m{n}"))));
        models
    }

    fn told(target: &str) -> Value {
        serde_json::from_str(&response(target.as_bytes(), &models()).expect("a response")).expect("JSON")
    }

    fn ids(target: &str) -> (Vec<String>, bool) {
        let page = told(target);
        let entries = page["data"].as_array().expect("a list");
        let ids: Vec<String> = entries.iter().map(|entry| entry["id"].as_str().expect("an id").to_owned()).collect();
        assert_eq!(page["first_id"].as_str(), ids.first().map(String::as_str), "{target}");
        assert_eq!(page["last_id"].as_str(), ids.last().map(String::as_str), "{target}");
        (ids, page["has_more"].as_bool().expect("told"))
    }

    #[test]
    fn a_list_has_the_shape_of_the_api() {
        let one = response(b"/v1/models?limit=1000", &models()[..1]).expect("a response");
        assert_eq!(
            one,
            "{\"data\":[{\"type\":\"model\",\"id\":\"claude-opus-5-5\",\"display_name\":\"Claude Opus 5.5\",\
             \"created_at\":\"1970-01-01T00:00:00Z\"}],\"has_more\":false,\"first_id\":\"claude-opus-5-5\",\
             \"last_id\":\"claude-opus-5-5\"}"
        );
        assert_eq!(response(b"/v1/models", &[]), None);
    }

    #[test]
    fn pages_are_as_long_as_asked_and_begin_where_asked() {
        for (query, count, has_more) in [
            ("", 20, true),
            ("?limit=1000", 31, false),
            ("?limit=99999", 31, false),
            ("?limit=31", 31, false),
            ("?limit=1", 1, true),
            ("?limit=0", 20, true),
            ("?limit=x&beta=true", 20, true),
            ("?limit=5&after_id=m27", 2, false),
            ("?limit=5&after_id=m20", 5, true),
            ("?after_id=m29", 0, false),
            ("?limit=5&before_id=m3", 4, false),
            ("?limit=3&before_id=m3", 3, true),
            ("?after_id=unknown", 20, true),
        ] {
            let (ids, more) = ids(&format!("/v1/models{query}"));
            assert_eq!((ids.len(), more), (count, has_more), "{query}");
        }
        assert_eq!(ids("/v1/models?limit=2&after_id=m20").0, ["m21", "m22"]);
        assert_eq!(ids("/v1/models?limit=2&before_id=m2").0, ["m0", "m1"]);
    }

    #[test]
    fn one_model_is_told_alone() {
        let one = json!({"type": "model", "id": "m3", "display_name": "m3", "created_at": "1970-01-01T00:00:00Z"});
        for target in ["/v1/models/m3", "/v1/models/m3/", "//v1//models/%6d3?beta=true"] {
            assert_eq!(told(target), one, "{target}");
        }
        for unknown in ["/v1/models/other", "/v1/models/%ff", "/v1/modelsx", "/v2/models"] {
            assert_eq!(response(unknown.as_bytes(), &models()), None, "{unknown}");
        }
    }

    #[test]
    fn only_reading_asks_for_models() {
        for (method, target, asks) in [
            ("GET", "/v1/models?limit=1000", true),
            ("GET", "/v1/models/claude-opus-5-5", true),
            ("HEAD", "/v1/models", false),
            ("POST", "/v1/models", false),
            ("GET", "/relay/v1/models", false),
            ("GET", "/v1/messages", false),
        ] {
            assert_eq!(asks_for_models(method, target.as_bytes()), asks, "{method} {target}");
        }
    }
}
