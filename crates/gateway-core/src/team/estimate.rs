//! What a request is likely to use, learned from those before it.
//!
//! `max_tokens` says nothing: Claude Code always asks for 128,000. So the mean of what requests of the same token used with the
//! same model counts, half as much again, and no less than reading the whole prompt from the cache costs. The first time it
//! is a prompt that is written to the cache, and a short response.
//!
//! A relay that has a prompt bills it, whoever leaves before it says so. What such a prompt is made of is what those of the
//! same token and model were made of that were told, to a byte of the body.

use super::measure::Amounts;
use crate::usage::pricing::NanoUsd;
use crate::usage::summary::Tokens;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use xxhash_rust::xxh3::xxh3_64;

/// Bytes of a body that make a token, about.
const BYTES_PER_TOKEN: u64 = 4;
/// Tokens of a response of which nothing is known.
const FIRST_OUTPUT: u64 = 1_000;
/// Models of a token that are told apart.
const MODELS: usize = 8;
/// A request counts for no less than this part of a mean: it follows a change within as many requests.
const SLOWEST: u32 = 32;

/// What the requests of one token used, by model. It takes no lock: what meets another thread's change may count a little
/// more or less, which an estimate may.
#[derive(Debug, Default)]
pub struct Estimates {
    means: [Mean; MODELS],
    /// In the order of `means`: apart from these, which each request looks at before it is let in.
    prompts: [Prompt; MODELS],
}

/// A request whose response told all that it used.
#[derive(Clone, Copy, Debug)]
pub struct Told<'t> {
    /// The model that it asked for.
    pub model: &'t str,
    /// Bytes of its body.
    pub body_bytes: u64,
    /// Its tokens.
    pub tokens: &'t Tokens,
}

/// What prompts are made of: means.
#[derive(Debug, Default)]
struct Prompt {
    /// Of the body.
    bytes: AtomicU64,
    input: AtomicU64,
    cache_write: AtomicU64,
    cache_write_1h: AtomicU64,
    cache_read: AtomicU64,
}

#[derive(Debug, Default)]
struct Mean {
    /// Of the model's name; 0 for none.
    model: AtomicU64,
    count: AtomicU32,
    usd: AtomicU64,
    tokens: AtomicU64,
}

impl Estimates {
    /// What a request with a body of so many bytes is likely to use. `price` says what tokens cost with its model, `None` if
    /// nobody has said.
    pub fn of(&self, model: &str, body_bytes: u64, price: impl Fn(&Tokens) -> Option<NanoUsd>) -> Amounts {
        let prompt = body_bytes / BYTES_PER_TOKEN;
        match self.mean(key(model)) {
            None => {
                let first = Tokens { cache_write: prompt, output: FIRST_OUTPUT, ..Tokens::default() };
                Amounts::used(&first, price(&first))
            }
            Some((usd, tokens)) => {
                let read = price(&Tokens { cache_read: prompt, ..Tokens::default() });
                Amounts { usd: more(usd).max(read.unwrap_or_default()), tokens: more(tokens), requests: 1 }
            }
        }
    }

    /// The prompt of a request with a body of so many bytes, of which nothing was told.
    pub fn prompt(&self, model: &str, body_bytes: u64) -> Tokens {
        let written = Tokens { cache_write: body_bytes / BYTES_PER_TOKEN, ..Tokens::default() };
        let Some(at) = self.place(key(model)) else { return written };
        let Prompt { bytes, input, cache_write, cache_write_1h, cache_read } = &self.prompts[at];
        let bytes = bytes.load(Ordering::Relaxed);
        // No token is less than a byte.
        let part = |mean: &AtomicU64| {
            let scaled = u128::from(mean.load(Ordering::Relaxed)) * u128::from(body_bytes) / u128::from(bytes.max(1));
            u64::try_from(scaled).unwrap_or(u64::MAX).min(body_bytes)
        };
        if bytes == 0 {
            return written;
        }
        let (input, cache_write, read) = (part(input), part(cache_write), part(cache_read));
        // No less than reading the whole of it from the cache: what one body was made of, blanks for the most part, says little
        // of the next.
        let rest = written.cache_write.saturating_sub(input.saturating_add(cache_write).saturating_add(read));
        let cache_read = read.saturating_add(rest);
        Tokens { input, output: 0, cache_write, cache_write_1h: part(cache_write_1h), cache_read }
    }

    /// Learns what a request used whose response told it all. What was broken off, or refused, says nothing of others.
    pub fn learn(&self, told: &Told<'_>, used: &Amounts) {
        let key = key(told.model);
        let at = self.place(key).unwrap_or_else(|| self.begin(key));
        let (mean, prompt, tokens) = (&self.means[at], &self.prompts[at], told.tokens);
        let count = mean.count.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let weight = u64::from(count.clamp(1, SLOWEST));
        for (mean, used) in [
            (&mean.usd, used.usd),
            (&mean.tokens, used.tokens),
            (&prompt.bytes, told.body_bytes),
            (&prompt.input, tokens.input),
            (&prompt.cache_write, tokens.cache_write),
            (&prompt.cache_write_1h, tokens.cache_write_1h),
            (&prompt.cache_read, tokens.cache_read),
        ] {
            mean.update(Ordering::Relaxed, Ordering::Relaxed, |mean| match used >= mean {
                true => mean + (used - mean) / weight,
                false => mean - (mean - used) / weight,
            });
        }
    }

    /// The mean of a model, once there is one.
    fn mean(&self, key: u64) -> Option<(u64, u64)> {
        let mean = &self.means[self.place(key)?];
        let is_known = mean.count.load(Ordering::Relaxed) > 0;
        is_known.then(|| (mean.usd.load(Ordering::Relaxed), mean.tokens.load(Ordering::Relaxed)))
    }

    fn place(&self, key: u64) -> Option<usize> {
        self.means.iter().position(|mean| mean.model.load(Ordering::Acquire) == key)
    }

    /// Room for one more model: a free one, or that of another model, which is forgotten.
    fn begin(&self, key: u64) -> usize {
        let claim = |mean: &Mean| mean.model.compare_exchange(0, key, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        self.means.iter().position(claim).unwrap_or_else(|| {
            let at = usize::try_from(key % MODELS as u64).unwrap_or_default();
            // The next one to be learned takes the place of all means.
            self.means[at].count.store(0, Ordering::Relaxed);
            self.means[at].model.store(key, Ordering::Release);
            at
        })
    }
}

/// Half as much again.
fn more(mean: u64) -> u64 {
    mean.saturating_add(mean / 2)
}

/// A model's name as a number that is not 0.
fn key(model: &str) -> u64 {
    xxh3_64(model.as_bytes()).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a model at 5 and 25 dollars per million tokens.
    fn price(tokens: &Tokens) -> Option<NanoUsd> {
        Some(tokens.input * 5_000 + tokens.output * 25_000 + tokens.cache_write * 6_250 + tokens.cache_read * 500)
    }

    fn learn(estimates: &Estimates, model: &str, used: &Amounts) {
        estimates.learn(&Told { model, body_bytes: 4_000, tokens: &Tokens::default() }, used);
    }

    fn used(usd: u64, tokens: u64) -> Amounts {
        Amounts { usd, tokens, requests: 1 }
    }

    #[test]
    fn the_first_request_is_taken_for_a_prompt_that_is_written_to_the_cache_and_a_short_response() {
        let estimates = Estimates::default();
        assert_eq!(estimates.of("m", 127_000, price), used(31_750 * 6_250 + 25_000_000, 32_750));
        assert_eq!(estimates.of("m", 0, |_| None), used(0, 1_000));
    }

    #[test]
    fn later_ones_are_taken_for_half_as_much_again_as_the_mean_of_their_model() {
        let estimates = Estimates::default();
        learn(&estimates, "m", &used(40_000_000, 2_000));
        assert_eq!(estimates.of("m", 4_000, price), used(60_000_000, 3_000));
        learn(&estimates, "m", &used(80_000_000, 4_000));
        assert_eq!(estimates.of("m", 4_000, price), used(90_000_000, 4_500));
        assert_eq!(estimates.of("other", 4_000, price).tokens, 2_000, "each model has a mean of its own");
        // The whole prompt is read from the cache, at least.
        assert_eq!(estimates.of("m", 4_000_000, price), used(500_000_000, 4_500));
        assert_eq!(estimates.of("m", 4_000_000, |_| None), used(90_000_000, 4_500));
    }

    #[test]
    fn a_change_is_followed_within_some_dozens_of_requests() {
        let estimates = Estimates::default();
        (0..10_000).for_each(|_| learn(&estimates, "m", &used(1_000_000, 100)));
        assert_eq!(estimates.of("m", 0, price), used(1_500_000, 150));
        (0..100).for_each(|_| learn(&estimates, "m", &used(100_000_000, 100)));
        let usd = estimates.of("m", 0, price).usd;
        assert!((140_000_000..=150_000_000).contains(&usd), "{usd}");
    }

    #[test]
    fn a_token_that_names_ever_more_models_takes_no_more_room_and_forgets_some() {
        let estimates = Estimates::default();
        let name = |at: u32| format!("m{at}");
        (0..1_000).for_each(|at| learn(&estimates, &name(at), &used(1_000_000, 1)));
        assert_eq!(estimates.of(&name(999), 0, price), used(1_500_000, 1));
        let known = (0..1_000).filter(|at| estimates.of(&name(*at), 0, price).tokens == 1).count();
        assert!(known <= MODELS, "{known}");
    }

    #[test]
    fn a_prompt_of_which_nothing_was_told_is_like_those_that_were_told() {
        let estimates = Estimates::default();
        let written = |tokens| Tokens { cache_write: tokens, ..Tokens::default() };
        assert_eq!(estimates.prompt("m", 40_000), written(10_000), "nothing is known yet");
        let tokens = Tokens { input: 10, output: 700, cache_write: 2_000, cache_write_1h: 1_000, cache_read: 50_000 };
        estimates.learn(&Told { model: "m", body_bytes: 200_000, tokens: &tokens }, &used(1, 1));
        let half = Tokens { input: 5, output: 0, cache_write: 1_000, cache_write_1h: 500, cache_read: 25_000 };
        assert_eq!(estimates.prompt("m", 100_000), half);
        assert_eq!(estimates.prompt("other", 40_000), written(10_000));
        estimates.learn(&Told { model: "m", body_bytes: 0, tokens: &tokens }, &used(1, 1));
        assert_eq!(estimates.prompt("m", 0), Tokens::default());
        let odd = Estimates::default();
        odd.learn(&Told { model: "m", body_bytes: 1, tokens: &tokens }, &used(1, 1));
        assert_eq!(odd.prompt("m", 100).cache_read, 100, "no token is less than a byte");
    }

    #[test]
    fn a_prompt_costs_no_less_than_to_read_it_whatever_was_told_of_others() {
        let estimates = Estimates::default();
        // One of blanks.
        let tokens = Tokens { input: 10, ..Tokens::default() };
        estimates.learn(&Told { model: "m", body_bytes: 3_000_000, tokens: &tokens }, &used(1, 1));
        let prompt = estimates.prompt("m", 600_000);
        assert_eq!(prompt, Tokens { input: 2, cache_read: 149_998, ..Tokens::default() });
    }

    #[test]
    fn threads_learn_together() {
        let estimates = Estimates::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..5_000).for_each(|_| learn(&estimates, "m", &used(1_000, 10))));
            }
        });
        assert_eq!(estimates.of("m", 0, price), used(1_500, 15));
    }
}
