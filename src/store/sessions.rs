//! What is asked of sessions, and what is found: a list of them, and one as a whole.

use super::listing::{Listed, Total};
use serde::Serialize;
use std::collections::BTreeMap;

/// Steps of a session's course, at most.
const MOST_STEPS: i64 = 240;
/// The same where there are many agents, each with steps of its own.
const FEW_STEPS: i64 = 60;
/// More agents than these are many.
const MANY_AGENTS: usize = 50;
/// Lengths of a step that people read easily, in milliseconds.
const STEPS: [i64; 14] = [
    1_000, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000,
    43_200_000, 86_400_000,
];

/// Which sessions come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionsBy {
    /// Those that are being served, and then those with the newest request.
    #[default]
    Last,
    /// The dearest.
    Cost,
    /// Those with most requests.
    Requests,
    /// The longest.
    Duration,
    /// Those with most failures.
    Errors,
    /// Those that lost most of the prompt cache.
    Waste,
}

impl SessionsBy {
    /// All there are.
    pub(crate) const ALL: [Self; 6] =
        [Self::Last, Self::Cost, Self::Requests, Self::Duration, Self::Errors, Self::Waste];

    /// Its name in the API.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Cost => "cost",
            Self::Requests => "requests",
            Self::Duration => "duration",
            Self::Errors => "errors",
            Self::Waste => "waste",
        }
    }
}

/// Which sessions are asked for.
#[derive(Clone, Debug, Default)]
pub struct SessionsAsked {
    /// From when on there is a request of them, in milliseconds since 1970.
    pub from_ms: i64,
    /// Until when, exclusive.
    pub to_ms: i64,
    /// Which come first.
    pub first: SessionsBy,
    /// Sessions with a request for one of these models, asked or served; empty for all, as are the next ones.
    pub models: Vec<String>,
    /// With a request at one of these upstreams.
    pub upstreams: Vec<String>,
    /// With one of these keys.
    pub keys: Vec<String>,
    /// Only requests with one of these client tokens count, as if there were no others; by id.
    pub tokens: Option<Vec<String>>,
    /// With this in their names.
    pub text: Option<String>,
    /// How many.
    pub limit: usize,
    /// Behind this one.
    pub after: Option<After>,
    /// What is being served right now, by session.
    pub active: BTreeMap<String, Active>,
}

/// The requests of a session that are being served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Active {
    /// How many.
    pub requests: u64,
    /// When the first of them began, in milliseconds since 1970.
    pub first_ms: i64,
    /// When the last one did.
    pub last_ms: i64,
}

/// The last session of a page: whether it was being served, what it is sorted by, and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    pub(super) is_active: bool,
    pub(super) value: i64,
    pub(super) session: String,
}

impl After {
    /// As the text of a cursor.
    pub(super) fn text(&self) -> String {
        format!("{}.{}.{}", u8::from(self.is_active), self.value, self.session)
    }

    /// What a cursor says; `None` if it is none.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (is_active, rest) = text.split_once('.')?;
        let (value, session) = rest.split_once('.')?;
        let is_active = match is_active {
            "0" => false,
            "1" => true,
            _ => return None,
        };
        Some(Self { is_active, value: value.parse().ok()?, session: session.to_owned() })
    }
}

impl SessionsAsked {
    /// The sessions whose first request is being served: the log has nothing of them yet. They come first where the newest do,
    /// but leave room for others.
    pub(super) fn beginning(&self, known: impl Fn(&str) -> bool) -> Vec<SessionRow> {
        let is_asked = self.first == SessionsBy::Last && self.after.is_none();
        let is_any = self.models.is_empty() && self.upstreams.is_empty() && self.keys.is_empty();
        if !is_asked || !is_any {
            return Vec::new();
        }
        let fits = |session: &str| self.text.as_ref().is_none_or(|text| session.contains(text.as_str()));
        let is_in_time = |active: &Active| (self.from_ms..self.to_ms).contains(&active.last_ms);
        let mut rows: Vec<_> = self
            .active
            .iter()
            .filter(|(session, active)| is_in_time(active) && fits(session) && !known(session))
            .map(|(session, active)| SessionRow::beginning(session, active))
            .collect();
        rows.sort_by(|a, b| b.last_at_ms.cmp(&a.last_at_ms).then_with(|| b.session.cmp(&a.session)));
        rows.truncate((self.limit / 2).max(1));
        rows
    }
}

/// A session of a list.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "docs/api.md has them")]
pub struct SessionRow {
    pub session: String,
    pub first_at_ms: i64,
    pub last_at_ms: i64,
    pub duration_ms: i64,
    pub running: u64,
    pub agents: u64,
    #[serde(flatten)]
    pub total: Total,
    pub cache_hit_rate: Option<f64>,
    pub models: Vec<String>,
    pub upstreams: Vec<String>,
    pub keys: Vec<String>,
    pub wasted_tokens: u64,
    pub wasted_usd: Option<f64>,
}

impl SessionRow {
    fn beginning(session: &str, active: &Active) -> Self {
        Self {
            session: session.to_owned(),
            first_at_ms: active.first_ms,
            last_at_ms: active.last_ms,
            duration_ms: active.last_ms - active.first_ms,
            running: active.requests,
            agents: 0,
            total: Total::default(),
            cache_hit_rate: None,
            models: Vec::new(),
            upstreams: Vec::new(),
            keys: Vec::new(),
            wasted_tokens: 0,
            wasted_usd: None,
        }
    }
}

/// Some sessions.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "docs/api.md has them")]
pub struct Sessions {
    pub from_ms: i64,
    pub to_ms: i64,
    pub total: u64,
    pub sum: Total,
    pub sessions: Vec<SessionRow>,
    pub next_cursor: Option<String>,
}

/// A session as a whole.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "docs/api.md has them")]
pub struct Session {
    pub session: String,
    pub first_at_ms: i64,
    pub last_at_ms: i64,
    pub duration_ms: i64,
    pub running: u64,
    pub total: Total,
    pub cache_hit_rate: Option<f64>,
    pub wasted_tokens: u64,
    pub wasted_usd: Option<f64>,
    pub agents: Vec<Agent>,
    pub agents_total: u64,
    pub timeline: Timeline,
    pub waste: Vec<Wasted>,
    pub requests: Vec<Listed<'static>>,
    pub requests_total: u64,
    pub next_cursor: Option<String>,
}

/// The requests of one agent of a session.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "docs/api.md has them")]
pub struct Agent {
    pub name: Option<String>,
    pub parent: Option<String>,
    pub agent_type: Option<String>,
    pub first_at_ms: i64,
    pub last_at_ms: i64,
    #[serde(flatten)]
    pub total: Total,
    pub cache_hit_rate: Option<f64>,
    pub wasted_tokens: u64,
    pub wasted_usd: Option<f64>,
}

/// A request of a session that wrote the prompt cache anew.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "docs/api.md has them")]
pub struct Wasted {
    pub request_id: String,
    pub at_ms: i64,
    pub agent: Option<String>,
    pub cause: String,
    pub detail: Option<String>,
    pub tokens: u64,
    pub usd: Option<f64>,
}

/// The course of a session: what each agent did, step by step.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "docs/api.md has them")]
pub struct Timeline {
    pub from_ms: i64,
    pub step_ms: i64,
    pub steps: i64,
    pub agents: Vec<Course>,
}

/// What one agent did: of each step with requests its number, how many there were, how many failed, and what they cost, in
/// billionths of a dollar.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "docs/api.md has them")]
pub struct Course {
    pub name: Option<String>,
    pub buckets: Vec<(i64, u64, u64, Option<u64>)>,
}

/// The length of a step, where the first begins, and how many there are, for requests that began between these times, in
/// milliseconds since 1970.
pub(super) fn steps(first_ms: i64, last_ms: i64, agents: usize) -> (i64, i64, i64) {
    let most = if agents > MANY_AGENTS { FEW_STEPS } else { MOST_STEPS };
    let of = |step: i64| {
        let from = first_ms - first_ms.rem_euclid(step);
        (step, from, (last_ms - from) / step + 1)
    };
    let longest = STEPS[STEPS.len() - 1];
    let fits = STEPS.into_iter().map(of).find(|(.., count)| *count <= most);
    // Years of one session.
    fits.unwrap_or_else(|| of(longest * ((last_ms - first_ms) / longest / most + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    #[test]
    fn a_course_has_few_steps_however_long_it_is() {
        for length in [0, 999, 5_000, 239_000, 240_001, 3 * 3_600_000, DAY, 40 * DAY, 300 * DAY, 4_000 * DAY] {
            for (agents, most) in [(1, MOST_STEPS), (51, FEW_STEPS)] {
                let first = 1_795_786_661_234;
                let (step, from, count) = steps(first, first + length, agents);
                assert!(from <= first && first - from < step, "{length}: {step}");
                assert!(count <= most + 1 && (first + length - from) / step < count, "{length}: {count} of {step}");
            }
        }
        assert_eq!(steps(10_500, 70_500, 1), (1_000, 10_000, 61));
    }

    #[test]
    fn a_cursor_says_where_a_page_ended() {
        let after = After { is_active: true, value: -5, session: "a.b.c".to_owned() };
        assert_eq!(After::read(&after.text()), Some(after));
        for none in ["", "1", "1.2", "2.1.a", "1.x.a"] {
            assert_eq!(After::read(none), None, "{none}");
        }
    }

    #[test]
    fn sessions_that_only_begin_are_told_where_the_newest_come_first() {
        let active = |last_ms| Active { requests: 2, first_ms: 5, last_ms };
        let all = BTreeMap::from([
            ("new".to_owned(), active(20)),
            ("newer".to_owned(), active(30)),
            ("old".to_owned(), active(25)),
            ("late".to_owned(), active(200)),
        ]);
        let asked = SessionsAsked { to_ms: 100, limit: 10, active: all, ..SessionsAsked::default() };
        let told = |asked: &SessionsAsked| {
            asked.beginning(|session| session == "old").into_iter().map(|row| row.session).collect::<Vec<_>>()
        };
        assert_eq!(told(&asked), ["newer", "new"]);
        assert_eq!(told(&SessionsAsked { text: Some("ewe".to_owned()), ..asked.clone() }), ["newer"]);
        assert_eq!(told(&SessionsAsked { limit: 2, ..asked.clone() }), ["newer"], "others need room too");
        for other in [
            SessionsAsked { first: SessionsBy::Cost, ..asked.clone() },
            SessionsAsked { models: vec!["m".to_owned()], ..asked.clone() },
            SessionsAsked { after: After::read("0.1.a"), ..asked },
        ] {
            assert_eq!(told(&other), [""; 0]);
        }
    }
}
