//! What the commands of the team print.

use super::limits;
use super::table::{table, time};
use crate::language::{padded, say, width};
use crate::team::{GroupRow, Issued, TokenRow, Told, UserRow, Wish};

/// What is told, for people or as JSON: an array for a list, an object for one thing. What only people need is said on
/// standard error, so that a script finds the token alone.
///
/// # Errors
/// When there is no such token.
pub(super) fn print(wish: &Wish, told: Told, is_json: bool) -> Result<String, String> {
    let is_one = matches!(
        wish,
        Wish::CreateGroup { .. }
            | Wish::CreateUser { .. }
            | Wish::SuspendUser { .. }
            | Wish::CreateToken(_)
            | Wish::ShowToken { .. }
            | Wish::RotateToken { .. }
            | Wish::RevokeToken { .. }
    );
    let is_list = !is_one;
    let rows = match &told {
        Told::Groups(rows) => serde_json::to_value(rows),
        Told::Users(rows) => serde_json::to_value(rows),
        Told::Tokens(rows) => serde_json::to_value(rows),
        Told::Issued(issued) => serde_json::to_value([issued]),
        Told::Limits(rows) => serde_json::to_value(rows),
        Told::Usage(rows) => serde_json::to_value(rows),
        Told::Audit(rows) => serde_json::to_value(rows),
    };
    if is_json {
        let rows = rows.map_err(|error| error.to_string())?;
        let one = if is_list { Some(rows) } else { rows.get(0).cloned() };
        return one.map(|value| value.to_string()).ok_or_else(none);
    }
    Ok(match told {
        Told::Groups(rows) => table(&group_head(), rows.iter().map(group)),
        Told::Users(rows) => table(&user_head(), rows.iter().map(user)),
        Told::Tokens(rows) if rows.is_empty() && !is_list => return Err(none()),
        Told::Tokens(rows) if matches!(wish, Wish::ShowToken { .. }) => rows.iter().map(facts).collect(),
        Told::Tokens(rows) => table(&token_head(), rows.iter().map(token)),
        Told::Limits(rows) => limits::limits(&rows),
        Told::Usage(rows) => limits::usage(&rows),
        // No command asks for it.
        Told::Audit(_) => String::new(),
        Told::Issued(Issued { id, token, old_until_ms }) => {
            let note = say!(
                "{id}: this is the only time that its token is shown. Clients take it as ANTHROPIC_AUTH_TOKEN",
                "{id}：令牌只显示这一次。请填入客户端的 ANTHROPIC_AUTH_TOKEN"
            );
            eprintln!("{note}");
            if let Some(until) = old_until_ms {
                eprintln!("{}", say!("the old one is good until {until}", "旧令牌可用到 {until}", until = time(until)));
            }
            token.expose().to_owned()
        }
    })
}

fn none() -> String {
    say!(
        "there is no such token: `anyrouter-gateway token list` has the ids (tok_...)",
        "没有这个令牌：`anyrouter-gateway token list` 列出所有 id（tok_...）"
    )
}

fn group_head() -> [String; 3] {
    [say!("GROUP", "用户组"), say!("TIME ZONE", "时区"), say!("CREATED", "创建时间")]
}

fn group(row: &GroupRow) -> [String; 3] {
    [row.name.clone(), row.time_zone.clone(), time(row.created_at_ms)]
}

fn user_head() -> [String; 5] {
    [
        say!("USER", "用户"),
        say!("GROUP", "用户组"),
        say!("STATE", "状态"),
        say!("TOKENS", "令牌数"),
        say!("E-MAIL", "邮箱"),
    ]
}

fn user(row: &UserRow) -> [String; 5] {
    [
        row.name.clone(),
        row.group.clone().unwrap_or_default(),
        state(&row.state),
        row.tokens.to_string(),
        row.email.clone().unwrap_or_default(),
    ]
}

fn token_head() -> [String; 6] {
    [
        "ID".to_owned(),
        say!("USER/NAME", "用户/名称"),
        say!("TOKEN", "令牌"),
        say!("STATE", "状态"),
        say!("EXPIRES", "到期时间"),
        say!("LAST USED", "最近使用"),
    ]
}

fn token(row: &TokenRow) -> [String; 6] {
    [
        row.id.clone(),
        format!("{}/{}", row.user, row.name),
        row.hint.clone(),
        state(&row.state),
        row.expires_at_ms.map(time).unwrap_or_default(),
        row.used_on.clone().unwrap_or_default(),
    ]
}

/// All that is known of a token, a line each.
fn facts(row: &TokenRow) -> String {
    let list = |items: &[String]| if items.is_empty() { say!("all", "全部") } else { items.join(", ") };
    let any = |time_ms: Option<i64>| time_ms.map_or_else(|| "-".to_owned(), time);
    let lines = [
        ("ID".to_owned(), row.id.clone()),
        (say!("user", "用户"), row.user.clone()),
        (say!("group", "用户组"), row.group.clone().unwrap_or_else(|| "-".to_owned())),
        (say!("name", "名称"), row.name.clone()),
        (say!("token", "令牌"), row.hint.clone()),
        (say!("state", "状态"), state(&row.state)),
        (say!("models", "模型"), list(&row.models)),
        (say!("upstreams", "上游"), list(&row.upstreams)),
        (say!("addresses", "来源地址"), list(&row.addresses)),
        (say!("expires", "到期时间"), any(row.expires_at_ms)),
        (say!("old token good until", "旧令牌可用到"), any(row.old_until_ms)),
        (say!("last used", "最近使用"), row.used_on.clone().unwrap_or_else(|| "-".to_owned())),
        (say!("created", "创建时间"), time(row.created_at_ms)),
    ];
    let widest = lines.iter().map(|(name, _)| width(name)).max().unwrap_or_default();
    let lines = lines.map(|(name, value)| format!("{}  {value}", padded(&name, widest)));
    lines.join("\n")
}

fn state(code: &str) -> String {
    match code {
        "active" => say!("active", "可用"),
        "suspended" => say!("suspended", "已停用"),
        "revoked" => say!("revoked", "已吊销"),
        "expired" => say!("expired", "已过期"),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> TokenRow {
        TokenRow {
            id: "tok_1".to_owned(),
            user: "alice".to_owned(),
            group: None,
            name: "default".to_owned(),
            hint: "agw_abcd...wxyz".to_owned(),
            state: "active".to_owned(),
            models: vec!["claude-*".to_owned()],
            upstreams: Vec::new(),
            addresses: Vec::new(),
            expires_at_ms: Some(1_791_331_200_000),
            old_until_ms: None,
            used_on: None,
            created_at_ms: 0,
        }
    }

    #[test]
    fn a_list_is_a_table_or_an_array_and_one_thing_is_an_object() {
        let list = Wish::ListTokens { user: None };
        let show = Wish::ShowToken { token: "tok_1".to_owned() };
        let text = print(&list, Told::Tokens(vec![row()]), false).expect("a table");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("ID     USER/NAME      TOKEN"), "{text}");
        assert_eq!(lines[1], "tok_1  alice/default  agw_abcd...wxyz  active  2026-10-07T00:00:00Z");
        let text = print(&show, Told::Tokens(vec![row()]), false).expect("facts");
        assert!(text.contains("\nmodels                claude-*\n"), "{text}");
        let json = |wish, rows| print(wish, Told::Tokens(rows), true).map(|text| text.chars().next());
        assert_eq!((json(&list, vec![]), json(&show, vec![row()])), (Ok(Some('[')), Ok(Some('{'))));
        assert!(json(&show, vec![]).is_err() && print(&show, Told::Tokens(vec![]), false).is_err());
    }
}
