//! What is asked of the rows of the request log, and what is found: pages, one row, errors by cause.

use super::row::{Row, TokenCounts};
use super::statistics::By;
use super::tried::{self, Tried};
use gateway_core::record::RequestRecord;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Range;

/// A request that was kept as a whole.
#[derive(Clone, Debug)]
pub struct Captured {
    /// Its id.
    pub id: String,
    /// When it came, in milliseconds since 1970.
    pub started_ms: i64,
    /// Request line and fields, without keys.
    pub head: String,
    /// The body, without keys.
    pub body: String,
}

/// Which rows; empty lists and `None` ask for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Begin of the request, milliseconds since 1970.
    pub from: Option<i64>,
    /// The same, exclusive.
    pub to: Option<i64>,
    /// Ranges of statuses.
    pub status: Vec<Range<u16>>,
    /// Models, asked or served.
    pub model: Vec<String>,
    /// Values of other columns, by the name of one of [`columns::filters`].
    pub only: BTreeMap<&'static str, Vec<String>>,
    /// What they have no value of, as groups of statistics that have no name.
    pub without: Vec<By>,
    /// A part of a text.
    pub text: Option<String>,
    /// Only those that a dry run can use.
    pub is_usable: bool,
}

/// What of a request a dry run can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DryRun {
    /// The whole of it.
    Capture,
    /// Its head, and what its prompt looks like.
    Shape,
}

impl DryRun {
    /// That of a record.
    fn of(record: &RequestRecord) -> Option<Self> {
        let is_whole = record.capture.as_ref().is_some_and(|capture| !capture.is_cut);
        let has_shape = record.kept_shape().is_some();
        is_whole.then_some(Self::Capture).or_else(|| has_shape.then_some(Self::Shape))
    }

    /// What the log says.
    pub(super) fn read(text: &str) -> Option<Self> {
        match text {
            "capture" => Some(Self::Capture),
            "shape" => Some(Self::Shape),
            _ => None,
        }
    }
}

/// A row of a list.
#[derive(Debug, Serialize)]
pub struct Listed<'r> {
    /// The row.
    #[serde(flatten)]
    pub row: Row<'r>,
    /// What the upstream did that the row's reason is for.
    pub fault: Option<Tried>,
    /// What of it a dry run can use.
    pub dry_run: Option<DryRun>,
}

impl<'r> From<&'r RequestRecord> for Listed<'r> {
    fn from(record: &'r RequestRecord) -> Self {
        Self { row: record.into(), fault: tried::of_record(record), dry_run: DryRun::of(record) }
    }
}

/// Some rows, newest first.
#[derive(Debug, Serialize)]
pub struct Page {
    /// The rows.
    pub requests: Vec<Listed<'static>>,
    /// Where the next page begins.
    pub next_cursor: Option<String>,
}

/// A row with all that is kept of its request.
#[derive(Debug, Serialize)]
pub struct Detail {
    /// The row.
    #[serde(flatten)]
    pub row: Listed<'static>,
    /// The upstreams that failed, in order.
    pub tried: Vec<Tried>,
    /// The beginning of an error's body.
    pub error_body: Option<String>,
    /// The request.
    pub capture: Option<CaptureText>,
    /// Why a dry run can use nothing of it: the code of the refusal; `None` if it can. Who asks for it finds that out.
    pub no_dry_run: Option<&'static str>,
}

/// A request that was kept.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "docs/api.md has them")]
pub struct CaptureText {
    pub head: String,
    pub body: String,
    pub is_cut: bool,
}

/// What some requests sum up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs, reason = "docs/api.md has them")]
pub struct Total {
    pub requests: u64,
    pub completed: u64,
    pub failed: u64,
    pub tokens: TokenCounts,
    pub cost_usd: Option<f64>,
    pub unpriced_requests: u64,
    pub estimated_requests: u64,
    pub estimated_output_tokens: u64,
    pub request_bytes: u64,
    pub response_bytes: u64,
}

/// Failures of one kind.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "docs/api.md has them")]
pub struct ErrorGroup {
    pub cause: String,
    pub outcome: String,
    pub status: u16,
    pub reason: String,
    pub error_type: Option<String>,
    pub upstream: Option<String>,
    pub message: Option<String>,
    pub fault: Option<Tried>,
    pub count: u64,
    pub first_at_ms: i64,
    pub last_at_ms: i64,
    pub example_id: String,
}

/// All failures of a time.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "docs/api.md has them")]
pub struct Errors {
    pub groups: Vec<ErrorGroup>,
    pub total: u64,
}

/// The text of a cursor: the time and the number of the last row of a page.
pub(super) fn cursor(started_ms: i64, seq: i64) -> String {
    format!("{started_ms}.{seq}")
}

/// What a cursor says; `None` if it is none.
pub(crate) fn read_cursor(text: &str) -> Option<(i64, i64)> {
    let (started, seq) = text.split_once('.')?;
    Some((started.parse().ok()?, seq.parse().ok()?))
}

impl Total {
    /// Adds those of others.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.completed += other.completed;
        self.failed += other.failed;
        self.tokens.input += other.tokens.input;
        self.tokens.output += other.tokens.output;
        self.tokens.cache_write += other.tokens.cache_write;
        self.tokens.cache_read += other.tokens.cache_read;
        self.cost_usd = self.cost_usd.map_or(other.cost_usd, |cost| Some(cost + other.cost_usd.unwrap_or_default()));
        self.unpriced_requests += other.unpriced_requests;
        self.estimated_requests += other.estimated_requests;
        self.estimated_output_tokens += other.estimated_output_tokens;
        self.request_bytes += other.request_bytes;
        self.response_bytes += other.response_bytes;
    }
}
