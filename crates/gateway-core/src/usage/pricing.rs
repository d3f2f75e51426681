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

/// What fast mode is called in `usage.speed`.
const FAST: &str = "fast";
/// What the usual speed is called there, if it is told at all.
const STANDARD: &str = "standard";

/// What some models cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Names of the models.
    pub model: Glob,
    /// The most tokens of a prompt, cached or not, that it holds for.
    pub prompt_up_to: Option<u64>,
    /// What a token costs.
    pub price: Price,
    /// How many times as much it costs in fast mode; `None` if nobody has said.
    pub fast: Option<u64>,
}

/// Prices by model; the first offer that fits counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prices(Vec<Offer>);

impl Prices {
    /// These prices in this order.
    pub fn new(offers: Vec<Offer>) -> Self {
        Self(offers)
    }

    /// What these tokens of a model cost at the speed that was told; `None` if nobody has said a price for that.
    pub fn cost(&self, model: &str, tokens: &Tokens, speed: Option<&str>) -> Option<NanoUsd> {
        let prompt = tokens.input.saturating_add(tokens.cache_write).saturating_add(tokens.cache_read);
        let offer = self.of(model, prompt)?;
        let times = match speed {
            None | Some(STANDARD) => 1,
            Some(FAST) => offer.fast?,
            Some(_) => return None,
        };
        Some(offer.price.cost(tokens).saturating_mul(times))
    }

    /// The offer for a model, and a prompt of so many tokens.
    pub fn of(&self, model: &str, prompt: u64) -> Option<&Offer> {
        let plain = plain_name(model);
        self.0.iter().find(|offer| {
            offer.prompt_up_to.is_none_or(|most| prompt <= most)
                && (offer.model.matches(&plain) || offer.model.matches(model))
        })
    }
}

/// A model's name without what relays and clouds put around it: the vendor and region before it, the context in
/// brackets, dates, and `-latest` behind it; with dashes in its version. Of Claude's models also versions of clouds,
/// `-thinking`, and what follows a colon: others are sold under such names at prices of their own.
fn plain_name(model: &str) -> String {
    let model = model.trim().to_ascii_lowercase();
    let model = model.rsplit_once('/').map_or(&*model, |(_, model)| model);
    let claude = model.rfind("claude-").map(|start| &model[start..]);
    let model = claude.unwrap_or(model);
    let end = model.find(|character| matches!(character, '[' | '@') || claude.is_some() && character == ':');
    let mut model = model[..end.unwrap_or(model.len())].trim_end();
    while let Some((rest, last)) = model.rsplit_once('-') {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_date = last.len() == 8 && is_number(last);
        let is_version = last.strip_prefix('v').is_some_and(is_number) || last == "thinking";
        if !is_date && last != "latest" && !(is_version && claude.is_some()) {
            break;
        }
        model = rest;
    }
    model.replace('.', "-")
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

    fn offer(model: &str, price: Price) -> Offer {
        Offer { model: Glob::new(model), prompt_up_to: None, price, fast: None }
    }

    #[test]
    fn the_first_pattern_counts_and_a_model_without_one_has_no_price() {
        let cheap = Price { input: 1, ..PRICE };
        let prices = Prices::new(vec![offer("a-1", cheap), offer("a-*", PRICE)]);
        let input = |model| prices.of(model, 0).map(|offer| offer.price.input);
        assert_eq!((input("a-1"), input("a-2"), input("b")), (Some(1), Some(3_000), None));
    }

    #[test]
    fn variants_of_other_models_have_prices_of_their_own() {
        let costs = |input| Price { input, ..PRICE };
        let offers = [("kimi-k2", 1), ("kimi-k2-thinking", 100), ("r1", 5), ("r1:free", 0)];
        let prices = Prices::new(offers.map(|(model, input)| offer(model, costs(input))).into());
        for (model, input) in offers {
            assert_eq!(prices.of(model, 0).map(|offer| offer.price.input), Some(input), "{model}");
        }
    }

    #[test]
    fn a_long_prompt_can_have_a_price_of_its_own() {
        let (cheap, dear) = (Price { output: 1, ..PRICE }, Price { output: 7, ..PRICE });
        let prices = Prices::new(vec![Offer { prompt_up_to: Some(100), ..offer("a", cheap) }, offer("a", dear)]);
        let tokens = |input| Tokens { input, output: 1, cache_write: 30, cache_read: 20, ..Tokens::default() };
        let of_input = |input: u64| input * 3_000 + 30 * 3_750 + 20 * 300;
        assert_eq!(prices.cost("a", &tokens(50), None), Some(of_input(50) + 1));
        assert_eq!(prices.cost("a", &tokens(51), None), Some(of_input(51) + 7));
    }

    #[test]
    fn fast_mode_costs_what_was_said_of_it_or_nothing_that_is_known() {
        let prices = Prices::new(vec![Offer { fast: Some(2), ..offer("a", PRICE) }, offer("b", PRICE)]);
        let tokens = Tokens { input: 1, output: 1, cache_write: 1, cache_write_1h: 0, cache_read: 1 };
        let plain = 3_000 + 15_000 + 3_750 + 300;
        let cost = |model, speed| prices.cost(model, &tokens, speed);
        for usual in [None, Some("standard")] {
            assert_eq!((cost("a", usual), cost("b", usual)), (Some(plain), Some(plain)));
        }
        assert_eq!((cost("a", Some("fast")), cost("b", Some("fast"))), (Some(2 * plain), None));
        assert_eq!(cost("a", Some("a speed of tomorrow")), None);
    }

    #[test]
    fn names_are_told_without_what_others_put_around_them() {
        for name in [
            "claude-opus-4-5",
            "claude-opus-4-5-20251101",
            "claude-opus-4-5@20251101",
            "claude-opus-4-5@default",
            "anthropic/claude-opus-4.5",
            "anthropic/claude-opus-4.5:thinking",
            "openrouter/anthropic/claude-opus-4.5",
            "claude-opus-4-5[1m]",
            " Claude-Opus-4-5 [1M] ",
            "claude-opus-4-5-latest",
            "claude-opus-4-5-20251101-thinking",
            "anthropic.claude-opus-4-5-20251101-v1:0",
            "us.anthropic.claude-opus-4-5-20251101-v1:0",
            "global.anthropic.claude-opus-4-5-v1",
            "vertex_ai/claude-opus-4-5@20251101",
            "bedrock/eu.anthropic.claude-opus-4-5-20251101-v1:0",
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-4-5-20251101-v1:0",
            "publishers/anthropic/models/claude-opus-4-5@20251101",
        ] {
            assert_eq!(plain_name(name), "claude-opus-4-5", "{name}");
        }
        for (name, plain) in [
            ("claude-opus-4@20250514", "claude-opus-4"),
            ("claude-3-5-sonnet-v2@20241022", "claude-3-5-sonnet"),
            ("claude-opus-4-5-mini", "claude-opus-4-5-mini"),
            ("glm-5.1", "glm-5-1"),
            ("moonshot/kimi-k2-thinking", "kimi-k2-thinking"),
            ("deepseek/r1:free", "r1:free"),
            ("gpt-6-20260801", "gpt-6"),
            ("other-v2", "other-v2"),
            ("20251101", "20251101"),
            ("", ""),
            ("/", ""),
            ("@", ""),
            ("-latest", ""),
        ] {
            assert_eq!(plain_name(name), plain, "{name}");
        }
    }
}
