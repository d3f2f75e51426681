//! Reading rows: filtered, page by page, one by one, and errors by cause.

use super::fingerprint::has_fingerprint;
use super::made_of::of_row;
use super::reader::{ReadError, Reader};
use super::text::{self, Text};
use crate::store::columns::{self, Column, Kind};
use crate::store::listing::{CaptureText, Captured, Detail, DryRun, ErrorGroup, Errors, Filter, Listed, Page, cursor};
use crate::store::row::{Row, count};
use crate::store::tried;
use gateway_core::prompt_shape::kept::KeptShape;
use gateway_core::protocol::{Endpoint, Protocol};
use gateway_core::record::Outcome;
use once_cell::sync::Lazy;

/// Groups of errors that are shown.
const ERROR_GROUPS: i64 = 100;
/// Rows in which models are looked for that were asked for.
const MODEL_ROWS: i64 = 50_000;
/// Most of these, with the path.
const MODELS: i64 = 200;

/// Reads whole rows. The columns are named: another process may add one meanwhile, and a database would give all of them then,
/// to a reader that made room for those that were there.
pub(super) static WHOLE_ROWS: Lazy<String> = Lazy::new(|| {
    let names: Vec<_> = columns::COLUMNS.iter().map(|column| column.sql).collect();
    format!("SELECT seq, {} FROM requests", names.join(", "))
});

/// The same with what of each request a dry run can use.
static LISTED_ROWS: Lazy<String> = Lazy::new(|| {
    let kept = "CASE WHEN EXISTS (SELECT 1 FROM texts WHERE texts.id = requests.id \
                AND texts.started_ms = requests.started_ms AND head IS NOT NULL AND NOT is_cut) THEN 'capture' \
                WHEN EXISTS (SELECT 1 FROM shapes WHERE shapes.id = requests.id) THEN 'shape' END AS dry_run";
    WHOLE_ROWS.replacen(" FROM requests", &format!(", {kept} FROM requests"), 1)
});

/// The condition that a dry run can use a request. Where it begins to hold is told apart, so that a long log is not looked
/// through for what there is nothing of.
const USABLE: &str = " AND started_ms >= (SELECT MIN(at) FROM (SELECT MIN(started_ms) AS at FROM shapes UNION ALL \
                      SELECT MIN(started_ms) FROM texts WHERE head IS NOT NULL AND NOT is_cut) AS begins) AND (\
                      EXISTS (SELECT 1 FROM shapes WHERE shapes.id = requests.id) OR EXISTS (SELECT 1 FROM texts \
                      WHERE texts.id = requests.id AND texts.started_ms = requests.started_ms \
                      AND head IS NOT NULL AND NOT is_cut))";

/// The condition that a filter is.
fn write(filter: &Filter, sql: &mut Text) {
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
            sql.push(column.sql).push(" IN (").push_values(values).push(")");
        }
    }
    if !filter.model.is_empty() {
        sql.push(" AND (model IN (").push_values(&filter.model).push(") OR model_asked IN (");
        sql.push_values(&filter.model).push("))");
    }
    for by in &filter.without {
        sql.push(" AND ").push(of_row(*by)).push(" = ''");
    }
    if !filter.status.is_empty() {
        sql.push(" AND (1 = 0");
        for statuses in &filter.status {
            sql.push(" OR status >= ").push_bind(i64::from(statuses.start));
            sql.push(" AND status < ").push_bind(i64::from(statuses.end));
        }
        sql.push(")");
    }
    if filter.is_usable {
        sql.push(USABLE);
    }
    if let Some(text) = &filter.text {
        sql.push(" AND (1 = 0");
        for column in columns::COLUMNS.iter().filter(|column| column.is_searched) {
            sql.push(" OR ").push_contains(column.sql, text);
        }
        sql.push(")");
    }
}

/// What can be read of a row for a list.
fn listed(row: &text::Row) -> Result<Listed<'static>, sqlx::Error> {
    let dry_run: Option<&str> = row.try_get("dry_run")?;
    Ok(Listed { row: read(row)?, fault: fault(row)?, dry_run: dry_run.and_then(DryRun::read) })
}

/// What the upstream did that the reason of a row is for.
fn fault(row: &text::Row) -> Result<Option<tried::Tried>, sqlx::Error> {
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
        let mut sql = Text::new(LISTED_ROWS.as_str());
        write(filter, &mut sql);
        if let Some((started_ms, seq)) = after {
            sql.push(" AND (started_ms, seq) < (").push_bind(started_ms).push(", ").push_bind(seq).push(")");
        }
        sql.push(NEWEST_FIRST).push_bind(i64::from(limit) + 1);
        let mut rows = sql.fetch_all(&self.pool().await?).await?;
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
        let mut sql =
            Text::new("SELECT model_asked, path FROM requests WHERE seq > (SELECT MAX(seq) FROM requests) - ");
        sql.push_bind(MODEL_ROWS).push(" AND started_ms >= ").push_bind(since_ms);
        sql.push(" AND outcome = ").push_bind(Outcome::Completed.name());
        sql.push(" AND model_asked IS NOT NULL AND longest_gap_ms IS NOT NULL GROUP BY model_asked, path ");
        sql.push("ORDER BY COUNT(*) DESC, model_asked LIMIT ").push_bind(MODELS);
        let mut models = Vec::new();
        for row in sql.fetch_all(&self.pool().await?).await? {
            if Protocol::of("POST", row.try_get::<&str, _>("path")?.as_bytes()).endpoint() == Endpoint::Messages {
                models.push(row.try_get("model_asked")?);
            }
        }
        Ok(models)
    }

    /// One row with its texts.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn detail(&self, id: &str) -> Result<Option<Detail>, ReadError> {
        let mut sql = Text::new(LISTED_ROWS.as_str());
        let found = sql.push(" WHERE id = ").push_bind(id).fetch_optional(&self.pool().await?).await?;
        let Some(found) = found else { return Ok(None) };
        let tried: Option<String> = found.try_get("tried")?;
        let tried = tried::read(tried.as_deref());
        let mut detail = Detail { row: listed(&found)?, tried, error_body: None, capture: None, no_dry_run: None };
        let mut sql = Text::new("SELECT error_body, head, body, is_cut FROM texts WHERE id = ");
        let texts = sql.push_bind(id).fetch_optional(&self.pool().await?).await?;
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
        let mut sql = Text::new("SELECT shape FROM shapes WHERE id = ");
        let found = sql.push_bind(id).fetch_optional(&self.pool().await?).await?;
        let shape: Option<&str> = found.as_ref().map(|row| row.try_get(0)).transpose()?;
        Ok(shape.and_then(KeptShape::read))
    }

    /// When the oldest request began of which that is kept, in milliseconds since 1970.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn oldest_shape(&self) -> Result<Option<i64>, ReadError> {
        Ok(Text::new("SELECT MIN(started_ms) FROM shapes").fetch_one(&self.pool().await?).await?.try_get(0)?)
    }

    /// The newest request of which head and body were kept as a whole.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn last_captured(&self) -> Result<Option<Captured>, ReadError> {
        let sql = "SELECT id, started_ms, head, body FROM texts \
                   WHERE head IS NOT NULL AND body IS NOT NULL AND body != '' AND NOT is_cut \
                   ORDER BY started_ms DESC LIMIT 1";
        let Some(found) = Text::new(sql).fetch_optional(&self.pool().await?).await? else { return Ok(None) };
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
        let failed = |sql: &mut Text| {
            sql.push(" FROM requests WHERE cause IS NOT NULL AND started_ms >= ").push_bind(from);
            sql.push(" AND started_ms < ").push_bind(to);
        };
        let mut sql = Text::new(
            "SELECT found.*, newest.id, newest.error_message, newest.tried FROM (\
             SELECT cause, outcome, status, reason, error_type, upstream, COUNT(*) AS count, \
             MIN(started_ms) AS first, MAX(started_ms) AS last, MAX(seq) AS newest",
        );
        failed(&mut sql);
        sql.push(
            " GROUP BY cause, outcome, status, reason, error_type, upstream ORDER BY count DESC, last DESC LIMIT ",
        );
        sql.push_bind(ERROR_GROUPS).push(") AS found JOIN requests AS newest ON newest.seq = found.newest");
        sql.push(" ORDER BY count DESC, last DESC");
        let rows = sql.fetch_all(&self.pool().await?).await?;
        let group = |row: &text::Row| {
            Ok::<_, sqlx::Error>(ErrorGroup {
                cause: row.try_get("cause")?,
                outcome: row.try_get("outcome")?,
                status: u16::try_from(row.try_get::<i64, _>("status")?).unwrap_or_default(),
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
        let mut sql = Text::new("SELECT COUNT(*)");
        failed(&mut sql);
        let total = sql.fetch_one(&self.pool().await?).await?.try_get(0)?;
        Ok(Errors { groups, total: count(total) })
    }
}

/// What can be read of a row of the table `requests`.
///
/// # Errors
/// When a column is missing, or not of its type.
fn read(row: &text::Row) -> Result<Row<'static>, sqlx::Error> {
    let value = |column: &Column| {
        Ok(match column.kind {
            Kind::Integer | Kind::Flag | Kind::Dollars => row.try_get::<Option<i64>, _>(column.sql)?.into(),
            Kind::Real => row.try_get::<Option<f64>, _>(column.sql)?.into(),
            Kind::Text | Kind::List | Kind::Counts => row.try_get::<Option<String>, _>(column.sql)?.into(),
        })
    };
    columns::shown().map(value).collect()
}
