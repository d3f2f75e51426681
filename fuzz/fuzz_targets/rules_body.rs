//! Body actions spliced into a text, against the same actions on parsed values. The input is a list of choices, the
//! byte 0xff (which no text holds), and the body.

#![no_main]

// The modules come whole; not all of them is used here.
#[allow(dead_code, unused_imports)]
#[path = "../../src/rules"]
mod rules {
    pub mod body;
    pub mod document;
    pub mod glob;
}

#[path = "../../src/rules/body/oracle.rs"]
mod oracle;

use libfuzzer_sys::fuzz_target;
use oracle::{check, steps_from};

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(2, |byte| *byte == 0xff);
    let (choices, body) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    check(body, &steps_from(&mut choices.iter().copied()));
});
