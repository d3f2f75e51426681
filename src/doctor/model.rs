//! Which model is asked.

use crate::config::Lookup;
use gateway_core::both;
use gateway_core::language::Words;
use gateway_core::models;
use serde_json::Value;

/// What Claude Code writes behind a model's name for the long context.
const LONG_CONTEXT: &str = "[1m]";
/// The families, as Claude Code names them too; the first is the usual one.
const FAMILIES: [&str; 4] = ["sonnet", "opus", "haiku", "fable"];
/// If neither a list nor a price has one of the family.
const LAST_RESORT: &str = "claude-sonnet-5-5";

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// This model.
    Name { name: String, long_context: bool },
    /// The newest one of a family.
    Family { family: &'static str, long_context: bool },
}

/// Where a model's name comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// It was asked for.
    Asked,
    /// The list of models has it.
    Listed,
    /// It has a price.
    Priced,
}

/// The model that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Its name.
    pub name: String,
    /// Whether the flag of the long context goes with it.
    pub long_context: bool,
    /// Where its name comes from.
    pub from: From,
}

impl Choice {
    /// This one.
    #[cfg(test)]
    pub(crate) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), long_context: false, from: From::Asked }
    }
}

impl Wanted {
    /// What the command line, or else `ANTHROPIC_MODEL`, asks for.
    ///
    /// # Errors
    /// When that is no name.
    pub(crate) fn read(option: Option<&str>, env: Lookup<'_>) -> Result<Self, Words> {
        let of_claude = || env("ANTHROPIC_MODEL").filter(|name| !name.trim().is_empty());
        let (name, place) = match (option, of_claude()) {
            (Some(name), _) => (name.to_owned(), "--model"),
            (None, Some(name)) => (name, "ANTHROPIC_MODEL"),
            (None, None) => return Ok(Self::Family { family: FAMILIES[0], long_context: false }),
        };
        Self::parse(&name).ok_or_else(|| {
            both!(
                "{place} is no name of a model: give one such as claude-sonnet-5-5, or sonnet for the newest Sonnet",
                "{place} 不是模型名：请写成 claude-sonnet-5-5 这样，或写 sonnet 表示最新的 Sonnet"
            )
        })
    }

    /// What a name asks for; `None` if it is none.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let name = name.trim();
        let end = name.len().saturating_sub(LONG_CONTEXT.len());
        let is_long = name.get(end..).is_some_and(|end| end.eq_ignore_ascii_case(LONG_CONTEXT));
        let (name, long_context) = if is_long { (&name[..end], true) } else { (name, false) };
        if !models::is_name(name) {
            return None;
        }
        Some(match FAMILIES.iter().find(|family| family.eq_ignore_ascii_case(name)) {
            Some(family) => Self::Family { family, long_context },
            None => Self::Name { name: name.to_owned(), long_context },
        })
    }

    /// The model: of a family the newest that is listed, else the newest that has a price.
    pub(crate) fn choose(self, listed: &[String], priced: &[String]) -> Choice {
        match self {
            Self::Name { name, long_context } => Choice { name, long_context, from: From::Asked },
            Self::Family { family, long_context } => {
                let is_name = |name: &&String| !name.contains('*');
                let newest = |names: &[String]| {
                    let of_it = names.iter().filter(is_name).filter(|name| is_of(name, family));
                    of_it.max_by_key(|name| (version(name), std::cmp::Reverse(name.len()))).cloned()
                };
                let (name, from) = match newest(listed) {
                    Some(name) => (name, From::Listed),
                    None => (newest(priced).unwrap_or_else(|| LAST_RESORT.to_owned()), From::Priced),
                };
                Choice { name, long_context, from }
            }
        }
    }
}

/// Whether this is a model of Claude's family.
fn is_of(name: &str, family: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains("claude") && name.contains(family)
}

/// The version in a name: `claude-sonnet-4-5-20250929` is 4.5, as is `claude-4.5-sonnet`. Dates are no part of it.
pub(super) fn version(name: &str) -> (u32, u32) {
    let numbers =
        name.split(|character: char| !character.is_ascii_digit()).filter(|number| (1..=2).contains(&number.len()));
    let mut numbers = numbers.filter_map(|number| number.parse().ok());
    (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default())
}

/// The names in a list of models.
pub(crate) fn listed(body: &[u8]) -> Vec<String> {
    let list: Value = serde_json::from_slice(body).unwrap_or_default();
    let names = list["data"].as_array().into_iter().flatten().filter_map(|model| model["id"].as_str());
    names
        .filter(|name| name.len() <= models::LONGEST_NAME && name.bytes().all(|byte| byte.is_ascii_graphic()))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(option: Option<&str>, of_claude: &str) -> Result<Wanted, String> {
        let env = |name: &str| (name == "ANTHROPIC_MODEL" && !of_claude.is_empty()).then(|| of_claude.to_owned());
        Wanted::read(option, &env).map_err(|words| words.to_string())
    }

    #[test]
    fn names_are_read_as_claude_code_reads_them() {
        let name = |name: &str, long_context| Ok(Wanted::Name { name: name.to_owned(), long_context });
        let family = |family, long_context| Ok(Wanted::Family { family, long_context });
        assert_eq!(wanted(None, ""), family("sonnet", false));
        assert_eq!(wanted(None, "opus[1m]"), family("opus", true));
        assert_eq!(wanted(Some("Haiku"), "opus"), family("haiku", false));
        assert_eq!(wanted(Some(" claude-x[1M] "), ""), name("claude-x", true));
        assert_eq!(
            wanted(Some("anthropic/claude-opus-4.5:thinking"), ""),
            name("anthropic/claude-opus-4.5:thinking", false)
        );
        for bad in ["", "  ", "[1m]", "a b", "a\nb", "a\"b", "模型", &"x".repeat(201)] {
            let told = wanted(Some(bad), "").expect_err(bad);
            assert!(told.starts_with("--model is no name"), "{told}");
        }
        assert!(wanted(None, "a\tb").expect_err("no name").starts_with("ANTHROPIC_MODEL is no name"));
    }

    #[test]
    fn the_newest_of_a_family_is_taken_listed_before_priced() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let chosen = |family, listed: &[&str], priced: &[&str]| {
            let choice = Wanted::Family { family, long_context: false }.choose(&names(listed), &names(priced));
            (choice.name, choice.from)
        };
        let listed = [
            "claude-3-5-sonnet-20241022",
            "claude-sonnet-4-5-20250929",
            "claude-sonnet-5",
            "claude-opus-5-5",
            "claude-sonnet-5-5",
            "gpt-6-sonnet",
            "claude-haiku-4-5-20251001",
        ];
        assert_eq!(chosen("sonnet", &listed, &[]), ("claude-sonnet-5-5".to_owned(), From::Listed));
        assert_eq!(chosen("haiku", &listed, &[]), ("claude-haiku-4-5-20251001".to_owned(), From::Listed));
        let priced = ["*sonnet-4", "claude-sonnet-5", "claude-fable-5-1"];
        assert_eq!(chosen("fable", &listed, &priced), ("claude-fable-5-1".to_owned(), From::Priced));
        assert_eq!(chosen("sonnet", &[], &priced), ("claude-sonnet-5".to_owned(), From::Priced));
        assert_eq!(chosen("sonnet", &[], &[]), (LAST_RESORT.to_owned(), From::Priced));
        assert_eq!(version("claude-4.5-sonnet"), version("claude-sonnet-4-5-20250929"));
    }

    #[test]
    fn lists_are_read_as_far_as_they_are_lists() {
        assert_eq!(super::listed(br#"{"data":[{"id":"a"},{"id":"b c"},{"x":1},{"id":"d"}]}"#), ["a", "d"]);
        for none in [&b"<html>"[..], b"[]", b"{}", b""] {
            assert!(super::listed(none).is_empty());
        }
    }
}
