//! What a built-in rule knows: codes and words of errors.

use super::then::{Of, Then};
use super::told::Told;

/// What the names of the built-in rules begin with, where they stand beside those of the operator.
pub const BUILT_IN: &str = "builtin:";

/// How much of a message the built-in rules look at. What is said of more is about what the client wrote, and repeats it.
const LOOKED_AT: usize = 1_000;
/// Statuses of a request that is wrong: what is said of it repeats names and values that the client chose.
const OF_REQUESTS: [u16; 4] = [400, 404, 413, 422];

/// A rule that the gateway brings along.
#[derive(Debug)]
pub struct BuiltIn {
    /// What it is switched off by.
    pub name: &'static str,
    /// What follows.
    pub then: Then,
    /// How long something rests, in seconds, and what.
    pub(super) rest: Option<(u64, Of)>,
    /// Whether the key is taken out of use.
    pub(super) disables_key: bool,
    /// What it says of the key.
    pub says: Says,
    /// Whether it says something of the request alone, and so nothing of the upstream's health.
    pub is_of_request: bool,
    /// Statuses that it is looked for in; none for all.
    pub(super) statuses: &'static [u16],
    /// Codes, in small letters.
    pub(super) codes: &'static [&'static str],
    /// Words of the message, in small letters.
    pub(super) words: &'static [&'static str],
    /// What else it knows.
    pub(super) also: fn(&Told<'_>, &str) -> bool,
}

/// Where an error comes from, as far as that matters to what follows.
#[derive(Clone, Copy, Debug)]
pub struct Where {
    /// Whether requests are sent again after any status.
    pub wants_retries: bool,
    /// Whether they are after this one.
    pub retries_status: bool,
    /// Whether requests go to the upstream with a key of the operator's.
    pub has_own_key: bool,
    /// Whether there are several.
    pub has_several_keys: bool,
}

/// What an error says of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// Nothing.
    Nothing,
    /// It has too many requests.
    Limited,
    /// Its quota is used up.
    UsedUp,
    /// It is refused.
    Refused,
}

impl BuiltIn {
    /// Whether it knows this error.
    pub fn knows(&self, told: &Told<'_>) -> bool {
        if !self.statuses.is_empty() && !self.statuses.contains(&told.meant_status()) {
            return false;
        }
        let is_code =
            |name: Option<&str>| name.is_some_and(|name| self.codes.iter().any(|c| c.eq_ignore_ascii_case(name)));
        if is_code(told.code) || is_code(told.kind) {
            return true;
        }
        let lower: String = told.message.unwrap_or_default().chars().take(LOOKED_AT).collect::<String>().to_lowercase();
        let is_said = |words: &&str| match self.concerns_keys() && OF_REQUESTS.contains(&told.status) {
            true => ["your ", "this "].iter().any(|the| lower.strip_prefix(the).unwrap_or(&lower).starts_with(words)),
            false => lower.contains(words),
        };
        self.words.iter().any(is_said) || (self.also)(told, &lower)
    }

    /// Whether something rests or is out for it, for all that come after. No client's own words may bring that about.
    fn concerns_keys(&self) -> bool {
        self.rest.is_some() || self.disables_key
    }

    /// Whether it decides about an error with this status there. Who wants no retries wants none of its; and what is said of
    /// the client's own key is for the client.
    pub fn is_wanted(&self, status: u16, there: Where) -> bool {
        match self.then {
            Then::Pass => true,
            Then::Next => there.wants_retries,
            Then::NextKey => {
                let is_operators = there.has_own_key && there.wants_retries || there.has_several_keys;
                is_operators || there.retries_status || status < 400
            }
        }
    }
}
