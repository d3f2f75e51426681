//! Reading rows: filtered, page by page, one by one, and errors by cause.

use super::fingerprint::has_fingerprint;
use super::made_of::of_row;
use super::reader::{ReadError, Reader};
use crate::store::columns::{self, Column, Kind};
use crate::store::listing::{CaptureText, Captured, Detail, DryRun, ErrorGroup, Errors, Filter, Listed, Page, cursor};
use crate::store::row::{Row, count};
use crate::store::tried;
use gateway_core::prompt_shape::kept::KeptShape;
use gateway_core::protocol::{Endpoint, Protocol};
use gateway_core::record::Outcome;
use once_cell::sync::Lazy;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite};

/// Groups of errors that are shown.
const ERROR_GROUPS: i64 = 100;
/// Rows in which models are looked for that were asked for.
const MODEL_ROWS: i64 = 50_000;
/// Most of these, with the path.
const MODELS: i64 = 200;

/// Reads whole rows. The columns are named: another process may add one meanwhile, and SQLite would give all of them then,
/// to a reader that made room for those that were there.
pub(super) static WHOLE_ROWS: Lazy<String> = Lazy::new(|| {
    let names: Vec<_> = columns::COLUMNS.iter().map(|column| column.sql).collect();
    format!("SELECT seq, {} FROM requests", names.join(", "))
});

/// The same with what of each request a dry run can use.
static LISTED_ROWS: Lazy<String> = Lazy::new(|| {
    let kept = "CASE WHEN EXISTS (SELECT 1 FROM texts WHERE texts.id = requests.id AND head IS NOT NULL AND NOT is_cut) \
                THEN 'capture' WHEN EXISTS (SELECT 1 FROM shapes WHERE shapes.id = requests.id) THEN 'shape' END AS dry_run";
    WHOLE_ROWS.replacen(" FROM requests", &format!(", {kept} FROM requests"), 1)
});

/// The condition that a dry run can use a request. Where it begins to hold is told apart, so that a long log is not looked
/// through for what there is nothing of.
const USABLE: &str = " AND started_ms >= (SELECT MIN(at) FROM (SELECT MIN(started_ms) AS at FROM shapes UNION ALL \
                      SELECT MIN(started_ms) FROM texts WHERE head IS NOT NULL AND NOT is_cut)) AND (\
                      EXISTS (SELECT 1 FROM shapes WHERE shapes.id = requests.id) OR EXISTS (SELECT 1 FROM texts \
                      WHERE texts.id = requests.id AND head IS NOT NULL AND NOT is_cut))";

/// The condition that a filter is.
fn write(filter: &Filter, sql: &mut QueryBuilder<'_, Sqlite>) {
    sql.push(" WHERE 1 = 1");
    if let Some(from) = filter.from {
        sql.push(" AND started_ms >= ").push_bind(from);
    }
    if let Some(to) = filter.to {
        sql.push(" AND started_ms < ").push_bind(to);
    }
    for column in columns::filters() {
        if let Some(values) = filter.only.get(column.name).filter(|values| !values.is_empty()) {
            sql.push(" AND ");
            if column.is_fingerprint {
                has_fingerprint(sql, column.sql, values);
                continue;
            }
            sql.push(column.sql);
            is_one_of(sql, values);
        }
    }
    if !filter.model.is_empty() {
        sql.push(" AND (model");
        is_one_of(sql, &filter.model);
        sql.push(" OR model_asked");
        is_one_of(sql, &filter.model);
        sql.push(")");
    }
    for by in &filter.without {
        sql.push(" AND ").push(of_row(*by)).push(" = ''");
    }
    if !filter.status.is_empty() {
        sql.push(" AND (1 = 0");
        for statuses in &filter.status {
            sql.push(" OR status >= ").push_bind(statuses.start).push(" AND status < ").push_bind(statuses.end);
        }
        sql.push(")");
    }
    if filter.is_usable {
        sql.push(USABLE);
    }
    if let Some(text) = &filter.text {
        sql.push(" AND (1 = 0");
        for column in columns::COLUMNS.iter().filter(|column| column.is_searched) {
            sql.push(" OR ");
            contains(sql, column.sql, text);
        }
        sql.push(")");
    }
}

/// The condition that a column holds a text.
pub(super) fn contains(sql: &mut QueryBuilder<'_, Sqlite>, column: &str, text: &str) {
    let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    sql.push(column).push(" LIKE ").push_bind(format!("%{escaped}%")).push(" ESCAPE '\\'");
}

/// The condition that what was pushed before is one of these.
pub(super) fn is_one_of(sql: &mut QueryBuilder<'_, Sqlite>, values: &[String]) {
    sql.push(" IN (");
    let mut list = sql.separated(", ");
    for value in values {
        list.push_bind(value.clone());
    }
    sql.push(")");
}

/// What can be read of a row for a list.
fn listed(row: &SqliteRow) -> Result<Listed<'static>, sqlx::Error> {
    let dry_run: Option<&str> = row.try_get("dry_run")?;
    Ok(Listed { row: read(row)?, fault: fault(row)?, dry_run: dry_run.and_then(DryRun::read) })
}

/// What the upstream did that the reason of a row is for.
fn fault(row: &SqliteRow) -> Result<Option<tried::Tried>, sqlx::Error> {
    let column: Option<String> = row.try_get("tried")?;
    let tried = tried::read(column.as_deref());
    Ok(tried::of_reason(&tried, row.try_get("reason")?).cloned())
}

const NEWEST_FIRST: &str = " ORDER BY started_ms DESC, seq DESC LIMIT ";

impl Reader {
    /// A page of rows, from `after` on, which is a cursor's.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn page(&self, filter: &Filter, after: Option<(i64, i64)>, limit: u32) -> Result<Page, ReadError> {
        let mut sql = QueryBuilder::new(LISTED_ROWS.as_str());
        write(filter, &mut sql);
        if let Some((started_ms, seq)) = after {
            sql.push(" AND (started_ms, seq) < (").push_bind(started_ms).push(", ").push_bind(seq).push(")");
        }
        sql.push(NEWEST_FIRST).push_bind(i64::from(limit) + 1);
        let mut rows = sql.build().fetch_all(&self.pool().await).await?;
        let has_more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next_cursor = match rows.last().filter(|_| has_more) {
            Some(last) => Some(cursor(last.try_get("started_ms")?, last.try_get("seq")?)),
            None => None,
        };
        let requests = rows.iter().map(listed).collect::<Result<_, _>>()?;
        Ok(Page { requests, next_cursor })
    }

    /// The models that messages were asked of with success since then, by the names that clients gave them, those that were
    /// asked most often first. It looks at the newest rows only.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn models_asked(&self, since_ms: i64) -> Result<Vec<String>, ReadError> {
        // Whatever was read as a message has a longest gap.
        let sql = "SELECT model_asked, path FROM requests \
            WHERE seq > (SELECT MAX(seq) FROM requests) - ? AND started_ms >= ? AND outcome = ? \
            AND model_asked IS NOT NULL AND longest_gap_ms IS NOT NULL \
            GROUP BY model_asked, path ORDER BY COUNT(*) DESC, model_asked LIMIT ?";
        let query = sqlx::query_as(sql).bind(MODEL_ROWS).bind(since_ms).bind(Outcome::Completed.name()).bind(MODELS);
        let found: Vec<(String, String)> = query.fetch_all(&self.pool().await).await?;
        let is_of_messages = |path: &str| Protocol::of("POST", path.as_bytes()).endpoint() == Endpoint::Messages;
        Ok(found.into_iter().filter(|(_, path)| is_of_messages(path)).map(|(model, _)| model).collect())
    }

    /// One row with its texts.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn detail(&self, id: &str) -> Result<Option<Detail>, ReadError> {
        let sql = format!("{} WHERE id = ?", *LISTED_ROWS);
        let found = sqlx::query(&sql).bind(id).fetch_optional(&self.pool().await).await?;
        let Some(found) = found else { return Ok(None) };
        let tried: Option<String> = found.try_get("tried")?;
        let tried = tried::read(tried.as_deref());
        let mut detail = Detail { row: listed(&found)?, tried, error_body: None, capture: None, no_dry_run: None };
        let sql = "SELECT error_body, head, body, is_cut FROM texts WHERE id = ?";
        let texts = sqlx::query(sql).bind(id).fetch_optional(&self.pool().await).await?;
        if let Some(texts) = texts {
            detail.error_body = texts.try_get("error_body")?;
            if let Some(head) = texts.try_get("head")? {
                detail.capture =
                    Some(CaptureText { head, body: texts.try_get("body")?, is_cut: texts.try_get("is_cut")? });
            }
        }
        Ok(Some(detail))
    }

    /// What was kept of what a request looks like.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn shape(&self, id: &str) -> Result<Option<KeptShape>, ReadError> {
        let sql = "SELECT shape FROM shapes WHERE id = ?";
        let found: Option<String> = sqlx::query_scalar(sql).bind(id).fetch_optional(&self.pool().await).await?;
        Ok(found.as_deref().and_then(KeptShape::read))
    }

    /// When the oldest request began of which that is kept, in milliseconds since 1970.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn oldest_shape(&self) -> Result<Option<i64>, ReadError> {
        Ok(sqlx::query_scalar("SELECT MIN(started_ms) FROM shapes").fetch_one(&self.pool().await).await?)
    }

    /// The newest request of which head and body were kept as a whole.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn last_captured(&self) -> Result<Option<Captured>, ReadError> {
        let sql = "SELECT id, started_ms, head, body FROM texts \
                   WHERE head IS NOT NULL AND body IS NOT NULL AND body != '' AND NOT is_cut \
                   ORDER BY started_ms DESC LIMIT 1";
        let Some(found) = sqlx::query(sql).fetch_optional(&self.pool().await).await? else { return Ok(None) };
        Ok(Some(Captured {
            id: found.try_get("id")?,
            started_ms: found.try_get("started_ms")?,
            head: found.try_get("head")?,
            body: found.try_get("body")?,
        }))
    }

    /// Failures by cause.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn errors(&self, from: i64, to: i64) -> Result<Errors, ReadError> {
        let sql = "SELECT found.*, newest.id, newest.error_message, newest.tried FROM (\
                   SELECT cause, outcome, status, reason, error_type, upstream, COUNT(*) AS count, \
                   MIN(started_ms) AS first, MAX(started_ms) AS last, MAX(seq) AS newest FROM requests \
                   WHERE cause IS NOT NULL AND started_ms >= ? AND started_ms < ? \
                   GROUP BY cause, outcome, status, reason, error_type, upstream ORDER BY count DESC, last DESC LIMIT ?\
                   ) AS found JOIN requests AS newest ON newest.seq = found.newest ORDER BY count DESC, last DESC";
        let rows = sqlx::query(sql).bind(from).bind(to).bind(ERROR_GROUPS).fetch_all(&self.pool().await).await?;
        let group = |row: &SqliteRow| {
            Ok::<_, sqlx::Error>(ErrorGroup {
                cause: row.try_get("cause")?,
                outcome: row.try_get("outcome")?,
                status: row.try_get("status")?,
                reason: row.try_get("reason")?,
                error_type: row.try_get("error_type")?,
                upstream: row.try_get("upstream")?,
                message: row.try_get("error_message")?,
                fault: fault(row)?,
                count: count(row.try_get("count")?),
                first_at_ms: row.try_get("first")?,
                last_at_ms: row.try_get("last")?,
                example_id: row.try_get("id")?,
            })
        };
        let groups = rows.iter().map(group).collect::<Result<Vec<_>, _>>()?;
        let all = "SELECT COUNT(*) FROM requests WHERE cause IS NOT NULL AND started_ms >= ? AND started_ms < ?";
        let total = sqlx::query(all).bind(from).bind(to).fetch_one(&self.pool().await).await?.try_get(0)?;
        Ok(Errors { groups, total: count(total) })
    }
}

/// What can be read of a row of the table `requests`.
///
/// # Errors
/// When a column is missing, or not of its type.
fn read(row: &SqliteRow) -> Result<Row<'static>, sqlx::Error> {
    let value = |column: &Column| {
        Ok(match column.kind {
            Kind::Integer | Kind::Flag | Kind::Dollars => row.try_get::<Option<i64>, _>(column.sql)?.into(),
            Kind::Real => row.try_get::<Option<f64>, _>(column.sql)?.into(),
            Kind::Text | Kind::List | Kind::Counts => row.try_get::<Option<String>, _>(column.sql)?.into(),
        })
    };
    columns::shown().map(value).collect()
}
