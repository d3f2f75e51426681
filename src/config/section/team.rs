//! The team: who needs a client token, and what is told of limits.

use crate::config::source::message::Message;
use crate::config::source::setting::{Setting, settings};
use crate::config::source::settings_reader::Reader;
use crate::config::source::value;

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
}

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
}

impl Team {
    /// Reads it.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            require_token: reader.get(&REQUIRE_TOKEN),
            notify_at: reader.get(&NOTIFY_AT),
            budget_header: reader.get(&BUDGET_HEADER),
        }
    }
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
    fn parts_are_percents_or_none() {
        assert_eq!(parts("95, 80,100 %".replace(' ', "").as_str()), Ok(vec![80, 95, 100]));
        assert_eq!((parts("50%"), parts("none"), parts("50,50")), (Ok(vec![50]), Ok(vec![]), Ok(vec![50])));
        for bad in ["0", "101", "-1", "half", "80;95", "1,2,3,4,5,6,7,8,9,10,11"] {
            assert!(parts(bad).is_err(), "{bad}");
        }
    }
}
