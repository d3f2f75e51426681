//! What a new process gets of the one that serves: its environment as far as the gateway reads it, where it writes its
//! log, and who it runs as.

use crate::config::settings;
use crate::config::text_file;
use crate::language::say;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// Variables that are handed on though no setting has their name.
const OTHERS: [&str; 5] = ["PORT", "API_BASE_URL", "API_BASE_URLS", "API_PROFILE", "GATEWAY_CONFIG"];
/// What every program reads.
pub(super) const OF_ALL_PROGRAMS: [&str; 16] = [
    "PATH",
    "HOME",
    "TZ",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LC_MESSAGES",
    "LC_TIME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "TMPDIR",
    "SQLITE_TMPDIR",
    "RUST_LOG",
    "RUST_LOG_STYLE",
    "RUST_BACKTRACE",
    "JOURNAL_STREAM",
];

/// The user, with all that the kernel looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct User {
    /// The user's id.
    pub user: u32,
    /// The group's.
    pub group: u32,
    /// Further groups.
    pub groups: Vec<u32>,
}

impl User {
    /// Who this process runs as.
    ///
    /// # Errors
    /// When the kernel does not tell its groups.
    pub(crate) fn own() -> std::io::Result<Self> {
        let groups = rustix::process::getgroups()?.into_iter().map(rustix::process::Gid::as_raw);
        Ok(Self {
            user: rustix::process::geteuid().as_raw(),
            group: rustix::process::getegid().as_raw(),
            groups: groups.collect(),
        })
    }
}

impl User {
    /// Whether this is who the other end really is, by the kernel's word (user and group) and the user database's (further
    /// groups): a program of another user could claim to be root.
    ///
    /// # Errors
    /// What is claimed and not so.
    pub(crate) fn check(&self, (user, group): (u32, u32), groups: &[u32]) -> Result<(), String> {
        if self.user != user {
            return Err(say!(
                "user {user} answers for the gateway and claims to be user {claimed}",
                "回答的是用户 {user}，却自称用户 {claimed}",
                claimed = self.user
            ));
        }
        let may_have = |claimed: &u32| *claimed == group || groups.contains(claimed);
        match [self.group].iter().chain(&self.groups).find(|claimed| !may_have(claimed)) {
            // Root has all rights as it is.
            Some(claimed) if user != 0 => Err(say!(
                "the gateway runs as user {user} with group {claimed}, which the user database does not give to that user: run \
                 the upgrade as user {user}",
                "网关以用户 {user}、组 {claimed} 运行，但用户数据库中该用户不属于这个组：请以用户 {user} 执行升级"
            )),
            _ => Ok(()),
        }
    }
}

/// The groups of a user by the user database; none for one that is not there.
pub(super) fn groups_of(user: u32) -> Vec<u32> {
    let asked = std::process::Command::new("id").arg("-G").arg(user.to_string()).output();
    let text = asked.ok().filter(|asked| asked.status.success()).map(|asked| asked.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).split_whitespace().filter_map(|group| group.parse().ok()).collect()
}

/// Whether the dynamic linker or the C library obeys this variable.
pub(super) fn is_dangerous(name: &str) -> bool {
    name.starts_with("LD_") || name.starts_with("GLIBC_") || name.starts_with("MALLOC_")
}

/// Whether a variable is one of the gateway's settings.
pub(super) fn is_of_gateway(name: &str) -> bool {
    OTHERS.contains(&name) || settings::all().any(|setting| setting.about.env.contains(&name))
}

/// The variables of this process that a successor gets: those of the gateway's settings, those that its files name, and a
/// few that every program reads. Those of the dynamic linker never.
pub(super) fn environment(files: &[PathBuf]) -> BTreeMap<String, String> {
    let texts: Vec<String> = files.iter().filter_map(|file| text_file::read_again(file)).collect();
    choose(std::env::vars_os(), &texts)
}

fn choose(all: impl Iterator<Item = (OsString, OsString)>, texts: &[String]) -> BTreeMap<String, String> {
    // What is no Unicode, the gateway cannot read either.
    let all = all.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    all.filter(|(name, _)| {
        let name = name.as_str();
        let is_known = || is_of_gateway(name) || OF_ALL_PROGRAMS.contains(&name);
        !is_dangerous(name) && (is_known() || texts.iter().any(|text| names(text, name)))
    })
    .collect()
}

/// Whether a file names this variable, as `${env.NAME}` or `env:NAME`.
fn names(text: &str, name: &str) -> bool {
    ["env.", "env:"].iter().any(|form| {
        text.match_indices(form).any(|(at, _)| {
            let rest = text[at + form.len()..].strip_prefix(name);
            rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_gateway_reads_is_handed_on() {
        let texts = ["api_key: ${env.RELAY_KEY}\nroutes: [{key: \"env:TEAM_A\"}]\nx: env.LD_AUDIT\n".to_owned()];
        let given = [
            ("LISTEN", "127.0.0.1:1"),
            ("https_proxy", "http://p"),
            ("RELAY_KEY", "sk"),
            ("RELAY_KEY_OLD", "sk"),
            ("TEAM_A", "sk"),
            ("TEAM", "sk"),
            ("TZ", "Asia/Shanghai"),
            ("LD_PRELOAD", "/tmp/evil.so"),
            ("LD_AUDIT", "/tmp/evil.so"),
            ("GLIBC_TUNABLES", "x"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
        ];
        let given = given.into_iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let chosen: Vec<String> = choose(given, &texts).into_keys().collect();
        assert_eq!(chosen, ["LISTEN", "RELAY_KEY", "TEAM_A", "TZ", "https_proxy"]);
    }

    #[test]
    fn nobody_is_believed_to_be_another_user_or_in_a_group_that_is_not_his() {
        let claimed = |user, group, groups: &[u32]| User { user, group, groups: groups.to_vec() };
        let check = |claim: User| claim.check((12345, 100), &[100, 200]).is_ok();
        assert!(check(claimed(12345, 100, &[])) && check(claimed(12345, 200, &[100, 200])));
        assert!(!check(claimed(0, 0, &[])) && !check(claimed(12346, 100, &[])));
        assert!(!check(claimed(12345, 0, &[])) && !check(claimed(12345, 100, &[0, 42])));
        assert!(claimed(0, 0, &[4]).check((0, 0), &[0]).is_ok());
    }

    #[test]
    fn every_variable_that_the_code_reads_by_name_is_handed_on() {
        for text in [include_str!("../config/section/startup.rs"), include_str!("../config/source/settings_reader.rs")]
        {
            for (at, form) in text.match_indices(".variable(\"") {
                let name = text[at + form.len()..].split('"').next().expect("a name");
                assert!(OTHERS.contains(&name), "{name}");
            }
        }
    }
}
