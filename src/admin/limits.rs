//! `limits` and `usage`: what tokens, users and groups may use, and what of it they have.

use super::call::Call;
use super::fault::Fault;
use super::parameters::Parameters;
use super::parts::Parts;
use super::refused::{Refused, json};
use super::team::{act, another, too_large};
use crate::gateway::Answer;
use crate::team::{Told, Whom, Wish};
use gateway_core::team::limit::Subject;
use serde::Deserialize;
use serde_json::{Number, json as object};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewLimit {
    subject: String,
    id: String,
    measure: String,
    window: String,
    amount: Number,
}

/// Limits: all, those of one kind of subject, or of one subject.
pub(super) async fn list(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    let (kind, of) = asked(&call.parameters)?;
    match act(parts, None, Wish::ListLimits { of }).await? {
        Told::Limits(mut limits) => {
            limits.retain(|limit| kind.is_none_or(|kind| limit.subject == kind.code()));
            json(&object!({ "limits": limits }))
        }
        told => another(&told),
    }
}

/// Sets one, in place of the one with the same measure and window.
pub(super) async fn set(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    let NewLimit { subject, id, measure, window, amount } = call.json(too_large)?;
    let of = whom(kind(&subject)?, id);
    let limits = vec![format!("{measure}:{window}:{}", written(&amount))];
    changed(act(parts, Some(call), Wish::AddLimits { of, limits }).await?)
}

/// Removes one.
pub(super) async fn remove(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    let (_, of) = asked(&call.parameters)?;
    let Some(of) = of else { return Err(not_a_subject()) };
    let part = |name: &str| call.parameters.get(name).unwrap_or_default();
    let limits = vec![format!("{}:{}", part("measure"), part("window"))];
    changed(act(parts, Some(call), Wish::RemoveLimits { of, limits }).await?)
}

/// What is used: of all limits, of those of a kind of subject or of one, or of all that a token is checked against.
pub(super) async fn usage(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    let (kind, of) = asked(&call.parameters)?;
    let wish = match call.parameters.get("token") {
        Some(token) => Wish::UsageOfToken { token: token.to_owned() },
        None => Wish::Usage { of },
    };
    match act(parts, None, wish).await? {
        Told::Usage(mut rows) => {
            rows.retain(|row| kind.is_none_or(|kind| row.limit.subject == kind.code()));
            json(&object!({ "usage": rows }))
        }
        told => another(&told),
    }
}

fn changed(told: Told) -> Result<Answer, Refused> {
    match told {
        Told::Limits(limits) => json(&object!({ "limits": limits })),
        told => another(&told),
    }
}

/// The kind of subject that a query asks for, and the one.
fn asked(parameters: &Parameters) -> Result<(Option<Subject>, Option<Whom>), Refused> {
    let kind = parameters.get("subject").map(kind).transpose()?;
    match (kind, parameters.get("id")) {
        (Some(kind), Some(id)) => Ok((Some(kind), Some(whom(kind, id.to_owned())))),
        (None, Some(_)) => Err(not_a_subject()),
        (kind, None) => Ok((kind, None)),
    }
}

fn kind(code: &str) -> Result<Subject, Refused> {
    Subject::of_code(code).ok_or_else(not_a_subject)
}

fn not_a_subject() -> Refused {
    let choices = Subject::ALL.iter().map(|subject| subject.code()).collect::<Vec<_>>().join(", ");
    Fault::NotAChoice { name: "subject".to_owned(), choices }.into()
}

fn whom(kind: Subject, id: String) -> Whom {
    match kind {
        Subject::Token => Whom::Token(id),
        Subject::User => Whom::User(id),
        Subject::Group => Whom::Group(id),
    }
}

/// A number as limits are written, which is without an exponent.
fn written(amount: &Number) -> String {
    match amount.as_f64() {
        Some(number) if amount.is_f64() => number.to_string(),
        _ => amount.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_limits_are() {
        for (json, text) in [("5", "5"), ("2.50", "2.5"), ("1e-9", "0.000000001"), ("2e3", "2000"), ("-1", "-1")] {
            assert_eq!(written(&serde_json::from_str(json).expect("a number")), text);
        }
    }
}
