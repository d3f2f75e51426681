//! Numbers and price lists.

use super::Choices;
use crate::usage::pricing::Prices;
use crate::usage::pricing::decimal::{Decimal, Factor};
use crate::usage::pricing::published::{MODELS, read};
use crate::usage::summary::{Details, Tokens};
use std::time::SystemTime;

const PICO: i32 = -12;

/// A number that is read is the one that the standard library reads, as exactly as that can tell.
pub(super) fn decimal(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Some(number) = Decimal::parse(text) else { return };
    let expected: f64 = text.parse().unwrap_or_else(|_| panic!("{text:?} is no number"));
    assert!(expected >= 0.0, "{text:?} is below zero");
    let scaled = expected * 1e12;
    match number.in_units(PICO) {
        Some(units) => {
            let off = (units as f64 - scaled).abs();
            assert!(off <= 0.5 + scaled * 1e-12, "{text:?}: {units}, not {scaled}");
            assert!(!number.is_whole_in(PICO) || off <= scaled * 1e-12, "{text:?}: {units}, not {scaled}");
        }
        None => assert!(scaled > 1.8e19, "{text:?} has room"),
    }
    if let Some(factor) = Factor::parse(text, 100) {
        let (amount, parts) = factor.times((1_000_000, 1));
        let times = amount as f64 / parts as f64;
        assert!((times - expected * 1e6).abs() < 1e-3 && expected <= 100.0, "{text:?}: {times}");
        assert_eq!(Factor::parse(&factor.to_string(), 100), Some(factor), "{text:?}");
    }
}

/// A price list of others is bounded, and by what was read of it nothing costs nothing, and more costs no less.
pub(super) fn prices(input: &[u8]) {
    let mut choices = Choices::new(input);
    let small = |count: u64| count % (1 << 32);
    let tokens = choices.tokens();
    let tokens = Tokens {
        input: small(tokens.input),
        output: small(tokens.output),
        cache_write: small(tokens.cache_write),
        cache_write_1h: small(tokens.cache_write_1h),
        cache_read: small(tokens.cache_read),
    };
    let Ok(text) = std::str::from_utf8(choices.rest()) else { return };
    let Ok(list) = read(text, &"a file".into(), SystemTime::UNIX_EPOCH) else { return };
    assert!(list.models <= MODELS);
    let names: Vec<String> = list.names().map(str::to_owned).collect();
    let prices = Prices::default().then_published(list);
    for name in names.iter().take(20) {
        let cost = |tokens: &Tokens| {
            prices.of(name, 0, SystemTime::UNIX_EPOCH).map(|offer| offer.cost(tokens, &Details::default(), Factor::ONE))
        };
        let _ = prices.cost(name, &tokens, &Details::default(), SystemTime::UNIX_EPOCH, Factor::ONE);
        assert!(cost(&Tokens::default()).flatten().is_none_or(|cost| cost == 0), "{name}");
        let Some(Some(before)) = cost(&tokens) else { continue };
        for more in [
            Tokens { input: tokens.input + 1_000, ..tokens },
            Tokens { output: tokens.output + 1_000, ..tokens },
            Tokens { cache_write: tokens.cache_write + 1_000, ..tokens },
            Tokens { cache_read: tokens.cache_read + 1_000, ..tokens },
        ] {
            assert!(cost(&more).flatten().is_none_or(|cost| cost >= before), "{name}: {more:?}");
        }
    }
}
