//! A condition that does not hold, in parts: a program shows it in its own words.

use gateway_core::redact::{MASK, is_secret_name};
use gateway_core::rules::matcher::{Condition, Matcher, TextTest};
use serde::Serialize;

/// What a condition asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Unmet {
    /// What it looks at: `method`, `path`, `header`, `query`, `client`, `upstream`, `model`, `user`, `group` or
    /// `token`; `not` for conditions that may not all hold.
    pub code: &'static str,
    /// The header or the parameter.
    pub name: Option<String>,
    /// The values of which one is enough, each with the tests that it must pass.
    pub values: Vec<Vec<Test>>,
    /// The conditions of a `not`.
    pub conditions: Vec<Self>,
}

/// One test of a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Test {
    /// `present`, `equals`, `prefix`, `glob`, `regex`, or `network` for addresses.
    pub code: &'static str,
    /// What it is compared with; `None` for `present`.
    pub text: Option<String>,
}

impl Unmet {
    /// A condition in parts, without what a key is compared with.
    pub(crate) fn of(condition: &Condition) -> Self {
        let plain = |code, tests| Self { code, name: None, values: tests, conditions: Vec::new() };
        let named = |code, name: &str, tests: &[TextTest]| {
            let values = match is_secret_name(name) {
                true => vec![vec![Test::of("equals", MASK)]],
                false => alternatives(tests),
            };
            Self { code, name: Some(name.to_owned()), values, conditions: Vec::new() }
        };
        match condition {
            Condition::Method(methods) => plain("method", each("equals", methods)),
            Condition::Path(tests) => plain("path", alternatives(tests)),
            Condition::Header(name, tests) => named("header", name.as_str(), tests),
            Condition::Query(name, tests) => named("query", name, tests),
            Condition::Client(networks) => plain("client", each("network", networks)),
            Condition::Upstream(names) => plain("upstream", each("equals", names)),
            Condition::Model(globs) => plain("model", each("glob", globs)),
            Condition::User(names) => plain("user", each("equals", names)),
            Condition::Group(names) => plain("group", each("equals", names)),
            Condition::Token(ids) => plain("token", each("equals", ids)),
            Condition::Not(Matcher(conditions)) => {
                let conditions = conditions.iter().map(Self::of).collect();
                Self { code: "not", name: None, values: Vec::new(), conditions }
            }
        }
    }

    /// Changes every text that came from the rules.
    pub(crate) fn clean(&mut self, clean: &dyn Fn(&str) -> String) {
        for text in self.values.iter_mut().flatten().filter_map(|test| test.text.as_mut()) {
            *text = clean(text);
        }
        self.conditions.iter_mut().for_each(|condition| condition.clean(clean));
    }
}

impl Test {
    fn of(code: &'static str, text: impl ToString) -> Self {
        Self { code, text: Some(text.to_string()) }
    }
}

fn each<T: ToString>(code: &'static str, items: &[T]) -> Vec<Vec<Test>> {
    items.iter().map(|item| vec![Test::of(code, item.to_string())]).collect()
}

fn alternatives(tests: &[TextTest]) -> Vec<Vec<Test>> {
    tests.iter().map(all_of).collect()
}

fn all_of(test: &TextTest) -> Vec<Test> {
    match test {
        TextTest::Present => vec![Test { code: "present", text: None }],
        TextTest::Equals(text) => vec![Test::of("equals", text)],
        TextTest::Prefix(text) => vec![Test::of("prefix", text)],
        TextTest::Glob(glob) => vec![Test::of("glob", glob)],
        TextTest::Regex(regex) => vec![Test::of("regex", regex)],
        TextTest::All(tests) => tests.iter().flat_map(all_of).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_condition_is_told_in_parts_and_a_key_not_at_all() {
        let tests = || vec![TextTest::Equals("a or b".to_owned()), TextTest::All(vec![TextTest::Present])];
        let told = |condition: &Condition| json!(Unmet::of(condition));
        assert_eq!(
            told(&Condition::Query("q".to_owned(), tests())),
            json!({ "code": "query", "name": "q", "conditions": [],
                    "values": [[{ "code": "equals", "text": "a or b" }], [{ "code": "present", "text": null }]] })
        );
        let secret = told(&Condition::Query("api_key".to_owned(), tests()));
        assert_eq!(secret["values"], json!([[{ "code": "equals", "text": MASK }]]));
        let not = told(&Condition::Not(Matcher(vec![Condition::Method(vec!["GET".to_owned()])])));
        assert_eq!((&not["code"], &not["conditions"][0]["code"]), (&json!("not"), &json!("method")));
    }
}
