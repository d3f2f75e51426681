//! From tokens to money.

use super::summary::Tokens;
use crate::rules::glob::Glob;

/// Billionths of a US dollar: small enough that every usual price of a token is a whole number of them, so that sums
/// are exact in whatever order they are made.
pub type NanoUsd = u64;

/// What one token costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// Of input that no cache was used for.
    pub input: NanoUsd,
    /// Of output.
    pub output: NanoUsd,
    /// Of input written to the prompt cache, to be kept for five minutes.
    pub cache_write: NanoUsd,
    /// Of input written to the prompt cache, to be kept for an hour.
    pub cache_write_1h: NanoUsd,
    /// Of input read from the prompt cache.
    pub cache_read: NanoUsd,
}

impl Price {
    /// What these tokens cost.
    pub fn cost(&self, tokens: &Tokens) -> NanoUsd {
        let hour = tokens.cache_write_1h.min(tokens.cache_write);
        [
            (tokens.input, self.input),
            (tokens.output, self.output),
            (tokens.cache_write - hour, self.cache_write),
            (hour, self.cache_write_1h),
            (tokens.cache_read, self.cache_read),
        ]
        .into_iter()
        .fold(0, |sum, (count, price)| sum.saturating_add(count.saturating_mul(price)))
    }
}

/// Prices by model; the first pattern that fits counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prices(Vec<(Glob, Price)>);

impl Prices {
    /// These prices in this order.
    pub fn new(prices: Vec<(Glob, Price)>) -> Self {
        Self(prices)
    }

    /// The price of a model; `None` if nobody has said one.
    pub fn of(&self, model: &str) -> Option<&Price> {
        self.0.iter().find(|(glob, _)| glob.matches(model)).map(|(_, price)| price)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: Price =
        Price { input: 3_000, output: 15_000, cache_write: 3_750, cache_write_1h: 6_000, cache_read: 300 };

    #[test]
    fn each_kind_of_token_has_its_price() {
        let tokens = Tokens { input: 1, output: 10, cache_write: 100, cache_write_1h: 40, cache_read: 1000 };
        assert_eq!(PRICE.cost(&tokens), 3_000 + 150_000 + 60 * 3_750 + 40 * 6_000 + 300_000);
        // An upstream that counts more into the hour than into the whole is not believed.
        let odd = Tokens { cache_write: 1, cache_write_1h: 5, ..Tokens::default() };
        assert_eq!(PRICE.cost(&odd), 6_000);
        let endless = Tokens { output: u64::MAX, ..Tokens::default() };
        assert_eq!(PRICE.cost(&endless), u64::MAX);
    }

    #[test]
    fn the_first_pattern_counts_and_a_model_without_one_has_no_price() {
        let cheap = Price { input: 1, ..PRICE };
        let prices = Prices::new(vec![(Glob::new("a-1"), cheap), (Glob::new("a-*"), PRICE)]);
        assert_eq!(prices.of("a-1").map(|price| price.input), Some(1));
        assert_eq!(prices.of("a-2").map(|price| price.input), Some(3_000));
        assert_eq!(prices.of("b"), None);
    }
}
