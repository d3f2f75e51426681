//! The team: its groups, users and client tokens, in a file of their own (`team.db` in the state folder), and what commands
//! change of them. Requests see none of this, but a [`Roster`](gateway_core::team::roster::Roster) that is made of it.
//!
//! It is not the request log's file: that one may be switched off, is pruned, moved aside when it is damaged, and made anew
//! when somebody deletes it, and the last rows may be lost at a power cut. A token, or its end, must not go with it.

mod actions;
mod asked;
mod changes;
mod in_dollars;
mod keeper;
mod limits;
mod read;
mod rotation;
mod secrets;
mod store;
mod valid;
mod wish;

pub(crate) use asked::Terms;
pub(crate) use in_dollars::InDollars;
pub(crate) use keeper::{Keeper, Seen, roster};
pub(crate) use valid::Upstreams;
pub(crate) use wish::{
    Actor, Denial, GroupRow, Issued, LimitRow, NewToken, Noted, Obstacle, TokenRow, Told, UsageRow, UserRow, Whom, Wish,
};
