//! Responses whose upstreams lie.

use super::Choices;
use crate::protocol::Protocol;
use crate::rules::glob::Glob;
use crate::usage::decode::Decoder;
use crate::usage::meter::{Limits, Meter, Opening};
use crate::usage::pricing::decimal::Factor;
use crate::usage::pricing::{Offer, Price, Prices};
use crate::usage::summary::{LONGEST_MESSAGE, LONGEST_WORD, Summary};
use crate::usage::told::MOST_TOKENS;
use crate::usage::tools::{LONGEST_NAME, MOST_NAMES};
use once_cell::sync::Lazy;
use std::time::{Duration, Instant, SystemTime};

const LIMITS: Limits = Limits { event_bytes: 2_000, reply_bytes: 4_000 };
const TYPES: [&str; 4] = ["text/event-stream", "application/json", "text/html", ""];
/// What stands in place of a count.
const COUNTS: [&str; 16] = [
    "0",
    "1",
    "7.0",
    "-1",
    "null",
    "\"9\"",
    "1e3",
    "1e300",
    "1.5",
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775807",
    "2147483648",
    "2147483649",
    "[]",
    "{}",
];
const NAMES: [&str; 6] = ["\"claude-x\"", "\"\"", "null", "\"\\u0000\\ud83d\\ude00\"", "7", "\" \""];

static BEGAN: Lazy<Instant> = Lazy::new(now);
static PRICES: Lazy<Prices> = Lazy::new(|| {
    let price = Price::usual(10_000_000_000, 10_000_000_000, None, None, None);
    Prices::default().then(vec![Offer::new(Glob::new("*"), price, "".into())])
});

#[expect(clippy::disallowed_methods, reason = "a response has to begin somewhere; that it does so now changes nothing")]
fn now() -> Instant {
    Instant::now()
}

/// A stream of events that an upstream may send, of which nothing need be true.
fn stream(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut stream = Vec::new();
    for _ in 0..choices.below(12) {
        let kind = choices.below(9);
        let mut count = || *choices.one(&COUNTS);
        let usage = format!(
            "{{\"input_tokens\":{},\"output_tokens\":{},\"cache_creation_input_tokens\":{},\"cache_read_input_tokens\":{},\
             \"cache_creation\":{{\"ephemeral_5m_input_tokens\":{},\"ephemeral_1h_input_tokens\":{}}},\
             \"server_tool_use\":{{\"web_search_requests\":{}}},\"output_tokens_details\":{{\"thinking_tokens\":{}}}}}",
            count(),
            count(),
            count(),
            count(),
            count(),
            count(),
            count(),
            count(),
        );
        let name = *choices.one(&NAMES);
        let (event, data) = match kind {
            0 => ("message_start", format!("\"message\":{{\"model\":{name},\"usage\":{usage}}}")),
            1 => ("message_delta", format!("\"delta\":{{\"stop_reason\":{name}}},\"usage\":{usage}")),
            2 => ("content_block_start", format!("\"content_block\":{{\"type\":\"tool_use\",\"name\":{name}}}")),
            3 => ("content_block_delta", "\"delta\":{\"text\":\"ü\"}".to_owned()),
            4 => ("content_block_delta", format!("\"delta\":{{\"thinking\":{name}}}")),
            5 => ("error", format!("\"error\":{{\"type\":{name},\"message\":{name}}}")),
            6 => ("message_stop", "\"usage\":".to_owned() + &usage),
            7 => ("ping", String::new()),
            _ => {
                let count = choices.below(40);
                stream.extend(choices.bytes(count));
                continue;
            }
        };
        let comma = if data.is_empty() { "" } else { "," };
        stream.extend(format!("event: {event}\ndata: {{\"type\":\"{event}\"{comma}{data}}}\n\n").bytes());
    }
    stream
}

/// A response is read the same however it is cut, and whatever it says, what is kept of it is bounded: an upstream that
/// lies spoils no sum and fills no memory.
pub(super) fn meter(input: &[u8]) {
    let mut choices = Choices::new(input);
    let (content_type, step) = (*choices.one(&TYPES), 1 + choices.below(64));
    let mut body = stream(&mut choices);
    body.extend(choices.rest());
    let read = |step: usize| {
        let asked = Protocol::of("POST", b"/v1/messages");
        let plain = || Decoder::new([]);
        let times = (*BEGAN, *BEGAN);
        let mut meter = Meter::new(asked, content_type.as_bytes(), plain, times, LIMITS).expect("readable");
        let mut opening = Opening::Open;
        for chunk in body.chunks(step) {
            meter.push(chunk, *BEGAN + Duration::from_secs(1));
            assert!(meter.output_so_far() <= MOST_TOKENS);
            // Once it has begun well, or badly, that is so.
            assert!(opening == Opening::Open || meter.opening() == opening, "{opening:?} became {:?}", meter.opening());
            opening = meter.opening();
        }
        let at_end = meter.opening_at_end();
        (meter.finish(), at_end)
    };
    let (summary, opening) = read(body.len().max(1));
    let stepped = read(step);
    assert_eq!((&summary, opening), (&stepped.0, stepped.1), "in steps of {step}");
    check(&summary);
}

fn check(summary: &Summary) {
    let is_short = |text: &Option<String>, most: usize| text.as_ref().is_none_or(|text| text.chars().count() <= most);
    for word in [&summary.error, &summary.error_code, &summary.model, &summary.stop_reason]
        .into_iter()
        .chain(summary.details.names())
    {
        assert!(is_short(word, LONGEST_WORD), "{summary:?}");
    }
    assert!(is_short(&summary.error_message, LONGEST_MESSAGE), "{summary:?}");
    assert!(summary.tools.iter().count() <= MOST_NAMES);
    assert!(summary.tools.iter().all(|(name, _)| name.chars().count() <= LONGEST_NAME));
    let Some(tokens) = summary.tokens else { return };
    for count in [tokens.input, tokens.output, tokens.cache_write_1h, tokens.cache_read] {
        assert!(count <= MOST_TOKENS, "{summary:?}");
    }
    // Those of five minutes and those of an hour, where the whole is not told.
    assert!(tokens.cache_write <= 2 * MOST_TOKENS, "{summary:?}");
    let cost = PRICES.cost("any", &tokens, &summary.details, SystemTime::UNIX_EPOCH, Factor::ONE).expect("a price");
    assert!(cost < 1 << 60, "so many would not fit a sum: {summary:?}");
}
