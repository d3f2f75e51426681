//! Tests of an upstream: the way to it, step by step, and a real message if a model is named.

use super::call::Call;
use super::drafts;
use super::fault::Fault;
use super::parts::Parts;
use super::refused::{Refused, json};
use crate::config::secret::Secret;
use crate::doctor::model::Wanted;
use crate::doctor::{self, Test};
use crate::gateway::{Answer, Snapshot};
use serde::Deserialize;

/// What is to be tested, and with what; nothing of it is needed.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    /// The model that gets a message, which costs a little.
    model: Option<String>,
    /// One of the upstream's own keys, by its name or its fingerprint.
    key: Option<String>,
    /// The key of a client, for an upstream that has none. It goes no further than to the upstream.
    client_key: Option<String>,
    /// An overlay with the upstream as it is to be tested; the one in force is not.
    config: Option<String>,
}

/// Tries the way to an upstream as `doctor` does, and sends a message if that is asked for.
pub(super) async fn test(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    let mut wish = match call.body.trim_ascii().is_empty() {
        true => Wish::default(),
        false => call.json(|most| Fault::BodyTooLarge { most })?,
    };
    let draft = wish.config.take();
    let is_draft = draft.is_some();
    let snapshot = match draft {
        Some(overlay) => drafts::snapshot(parts, overlay).await?,
        None => parts.shared.snapshot.load_full(),
    };
    let at = snapshot.upstreams.iter().position(|upstream| *upstream.name == *call.named);
    let at = at.ok_or_else(|| Fault::NoUpstream { name: call.named.clone() })?;
    let test = read(wish, &snapshot, at)?;
    // What costs something is bounded, and what does not is over in seconds.
    let _turn = match test.model.is_some() {
        true => Some(parts.tests.turn().await?),
        false => None,
    };
    let report = match is_draft {
        true => doctor::try_draft(&snapshot, at, test).await,
        false => doctor::test(&snapshot, at, test).await,
    };
    json(&report.map_err(Refused::failed)?)
}

fn read(wish: Wish, snapshot: &Snapshot, at: usize) -> Result<Test, Refused> {
    let upstream = &snapshot.upstreams[at];
    let keys = upstream.keys.all();
    let no_key = |name: String| Fault::NoKey { name, upstream: upstream.name.to_string() };
    let key = match wish.key {
        Some(name) => Some(upstream.keys.place(&name).ok_or_else(|| no_key(name))?),
        None => keys.iter().position(|key| key.config.is_enabled),
    };
    let client_key = wish.client_key.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
    if client_key.as_ref().is_some_and(|key| !gateway_core::http1::is_field_value(key.as_bytes())) {
        return Err(Fault::NotAKey.into());
    }
    if client_key.is_some() && !keys.is_empty() {
        return Err(Fault::KeysOfItsOwn { upstream: upstream.name.to_string() }.into());
    }
    let model = match wish.model {
        None => None,
        Some(text) => {
            let wanted = Wanted::parse(&text).ok_or(Fault::NotAModel { text })?;
            Some(wanted.choose(&[], &snapshot.priced_models()))
        }
    };
    if model.is_some() && key.is_none() && client_key.is_none() && !snapshot.adds_key_at(at) {
        return Err(Fault::NoKeyToTest { upstream: upstream.name.to_string() }.into());
    }
    Ok(Test { model, key, client_key: client_key.map(Secret::new) })
}
