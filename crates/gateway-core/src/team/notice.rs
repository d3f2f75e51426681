//! What whoever runs the gateway is told of a limit that is used up by and by: once in each window, at some parts of it.

use super::limit::{Kind, Limit, Window};
use super::refusal::{InPlace, Resets, Whose};
use crate::language::{Words, both};

/// A limit of which so much is spent.
#[derive(Clone, Debug)]
pub struct Notice {
    /// The limit.
    pub whose: Whose,
    /// How many hundredths of it are spent, at least.
    pub percent: u8,
    /// What is spent.
    pub spent: i64,
    /// When it begins again; `None` if never.
    pub resets: Option<Resets>,
}

/// Whether anybody is told of such limits: not of rates, of what is in use at one time, and of what is a minute long.
pub fn is_told_of(limit: &Limit) -> bool {
    matches!(limit.kind(), Kind::Spending | Kind::Sessions) && !matches!(limit.window, Window::Minute | Window::Now)
}

/// The highest of these parts, in hundredths, that is spent of an amount.
pub fn reached(spent: i64, amount: u64, parts: &[u8]) -> Option<u8> {
    let spent = u128::from(spent.max(0).unsigned_abs()) * 100;
    parts.iter().copied().filter(|part| spent >= u128::from(amount) * u128::from(*part)).max()
}

impl Notice {
    /// What is told.
    pub fn words(&self) -> Words {
        let Self { whose, percent, spent, resets } = self;
        let spent = InPlace(whose.limit.measure.words(u64::try_from(*spent).unwrap_or_default()));
        let when = Resets::words(resets.as_ref());
        both!("{percent} % of {whose} is used: {spent}; {when}", "{whose:#}已用 {percent}%：{spent:#}；{when:#}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::limit::Subject;
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_highest_part_that_is_reached_is_told() {
        let parts = [80, 95, 100];
        for (spent, wanted) in [
            (-5, None),
            (0, None),
            (399, None),
            (400, Some(80)),
            (474, Some(80)),
            (475, Some(95)),
            (499, Some(95)),
            (500, Some(100)),
            (i64::MAX, Some(100)),
        ] {
            assert_eq!(reached(spent, 500, &parts), wanted, "{spent}");
        }
        assert_eq!(reached(500, 500, &[]), None);
        assert_eq!(reached(i64::MAX, u64::MAX, &[100, 1]), Some(1));
    }

    #[test]
    fn nobody_is_told_of_what_is_over_in_a_minute() {
        let told: Vec<&str> = [
            "usd:minute:5",
            "usd:5h:5",
            "usd:day:5",
            "tokens:week:5",
            "requests:month:5",
            "requests:total:5",
            "requests:minute:5",
            "requests:now:5",
            "sessions:now:5",
            "sessions:day:5",
            "tokens:minute:5",
        ]
        .into_iter()
        .filter(|text| is_told_of(&text.parse().expect("a limit")))
        .collect();
        assert_eq!(
            told,
            ["usd:5h:5", "usd:day:5", "tokens:week:5", "requests:month:5", "requests:total:5", "sessions:day:5"]
        );
    }

    #[test]
    fn a_notice_says_whose_limit_it_is_what_is_spent_and_when_it_begins_again() {
        let whose = |limit: &str| Whose {
            subject: Subject::User,
            name: "alice".to_owned(),
            limit: limit.parse().expect(limit),
        };
        let zone = super::super::window::zone("Asia/Shanghai").expect("a zone");
        let resets = Resets { at: 1_795_881_600_000, within: Duration::from_millis(11_521_500), zone };
        let notice = Notice { whose: whose("usd:day:5"), percent: 80, spent: 4_020_000_000, resets: Some(resets) };
        let words = both!(
            "80 % of the limit of user alice (5 dollars a day) is used: 4.02 dollars; it begins again at 2026-11-29 00:00 \
             (Asia/Shanghai), in 3h 13m",
            "用户 alice 的限额（每天 5 美元）已用 80%：4.02 美元；将于 2026-11-29 00:00（Asia/Shanghai）重置，还有 3 小时 13 分钟"
        );
        assert_eq!(notice.words(), words);
        let last = Notice { whose: whose("requests:total:1"), percent: 100, spent: 1, resets: None }.words();
        assert_eq!(
            last.to_string(),
            "100 % of the limit of user alice (one request in total) is used: one request; it does not begin again"
        );
    }
}
