//! Thinking that comes back is bound to the `system` and `tools` that it was made with, and to the account. So its
//! conversation stays on the rules that it began with, as far as they change these; and when it goes elsewhere all the
//! same, that is known before the request is sent.

use super::context::{Context, Conversing};
use crate::gateway::snapshot::{Destination, Snapshot};
use crate::upstream::sessions::{Client, Session};
use gateway_core::protocol::Endpoint;
use gateway_core::rules::document::{Document, NotJson};
use gateway_core::rules::matcher::Facts;
use gateway_core::rules::prefix::PrefixRules;
use gateway_core::thinking::conversation::{Answered, Conversation, Course, Place, Shown};
use gateway_core::thinking::{self, Moved, Presence};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use pingora::http::RequestHeader;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

/// The field that names a sub-agent.
const AGENT: HeaderName = HeaderName::from_static("x-claude-code-agent-id");
/// The fields that a key goes in.
const KEYS: [HeaderName; 2] = [AUTHORIZATION, HeaderName::from_static("x-api-key")];

/// Finds out, once for each request, how its conversation goes on; the body as a document, if that was needed. `body` is
/// the client's own, if it can be read.
pub(crate) fn begin<'b>(
    client: &RequestHeader,
    body: Option<&'b [u8]>,
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
    let document = (depends_on_it || comes_back && !snapshot.edition.is_empty()).then(|| Document::parse(body));
    let prefix = document.as_ref().and_then(|document| document.as_ref().ok()).map(thinking::prefix_digest);
    let shown = Shown { comes_back, prefix };
    let course = Course::of(known.as_deref(), shown);
    let former = course.stretch().filter(|stretch| stretch.rules != present);
    let former = former.and_then(|stretch| snapshot.conversations.edition(stretch.rules));
    let edition = former.unwrap_or_else(|| Arc::clone(&snapshot.edition));
    context.conversation = Some(Box::new(Conversing { key, known, shown, course, edition, place: None }));
    document
}

/// Stands for the conversation: its session and its agent, or else its key and its first message; `None` for one that
/// nothing can be known of.
fn key(headers: &HeaderMap, sender: Client, presence: Presence, body: &[u8]) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    match sender.session {
        Session::Named(session) => {
            session.hash(&mut hasher);
            headers.get(&AGENT).map(|agent| agent.as_bytes()).hash(&mut hasher);
        }
        // Its body is looked into only if there may be thinking in the conversation.
        Session::Key(_) | Session::Unknown if presence == Presence::None => return None,
        Session::Key(_) | Session::Unknown => {
            sender.key.hash(&mut hasher);
            thinking::first_message(body)?.hash(&mut hasher);
        }
    }
    Some(hasher.finish())
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
        context.attempt.moved = moved;
    }
    context.conversation = Some(conversing);
}

/// Where a request goes that has this head: the account is the key that the gateway sends in place of the client's own.
fn place(upstream: &crate::upstream::Upstream, outgoing: &HeaderMap, client: &HeaderMap) -> Place {
    let mut hasher = DefaultHasher::new();
    let url = &upstream.config.base_url;
    (&url.host, url.port, &url.path_prefix).hash(&mut hasher);
    for name in &KEYS {
        let sent = outgoing.get(name).filter(|sent| client.get(name) != Some(sent));
        sent.map(|sent| sent.as_bytes()).hash(&mut hasher);
    }
    Place { upstream: Arc::clone(&upstream.name), account: hasher.finish() }
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
    let stretch = match &conversing.course {
        Course::Bound(stretch) => stretch,
        // The client's doing; but with it may come back what is from before a move.
        Course::Anew => {
            let is_from_here = conversing.known.as_ref().is_none_or(|known| known.is_all_from(place));
            return Some(if is_from_here { Moved::Client } else { Moved::Earlier });
        }
        Course::Unseen => return changes_prefix.then_some(Moved::Unseen),
        Course::Free => return None,
    };
    let from = &stretch.place;
    if from.upstream != place.upstream {
        let names = other_rules(conversing, &from.upstream, client, context, destination);
        return Some(Moved::Upstream { from: Arc::clone(&from.upstream), to: Arc::clone(&place.upstream), names });
    }
    if from.account != place.account {
        return Some(Moved::Account { at: Arc::clone(&place.upstream) });
    }
    if conversing.edition.digest() != stretch.rules && changes_prefix {
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
    let (shown, course, rules) = (conversing.shown, &conversing.course, conversing.edition.digest());
    let answered = Answered { shown, course, rules, place, moved: context.attempt.moved.as_ref() };
    if let Some(now) = now(conversing.known.as_deref(), &answered) {
        context.snapshot.conversations.remember(conversing.key, now);
    }
}
