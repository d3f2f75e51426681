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
    /// Offers, of which the first that fits counts, those with one pattern together.
    Patterns(Vec<Offers>),
    /// A list that others publish: thousands of offers, which copies of the prices share.
    Published(Arc<Published>),
}

/// Offers for the same models.
#[derive(Clone, Debug, PartialEq)]
struct Offers {
    /// Their pattern.
    models: Glob,
    /// The same as [`model_name::plain`] would have it.
    plain: Glob,
    all: Vec<Offer>,
}

impl Offers {
    fn new(models: &Glob) -> Self {
        let plain = Glob::new(&models.to_string().to_ascii_lowercase().replace('.', "-"));
        Self { models: models.clone(), plain, all: Vec::new() }
    }

    fn are_for(&self, name: &Name<'_>) -> bool {
        // A pattern describes no name that is plain already without describing it as a plain one.
        self.plain.matches(&name.plain) || name.came != name.plain && self.models.matches(name.came)
    }
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
        let mut together: Vec<Offers> = Vec::new();
        for offer in offers {
            if together.last().is_none_or(|last| last.models != offer.models) {
                together.push(Offers::new(&offer.models));
            }
            if let Some(last) = together.last_mut() {
                last.all.push(offer);
            }
        }
        self.0.push(List::Patterns(together));
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
        first_of(&self.0, &Name::of(model), prompt, at)
    }

    /// All offers for a model, in the order in which they are asked.
    pub fn all_of(&self, model: &str) -> Vec<&Offer> {
        let name = Name::of(model);
        self.0.iter().flat_map(|list| list.all_of(&name)).collect()
    }

    /// All offers that are not of a published list, in the order in which they are asked.
    pub fn written(&self) -> impl Iterator<Item = &Offer> {
        self.0
            .iter()
            .flat_map(|list| match list {
                List::Patterns(offers) => &offers[..],
                List::Published(_) => &[],
            })
            .flat_map(|offers| &offers.all)
    }

    /// The published list, if there is one.
    pub fn published(&self) -> Option<&Published> {
        self.0.iter().find_map(|list| match list {
            List::Patterns(_) => None,
            List::Published(published) => Some(&**published),
        })
    }
}

/// A model's name as it came, in lower case too, and as [`model_name::plain`] has it.
struct Name<'m> {
    came: &'m str,
    lower: String,
    plain: String,
}

impl<'m> Name<'m> {
    fn of(came: &'m str) -> Self {
        Self { came, lower: came.trim().to_ascii_lowercase(), plain: model_name::plain(came) }
    }
}

impl List {
    /// The offers for a model, in the order in which they are asked.
    fn all_of(&self, name: &Name<'_>) -> impl Iterator<Item = &Offer> {
        let (patterns, published) = match self {
            Self::Patterns(offers) => (&offers[..], None),
            Self::Published(list) => (&[][..], list.offers.get(&*name.lower).or_else(|| list.offers.get(&*name.plain))),
        };
        let described = patterns.iter().filter(|offers| offers.are_for(name)).flat_map(|offers| &offers.all);
        described.chain(published.into_iter().flat_map(|offers| offers.iter()))
    }
}

/// The first offer that holds. A published list tells what models cost when it was written, and not since when: where a
/// list behind it knows of a change between the request and that day, it knows better what the model cost before.
fn first_of<'a>(lists: &'a [List], name: &Name<'_>, prompt: u64, at: SystemTime) -> Option<&'a Offer> {
    let (list, behind) = lists.split_first()?;
    let found = list.all_of(name).find(|offer| offer.holds(prompt, at));
    let behind_it = || first_of(behind, name, prompt, at);
    match list {
        List::Published(list) if found.is_some() => {
            let is_change = |offer: &Offer| offer.from.is_some_and(|from| at < from && from <= list.as_of);
            let is_changed = behind.iter().any(|list| list.all_of(name).any(is_change));
            is_changed.then(behind_it).flatten().or(found)
        }
        _ => found.or_else(behind_it),
    }
}
