//! Made-up records that look like a busy month: days and nights, several models, sessions with a sub-agent, and the ways in
//! which requests fail.

use gateway_core::record::{Cause, ClientNames, Labels, Outcome, PromptOutcome, RequestRecord};
use gateway_core::rules::body::Change;
use gateway_core::usage::error_body::ErrorText;
use gateway_core::usage::summary::{Nature, Summary, Tokens};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const MODELS: [&str; 4] = ["claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5", "claude-opus-4-8"];
/// Dollars for a million tokens: input, output, written to the cache, read from it.
const PRICES: [[f64; 4]; 4] =
    [[2.0, 10.0, 2.5, 0.1], [4.0, 20.0, 5.0, 0.2], [0.1, 0.5, 0.125, 0.01], [5.0, 25.0, 6.25, 0.5]];
const UPSTREAMS: [&str; 2] = ["harbour", "lantern"];
/// How busy each hour of a day is, which ends late in the afternoon.
const HOURS: [f64; 24] = [
    6.0, 5.0, 6.0, 7.0, 5.0, 3.0, 1.5, 1.0, 0.5, 0.5, 0.5, 0.5, 1.0, 2.0, 5.0, 11.0, 13.0, 12.0, 6.0, 8.0, 13.0, 14.0,
    12.0, 10.0,
];
/// Types of sub-agents.
const AGENT_TYPES: [&str; 3] = ["Explore", "Plan", "general-purpose"];
/// Requests of one session.
const SESSION: u64 = 40;
/// How one request in a thousand ends, and how many do.
const FAILURES: [(u32, Outcome, u16, Option<Cause>, &str); 6] = [
    (12, Outcome::UpstreamError, 503, Some(Cause::PoolClosed), "no account is available"),
    (8, Outcome::UpstreamError, 429, Some(Cause::Quota), "the quota of this hour is used up"),
    (6, Outcome::ClientAborted, 200, None, ""),
    (4, Outcome::Truncated, 200, Some(Cause::BrokeOff), ""),
    (3, Outcome::Stalled, 200, Some(Cause::TooSlow), ""),
    (2, Outcome::Unreachable, 502, Some(Cause::Unreachable), ""),
];

/// The record number `index` of `rows` that end at `now` and began `days` earlier; always the same for the same numbers.
pub(crate) fn record(index: u64, rows: u64, days: u64, now: SystemTime) -> Arc<RequestRecord> {
    let mut rng = fastrand::Rng::with_seed(index);
    // Nothing happens as regularly as numbers do.
    let place = (index as f64 + rng.f64() * 12.0 - 6.0) / rows as f64 * days as f64;
    let age = Duration::from_secs_f64((days as f64 - time_of_day(place)).max(0.0) * 86_400.0);
    let which = [0, 0, 0, 0, 1, 1, 1, 2, 2, 3][rng.usize(..10)];
    let model = MODELS[which];
    // Most take seconds, some minutes.
    let duration = Duration::from_millis((rng.f64().powi(4) * 240_000.0) as u64 + 300);
    let tokens = Tokens {
        input: rng.u64(..3_000),
        output: rng.u64(..3_000),
        cache_write: rng.u64(..9_000),
        cache_read: rng.u64(20_000..90_000),
        ..Tokens::default()
    };
    let lot = rng.u32(..1_000);
    let mut seen = 0;
    let failure = FAILURES.iter().find(|failure| {
        seen += failure.0;
        lot < seen
    });
    let (outcome, status, cause, error) = match failure {
        Some(&(_, outcome, status, cause, error)) => (outcome, status, cause, error),
        None => (Outcome::Completed, 200, None, ""),
    };
    let is_answer = status == 200;
    let is_complete = outcome == Outcome::Completed;
    let answer = Summary {
        nature: Nature::Stream,
        is_complete,
        model: Some(model.to_owned()),
        tokens: Some(tokens),
        first_token: Some(duration / 5),
        last_token: Some(duration),
        stop_reason: is_complete.then(|| "end_turn".to_owned()),
        events: 200,
        ..Summary::default()
    };
    let number = index / SESSION;
    Arc::new(RequestRecord {
        duration,
        queue: Some(Duration::ZERO),
        connect: Some(Duration::from_millis(1)),
        first_byte: is_answer.then_some(duration / 6),
        client: Some([10, 0, 0, rng.u8(..)].into()),
        http: "1.1",
        method: "POST".to_owned(),
        path: "/v1/messages".to_owned(),
        status,
        outcome,
        upstream: Some(UPSTREAMS[[0, 0, 0, 1][rng.usize(..4)]].into()),
        attempts: 1 + u32::from(rng.u8(..40) == 0),
        request_bytes: rng.u64(20_000..900_000),
        response_bytes: 12_000,
        key: Some(format!("key{:05}", number % 5)),
        is_keyed: true,
        rewrite: Some(PromptOutcome::Changed(Change::Replaced)),
        names: names(index),
        model_asked: Some(model.to_owned()),
        rules: vec!["anyrouter.beta".into(), "anyrouter.metadata".into()],
        answer: is_answer.then_some(answer),
        error: (!error.is_empty()).then(|| ErrorText {
            body: format!(r#"{{"type":"error","error":{{"type":"api_error","message":"{error}"}}}}"#),
            kind: Some("api_error".to_owned()),
            code: None,
            message: Some(error.to_owned()),
            is_page: false,
        }),
        cause,
        cost: is_answer.then_some(cost(tokens, PRICES[which])),
        labels: Labels { model: model.into(), path: "/v1/messages", request_class: class(index) },
        ..RequestRecord::new(format!("req_{index:032x}"), now - age)
    })
}

/// The day with its fraction as it is when so much of its requests are over.
fn time_of_day(place: f64) -> f64 {
    let mut left = place.rem_euclid(1.0) * HOURS.iter().sum::<f64>();
    let mut hours = 0.0;
    for hour in HOURS {
        if left < hour {
            return place.floor() + (hours + left / hour) / 24.0;
        }
        left -= hour;
        hours += 1.0;
    }
    place.floor() + 1.0
}

/// Billionths of a dollar.
fn cost(tokens: Tokens, [input, output, cache_write, cache_read]: [f64; 4]) -> u64 {
    let dollars = tokens.input as f64 * input
        + tokens.output as f64 * output
        + tokens.cache_write as f64 * cache_write
        + tokens.cache_read as f64 * cache_read;
    (dollars * 1_000.0) as u64
}

/// What it is for.
fn class(index: u64) -> &'static str {
    match index % 10 {
        3 | 4 | 8 | 9 => "subagent",
        7 if index % 100 == 7 => "compaction",
        1 => "auxiliary",
        _ => "main",
    }
}

/// Whose the record number `index` is.
fn names(index: u64) -> ClientNames {
    // Two of five requests are a sub-agent's.
    let number = index / SESSION;
    let agent = (index % 5 > 2).then(|| format!("agent-{}", index / 15 % 3 + 1));
    let [first, last] = [number, number + 1].map(|seed| fastrand::Rng::with_seed(seed).u32(..));
    ClientNames {
        session: Some(format!(
            "{first:08x}-{number:04x}-4{0:03x}-8{1:03x}-{last:08x}{number:04x}",
            first % 4001,
            last % 4003
        )),
        parent_agent: agent.as_ref().map(|_| "main".to_owned()),
        agent_type: agent.as_ref().map(|_| AGENT_TYPES[(index / 15 % 3) as usize].to_owned()),
        request_class: Some(class(index).to_owned()),
        compaction: (class(index) == "compaction").then(|| "auto".to_owned()),
        prompt_id: Some(format!("{:08x}-0000-4000-8000-{number:012x}", index / 4)),
        agent,
        ..ClientNames::default()
    }
}
