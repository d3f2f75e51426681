//! The columns of the request log. Each is declared once, in [`COLUMNS`]: what is stored of a record, how that is shown in JSON
//! and CSV, and whether rows can be chosen by it. INSERT, reading, lists, the live feed and exports follow the table.
//!
//! A new column needs a line here, a migration that leaves old `INSERT`s valid, and its member in `docs/openapi.yaml`.

use super::tried;
use gateway_core::cache_waste::{Cached, Prefix};
use gateway_core::holder::Holder;
use gateway_core::prompt_shape::kept::MOST_BYTES;
use gateway_core::reason::Reason;
use gateway_core::record::{Cause, PromptOutcome, RequestRecord, ThinkingAction, Waste};
use gateway_core::thinking::Moved;
use gateway_core::usage::summary::{Details, Summary, Tokens};
use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What SQLite stores.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "they are SQLite's own")]
pub enum Value<'r> {
    Null,
    Integer(i64),
    Real(f64),
    Text(Cow<'r, str>),
}

/// What a stored value means, and so how it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A whole number.
    Integer,
    /// A number.
    Real,
    /// A text.
    Text,
    /// 0 or 1, shown as a boolean.
    Flag,
    /// Names with commas between, shown as an array.
    List,
    /// Billionths of a dollar, shown as dollars.
    Dollars,
    /// An object of names and counts.
    Counts,
}

/// Where a column is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A member of the row.
    Row,
    /// A member of an object in the row; the object is null if all of its members are. CSV has a column of its own for it.
    Within {
        /// The object.
        object: &'static str,
        /// The name in there.
        member: &'static str,
    },
    /// Not in lists.
    Aside,
}

/// A column of the table `requests`.
#[derive(Debug)]
pub(crate) struct Column {
    /// The name in the API, in exports, and as a filter.
    pub name: &'static str,
    /// The name in the table.
    pub sql: &'static str,
    /// What a value means.
    pub kind: Kind,
    /// Where it is shown.
    pub place: Place,
    /// Whether `?name=a,b` asks for the rows that have one of these values.
    pub is_filter: bool,
    /// Whether it holds fingerprints: a filter takes a part of one, and finds older rows, which have less of it.
    pub is_fingerprint: bool,
    /// Whether `?q=` looks for a part of it.
    pub is_searched: bool,
    /// What is stored of a record.
    pub value: fn(&RequestRecord) -> Value<'_>,
}

/// 64 bits as they are, in a column that is not shown.
macro_rules! digest {
    ($name:literal, $digest:expr) => {
        integer($name, |record| {
            let digest: fn(&RequestRecord) -> Option<u64> = $digest;
            digest(record).map(u64::cast_signed).into()
        })
        .aside()
    };
}

/// All columns, in the order in which they are written and shown. New ones come last: readers of CSV may count them.
pub(crate) static COLUMNS: &[Column] = &[
    text("id", |record| (&record.request_id).into()).searched(),
    integer("started_at_ms", |record| millis(record.started_at).into()).stored_as("started_ms"),
    integer("duration_ms", |record| record.duration.into()),
    integer("queue_ms", |record| record.queue.into()),
    integer("connect_ms", |record| record.connect.into()),
    integer("first_byte_ms", |record| record.first_byte.into()),
    integer("first_token_ms", |record| answer(record).and_then(|answer| answer.first_token).into()),
    integer("longest_gap_ms", |record| answer(record).map(|answer| answer.longest_gap).into()),
    column("tokens_per_second", Kind::Real, |record| answer(record).and_then(Summary::tokens_per_second).into()),
    text("client", |record| record.client.map(|client| client.to_string()).into()).filter(),
    text("http", |record| record.http.into()),
    text("method", |record| (&record.method).into()),
    text("path", |record| (&record.path).into()).filter().searched(),
    integer("status", |record| i64::from(record.status).into()),
    text("outcome", |record| record.outcome.name().into()).filter(),
    text("reason", |record| record.reason.map_or("", Reason::code).into()).searched(),
    text("cause", |record| record.cause.map(Cause::code).into()).filter(),
    text("upstream", |record| record.upstream.as_deref().into()).filter(),
    integer("attempts", |record| i64::from(record.attempts).into()),
    text("tried", |record| tried::write(record).into()).aside(),
    integer("request_bytes", |record| record.request_bytes.into()),
    integer("response_bytes", |record| record.response_bytes.into()),
    text("key", |record| record.key.as_ref().into()).stored_as("key_fingerprint").filter().fingerprint(),
    text("session", |record| record.names.session.as_ref().into()).filter().searched(),
    text("agent", |record| record.names.agent.as_ref().into()),
    text("parent_agent", |record| record.names.parent_agent.as_ref().into()),
    text("rewrite", |record| record.rewrite.map_or("", PromptOutcome::code).into()),
    column("rules", Kind::List, |record| record.rules.join(",").into()),
    text("model_asked", |record| record.model_asked.as_ref().into()).searched(),
    text("model", |record| answer(record).and_then(|answer| answer.model.as_ref()).into()).searched(),
    column("is_stream", Kind::Flag, |record| i64::from(answer(record).is_some_and(Summary::is_stream)).into()),
    integer("input_tokens", |record| tokens(record).map(|tokens| tokens.input).into()).within("tokens", "input"),
    integer("output_tokens", |record| tokens(record).map(|tokens| tokens.output).into()).within("tokens", "output"),
    integer("cache_write_tokens", |record| tokens(record).map(|tokens| tokens.cache_write).into())
        .within("tokens", "cache_write"),
    integer("cache_read_tokens", |record| tokens(record).map(|tokens| tokens.cache_read).into())
        .within("tokens", "cache_read"),
    column("cost_usd", Kind::Dollars, |record| record.cost.into()).stored_as("cost_nano"),
    text("stop_reason", |record| answer(record).and_then(|answer| answer.stop_reason.as_ref()).into()),
    text("error_type", |record| record.error_type().into()),
    text("error_message", |record| record.error_message().into()).searched(),
    integer("tool_uses", |record| i64::from(answer(record).map_or(0, |answer| answer.tool_uses)).into()),
    integer("events", |record| i64::from(answer(record).map_or(0, |answer| answer.events)).into()),
    integer("skipped_events", |record| i64::from(answer(record).map_or(0, |answer| answer.skipped)).into()),
    integer("stray_bytes", |record| record.is_stray().then(|| stray_bytes(record)).into()).aside(),
    // Under which name the sums have its model: empty if that is its own; what earlier versions wrote does not tell.
    text("model_label", |record| {
        let label = &*record.labels.model;
        if label == record.model().unwrap_or_default() { "" } else { label }.into()
    })
    .aside(),
    text("request_class", |record| record.names.request_class.as_ref().into()).filter(),
    text("agent_type", |record| record.names.agent_type.as_ref().into()).filter(),
    column("estimated", Kind::Flag, |record| {
        i64::from(answer(record).is_some_and(|answer| answer.is_estimated)).into()
    }),
    integer("cache_write_5m_tokens", |record| details(record).and_then(|usage| usage.cache_write_5m).into())
        .within("usage", "cache_write_5m"),
    integer("cache_write_1h_tokens", |record| details(record).and_then(|usage| usage.cache_write_1h).into())
        .within("usage", "cache_write_1h"),
    integer("thinking_tokens", |record| details(record).and_then(|usage| usage.thinking).into())
        .within("usage", "thinking"),
    integer("web_search_requests", |record| details(record).and_then(|usage| usage.web_searches).into())
        .within("usage", "web_search_requests"),
    integer("web_fetch_requests", |record| details(record).and_then(|usage| usage.web_fetches).into())
        .within("usage", "web_fetch_requests"),
    text("service_tier", |record| details(record).and_then(|usage| usage.service_tier.as_ref()).into())
        .within("usage", "service_tier"),
    text("inference_geo", |record| details(record).and_then(|usage| usage.inference_geo.as_ref()).into())
        .within("usage", "inference_geo"),
    text("speed", |record| details(record).and_then(|usage| usage.speed.as_ref()).into()).within("usage", "speed"),
    text("compaction", |record| record.names.compaction.as_ref().into()).filter(),
    text("context_compacted", |record| record.names.context_compacted.as_ref().into()).filter(),
    text("prompt_id", |record| record.names.prompt_id.as_ref().into()).filter(),
    text("thinking_action", |record| record.thinking_action.map(ThinkingAction::code).into()).filter(),
    integer("thinking_dropped", |record| record.dropped_thinking().map(u64::from).into()),
    text("moved", |record| record.moved.as_ref().map(Moved::code).into()).filter(),
    text("moved_by", |record| record.moved.as_ref().map(Moved::what).filter(|what| !what.is_empty()).into()).filter(),
    text("upstream_key", |record| record.upstream_key.as_deref().into()).filter(),
    text("error_code", |record| record.error_code().into()).filter(),
    text("error_rule", |record| record.error_rule.as_deref().into()).filter(),
    text("waste_cause", |record| waste(record).map(|waste| waste.loss.cause.code()).into())
        .within("waste", "cause")
        .filter(),
    integer("waste_tokens", |record| waste(record).map(|waste| waste.loss.tokens).into()).within("waste", "tokens"),
    column("waste_usd", Kind::Dollars, |record| waste(record).and_then(|waste| waste.cost).into())
        .stored_as("waste_nano")
        .within("waste", "usd"),
    text("waste_detail", |record| waste(record).map(|waste| waste.loss.detail.as_str()).into()).aside(),
    // What of the prompt is in the cache, as it came, and as it went out where that differs.
    digest!("came_tools", |record| Some(cached(record)?.came.tools)),
    digest!("came_system", |record| Some(cached(record)?.came.system)),
    digest!("came_settings", |record| Some(cached(record)?.came.settings)),
    digest!("came_history", |record| Some(cached(record)?.came.history)),
    digest!("came_blocks", |record| Some(cached(record)?.came.blocks.into())),
    digest!("sent_tools", |record| Some(sent(record)?.tools)),
    digest!("sent_system", |record| Some(sent(record)?.system)),
    digest!("sent_settings", |record| Some(sent(record)?.settings)),
    digest!("sent_history", |record| Some(sent(record)?.history)),
    digest!("sent_blocks", |record| Some(sent(record)?.blocks.into())),
    digest!("head_lives_s", |record| Some(cached(record)?.lifetime.head_s.into())),
    digest!("history_lives_s", |record| Some(cached(record)?.lifetime.history_s.into())),
    column("tools", Kind::Counts, |record| answer(record).and_then(tools).into()),
    // Whose client token it had.
    text("user", |record| holder(record).map(|holder| &holder.user).into()).stored_as("user_name").filter(),
    text("group", |record| holder(record).and_then(|holder| holder.group.as_deref()).into())
        .stored_as("group_name")
        .filter(),
    text("token", |record| holder(record).map(|holder| &holder.token).into()).stored_as("token_id").filter(),
];

/// The columns that a row shows, in the order of its values.
pub(crate) fn shown() -> impl Iterator<Item = &'static Column> {
    COLUMNS.iter().filter(|column| column.place != Place::Aside)
}

/// The columns by which rows can be chosen, value by value.
pub(crate) fn filters() -> impl Iterator<Item = &'static Column> {
    COLUMNS.iter().filter(|column| column.is_filter)
}

const fn column(name: &'static str, kind: Kind, value: fn(&RequestRecord) -> Value<'_>) -> Column {
    Column {
        name,
        sql: name,
        kind,
        place: Place::Row,
        is_filter: false,
        is_fingerprint: false,
        is_searched: false,
        value,
    }
}

const fn text(name: &'static str, value: fn(&RequestRecord) -> Value<'_>) -> Column {
    column(name, Kind::Text, value)
}

const fn integer(name: &'static str, value: fn(&RequestRecord) -> Value<'_>) -> Column {
    column(name, Kind::Integer, value)
}

impl Column {
    const fn stored_as(self, sql: &'static str) -> Self {
        Self { sql, ..self }
    }

    const fn within(self, object: &'static str, member: &'static str) -> Self {
        Self { place: Place::Within { object, member }, ..self }
    }

    const fn aside(self) -> Self {
        Self { place: Place::Aside, ..self }
    }

    const fn filter(self) -> Self {
        Self { is_filter: true, ..self }
    }

    const fn fingerprint(self) -> Self {
        Self { is_fingerprint: true, ..self }
    }

    const fn searched(self) -> Self {
        Self { is_searched: true, ..self }
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u64> for Value<'_> {
    fn from(count: u64) -> Self {
        Self::Integer(number(count))
    }
}

impl From<Duration> for Value<'_> {
    fn from(time: Duration) -> Self {
        Self::Integer(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Value<'_> {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl<'r, T: AsRef<str> + ?Sized> From<&'r T> for Value<'r> {
    fn from(text: &'r T) -> Self {
        Self::Text(Cow::Borrowed(text.as_ref()))
    }
}

impl<'r, T: Into<Value<'r>>> From<Option<T>> for Value<'r> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Counts as SQL knows them.
pub(crate) fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn answer(record: &RequestRecord) -> Option<&Summary> {
    record.answer.as_ref()
}

fn tokens(record: &RequestRecord) -> Option<Tokens> {
    answer(record)?.tokens
}

fn details(record: &RequestRecord) -> Option<&Details> {
    Some(&answer(record)?.details)
}

/// The tools that an answer uses, as an object.
fn tools(answer: &Summary) -> Option<String> {
    let counts = answer.tools.iter().map(|(name, uses)| (name.to_owned(), uses.into()));
    (!answer.tools.is_empty()).then(|| serde_json::Value::Object(counts.collect()).to_string())
}

fn holder(record: &RequestRecord) -> Option<&Holder> {
    record.holder.as_deref()
}

fn waste(record: &RequestRecord) -> Option<&Waste> {
    record.waste.as_deref()
}

fn cached(record: &RequestRecord) -> Option<&Cached> {
    record.cached.as_deref()
}

fn sent(record: &RequestRecord) -> Option<Prefix> {
    cached(record).filter(|cached| cached.sent != cached.came).map(|cached| cached.sent)
}

/// What a row takes with its indexes, beside its texts.
const ROW_BYTES: usize = 700;

/// About how much room a stray takes.
pub(crate) fn stray_bytes(record: &RequestRecord) -> i64 {
    let message = record.error_message().map_or(0, str::len);
    let names: usize = record.names.iter().chain(record.model_asked.as_deref()).map(str::len).sum();
    let rules: usize = record.rules.iter().map(|rule| rule.len() + 1).sum();
    let tools: usize = answer(record).map_or(0, |answer| answer.tools.iter().map(|(name, _)| name.len() + 4).sum());
    let shape = record.kept_shape().map_or(0, |(head, shape)| (head.bytes() + shape.bytes()).min(MOST_BYTES));
    let texts = record.path.len() + message + 2 * names + rules + tools + record.kept_bytes() + shape;
    i64::try_from(ROW_BYTES + texts).unwrap_or(i64::MAX)
}

/// Milliseconds since 1970.
pub(crate) fn millis(time: SystemTime) -> i64 {
    i64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_columns_have_one_name() {
        let names: HashSet<_> = COLUMNS.iter().map(|column| column.name).collect();
        let stored: HashSet<_> = COLUMNS.iter().map(|column| column.sql).collect();
        assert_eq!((names.len(), stored.len()), (COLUMNS.len(), COLUMNS.len()));
    }

    #[test]
    fn the_members_of_an_object_stand_side_by_side() {
        let objects: Vec<_> = shown()
            .map(|column| match column.place {
                Place::Within { object, .. } => Some(object),
                _ => None,
            })
            .collect();
        let runs = objects.chunk_by(|one, next| one == next).filter_map(|run| run[0]);
        assert_eq!(runs.collect::<Vec<_>>(), ["tokens", "usage", "waste"]);
    }

    #[test]
    fn the_api_is_documented_column_by_column() {
        let yaml = include_str!("../../docs/openapi.yaml");
        let (_, row) = yaml.split_once("\n    Row:\n").expect("the schema of a row");
        let (required, _) = row.split_once("]\n").expect("its required members");
        let (_, required) = required.split_once("required: [").expect("its required members");
        let documented: HashSet<_> = required.split(',').map(str::trim).collect();
        let told: HashSet<_> = shown()
            .map(|column| match column.place {
                Place::Within { object, .. } => object,
                _ => column.name,
            })
            .collect();
        assert_eq!(documented, told);
        for column in filters() {
            assert!(yaml.contains(&format!("{{name: {}, in: query, explode: false", column.name)), "{}", column.name);
        }
    }
}
