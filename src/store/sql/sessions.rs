//! Reading sessions: a list of them, and one as a whole.

use super::fingerprint::has_fingerprint;
use super::made_of::{of_rows, push_time, push_tokens};
use super::reader::{ReadError, Reader};
use super::text::{Row, Text};
use crate::store::figures::share;
use crate::store::listing::{Filter, Page, Total};
use crate::store::row::{TokenCounts, cost_of, count, dollars};
use crate::store::sessions::{
    After, Agent, Course, Session, SessionRow, Sessions, SessionsAsked, SessionsBy, Timeline, steps,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Rows of a session that are shown with it.
const SESSION_ROWS: u32 = 200;
/// Agents of a session that are shown.
const AGENTS: usize = 1_000;
/// Names of one kind that are told of a session in a list.
const NAMES: usize = 20;
/// Requests that did not do what they should, by no doing of the client's.
const FAILED: &str = "outcome NOT IN ('completed', 'unreadable', 'client_aborted', 'client_stalled', 'rejected')";
/// Tokens that were written to the prompt cache although they were in it, and what they cost.
const WASTED: [(&str, &str); 2] = [
    ("wasted_tokens", "CAST(COALESCE(SUM(waste_tokens), 0) AS BIGINT)"),
    ("wasted_nano", "CAST(COALESCE(SUM(waste_nano), 0) AS BIGINT)"),
];

/// Sums that are the same in the whole and in its parts: columns of a row of them.
const SUMS: [&str; 14] = [
    "requests",
    "completed",
    "failed",
    "input_tokens",
    "output_tokens",
    "cache_write_tokens",
    "cache_read_tokens",
    "cost_nano",
    "unpriced",
    "estimated",
    "estimated_output_tokens",
    "request_bytes",
    "response_bytes",
    "first",
];

/// What is summed up of the rows of a group, when it began and when it ended.
fn push_sums(sql: &mut Text) {
    sql.push("MIN(started_ms) AS first, MAX(started_ms) AS last, MAX(started_ms + duration_ms) AS ended");
    sql.push(", COUNT(*) FILTER (WHERE outcome = 'completed') AS completed");
    sql.push(format_args!(", COUNT(*) FILTER (WHERE {FAILED}) AS failed"));
    for column in SUMS.into_iter().filter(|column| !matches!(*column, "completed" | "failed" | "first")) {
        sql.push(format_args!(", {} AS {column}", of_rows(column)));
    }
    for (name, sum) in WASTED {
        sql.push(format_args!(", {sum} AS {name}"));
    }
}

/// Those sums, read.
struct Summed {
    total: Total,
    /// In billionths of a dollar.
    cost: u64,
    first: i64,
    last: i64,
    ended: i64,
    wasted_tokens: u64,
    /// In billionths of a dollar; `None` if nothing was, or it has no price.
    wasted: Option<u64>,
}

impl Summed {
    fn read(row: &Row) -> Result<Self, sqlx::Error> {
        let cost = count(row.try_get("cost_nano")?);
        let wasted = count(row.try_get("wasted_nano")?);
        Ok(Self {
            total: total(row, "")?,
            cost,
            first: row.try_get("first")?,
            last: row.try_get("last")?,
            ended: row.try_get("ended")?,
            wasted_tokens: count(row.try_get("wasted_tokens")?),
            wasted: Some(wasted).filter(|wasted| *wasted > 0),
        })
    }
}

/// The sums of a row whose columns begin with this.
fn total(row: &Row, prefix: &str) -> Result<Total, sqlx::Error> {
    let number = |name: &str| {
        let found: Option<i64> = row.try_get(format!("{prefix}{name}").as_str())?;
        Ok::<_, sqlx::Error>(count(found.unwrap_or_default()))
    };
    let tokens = TokenCounts {
        input: number("input_tokens")?,
        output: number("output_tokens")?,
        cache_write: number("cache_write_tokens")?,
        cache_read: number("cache_read_tokens")?,
    };
    Ok(Total {
        requests: number("requests")?,
        completed: number("completed")?,
        failed: number("failed")?,
        tokens,
        cost_usd: cost_of(number("cost_nano")?, number("unpriced")?, tokens),
        unpriced_requests: number("unpriced")?,
        estimated_requests: number("estimated")?,
        estimated_output_tokens: number("estimated_output_tokens")?,
        request_bytes: number("request_bytes")?,
        response_bytes: number("response_bytes")?,
    })
}

fn cache_hit_rate(tokens: TokenCounts) -> Option<f64> {
    share(tokens.cache_read, tokens.input + tokens.cache_write + tokens.cache_read)
}

/// What sessions are sorted by.
fn value(first: SessionsBy) -> &'static str {
    match first {
        SessionsBy::Last => "last",
        SessionsBy::Cost => "cost_nano",
        SessionsBy::Requests => "requests",
        SessionsBy::Duration => "ended - first",
        SessionsBy::Errors => "failed",
        SessionsBy::Waste => "wasted_nano",
    }
}

/// The condition of the time, and of sessions with this in their names.
fn push_within(asked: &SessionsAsked, sql: &mut Text) {
    sql.push(" FROM requests WHERE session IS NOT NULL AND ");
    push_time(sql, asked.from_ms..asked.to_ms);
    if let Some(text) = &asked.text {
        sql.push(" AND ");
        sql.push_contains("session", text);
    }
    of_tokens(asked, sql);
}

/// The condition of the tokens, if only the requests of some count.
fn of_tokens(asked: &SessionsAsked, sql: &mut Text) {
    if let Some(tokens) = &asked.tokens {
        push_tokens(sql, tokens);
    }
}

/// The condition that a session has a request of each kind that is asked for.
fn push_having(asked: &SessionsAsked, sql: &mut Text) {
    sql.push(" GROUP BY session HAVING 1 = 1");
    if !asked.models.is_empty() {
        sql.push(" AND COUNT(*) FILTER (WHERE model IN (").push_values(&asked.models);
        sql.push(") OR model_asked IN (").push_values(&asked.models).push(")) > 0");
    }
    if !asked.upstreams.is_empty() {
        sql.push(" AND COUNT(*) FILTER (WHERE upstream IN (").push_values(&asked.upstreams).push(")) > 0");
    }
    if !asked.keys.is_empty() {
        sql.push(" AND COUNT(*) FILTER (WHERE ");
        has_fingerprint(sql, "key_fingerprint", &asked.keys);
        sql.push(") > 0");
    }
}

impl Reader {
    /// Sessions with requests in a time, and what all of them sum up to.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn sessions(&self, asked: &SessionsAsked) -> Result<Sessions, ReadError> {
        let active = asked.active.keys().take(if asked.first == SessionsBy::Last { usize::MAX } else { 0 });
        let mut sql = Text::new("WITH found AS (SELECT session, ");
        push_sums(&mut sql);
        push_within(asked, &mut sql);
        push_having(asked, &mut sql);
        sql.push("), ranked AS (SELECT *, CAST(CASE WHEN session").push_among(active);
        sql.push(" THEN 1 ELSE 0 END AS BIGINT) AS is_active");
        sql.push(format_args!(", {} AS value, COUNT(*) OVER () AS all_sessions", value(asked.first)));
        for column in SUMS.into_iter().filter(|column| *column != "first") {
            sql.push(format_args!(", CAST(SUM({column}) OVER () AS BIGINT) AS all_{column}"));
        }
        sql.push(" FROM found) SELECT * FROM ranked");
        if let Some(After { is_active, value, session }) = &asked.after {
            sql.push(" WHERE (is_active, value, session) < (").push_bind(i64::from(*is_active)).push(", ");
            sql.push_bind(*value).push(", ").push_bind(session).push(")");
        }
        sql.push(" ORDER BY is_active DESC, value DESC, session DESC LIMIT ");
        sql.push_bind(i64::try_from(asked.limit + 1).unwrap_or(i64::MAX));
        let found = sql.fetch_all(&self.pool().await?).await?;
        let known: BTreeSet<String> = self.known(asked).await?;
        let beginning = asked.beginning(|session| known.contains(session));
        let room = asked.limit.saturating_sub(beginning.len());
        let has_more = found.len() > room;
        let (mut all, mut sum) = (beginning.len() as u64, Total::default());
        if let Some(any) = found.first() {
            all += count(any.try_get("all_sessions")?);
            sum = total(any, "all_")?;
        }
        let shown = &found[..room.min(found.len())];
        let mut rows = beginning;
        for row in shown {
            rows.push(session_row(row, asked)?);
        }
        let next_cursor = match shown.last().filter(|_| has_more) {
            Some(last) => Some(after(last)?.text()),
            None => None,
        };
        self.add_names(asked, &mut rows).await?;
        let (from_ms, to_ms) = (asked.from_ms, asked.to_ms);
        Ok(Sessions { from_ms, to_ms, total: all, sum, sessions: rows, next_cursor })
    }

    /// Those of the sessions that are being served of which there are rows.
    async fn known(&self, asked: &SessionsAsked) -> Result<BTreeSet<String>, ReadError> {
        if asked.active.is_empty() || asked.first != SessionsBy::Last {
            return Ok(BTreeSet::new());
        }
        let mut sql = Text::new("SELECT value FROM ");
        sql.push_listed(asked.active.keys());
        sql.push(" WHERE EXISTS (SELECT 1 FROM requests WHERE session = listed.value AND started_ms >= ");
        sql.push_bind(asked.from_ms).push(" AND started_ms < ").push_bind(asked.to_ms);
        of_tokens(asked, &mut sql);
        sql.push(")");
        let found = sql.fetch_all(&self.pool().await?).await?;
        Ok(found.iter().map(|row| row.try_get("value")).collect::<Result<_, _>>()?)
    }

    /// What the requests of these sessions name, in the same time.
    async fn add_names(&self, asked: &SessionsAsked, rows: &mut [SessionRow]) -> Result<(), ReadError> {
        let mut sql = Text::new("SELECT session, COUNT(DISTINCT agent) AS agents");
        for (name, value) in
            [("models", "COALESCE(model, model_asked)"), ("upstreams", "upstream"), ("keys", "key_fingerprint")]
        {
            sql.push(", ").push_distinct(value).push(format_args!(" AS {name}"));
        }
        sql.push(" FROM requests WHERE session").push_among(rows.iter().map(|row| &row.session));
        sql.push(" AND started_ms >= ").push_bind(asked.from_ms).push(" AND started_ms < ").push_bind(asked.to_ms);
        of_tokens(asked, &mut sql);
        sql.push(" GROUP BY session");
        let mut found = HashMap::new();
        for row in sql.fetch_all(&self.pool().await?).await? {
            found.insert(row.try_get::<String, _>("session")?, row);
        }
        for session in rows {
            let Some(row) = found.get(&session.session) else { continue };
            session.agents = count(row.try_get("agents")?);
            session.models = names(row, "models")?;
            session.upstreams = names(row, "upstreams")?;
            session.keys = names(row, "keys")?;
        }
        Ok(())
    }

    /// Whether there is a row of this session.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) async fn has_session(&self, session: &str) -> Result<bool, ReadError> {
        let mut sql = Text::new("SELECT 1 FROM requests WHERE session = ");
        sql.push_bind(session).push(" LIMIT 1");
        Ok(sql.fetch_optional(&self.pool().await?).await?.is_some())
    }

    /// A session; `None` if there is no row of it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn session(&self, session: &str) -> Result<Option<Session>, ReadError> {
        let mut sql = Text::new("SELECT agent, MAX(parent_agent) AS parent, MAX(agent_type) AS kind, ");
        push_sums(&mut sql);
        sql.push(" FROM requests WHERE session = ")
            .push_bind(session)
            .push(" GROUP BY agent ORDER BY first, agent NULLS FIRST");
        let (mut all, mut cost, mut first, mut last, mut ended) = (Total::default(), 0, i64::MAX, 0, 0);
        let (mut agents, mut agents_total, mut wasted_tokens, mut wasted) = (Vec::new(), 0, 0, None::<u64>);
        for row in sql.fetch_all(&self.pool().await?).await? {
            let part = Summed::read(&row)?;
            all.add(&part.total);
            cost += part.cost;
            first = first.min(part.first);
            (last, ended) = (last.max(part.last), ended.max(part.ended));
            wasted_tokens += part.wasted_tokens;
            wasted = wasted.map_or(part.wasted, |sum| Some(sum + part.wasted.unwrap_or_default()));
            agents_total += 1;
            if agents.len() < AGENTS {
                agents.push(Agent {
                    name: row.try_get("agent")?,
                    parent: row.try_get("parent")?,
                    agent_type: row.try_get("kind")?,
                    first_at_ms: part.first,
                    last_at_ms: part.last,
                    total: part.total,
                    cache_hit_rate: cache_hit_rate(part.total.tokens),
                    wasted_tokens: part.wasted_tokens,
                    wasted_usd: part.wasted.map(dollars),
                });
            }
        }
        if agents.is_empty() {
            return Ok(None);
        }
        // Of billionths, which add up without a loss.
        all.cost_usd = cost_of(cost, all.unpriced_requests, all.tokens);
        let only = BTreeMap::from([("session", vec![session.to_owned()])]);
        let filter = Filter { only, ..Filter::default() };
        let Page { requests, next_cursor } = self.page(&filter, None, SESSION_ROWS).await?;
        Ok(Some(Session {
            session: session.to_owned(),
            first_at_ms: first,
            last_at_ms: last,
            duration_ms: ended - first,
            running: 0,
            cache_hit_rate: cache_hit_rate(all.tokens),
            timeline: self.timeline(session, first, last, &agents).await?,
            requests_total: all.requests,
            total: all,
            wasted_tokens,
            wasted_usd: wasted.map(dollars),
            agents,
            agents_total,
            waste: self.waste_of(session).await?,
            requests,
            next_cursor,
        }))
    }

    /// What each agent of a session did, step by step.
    async fn timeline(&self, session: &str, first: i64, last: i64, agents: &[Agent]) -> Result<Timeline, ReadError> {
        let (step_ms, from_ms, count_of_steps) = steps(first, last, agents.len());
        let mut sql = Text::new("SELECT agent, (started_ms - ");
        sql.push_bind(from_ms).push(") / ").push_bind(step_ms).push(" AS step, COUNT(*) AS requests");
        sql.push(format_args!(", COUNT(*) FILTER (WHERE {FAILED}) AS failed"));
        sql.push(", CAST(SUM(cost_nano) AS BIGINT) AS cost_nano FROM requests WHERE session = ").push_bind(session);
        sql.push(" GROUP BY agent, step ORDER BY agent, step");
        let mut courses: HashMap<Option<String>, Vec<_>> = HashMap::new();
        for row in sql.fetch_all(&self.pool().await?).await? {
            let cost: Option<i64> = row.try_get("cost_nano")?;
            courses.entry(row.try_get("agent")?).or_default().push((
                row.try_get("step")?,
                count(row.try_get("requests")?),
                count(row.try_get("failed")?),
                cost.map(count),
            ));
        }
        let course = |agent: &Agent| Course {
            name: agent.name.clone(),
            buckets: courses.remove(&agent.name).unwrap_or_default(),
        };
        Ok(Timeline { from_ms, step_ms, steps: count_of_steps, agents: agents.iter().map(course).collect() })
    }
}

fn session_row(row: &Row, asked: &SessionsAsked) -> Result<SessionRow, sqlx::Error> {
    let session: String = row.try_get("session")?;
    let summed = Summed::read(row)?;
    Ok(SessionRow {
        running: asked.active.get(&session).map_or(0, |active| active.requests),
        session,
        first_at_ms: summed.first,
        last_at_ms: summed.last,
        duration_ms: summed.ended - summed.first,
        agents: 0,
        cache_hit_rate: cache_hit_rate(summed.total.tokens),
        total: summed.total,
        models: Vec::new(),
        upstreams: Vec::new(),
        keys: Vec::new(),
        wasted_tokens: summed.wasted_tokens,
        wasted_usd: summed.wasted.map(dollars),
    })
}

fn after(row: &Row) -> Result<After, sqlx::Error> {
    Ok(After {
        is_active: row.try_get::<i64, _>("is_active")? != 0,
        value: row.try_get("value")?,
        session: row.try_get("session")?,
    })
}

/// A list of names as the database made it, in their order, and not too many of them.
fn names(row: &Row, column: &str) -> Result<Vec<String>, sqlx::Error> {
    let list: Option<&str> = row.try_get(column)?;
    let mut names: Vec<String> = list.and_then(|list| serde_json::from_str(list).ok()).unwrap_or_default();
    names.sort();
    names.truncate(NAMES);
    Ok(names)
}
