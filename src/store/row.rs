//! A request as the admin API shows it: from the request log, or from a record that has just come.

use super::database::millis;
use gateway_core::reason::Reason;
use gateway_core::record::{PromptOutcome, RequestRecord};
use gateway_core::usage::meter::Tokens;
use serde::Serialize;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use std::time::Duration;

/// Tokens by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
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

/// A request that is over; `docs/api.md` says what each field is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "docs/api.md has them")]
pub struct Row {
    pub id: String,
    pub started_at_ms: i64,
    pub duration_ms: u64,
    pub queue_ms: Option<u64>,
    pub connect_ms: Option<u64>,
    pub first_byte_ms: Option<u64>,
    pub first_token_ms: Option<u64>,
    pub longest_gap_ms: Option<u64>,
    pub tokens_per_second: Option<f64>,
    pub client: Option<String>,
    pub http: String,
    pub method: String,
    pub path: String,
    pub status: u16,
    pub outcome: String,
    pub reason: String,
    pub cause: Option<String>,
    pub upstream: Option<String>,
    pub attempts: u32,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub key: Option<String>,
    pub session: Option<String>,
    pub agent: Option<String>,
    pub parent_agent: Option<String>,
    pub rewrite: String,
    pub rules: Vec<String>,
    pub model_asked: Option<String>,
    pub model: Option<String>,
    pub is_stream: bool,
    pub tokens: Option<TokenCounts>,
    pub cost_usd: Option<f64>,
    pub stop_reason: Option<String>,
    pub error_type: Option<String>,
    pub error_message: Option<String>,
    pub tool_uses: u32,
    pub events: u32,
    pub skipped_events: u32,
}

/// Billionths of a dollar in dollars.
pub fn dollars(nano: u64) -> f64 {
    nano as f64 / 1e9
}

fn names(list: &str) -> Vec<String> {
    list.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

impl From<&RequestRecord> for Row {
    fn from(record: &RequestRecord) -> Self {
        let answer = record.answer.as_ref();
        let millis_of = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            id: record.request_id.clone(),
            started_at_ms: millis(record.started_at),
            duration_ms: millis_of(record.duration),
            queue_ms: record.queue.map(millis_of),
            connect_ms: record.connect.map(millis_of),
            first_byte_ms: record.first_byte.map(millis_of),
            first_token_ms: answer.and_then(|answer| answer.first_token).map(millis_of),
            longest_gap_ms: answer.map(|answer| millis_of(answer.longest_gap)),
            tokens_per_second: answer.and_then(|answer| answer.tokens_per_second()),
            client: record.client.map(|client| client.to_string()),
            http: record.http.to_owned(),
            method: record.method.clone(),
            path: record.path.clone(),
            status: record.status,
            outcome: record.outcome.name().to_owned(),
            reason: record.reason.map_or("", Reason::code).to_owned(),
            cause: record.cause.map(|cause| cause.code().to_owned()),
            upstream: record.upstream.as_deref().map(str::to_owned),
            attempts: record.attempts,
            request_bytes: record.request_bytes,
            response_bytes: record.response_bytes,
            key: record.key.clone(),
            session: record.session.clone(),
            agent: record.agent.clone(),
            parent_agent: record.parent_agent.clone(),
            rewrite: record.rewrite.map_or("", PromptOutcome::code).to_owned(),
            rules: record.rules.iter().map(|rule| rule.to_string()).collect(),
            model_asked: record.model_asked.clone(),
            model: answer.and_then(|answer| answer.model.clone()),
            is_stream: answer.is_some_and(|answer| answer.is_stream),
            tokens: answer.and_then(|answer| answer.tokens).map(TokenCounts::from),
            cost_usd: record.cost.map(dollars),
            stop_reason: answer.and_then(|answer| answer.stop_reason.clone()),
            error_type: record.error_type().map(str::to_owned),
            error_message: record.error_message().map(str::to_owned),
            tool_uses: answer.map_or(0, |answer| answer.tool_uses),
            events: answer.map_or(0, |answer| answer.events),
            skipped_events: answer.map_or(0, |answer| answer.skipped),
        }
    }
}

/// What can be read of a row of the table `requests`.
///
/// # Errors
/// When a column is missing, or not of its type.
pub fn read(row: &SqliteRow) -> Result<Row, sqlx::Error> {
    let tokens = match row.try_get::<Option<i64>, _>("input_tokens")? {
        Some(input) => Some(TokenCounts {
            input: count(input),
            output: count(row.try_get("output_tokens")?),
            cache_write: count(row.try_get("cache_write_tokens")?),
            cache_read: count(row.try_get("cache_read_tokens")?),
        }),
        None => None,
    };
    let time = |name: &str| row.try_get::<Option<i64>, _>(name).map(|time| time.map(count));
    Ok(Row {
        id: row.try_get("id")?,
        started_at_ms: row.try_get("started_ms")?,
        duration_ms: count(row.try_get("duration_ms")?),
        queue_ms: time("queue_ms")?,
        connect_ms: time("connect_ms")?,
        first_byte_ms: time("first_byte_ms")?,
        first_token_ms: time("first_token_ms")?,
        longest_gap_ms: time("longest_gap_ms")?,
        tokens_per_second: row.try_get("tokens_per_second")?,
        client: row.try_get("client")?,
        http: row.try_get("http")?,
        method: row.try_get("method")?,
        path: row.try_get("path")?,
        status: row.try_get("status")?,
        outcome: row.try_get("outcome")?,
        reason: row.try_get("reason")?,
        cause: row.try_get("cause")?,
        upstream: row.try_get("upstream")?,
        attempts: row.try_get("attempts")?,
        request_bytes: count(row.try_get("request_bytes")?),
        response_bytes: count(row.try_get("response_bytes")?),
        key: row.try_get("key_fingerprint")?,
        session: row.try_get("session")?,
        agent: row.try_get("agent")?,
        parent_agent: row.try_get("parent_agent")?,
        rewrite: row.try_get("rewrite")?,
        rules: names(row.try_get("rules")?),
        model_asked: row.try_get("model_asked")?,
        model: row.try_get("model")?,
        is_stream: row.try_get("is_stream")?,
        tokens,
        cost_usd: row.try_get::<Option<i64>, _>("cost_nano")?.map(|nano| dollars(count(nano))),
        stop_reason: row.try_get("stop_reason")?,
        error_type: row.try_get("error_type")?,
        error_message: row.try_get("error_message")?,
        tool_uses: row.try_get("tool_uses")?,
        events: row.try_get("events")?,
        skipped_events: row.try_get("skipped_events")?,
    })
}

/// Counts as SQL has them; they are never negative.
pub fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
