//! Limits in the team's file: what is done for wishes about them, and what requests see of them.

use super::asked::{Asked, Failure, Terms, find_token, group, note, user};
use super::read;
use super::wish::{LimitRow, Told, UsageRow, Whom, Wish};
use crate::ledger::usage::{self, Used};
use crate::ledger::{Owner, Owners};
use gateway_core::both;
use gateway_core::team::limit::{Limit, LimitFault, Subject, Window};
use gateway_core::team::measure::Measure;
use gateway_core::team::token::State;
use jiff::tz::TimeZone;
use rusqlite::{Connection, Params, Transaction, params};
use serde_json::Number;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What one dollar is in the ledger.
const DOLLAR: f64 = 1e9;

/// Fulfills a wish about limits.
pub(super) fn act(file: &Transaction<'_>, wish: &Wish, asked: Asked<'_>) -> Result<Told, Failure> {
    match wish {
        Wish::AddLimits { of, limits } => {
            add(file, &subject(file, of, asked.now_ms)?, limits, asked)?;
            Ok(Told::Limits(rows(file, Some(of), asked)?))
        }
        Wish::RemoveLimits { of, limits } => {
            remove(file, &subject(file, of, asked.now_ms)?, limits, asked)?;
            Ok(Told::Limits(rows(file, Some(of), asked)?))
        }
        Wish::ListLimits { of } => Ok(Told::Limits(rows(file, of.as_ref(), asked)?)),
        Wish::Usage { of } => used(&chosen(file, of.as_ref(), asked)?, asked),
        Wish::UsageOfToken { token } => used(&applied_to(file, token, asked)?, asked),
        _ => Ok(Told::Limits(Vec::new())),
    }
}

/// What is used of the limits of these.
fn used(owners: &[Owner], asked: Asked<'_>) -> Result<Told, Failure> {
    let used = usage::read(asked.folder, owners)?;
    let rows = owners
        .iter()
        .zip(used)
        .flat_map(|(owner, used)| used.into_iter().map(move |used| usage_row(owner, &used)).collect::<Vec<_>>());
    Ok(Told::Usage(rows.collect()))
}

/// A kind of subject, and its id.
pub(super) type SubjectId = (Subject, String);

/// Adds limits, or changes those that are there.
pub(super) fn add(
    file: &Transaction<'_>,
    (kind, id): &SubjectId,
    limits: &[String],
    asked: Asked<'_>,
) -> Result<(), Failure> {
    for text in limits {
        let limit: Limit = text.parse()?;
        let before = amount(file, (*kind, id), &limit)?;
        let sql = "INSERT INTO limits (subject_kind, subject_id, measure, window, amount, created_ms) \
                   VALUES (?, ?, ?, ?, ?, ?) \
                   ON CONFLICT (subject_kind, subject_id, measure, window) DO UPDATE SET amount = excluded.amount";
        let (measure, window) = (limit.measure.code(), limit.window.code());
        let amount = i64::try_from(limit.amount).unwrap_or(i64::MAX);
        file.execute(sql, params![kind.code(), id, measure, window, amount, asked.now_ms])?;
        let before = before.map(|amount| Limit { amount, ..limit }.to_string());
        note(file, asked, "limit.add", id, before, Some(limit.to_string()))?;
    }
    Ok(())
}

fn remove(file: &Transaction<'_>, (kind, id): &SubjectId, limits: &[String], asked: Asked<'_>) -> Result<(), Failure> {
    for text in limits {
        let parts: Vec<&str> = text.splitn(3, ':').collect();
        let known = match parts[..] {
            [measure, window] | [measure, window, _] => Measure::of_code(measure).zip(Window::of_code(window)),
            _ => None,
        };
        let Some((measure, window)) = known else {
            let shown: String = text.chars().take(64).collect();
            return Err(both!(
                "{shown:?} names no limit: write MEASURE:WINDOW, as in usd:day",
                "{shown:?} 不是限额的名称：应写成“计量项:时间窗口”，例如 usd:day"
            )
            .into());
        };
        let limit = Limit { measure, window, amount: 1 };
        let Some(before) = amount(file, (*kind, id), &limit)? else {
            let (measure, window) = (measure.code(), window.code());
            return Err(Failure::absent(both!(
                "there is no limit {measure}:{window}: `anyrouter-gateway limit list` has all",
                "没有 {measure}:{window} 这个限额：`anyrouter-gateway limit list` 列出所有限额"
            )));
        };
        let sql = "DELETE FROM limits WHERE subject_kind = ? AND subject_id = ? AND measure = ? AND window = ?";
        file.execute(sql, params![kind.code(), id, measure.code(), window.code()])?;
        let before = Limit { amount: before, ..limit }.to_string();
        note(file, asked, "limit.remove", id, Some(before), None::<()>)?;
    }
    Ok(())
}

fn amount(file: &Connection, (kind, id): (Subject, &str), limit: &Limit) -> rusqlite::Result<Option<u64>> {
    let sql = "SELECT amount FROM limits WHERE subject_kind = ? AND subject_id = ? AND measure = ? AND window = ?";
    let values = params![kind.code(), id, limit.measure.code(), limit.window.code()];
    let mut amounts = file.prepare_cached(sql)?;
    let amount = amounts.query_map(values, |row| row.get::<_, i64>(0))?.next().transpose()?;
    Ok(amount.map(|amount| amount.max(0).unsigned_abs()))
}

fn subject(file: &Connection, of: &Whom, now_ms: i64) -> Result<SubjectId, Failure> {
    match of {
        Whom::Token(token) => Ok((Subject::Token, find_token(file, token, now_ms)?.id)),
        Whom::User(name) => Ok((Subject::User, user(file, name)?)),
        Whom::Group(name) => Ok((Subject::Group, group(file, name)?)),
    }
}

/// Whoever has limits, or the one that is asked for.
fn chosen(file: &Connection, of: Option<&Whom>, asked: Asked<'_>) -> Result<Vec<Owner>, Failure> {
    let wanted = of.map(|of| subject(file, of, asked.now_ms)).transpose()?;
    sorted(file, asked, |owner| wanted.as_ref().is_none_or(|(kind, id)| owner.kind == *kind && *owner.id == **id))
}

/// Those of a token, its user and its group that have limits.
fn applied_to(file: &Connection, token: &str, asked: Asked<'_>) -> Result<Vec<Owner>, Failure> {
    let row = find_token(file, token, asked.now_ms)?;
    let Some(member) = members(file, asked.terms, "tokens.id = ?", [&row.id])?.pop() else { return Ok(Vec::new()) };
    // That of a token that is revoked limits nothing any more.
    let own = Some((Subject::Token, member.token, member.name)).filter(|_| row.state != State::Revoked.code());
    let group = member.group.map(|(id, name)| (Subject::Group, id, name));
    let mut owners = Vec::new();
    for (kind, id, name) in own.into_iter().chain([(Subject::User, member.user, member.user_name)]).chain(group) {
        let limits =
            limits(file, "WHERE subject_kind = ? AND subject_id = ?", [kind.code(), &id])?.into_values().next();
        let owner = |limits| Owner { kind, id: id.into(), name, zone: member.zone.clone(), limits };
        owners.extend(limits.map(owner));
    }
    Ok(owners)
}

fn sorted(file: &Connection, asked: Asked<'_>, is_wanted: impl Fn(&Owner) -> bool) -> Result<Vec<Owner>, Failure> {
    let mut owners: Vec<Owner> = owners(file, asked.terms)?.into_values().map(Arc::unwrap_or_clone).collect();
    owners.retain(is_wanted);
    owners.sort_by(|one, other| (one.kind as u8, &one.name).cmp(&(other.kind as u8, &other.name)));
    Ok(owners)
}

fn rows(file: &Connection, of: Option<&Whom>, asked: Asked<'_>) -> Result<Vec<LimitRow>, Failure> {
    let owners = chosen(file, of, asked)?;
    Ok(owners.iter().flat_map(|owner| owner.limits.iter().map(move |limit| limit_row(owner, limit))).collect())
}

fn limit_row(owner: &Owner, limit: &Limit) -> LimitRow {
    LimitRow {
        subject: owner.kind.code().to_owned(),
        id: owner.id.to_string(),
        name: owner.name.clone(),
        limit: limit.to_string(),
        measure: limit.measure.code().to_owned(),
        window: limit.window.code().to_owned(),
        amount: number(limit.measure, i64::try_from(limit.amount).unwrap_or(i64::MAX)),
    }
}

fn usage_row(owner: &Owner, used: &Used) -> UsageRow {
    let measure = used.limit.measure;
    let amount = i64::try_from(used.limit.amount).unwrap_or(i64::MAX);
    UsageRow {
        limit: limit_row(owner, &used.limit),
        used: used.used.map(|used| number(measure, used)),
        held: number(measure, used.held),
        left: used.used.map(|spent| number(measure, amount.saturating_sub(spent).saturating_sub(used.held).max(0))),
        is_used_up: used.used.is_some_and(|spent| spent >= amount),
        opens_at_ms: used.opens_ms,
        resets_at_ms: used.ends_ms,
    }
}

/// An amount in its measure's own unit.
fn number(measure: Measure, amount: i64) -> Number {
    match measure {
        Measure::Usd => Number::from_f64(amount as f64 / DOLLAR).unwrap_or_else(|| amount.into()),
        _ => amount.into(),
    }
}

/// Of each kind and id what is there of it.
pub(super) type BySubject<T> = BTreeMap<(&'static str, String), T>;

/// The limits with this condition.
fn limits(file: &Connection, condition: &str, values: impl Params) -> rusqlite::Result<BySubject<Vec<Limit>>> {
    let mut limits: BySubject<Vec<Limit>> = BTreeMap::new();
    let sql = format!("SELECT subject_kind, subject_id, measure, window, amount FROM limits {condition}");
    let row = |row: &rusqlite::Row<'_>| {
        let code = |at: usize| row.get::<_, String>(at);
        Ok((code(0)?, code(1)?, code(2)?, code(3)?, row.get::<_, i64>(4)?))
    };
    for (kind, id, measure, window, amount) in read::all(file, &sql, values, row)? {
        let known = Subject::of_code(&kind).zip(Measure::of_code(&measure)).zip(Window::of_code(&window));
        match known {
            Some(((kind, measure), window)) => {
                let limit = Limit { measure, window, amount: amount.max(0).unsigned_abs() };
                limits.entry((kind.code(), id)).or_default().push(limit);
            }
            None => log::warn!("the limit {measure}:{window} of {id} is none that this version knows"),
        }
    }
    Ok(limits)
}

/// Whoever has limits.
pub(super) fn owners(file: &Connection, terms: &Terms) -> rusqlite::Result<BySubject<Arc<Owner>>> {
    let mut limits = limits(file, "", [])?;
    let mut owners = BTreeMap::new();
    let mut own = |kind: Subject, id: &str, name: &str, zone: &TimeZone| {
        if let Some(limits) = limits.remove(&(kind.code(), id.to_owned())) {
            let owner = Owner { kind, id: id.into(), name: name.to_owned(), zone: zone.clone(), limits };
            owners.insert((kind.code(), id.to_owned()), Arc::new(owner));
        }
    };
    for Member { token, name, user, user_name, group, zone } in members(file, terms, IN_USE, [])? {
        own(Subject::Token, &token, &name, &zone);
        own(Subject::User, &user, &user_name, &zone);
        if let Some((group, group_name)) = group {
            own(Subject::Group, &group, &group_name, &zone);
        }
    }
    // Those without a token yet.
    let zones: BTreeMap<String, TimeZone> =
        read::groups(file, "", [])?.into_iter().map(|group| (group.name, terms.zone(Some(&group.time_zone)))).collect();
    for user in read::users(file, "", [])? {
        let zone = user.group.as_ref().and_then(|group| zones.get(group)).cloned().unwrap_or_else(|| terms.zone(None));
        own(Subject::User, &user.id, &user.name, &zone);
    }
    for group in read::groups(file, "", [])? {
        own(Subject::Group, &group.id, &group.name, &terms.zone(Some(&group.time_zone)));
    }
    Ok(owners)
}

/// A token, and whose it is.
struct Member {
    token: String,
    name: String,
    user: String,
    user_name: String,
    group: Option<(String, String)>,
    zone: TimeZone,
}

/// The condition of tokens that are not revoked.
const IN_USE: &str = "tokens.state <> 'revoked'";

/// The tokens with this condition.
fn members(file: &Connection, terms: &Terms, condition: &str, values: impl Params) -> rusqlite::Result<Vec<Member>> {
    let sql = format!(
        "SELECT tokens.id, tokens.name, users.id, users.name, groups.id, groups.name, groups.time_zone \
         FROM tokens JOIN users ON users.id = tokens.user_id LEFT JOIN groups ON groups.id = users.group_id \
         WHERE {condition}"
    );
    read::all(file, &sql, values, |row| {
        let (name, user_name): (String, String) = (row.get(1)?, row.get(3)?);
        let group: Option<String> = row.get(4)?;
        let group_name: Option<String> = row.get(5)?;
        let of_group: Option<String> = row.get(6)?;
        Ok(Member {
            token: row.get(0)?,
            name: format!("{user_name}/{name}"),
            user: row.get(2)?,
            user_name,
            group: group.zip(group_name),
            zone: terms.zone(of_group.as_deref()),
        })
    })
}

/// What requests are checked against, by the ids of tokens. Tokens without limits, their own or others', are not in it.
pub(super) fn for_requests(file: &Connection, terms: &Terms) -> rusqlite::Result<Vec<(Arc<str>, Owners)>> {
    let owners = owners(file, terms)?;
    if owners.is_empty() {
        return Ok(Vec::new());
    }
    let own = |kind: Subject, id: String| owners.get(&(kind.code(), id)).cloned();
    let of_token = |member: Member| {
        let token: Arc<str> = member.token.as_str().into();
        let group = member.group.and_then(|(group, _)| own(Subject::Group, group));
        let owners = [own(Subject::Token, member.token), own(Subject::User, member.user), group];
        owners.iter().any(Option::is_some).then_some((token, owners))
    };
    Ok(members(file, terms, IN_USE, [])?.into_iter().filter_map(of_token).collect())
}

impl From<LimitFault> for Failure {
    fn from(fault: LimitFault) -> Self {
        fault.words().into()
    }
}
