//! The rules that come with the gateway: those of a profile, and those that older settings stand for.

use super::built_in::{HEADERS_FILE, SYSTEM_PROMPT};
use super::headers::CustomHeader;
use super::rules;
use crate::config::source::environment::Lookup;
use crate::config::source::layers::Places;
use crate::config::source::message::Message;
use crate::config::source::node_reader::NodeReader;
use crate::config::source::problem::{Problem, near};
use gateway_core::rules::body::{BodyAction, Mode, System, Target};
use gateway_core::rules::glob::Glob;
use gateway_core::rules::header::{CasedName, HeaderOp};
use gateway_core::rules::matcher::{Condition, Matcher, TextTest};
use gateway_core::rules::rule::Rule;
use gateway_core::rules::template::Template;

/// The rules of `profile: anyrouter`, in the operator's own language.
pub(crate) const ANYROUTER: &str = include_str!("anyrouter.yaml");
/// Rules of a profile that are off unless they are switched on.
const OFF: [&str; 1] = ["anyrouter.compact"];
/// The rule with the flag of the long context, whose models an upstream can name.
const LONG_CONTEXT: &str = "anyrouter.beta-1m";
/// Where AnyRouter is, the last three without a proxy in China, as its users report it (September 2026).
pub(crate) const ANYROUTER_HOSTS: [&str; 4] =
    ["anyrouter.top", "pmpjfbhq.cn-nb1.rainapp.top", "a-ocnfniawgw.cn-shanghai.fcapp.run", "q.quuvv.cn"];

/// The rules that an upstream needs by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// What AnyRouter demands.
    AnyRouter,
    /// Nothing is changed.
    None,
}

impl Profile {
    /// That of an upstream at this host, if nobody says another one.
    pub(crate) fn of_host(host: &str) -> Self {
        match is_anyrouter(host.trim_end_matches('.')) {
            true => Self::AnyRouter,
            false => Self::None,
        }
    }
}

/// Whether a host is one of AnyRouter's.
pub(crate) fn is_anyrouter(host: &str) -> bool {
    ANYROUTER_HOSTS.iter().any(|known| known.eq_ignore_ascii_case(host))
}

/// All rules of a profile, whether they are on or not.
///
/// # Errors
/// None in a gateway as shipped: a test reads them.
pub(crate) fn rules(profile: Profile) -> Result<Vec<Rule>, Vec<Problem>> {
    let text = match profile {
        Profile::None => return Ok(Vec::new()),
        Profile::AnyRouter => ANYROUTER,
    };
    let mut problems = Vec::new();
    let options = marked_yaml::LoaderOptions::default().toplevel_sequence().prevent_coercion(true);
    let node = marked_yaml::parse_yaml_with_options(0, text, options)
        .map_err(|error| vec![Problem::of_file("profile", Message::NotYaml { said: error.to_string() })])?;
    let no_env: Lookup<'_> = &|_| None;
    let rules = {
        let known = rules::Known { upstreams: None, is_built_in: true };
        rules::read(&mut NodeReader::new(&Places::file("profile"), no_env, &mut problems), &node, "rules", known).on
    };
    if problems.is_empty() { Ok(rules) } else { Err(problems) }
}

/// The models that get the flag of the long context by these rules, as patterns.
pub(crate) fn long_context(rules: &[Rule]) -> Vec<String> {
    let rule = rules.iter().find(|rule| *rule.name == *LONG_CONTEXT);
    let conditions = rule.map_or(&[][..], |rule| &rule.matcher.0);
    let globs = conditions.iter().filter_map(|condition| match condition {
        Condition::Model(globs) => Some(globs),
        _ => None,
    });
    globs.flatten().map(ToString::to_string).collect()
}

/// The rules of a profile that are on, given the operator's switches, and the models that get the flag of the long context
/// if the operator names them.
///
/// # Errors
/// When a switch names no rule.
pub(crate) fn switched(
    profile: Profile,
    switches: &[(String, bool)],
    long_context: Option<&[Glob]>,
) -> Result<Vec<Rule>, Message> {
    let mut all = rules(profile).map_err(|problems| {
        let said = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        Message::ProfileBroken { said }
    })?;
    if let Some((unknown, _)) = switches.iter().find(|(name, _)| !all.iter().any(|rule| *rule.name == **name)) {
        let near = near(unknown, all.iter().map(|rule| &*rule.name));
        return Err(Message::NoProfileRule { name: unknown.clone(), near });
    }
    if let (Some(models), Some(rule)) = (long_context, all.iter_mut().find(|rule| *rule.name == *LONG_CONTEXT)) {
        rule.matcher.0.retain(|condition| !matches!(condition, Condition::Model(_)));
        rule.matcher.0.push(Condition::Model(models.to_vec()));
    }
    let is_on = |rule: &Rule| {
        let switch = switches.iter().rfind(|(name, _)| **name == *rule.name);
        switch.map_or(!OFF.contains(&&*rule.name), |(_, is_on)| *is_on)
    };
    Ok(all.into_iter().filter(is_on).collect())
}

/// `SYSTEM_PROMPT_REPLACEMENT` as a rule: replaces the text of the target, or inserts a block where that is missing.
pub(crate) fn system_prompt(text: &str, target: Target, insert_if_missing: bool) -> Rule {
    let mode = if insert_if_missing { Mode::InsertOrReplace } else { Mode::Replace };
    Rule {
        name: SYSTEM_PROMPT.into(),
        matcher: Matcher(vec![
            Condition::Method(vec!["POST".to_owned()]),
            Condition::Path(["/v1/messages", "/v1/messages/"].map(|path| TextTest::Equals(path.to_owned())).to_vec()),
        ]),
        body: vec![BodyAction::System(System::new(mode, target, text))],
        ..Rule::default()
    }
}

/// The headers file as a rule: each header overrides the request's of the same name.
pub(crate) fn headers_file(headers: &[CustomHeader]) -> Option<Rule> {
    let ops: Vec<HeaderOp> = headers
        .iter()
        .filter_map(|header| {
            let name = CasedName::new(&header.name).ok()?;
            Some(HeaderOp::Set(name, Template::secret(header.value.expose())))
        })
        .collect();
    (!ops.is_empty()).then(|| Rule { name: HEADERS_FILE.into(), headers: ops, ..Rule::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_is_valid_and_its_rules_can_be_switched() {
        let all = rules(Profile::AnyRouter).expect("valid");
        assert!(all.len() >= 8, "{}", all.len());
        let on = switched(Profile::AnyRouter, &[], None).expect("valid");
        assert_eq!(long_context(&on), ["*fable*", "*mythos*", "*opus*", "*sonnet*"]);
        let named = switched(Profile::AnyRouter, &[], Some(&[Glob::new("gpt-*")])).expect("valid");
        assert_eq!(long_context(&named), ["gpt-*"]);
        assert!(on.iter().all(|rule| &*rule.name != "anyrouter.compact") && on.len() == all.len() - 1);
        let switches = [("anyrouter.compact".to_owned(), true), ("anyrouter.bearer".to_owned(), false)];
        let names: Vec<String> = switched(Profile::AnyRouter, &switches, None)
            .expect("valid")
            .into_iter()
            .map(|rule| rule.name.to_string())
            .collect();
        assert!(names.contains(&"anyrouter.compact".to_owned()) && !names.contains(&"anyrouter.bearer".to_owned()));
        let error = switched(Profile::AnyRouter, &[("anyrouter.bearr".to_owned(), true)], None).expect_err("unknown");
        assert!(error.to_string().contains("did you mean \"anyrouter.bearer\"?"), "{error}");
        assert_eq!(switched(Profile::None, &[], None).expect("none").len(), 0);
    }
}
