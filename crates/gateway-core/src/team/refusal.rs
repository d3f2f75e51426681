//! Why a request is refused for its limits, and what its client is told. Why it is refused for its token is `token`'s.
//!
//! Claude Code goes by the status, `retry-after` and `x-should-retry`: it repeats a 401 ten times in silence unless it is told
//! not to, gives up when it is to wait for more than a minute, and shows the message of what it does not repeat.

use super::limit::{Limit, Subject, Window};
use crate::language::{Language, Spelled, Words, both};
use crate::reason::Reason;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::fmt;
use std::time::Duration;

/// The longest pause that Claude Code keeps.
const LONGEST_PAUSE: u64 = 60;
/// A place may be free by then.
const PLACE_PAUSE: u64 = 2;
/// What requests hold that are being served, or another gateway does not need, may have come back by then.
const HELD_PAUSE: u64 = 5;
/// The ledger may be back by then.
const LEDGER_PAUSE: u64 = 5;

/// Why a request is refused.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// Nobody has said what the model costs, and a limit is in dollars.
    Unpriced {
        /// The model.
        model: String,
        /// The limit.
        whose: Whose,
    },
    /// Too many requests a minute.
    Rate {
        /// The limit.
        whose: Whose,
        /// How long until the next one may come.
        wait: Duration,
    },
    /// Too many requests at one time.
    Places {
        /// The limit.
        whose: Whose,
    },
    /// Too many sessions.
    Sessions {
        /// The limit.
        whose: Whose,
        /// When another one may begin; `None` if never.
        resets: Option<Resets>,
    },
    /// There is enough left for the request, but it is held by others.
    Held {
        /// The limit.
        whose: Whose,
    },
    /// There is not enough left.
    Used {
        /// The limit.
        whose: Whose,
        /// What is left.
        left: i64,
        /// What the request was estimated at.
        needed: i64,
        /// When the limit begins again; `None` if never.
        resets: Option<Resets>,
    },
    /// The ledger cannot be asked, and without it nobody is served.
    Ledger,
}

/// A limit, and whose it is.
#[derive(Clone, Debug)]
pub struct Whose {
    /// What kind of subject.
    pub subject: Subject,
    /// Its name.
    pub name: String,
    /// The limit.
    pub limit: Limit,
}

/// When a limit begins again.
#[derive(Clone, Debug)]
pub struct Resets {
    /// In milliseconds since 1970.
    pub at: i64,
    /// In how long.
    pub within: Duration,
    /// Where the client reads the clock.
    pub zone: TimeZone,
}

/// What a client is told beside the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The status.
    pub status: u16,
    /// The type of the error in the API's shape.
    pub kind: &'static str,
    /// Seconds (`retry-after`).
    pub retry_after: Option<u64>,
    /// Whether the client is told not to repeat the request (`x-should-retry: false`).
    pub is_final: bool,
}

impl Refusal {
    /// A stock did not have enough: whether what is missing is only held, or used, by what nobody had spent of the limit when
    /// the ledger was asked.
    pub fn short(whose: Whose, unspent: i64, needed: i64, resets: Option<Resets>) -> Self {
        match whose.limit.window {
            Window::Now => Self::Places { whose },
            _ if unspent >= needed => Self::Held { whose },
            _ => Self::Used { whose, left: unspent.max(0), needed, resets },
        }
    }

    /// Why, for programs.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Unpriced { .. } => Reason::LimitUnpriced,
            Self::Rate { .. } => Reason::LimitRate,
            Self::Places { .. } => Reason::LimitPlaces,
            Self::Sessions { .. } => Reason::LimitSessions,
            Self::Held { .. } => Reason::LimitHeld,
            Self::Used { resets: Some(_), .. } => Reason::LimitUsed,
            Self::Used { resets: None, .. } => Reason::LimitTotal,
            Self::Ledger => Reason::LimitLedger,
        }
    }

    /// What the client is told beside the message.
    pub fn told(&self) -> Told {
        let last = |status, kind| Told { status, kind, retry_after: None, is_final: true };
        let again = |status, kind, pause: u64| Told { status, kind, retry_after: Some(pause), is_final: false };
        let soon = |pause: u64| again(429, "rate_limit_error", pause.clamp(1, LONGEST_PAUSE));
        match self {
            Self::Unpriced { .. } => last(404, "not_found_error"),
            Self::Rate { wait, .. } => soon(seconds(*wait)),
            Self::Places { .. } => soon(PLACE_PAUSE),
            Self::Held { .. } => soon(HELD_PAUSE),
            Self::Used { resets, .. } | Self::Sessions { resets, .. } => match resets {
                Some(resets) => {
                    Told { retry_after: Some(seconds(resets.within).max(1)), ..last(429, "rate_limit_error") }
                }
                None => last(402, "billing_error"),
            },
            Self::Ledger => again(503, "overloaded_error", LEDGER_PAUSE),
        }
    }

    /// What the client's user reads.
    pub fn words(&self) -> Words {
        match self {
            Self::Unpriced { model, whose } if model.is_empty() => both!(
                "Nobody could tell what this request uses, so {whose} cannot be kept: send a message (POST /v1/messages) to a model that \
                 has a price.",
                "这个请求的用量无从得知，无法计入{whose:#}：请用 POST /v1/messages 发送消息，并使用有价格的模型。"
            ),
            Self::Unpriced { model, whose } => both!(
                "No price is known for the model {model:?}, so {whose} cannot be kept: use another model, or ask whoever runs the \
                 gateway for a price.",
                "模型 {model:?} 没有价格，无法计入{whose:#}：请换一个模型，或请网关的运营者设置价格。"
            ),
            Self::Rate { whose, wait } => {
                let wait = Spelled::whole(*wait);
                both!("This reaches {whose}: try again in {wait}.", "已达到{whose:#}：请在 {wait:#}后重试。")
            }
            Self::Places { whose } => {
                both!(
                    "This reaches {whose}: try again when one of them is over.",
                    "已达到{whose:#}：请等其中一个请求结束后重试。"
                )
            }
            Self::Held { whose } => both!(
                "What is left of {whose} is held by requests that are being served: try again in a moment.",
                "{whose:#}余下的部分正被处理中的请求占用：请稍后重试。"
            ),
            Self::Sessions { whose, resets } => {
                let when = Resets::words(resets.as_ref());
                both!("This session is one more than {whose} allows; {when}.", "会话数已达到{whose:#}；{when:#}。")
            }
            Self::Used { whose, left, needed, resets } => {
                let (rest, when) = (whose.rest(*left, *needed), Resets::words(resets.as_ref()));
                both!(
                    "This request is more than is left of {whose}: {rest}; {when}.",
                    "{whose:#}余量不足：{rest:#}；{when:#}。"
                )
            }
            Self::Ledger => both!(
                "The gateway cannot look up how much of the limits is used, and serves no one until it can.",
                "网关暂时无法查询限额的已用量，恢复之前不处理任何请求。"
            ),
        }
    }
}

impl Whose {
    /// What is left, beside what the request needs. Of a group it is not told: what is left tells what others used.
    fn rest(&self, left: i64, needed: i64) -> InPlace {
        let words = |amount: i64| InPlace(self.limit.measure.words(u64::try_from(amount).unwrap_or_default()));
        let (rest, needed) = (words(left), words(needed));
        InPlace(match left {
            ..=0 => both!("nothing is left", "已全部用完"),
            _ if self.subject == Subject::Group => both!("it is estimated at {needed}", "本次请求预计需要 {needed:#}"),
            _ => both!("{rest} left, and it is estimated at {needed}", "剩余 {rest:#}，而本次请求预计需要 {needed:#}"),
        })
    }
}

/// "the limit of user alice (5 dollars a day)"; in its alternate form it is Chinese.
impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, limit) = (&self.name, InPlace(self.limit.words()));
        let words = match self.subject {
            Subject::Token => both!("the limit of token {name} ({limit})", "令牌 {name} 的限额（{limit:#}）"),
            Subject::User => both!("the limit of user {name} ({limit})", "用户 {name} 的限额（{limit:#}）"),
            Subject::Group => both!("the limit of group {name} ({limit})", "用户组 {name} 的限额（{limit:#}）"),
        };
        InPlace(words).fmt(f)
    }
}

impl Resets {
    pub(super) fn words(resets: Option<&Self>) -> InPlace {
        let Some(Self { at, within, zone }) = resets else {
            return InPlace(both!("it does not begin again", "此限额不会重置"));
        };
        let time = Timestamp::from_millisecond(*at).unwrap_or(Timestamp::MAX).to_zoned(zone.clone());
        let (time, zone) = (time.strftime("%Y-%m-%d %H:%M").to_string(), zone.iana_name().unwrap_or("UTC"));
        let within = Self::spelled(*within);
        InPlace(both!("it begins again at {time} ({zone}), in {within}", "将于 {time}（{zone}）重置，还有 {within:#}"))
    }

    /// In whole minutes where seconds are of no interest.
    fn spelled(within: Duration) -> Spelled {
        let seconds = seconds(within);
        Spelled(Duration::from_secs(if seconds > 600 { seconds.div_ceil(60) * 60 } else { seconds }))
    }
}

/// Words that stand in others: in the alternate form they are Chinese.
pub(super) struct InPlace(pub(super) Words);

impl fmt::Display for InPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.text(if f.alternate() { Language::Chinese } else { Language::English }))
    }
}

/// In whole seconds, not less than it is.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose(limit: &str) -> Whose {
        Whose { subject: Subject::User, name: "alice".to_owned(), limit: limit.parse().expect(limit) }
    }

    /// Midnight in Shanghai, in a little more than three hours.
    fn resets() -> Resets {
        let zone = super::super::window::zone("Asia/Shanghai").expect("a zone");
        Resets { at: 1_795_881_600_000, within: Duration::from_millis(11_521_500), zone }
    }

    fn all() -> Vec<Refusal> {
        let wait = Duration::from_millis(2_300);
        vec![
            Refusal::Unpriced { model: "new".to_owned(), whose: whose("usd:day:5") },
            Refusal::Rate { whose: whose("requests:minute:60"), wait },
            Refusal::Places { whose: whose("requests:now:8") },
            Refusal::Sessions { whose: whose("sessions:day:3"), resets: Some(resets()) },
            Refusal::Held { whose: whose("usd:day:5") },
            Refusal::short(whose("usd:day:5"), 123_400_000, 250_000_000, Some(resets())),
            Refusal::short(whose("usd:total:5"), 0, 1, None),
            Refusal::Ledger,
        ]
    }

    #[test]
    fn each_refusal_is_told_as_claude_code_takes_it() {
        let told: Vec<_> = all()
            .iter()
            .map(|refusal| {
                let Told { status, kind, retry_after, is_final } = refusal.told();
                (refusal.reason().code(), status, kind, retry_after, is_final)
            })
            .collect();
        assert_eq!(
            told,
            [
                ("limit_unpriced", 404, "not_found_error", None, true),
                ("limit_rate", 429, "rate_limit_error", Some(3), false),
                ("limit_places", 429, "rate_limit_error", Some(2), false),
                ("limit_sessions", 429, "rate_limit_error", Some(11_522), true),
                ("limit_held", 429, "rate_limit_error", Some(5), false),
                ("limit_used", 429, "rate_limit_error", Some(11_522), true),
                ("limit_total", 402, "billing_error", None, true),
                ("limit_ledger", 503, "overloaded_error", Some(5), false),
            ]
        );
    }

    #[test]
    fn who_is_to_wait_waits_no_longer_than_claude_code_does() {
        for wait in [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(59), Duration::from_secs(3_600)] {
            let told = Refusal::Rate { whose: whose("requests:minute:1"), wait }.told();
            assert!((1..=60).contains(&told.retry_after.expect("a pause")), "{wait:?}");
        }
        let now = Resets { within: Duration::ZERO, ..resets() };
        assert_eq!(Refusal::short(whose("usd:day:5"), 0, 1, Some(now)).told().retry_after, Some(1));
    }

    #[test]
    fn what_is_only_held_comes_back_and_what_is_used_does_not() {
        let code = |limit, unspent, needed, resets| Refusal::short(whose(limit), unspent, needed, resets).reason();
        assert_eq!(code("usd:day:5", 100, 100, Some(resets())), Reason::LimitHeld);
        assert_eq!(code("usd:day:5", 99, 100, Some(resets())), Reason::LimitUsed);
        assert_eq!(code("usd:total:5", -5, 0, None), Reason::LimitTotal);
        assert_eq!(code("usd:total:5", 5, 5, None), Reason::LimitHeld);
        assert_eq!(code("requests:now:8", 0, 1, None), Reason::LimitPlaces);
    }

    #[test]
    fn a_message_says_which_limit_it_is_what_is_left_and_when_it_begins_again() {
        let words = Refusal::short(whose("usd:day:5"), 123_400_000, 250_000_000, Some(resets())).words();
        assert_eq!(
            words.to_string(),
            "This request is more than is left of the limit of user alice (5 dollars a day): 0.1234 dollars left, and it \
             is estimated at 0.25 dollars; it begins again at 2026-11-29 00:00 (Asia/Shanghai), in 3h 13m."
        );
        assert_eq!(
            words.text(Language::Chinese),
            "用户 alice 的限额（每天 5 美元）余量不足：剩余 0.1234 美元，而本次请求预计需要 0.25 美元；\
             将于 2026-11-29 00:00（Asia/Shanghai）重置，还有 3 小时 13 分钟。"
        );
        let words = Refusal::short(whose("usd:total:5"), -7, 1, None).words();
        assert_eq!(
            words.to_string(),
            "This request is more than is left of the limit of user alice (5 dollars in total): nothing is left; it does \
             not begin again."
        );
        let rate = Refusal::Rate { whose: whose("requests:minute:60"), wait: Duration::from_millis(2_300) };
        assert_eq!(
            rate.words().to_string(),
            "This reaches the limit of user alice (60 requests a minute): try again in 3s."
        );
        for refusal in all() {
            let words = refusal.words();
            assert_ne!(words.text(Language::English), words.text(Language::Chinese), "{refusal:?}");
        }
    }
}
