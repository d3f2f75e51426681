//! `requests`, `requests/{id}` and `errors`.

use super::call::Call;
use super::dry_run;
use super::fault::Fault;
use super::parameters::Parameters;
use super::parts::Parts;
use super::refused::{Refused, json};
use super::status;
use crate::gateway::Answer;
use crate::store::columns::{self, Column};
use crate::store::{By, Filter, Reader, read_cursor};

/// Most rows of a page.
const MOST_ROWS: u32 = 500;
const DEFAULT_ROWS: u32 = 100;
/// Longest text that is looked for.
const LONGEST_TEXT: usize = 200;

/// Which rows a query asks for.
pub(super) fn filter(parameters: &Parameters) -> Result<Filter, Refused> {
    let values = |column: &'static Column| Ok((column.name, parameters.list(column.name)?));
    let text = parameters.get("q").map(|text| text.chars().take(LONGEST_TEXT).collect());
    Ok(Filter {
        from: parameters.time("from")?,
        to: parameters.time("to")?,
        status: parameters.statuses()?,
        model: parameters.list("model")?,
        only: columns::filters().map(values).collect::<Result<_, Refused>>()?,
        without: without(parameters)?,
        text,
        is_usable: parameters.choice("usable", [("1", true), ("0", false)])?.unwrap_or_default(),
    })
}

/// By which groups the rows are to have no name.
fn without(parameters: &Parameters) -> Result<Vec<By>, Refused> {
    let by = |name: String| By::ALL.into_iter().find(|by| by.name() == name);
    let choices = || By::ALL.map(By::name).join(", ");
    let not_a_choice = || Fault::NotAChoice { name: "without".into(), choices: choices() }.into();
    parameters.list("without")?.into_iter().map(|name| by(name).ok_or_else(not_a_choice)).collect()
}

/// A page of rows.
pub(super) async fn page(reader: &Reader, call: &Call) -> Result<Answer, Refused> {
    let filter = filter(&call.parameters)?;
    let limit = call.parameters.number("limit", 1..MOST_ROWS + 1, DEFAULT_ROWS)?;
    let after = match call.parameters.get("cursor") {
        Some(text) => Some(read_cursor(text).ok_or(Fault::NotACursor)?),
        None => None,
    };
    json(&reader.page(&filter, after, limit).await?)
}

/// One row, or what is known so far of a request that is being served.
pub(super) async fn detail(parts: &Parts, id: &str) -> Result<Answer, Refused> {
    if let Some(running) = status::running_one(&parts.shared.running, id) {
        return json(&running);
    }
    match parts.reader()?.detail(id).await? {
        Some(mut detail) => {
            detail.no_dry_run = dry_run::why_not(parts, &detail).await?;
            json(&detail)
        }
        None => Err(Fault::NoRequest.into()),
    }
}

/// Failures by cause.
pub(super) async fn errors(reader: &Reader, call: &Call) -> Result<Answer, Refused> {
    let (from, to) = call.parameters.span()?;
    json(&reader.errors(from, to).await?)
}
