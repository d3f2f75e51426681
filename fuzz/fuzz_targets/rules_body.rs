//! Body actions spliced into a text, against the same actions on parsed values. The input is a list of choices, the
//! byte 0xff (which no text holds), and the body.

#![no_main]

use gateway_core::rules::body::oracle::{check, steps_from};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(2, |byte| *byte == 0xff);
    let (choices, body) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    check(body, &steps_from(&mut choices.iter().copied()));
});
