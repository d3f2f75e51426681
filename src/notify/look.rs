//! What is not as it should be at this moment: looks at states that others keep, and changes none.

use super::event::{Subject, Trouble};
use super::ledger::Seen;
use crate::config::live::Live;
use crate::config::notify::Notify;
use crate::gateway::Shared;
use crate::upstream::circuit::State;
use crate::upstream::key_balance::Readings;
use crate::upstream::key_state::{KeyReason, State as KeyUse};
use crate::upstream::keys::Standing;
use crate::upstream::{Upstream, clock};
use gateway_core::both;
use gateway_core::language::{Language, Spelled, Words};
use gateway_core::record::fault::{Reader, UpstreamFault};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A shorter pause that an upstream asked for is not worth a word.
const SHORT_PAUSE_MS: u64 = 60_000;
/// A record that was dropped is told for so long.
const DROPPED: Duration = Duration::from_secs(60);
const DAY: u64 = 24 * 60 * 60;

/// Looks again and again.
#[derive(Default)]
pub(super) struct Look {
    /// Records that were dropped so far, and when that was seen to grow.
    dropped: u64,
    dropped_at: Option<SystemTime>,
}

impl Look {
    /// What is seen now, besides what the request log tells.
    pub(super) fn at(
        &mut self,
        (shared, live): (&Shared, &Live),
        settings: &Notify,
        certificate_ends: Option<SystemTime>,
        now: SystemTime,
    ) -> Seen {
        let snapshot = shared.snapshot.load();
        let mut seen = of_upstreams(&snapshot.upstreams, clock::now_ms());
        if let Some((count, first)) = live.last_refusal() {
            let words = Words::new(
                format_args!("the new configuration was refused, the one before stays in force: {first}"),
                format_args!("新配置被拒绝，仍使用之前的配置：{}", first.text(Language::Chinese)),
            );
            seen.troubles.insert(Subject::Config, Trouble { stage: count, ..Trouble::new(words) });
        }
        if let Some(trouble) = self.of_log(shared, now) {
            seen.troubles.insert(Subject::Log, trouble);
        }
        let ending = certificate_ends.and_then(|ends| of_certificate(ends, settings.certificate, now));
        seen.troubles.extend(ending.map(|trouble| (Subject::Certificate, trouble)));
        seen
    }

    fn of_log(&mut self, shared: &Shared, now: SystemTime) -> Option<Trouble> {
        let counts = shared.log.counts();
        let dropped = counts.iter().find(|(name, _)| *name == "dropped").map_or(0, |(_, count)| *count);
        if dropped > self.dropped {
            (self.dropped, self.dropped_at) = (dropped, Some(now));
        }
        if shared.log.is_failing() {
            return Some(Trouble::new(both!(
                "the request log cannot be written: the gateway's log says why",
                "请求日志无法写入：原因见网关的日志"
            )));
        }
        let is_recent = |at: &SystemTime| now.duration_since(*at).is_ok_and(|past| past < DROPPED);
        self.dropped_at.filter(is_recent)?;
        let words = both!(
            "requests are missing in the request log: it is not written as fast as they come ({dropped} so far)",
            "请求日志写入太慢，有些请求没有记录（累计 {dropped} 条）"
        );
        Some(Trouble::new(words).with("dropped", dropped))
    }
}

fn of_upstreams(upstreams: &[Arc<Upstream>], now_ms: u64) -> Seen {
    let mut seen = Seen::default();
    let (mut left, mut broken) = (0, Vec::new());
    for upstream in upstreams {
        seen.upstreams.insert(Arc::clone(&upstream.name));
        let is_tripped = upstream.circuit.is_tripped();
        let asked_for_a_pause = matches!(upstream.circuit.state(now_ms), State::Open(pause) if pause >= SHORT_PAUSE_MS);
        if is_tripped {
            let last = upstream.stats.last_failure.load();
            let trouble = down(&upstream.name, last.as_ref().map(|last| &last.fault));
            seen.troubles.insert(Subject::Upstream(Arc::clone(&upstream.name)), trouble);
        }
        of_keys(upstream, now_ms, &mut seen);
        let has_no_key = upstream.keys.standing(now_ms) == Standing::Out;
        if is_tripped || asked_for_a_pause || has_no_key {
            broken.push(&*upstream.name);
        } else if !upstream.is_drained() {
            left += 1;
        }
    }
    if left == 0 && !broken.is_empty() {
        let names = broken.join(", ");
        let words = both!("no upstream is left for requests: {names}", "所有上游都不可用：{names}");
        seen.troubles.insert(Subject::AllUpstreams, Trouble::new(words).with("upstreams", broken));
    }
    seen
}

/// Which keys of an upstream are out of use, and which are near the end of their balance.
fn of_keys(upstream: &Upstream, now_ms: u64, seen: &mut Seen) {
    for key in upstream.keys.all().iter().filter(|key| key.config.is_enabled) {
        let names = || (Arc::clone(&upstream.name), Arc::clone(&key.label));
        seen.keys.insert(names());
        let Some(note) = key.state.note(now_ms) else { continue };
        let state = key.state.state(now_ms);
        let trouble = match (state, note.why.reason) {
            // Who took it out of use knows that.
            (_, KeyReason::Operator) => None,
            (_, KeyReason::Balance) => Some(balance_low(&names(), state, &key.state.balance.readings())),
            (KeyUse::Resting(left), reason) => {
                let is_short = left + elapsed_ms(note.since) < SHORT_PAUSE_MS;
                (!is_short).then(|| key_down(&names(), reason, &note.why.detail, Some(left)))
            }
            (KeyUse::Disabled, reason) => Some(key_down(&names(), reason, &note.why.detail, None)),
            (KeyUse::Ready | KeyUse::Low, _) => None,
        };
        let Some(trouble) = trouble else { continue };
        let (upstream, label) = names();
        let subject = match note.why.reason {
            KeyReason::Balance => Subject::Balance(upstream, label),
            _ => Subject::Key(upstream, label),
        };
        seen.troubles.insert(subject, trouble);
    }
}

/// Milliseconds since then.
fn elapsed_ms(at: SystemTime) -> u64 {
    u64::try_from(at.elapsed().unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// That a key is out of use, with why, and for how long if it comes back by itself.
fn key_down(
    (upstream, key): &(Arc<str>, Arc<str>),
    reason: KeyReason,
    detail: &Words,
    left_ms: Option<u64>,
) -> Trouble {
    let why = match reason {
        KeyReason::RateLimited => both!("the upstream limits its requests", "触发限流"),
        KeyReason::QuotaUsedUp => both!("its quota is used up", "额度已用完"),
        KeyReason::Refused => both!("the upstream refuses it", "被上游拒绝"),
        KeyReason::Rule => both!("a rule of failover.errors says so", "按错误规则处理"),
        KeyReason::Balance | KeyReason::Operator => Words::said(reason.code()),
    };
    let [english, chinese] = [Language::English, Language::Chinese].map(|language| detail.text(language));
    let (detail, detail_zh) = match english {
        "" => (String::new(), String::new()),
        _ => (format!(" ({english})"), format!("（{chinese}）")),
    };
    let until = left_ms.map(|left| Spelled::whole(Duration::from_millis(left)));
    let chinese = why.text(Language::Chinese);
    let words = match until {
        Some(until) => Words::new(
            format_args!("the key {key} of the upstream \"{upstream}\" rests for {until}: {why}{detail}"),
            format_args!("上游“{upstream}”的密钥 {key} 暂停使用 {until:#}：{chinese}{detail_zh}"),
        ),
        None => Words::new(
            format_args!("the key {key} of the upstream \"{upstream}\" is not used any more: {why}{detail}"),
            format_args!("上游“{upstream}”的密钥 {key} 已停用：{chinese}{detail_zh}"),
        ),
    };
    Trouble::new(words).with("reason", reason.code())
}

/// That the balance of a key is low, or used up, which is worse.
fn balance_low((upstream, key): &(Arc<str>, Arc<str>), state: KeyUse, readings: &Readings) -> Trouble {
    let balance = readings.last.as_ref().map(|(balance, _)| balance);
    let left = balance.and_then(|balance| Some((balance.remaining?, balance.unit.as_str())));
    // As many digits as an amount of money has, however the upstream counts.
    let amount = |(remaining, unit): (f64, &str)| format!(" ({remaining:.2} {unit})").replace(" )", ")");
    let amount = left.map(amount).unwrap_or_default();
    let trouble = match state {
        KeyUse::Ready | KeyUse::Low => Trouble::new(both!(
            "the balance{amount} of the key {key} of the upstream \"{upstream}\" is low: new sessions go elsewhere",
            "上游“{upstream}”的密钥 {key} 余额偏低{amount}：新会话改用其他密钥或上游"
        )),
        KeyUse::Resting(_) | KeyUse::Disabled => {
            let words = both!(
                "the balance{amount} of the key {key} of the upstream \"{upstream}\" is used up: no request goes out with it",
                "上游“{upstream}”的密钥 {key} 余额已用完{amount}：暂停使用"
            );
            Trouble { stage: 1, ..Trouble::new(words).with("is_used_up", true) }
        }
    };
    match left {
        Some((remaining, unit)) => trouble.with("remaining", remaining).with("unit", unit),
        None => trouble,
    }
}

/// That an upstream fails, with what it did last.
fn down(name: &str, fault: Option<&UpstreamFault>) -> Trouble {
    let Some(fault) = fault else {
        return Trouble::new(both!("upstream \"{name}\" is down", "上游“{name}”不可用"));
    };
    let told = |language| fault.text(language, Reader::Operator);
    let words = Words::new(
        format_args!("upstream \"{name}\" is down: it {}", told(Language::English)),
        format_args!("上游“{name}”不可用：它{}", told(Language::Chinese)),
    );
    let trouble = Trouble::new(words);
    match serde_json::to_value(fault) {
        Ok(fault) => trouble.with("fault", fault),
        Err(_) => trouble,
    }
}

/// That a certificate ends soon: told again as the days become fewer.
fn of_certificate(ends: SystemTime, before: Duration, now: SystemTime) -> Option<Trouble> {
    let left = ends.duration_since(now).unwrap_or_default();
    if left > before {
        return None;
    }
    let date = humantime::format_rfc3339_seconds(ends).to_string();
    let days = left.as_secs() / DAY;
    let words = match left.is_zero() {
        true => both!(
            "the certificate of gateway.tls expired at {date}: replace it and upgrade or restart",
            "gateway.tls 的证书已于 {date} 到期：请更换证书，然后升级或重启"
        ),
        false => both!(
            "the certificate of gateway.tls expires at {date}, in {days} days: replace it and upgrade or restart",
            "gateway.tls 的证书将于 {date} 到期，还有 {days} 天：请更换证书，然后升级或重启"
        ),
    };
    let stage = match days {
        _ if left.is_zero() => 5,
        0 => 4,
        1..3 => 3,
        3..7 => 2,
        _ => 1,
    };
    Some(Trouble { stage, ..Trouble::new(words).with("ends_at", date) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_told_in_one_language() {
        let detail = UpstreamFault::Status { status: 429 }.words();
        let key = (Arc::from("relay"), Arc::from("a"));
        let told = key_down(&key, KeyReason::RateLimited, &detail, Some(90_000));
        let wanted = both!(
            "the key a of the upstream \"relay\" rests for 1m 30s: the upstream limits its requests (answered 429)",
            "上游“relay”的密钥 a 暂停使用 1 分 30 秒：触发限流（返回了 429）"
        );
        assert_eq!(told.words, wanted);
        let told = down("relay", Some(&UpstreamFault::Truncated));
        assert_eq!(told.words.text(Language::Chinese), "上游“relay”不可用：它的响应没有发完就结束了");
    }

    #[test]
    fn a_certificate_is_told_of_ever_more_urgently() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_786_661);
        let stage = |days: f64| {
            let ends = now + Duration::from_secs_f64(days * DAY as f64);
            of_certificate(ends, Duration::from_secs(14 * DAY), now).map(|trouble| trouble.stage)
        };
        let stages = [14.5, 13.5, 6.5, 2.5, 0.5].map(stage);
        assert_eq!(stages, [None, Some(1), Some(2), Some(3), Some(4)]);
        let over = of_certificate(now - Duration::from_secs(5), Duration::from_secs(DAY), now).expect("told");
        assert!(over.stage == 5 && over.words.to_string().contains("expired at 2026-"), "{}", over.words);
    }
}
