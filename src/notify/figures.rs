//! What the request log tells: what the last day cost, and whose prompt cache is no longer hit. The decisions are pure.

use super::event::{Subject, Trouble};
use crate::config::notify::Notify;
use crate::store::{CacheUse, ReadError, Reader, Span, StatsFilter};
use gateway_core::both;

/// How far the present goes back for a cache, in milliseconds.
const RECENT: i64 = 15 * 60_000;
/// A day, in milliseconds.
const DAY: i64 = 24 * 3_600_000;
/// Fewer requests say nothing of a model's cache: the first ones of each session write to it.
const MODEL_REQUESTS: u64 = 10;
/// Fewer requests say nothing of a session's.
const SESSION_REQUESTS: u64 = 3;
/// Fewer tokens are not worth a word.
const TOKENS: u64 = 20_000;

/// What is worth telling of the log.
pub(super) type Found = Vec<(Subject, Trouble)>;

/// Reads what the settings ask for.
///
/// # Errors
/// When the request log cannot be read.
pub(super) async fn read(reader: &Reader, settings: &Notify, now_ms: i64) -> Result<Found, ReadError> {
    let mut found = Vec::new();
    if let Some(most) = settings.cost_per_day {
        let span = Span::new(now_ms - DAY, now_ms, now_ms);
        let cost = reader.summary(&span, &StatsFilter::default()).await?.cost_usd.unwrap_or_default();
        found.extend(cost_above(cost, most as f64 / 1e9).map(|trouble| (Subject::Cost, trouble)));
    }
    if let Some(share) = settings.cache_share {
        let (begin, recent) = (now_ms - DAY, now_ms - RECENT);
        let models = reader.cache_use_of_models(begin, recent, now_ms).await?;
        let models = models.into_iter().filter_map(|(name, before, now)| {
            let trouble = fell(&Subject::CacheOfModel(name.clone()), before, now, share, MODEL_REQUESTS)?;
            Some((Subject::CacheOfModel(name), trouble))
        });
        found.extend(models);
        let sessions = reader.cache_use_of_sessions(begin, recent, SESSION_REQUESTS).await?;
        let sessions = sessions.into_iter().filter_map(|(name, before, now)| {
            let trouble = fell(&Subject::CacheOfSession(name.clone()), before, now, share, SESSION_REQUESTS)?;
            Some((Subject::CacheOfSession(name), trouble))
        });
        found.extend(sessions);
    }
    Ok(found)
}

/// That a day cost more than it should; told again for each time as much.
fn cost_above(cost: f64, most: f64) -> Option<Trouble> {
    if cost <= most {
        return None;
    }
    let (cost_text, most_text) = (format!("{cost:.2}"), format!("{most:.2}"));
    let words = both!(
        "the requests of the last 24 hours cost ${cost_text}, more than ${most_text} (notify.cost_per_day)",
        "过去 24 小时的费用为 {cost_text} 美元，超过了 {most_text} 美元（notify.cost_per_day）"
    );
    let trouble = Trouble::new(words).with("cost_usd", cost).with("most_usd", most);
    Some(Trouble { stage: (cost / most) as u64, ..trouble })
}

/// That a cache that was hit is not any more.
fn fell(subject: &Subject, before: CacheUse, now: CacheUse, share: u32, requests: u64) -> Option<Trouble> {
    let percent = |used: &CacheUse| used.read * 100 / used.all().max(1);
    let says_something = |used: &CacheUse| used.requests >= requests && used.all() >= TOKENS;
    let is_worse = percent(&before) >= u64::from(share) && percent(&now) < u64::from(share);
    if !(says_something(&before) && says_something(&now) && is_worse) {
        return None;
    }
    let (before, now) = (percent(&before), percent(&now));
    let words = match subject {
        Subject::CacheOfSession(session) => both!(
            "the prompt cache of the session {session} is hit less: {now} % of its tokens in the last 15 minutes, {before} % \
             before",
            "会话 {session} 的缓存命中率下降：最近 15 分钟为 {now}%，此前为 {before}%"
        ),
        Subject::CacheOfModel(model) => both!(
            "the prompt cache of {model} is hit less: {now} % of the tokens in the last 15 minutes, {before} % before",
            "{model} 的缓存命中率下降：最近 15 分钟为 {now}%，此前为 {before}%"
        ),
        _ => return None,
    };
    Some(Trouble::new(words).with("before_percent", before).with("now_percent", now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(requests: u64, read: u64, all: u64) -> CacheUse {
        CacheUse { requests, input: 0, write: all - read, read }
    }

    #[test]
    fn a_cache_fell_if_it_was_above_the_bound_and_is_not_any_more() {
        let subject = Subject::CacheOfModel("m".to_owned());
        let is_told = |before, now| fell(&subject, before, now, 50, 10).is_some();
        assert!(is_told(used(100, 90_000, 100_000), used(10, 10_000, 100_000)));
        for (before, now, why) in [
            (used(100, 90_000, 100_000), used(10, 60_000, 100_000), "still above"),
            (used(100, 10_000, 100_000), used(10, 0, 100_000), "never was above"),
            (used(100, 90_000, 100_000), used(9, 0, 100_000), "too few requests"),
            (used(100, 90_000, 100_000), used(10, 0, 19_999), "too few tokens"),
            (used(0, 0, 0), used(10, 0, 100_000), "new"),
        ] {
            assert!(!is_told(before, now), "{why}");
        }
        let told = fell(&subject, used(100, 90_000, 100_000), used(10, 10_000, 100_000), 50, 10).expect("told");
        assert!(
            told.words.to_string().contains("10 % of the tokens in the last 15 minutes, 90 % before"),
            "{}",
            told.words
        );
    }

    #[test]
    fn a_cost_is_told_when_it_is_above_the_bound_and_for_each_time_as_much() {
        assert!(cost_above(20.0, 20.0).is_none());
        let stage = |cost| cost_above(cost, 20.0).map(|trouble| trouble.stage);
        assert_eq!((stage(20.01), stage(39.0), stage(40.0), stage(95.0)), (Some(1), Some(1), Some(2), Some(4)));
    }
}
