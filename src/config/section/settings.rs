//! All settings of all sections, for those who look at the whole.

use super::upstream::PROFILE_VARIABLE;
use super::{
    allow_origins, error_rules, forwarding, headers, health, language, limits, notify, prices, proxy, request_log,
    resilience, service, startup, system_prompt, team, thinking, timeouts, tls_listener,
};
use crate::config::source::setting::Entry;

/// Each section's.
const SECTIONS: [&[Entry]; 19] = [
    startup::SETTINGS,
    language::SETTINGS,
    tls_listener::SETTINGS,
    service::SETTINGS,
    system_prompt::SETTINGS,
    headers::SETTINGS,
    forwarding::SETTINGS,
    allow_origins::SETTINGS,
    proxy::SETTINGS,
    request_log::SETTINGS,
    prices::SETTINGS,
    limits::SETTINGS,
    timeouts::SETTINGS,
    resilience::SETTINGS,
    error_rules::SETTINGS,
    health::SETTINGS,
    thinking::SETTINGS,
    team::SETTINGS,
    notify::SETTINGS,
];

/// Variables that stand for no single setting.
const OTHER_VARIABLES: [&str; 4] = ["PORT", "API_BASE_URL", "API_BASE_URLS", PROFILE_VARIABLE];

/// All variables that set something.
pub(crate) fn variables() -> impl Iterator<Item = &'static str> {
    all().flat_map(|setting| setting.about.env).copied().chain(OTHER_VARIABLES)
}

/// All settings under `gateway:` but the lists.
pub(crate) fn all() -> impl Iterator<Item = &'static Entry> {
    SECTIONS.into_iter().flatten()
}

/// The setting with this key.
pub(crate) fn find(key: &str) -> Option<&'static Entry> {
    all().find(|setting| setting.about.key == key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::setting::About;
    use std::collections::HashSet;

    #[test]
    fn each_key_is_declared_once_and_each_default_is_valid() {
        let keys: HashSet<_> = all().map(|setting| setting.about.key).collect();
        assert_eq!(keys.len(), all().count());
        for setting in all().filter(|setting| !setting.about.default.is_empty()) {
            assert_eq!((setting.check)(setting.about.default), Ok(()), "{}", setting.about.key);
        }
    }

    #[test]
    fn each_is_explained_in_both_languages() {
        let is_chinese = |text: &str| text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
        for About { key, help, .. } in all().map(|setting| setting.about) {
            assert!(!help.en.is_empty() && !is_chinese(help.en) && is_chinese(help.zh), "{key}");
        }
    }

    /// Rows of tables in prose that name a variable name its setting and its default too.
    #[test]
    fn the_readmes_tell_the_defaults() {
        for (name, text) in [("README.md", include_str!("../../../README.md"))] {
            for About { key, env, default, .. } in all().map(|setting| setting.about) {
                for variable in env.iter().filter(|name| name.chars().all(|c| !c.is_lowercase())) {
                    let row = |line: &&str| line.starts_with("| `") && line.contains(&format!("`{variable}`"));
                    let Some(row) = text.lines().find(row) else { continue };
                    let tells = default.is_empty() || row.contains(&format!("`{default}`"));
                    assert!(tells, "{name}: the row of {variable} ({key}) does not tell its default {default}");
                }
            }
        }
    }
}
