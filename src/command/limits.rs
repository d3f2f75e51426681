//! What the commands about limits print for people.

use super::table::{table, time};
use crate::language::say;
use crate::team::{LimitRow, UsageRow};
use gateway_core::team::limit::Subject;
use serde_json::Number;

/// Limits, a line each.
pub(super) fn limits(rows: &[LimitRow]) -> String {
    let head = [say!("OF", "对象"), say!("NAME", "名称"), say!("LIMIT", "限额")];
    table(&head, rows.iter().map(|row| [subject(&row.subject), row.name.clone(), row.limit.clone()]))
}

/// What is used of limits, a line each.
pub(super) fn usage(rows: &[UsageRow]) -> String {
    let head = [
        say!("OF", "对象"),
        say!("NAME", "名称"),
        say!("LIMIT", "限额"),
        say!("USED", "已用"),
        say!("HELD", "占用中"),
        say!("LEFT", "剩余"),
        say!("RESETS", "重置时间"),
    ];
    let amount = |amount: &Option<Number>| amount.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let cells = |row: &UsageRow| {
        [
            subject(&row.limit.subject),
            row.limit.name.clone(),
            row.limit.limit.clone(),
            amount(&row.used),
            row.held.to_string(),
            amount(&row.left),
            row.resets_at_ms.map_or_else(|| "-".to_owned(), time),
        ]
    };
    table(&head, rows.iter().map(cells))
}

fn subject(code: &str) -> String {
    match Subject::of_code(code) {
        Some(Subject::Token) => say!("token", "令牌"),
        Some(Subject::User) => say!("user", "用户"),
        Some(Subject::Group) => say!("group", "用户组"),
        None => code.to_owned(),
    }
}
