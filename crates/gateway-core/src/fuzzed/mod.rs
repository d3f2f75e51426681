//! What must hold for whatever comes in: for each kind of input a function that takes any bytes and panics when something
//! does not hold. `make fuzz` has libFuzzer look for such bytes; tests run the same functions over the seeds, over what was
//! found once (`fuzz/seeds/`), and over some thousand variations of both.

mod choices;
mod errors;
mod events;
mod http1;
mod json;
mod leases;
mod meter;
mod money;
mod redaction;
#[cfg(test)]
mod tests;
mod tokens;

use crate::rules::body::oracle;
use choices::Choices;

/// Takes any bytes.
///
/// # Panics
/// When something does not hold for them.
pub type Target = fn(&[u8]);

/// All of them, by the names that `make fuzz TARGET=...` knows.
pub const TARGETS: [(&str, Target); 17] = [
    ("chunked", http1::chunked),
    ("decimal", money::decimal),
    ("decode", events::decode),
    ("decode_roundtrip", events::decode_roundtrip),
    ("error_body", errors::body),
    ("head", http1::head),
    ("json_scan", json::scan),
    ("leases", leases::machine),
    ("masking", redaction::masking),
    ("meter", meter::meter),
    ("path", http1::path),
    ("prices", money::prices),
    ("query", http1::query),
    ("redaction", redaction::redaction),
    ("rules_body", rules_body),
    ("sse", events::sse),
    ("tokens", tokens::tokens),
];

/// The target with this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}

/// Body actions spliced into a text, against the same actions on parsed values. The input is a list of choices, the
/// byte 0xff (which no text holds), and the body.
fn rules_body(input: &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == 0xff);
    let (choices, body) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    oracle::check(body, &oracle::steps_from(&mut choices.iter().copied()));
}
