//! From tokens to money. Prices are whole numbers of pico-dollars, factors are decimals, and what a request costs is
//! rounded once, to nano-dollars.

pub mod decimal;
pub mod model_name;
mod offer;
pub mod published;
#[cfg(test)]
mod tests;

pub use offer::{NanoUsd, Offer, PicoUsd, Price};

use super::summary::{Details, Tokens};
use crate::rules::glob::Glob;
use decimal::Factor;
use published::Published;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

/// Prices by model: lists, of which the first one that has an offer counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prices(Vec<List>);

#[derive(Clone, Debug, PartialEq)]
enum List {
    /// Offers, of which the first that fits counts, each with its pattern as [`model_name::plain`] would have it.
    Patterns(Vec<(Offer, Glob)>),
    /// A list that others publish: thousands of offers, which copies of the prices share.
    Published(Arc<Published>),
}

impl Prices {
    /// These, and behind them a list of offers, of which the first that fits counts. Of those for the same models the
    /// latest is asked first, and of these the one for the shortest prompts: nobody has to write them in that order.
    #[must_use]
    pub fn then(mut self, mut offers: Vec<Offer>) -> Self {
        let mut places: HashMap<String, usize> = HashMap::new();
        offers.sort_by_cached_key(|offer| {
            let next = places.len();
            let place = *places.entry(offer.models.to_string()).or_insert(next);
            (place, Reverse(offer.from), offer.prompt_up_to.unwrap_or(u64::MAX))
        });
        let with_plain = |offer: Offer| {
            let plain = Glob::new(&offer.models.to_string().to_ascii_lowercase().replace('.', "-"));
            (offer, plain)
        };
        self.0.push(List::Patterns(offers.into_iter().map(with_plain).collect()));
        self
    }

    /// These, and behind them a list that others publish.
    #[must_use]
    pub fn then_published(mut self, published: Published) -> Self {
        self.0.push(List::Published(Arc::new(published)));
        self
    }

    /// What a request costs that was made at that time to an upstream which charges so many times the price; `None` if
    /// nobody has said a price for it. What `details` does not tell counts as standard.
    pub fn cost(
        &self,
        model: &str,
        tokens: &Tokens,
        details: &Details,
        at: SystemTime,
        factor: Factor,
    ) -> Option<NanoUsd> {
        let prompt = tokens.input.saturating_add(tokens.cache_write).saturating_add(tokens.cache_read);
        self.of(model, prompt, at)?.cost(tokens, details, factor)
    }

    /// The offer for a model, and a prompt of so many tokens, at that time.
    pub fn of(&self, model: &str, prompt: u64, at: SystemTime) -> Option<&Offer> {
        self.search(model, |offer| offer.holds(prompt, at).then_some(offer))
    }

    /// All offers for a model, in the order in which they are asked.
    pub fn all_of(&self, model: &str) -> Vec<&Offer> {
        let mut all = Vec::new();
        self.search(model, |offer| {
            all.push(offer);
            None::<()>
        });
        all
    }

    /// All offers that are not of a published list, in the order in which they are asked.
    pub fn written(&self) -> impl Iterator<Item = &Offer> {
        self.0
            .iter()
            .flat_map(|list| match list {
                List::Patterns(offers) => &offers[..],
                List::Published(_) => &[],
            })
            .map(|(offer, _)| offer)
    }

    /// The published list, if there is one.
    pub fn published(&self) -> Option<&Published> {
        self.0.iter().find_map(|list| match list {
            List::Patterns(_) => None,
            List::Published(published) => Some(&**published),
        })
    }

    /// Shows the offers for a model to `found`, in the order in which they are asked, until that has what it looks for.
    fn search<'a, T>(&'a self, model: &str, mut found: impl FnMut(&'a Offer) -> Option<T>) -> Option<T> {
        let plain = model_name::plain(model);
        self.0.iter().find_map(|list| match list {
            List::Patterns(offers) => offers.iter().find_map(|(offer, of_plain)| {
                (of_plain.matches(&plain) || offer.models.matches(model)).then(|| found(offer)).flatten()
            }),
            List::Published(list) => {
                let as_it_came = list.offers.get(&*model.trim().to_ascii_lowercase());
                as_it_came.or_else(|| list.offers.get(&*plain))?.iter().find_map(&mut found)
            }
        })
    }
}
