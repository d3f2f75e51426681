//! What can be asked of the team, and what is told: the same for the command line, over the control socket or not.

use gateway_core::language::Words;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Number, Value};
use std::fmt;
use std::net::IpAddr;

/// What is wanted of the team.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Wish {
    /// A new group.
    CreateGroup {
        /// Its name.
        name: String,
        /// Its time zone, as IANA calls it.
        time_zone: String,
    },
    /// All groups.
    ListGroups,
    /// A new user.
    CreateUser {
        /// The user's name.
        name: String,
        /// An address.
        email: Option<String>,
        /// The name of a group.
        group: Option<String>,
        /// `member` or `admin`; without it `member`.
        #[serde(default)]
        role: Option<String>,
    },
    /// Something else of a user.
    ChangeUser {
        /// The user's name or id.
        user: String,
        /// What changes.
        change: UserChange,
    },
    /// All users.
    ListUsers,
    /// A user, and all of the user's tokens, out of use or in it again.
    SuspendUser {
        /// The user's name.
        name: String,
        /// Out of use.
        is_suspended: bool,
    },
    /// A new token.
    CreateToken(NewToken),
    /// Something else of a token.
    ChangeToken {
        /// Its id, or USER/NAME.
        token: String,
        /// What changes.
        change: TokenChange,
    },
    /// The tokens of a user, or all.
    ListTokens {
        /// The user's name or id.
        user: Option<String>,
    },
    /// One token.
    ShowToken {
        /// Its id, or USER/NAME.
        token: String,
    },
    /// Another text for a token.
    RotateToken {
        /// Its id, or USER/NAME.
        token: String,
        /// How long the old text is good, in milliseconds.
        overlap_ms: i64,
    },
    /// The end of a token.
    RevokeToken {
        /// Its id, or USER/NAME.
        token: String,
    },
    /// Limits, in place of those with the same measure and window.
    AddLimits {
        /// Whose.
        of: Whom,
        /// As they are written: `usd:day:5`.
        limits: Vec<String>,
    },
    /// Limits that are no more.
    RemoveLimits {
        /// Whose.
        of: Whom,
        /// Their measures and windows: `usd:day`.
        limits: Vec<String>,
    },
    /// Limits.
    ListLimits {
        /// Whose; all without.
        of: Option<Whom>,
    },
    /// What is used of limits.
    Usage {
        /// Whose; all without.
        of: Option<Whom>,
    },
    /// What is used of all limits that requests with a token are checked against.
    UsageOfToken {
        /// Its id, or USER/NAME.
        token: String,
    },
    /// Who changed what, the newest first.
    ReadAudit {
        /// Only what came before the row with this number.
        before: Option<i64>,
        /// How many rows at most.
        most: u32,
    },
}

/// Whose limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Whom {
    /// Those of the token with this id, or this USER/NAME.
    Token(String),
    /// Those of the user with this name, or this id.
    User(String),
    /// Those of the group with this name, or this id.
    Group(String),
}

/// A change of something else than the team, for the audit; nothing in it is a secret.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Noted {
    /// What was done: `config.reload`.
    pub action: &'static str,
    /// To what.
    pub target: String,
    /// What was before.
    pub before: Option<Value>,
    /// What is now.
    pub after: Option<Value>,
}

/// Who wishes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Actor {
    /// As the audit has it.
    pub name: String,
    /// Where it comes from, if it comes over a network.
    pub address: Option<IpAddr>,
}

/// Why a wish is not fulfilled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Denial {
    /// What stands in the way.
    pub kind: Obstacle,
    /// What is said.
    pub words: Words,
}

/// What stands in the way of a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// It cannot be as it was wished.
    Unfit,
    /// What it is about is not there.
    Absent,
    /// There is one of that name.
    Taken,
    /// It was done so often that it has to wait for so many seconds.
    Often(u64),
    /// The file cannot be used.
    File,
}

/// What changes of a user; what is not given stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::option_option, reason = "not given, or taken away")]
pub(crate) struct UserChange {
    /// An address, or none.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub email: Option<Option<String>>,
    /// The name of a group, or none.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub group: Option<Option<String>>,
    /// `member` or `admin`.
    pub role: Option<String>,
    /// `active` or `suspended`.
    pub state: Option<String>,
}

/// What changes of a token; what is not given stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::option_option, reason = "not given, or taken away")]
pub(crate) struct TokenChange {
    /// What its user tells it by.
    pub name: Option<String>,
    /// The models that it may use, as globs; empty for all.
    pub models: Option<Vec<String>>,
    /// The upstreams that it may use; empty for all.
    pub upstreams: Option<Vec<String>>,
    /// The addresses and networks that it may come from; empty for all.
    pub addresses: Option<Vec<String>>,
    /// When it ends, in milliseconds since 1970, or never.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<Option<i64>>,
    /// `active` or `suspended`.
    pub state: Option<String>,
}

/// A member that is there, be it null.
#[allow(clippy::option_option, reason = "not given, or taken away")]
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(reader: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(reader).map(Some)
}

/// A token that is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NewToken {
    /// The name of its user.
    pub user: String,
    /// What its user tells it by.
    pub name: String,
    /// The models that it may use, as globs; empty for all.
    pub models: Vec<String>,
    /// The upstreams that it may use; empty for all.
    pub upstreams: Vec<String>,
    /// The addresses and networks that it may come from; empty for all.
    pub addresses: Vec<String>,
    /// When it ends, in milliseconds since 1970.
    pub expires_ms: Option<i64>,
    /// Its limits.
    #[serde(default)]
    pub limits: Vec<String>,
}

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Told {
    /// Groups: all, or the one that was made.
    Groups(Vec<GroupRow>),
    /// Users: all, or the one that was made or changed.
    Users(Vec<UserRow>),
    /// Tokens: those that were asked for, or the one that was changed.
    Tokens(Vec<TokenRow>),
    /// A text that was issued.
    Issued(Issued),
    /// Limits: those that were asked for, or all of the one whose limits were changed.
    Limits(Vec<LimitRow>),
    /// What is used of limits.
    Usage(Vec<UsageRow>),
    /// Rows of the audit.
    Audit(Vec<AuditRow>),
}

/// The text of a token, which is told once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct TokenText(pub(super) String);

impl TokenText {
    /// The text itself.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenText")
    }
}

/// A token that was made or rotated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Issued {
    /// Its id.
    pub id: String,
    /// Its text.
    pub token: TokenText,
    /// When the text before this one ends, in milliseconds since 1970.
    pub old_until_ms: Option<i64>,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "they are the columns")]
pub(crate) struct GroupRow {
    pub id: String,
    pub name: String,
    pub time_zone: String,
    pub created_at_ms: i64,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "they are the columns")]
pub(crate) struct UserRow {
    pub id: String,
    pub name: String,
    pub email: Option<String>,
    pub group: Option<String>,
    /// `member` or `admin`.
    pub role: String,
    pub state: String,
    /// Tokens that are not revoked.
    pub tokens: u64,
    pub created_at_ms: i64,
}

/// A token, without its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "they are the columns")]
pub(crate) struct TokenRow {
    pub id: String,
    pub user: String,
    pub group: Option<String>,
    pub name: String,
    pub hint: String,
    /// `active`, `suspended` (the user may be), `revoked` or `expired`.
    pub state: String,
    pub models: Vec<String>,
    pub upstreams: Vec<String>,
    pub addresses: Vec<String>,
    pub expires_at_ms: Option<i64>,
    /// Until when the text before the present one is good.
    pub old_until_ms: Option<i64>,
    /// The last day of its use (UTC), such as `2026-11-28`.
    pub used_on: Option<String>,
    pub created_at_ms: i64,
}

/// A limit, and whose it is. Amounts are in the measure's own unit, dollars as such.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "they are the columns")]
pub(crate) struct LimitRow {
    /// `token`, `user` or `group`.
    pub subject: String,
    pub id: String,
    /// Of a token USER/NAME.
    pub name: String,
    /// As it is written: `usd:day:5`.
    pub limit: String,
    pub measure: String,
    pub window: String,
    pub amount: Number,
}

/// What is used of a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "they are the columns")]
pub(crate) struct UsageRow {
    #[serde(flatten)]
    pub limit: LimitRow,
    /// `None` for requests a minute, of which nobody keeps count.
    pub used: Option<Number>,
    /// By requests that are being served.
    pub held: Number,
    pub left: Option<Number>,
    /// Nothing is left, whatever becomes of what is held.
    #[serde(default)]
    pub is_used_up: bool,
    #[serde(default)]
    pub opens_at_ms: Option<i64>,
    pub resets_at_ms: Option<i64>,
}

/// A change that somebody made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "they are the columns")]
pub(crate) struct AuditRow {
    pub id: i64,
    pub at_ms: i64,
    pub actor: String,
    pub address: Option<String>,
    /// Such as `token.create`.
    pub action: String,
    /// The id of what was changed.
    pub target: String,
    /// What it was before, and after; without secrets.
    pub before: Option<serde_json::Value>,
    pub after: Option<serde_json::Value>,
}
