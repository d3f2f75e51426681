//! What names, models, networks and times may be. Pure.

use crate::config::Config;
use gateway_core::both;
use gateway_core::language::Words;
use gateway_core::redact::MASK;
use gateway_core::team::found;
use gateway_core::team::token::{Role, State};
use ipnet::{IpNet, Ipv4Net};
use jiff::tz::TimeZone;
use std::net::IpAddr;

/// Longest name, in characters.
const LONGEST_NAME: usize = 64;
/// Longest address of a user, in bytes.
const LONGEST_EMAIL: usize = 254;
/// Longest pattern of models, in characters.
const LONGEST_GLOB: usize = 100;
/// Most models, upstreams or networks of a token.
const MOST_OF_A_LIST: usize = 64;
/// Longest time for which two texts of a token are good, in milliseconds.
const LONGEST_OVERLAP: i64 = 30 * 24 * 3_600 * 1_000;

/// The year 10000, which dates cannot tell, in milliseconds since 1970.
const LATEST_MS: i64 = 253_402_300_800_000;

/// The upstreams of a configuration, as far as tokens go.
#[derive(Clone, Debug, Default)]
pub(crate) struct Upstreams {
    /// The names of those that have keys of their own, which go out in the place of tokens.
    pub keyed: Vec<String>,
    /// The names of the others: no token goes there.
    pub keyless: Vec<String>,
}

impl Upstreams {
    /// Those of this configuration.
    pub(crate) fn of(config: &Config) -> Self {
        let (keyless, keyed): (Vec<_>, Vec<_>) =
            config.upstreams.iter().partition(|upstream| upstream.api_keys.is_empty());
        let [keyed, keyless] =
            [keyed, keyless].map(|upstreams| upstreams.into_iter().map(|upstream| upstream.name.clone()).collect());
        Self { keyed, keyless }
    }

    /// Whether a token could go anywhere.
    ///
    /// # Errors
    /// When no upstream has a key of its own.
    pub(crate) fn take_tokens(&self) -> Result<(), Words> {
        if !self.keyed.is_empty() {
            return Ok(());
        }
        let names = self.keyless.join(", ");
        Err(both!(
            "client tokens need an upstream with a key of its own (api_key), which goes out in their place: none of these has \
             one: {names}",
            "使用客户端令牌时，至少要有一个上游设有自己的密钥（api_key），发给上游的是它而不是令牌；以下上游都没有：{names}"
        ))
    }
}

/// A name that rules, lists and headers can have.
pub(super) fn name(name: &str) -> Result<(), Words> {
    let may_be = |char: char| char.is_alphanumeric() && !is_unseen(char) || "-_.@+ ".contains(char);
    let is_fine = name.contains(char::is_alphanumeric) && name.chars().count() <= LONGEST_NAME && name.trim() == name;
    if is_fine && name.chars().all(may_be) && !found::is_in(name) {
        return Ok(());
    }
    Err(both!(
        "a name has up to {LONGEST_NAME} letters, digits, blanks and - _ . @ +, no blank at its ends: \"{name}\"",
        "名称最多 {LONGEST_NAME} 个字符，只能含字母、数字、空格和 - _ . @ +，首尾不能是空格：“{name}”",
        name = shown(name)
    ))
}

/// Whether nobody sees this character, or it only changes how others are shown.
fn is_unseen(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(char, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
        // Letters that fill a place, and are blank.
        || matches!(char, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{2800}')
}

/// Somebody else's text, as far as an error repeats it.
fn shown(text: &str) -> String {
    if found::is_in(text) {
        return MASK.to_owned();
    }
    text.chars().take(LONGEST_GLOB).map(|char| if is_unseen(char) { '\u{fffd}' } else { char }).collect()
}

pub(super) fn role(code: &str) -> Result<(), Words> {
    match Role::ALL.iter().any(|role| role.code() == code) {
        true => Ok(()),
        false => Err(both!("a role is member or admin", "角色只能是 member 或 admin")),
    }
}

/// A state that somebody may choose: the end of a token has a way of its own.
pub(super) fn state(code: &str) -> Result<(), Words> {
    match [State::Active, State::Suspended].iter().any(|state| state.code() == code) {
        true => Ok(()),
        false => Err(both!("a state is active or suspended", "状态只能是 active 或 suspended")),
    }
}

pub(super) fn email(email: &str) -> Result<(), Words> {
    let is_fine = email.len() <= LONGEST_EMAIL && email.contains('@') && !email.contains(is_unseen);
    if is_fine { Ok(()) } else { Err(both!("this is no e-mail address", "这不是邮箱地址")) }
}

pub(super) fn time_zone(name: &str) -> Result<(), Words> {
    match TimeZone::get(name) {
        // That of the configuration.
        _ if name.is_empty() => Ok(()),
        Ok(_) => Ok(()),
        Err(_) => Err(both!(
            "\"{name}\" is no time zone: Europe/Berlin and Asia/Shanghai are some",
            "没有“{name}”这个时区：应为 Asia/Shanghai、Europe/Berlin 一类的名称",
            name = shown(name)
        )),
    }
}

pub(super) fn models(globs: &[String]) -> Result<(), Words> {
    few(globs.len(), "--model")?;
    let is_fine = |glob: &String| !glob.is_empty() && glob.chars().count() <= LONGEST_GLOB && glob.trim() == glob;
    match globs.iter().find(|glob| !is_fine(glob) || glob.contains(is_unseen) || found::is_in(glob)) {
        None => Ok(()),
        Some(glob) => Err(both!(
            "\"{glob}\" is no pattern of models: claude-haiku-* is one",
            "“{glob}”不是模型的通配模式：应如 claude-haiku-*",
            glob = shown(glob)
        )),
    }
}

pub(super) fn upstreams(names: &[String], known: &Upstreams) -> Result<(), Words> {
    few(names.len(), "--upstream")?;
    match names.iter().find(|name| !known.keyed.contains(name)) {
        None => Ok(()),
        Some(name) if known.keyless.contains(name) => Err(both!(
            "the upstream \"{name}\" has no key of its own (api_key), and no token goes to one without",
            "上游“{name}”没有自己的密钥（api_key），令牌不能用于这样的上游"
        )),
        Some(name) => Err(both!(
            "there is no upstream \"{name}\"; there are: {all}",
            "没有“{name}”这个上游；现有：{all}",
            name = shown(name),
            all = known.keyed.join(", ")
        )),
    }
}

/// Networks in one spelling; an address stands for the network of it alone.
pub(super) fn networks(texts: &[String]) -> Result<Vec<String>, Words> {
    few(texts.len(), "--address")?;
    let network = |text: &String| {
        let alone = || text.parse::<IpAddr>().ok().map(|address| IpNet::from(address.to_canonical()));
        let network = text.parse::<IpNet>().ok().map(|network| canonical(network.trunc())).or_else(alone);
        network.map(|network| network.to_string()).ok_or_else(|| {
            both!(
                "\"{text}\" is no address and no network: 192.0.2.7 and 10.0.0.0/8 are some",
                "“{text}”不是地址或网段：应如 192.0.2.7 或 10.0.0.0/8",
                text = shown(text)
            )
        })
    };
    texts.iter().map(network).collect()
}

/// A network of IPv4 addresses as such: clients are compared with it by their own addresses.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(mapped) = network else { return network };
    let address = mapped.addr().to_ipv4_mapped();
    let length = mapped.prefix_len().checked_sub(96);
    let own = address.zip(length).and_then(|(address, length)| Ipv4Net::new(address, length).ok());
    own.map_or(network, IpNet::V4)
}

/// Limits of one token that is being made: there are fewer of different measures and windows.
pub(super) fn limits(count: usize) -> Result<(), Words> {
    few(count, "--limit")
}

fn few(count: usize, option: &str) -> Result<(), Words> {
    if count <= MOST_OF_A_LIST {
        return Ok(());
    }
    Err(both!("{option} can be given {MOST_OF_A_LIST} times at most", "{option} 最多可写 {MOST_OF_A_LIST} 次"))
}

pub(super) fn expiry(ends_ms: Option<i64>, now_ms: i64) -> Result<(), Words> {
    match ends_ms {
        Some(ends) if ends <= now_ms => Err(both!("that time is over already", "这个时间已经过去")),
        Some(ends) if ends >= LATEST_MS => Err(both!("that is too far ahead", "时间太远")),
        _ => Ok(()),
    }
}

pub(super) fn overlap(overlap_ms: i64) -> Result<(), Words> {
    if (0..=LONGEST_OVERLAP).contains(&overlap_ms) {
        return Ok(());
    }
    Err(both!("the old token is good for up to 30 days: --overlap 30d", "旧令牌最多还可使用 30 天：--overlap 30d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_be_written_into_rules_and_headers() {
        for fine in ["alice", "Alice B.", "王小明", "ci-bot_1@example.com", &"x".repeat(64)] {
            assert_eq!(name(fine), Ok(()), "{fine}");
        }
        for bad in ["", " ", " alice", "a,b", "a/b", "a\nb", "a\"b", "${user}", &"x".repeat(65), ".", "..", "-"] {
            assert!(name(bad).is_err(), "{bad}");
        }
        for unseen in ['\u{202e}', '\u{200b}', '\u{200d}', '\u{3164}', '\u{ffa0}', '\u{feff}', '\u{2066}'] {
            assert!(name(&format!("ali{unseen}ce")).is_err(), "{unseen:?}");
            assert!(email(&format!("a{unseen}@b")).is_err() && models(&[format!("claude-{unseen}*")]).is_err());
        }
    }

    #[test]
    fn networks_have_one_spelling() {
        let networks = |texts: &[&str]| networks(&texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
        assert_eq!(
            networks(&["192.0.2.7", "10.1.2.3/8", "::ffff:192.0.2.1", "2001:db8::1/64", "::ffff:10.1.0.0/104", "::/0"]),
            Ok(["192.0.2.7/32", "10.0.0.0/8", "192.0.2.1/32", "2001:db8::/64", "10.0.0.0/8", "::/0"]
                .map(str::to_owned)
                .to_vec())
        );
        assert!(networks(&["localhost"]).is_err());
    }

    #[test]
    fn what_is_none_is_said() {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        assert!(models(&texts(&["claude-*", "x"])).is_ok() && models(&texts(&[""])).is_err());
        assert!(models(&vec!["a".to_owned(); 65]).is_err());
        let known = Upstreams { keyed: texts(&["a"]), keyless: texts(&["c"]) };
        assert!(upstreams(&texts(&["a"]), &known).is_ok() && known.take_tokens().is_ok());
        assert!(upstreams(&texts(&["c"]), &known).expect_err("none").to_string().contains("no key of its own"));
        assert!(Upstreams { keyed: Vec::new(), ..known.clone() }.take_tokens().is_err());
        assert!(upstreams(&texts(&["b"]), &known).expect_err("none").to_string().contains("there are: a"));
        assert!(time_zone("Asia/Shanghai").is_ok() && time_zone("UTC").is_ok() && time_zone("Mars").is_err());
        assert!(expiry(Some(1), 1).is_err() && expiry(Some(2), 1).is_ok() && expiry(None, 1).is_ok());
        assert!(overlap(0).is_ok() && overlap(-1).is_err() && overlap(LONGEST_OVERLAP + 1).is_err());
        assert!(email("a@b").is_ok() && email("a").is_err());
    }
}
