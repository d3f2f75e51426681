//! `waste`: what was written to prompt caches although it had been there.

use super::call::Call;
use super::fault::Fault;
use super::refused::{Refused, json};
use super::whose;
use crate::gateway::Answer;
use crate::store::{Reader, WasteOrder};
use gateway_core::team::roster::Roster;

/// Most sessions of an answer.
const MOST_SESSIONS: u32 = 500;
const DEFAULT_SESSIONS: u32 = 50;

/// A time, by cause and by session.
pub(super) async fn report(reader: &Reader, call: &Call, roster: &Roster) -> Result<Answer, Refused> {
    of_tokens(reader, call, whose::tokens(&call.parameters, roster)?.as_deref()).await
}

/// The same of the requests with these client tokens alone, if there are any given.
pub(super) async fn of_tokens(reader: &Reader, call: &Call, tokens: Option<&[String]>) -> Result<Answer, Refused> {
    let span = call.parameters.span()?;
    let limit = call.parameters.number("limit", 1..MOST_SESSIONS + 1, DEFAULT_SESSIONS)?;
    let asked = call.parameters.get("sort").unwrap_or(WasteOrder::ALL[0].name());
    let order = WasteOrder::ALL.into_iter().find(|order| order.name() == asked).ok_or_else(|| {
        let choices = WasteOrder::ALL.map(WasteOrder::name).join(", ");
        Fault::NotAChoice { name: "sort".into(), choices }
    })?;
    json(&reader.waste(span, order, limit, tokens).await?)
}
