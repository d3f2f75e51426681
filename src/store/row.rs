//! A request as the admin API shows it: from the request log, or from a record that has just come. What it consists of is
//! declared in [`super::columns`].

use super::columns::{Column, Kind, Place, Value, shown};
use gateway_core::record::RequestRecord;
use gateway_core::usage::summary::Tokens;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::json;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Tokens by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct TokenCounts {
    /// Input that no cache was used for.
    pub input: u64,
    /// Output.
    pub output: u64,
    /// Input written to the prompt cache.
    pub cache_write: u64,
    /// Input read from it.
    pub cache_read: u64,
}

impl From<Tokens> for TokenCounts {
    fn from(tokens: Tokens) -> Self {
        let Tokens { input, output, cache_write, cache_write_1h: _, cache_read } = tokens;
        Self { input, output, cache_write, cache_read }
    }
}

/// A request that is over: its values, in the order of [`shown`].
#[derive(Clone, Debug, PartialEq)]
pub struct Row<'r>(Vec<Value<'r>>);

impl<'r> From<&'r RequestRecord> for Row<'r> {
    fn from(record: &'r RequestRecord) -> Self {
        Self(shown().map(|column| (column.value)(record)).collect())
    }
}

impl FromIterator<Value<'static>> for Row<'static> {
    fn from_iter<I: IntoIterator<Item = Value<'static>>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

impl Row<'_> {
    /// The head of a table of rows.
    pub fn head() -> impl Iterator<Item = &'static str> {
        shown().map(|column| column.name)
    }

    /// When the request began, in milliseconds since 1970.
    pub fn started_ms(&self) -> Option<i64> {
        shown().zip(&self.0).find_map(|(column, value)| match value {
            Value::Integer(millis) if column.name == "started_at_ms" => Some(*millis),
            _ => None,
        })
    }

    /// The text of a column.
    pub fn text(&self, name: &str) -> Option<&str> {
        shown().zip(&self.0).find_map(|(column, value)| match value {
            Value::Text(text) if column.name == name => Some(&**text),
            _ => None,
        })
    }

    /// The cells of such a table: lists with spaces between, counts as `a x3, b`, nothing for what is not known.
    pub fn cells(&self) -> impl Iterator<Item = String> {
        shown().zip(&self.0).map(|(column, value)| match (column.kind, value) {
            (_, Value::Null) => String::new(),
            (Kind::Text, Value::Text(text)) => text.to_string(),
            (Kind::List, Value::Text(list)) => names(list).collect::<Vec<_>>().join(" "),
            (Kind::Counts, Value::Text(object)) => counts(object),
            _ => column.json(value).to_string(),
        })
    }
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut columns = shown().zip(&self.0).peekable();
        while let Some((column, value)) = columns.next() {
            let Place::Within { object, member } = column.place else {
                map.serialize_entry(column.name, &column.json(value))?;
                continue;
            };
            let mut members = serde_json::Map::from_iter([(member.to_owned(), column.json(value))]);
            let mut is_known = *value != Value::Null;
            while let Some((column, value)) = columns.peek()
                && let Place::Within { object: same, member } = column.place
                && same == object
            {
                members.insert(member.to_owned(), column.json(value));
                is_known |= **value != Value::Null;
                columns.next();
            }
            map.serialize_entry(object, &is_known.then_some(members))?;
        }
        map.end()
    }
}

impl Column {
    /// A value as JSON has it.
    fn json(&self, value: &Value<'_>) -> serde_json::Value {
        match (self.kind, value) {
            (_, Value::Null) => serde_json::Value::Null,
            (Kind::Flag, Value::Integer(number)) => json!(*number != 0),
            (Kind::Dollars, Value::Integer(nano)) => json!(dollars(count(*nano))),
            (Kind::List, Value::Text(list)) => names(list).collect(),
            (Kind::Counts, Value::Text(object)) => serde_json::from_str(object).unwrap_or_default(),
            (_, Value::Integer(number)) => json!(number),
            (_, Value::Real(number)) => json!(number),
            (_, Value::Text(text)) => json!(text),
        }
    }
}

/// Billionths of a dollar in dollars.
pub(crate) fn dollars(nano: u64) -> f64 {
    nano as f64 / 1e9
}

/// What requests cost together, in dollars: of those that have a price. `None` where none has: no usage is known, or no price
/// for it. Nothing without a price may look as if it cost nothing.
pub(crate) fn cost_of(nano: u64, unpriced: u64, tokens: TokenCounts) -> Option<f64> {
    let is_known = nano > 0 || unpriced == 0 && tokens != TokenCounts::default();
    is_known.then(|| dollars(nano))
}

/// Counts as SQL has them; they are never negative.
pub(crate) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn names(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').filter(|name| !name.is_empty())
}

/// Counts in words, the largest first.
fn counts(object: &str) -> String {
    let counts: BTreeMap<String, u64> = serde_json::from_str(object).unwrap_or_default();
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| Reverse(*count));
    let word = |(name, count): &(String, u64)| if *count == 1 { name.clone() } else { format!("{name} x{count}") };
    counts.iter().map(word).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_core::record::ClientNames;
    use gateway_core::usage::summary::{Details, Nature, Summary};
    use gateway_core::usage::tools::Tools;

    #[test]
    fn what_has_no_price_never_costs_nothing() {
        let some = TokenCounts { input: 1, ..TokenCounts::default() };
        let none = TokenCounts::default();
        assert_eq!(cost_of(0, 0, none), None, "no usage is known");
        assert_eq!(cost_of(0, 3, some), None, "no price is known");
        assert_eq!(cost_of(5_000_000, 3, some), Some(0.005), "of those with a price");
        assert_eq!(cost_of(5_000_000, 0, some), Some(0.005));
        assert_eq!(cost_of(0, 0, some), Some(0.0), "a model that is free");
    }

    #[test]
    fn a_row_tells_each_value_as_what_it_means() {
        let tokens = Some(Tokens { input: 1, output: 2, cache_write: 3, cache_write_1h: 3, cache_read: 4 });
        let mut tools = Tools::default();
        ["Read", "Bash", "Edit", "Bash"].into_iter().for_each(|name| tools.add(name));
        let details = Details { cache_write_1h: Some(3), speed: Some("fast".to_owned()), ..Details::default() };
        let record = RequestRecord {
            answer: Some(Summary {
                nature: Nature::Stream,
                tokens,
                is_estimated: true,
                details,
                tools,
                ..Summary::default()
            }),
            cost: Some(15_000_000),
            rules: vec!["a".into(), "b".into()],
            names: ClientNames { request_class: Some("main".to_owned()), ..ClientNames::default() },
            ..crate::sample::record()
        };
        let row = Row::from(&record);
        let json = json!(row);
        assert_eq!(
            (&json["id"], &json["started_at_ms"], &json["duration_ms"]),
            (&json!("req_1"), &json!(0), &json!(12))
        );
        assert_eq!(json["tokens"], json!({"input": 1, "output": 2, "cache_write": 3, "cache_read": 4}));
        assert_eq!(
            (&json["usage"]["cache_write_1h"], &json["usage"]["speed"], &json["usage"]["thinking"], &json["estimated"]),
            (&json!(3), &json!("fast"), &json!(null), &json!(true))
        );
        assert_eq!(
            (&json["is_stream"], &json["cost_usd"], &json["rules"]),
            (&json!(true), &json!(0.015), &json!(["a", "b"]))
        );
        assert_eq!(json["tools"], json!({"Bash": 2, "Edit": 1, "Read": 1}));
        assert_eq!((&json["session"], &json["request_class"]), (&json!(null), &json!("main")));
        assert!(json.get("tried").is_none() && json.get("stray_bytes").is_none() && json.get("input_tokens").is_none());
        let cells: Vec<_> = Row::head().zip(row.cells()).collect();
        for (name, cell) in [
            ("cost_usd", "0.015"),
            ("rules", "a b"),
            ("is_stream", "true"),
            ("cache_read_tokens", "4"),
            ("tools", "Bash x2, Edit, Read"),
        ] {
            assert!(cells.contains(&(name, cell.to_owned())), "{name}: {cells:?}");
        }
        let nothing = json!(Row::from(&crate::sample::record()));
        assert!(nothing["tokens"].is_null() && nothing["usage"].is_null() && nothing["tools"].is_null());
        assert!(nothing["estimated"] == false);
    }
}
