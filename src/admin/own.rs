//! `me` and what is below it: what the holder of a client token sees, which is the own and nothing of others.

use super::call::Call;
use super::conversations;
use super::fault::Fault;
use super::parts::Parts;
use super::refused::{Refused, json};
use super::statistics;
use super::team::{act, another, rotate_token};
use super::waste;
use crate::gateway::Answer;
use crate::store::{By, StatsFilter};
use crate::team::{LimitRow, TokenRow, Told, UsageRow, Wish};
use gateway_core::team::limit::Subject;
use gateway_core::team::token::Token;
use serde::Serialize;
use serde_json::{Number, json as object};
use std::sync::Arc;

/// What the holder may know of what is used of a limit.
#[derive(Debug, Serialize)]
struct OwnUsage {
    #[serde(flatten)]
    limit: LimitRow,
    used: Option<Number>,
    held: Option<Number>,
    left: Option<Number>,
    is_used_up: bool,
    opens_at_ms: Option<i64>,
    resets_at_ms: Option<i64>,
}

impl From<UsageRow> for OwnUsage {
    fn from(row: UsageRow) -> Self {
        let UsageRow { limit, used, held, left, is_used_up, opens_at_ms, resets_at_ms } = row;
        let own = Self { used, held: Some(held), left, is_used_up, opens_at_ms, resets_at_ms, limit };
        match own.limit.subject == Subject::Group.code() {
            // The others of a small group could be read off it.
            true => Self { used: None, held: None, left: None, ..own },
            false => own,
        }
    }
}

/// A token of the same user, as far as it is told.
#[derive(Debug, Serialize)]
struct OwnToken {
    id: String,
    name: String,
    hint: String,
    state: String,
    used_on: Option<String>,
}

#[derive(Serialize)]
struct Me {
    /// `operator` for who has the panel's key.
    role: &'static str,
    user: Option<Arc<str>>,
    group: Option<Arc<str>>,
    token: Option<TokenRow>,
    tokens: Vec<OwnToken>,
    usage: Vec<OwnUsage>,
}

/// Who asks, with what token, and what there is for it.
pub(super) async fn me(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    let Some(token) = &call.caller.token else {
        return json(&Me {
            role: "operator",
            user: None,
            group: None,
            token: None,
            tokens: Vec::new(),
            usage: Vec::new(),
        });
    };
    let rows = tokens(parts, token).await?;
    let usage = usage_of(parts, token).await?;
    let own = |row: &TokenRow| OwnToken {
        id: row.id.clone(),
        name: row.name.clone(),
        hint: row.hint.clone(),
        state: row.state.clone(),
        used_on: row.used_on.clone(),
    };
    let holder = &token.holder;
    json(&Me {
        role: token.role().code(),
        user: Some(Arc::clone(&holder.user)),
        group: holder.group.clone(),
        tokens: rows.iter().map(own).collect(),
        token: rows.into_iter().find(|row| *row.id == *holder.token),
        usage,
    })
}

/// What is used of the limits that the token is checked against.
pub(super) async fn usage(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    json(&object!({ "usage": usage_of(parts, shown(call)?).await? }))
}

/// A time as a whole.
pub(super) async fn stats(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    statistics::summary_of(parts.reader()?, call, &filter(chosen(parts, call)?, call)).await
}

/// A time by steps. Where the requests went is no group: that is the operator's.
pub(super) async fn series(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    let filter = filter(chosen(parts, call)?, call);
    let by = call.parameters.choice("by", [By::Model, By::RequestClass].map(|by| (by.name(), by)))?;
    statistics::series_of(parts.reader()?, call, &parts.shared.snapshot.load_full().config, &filter, by).await
}

/// Conversations.
pub(super) async fn sessions(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    conversations::of_tokens(parts.reader()?, &parts.shared.running, call, chosen(parts, call)?).await
}

/// What was written to prompt caches although it had been there.
pub(super) async fn waste(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    waste::of_tokens(parts.reader()?, call, Some(&chosen(parts, call)?)).await
}

/// Issues another text for the token that asks: others of that user may do more than this one. Only who has the newest text may:
/// a token is rotated because another text of it is in foreign hands.
pub(super) async fn rotate(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    let (Some(token), Some(text)) = (&call.caller.token, &call.caller.text) else { return Err(Fault::NotYours.into()) };
    if *call.named != *token.holder.token {
        return Err(Fault::NotYours.into());
    }
    match parts.shared.roster.load().is_newest(text) {
        true => rotate_token(parts, call).await,
        false => Err(Fault::TextReplaced.into()),
    }
}

/// The token that asks.
fn shown(call: &Call) -> Result<&Token, Refused> {
    call.caller.token.as_deref().ok_or_else(|| Fault::NoToken.into())
}

/// All tokens of the user who asks.
async fn tokens(parts: &Parts, token: &Token) -> Result<Vec<TokenRow>, Refused> {
    let user = &token.holder.user;
    match act(parts, None, Wish::ListTokens { user: Some(user.to_string()) }).await? {
        Told::Tokens(mut rows) => {
            // Somebody's name may be another one's id.
            rows.retain(|row| *row.user == **user);
            Ok(rows)
        }
        told => another(&told).map(|_| Vec::new()),
    }
}

async fn usage_of(parts: &Parts, token: &Token) -> Result<Vec<OwnUsage>, Refused> {
    match act(parts, None, Wish::UsageOfToken { token: token.holder.token.to_string() }).await? {
        Told::Usage(rows) => Ok(rows.into_iter().map(OwnUsage::from).collect()),
        told => another(&told).map(|_| Vec::new()),
    }
}

/// The ids of the tokens whose requests are asked for: all of the user's, or the one that the query names.
fn chosen(parts: &Parts, call: &Call) -> Result<Vec<String>, Refused> {
    let user = &shown(call)?.holder.user;
    let own = parts.shared.roster.load().ids(|holder| holder.user == *user);
    match call.parameters.get("token") {
        None => Ok(own),
        Some(wanted) if own.iter().any(|id| id == wanted) => Ok(vec![wanted.to_owned()]),
        Some(_) => Err(Fault::NotYours.into()),
    }
}

fn filter(tokens: Vec<String>, call: &Call) -> StatsFilter {
    let model = call.parameters.get("model").map(str::to_owned);
    StatsFilter { model, tokens: Some(tokens), ..StatsFilter::default() }
}
