//! How much of prompts came from the prompt cache, before some moment and since: of models, and of sessions.

use super::made_of::within;
use super::reader::{ReadError, Reader};
use super::text::{Row, Text};
use crate::store::rollup::cover;
use crate::store::row::count;
use crate::store::statistics::{CacheUse, Span};
use std::collections::BTreeMap;

/// Most sessions that are looked at, those with most requests first.
const SESSIONS: i64 = 100;
const TOKENS: &str = ", CAST(SUM(input_tokens) AS BIGINT) AS input, CAST(SUM(cache_write_tokens) AS BIGINT) AS written, \
                      CAST(SUM(cache_read_tokens) AS BIGINT) AS read";

fn used(row: &Row) -> Result<(String, CacheUse), sqlx::Error> {
    let sum = |column| row.try_get::<Option<i64>, _>(column).map(|sum| count(sum.unwrap_or_default()));
    let used =
        CacheUse { requests: sum("requests")?, input: sum("input")?, write: sum("written")?, read: sum("read")? };
    Ok((row.try_get("name")?, used))
}

impl Reader {
    /// Of each model: from `begin` to `recent`, and from there to `now`, all in milliseconds since 1970.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) async fn cache_use_of_models(
        &self,
        begin: i64,
        recent: i64,
        now: i64,
    ) -> Result<Vec<(String, CacheUse, CacheUse)>, ReadError> {
        let since = self.by_model(&Span::new(recent, now, now)).await?;
        if since.is_empty() {
            return Ok(Vec::new());
        }
        let before = self.by_model(&Span::new(begin, recent, now)).await?;
        Ok(joined(since, &before))
    }

    async fn by_model(&self, span: &Span) -> Result<Vec<(String, CacheUse)>, ReadError> {
        let mut sql = Text::new("SELECT model AS name, CAST(SUM(requests) AS BIGINT) AS requests");
        sql.push(TOKENS).push(" FROM rollups");
        within(&mut sql, &cover(span.time.clone(), span.finest), None);
        sql.push(" AND model <> '' AND outcome = 'completed' GROUP BY model");
        let rows = sql.fetch_all(&self.pool().await?).await?;
        Ok(rows.iter().map(used).collect::<Result<_, _>>()?)
    }

    /// Of each session with so many requests since `recent`: from `begin` to then, and since.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) async fn cache_use_of_sessions(
        &self,
        begin: i64,
        recent: i64,
        requests: u64,
    ) -> Result<Vec<(String, CacheUse, CacheUse)>, ReadError> {
        let mut sql = Text::new("SELECT session AS name, COUNT(*) AS requests");
        sql.push(TOKENS).push(" FROM requests WHERE started_ms >= ").push_bind(recent);
        sql.push(" AND session IS NOT NULL AND input_tokens IS NOT NULL GROUP BY session HAVING COUNT(*) >= ");
        sql.push_bind(i64::try_from(requests).unwrap_or(i64::MAX));
        sql.push(" ORDER BY COUNT(*) DESC LIMIT ").push_bind(SESSIONS);
        let rows = sql.fetch_all(&self.pool().await?).await?;
        let since: Vec<(String, CacheUse)> = rows.iter().map(used).collect::<Result<_, _>>()?;
        if since.is_empty() {
            return Ok(Vec::new());
        }
        let mut sql = Text::new("SELECT session AS name, COUNT(*) AS requests");
        sql.push(TOKENS).push(" FROM requests WHERE session IN (");
        sql.push_values(since.iter().map(|(session, _)| session));
        sql.push(") AND started_ms >= ").push_bind(begin).push(" AND started_ms < ").push_bind(recent);
        sql.push(" AND input_tokens IS NOT NULL GROUP BY session");
        let rows = sql.fetch_all(&self.pool().await?).await?;
        let before: Vec<(String, CacheUse)> = rows.iter().map(used).collect::<Result<_, _>>()?;
        Ok(joined(since, &before))
    }
}

/// Those that are in both.
fn joined(since: Vec<(String, CacheUse)>, before: &[(String, CacheUse)]) -> Vec<(String, CacheUse, CacheUse)> {
    let before: BTreeMap<&str, CacheUse> = before.iter().map(|(name, used)| (name.as_str(), *used)).collect();
    let both = |(name, now): (String, CacheUse)| before.get(name.as_str()).map(|before| (name, *before, now));
    since.into_iter().filter_map(both).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::test_store::TestStore;
    use gateway_core::record::{ClientNames, Labels, RequestRecord};
    use gateway_core::usage::summary::{Summary, Tokens};
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    /// A request so many minutes ago, of which so many of 1,000 tokens came from the cache.
    fn record(minutes: u64, session: &str, model: &str, read: u64) -> RequestRecord {
        let tokens = Tokens { cache_read: read, cache_write: 900 - read, input: 100, ..Tokens::default() };
        RequestRecord {
            request_id: format!("req_{:x}", fastrand::u128(..)),
            started_at: SystemTime::now() - Duration::from_secs(minutes * 60),
            names: ClientNames { session: Some(session.to_owned()), ..ClientNames::default() },
            answer: Some(Summary { tokens: Some(tokens), ..Summary::default() }),
            labels: Labels { model: model.into(), path: "/v1/messages", request_class: "" },
            ..crate::sample::record()
        }
    }

    #[tokio::test]
    async fn what_came_from_the_cache_is_summed_before_a_moment_and_since() {
        let log = TestStore::new().await;
        let mut records = Vec::new();
        for _ in 0..4 {
            records.push(record(60, "fell", "m", 900));
            records.push(record(2, "fell", "m", 0));
            records.push(record(2, "new", "other", 500));
        }
        records.push(record(60, "idle", "old", 900));
        records.push(record(2, "idle", "old", 900));
        records.push(record(48 * 60, "fell", "m", 0));
        let mut database = log.open().await;
        database.insert(&records.into_iter().map(Arc::new).collect::<Vec<_>>()).await.expect("written");
        database.close().await.expect("closed");
        let reader = log.reader();
        let now = crate::store::columns::millis(SystemTime::now());
        let (begin, recent) = (now - 24 * 3_600_000, now - 15 * 60_000);
        let used = |requests: u64, read: u64| CacheUse {
            requests,
            input: requests * 100,
            write: requests * 900 - requests * read,
            read: requests * read,
        };
        let sessions = reader.cache_use_of_sessions(begin, recent, 3).await.expect("read");
        assert_eq!(sessions, [("fell".to_owned(), used(4, 900), used(4, 0))], "only those with enough, now and before");
        let models = reader.cache_use_of_models(begin, recent, now).await.expect("read");
        let wanted = [("m".to_owned(), used(4, 900), used(4, 0)), ("old".to_owned(), used(1, 900), used(1, 900))];
        assert_eq!(models, wanted);
    }
}
