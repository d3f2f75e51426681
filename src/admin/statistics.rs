//! `stats`, `stats/series` and `stats/groups`.

use super::call::Call;
use super::fault::Fault;
use super::parameters::{Parameters, now_ms};
use super::refused::{Refused, json};
use crate::gateway::Answer;
use crate::store::{By, Reader, Span, StatsFilter};
use gateway_core::usage::pricing::Prices;

/// Most groups of one answer.
const MOST_GROUPS: u32 = 500;
const DEFAULT_GROUPS: u32 = 50;
/// Milliseconds of a step, if none is asked for.
const DEFAULT_STEP: u32 = 60_000;

fn span(parameters: &Parameters) -> Result<Span, Refused> {
    let (from, to) = parameters.span()?;
    Ok(Span::new(from, to, now_ms()))
}

fn filter(parameters: &Parameters) -> StatsFilter {
    let get = |name| parameters.get(name).map(str::to_owned);
    StatsFilter {
        model: get("model"),
        upstream: get("upstream"),
        path: get("path"),
        key: get("key"),
        request_class: get("request_class"),
        upstream_key: get("upstream_key"),
    }
}

/// A time as a whole.
pub(super) async fn summary(reader: &Reader, call: &Call) -> Result<Answer, Refused> {
    let (span, filter) = (span(&call.parameters)?, filter(&call.parameters));
    json(&reader.summary(&span, &filter).await?)
}

/// A time by steps.
pub(super) async fn series(reader: &Reader, call: &Call) -> Result<Answer, Refused> {
    let (span, filter) = (span(&call.parameters)?, filter(&call.parameters));
    let step = call.parameters.number("step", 60_000..u32::MAX, DEFAULT_STEP)?;
    match reader.series(&span, i64::from(step), &filter).await? {
        Some(series) => json(&series),
        None => Err(Fault::NotAStep { step: step.into(), most: crate::store::MOST_POINTS as u64 }.into()),
    }
}

/// A time by group; of models also whether they have a price.
pub(super) async fn groups(reader: &Reader, call: &Call, prices: &Prices) -> Result<Answer, Refused> {
    let (span, filter) = (span(&call.parameters)?, filter(&call.parameters));
    let by = call.parameters.get("by").and_then(By::read);
    let choices = || By::ALL.map(By::name).join(", ");
    let by = by.ok_or_else(|| Fault::NotAChoice { name: "by".into(), choices: choices() })?;
    let limit = call.parameters.number("limit", 1..MOST_GROUPS + 1, DEFAULT_GROUPS)?;
    let mut groups = reader.groups(&span, by, &filter, limit as usize).await?;
    if by == By::Model {
        for group in &mut groups {
            group.has_price = group.name.as_deref().map(|model| !prices.all_of(model).is_empty());
        }
    }
    let (from_ms, to_ms) = span.millis();
    json(&serde_json::json!({ "from_ms": from_ms, "to_ms": to_ms, "by": by.name(), "groups": groups }))
}
