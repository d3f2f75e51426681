//! `stats`, `stats/series` and `stats/groups`.

use super::call::Call;
use super::download::{Form, cell, wants_csv};
use super::fault::Fault;
use super::parameters::Parameters;
use super::refused::{Refused, json};
use super::whose;
use crate::config::Config;
use crate::gateway::Answer;
use crate::store::{By, GroupedBy, Groups, GroupsBy, Reader, Span, StatsFilter};
use crate::unix_time::now_ms;
use gateway_core::team::roster::Roster;

/// Most groups of one answer.
const MOST_GROUPS: u32 = 500;
const DEFAULT_GROUPS: u32 = 50;
/// Most groups of a series.
const MOST_SERIES: u32 = 10;
const DEFAULT_SERIES: u32 = 5;
/// Milliseconds of a step, if none is asked for.
const DEFAULT_STEP: u32 = 60_000;
/// What the name of a download tells.
const FILTERS: [&str; 14] = [
    "by",
    "sort",
    "model",
    "upstream",
    "path",
    "key",
    "request_class",
    "upstream_key",
    "session",
    "agent_type",
    "client",
    "token",
    "user",
    "group",
];

fn span(parameters: &Parameters) -> Result<Span, Refused> {
    let (from, to) = parameters.span()?;
    Ok(Span::new(from, to, now_ms()))
}

fn filter(parameters: &Parameters, roster: &Roster) -> Result<StatsFilter, Refused> {
    let get = |name| parameters.get(name).map(str::to_owned);
    Ok(StatsFilter {
        model: get("model"),
        upstream: get("upstream"),
        path: get("path"),
        key: get("key"),
        request_class: get("request_class"),
        upstream_key: get("upstream_key"),
        session: get("session"),
        agent_type: get("agent_type"),
        client: get("client"),
        tokens: whose::tokens(parameters, roster)?,
    })
}

fn by(parameters: &Parameters) -> Result<Option<By>, Refused> {
    parameters.choice("by", By::ALL.map(|by| (by.name(), by)))
}

/// A time as a whole.
pub(super) async fn summary(reader: &Reader, call: &Call, roster: &Roster) -> Result<Answer, Refused> {
    summary_of(reader, call, &filter(&call.parameters, roster)?).await
}

/// The same of these requests.
pub(super) async fn summary_of(reader: &Reader, call: &Call, filter: &StatsFilter) -> Result<Answer, Refused> {
    json(&reader.summary(&span(&call.parameters)?, filter).await?)
}

/// A time by steps; with `by` also what the dearest groups cost in each.
pub(super) async fn series(reader: &Reader, call: &Call, config: &Config, roster: &Roster) -> Result<Answer, Refused> {
    series_of(reader, call, config, &filter(&call.parameters, roster)?, by(&call.parameters)?).await
}

/// The same of these requests.
pub(super) async fn series_of(
    reader: &Reader,
    call: &Call,
    config: &Config,
    filter: &StatsFilter,
    by: Option<By>,
) -> Result<Answer, Refused> {
    let span = span(&call.parameters)?;
    let step = call.parameters.number("step", 60_000..u32::MAX, DEFAULT_STEP)?;
    let top = call.parameters.number("top", 1..MOST_SERIES + 1, DEFAULT_SERIES)? as usize;
    let grouped = by.map(|by| GroupedBy { by, top });
    let Some(mut series) = reader.series(&span, i64::from(step), filter, grouped).await? else {
        return Err(Fault::NotAStep { step: step.into(), most: crate::store::MOST_POINTS as u64 }.into());
    };
    if let Some(grouped) = series.grouped.as_mut().filter(|_| by == Some(By::Key)) {
        for group in &mut grouped.groups {
            group.key_name = group.name.as_deref().and_then(|key| config.key_names.of(key)).map(str::to_owned);
        }
    }
    json(&series)
}

/// A time by group; of models also whether they have a price, and of keys what they are called.
pub(super) async fn groups(reader: &Reader, call: &Call, config: &Config, roster: &Roster) -> Result<Answer, Refused> {
    let (form, is_csv) = (Form::read(&call.parameters)?, wants_csv(call)?);
    let (span, filter) = (span(&call.parameters)?, filter(&call.parameters, roster)?);
    let choices = || By::ALL.map(By::name).join(", ");
    let by = by(&call.parameters)?.ok_or_else(|| Fault::NotAChoice { name: "by".into(), choices: choices() })?;
    let first = [("requests", GroupsBy::Requests), ("cost", GroupsBy::Cost)];
    let first = call.parameters.choice("sort", first)?.unwrap_or_default();
    let default = if is_csv { MOST_GROUPS } else { DEFAULT_GROUPS };
    let limit = call.parameters.number("limit", 1..MOST_GROUPS + 1, default)?;
    let mut groups = reader.groups(&span, by, &filter, first, limit as usize).await?;
    for group in &mut groups.groups {
        let Some(name) = group.name.as_deref() else { continue };
        match by {
            By::Model => group.has_price = Some(!config.prices.all_of(name).is_empty()),
            By::Key => group.key_name = config.key_names.of(name).map(str::to_owned),
            _ => {}
        }
    }
    if !is_csv {
        return json(&groups);
    }
    let span = (Some(groups.from_ms), Some(groups.to_ms));
    Ok(table(&form, &form.name("costs", span, &call.parameters, &FILTERS), &groups))
}

/// Groups as a download.
fn table(form: &Form, name: &str, groups: &Groups) -> Answer {
    let head = [
        groups.by,
        "key_name",
        "requests",
        "completed",
        "failed",
        "success_rate",
        "cost_usd",
        "unpriced_requests",
        "input_tokens",
        "output_tokens",
        "cache_write_tokens",
        "cache_read_tokens",
        "cache_hit_rate",
        "estimated_requests",
        "estimated_output_tokens",
        "request_bytes",
        "response_bytes",
        "duration_mean_ms",
        "first_token_mean_ms",
        "from",
        "to",
    ];
    let (from, to) = (form.time(groups.from_ms), form.time(groups.to_ms));
    let lines = groups.groups.iter().map(|group| {
        vec![
            group.name.clone().unwrap_or_default(),
            group.key_name.clone().unwrap_or_default(),
            group.requests.to_string(),
            group.completed.to_string(),
            group.failed.to_string(),
            cell(group.success_rate),
            cell(group.cost_usd),
            group.unpriced_requests.to_string(),
            group.tokens.input.to_string(),
            group.tokens.output.to_string(),
            group.tokens.cache_write.to_string(),
            group.tokens.cache_read.to_string(),
            cell(group.cache_hit_rate),
            group.estimated_requests.to_string(),
            group.estimated_output_tokens.to_string(),
            group.request_bytes.to_string(),
            group.response_bytes.to_string(),
            cell(group.duration_ms.mean),
            cell(group.first_token_ms.mean),
            from.clone(),
            to.clone(),
        ]
    });
    form.answer(name, &head, lines)
}
