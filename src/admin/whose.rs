//! Whose requests a query asks for: `token`, `user` and `group`, which become the ids of tokens.

use super::parameters::Parameters;
use super::refused::Refused;
use gateway_core::team::roster::Roster;
use std::sync::Arc;

/// The ids of the tokens whose requests are asked for: those that all of the parameters fit. `None` if the query has none of
/// them. Of users and groups that nobody knows it is none at all.
pub(super) fn tokens(parameters: &Parameters, roster: &Roster) -> Result<Option<Vec<String>>, Refused> {
    let (tokens, users, groups) = (parameters.list("token")?, parameters.list("user")?, parameters.list("group")?);
    if users.is_empty() && groups.is_empty() {
        // Of a token that is forgotten there may still be requests.
        return Ok(Some(tokens).filter(|tokens| !tokens.is_empty()));
    }
    let is_among = |wanted: &[String], name: Option<&Arc<str>>| {
        wanted.is_empty() || name.is_some_and(|name| wanted.iter().any(|wanted| **wanted == **name))
    };
    Ok(Some(roster.ids(|holder| {
        is_among(&tokens, Some(&holder.token))
            && is_among(&users, Some(&holder.user))
            && is_among(&groups, holder.group.as_ref())
    })))
}
