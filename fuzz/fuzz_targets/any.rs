//! The target that FUZZ_TARGET names: one program for all, which is linked once.

#![no_main]

use gateway_core::fuzzed::{self, Target};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

static TARGET: OnceLock<Target> = OnceLock::new();

fuzz_target!(|input: &[u8]| {
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let names = || fuzzed::TARGETS.map(|(name, _)| name).join(", ");
        fuzzed::target(&name).unwrap_or_else(|| panic!("FUZZ_TARGET must be one of: {}", names()))
    });
    target(input);
});
