//! The commands for limits of tokens, users and groups, and what is used of them.

use crate::language::told;
use crate::team::{Whom, Wish};
use clap::{Args, Subcommand};
use gateway_core::team::limit::{Limit, LimitFault};

/// What is wanted of limits.
#[derive(Clone, Debug, Args)]
pub(crate) struct LimitOptions {
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    what: LimitCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum LimitCommand {
    /// Set limits, in place of those with the same measure and window.
    Add {
        #[command(flatten)]
        of: One,
        /// MEASURE:WINDOW:AMOUNT, such as usd:day:5; usd, tokens, requests or sessions; minute, 5h, day, week, month, total
        /// or now.
        #[arg(required = true, value_name = "LIMIT", value_parser = limit)]
        limits: Vec<String>,
    },
    /// List limits.
    List {
        #[command(flatten)]
        of: Any,
    },
    /// Take limits away.
    Remove {
        #[command(flatten)]
        of: One,
        /// MEASURE:WINDOW, such as usd:day.
        #[arg(required = true, value_name = "LIMIT")]
        limits: Vec<String>,
    },
}

/// What is used.
#[derive(Clone, Debug, Args)]
pub(crate) struct UsageOptions {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    of: Any,
}

/// Whose limits.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
struct One {
    /// A token: its id, or USER/NAME.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// A user: all tokens of the user together.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// A group: all users of the group together.
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
}

/// Whose limits, or all.
#[derive(Clone, Debug, Args)]
#[group(multiple = false)]
struct Any {
    /// Only those of this token: its id, or USER/NAME.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Only those of this user.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only those of this group.
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
}

fn whom(token: Option<String>, user: Option<String>, group: Option<String>) -> Option<Whom> {
    token.map(Whom::Token).or_else(|| user.map(Whom::User)).or_else(|| group.map(Whom::Group))
}

impl One {
    fn whom(self) -> Whom {
        // One of them is there.
        whom(self.token, self.user, self.group).unwrap_or_else(|| Whom::User(String::new()))
    }
}

impl Any {
    fn whom(self) -> Option<Whom> {
        whom(self.token, self.user, self.group)
    }
}

impl LimitOptions {
    /// The same as a wish.
    pub(crate) fn wish(&self) -> Wish {
        match self.what.clone() {
            LimitCommand::Add { of, limits } => Wish::AddLimits { of: of.whom(), limits },
            LimitCommand::List { of } => Wish::ListLimits { of: of.whom() },
            LimitCommand::Remove { of, limits } => Wish::RemoveLimits { of: of.whom(), limits },
        }
    }
}

impl UsageOptions {
    /// The same as a wish.
    pub(crate) fn wish(&self) -> Wish {
        Wish::Usage { of: self.of.clone().whom() }
    }
}

/// A limit as it is written.
pub(super) fn limit(text: &str) -> Result<String, String> {
    let limit: Limit = text.parse().map_err(|fault: LimitFault| told(&fault.words()))?;
    Ok(limit.to_string())
}
