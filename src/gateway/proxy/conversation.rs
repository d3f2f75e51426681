//! Thinking that comes back is bound to the `system` and `tools` that it was made with, and to the account. So its
//! conversation stays on the rules that it began with, as far as they change these; and when it goes elsewhere all the
//! same, that is known before the request is sent.

use super::context::{Context, Conversing};
use crate::gateway::snapshot::{Destination, Snapshot};
use crate::upstream::sessions::{Client, Session};
use gateway_core::protocol::Endpoint;
use gateway_core::rules::document::{Document, Layout, NotJson};
use gateway_core::rules::matcher::Facts;
use gateway_core::rules::prefix::PrefixRules;
use gateway_core::thinking::conversation::{Answered, Conversation, Course, Place, Shown};
use gateway_core::thinking::{self, Moved, Presence};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use pingora::http::RequestHeader;
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3Default;

/// The field that names a sub-agent.
const AGENT: HeaderName = HeaderName::from_static("x-claude-code-agent-id");
/// In a digest, what is not there: no field and no name contains it.
const NOTHING: &[u8] = &[0];
/// The fields that a key goes in.
const KEYS: [HeaderName; 2] = [AUTHORIZATION, HeaderName::from_static("x-api-key")];

/// Finds out, once for each request, how its conversation goes on; the body as a document, if that was needed. `body` is
/// the client's own, if it can be read, and `layout` where its members stand, if that is known.
pub(crate) fn begin<'b>(
    client: &RequestHeader,
    body: Option<&'b [u8]>,
    layout: Option<&Layout>,
    context: &mut Context,
) -> Option<Result<Document<'b>, NotJson>> {
    let is_concerned = matches!(context.arrival.protocol.endpoint(), Endpoint::Messages | Endpoint::CountTokens);
    let body = body.filter(|_| is_concerned && context.conversation.is_none())?;
    let presence = thinking::presence(body);
    let key = key(&client.headers, context.arrival.identity.sender, presence, body)?;
    let snapshot = Arc::clone(&context.snapshot);
    let known = snapshot.conversations.get(key);
    let comes_back = presence == Presence::Back;
    let present = snapshot.edition.digest();
    // As long as no rule changes `system` or `tools`, nobody needs to know what they are.
    let depends_on_it = known.as_ref().is_some_and(|known| known.depends_on_prefix(present));
    let document = (depends_on_it || comes_back && !snapshot.edition.is_empty()).then(|| Document::read(body, layout));
    let prefix = document.as_ref().and_then(|document| document.as_ref().ok()).map(thinking::prefix_digest);
    let shown = Shown { comes_back, prefix };
    let course = Course::of(known.as_deref(), shown);
    let former = course.stretch().filter(|stretch| stretch.rules != present);
    let former = former.and_then(|stretch| snapshot.conversations.edition(stretch.rules));
    let edition = former.unwrap_or_else(|| Arc::clone(&snapshot.edition));
    let conversing = Conversing { key, known, shown, course, edition, place: None, changes_prefix: false };
    context.conversation = Some(Box::new(conversing));
    document
}

/// Stands for the conversation, in the state folder too: its key with its session and its agent, or else with its first
/// message; `None` for one that nothing can be known of.
fn key(headers: &HeaderMap, sender: Client, presence: Presence, body: &[u8]) -> Option<u64> {
    let mut hasher = Xxh3Default::new();
    hasher.update(&sender.key.to_le_bytes());
    match sender.session {
        Session::Named(session) => {
            hasher.update(&session.to_le_bytes());
            hasher.update(headers.get(&AGENT).map_or(NOTHING, |agent| agent.as_bytes()));
        }
        // Its body is looked into only if there may be thinking in the conversation.
        Session::Key(_) | Session::Unknown if presence == Presence::None => return None,
        Session::Key(_) | Session::Unknown => hasher.update(&thinking::first_message(body)?.to_le_bytes()),
    }
    Some(hasher.digest())
}

/// The rules that change `system` and `tools` of this request in place of the destination's present ones.
pub(crate) fn former_rules(context: &Context, destination: &Destination) -> Option<Arc<PrefixRules>> {
    let conversing = context.conversation.as_ref()?;
    let part = conversing.edition.part(&destination.upstream.name)?;
    (part.digest() != destination.prefix.digest()).then(|| Arc::clone(part))
}

/// Notes where this attempt goes, and whether the thinking that comes back is from elsewhere; `outgoing` is the head as
/// it will be sent, and `changes_prefix` says whether rules change `system` or `tools`.
pub(crate) fn sent(outgoing: &RequestHeader, client: &RequestHeader, changes_prefix: bool, context: &mut Context) {
    let Some(mut conversing) = context.conversation.take() else { return };
    if let Some(destination) = context.chosen() {
        let place = place(&destination.upstream, &outgoing.headers, &client.headers);
        let moved = moved(&conversing, &place, changes_prefix, client, context, destination);
        if let Some(moved) = &moved {
            let (id, code, what) = (&context.request_id, moved.code(), moved.what());
            match moved {
                Moved::Earlier => log::debug!("{id}: thinking of before a move may come back"),
                _ => log::info!("{id}: thinking comes back where it may not be valid: {code} {what}"),
            }
        }
        conversing.place = Some(place);
        conversing.changes_prefix = changes_prefix;
        context.attempt.moved = moved;
    }
    context.conversation = Some(conversing);
}

/// Where a request goes that has this head: the account is the key that the gateway sends in place of the client's own.
fn place(upstream: &crate::upstream::Upstream, outgoing: &HeaderMap, client: &HeaderMap) -> Place {
    let url = &upstream.config.base_url;
    let keys = KEYS.each_ref().map(|name| {
        let sent = outgoing.get(name).filter(|sent| client.get(name) != Some(sent));
        sent.map(|sent| sent.as_bytes())
    });
    Place { upstream: Arc::clone(&upstream.name), account: account((&url.host, url.port, &url.path_prefix), keys) }
}

/// Stands for an address and the keys that are sent there. It is stored, so programs of other versions make the same.
fn account((host, port, path): (&str, u16, &str), keys: [Option<&[u8]>; 2]) -> u64 {
    let mut hasher = Xxh3Default::new();
    for part in [host.as_bytes(), &port.to_le_bytes(), path.as_bytes()].into_iter().map(Some).chain(keys) {
        let part = part.unwrap_or(NOTHING);
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.digest()
}

fn moved(
    conversing: &Conversing,
    place: &Place,
    changes_prefix: bool,
    client: &RequestHeader,
    context: &Context,
    destination: &Destination,
) -> Option<Moved> {
    if !conversing.shown.comes_back {
        return None;
    }
    let elsewhere = |from: &Arc<str>| {
        let names = other_rules(conversing, from, client, context, destination);
        Moved::Upstream { from: Arc::clone(from), to: Arc::clone(&place.upstream), names }
    };
    let stretch = match &conversing.course {
        Course::Bound(stretch) => stretch,
        // The client's doing; but with it may come back what is from before a move.
        Course::Anew => {
            let is_from_here = conversing.known.as_ref().is_none_or(|known| known.is_all_from(place));
            return Some(if is_from_here { Moved::Client } else { Moved::Earlier });
        }
        Course::Unseen => {
            // The one that it went to first is the one that it is from, as far as anybody knows.
            let first = context.routing.tried.first().map(|tried| &context.snapshot.upstreams[tried.destination].name);
            if let Some(from) = first.filter(|from| **from != place.upstream) {
                return Some(elsewhere(from));
            }
            let present = conversing.edition.digest();
            let may_be_changed =
                changes_prefix || context.snapshot.conversations.had_other_rules(present, &place.upstream);
            return may_be_changed.then_some(Moved::Unseen);
        }
        Course::Free => return None,
    };
    let from = &stretch.place;
    if from.upstream != place.upstream {
        return Some(elsewhere(&from.upstream));
    }
    if from.account != place.account {
        return Some(Moved::Account { at: Arc::clone(&place.upstream) });
    }
    if conversing.edition.digest() != stretch.rules && (changes_prefix || stretch.changes_prefix) {
        // The edition that it began with is forgotten.
        return Some(Moved::Rules { names: Vec::new() });
    }
    stretch.has_moved.then_some(Moved::Earlier)
}

/// Names of the rules that make another `system` or `tools` of this request here than at the upstream `from`.
fn other_rules(
    conversing: &Conversing,
    from: &str,
    client: &RequestHeader,
    context: &Context,
    destination: &Destination,
) -> Vec<Arc<str>> {
    let at = |name: &str| -> Option<Arc<PrefixRules>> {
        let of_today = |snapshot: &Snapshot| snapshot.edition.part(name).cloned();
        conversing.edition.part(name).cloned().or_else(|| of_today(&context.snapshot))
    };
    let (before, here) = (at(from).unwrap_or_default(), at(&destination.upstream.name).unwrap_or_default());
    if before.digest() == here.digest() {
        return Vec::new();
    }
    let facts = context.facts(client, destination, None);
    match prefix_with(&before, &facts, context) == prefix_with(&here, &facts, context) {
        true => Vec::new(),
        false => before.differing(&here),
    }
}

/// Whether the present rules for both destinations make the same `system` and `tools` of the request.
pub(crate) fn makes_same_prefix(
    client: &RequestHeader,
    one: &Destination,
    other: &Destination,
    context: &Context,
) -> bool {
    one.prefix.digest() == other.prefix.digest() || {
        let facts = context.facts(client, one, None);
        prefix_with(&one.prefix, &facts, context) == prefix_with(&other.prefix, &facts, context)
    }
}

/// Digest of what these rules make of `system` and `tools`.
fn prefix_with(rules: &PrefixRules, facts: &Facts<'_>, context: &Context) -> Option<u64> {
    let mut document = Document::parse(context.arrival.body_bytes()).ok()?;
    let model = gateway_core::rules::body::model_of(&document).map(|model| model.into_owned());
    rules.apply(&Facts { model: model.as_deref(), ..*facts }, &mut document);
    Some(thinking::prefix_digest(&document))
}

/// A good response has begun: the conversation is where this attempt went.
pub(crate) fn answered(context: &Context) {
    keep(context, Conversation::after);
}

/// A response is over that has thinking in it: if none came back with its request, it is the first.
pub(crate) fn thought(context: &Context) {
    keep(context, |known, answered| match answered.shown.comes_back {
        true => None,
        false => Conversation::after_thinking(known, answered),
    });
}

fn keep(context: &Context, now: impl Fn(Option<&Conversation>, &Answered<'_>) -> Option<Conversation>) {
    let Some(conversing) = context.conversation.as_ref().filter(|_| context.arrival.protocol.asks_for_message()) else {
        return;
    };
    let Some(place) = conversing.place.clone() else { return };
    let Conversing { shown, course, edition, changes_prefix, .. } = &**conversing;
    let (rules, moved) = (edition.digest(), context.attempt.moved.as_ref());
    let answered = Answered { shown: *shown, course, rules, changes_prefix: *changes_prefix, place, moved };
    context.snapshot.conversations.learn(conversing.key, |known| now(known, &answered));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_of_an_account_is_the_same_in_every_program() {
        let of = |host, port, path, keys| account((host, port, path), keys);
        let one = of("relay.test", 443, "/v1", [None, Some(&b"sk-1"[..])]);
        assert_eq!(one, 8_472_097_388_239_256_102);
        for other in [
            of("relay.test", 443, "/v1", [Some(&b"sk-1"[..]), None]),
            of("relay.test", 443, "/v1", [None, Some(&b"sk-2"[..])]),
            of("relay.test", 80, "/v1", [None, Some(&b"sk-1"[..])]),
            of("relay.tes", 443, "t/v1", [None, Some(&b"sk-1"[..])]),
        ] {
            assert_ne!(one, other);
        }
    }
}
