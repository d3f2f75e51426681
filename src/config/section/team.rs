//! The team: who needs a client token, and what is told of limits.

use crate::config::source::message::Message;
use crate::config::source::setting::{Setting, settings};
use crate::config::source::settings_reader::Reader;
use crate::config::source::value;
use gateway_core::team::window;
use jiff::tz::TimeZone;

settings! {
    REQUIRE_TOKEN: bool = Setting::one(
        "gateway.team.require_token",
        "false",
        value::boolean,
        "Serve only requests with a client token of the gateway's own (agw_...); all others are refused.",
        "只接受带有网关自己签发的客户端令牌（agw_...）的请求，其余一律拒绝。",
    )
    .env(&["REQUIRE_TOKEN"]);
    NOTIFY_AT: Vec<u8> = Setting::list(
        "gateway.team.notify_at",
        "80, 95, 100",
        parts,
        "Tell (gateway.notify) when so many percent of a limit are used, once in each window; or none.",
        "限额用到百分之几时发出通知（gateway.notify），每个时间窗口各通知一次；或 none。",
    );
    BUDGET_HEADER: bool = Setting::one(
        "gateway.team.budget_header",
        "false",
        value::boolean,
        "Tell holders of client tokens with each response (x-gateway-budget) how much is used of the limit that is nearest to \
         its end.",
        "在每个响应中（x-gateway-budget）告知客户端令牌的持有人，最接近用完的限额已用多少。",
    );
    TIME_ZONE: TimeZone = Setting::one(
        "gateway.team.time_zone",
        "UTC",
        time_zone,
        "Where the days, weeks and months of limits begin: an IANA name such as Asia/Shanghai. A group may have its own.",
        "限额的日、周、月按哪个时区计算：IANA 名称，例如 Asia/Shanghai。用户组可以另设。",
    );
    MOST_TOKENS: u32 = Setting::one(
        "gateway.team.bounds.tokens",
        "50000",
        |text| value::number(text, 1..=MOST),
        "Most client tokens, with those that were revoked.",
        "客户端令牌最多有多少个，包括已吊销的。",
    );
    MOST_USERS: u32 = Setting::one(
        "gateway.team.bounds.users",
        "10000",
        |text| value::number(text, 1..=MOST),
        "Most users.",
        "用户最多有多少个。",
    );
    MOST_GROUPS: u32 = Setting::one(
        "gateway.team.bounds.groups",
        "1000",
        |text| value::number(text, 1..=MOST),
        "Most groups.",
        "用户组最多有多少个。",
    );
    GUESSES: u32 = Setting::one(
        "gateway.team.bounds.guesses",
        "5",
        |text| value::number(text, 1..=MOST),
        "Unknown client tokens of one address within a minute that are answered at once; further ones are slowed down.",
        "同一地址一分钟内最多有多少个未知令牌会立即得到响应，之后减慢。",
    );
    GUESSES_IN_ALL: u32 = Setting::one(
        "gateway.team.bounds.guesses_in_all",
        "100",
        |text| value::number(text, 1..=MOST),
        "The same for all addresses together.",
        "全部地址合计最多有多少个。",
    );
    WAITING: u32 = Setting::one(
        "gateway.team.bounds.waiting",
        "4096",
        |text| value::number(text, 1..=MOST),
        "Most requests that wait for the ledger of limits at one time; more are refused (limit_ledger).",
        "最多有多少个请求同时等待限额账本，更多的以 limit_ledger 拒绝。",
    );
}

/// The largest bound.
const MOST: u32 = 1_000_000;

/// Most parts of a limit that are told.
const MOST_PARTS: usize = 10;

/// What holds for client tokens, and what is told of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Team {
    /// Whether only requests with a client token are served.
    pub require_token: bool,
    /// The parts of a limit that are told, in hundredths, from the least to the most.
    pub notify_at: Vec<u8>,
    /// Whether holders are told with each response how much is used.
    pub budget_header: bool,
    /// The time zone of whoever is in no group that has one.
    pub time_zone: TimeZone,
    /// How many there may be.
    pub bounds: Bounds,
}

/// How many there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Client tokens, with those that were revoked.
    pub tokens: u32,
    /// Users.
    pub users: u32,
    /// Groups.
    pub groups: u32,
    /// Unknown tokens of one address within a minute that are answered at once.
    pub guesses: u32,
    /// The same for all addresses together.
    pub guesses_in_all: u32,
    /// Requests that wait for the ledger.
    pub waiting: u32,
}

impl Bounds {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            tokens: reader.get(&MOST_TOKENS),
            users: reader.get(&MOST_USERS),
            groups: reader.get(&MOST_GROUPS),
            guesses: reader.get(&GUESSES),
            guesses_in_all: reader.get(&GUESSES_IN_ALL),
            waiting: reader.get(&WAITING),
        }
    }
}

impl Team {
    /// Reads it.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            require_token: reader.get(&REQUIRE_TOKEN),
            notify_at: reader.get(&NOTIFY_AT),
            budget_header: reader.get(&BUDGET_HEADER),
            time_zone: reader.get(&TIME_ZONE),
            bounds: Bounds::read(reader),
        }
    }
}

fn time_zone(name: &str) -> Result<TimeZone, Message> {
    window::zone(name).ok_or_else(|| Message::NotATimeZone { text: name.to_owned() })
}

fn parts(text: &str) -> Result<Vec<u8>, Message> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(Vec::new());
    }
    let each = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let number = |part: &str| value::number(part.strip_suffix('%').unwrap_or(part), 1..=100);
    let mut parts = each.map(number).collect::<Result<Vec<u8>, _>>()?;
    parts.sort_unstable();
    parts.dedup();
    match parts.len() {
        ..=MOST_PARTS => Ok(parts),
        found => Err(Message::TooMany { found: found as u64, most: MOST_PARTS as u64 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_zone_is_one_of_iana() {
        assert_eq!(
            time_zone("Asia/Shanghai").map(|zone| zone.iana_name().map(str::to_owned)),
            Ok(Some("Asia/Shanghai".into()))
        );
        assert_eq!(time_zone("UTC"), Ok(TimeZone::UTC));
        for bad in ["", "Mars/Olympus", "+08:00", "CST6CDT;1"] {
            assert!(time_zone(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn parts_are_percents_or_none() {
        assert_eq!(parts("95, 80,100 %".replace(' ', "").as_str()), Ok(vec![80, 95, 100]));
        assert_eq!((parts("50%"), parts("none"), parts("50,50")), (Ok(vec![50]), Ok(vec![]), Ok(vec![50])));
        for bad in ["0", "101", "-1", "half", "80;95", "1,2,3,4,5,6,7,8,9,10,11"] {
            assert!(parts(bad).is_err(), "{bad}");
        }
    }
}
