//! What requests of client tokens cost together.

use super::made_of::push_tokens;
use super::reader::{ReadError, Reader};
use super::text::Text;

/// A request may have waited for so long for its limits, and for a place at an upstream: in milliseconds.
const WAITED_MS: i64 = 600_000;
/// Two times that are rounded down make up to so much less than their sum: a window may open with the very request.
const ROUNDED_MS: i64 = 2;

/// Whose requests are summed up: of these tokens, as long as they were this user's, or this group's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpentBy<'b> {
    pub tokens: &'b [String],
    pub user: Option<&'b str>,
    pub group: Option<&'b str>,
}

impl Reader {
    /// When the oldest request began that is kept, in milliseconds since 1970.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) async fn oldest_ms(&self) -> Result<Option<i64>, ReadError> {
        let oldest = Text::new("SELECT MIN(started_ms) FROM requests").fetch_one(&self.pool().await?).await?;
        Ok(oldest.try_get(0)?)
    }

    /// What requests cost, in nano-dollars, that came to an upstream at this time or later.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) async fn spent(&self, by: SpentBy<'_>, from_ms: i64) -> Result<i64, ReadError> {
        let mut sql =
            Text::new("SELECT CAST(COALESCE(SUM(cost_nano), 0) AS BIGINT) FROM requests WHERE started_ms >= ");
        sql.push_bind(from_ms.saturating_sub(WAITED_MS));
        sql.push(" AND started_ms + COALESCE(queue_ms, 0) >= ").push_bind(from_ms.saturating_sub(ROUNDED_MS));
        push_tokens(&mut sql, by.tokens);
        for (column, name) in [("user_name", by.user), ("group_name", by.group)] {
            if let Some(name) = name {
                sql.push(" AND ").push(column).push(" = ").push_bind(name);
            }
        }
        Ok(sql.fetch_one(&self.pool().await?).await?.try_get(0)?)
    }
}
