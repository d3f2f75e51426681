//! `sessions/{id}/capture`: the next request of a session is kept as a whole.

use super::call::Call;
use super::fault::Fault;
use super::parts::Parts;
use super::refused::{Refused, json};
use crate::gateway::capture_wishes::{LIFETIME, MOST_WISHES, TooMany, Wish};
use crate::gateway::{Answer, Shared};
use serde::Serialize;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// What is told of a wish.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    asked_at_ms: u64,
    ends_at_ms: u64,
    /// How much of the body is kept.
    body_bytes: usize,
    /// The request that was kept, if one came.
    request_id: Option<String>,
}

/// What is told of the wish of a session, if there is one.
pub(super) fn of(shared: &Shared, session: &str) -> Option<Told> {
    Some(told(shared, &*shared.capture_wishes.of(session, Instant::now())?))
}

/// The next request of a session is to be kept.
pub(super) async fn begin(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    let session = &call.named;
    if !parts.reader()?.has_session(session).await? {
        return Err(Fault::NoSession.into());
    }
    let added = parts.shared.capture_wishes.add(session, Instant::now(), SystemTime::now());
    let wish = added.map_err(|TooMany| Fault::TooManyWishes { most: MOST_WISHES as u64 })?;
    log::info!("the next request of the session {session:?} is kept as a whole, as the admin API was asked");
    json(&serde_json::json!({ "capture": told(&parts.shared, &wish) }))
}

/// It is not, or what came of it is seen; whether it was to be until now.
pub(super) fn end(parts: &Parts, call: &Call) -> Result<(Answer, bool), Refused> {
    let had_wish = parts.shared.capture_wishes.remove(&call.named, Instant::now());
    Ok((json(&serde_json::json!({ "capture": null }))?, had_wish))
}

fn told(shared: &Shared, wish: &Wish) -> Told {
    let millis = |time: SystemTime| {
        u64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
    };
    Told {
        asked_at_ms: millis(wish.asked_at),
        ends_at_ms: millis(wish.asked_at + LIFETIME),
        body_bytes: shared.snapshot.load().config.capture.body_bytes,
        request_id: wish.request_id().map(str::to_owned),
    }
}
