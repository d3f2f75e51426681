//! What was written to prompt caches although it had been there, from the rows; and what rows left in caches.

use super::made_of::push_tokens;
use super::reader::{ReadError, Reader};
use super::text::{Row, Text};
use crate::store::row::{count, dollars};
use crate::store::sessions::Wasted as WastedRequest;
use crate::store::waste::{LeftInCache, WasteOrder, WasteReport, Wasted, WastedBy, WastedIn};

use gateway_core::cache_waste::{Cached, Checkpoint, Lifetime, Place, Prefix};
use gateway_core::usage::pricing::model_name::plain;
use std::collections::HashMap;

/// Most requests of a session that are told.
const MOST_REQUESTS: i64 = 500;
/// What is read of requests together.
const SUMS: &str = "COUNT(*) AS requests, CAST(SUM(waste_tokens) AS BIGINT) AS tokens, \
                    CAST(SUM(waste_nano) AS BIGINT) AS nano";

/// Which rows that lost something count.
#[derive(Clone, Copy)]
struct Which<'a> {
    from_ms: i64,
    to_ms: i64,
    /// Only those with one of these client tokens.
    tokens: Option<&'a [String]>,
}

impl Which<'_> {
    /// Where they are, in the order of their index, and the condition.
    fn push(self, sql: &mut Text) {
        sql.push(" FROM requests WHERE waste_tokens IS NOT NULL AND started_ms >= ").push_bind(self.from_ms);
        sql.push(" AND started_ms < ").push_bind(self.to_ms);
        if let Some(tokens) = self.tokens {
            push_tokens(sql, tokens);
        }
    }
}

fn wasted(row: &Row) -> Result<Wasted, sqlx::Error> {
    let nano: Option<i64> = row.try_get("nano")?;
    Ok(Wasted::new(count(row.try_get("requests")?), count(row.try_get("tokens")?), nano.map(count)))
}

impl Reader {
    /// What was lost from `from` to `to`, both in milliseconds since 1970, with as many sessions as `limit` says; by requests
    /// with these client tokens alone, if there are any given.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) async fn waste(
        &self,
        (from_ms, to_ms): (i64, i64),
        order: WasteOrder,
        limit: u32,
        tokens: Option<&[String]>,
    ) -> Result<WasteReport, ReadError> {
        let (pool, which) = (self.pool().await?, Which { from_ms, to_ms, tokens });
        let mut sql = Text::new("SELECT ");
        which.push(sql.push(SUMS));
        let total = wasted_or_none(&sql.fetch_one(&pool).await?)?;
        let mut sql = Text::new("SELECT waste_cause, ");
        which.push(sql.push(SUMS));
        sql.push(" GROUP BY waste_cause ORDER BY nano DESC NULLS LAST, tokens DESC");
        let rows = sql.fetch_all(&pool).await?;
        let by = |row: &Row| Ok(WastedBy { cause: row.try_get("waste_cause")?, wasted: wasted(row)? });
        let causes = rows.iter().map(by).collect::<Result<_, sqlx::Error>>()?;
        let first = match order {
            WasteOrder::Cost => "nano",
            WasteOrder::Tokens => "tokens",
            WasteOrder::Requests => "requests",
            WasteOrder::Last => "last",
        };
        let mut sql = Text::new("SELECT session, MAX(started_ms) AS last, ");
        which.push(sql.push(SUMS));
        sql.push(" AND session IS NOT NULL GROUP BY session ORDER BY ").push(first);
        sql.push(" DESC NULLS LAST, nano DESC NULLS LAST, tokens DESC, session LIMIT ").push_bind(i64::from(limit));
        let rows = sql.fetch_all(&pool).await?;
        let names: Vec<String> = rows.iter().map(|row| row.try_get("session")).collect::<Result<_, _>>()?;
        let mut main_causes = self.main_causes(which, &names).await?;
        let mut sessions = Vec::with_capacity(rows.len());
        for (row, session) in rows.iter().zip(names) {
            let main_cause = main_causes.remove(&session).unwrap_or_default();
            sessions.push(WastedIn { main_cause, wasted: wasted(row)?, last_at_ms: row.try_get("last")?, session });
        }
        Ok(WasteReport { from_ms, to_ms, total, causes, sessions })
    }

    /// The cause of most of what was lost in each of these sessions.
    async fn main_causes(&self, which: Which<'_>, sessions: &[String]) -> Result<HashMap<String, String>, sqlx::Error> {
        let mut sql = Text::new("SELECT session, waste_cause, CAST(SUM(waste_nano) AS BIGINT) AS nano, ");
        which.push(sql.push("CAST(SUM(waste_tokens) AS BIGINT) AS tokens"));
        sql.push(" AND session").push_among(sessions.iter());
        // Of a session the last row counts.
        sql.push(" GROUP BY session, waste_cause ORDER BY nano NULLS FIRST, tokens");
        let rows = sql.fetch_all(&self.pool().await?).await?;
        rows.iter().map(|row| Ok((row.try_get("session")?, row.try_get("waste_cause")?))).collect()
    }

    /// The requests of a session that lost something, the newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) async fn waste_of(&self, session: &str) -> Result<Vec<WastedRequest>, sqlx::Error> {
        let mut sql = Text::new(
            "SELECT id, started_ms, agent, waste_cause, waste_detail, waste_tokens, waste_nano FROM requests \
             WHERE session = ",
        );
        sql.push_bind(session).push(" AND waste_tokens IS NOT NULL ORDER BY started_ms DESC, seq DESC LIMIT ");
        let rows = sql.push_bind(MOST_REQUESTS).fetch_all(&self.pool().await?).await?;
        let request = |row: &Row| {
            let nano: Option<i64> = row.try_get("waste_nano")?;
            let text = |name: &str| row.try_get::<Option<String>, _>(name);
            Ok(WastedRequest {
                request_id: row.try_get("id")?,
                at_ms: row.try_get("started_ms")?,
                agent: row.try_get("agent")?,
                cause: row.try_get("waste_cause")?,
                detail: text("waste_detail")?.filter(|detail| !detail.is_empty()),
                tokens: count(row.try_get("waste_tokens")?),
                usd: nano.map(|nano| dollars(count(nano))),
            })
        };
        rows.iter().map(request).collect()
    }

    /// What the last so many requests since a moment left in caches, the oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) async fn left_in_caches(&self, since_ms: i64, most: u32) -> Result<Vec<LeftInCache>, ReadError> {
        let begin = "SELECT session, agent, started_ms, first_byte_ms, duration_ms, upstream, upstream_key, \
                   key_fingerprint, COALESCE(model, model_asked, '') AS model, rules, cache_read_tokens, \
                   cache_write_tokens, came_tools, came_system, came_settings, came_history, came_blocks, sent_tools, \
                   sent_system, sent_settings, sent_history, sent_blocks, head_lives_s, history_lives_s FROM requests \
                   WHERE came_history IS NOT NULL AND started_ms >= ";
        let mut sql = Text::new(begin);
        sql.push_bind(since_ms).push(" AND session IS NOT NULL ORDER BY started_ms DESC LIMIT ");
        let rows = sql.push_bind(i64::from(most)).fetch_all(&self.pool().await?).await?;
        Ok(rows.iter().rev().map(left).collect::<Result<_, _>>()?)
    }
}

/// Sums over nothing are null.
fn wasted_or_none(row: &Row) -> Result<Wasted, sqlx::Error> {
    match row.try_get::<i64, _>("requests")? {
        0 => Ok(Wasted::new(0, 0, None)),
        _ => wasted(row),
    }
}

fn left(row: &Row) -> Result<LeftInCache, sqlx::Error> {
    let number = |name: &str| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(name)?.unwrap_or_default());
    let text = |name: &str| row.try_get::<Option<String>, _>(name);
    let small = |name: &str| Ok::<_, sqlx::Error>(u32::try_from(number(name)?).unwrap_or_default());
    let prefix = |of: &str| {
        let digest = |part: &str| number(&format!("{of}_{part}")).map(i64::cast_unsigned);
        Ok::<_, sqlx::Error>(Prefix {
            tools: digest("tools")?,
            system: digest("system")?,
            settings: digest("settings")?,
            history: digest("history")?,
            blocks: small(&format!("{of}_blocks"))?,
        })
    };
    let came = prefix("came")?;
    let is_changed = row.try_get::<Option<i64>, _>("sent_history")?.is_some();
    let sent = if is_changed { prefix("sent")? } else { came };
    let lifetime = Lifetime { head_s: small("head_lives_s")?, history_s: small("history_lives_s")? };
    let answered = row.try_get::<Option<i64>, _>("first_byte_ms")?.unwrap_or(number("duration_ms")?);
    let key = text("upstream_key")?.or(text("key_fingerprint")?).unwrap_or_default();
    let rules = text("rules")?.unwrap_or_default();
    let checkpoint = Checkpoint {
        used_ms: number("started_ms")? + answered,
        place: Place { upstream: text("upstream")?.unwrap_or_default().into(), key: key.into() },
        model: plain(&text("model")?.unwrap_or_default()).into(),
        prompt: Cached { came, sent, lifetime },
        tokens: count(number("cache_read_tokens")?) + count(number("cache_write_tokens")?),
        rules: rules.split(',').filter(|rule| !rule.is_empty()).map(Into::into).collect(),
        replies: None,
        is_superseded: false,
        detour: None,
    };
    Ok(LeftInCache { session: row.try_get("session")?, agent: text("agent")?, checkpoint })
}

#[cfg(test)]
#[path = "waste_tests.rs"]
mod tests;
