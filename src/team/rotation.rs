//! Another text for a token: how long the one before it is good, and how often there may be one.

use super::asked::{Asked, Failure, find_token, note};
use super::secrets::{self, random};
use super::valid;
use super::wish::{Issued, TokenText, Told};
use gateway_core::both;
use gateway_core::team::text;
use gateway_core::team::token::State;
use rusqlite::{Transaction, params};

/// Texts of one token that are good at the same time, and that it gets within an hour. As many are remembered: what is older
/// is unknown, and no more expired.
const MOST_SECRETS: i64 = 8;
const HOUR_MS: i64 = 3_600_000;

/// Issues another text for a token.
pub(super) fn rotate(file: &Transaction<'_>, token: &str, overlap_ms: i64, asked: Asked<'_>) -> Result<Told, Failure> {
    valid::overlap(overlap_ms)?;
    let before = find_token(file, token, asked.now_ms)?;
    let (id, old_until) = (before.id.clone(), asked.now_ms.saturating_add(overlap_ms));
    if before.state == State::Revoked.code() {
        return Err(both!(
            "{id} is revoked: it gets no new text; create another token",
            "{id} 已吊销，不能轮换：请新建令牌"
        )
        .into());
    }
    if before.state == "expired" {
        return Err(both!(
            "{id} is expired: it gets no new text; create another token",
            "{id} 已过期，不能轮换：请新建令牌"
        )
        .into());
    }
    may_rotate(file, &id, old_until, asked.now_ms)?;
    // One that ends earlier still does.
    let end = "UPDATE secrets SET expires_ms = MIN(COALESCE(expires_ms, ?1), ?1) WHERE token_id = ?2";
    file.execute(end, params![old_until, id])?;
    let text = text::of(random()?);
    secrets::add(file, &id, &text, asked.now_ms)?;
    let forget = "DELETE FROM secrets WHERE token_id = ?1 AND expires_ms <= ?2 AND created_ms <= ?2 - ?3 \
                      AND digest NOT IN (SELECT digest FROM secrets WHERE token_id = ?1 \
                      ORDER BY expires_ms IS NOT NULL, expires_ms DESC, created_ms DESC LIMIT ?4)";
    file.execute(forget, params![id, asked.now_ms, HOUR_MS, MOST_SECRETS])?;
    file.execute("UPDATE tokens SET hint = ? WHERE id = ?", params![text::hint(&text), id])?;
    let row = find_token(file, &id, asked.now_ms)?;
    note(file, asked, "token.rotate", &id, Some(&before), Some(&row))?;
    Ok(Told::Issued(Issued { id, token: TokenText(text), old_until_ms: Some(old_until) }))
}

/// Whether a token may get another text, so that those before it are good until then at most: what was promised of those is
/// kept, and whoever rotates again and again does not push older changes out of the audit.
fn may_rotate(file: &Transaction<'_>, id: &str, old_until_ms: i64, now_ms: i64) -> Result<(), Failure> {
    let recent = "SELECT COUNT(*), MIN(created_ms) FROM secrets WHERE token_id = ? AND created_ms > ?";
    let count = |sql: &str, values: &[&dyn rusqlite::ToSql]| -> rusqlite::Result<(i64, Option<i64>)> {
        file.query_row(sql, values, |row| Ok((row.get(0)?, row.get(1)?)))
    };
    if let (MOST_SECRETS.., Some(first)) = count(recent, params![id, now_ms - HOUR_MS])? {
        let why = both!(
            "{id} has had {MOST_SECRETS} texts within an hour, the most there can be: rotate it later",
            "{id} 一小时内已有 {MOST_SECRETS} 个令牌文本，达到上限：请稍后再轮换"
        );
        return Err(Failure::too_often(why, first + HOUR_MS, now_ms));
    }
    let good = "SELECT COUNT(*), MIN(MIN(COALESCE(expires_ms, ?2), ?2)) FROM secrets \
                WHERE token_id = ?1 AND MIN(COALESCE(expires_ms, ?2), ?2) > ?3";
    if let (MOST_SECRETS.., Some(first)) = count(good, params![id, old_until_ms, now_ms])? {
        let why = both!(
            "{MOST_SECRETS} texts of {id} are still good, the most there can be: rotate it without overlap (--overlap 0s), \
             or when the first of them has ended",
            "{id} 仍有 {MOST_SECRETS} 个有效的令牌文本，达到上限：请不留重叠时间轮换（--overlap 0s），或等最早的一个失效"
        );
        return Err(Failure::too_often(why, first, now_ms));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::actions::act;
    use super::super::asked::Terms;
    use super::super::store::Store;
    use super::super::valid::Upstreams;
    use super::super::wish::{Actor, NewToken, Obstacle, Wish};
    use super::*;
    use crate::config::TeamBounds;
    use jiff::tz::TimeZone;
    use std::path::Path;

    const START: i64 = 1_800_000_000_000;

    /// What comes of a wish at this time, and whether it is written.
    fn done(store: &mut Store, wish: &Wish, now_ms: i64) -> Result<Told, Obstacle> {
        let actor = Actor { name: "alice".to_owned(), address: None };
        let upstreams = Upstreams { keyed: vec!["relay".to_owned()], keyless: Vec::new() };
        let bounds = TeamBounds { tokens: 9, users: 9, groups: 9, guesses: 9, guesses_in_all: 9, waiting: 9 };
        let terms = Terms { zone: TimeZone::UTC, bounds };
        let asked = Asked { actor: &actor, now_ms, upstreams: &upstreams, folder: Path::new(""), terms: &terms };
        let file = store.transaction(true).expect("begun");
        let told = act(&file, wish, asked).map_err(|failure| match failure {
            Failure::Refused(kind, _) => kind,
            Failure::File(error) => panic!("{error}"),
        })?;
        file.commit().expect("written");
        Ok(told)
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = Store::open(&folder.path().join("team.db")).expect("opened");
        let user = Wish::CreateUser { name: "alice".to_owned(), email: None, group: None, role: None };
        done(&mut store, &user, START).expect("made");
        let new = NewToken { user: "alice".to_owned(), name: "default".to_owned(), ..NewToken::default() };
        done(&mut store, &Wish::CreateToken(new), START).expect("issued");
        (folder, store)
    }

    fn rotate(store: &mut Store, overlap_ms: i64, now_ms: i64) -> Result<(), Obstacle> {
        done(store, &Wish::RotateToken { token: "alice/default".to_owned(), overlap_ms }, now_ms).map(drop)
    }

    fn texts(store: &mut Store) -> i64 {
        let file = store.transaction(false).expect("begun");
        file.query_row("SELECT COUNT(*) FROM secrets", [], |row| row.get(0)).expect("a number")
    }

    #[test]
    fn a_token_gets_so_many_texts_an_hour_and_no_more() {
        let (_folder, mut store) = store();
        for minute in 1..8 {
            assert_eq!(rotate(&mut store, 0, START + minute * 60_000), Ok(()), "{minute}");
        }
        assert_eq!(rotate(&mut store, 0, START + 8 * 60_000), Err(Obstacle::Often(52 * 60)));
        assert_eq!(rotate(&mut store, 0, START + HOUR_MS), Ok(()));
        assert_eq!(rotate(&mut store, 0, START + HOUR_MS), Err(Obstacle::Often(60)));
    }

    #[test]
    fn no_text_ends_before_it_was_promised_to() {
        let (_folder, mut store) = store();
        let (day, hour) = (24 * HOUR_MS, |hours: i64| START + hours * HOUR_MS);
        for hours in 1..8 {
            assert_eq!(rotate(&mut store, 30 * day, hour(hours)), Ok(()), "{hours}");
        }
        // The first one is good until thirty days after the first rotation.
        assert_eq!(rotate(&mut store, 30 * day, hour(8)), Err(Obstacle::Often((30 * 24 - 7) * 3_600)));
        assert_eq!(texts(&mut store), MOST_SECRETS);
        // Without overlap all end, and what is over is remembered for a while.
        assert_eq!(rotate(&mut store, 0, hour(8)), Ok(()));
        assert_eq!(rotate(&mut store, day, hour(10)), Ok(()));
        assert_eq!(texts(&mut store), MOST_SECRETS);
    }
}
