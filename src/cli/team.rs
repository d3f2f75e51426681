//! The commands of the team: users, groups, client tokens.

use super::limits::limit;
use crate::language::say;
use crate::team::{NewToken, Wish};
use clap::{Args, Subcommand};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is wanted of users.
#[derive(Clone, Debug, Args)]
pub(crate) struct UserOptions {
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    what: UserCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum UserCommand {
    /// Add a user.
    Create {
        /// The user's name, by which rules and lists know it.
        #[arg(long)]
        name: String,
        /// An e-mail address.
        #[arg(long)]
        email: Option<String>,
        /// The group that the user is in.
        #[arg(long)]
        group: Option<String>,
        /// What the user may do in the panel's API with a token: member (see what is the user's own) or admin (everything).
        #[arg(long, default_value = "member")]
        role: String,
    },
    /// List all users.
    List,
    /// Refuse all tokens of a user until further notice.
    Suspend {
        /// The user's name.
        name: String,
    },
    /// Accept the tokens of a suspended user again.
    Resume {
        /// The user's name.
        name: String,
    },
}

/// What is wanted of groups.
#[derive(Clone, Debug, Args)]
pub(crate) struct GroupOptions {
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    what: GroupCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum GroupCommand {
    /// Add a group.
    Create {
        /// The group's name, by which rules and lists know it.
        #[arg(long)]
        name: String,
        /// Its time zone, such as Asia/Shanghai; without it that of team.time_zone.
        #[arg(long, value_name = "ZONE", default_value = "", hide_default_value = true)]
        time_zone: String,
    },
    /// List all groups.
    List,
}

/// What is wanted of tokens.
#[derive(Clone, Debug, Args)]
pub(crate) struct TokenOptions {
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    what: TokenCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum TokenCommand {
    /// Issue a token; it is shown this once.
    Create {
        /// The user whose token it is.
        #[arg(long)]
        user: String,
        /// What tells it from the user's other tokens.
        #[arg(long, default_value = "default")]
        name: String,
        /// A model that it may use, with * and ?; can be given several times, without it all.
        #[arg(long = "model", value_name = "GLOB")]
        models: Vec<String>,
        /// An upstream that it may use; can be given several times, without it all.
        #[arg(long = "upstream", value_name = "NAME")]
        upstreams: Vec<String>,
        /// An address or network that it may come from; can be given several times, without it any.
        #[arg(long = "address", value_name = "CIDR")]
        addresses: Vec<String>,
        /// When it ends: after a time such as 30d, or at a date such as 2027-01-31 (UTC).
        #[arg(long, value_name = "WHEN", value_parser = moment)]
        expires: Option<i64>,
        /// What it may use, such as usd:day:5; can be given several times (see limit add).
        #[arg(long = "limit", value_name = "LIMIT", value_parser = limit)]
        limits: Vec<String>,
    },
    /// List tokens, without their texts.
    List {
        /// Only those of this user.
        #[arg(long)]
        user: Option<String>,
    },
    /// Show one token, without its text.
    Show {
        /// Its id, or USER/NAME.
        token: String,
    },
    /// Issue another text for a token; the old one is good for a while.
    Rotate {
        /// Its id, or USER/NAME.
        token: String,
        /// How long the old text is good.
        #[arg(long, value_name = "TIME", value_parser = overlap, default_value = "24h")]
        overlap: i64,
    },
    /// End a token, at once and for ever.
    Revoke {
        /// Its id, or USER/NAME.
        token: String,
    },
}

impl UserOptions {
    /// The same as a wish.
    pub(crate) fn wish(&self) -> Wish {
        match self.what.clone() {
            UserCommand::Create { name, email, group, role } => {
                Wish::CreateUser { name, email, group, role: Some(role) }
            }
            UserCommand::List => Wish::ListUsers,
            UserCommand::Suspend { name } => Wish::SuspendUser { name, is_suspended: true },
            UserCommand::Resume { name } => Wish::SuspendUser { name, is_suspended: false },
        }
    }
}

impl GroupOptions {
    /// The same as a wish.
    pub(crate) fn wish(&self) -> Wish {
        match self.what.clone() {
            GroupCommand::Create { name, time_zone } => Wish::CreateGroup { name, time_zone },
            GroupCommand::List => Wish::ListGroups,
        }
    }
}

impl TokenOptions {
    /// The same as a wish.
    pub(crate) fn wish(&self) -> Wish {
        match self.what.clone() {
            TokenCommand::Create { user, name, models, upstreams, addresses, expires: expires_ms, limits } => {
                Wish::CreateToken(NewToken { user, name, models, upstreams, addresses, expires_ms, limits })
            }
            TokenCommand::List { user } => Wish::ListTokens { user },
            TokenCommand::Show { token } => Wish::ShowToken { token },
            TokenCommand::Rotate { token, overlap } => Wish::RotateToken { token, overlap_ms: overlap },
            TokenCommand::Revoke { token } => Wish::RevokeToken { token },
        }
    }
}

fn overlap(text: &str) -> Result<i64, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    i64::try_from(time.as_millis()).map_err(|error| error.to_string())
}

/// A time from now on, a day, or a moment, in milliseconds since 1970.
fn moment(text: &str) -> Result<i64, String> {
    moment_from(text, SystemTime::now())
}

fn moment_from(text: &str, now: SystemTime) -> Result<i64, String> {
    let moment = match humantime::parse_duration(text) {
        Ok(time) => now.checked_add(time).ok_or_else(|| say!("that is too far ahead", "时间太远"))?,
        Err(_) => {
            let is_day = text.len() == "2027-01-31".len();
            let text = if is_day { format!("{text}T00:00:00Z") } else { text.to_owned() };
            humantime::parse_rfc3339_weak(&text).map_err(|_| {
                say!(
                    "neither a time such as 30d nor a date such as 2027-01-31",
                    "既不是 30d 一类的时长，也不是 2027-01-31 一类的日期"
                )
            })?
        }
    };
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_time_a_day_or_a_moment() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let moment = |text| moment_from(text, now);
        assert_eq!(moment("30d"), Ok(1_000_000_000 + 30 * 86_400_000));
        assert_eq!(moment("2026-10-07"), Ok(1_791_331_200_000));
        assert_eq!(moment("2026-10-07T08:00:00Z"), Ok(1_791_360_000_000));
        for bad in ["", "soon", "2026-13-01", "30"] {
            assert!(moment(bad).is_err(), "{bad}");
        }
        assert_eq!((overlap("0s"), overlap("24h")), (Ok(0), Ok(86_400_000)));
    }
}
