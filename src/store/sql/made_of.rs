//! What statistics are made of: of the sums, or, by what these do not tell apart, of the rows. Both have the same columns.

use super::fingerprint::has_fingerprint;
use super::text::Text;
use crate::config::fingerprint::KeyFingerprint;
use crate::store::rollup::{COLUMNS, Piece};
use crate::store::statistics::{By, Span, StatsFilter};
use gateway_core::protocol::Endpoint;
use gateway_core::record::request_class;
use once_cell::sync::Lazy;
use std::ops::Range;

/// What a statement of statistics reads.
#[derive(Debug)]
pub(super) enum MadeOf {
    /// These sums.
    Sums(Vec<Piece>),
    /// The rows of this time, in milliseconds since 1970.
    Rows(Range<i64>),
}

/// The path of a row as the sums name it: as [`Endpoint`] does, but for slashes that were there twice.
static PATH: Lazy<String> = Lazy::new(|| {
    let named = Endpoint::ALL.into_iter().filter(|endpoint| *endpoint != Endpoint::Other).map(|endpoint| {
        let name = endpoint.name();
        // Its end, in words that every database has, and all of them with their case.
        let end = format!("SUBSTR(RTRIM(path, '/'), LENGTH(RTRIM(path, '/')) - {})", name.len() - 1);
        format!("WHEN {end} = '{name}' THEN '{name}' ")
    });
    format!("CASE {}ELSE '{}' END", named.collect::<String>(), Endpoint::Other.name())
});

/// What a row is for, as the sums name it.
static REQUEST_CLASS: Lazy<String> = Lazy::new(|| {
    let known = request_class::KNOWN.map(|class| format!("'{class}'")).join(", ");
    let other = request_class::OTHER;
    format!(
        "CASE WHEN COALESCE(request_class, '') IN ('', {known}) THEN COALESCE(request_class, '') ELSE '{other}' END"
    )
});

impl MadeOf {
    /// What tells these requests apart, in the pieces of a time.
    pub(super) fn new(span: &Span, pieces: Vec<Piece>, by: Option<By>, filter: &StatsFilter) -> Self {
        match filter.is_of_rows() || by.is_some_and(By::is_of_rows) {
            true => Self::Rows(span.time.start * 1_000..span.time.end * 1_000),
            false => Self::Sums(pieces),
        }
    }

    /// Whether there are counts of times beside them.
    pub(super) fn has_times(&self) -> bool {
        matches!(self, Self::Sums(_))
    }

    /// When a request began, in seconds since 1970, to the span of the sums.
    pub(super) fn at_s(&self) -> &'static str {
        match self {
            Self::Sums(_) => "at_s",
            Self::Rows(_) => "started_ms / 1000",
        }
    }

    /// The class of the status.
    pub(super) fn status(&self) -> &'static str {
        match self {
            Self::Sums(_) => "status",
            Self::Rows(_) => "CASE WHEN status / 100 BETWEEN 1 AND 5 THEN (status / 100) || 'xx' ELSE 'none' END",
        }
    }

    /// What groups are told apart by: as the index has it where that has them side by side. What is not known is null there.
    pub(super) fn group(&self, by: By) -> &'static str {
        match (self, by) {
            (Self::Rows(_), By::Session) => by.name(),
            (_, by) => self.column(by),
        }
    }

    /// What requests are grouped by.
    pub(super) fn column(&self, by: By) -> &'static str {
        match (self, by) {
            (Self::Sums(_), By::Key) => "key_fingerprint",
            (Self::Sums(_), by) => by.name(),
            (Self::Rows(_), by) => of_row(by),
        }
    }

    /// The sums, each by its name, with a comma before.
    pub(super) fn push_sums(&self, sql: &mut Text) {
        self.push_some(&COLUMNS, sql);
    }

    /// Some of them.
    pub(super) fn push_some(&self, columns: &[&str], sql: &mut Text) {
        for column in columns {
            match self {
                Self::Sums(_) => sql.push(format_args!(", CAST(SUM({column}) AS BIGINT) AS {column}")),
                Self::Rows(_) => sql.push(format_args!(", {} AS {column}", of_rows(column))),
            };
        }
    }

    /// The count of requests, to be followed by a condition; null where none has it.
    pub(super) fn requests(&self) -> &'static str {
        match self {
            Self::Sums(_) => "SUM(requests)",
            Self::Rows(_) => "COUNT(*)",
        }
    }

    /// Where they are read from, and of which requests.
    pub(super) fn push_from(&self, sql: &mut Text, filter: &StatsFilter) {
        match self {
            Self::Sums(pieces) => {
                sql.push(" FROM rollups");
                within(sql, pieces, None);
            }
            Self::Rows(time) => {
                sql.push(" FROM requests WHERE ");
                push_time(sql, time.clone());
            }
        }
        let values = [
            (By::Model, &filter.model),
            (By::Upstream, &filter.upstream),
            (By::Path, &filter.path),
            (By::RequestClass, &filter.request_class),
            (By::UpstreamKey, &filter.upstream_key),
            (By::Session, &filter.session),
            (By::AgentType, &filter.agent_type),
            (By::Client, &filter.client),
        ];
        for (by, value) in values {
            let Some(value) = value else { continue };
            // As it stands in its index.
            let column = if by == By::Session { by.name() } else { self.column(by) };
            sql.push(" AND ").push(column).push(" = ").push_bind(value.clone());
        }
        if let Some(key) = &filter.key {
            sql.push(" AND ");
            has_fingerprint(sql, "key_fingerprint", std::slice::from_ref(key));
        }
        match (&filter.tokens, self) {
            (None, _) => {}
            // Sums have the fingerprint that a token has in the place of a key.
            (Some(tokens), Self::Sums(_)) => {
                let keys: Vec<_> = tokens.iter().map(|id| KeyFingerprint::of_token(id).to_string()).collect();
                sql.push(" AND key_fingerprint").push_among(keys.iter());
            }
            (Some(tokens), Self::Rows(_)) => push_tokens(sql, tokens),
        }
    }
}

/// The condition that requests had one of these client tokens.
pub(super) fn push_tokens(sql: &mut Text, tokens: &[String]) {
    sql.push(" AND token_id").push_among(tokens.iter());
}

/// The group that a row is in; empty where that has no name.
pub(super) fn of_row(by: By) -> &'static str {
    match by {
        By::Model => "COALESCE(NULLIF(model_label, ''), model, model_asked, '')",
        By::Upstream => "COALESCE(upstream, '')",
        By::Path => &PATH,
        // A key that nobody took may be any: it is no group of its own.
        By::Key => {
            "CASE WHEN stray_bytes IS NULL OR token_id IS NOT NULL THEN COALESCE(key_fingerprint, '') ELSE '' END"
        }
        By::RequestClass => &REQUEST_CLASS,
        By::UpstreamKey => "COALESCE(upstream_key, '')",
        By::Session => "COALESCE(session, '')",
        By::AgentType => "COALESCE(agent_type, '')",
        By::Client => "COALESCE(client, '')",
    }
}

/// Sums, or counts of times of these series.
pub(super) fn within(sql: &mut Text, pieces: &[Piece], series: Option<&[i64]>) {
    // Only conditions on the columns of the index, so that SQLite takes each of them from there.
    sql.push(if pieces.is_empty() { " WHERE (1 = 0" } else { " WHERE (" });
    for (index, piece) in pieces.iter().enumerate() {
        sql.push(if index == 0 { "(" } else { " OR (" });
        sql.push("span_s = ").push_bind(piece.span);
        if let Some(series) = series {
            sql.push(" AND series IN (").push_values(series.iter().copied()).push(")");
        }
        sql.push(" AND at_s >= ").push_bind(piece.time.start);
        sql.push(" AND at_s < ").push_bind(piece.time.end).push(")");
    }
    sql.push(")");
}

/// A time that is most of what is kept, in milliseconds: the index of what is summed up is read as a whole then, and no row.
const MOST_OF_IT_MS: i64 = 7 * 86_400_000;

/// The condition that rows are of this time, in milliseconds since 1970.
pub(super) fn push_time(sql: &mut Text, time: Range<i64>) {
    // The plus keeps SQLite from taking the index of times, which leads to the rows one by one. PostgreSQL knows how many
    // there are, and which partitions have them.
    let column = if time.end - time.start < MOST_OF_IT_MS { "started_ms" } else { "+started_ms" };
    sql.push_each(column, "started_ms").push(" >= ").push_bind(time.start).push(" AND ");
    sql.push_each(column, "started_ms").push(" < ").push_bind(time.end);
}

/// A sum made of rows.
pub(super) fn of_rows(column: &str) -> String {
    match column {
        "requests" => "COUNT(*)".to_owned(),
        "first_bytes" => "COUNT(first_byte_ms)".to_owned(),
        "first_tokens" => "COUNT(first_token_ms)".to_owned(),
        "unpriced" => "COUNT(*) FILTER (WHERE input_tokens IS NOT NULL AND cost_nano IS NULL)".to_owned(),
        "estimated_output_tokens" => {
            "CAST(COALESCE(SUM(output_tokens) FILTER (WHERE estimated = 1), 0) AS BIGINT)".to_owned()
        }
        column => format!("CAST(COALESCE(SUM({column}), 0) AS BIGINT)"),
    }
}
