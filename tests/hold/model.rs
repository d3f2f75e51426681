//! What may become of a request, by its plan; pure. Client, row and relays are held against it and against each other.

use crate::client::{End, Seen};
use crate::plan::{Act, Nonce, Plan, UPSTREAMS, Way};
use crate::rows::Row;

/// What the client may get of the last upstream that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// Its body, byte by byte and whole.
    Exact,
    /// The same, or an error of the gateway in its place.
    ExactOrError,
    /// Its body byte by byte, whole or a part that is seen to be one, or an error of the gateway in its place.
    Broken,
    /// A part of it that is seen to be one, with its status.
    Cut,
    /// The same, or an error of the gateway in its place.
    CutOrError,
    /// An error of the gateway.
    Error,
}

/// What a request is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    /// What the response says, to the last token.
    Whole,
    /// What its beginning says; the output is estimated.
    Begun,
    /// Nothing.
    Nothing,
    /// Nobody knows.
    Any,
}

/// What may follow from what an upstream did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Permit {
    /// Whether another upstream may be asked.
    pub(crate) moves: bool,
    /// Whether the gateway may ask the same upstream again: on a kept connection that was closed.
    pub(crate) repeats: bool,
    /// How the request may end there.
    pub(crate) outcomes: Vec<&'static str>,
    /// Which statuses the client may get there.
    pub(crate) statuses: Vec<u16>,
    /// What the client may get.
    pub(crate) want: Want,
    /// What may be charged.
    pub(crate) usage: Usage,
}

/// What follows from an act.
pub(crate) fn permit(act: Act, is_stream: bool) -> Permit {
    let make = |moves, outcomes: &[&'static str], statuses: &[u16], want, usage| Permit {
        moves,
        repeats: false,
        outcomes: outcomes.to_vec(),
        statuses: statuses.to_vec(),
        want,
        usage,
    };
    match (act, is_stream) {
        (Act::Whole | Act::Sliced | Act::Interim | Act::Coded | Act::Twice | Act::Dripped | Act::Delayed, _) => {
            make(false, &["completed"], &[200], Want::Exact, Usage::Whole)
        }
        // The connection ends while the request is still on its way: what was answered may be lost with it.
        (Act::Early, _) => Permit {
            repeats: true,
            ..make(true, &["completed", "truncated", "unreachable"], &[200, 502], Want::CutOrError, Usage::Any)
        },
        (Act::LyingUsage, _) => make(false, &["completed"], &[200], Want::Exact, Usage::Any),
        // Its bytes are the upstream's, and nothing tells that one of them is another.
        (Act::Flipped, _) => make(
            true,
            &["completed", "unreadable", "truncated", "upstream_error", "stream_error"],
            &[200, 502],
            Want::ExactOrError,
            Usage::Any,
        ),
        (Act::FlippedCoded, _) => make(false, &["unreadable"], &[200], Want::Exact, Usage::Any),
        (Act::LyingCoding, _) => make(false, &["unreadable"], &[200], Want::Exact, Usage::Any),
        (Act::Status(status @ (400 | 404)), _) => {
            make(false, &["upstream_error"], &[status], Want::Exact, Usage::Nothing)
        }
        (Act::Status(status), _) => make(true, &["upstream_error"], &[status], Want::Exact, Usage::Nothing),
        (Act::ErrorFirst, true) => make(true, &["stream_error"], &[200], Want::Exact, Usage::Nothing),
        (Act::ErrorLate, true) => make(false, &["stream_error"], &[200], Want::Exact, Usage::Begun),
        (Act::ErrorFirst | Act::ErrorLate, false) => {
            make(true, &["upstream_error"], &[200], Want::Exact, Usage::Nothing)
        }
        (Act::Empty, _) => make(true, &["upstream_error"], &[200, 502], Want::ExactOrError, Usage::Nothing),
        (Act::Page, _) => make(true, &["upstream_error"], &[502], Want::Error, Usage::Nothing),
        (Act::Garbage, _) => make(true, &["unreachable"], &[502], Want::Error, Usage::Nothing),
        (Act::Close | Act::Reset, _) => {
            Permit { repeats: true, ..make(true, &["unreachable"], &[502], Want::Error, Usage::Nothing) }
        }
        (Act::HeadCut, _) => make(true, &["unreachable"], &[502], Want::Error, Usage::Nothing),
        (Act::HeadReset, _) => {
            Permit { repeats: true, ..make(true, &["unreachable"], &[502], Want::Error, Usage::Nothing) }
        }
        // Of a stream also its first event is late, at the same moment.
        (Act::Silence | Act::HeadStall, true) => {
            make(true, &["unreachable", "stalled"], &[502, 504], Want::Error, Usage::Nothing)
        }
        (Act::Silence | Act::HeadStall, false) => {
            make(true, &["unreachable"], &[502, 504], Want::Error, Usage::Nothing)
        }
        (Act::CutAfter(0) | Act::BadChunkAfter(0), true) => {
            make(true, &["truncated", "unreachable"], &[200, 502], Want::CutOrError, Usage::Any)
        }
        // A reset takes with it what was not read yet.
        (Act::ResetAfter(0), true) | (Act::CutAfter(_) | Act::ResetAfter(_) | Act::BadChunkAfter(_), false) => Permit {
            repeats: matches!(act, Act::ResetAfter(_)),
            ..make(true, &["truncated", "unreachable"], &[200, 502], Want::CutOrError, Usage::Any)
        },
        (Act::ResetAfter(_), true) => Permit {
            repeats: true,
            ..make(true, &["truncated", "unreachable", "completed"], &[200, 502], Want::CutOrError, Usage::Any)
        },
        (Act::StallAfter(0), true) => {
            make(true, &["stalled", "unreachable"], &[200, 502, 504], Want::CutOrError, Usage::Any)
        }
        (Act::StallAfter(_), false) => {
            make(true, &["stalled", "unreachable"], &[200, 502, 504], Want::CutOrError, Usage::Any)
        }
        (Act::CutAfter(_) | Act::BadChunkAfter(_), true) => {
            make(false, &["truncated"], &[200], Want::Cut, Usage::Begun)
        }
        (Act::StallAfter(_), true) => make(false, &["stalled"], &[200], Want::Cut, Usage::Begun),
        (Act::NoStop, true) => make(false, &["truncated"], &[200], Want::Exact, Usage::Whole),
        (Act::NoStop, false) => make(false, &["completed"], &[200], Want::Exact, Usage::Whole),
    }
}

/// What may follow if the connection may also break off or stall at any moment.
fn broken(permit: Permit) -> Permit {
    let with = |outcomes: Vec<&'static str>| [outcomes, vec!["unreachable", "truncated", "stalled"]].concat();
    Permit {
        moves: true,
        repeats: true,
        outcomes: with(permit.outcomes),
        statuses: [permit.statuses, vec![200, 502, 504]].concat(),
        want: match permit.want {
            Want::Exact | Want::ExactOrError | Want::Broken => Want::Broken,
            Want::Cut | Want::CutOrError => Want::CutOrError,
            Want::Error => Want::Error,
        },
        usage: Usage::Any,
    }
}

fn permit_of(plan: &Plan, upstream: usize, troubled: &[bool]) -> Permit {
    let permit = permit_on_open_road(plan, upstream);
    if troubled[upstream] { broken(permit) } else { permit }
}

/// A stream is complete with its last event, whatever becomes of its connection.
fn permit_on_open_road(plan: &Plan, upstream: usize) -> Permit {
    let act = plan.acts[upstream];
    let mut permit = permit(act, plan.is_stream);
    let has_all = plan.is_stream
        && plan.sent_pieces(upstream) < usize::MAX
        && plan.sent_pieces(upstream) >= plan.body(upstream).len();
    if has_all {
        permit.outcomes = vec!["completed", "truncated", "stalled", "unreachable"];
        permit.usage = Usage::Any;
    } else if plan.is_stream
        && plan.sent_pieces(upstream).saturating_add(1) == plan.body(upstream).len()
        && permit.usage == Usage::Begun
    {
        // The last event but one has told all that was used.
        permit.usage = Usage::Whole;
    }
    permit
}

/// What is known of a request when it is over.
#[derive(Debug)]
pub(crate) struct Facts<'f> {
    /// What its client saw.
    pub(crate) seen: &'f Seen,
    /// Its rows.
    pub(crate) rows: &'f [Row],
    /// The upstreams that it came to, in their order.
    pub(crate) hits: &'f [usize],
    /// Whether the road to each upstream was not open while it was asked.
    pub(crate) troubled: [bool; UPSTREAMS.len()],
    /// Whether the gateway may have been killed before all of it was written.
    pub(crate) was_killed: bool,
}

/// What is wrong with a request; nothing if it was served as it may be.
pub(crate) fn complaints(plan: &Plan, facts: &Facts) -> Vec<String> {
    let mut wrong = Vec::new();
    let seen = facts.seen;
    if let End::Hung | End::Malformed(_) = seen.end {
        wrong.push(format!("the client: {:?}", seen.end));
    }
    let text = String::from_utf8_lossy(&seen.body);
    let is_spoilt = plan.acts.iter().any(|act| matches!(act, Act::Flipped | Act::FlippedCoded));
    let named = text.split('[').skip(1).filter_map(|rest| rest.split_once(' ')?.0.parse::<Nonce>().ok());
    // What was changed of a body may be the nonce in it.
    if let Some(other) = named.into_iter().find(|named| *named != plan.nonce && !is_spoilt) {
        wrong.push(format!("the client got the answer of {other}"));
    }
    if text.contains("evil") {
        wrong.push("the client got a response that nobody asked for".to_owned());
    }
    if facts.rows.len() > 1 {
        wrong.push(format!("{} rows", facts.rows.len()));
    }
    if facts.was_killed {
        let is_of_one = |upstream| plan.body(upstream).concat() == seen.body;
        if seen.end == End::Whole && seen.status == Some(200) && !(0..UPSTREAMS.len()).any(is_of_one) {
            wrong.push(format!("shown as whole, and it is no upstream's: {}", shown(&seen.body)));
        }
        return wrong;
    }
    if plan.way == Way::NeverAsks {
        if !facts.hits.is_empty() {
            wrong.push(format!("half a request came to {:?}", facts.hits));
        }
        return wrong;
    }
    let Some(row) = facts.rows.first() else {
        // Behind a response that ended its connection nobody reads on.
        let is_unread = plan.way == Way::Follows && facts.hits.is_empty() && seen.end == End::Nothing;
        if !is_unread && !has_left_early(plan, seen) {
            wrong.push("no row".to_owned());
        }
        return wrong;
    };
    let visited = visited(row);
    check_hits(plan, facts, &visited, &mut wrong);
    for &upstream in visited.iter().rev().skip(1) {
        if !permit_of(plan, upstream, &facts.troubled).moves {
            let act = plan.acts[upstream];
            wrong.push(format!("another upstream was asked after {} had begun ({act:?})", UPSTREAMS[upstream]));
        }
    }
    if let Some(&last) = visited.last() {
        check_end(plan, facts, row, last, &mut wrong);
    } else if !has_left(plan, seen, row) {
        wrong.push(format!("no upstream was asked: {} {} {}", row.status, row.outcome, row.reason));
    }
    wrong
}

/// A client that did not wait for a byte may be gone before its request is read.
fn has_left_early(plan: &Plan, seen: &Seen) -> bool {
    plan.way == Way::Leaves(0) && seen.end == End::Left
}

fn has_left(plan: &Plan, seen: &Seen, row: &Row) -> bool {
    let may_leave = matches!(plan.way, Way::Leaves(_) | Way::HalfCloses);
    may_leave && seen.end != End::Whole && row.outcome == "client_aborted"
        // A half-closed connection may be taken for one that was left, before or while it is served.
        || plan.way == Way::HalfCloses && row.outcome == "client_aborted"
        || plan.way == Way::Follows && row.outcome == "client_aborted"
}

/// The upstreams that a row tells of, in their order.
fn visited(row: &Row) -> Vec<usize> {
    let index = |name: &String| UPSTREAMS.iter().position(|known| known == name);
    let mut visited: Vec<usize> = row.tried.iter().filter_map(index).collect();
    if let Some(last) = row.upstream.as_ref().and_then(index)
        && visited.last() != Some(&last)
    {
        visited.push(last);
    }
    visited
}

/// The relays and the row tell the same.
fn check_hits(plan: &Plan, facts: &Facts, visited: &[usize], wrong: &mut Vec<String>) {
    let is_open = |upstream: &&usize| !facts.troubled[**upstream];
    let hits: Vec<usize> = facts.hits.iter().filter(is_open).copied().collect();
    let mut expected = visited.iter().filter(is_open);
    for (at, hit) in hits.iter().enumerate() {
        let is_repeat = at > 0 && hits[at - 1] == *hit;
        if is_repeat && permit_of(plan, *hit, &facts.troubled).repeats {
            continue;
        }
        if expected.next() != Some(hit) {
            wrong.push(format!("it came to {:?}, the row tells of {visited:?}", facts.hits));
            return;
        }
    }
    // What was sent on a road that is not open may arrive late, or not at all.
    if facts.hits.iter().any(|hit| facts.troubled[*hit] && !visited.contains(hit)) {
        wrong.push(format!("it came to {:?}, the row tells of {visited:?}", facts.hits));
    }
    if plan.way == Way::Reads
        && let Some(&missing) = expected.next()
    {
        wrong.push(format!("it never came to {}, the row tells of {visited:?}", UPSTREAMS[missing]));
    }
}

/// Client and row tell what may follow from what the last upstream did.
fn check_end(plan: &Plan, facts: &Facts, row: &Row, last: usize, wrong: &mut Vec<String>) {
    let (seen, act) = (facts.seen, plan.acts[last]);
    let permit = permit_of(plan, last, &facts.troubled);
    let left = has_left(plan, seen, row);
    let who = format!("{} ({act:?}, {})", UPSTREAMS[last], if plan.is_stream { "stream" } else { "reply" });
    let (outcome, status) = (row.outcome.as_str(), row.status);
    if !permit.outcomes.contains(&outcome) && !left {
        wrong.push(format!("{who}: outcome {outcome}, not {:?}", permit.outcomes));
    }
    if let Some(shown) = seen.status {
        if shown != status {
            wrong.push(format!("{who}: the client got {shown}, the row has {status}"));
        }
        if !permit.statuses.contains(&shown) {
            wrong.push(format!("{who}: status {shown}, not {:?}", permit.statuses));
        }
    } else if seen.end == End::Nothing && !left && plan.way != Way::HalfCloses {
        wrong.push(format!("{who}: the client got nothing, the row has {status} {outcome}"));
    }
    check_body(plan, facts, last, &permit, &who, wrong);
    if !left {
        check_usage(plan, row, permit.usage, &who, wrong);
    }
}

fn check_body(plan: &Plan, facts: &Facts, last: usize, permit: &Permit, who: &str, wrong: &mut Vec<String>) {
    let seen = facts.seen;
    let Some(status) = seen.status else { return };
    let whole = plan.body(last).concat();
    let is_own_error = status != 200 && seen.body.starts_with(b"{\"type\":\"error\"") && seen.end != End::Cut;
    let may_be_error = matches!(permit.want, Want::Error | Want::ExactOrError | Want::CutOrError | Want::Broken);
    if may_be_error && is_own_error {
        return;
    }
    if !whole.starts_with(&seen.body) {
        wrong.push(format!("{who}: the client got other bytes than it sent: {}", shown(&seen.body)));
        return;
    }
    let is_whole = seen.body.len() == whole.len();
    match (&seen.end, permit.want) {
        (End::Left, _) => {}
        (End::Whole, _) if !is_whole => {
            wrong.push(format!("{who}: shown as whole with {} of {} bytes", seen.body.len(), whole.len()));
        }
        (End::Whole, Want::Cut | Want::Error) => wrong.push(format!("{who}: shown as whole, although it broke off")),
        (End::Cut, Want::Exact | Want::ExactOrError) if !has_gone(plan) => {
            wrong.push(format!("{who}: broke off after {} of {} bytes", seen.body.len(), whole.len()));
        }
        _ => {}
    }
}

/// Whether a client may be taken for one that has left.
fn has_gone(plan: &Plan) -> bool {
    plan.way == Way::HalfCloses
}

fn check_usage(plan: &Plan, row: &Row, usage: Usage, who: &str, wrong: &mut Vec<String>) {
    let [input, output, written, read] = plan.tokens;
    match usage {
        Usage::Any => {}
        Usage::Nothing => {
            if row.cost.unwrap_or(0) != 0 {
                wrong.push(format!("{who}: costs {:?}", row.cost));
            }
        }
        Usage::Whole => {
            if row.tokens != [input, output, written, read].map(Some) {
                wrong.push(format!("{who}: used {:?}, the row has {:?}", plan.tokens, row.tokens));
            }
            if row.cost != Some(plan.cost()) {
                wrong.push(format!("{who}: costs {}, the row has {:?}", plan.cost(), row.cost));
            }
        }
        Usage::Begun => {
            let begun = [row.tokens[0], row.tokens[2], row.tokens[3]];
            if begun != [input, written, read].map(Some) {
                wrong.push(format!("{who}: used {:?}, the row has {:?}", plan.tokens, row.tokens));
            }
        }
    }
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(160)]).into_owned()
}
