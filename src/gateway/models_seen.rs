//! The models that were asked for with success: what `GET /v1/models` tells where neither an upstream nor the configuration
//! has a list.

use arc_swap::ArcSwap;
use gateway_core::models::Model;
use gateway_core::protocol::Endpoint;
use gateway_core::record::{Outcome, RequestRecord};
use std::sync::Arc;

/// Most models that are remembered: anybody with a key can ask a lenient upstream for any name.
const MOST: usize = 100;
/// Most bytes of a name.
const LONGEST: usize = 200;
/// How Claude Code writes a model with the long context.
const LONG_CONTEXT: &str = "[1m]";

/// The models, in the order in which they came. Requests only read, but for the first one of each model.
#[derive(Debug, Default)]
pub(crate) struct ModelsSeen(ArcSwap<Vec<Model>>);

impl ModelsSeen {
    /// All of them.
    pub(crate) fn list(&self) -> Arc<Vec<Model>> {
        self.0.load_full()
    }

    /// Takes note of a request that is over.
    pub(super) fn note(&self, record: &RequestRecord) {
        let is_good = record.outcome == Outcome::Completed && record.endpoint == Endpoint::Messages;
        let model = record.model_asked.as_deref().filter(|_| is_good && record.answer.is_some());
        if let Some(model) = model {
            self.add([model]);
        }
    }

    /// Adds those that are new.
    pub(crate) fn add<'n>(&self, names: impl IntoIterator<Item = &'n str> + Clone) {
        let plain = |name: &'n str| name.strip_suffix(LONG_CONTEXT).unwrap_or(name);
        let is_new = |known: &[Model], name: &str| {
            known.len() < MOST && (1..=LONGEST).contains(&name.len()) && !known.iter().any(|model| model.id == name)
        };
        let known = self.0.load();
        if !names.clone().into_iter().any(|name| is_new(&known, plain(name))) {
            return;
        }
        drop(known);
        self.0.rcu(|known| {
            let mut models = Vec::clone(known);
            for name in names.clone().into_iter().map(plain) {
                if is_new(&models, name) {
                    models.push(Model::named(name));
                }
            }
            models
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_model_is_remembered_once_and_not_too_many() {
        let seen = ModelsSeen::default();
        seen.add(["claude-opus-5-5", "", "claude-opus-5-5[1m]", "claude-haiku-5-5"]);
        seen.add(["claude-haiku-5-5", &"x".repeat(LONGEST + 1)]);
        let ids: Vec<String> = seen.list().iter().map(|model| model.id.clone()).collect();
        assert_eq!(ids, ["claude-opus-5-5", "claude-haiku-5-5"]);
        for n in 0..2 * MOST {
            seen.add([format!("m{n}").as_str()]);
        }
        assert_eq!(seen.list().len(), MOST);
    }
}
