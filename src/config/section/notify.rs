//! `gateway.notify`: who is told when something breaks, of what, and how often.

use super::notify_target::{self, Target};
use super::proxy::Proxies;
use super::resilience::{DAY, SECOND};
use crate::config::source::bounds;
use crate::config::source::message::Message;
use crate::config::source::node_reader::NodeReader;
use crate::config::source::setting::{Setting, settings};
use crate::config::source::settings_reader::Reader;
use crate::config::source::value;
use gateway_core::language::Language;
use gateway_core::usage::pricing::decimal::Decimal;
use std::time::Duration;

/// Where the targets stand.
pub(crate) const TARGETS: &str = "gateway.notify.targets";
/// A billionth of a dollar, as a power of ten.
const NANO: i32 = -9;
/// Longest name of a gateway, in characters.
const LONGEST_NAME: usize = 64;
/// Dearest day, in dollars.
const MOST_DOLLARS: u64 = 1_000_000;

settings! {
    QUIET: Duration = Setting::one(
        "gateway.notify.quiet",
        "30m",
        |text| value::duration_within(text, SECOND..=7 * DAY),
        "Each event is told at most once in this time: of one upstream, one key, one model.",
        "同一事件（同一上游、同一密钥、同一模型）在这段时间内最多通知一次。",
    );
    NAME: Option<String> = Setting::one(
        "gateway.notify.name",
        "",
        name,
        "What the gateway is called in its messages; not set: the name of the host.",
        "消息中网关的名称；未设置则为主机名。",
    );
    MESSAGES: Option<Language> = Setting::choice(
        "gateway.notify.language",
        "auto",
        &[("auto", None), ("zh", Some(Language::Chinese)), ("en", Some(Language::English))],
        "Language of the messages: zh, en, or auto (gateway.language); a target may have its own.",
        "消息的语言：zh、en 或 auto（同 gateway.language）；各目标可以另设。",
    );
    COST: Option<u64> = Setting::one(
        "gateway.notify.cost_per_day",
        "",
        dollars,
        "Tell when the requests of the last 24 hours cost more than this, in US dollars; not set: never.",
        "过去 24 小时的费用超过这个数（美元）时通知；未设置则不通知。",
    );
    CACHE_SHARE: Option<u32> = Setting::one(
        "gateway.notify.cache_share",
        "50%",
        share,
        "Tell when the share of prompt tokens that come from the cache falls below this, for a model or a session that was \
         above it before; off: never.",
        "某个模型或会话的缓存命中率（提示词 token 中来自缓存的比例）从高于此值降到低于此值时通知；off 则不通知。",
    );
    CERTIFICATE: Duration = Setting::one(
        "gateway.notify.certificate",
        "14d",
        |text| value::duration_within(text, SECOND..=365 * DAY),
        "Tell this long before the certificate of gateway.tls expires.",
        "gateway.tls 的证书还有多久到期时开始通知。",
    );
}

/// Who is told of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// Each event is told at most once in this time.
    pub quiet: Duration,
    /// What the gateway is called; `None` for the host's name.
    pub name: Option<String>,
    /// The cost of 24 hours beyond which somebody is told, in billionths of a dollar; `None` for never.
    pub cost_per_day: Option<u64>,
    /// The share of cached tokens below which somebody is told, 1 to 99 %; `None` for never.
    pub cache_share: Option<u32>,
    /// How long before its end a certificate is told of.
    pub certificate: Duration,
    /// Who is told.
    pub targets: Vec<Target>,
}

impl Notify {
    /// Reads it; `spoken` is the language of the gateway.
    pub fn read(reader: &mut Reader<'_>, spoken: Language, proxies: &Proxies) -> Self {
        let language = reader.get(&MESSAGES).unwrap_or(spoken);
        Self {
            quiet: reader.get(&QUIET),
            name: reader.get_if_set(&NAME).flatten(),
            cost_per_day: reader.get_if_set(&COST).flatten(),
            cache_share: reader.get_if_set(&CACHE_SHARE).flatten(),
            certificate: reader.get(&CERTIFICATE),
            targets: read_targets(reader, language, proxies),
        }
    }
}

fn read_targets(reader: &mut Reader<'_>, language: Language, proxies: &Proxies) -> Vec<Target> {
    let Some(list) = reader.node(TARGETS).cloned() else { return Vec::new() };
    let mut problems = Vec::new();
    let places = reader.places();
    let mut reading = NodeReader::new(&places, reader.names, &mut problems);
    let mut targets: Vec<Target> = Vec::new();
    for (index, node) in reading.bounded_list(&list, TARGETS, bounds::NOTIFY_TARGETS).into_iter().enumerate() {
        let at = format!("{TARGETS}[{index}]");
        let Some(target) = notify_target::read(&mut reading, node, &at, language, proxies) else { continue };
        match targets.iter().any(|other| other.name == target.name) {
            true => reading.wrong(node, &at, Message::Twice { name: target.name }),
            false => targets.push(target),
        }
    }
    let mut warnings = reading.warnings;
    reader.warnings.append(&mut warnings);
    reader.problems.append(&mut problems);
    targets
}

fn name(text: &str) -> Result<Option<String>, Message> {
    match text.chars().count() {
        ..=LONGEST_NAME if text.contains(char::is_control) => Err(Message::ValueControls),
        ..=LONGEST_NAME => Ok(Some(text.to_owned())),
        _ => Err(Message::TextTooLong { bytes: text.len() as u64, most: LONGEST_NAME as u64 }),
    }
}

fn dollars(text: &str) -> Result<Option<u64>, Message> {
    let nano =
        Decimal::parse(text).filter(|dollars| dollars.is_whole_in(NANO)).and_then(|dollars| dollars.in_units(NANO));
    let within = nano.filter(|nano| (1..=MOST_DOLLARS * 1_000_000_000).contains(nano));
    within.map(Some).ok_or_else(|| Message::NotDollars { text: text.to_owned(), most: MOST_DOLLARS })
}

fn share(text: &str) -> Result<Option<u32>, Message> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    value::percentage(text, 1..=99).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_more_than_nothing() {
        assert_eq!(dollars("20"), Ok(Some(20_000_000_000)));
        assert_eq!(dollars("0.5"), Ok(Some(500_000_000)));
        for bad in ["0", "-1", "ten", "1000001", "$5"] {
            assert!(dollars(bad).is_err(), "{bad}");
        }
        assert_eq!((share("off"), share("50%")), (Ok(None), Ok(Some(50))));
        assert!(share("100%").is_err());
    }
}
