//! What limits count, and how amounts of it are written.

use crate::codes::codes;
use crate::language::{Words, both};
use crate::usage::pricing::NanoUsd;
use crate::usage::pricing::decimal::Decimal;
use crate::usage::summary::Tokens;

/// The largest amount of a limit: a hundred million dollars. Sums of these stay far below what an `i64` holds.
pub const LARGEST: u64 = 100_000_000_000_000_000;
/// One dollar.
const DOLLAR: u64 = 1_000_000_000;

codes! {
    /// What a limit counts.
    Measure {
        /// Money, in nano-dollars.
        Usd = "usd",
        /// Input, output and what is written to the prompt cache. What is read from it would drown the rest.
        Tokens = "tokens",
        /// Requests.
        Requests = "requests",
        /// Sessions of a client. They are counted when they begin (see `sessions`), not by requests.
        Sessions = "sessions",
    }
}

impl Measure {
    /// The measure with this code.
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|measure| measure.code() == code)
    }

    /// An amount as it is written: dollars with at most nine decimals, all else in whole numbers. `None` if it is none of
    /// these, nothing, or above [`LARGEST`].
    pub fn amount(self, text: &str) -> Option<u64> {
        let unit = if self == Self::Usd { -9 } else { 0 };
        let number = Decimal::parse(text).filter(|number| number.is_whole_in(unit))?;
        number.in_units(unit).filter(|amount| (1..=LARGEST).contains(amount))
    }

    /// The same text back, without zeros that say nothing.
    pub fn shown(self, amount: u64) -> String {
        match self {
            Self::Usd => dollars(amount, 9),
            _ => amount.to_string(),
        }
    }

    /// An amount with its unit, as a message tells it: dollars in hundredths of a cent, rounded up.
    pub fn words(self, amount: u64) -> Words {
        match self {
            Self::Usd => {
                let amount = dollars(amount.div_ceil(100_000).saturating_mul(100_000), 4);
                both!("{amount} dollars", "{amount} 美元")
            }
            Self::Tokens => both!("{amount} tokens", "{amount} 个 token"),
            Self::Requests if amount == 1 => both!("one request", "1 个请求"),
            Self::Requests => both!("{amount} requests", "{amount} 个请求"),
            Self::Sessions if amount == 1 => both!("one session", "1 个会话"),
            Self::Sessions => both!("{amount} sessions", "{amount} 个会话"),
        }
    }
}

/// Nano-dollars in dollars, with at most so many decimals.
fn dollars(amount: u64, decimals: usize) -> String {
    let fraction = format!("{:09}", amount % DOLLAR);
    match fraction[..decimals].trim_end_matches('0') {
        "" => (amount / DOLLAR).to_string(),
        fraction => format!("{}.{fraction}", amount / DOLLAR),
    }
}

/// What a request uses, or is likely to, by measure. Sessions are no matter of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Nano-dollars.
    pub usd: u64,
    /// Tokens that count.
    pub tokens: u64,
    /// Requests: one, or none if it is not to count.
    pub requests: u64,
}

impl Amounts {
    /// What a request used whose response told these tokens; it cost nothing if nobody has said a price.
    pub fn used(tokens: &Tokens, cost: Option<NanoUsd>) -> Self {
        let counted = tokens.input.saturating_add(tokens.output).saturating_add(tokens.cache_write);
        Self { usd: cost.unwrap_or_default(), tokens: counted, requests: 1 }
    }

    /// How much of a measure.
    pub fn of(&self, measure: Measure) -> i64 {
        let amount = match measure {
            Measure::Usd => self.usd,
            Measure::Tokens => self.tokens,
            Measure::Requests => self.requests,
            Measure::Sessions => 0,
        };
        // No request is worth more than the largest limit.
        i64::try_from(amount.min(LARGEST)).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language::Chinese;

    #[test]
    fn dollars_are_exact_to_the_nano_dollar_and_all_else_is_whole() {
        for (text, amount, shown) in [
            ("5", 5_000_000_000, "5"),
            ("0.25", 250_000_000, "0.25"),
            ("50.00", 50_000_000_000, "50"),
            ("0.000000001", 1, "0.000000001"),
            ("100000000", LARGEST, "100000000"),
        ] {
            assert_eq!(Measure::Usd.amount(text), Some(amount), "{text}");
            assert_eq!(Measure::Usd.shown(amount), shown);
        }
        for text in ["0", "", "-1", "0.0000000001", "100000000.1", "five", "1,5", "5$", " 5"] {
            assert_eq!(Measure::Usd.amount(text), None, "{text}");
        }
        assert_eq!(
            (Measure::Tokens.amount("2000000"), Measure::Tokens.shown(2_000_000)),
            (Some(2_000_000), "2000000".into())
        );
        for text in ["0", "1.5", "-3", "100000000000000001", "1000000000000000001", "x"] {
            assert_eq!(Measure::Requests.amount(text), None, "{text}");
        }
    }

    #[test]
    fn messages_tell_dollars_to_a_hundredth_of_a_cent_rounded_up() {
        for (amount, told) in
            [(5 * DOLLAR, "5"), (123_400_000, "0.1234"), (123_400_001, "0.1235"), (1, "0.0001"), (0, "0")]
        {
            assert_eq!(Measure::Usd.words(amount).to_string(), format!("{told} dollars"));
        }
        assert_eq!(Measure::Requests.words(1), both!("one request", "1 个请求"));
        assert_eq!(Measure::Tokens.words(7).text(Chinese), "7 个 token");
    }

    #[test]
    fn what_was_read_from_the_cache_does_not_count_as_tokens() {
        let tokens = Tokens { input: 1, output: 20, cache_write: 300, cache_write_1h: 100, cache_read: 4_000 };
        let used = Amounts::used(&tokens, Some(9));
        assert_eq!(used, Amounts { usd: 9, tokens: 321, requests: 1 });
        assert_eq!(Measure::ALL.iter().map(|measure| used.of(*measure)).collect::<Vec<_>>(), [9, 321, 1, 0]);
        assert_eq!(Amounts { usd: u64::MAX, ..used }.of(Measure::Usd), LARGEST as i64);
    }
}
