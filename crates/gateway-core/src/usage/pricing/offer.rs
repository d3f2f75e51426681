//! What a model costs, as somebody said it, and what a request costs by that.

use super::decimal::Factor;
use crate::rules::glob::Glob;
use crate::usage::summary::{Details, Tokens};
use std::sync::Arc;
use std::time::SystemTime;

/// Billionths of a US dollar: what requests cost. Whole numbers, so that sums are exact in whatever order they are made.
pub type NanoUsd = u64;
/// Trillionths of a US dollar: what tokens cost. A dollar per million tokens is a million of them per token.
pub type PicoUsd = u64;

const PICO_PER_NANO: u128 = 1_000;

/// What one token costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// Of input that no cache was used for.
    pub input: PicoUsd,
    /// Of output.
    pub output: PicoUsd,
    /// Of input written to the prompt cache, to be kept for five minutes.
    pub cache_write: PicoUsd,
    /// Of input written to the prompt cache, to be kept for an hour.
    pub cache_write_1h: PicoUsd,
    /// Of input read from the prompt cache.
    pub cache_read: PicoUsd,
}

impl Price {
    /// With what the cache usually costs at Anthropic, for those of its amounts that are not said.
    pub fn usual(
        input: PicoUsd,
        output: PicoUsd,
        cache_write: Option<PicoUsd>,
        cache_write_1h: Option<PicoUsd>,
        cache_read: Option<PicoUsd>,
    ) -> Self {
        Self {
            input,
            output,
            cache_write: cache_write.unwrap_or(input * 5 / 4),
            cache_write_1h: cache_write_1h.unwrap_or(input * 2),
            cache_read: cache_read.unwrap_or(input / 10),
        }
    }

    /// What these tokens cost, in pico-dollars.
    fn cost(&self, tokens: &Tokens) -> u128 {
        // An upstream that counts more into the hour than into the whole is not believed.
        let hour = tokens.cache_write_1h.min(tokens.cache_write);
        [
            (tokens.input, self.input),
            (tokens.output, self.output),
            (tokens.cache_write - hour, self.cache_write),
            (hour, self.cache_write_1h),
            (tokens.cache_read, self.cache_read),
        ]
        .into_iter()
        .fold(0, |sum, (count, price)| sum.saturating_add(u128::from(count) * u128::from(price)))
    }
}

/// What fast mode is called in `usage.speed`.
pub(super) const FAST: &str = "fast";
/// What the usual speed is called there, if it is told at all.
const STANDARD: &str = "standard";
/// What a batch is called in `usage.service_tier`.
const BATCH: &str = "batch";
/// What `usage.inference_geo` says of requests that asked for no place.
const ANYWHERE: [&str; 2] = ["global", "not_available"];

/// What some models cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Names of the models.
    pub models: Glob,
    /// Since when; `None` for ever.
    pub from: Option<SystemTime>,
    /// The most tokens of a prompt, cached or not, that it holds for.
    pub prompt_up_to: Option<u64>,
    /// What a token costs.
    pub price: Price,
    /// How many times as much it costs in fast mode; `None` if nobody has said.
    pub fast: Option<Factor>,
    /// How many times as much it costs in these places; empty if the place does not matter.
    pub geo: Arc<[(Box<str>, Factor)]>,
    /// How many times as much it costs in a batch.
    pub batch: Factor,
    /// What one search of the web costs.
    pub web_search: PicoUsd,
    /// Who says so, for the operator.
    pub origin: Arc<str>,
}

impl Offer {
    /// One of a token's price alone; the rest is as usual: half in batches, ten dollars for a thousand searches.
    pub fn new(models: Glob, price: Price, origin: Arc<str>) -> Self {
        Self {
            models,
            from: None,
            prompt_up_to: None,
            price,
            fast: None,
            geo: Arc::default(),
            batch: Factor::HALF,
            web_search: 10_000_000_000,
            origin,
        }
    }

    /// Whether it is for a prompt of so many tokens at that time.
    pub(super) fn holds(&self, prompt: u64, at: SystemTime) -> bool {
        self.prompt_up_to.is_none_or(|most| prompt <= most) && self.from.is_none_or(|from| from <= at)
    }

    /// What a request costs; `None` if nobody has said what its speed or its place costs. Speed, place and batch are
    /// about tokens; searches cost the same everywhere.
    pub(crate) fn cost(&self, tokens: &Tokens, details: &Details, factor: Factor) -> Option<NanoUsd> {
        let speed = match details.speed.as_deref() {
            None | Some(STANDARD) => Factor::ONE,
            Some(FAST) => self.fast?,
            Some(_) => return None,
        };
        let geo = match details.inference_geo.as_deref() {
            Some(place) if !self.geo.is_empty() && !ANYWHERE.contains(&place) => {
                self.geo.iter().find(|(known, _)| **known == *place)?.1
            }
            _ => Factor::ONE,
        };
        let batch = if details.service_tier.as_deref() == Some(BATCH) { self.batch } else { Factor::ONE };
        let (amount, parts) = batch.times(geo.times(speed.times((self.price.cost(tokens), 1))));
        let searches = u128::from(details.web_searches.unwrap_or_default()) * u128::from(self.web_search);
        let (amount, parts) = factor.times((amount.saturating_add(searches.saturating_mul(parts)), parts));
        let nano = parts * PICO_PER_NANO;
        Some(NanoUsd::try_from(amount.saturating_add(nano / 2) / nano).unwrap_or(NanoUsd::MAX))
    }
}
