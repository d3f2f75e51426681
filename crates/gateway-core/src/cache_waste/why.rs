//! Why a request found nothing in the cache where an earlier one had left something.

use super::checkpoint::{Checkpoint, Prefix};
use super::loss::Cause;
use super::request::Request;
use std::sync::Arc;

/// Longest text that says what changed, in bytes.
const LONGEST_DETAIL: usize = 200;

/// How a request goes on from an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bond {
    /// Its messages begin with those of the earlier one.
    GoesOn,
    /// Something of what had been said is another.
    Edited,
    /// It begins with a summary of what had been said.
    Compacted,
}

/// Why, and what changed.
pub(super) fn why(known: &Checkpoint, bond: Bond, request: &Request) -> (Cause, String) {
    let (cause, mut detail) = gone(known, request)
        .or_else(|| elsewhere(known, request))
        .or_else(|| compacted(known, bond, request))
        .or_else(|| head(known, request))
        .or_else(|| history(known, bond, request))
        .unwrap_or((Cause::Unexplained, String::new()));
    detail.truncate(detail.floor_char_boundary(LONGEST_DETAIL));
    (cause, detail)
}

/// All of it had its time.
fn gone(known: &Checkpoint, request: &Request) -> Option<(Cause, String)> {
    let lifetime = known.prompt.lifetime.head_s.max(known.prompt.lifetime.history_s);
    let (cause, detail) = idle(known, lifetime, request)?;
    // Had the requests since then not gone elsewhere, they would have kept it alive.
    let detour = known.detour.as_ref().filter(|detour| **detour != known.place);
    Some(match detour {
        Some(detour) if detour.upstream != known.place.upstream => {
            (Cause::UpstreamChanged, change(&known.place.upstream, &detour.upstream))
        }
        Some(detour) => (Cause::KeyChanged, change(&known.place.key, &detour.key)),
        None => (cause, detail),
    })
}

fn idle(known: &Checkpoint, lifetime_s: u32, request: &Request) -> Option<(Cause, String)> {
    let idle_ms = request.began_ms.saturating_sub(known.used_ms);
    let is_over = idle_ms > i64::from(lifetime_s) * 1_000;
    is_over.then(|| (Cause::Idle, format!("{}>{lifetime_s}", idle_ms / 1_000)))
}

/// It is somewhere else.
fn elsewhere(known: &Checkpoint, request: &Request) -> Option<(Cause, String)> {
    let (was, is) = (&known.place, &request.place);
    [
        (Cause::ModelChanged, &known.model, &request.model),
        (Cause::UpstreamChanged, &was.upstream, &is.upstream),
        (Cause::KeyChanged, &was.key, &is.key),
    ]
    .into_iter()
    .find(|(_, was, is)| was != is)
    .map(|(cause, was, is)| (cause, change(was, is)))
}

/// It is of a conversation that was summarised, or the summary is asked for by other means than the conversation.
fn compacted(known: &Checkpoint, bond: Bond, request: &Request) -> Option<(Cause, String)> {
    let head = |prefix: &Prefix| (prefix.tools, prefix.system, prefix.settings);
    let is_another_prompt = bond == Bond::Edited || head(&known.prompt.came) != head(&request.came.prefix);
    let is_by_it = bond == Bond::Compacted || request.is_compaction && is_another_prompt;
    is_by_it.then(|| (Cause::Compaction, String::new()))
}

/// Tools or system are others.
fn head(known: &Checkpoint, request: &Request) -> Option<(Cause, String)> {
    let (came, sent) = (&request.came.prefix, &request.went_out().prefix);
    [
        (Cause::ToolsChanged, [known.prompt.came.tools, came.tools], [known.prompt.sent.tools, sent.tools]),
        (Cause::SystemChanged, [known.prompt.came.system, came.system], [known.prompt.sent.system, sent.system]),
    ]
    .into_iter()
    .find(|(_, _, [was, is])| was != is)
    .map(|(cause, [was, is], _)| if was == is { by_rules(known, request) } else { (cause, String::new()) })
}

/// The messages are others, or are gone.
fn history(known: &Checkpoint, bond: Bond, request: &Request) -> Option<(Cause, String)> {
    let by_client = |detail: &str| (Cause::HistoryChanged, detail.to_owned());
    idle(known, known.prompt.lifetime.history_s, request).or_else(|| {
        let (came, sent) = (&request.came.prefix, request.went_out());
        if known.prompt.sent.settings != sent.prefix.settings {
            let is_by_rules = known.prompt.came.settings == came.settings;
            return Some(if is_by_rules { by_rules(known, request) } else { by_client("settings") });
        }
        if bond == Bond::Edited {
            return Some(by_client(""));
        }
        (!sent.begins_with(&known.prompt.sent)).then(|| by_rules(known, request))
    })
}

/// The rules that apply now and did not before, and those that do no longer.
fn by_rules(known: &Checkpoint, request: &Request) -> (Cause, String) {
    let (was, is) = (&known.rules, &request.rules);
    let lacking = |sign: char, one: &[Arc<str>], other: &[Arc<str>]| -> Vec<String> {
        one.iter().filter(|rule| !other.contains(rule)).map(|rule| format!("{sign}{rule}")).collect()
    };
    (Cause::RulesChanged, [lacking('+', is, was), lacking('-', was, is)].concat().join(","))
}

fn change(was: &str, is: &str) -> String {
    format!("{was}>{is}")
}
