//! A limit as it is written: `usd:day:5`, `requests:minute:60`, `requests:now:8`.

use super::measure::Measure;
use crate::codes::codes;
use crate::language::{Language, Words, both};
use std::fmt;
use std::str::FromStr;

codes! {
    /// The time that a limit is for.
    Window {
        /// A minute of the clock. Requests are the exception: their minute is any minute (see `rate`).
        Minute = "minute",
        /// Five hours from the first charged request on.
        FiveHours = "5h",
        /// A day of the calendar.
        Day = "day",
        /// A week of the calendar, from Monday on.
        Week = "week",
        /// A month of the calendar.
        Month = "month",
        /// For ever.
        Total = "total",
        /// At one time.
        Now = "now",
    }
}

codes! {
    /// Whose limit it is.
    Subject {
        /// A token's.
        Token = "token",
        /// A user's: all tokens of the user together.
        User = "user",
        /// A group's: all its users together.
        Group = "group",
    }
}

impl Window {
    /// The window with this code.
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|window| window.code() == code)
    }
}

impl Subject {
    /// The kind of subject with this code.
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|subject| subject.code() == code)
    }
}

/// How a limit is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Requests a minute: each gateway keeps to its share of the rate.
    Rate,
    /// Requests at one time: places that are lent and come back.
    Places,
    /// Sessions: they are claimed in the ledger when they begin.
    Sessions,
    /// All else: an amount of a window that is spent.
    Spending,
}

/// So much of something in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What it counts.
    pub measure: Measure,
    /// In which time.
    pub window: Window,
    /// How much, in the measure's unit; at least one.
    pub amount: u64,
}

impl Limit {
    /// How it is kept.
    pub fn kind(&self) -> Kind {
        match (self.measure, self.window) {
            (Measure::Sessions, _) => Kind::Sessions,
            (Measure::Requests, Window::Minute) => Kind::Rate,
            (_, Window::Now) => Kind::Places,
            _ => Kind::Spending,
        }
    }

    /// It in words: "5 dollars a day".
    pub fn words(&self) -> Words {
        let amount = self.measure.words(self.amount);
        let (en, zh) = (amount.text(Language::English), amount.text(Language::Chinese));
        match self.window {
            Window::Minute => Words::new(format_args!("{en} a minute"), format_args!("每分钟 {zh}")),
            Window::FiveHours => Words::new(format_args!("{en} in 5 hours"), format_args!("每 5 小时 {zh}")),
            Window::Day => Words::new(format_args!("{en} a day"), format_args!("每天 {zh}")),
            Window::Week => Words::new(format_args!("{en} a week"), format_args!("每周 {zh}")),
            Window::Month => Words::new(format_args!("{en} a month"), format_args!("每月 {zh}")),
            Window::Total => Words::new(format_args!("{en} in total"), format_args!("总共 {zh}")),
            Window::Now => Words::new(format_args!("{en} at one time"), format_args!("同时 {zh}")),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.measure.code(), self.window.code(), self.measure.shown(self.amount))
    }
}

impl FromStr for Limit {
    type Err = LimitFault;

    fn from_str(text: &str) -> Result<Self, LimitFault> {
        let mut parts = text.split(':');
        let (Some(measure), Some(window), Some(amount), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(LimitFault::Form { text: text.to_owned() });
        };
        let measure = Measure::of_code(measure).ok_or_else(|| LimitFault::Measure { text: measure.to_owned() })?;
        let window = Window::of_code(window).ok_or_else(|| LimitFault::Window { text: window.to_owned() })?;
        if window == Window::Now && matches!(measure, Measure::Usd | Measure::Tokens) {
            return Err(LimitFault::AtOneTime { measure });
        }
        let amount = measure.amount(amount).ok_or_else(|| LimitFault::Amount { measure, text: amount.to_owned() })?;
        Ok(Self { measure, window, amount })
    }
}

/// Why a text is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitFault {
    /// It has not three parts.
    Form {
        /// The text.
        text: String,
    },
    /// Nothing of that name is counted.
    Measure {
        /// What stands in the place of the measure.
        text: String,
    },
    /// There is no window of that name.
    Window {
        /// What stands in the place of the window.
        text: String,
    },
    /// The amount is none, or out of bounds.
    Amount {
        /// Of what.
        measure: Measure,
        /// What stands in the place of the amount.
        text: String,
    },
    /// This is spent, and so not there at one time.
    AtOneTime {
        /// What is counted.
        measure: Measure,
    },
}

impl LimitFault {
    /// What is wrong, and what would be right.
    pub fn words(&self) -> Words {
        match self {
            Self::Form { text } => both!(
                "{text:?} is no limit: write MEASURE:WINDOW:AMOUNT, as in usd:day:5",
                "{text:?} 不是限额：应写成“计量项:时间窗口:数额”，例如 usd:day:5"
            ),
            Self::Measure { text } => {
                let codes = codes_of(Measure::ALL.iter().map(|measure| measure.code()));
                both!("{text:?} cannot be counted: write one of {codes}", "{text:?} 不是计量项：可用的有 {codes}")
            }
            Self::Window { text } => {
                let codes = codes_of(Window::ALL.iter().map(|window| window.code()));
                both!("{text:?} is no window: write one of {codes}", "{text:?} 不是时间窗口：可用的有 {codes}")
            }
            Self::Amount { measure: Measure::Usd, text } => both!(
                "{text:?} is no amount of dollars: write one above 0, up to 100000000, with at most 9 decimals",
                "{text:?} 不是有效的美元数额：应大于 0 且不超过 100000000，最多 9 位小数"
            ),
            Self::Amount { measure, text } => {
                let measure = measure.code();
                both!(
                    "{text:?} is no number of {measure}: write a whole number from 1 to 100000000000000000",
                    "{text:?} 不是有效的 {measure} 数量：应为 1 到 100000000000000000 的整数"
                )
            }
            Self::AtOneTime { measure } => {
                let measure = measure.code();
                both!(
                    "{measure} cannot be limited at one time: the window now is for requests and sessions",
                    "{measure} 不能按同时的数量限制：时间窗口 now 只用于 requests 和 sessions"
                )
            }
        }
    }
}

fn codes_of(codes: impl Iterator<Item = &'static str>) -> String {
    codes.collect::<Vec<_>>().join(", ")
}

impl fmt::Display for LimitFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.words().fmt(f)
    }
}

impl std::error::Error for LimitFault {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn limits_are_read_and_written_the_same_way() {
        for (text, kind) in [
            ("usd:day:5", Kind::Spending),
            ("usd:5h:0.25", Kind::Spending),
            ("usd:total:1000", Kind::Spending),
            ("tokens:week:2000000", Kind::Spending),
            ("tokens:minute:40000", Kind::Spending),
            ("requests:minute:60", Kind::Rate),
            ("requests:month:10000", Kind::Spending),
            ("requests:now:8", Kind::Places),
            ("sessions:now:3", Kind::Sessions),
            ("sessions:day:20", Kind::Sessions),
        ] {
            let limit: Limit = text.parse().expect(text);
            assert_eq!((limit.to_string().as_str(), limit.kind()), (text, kind));
        }
        let short: Limit = "usd:day:05.50".parse().expect("a limit");
        assert_eq!(short.to_string(), "usd:day:5.5");
    }

    #[test]
    fn what_is_no_limit_is_told_with_what_would_be_one() {
        for (text, told) in [
            ("usd:day", "as in usd:day:5"),
            ("usd:day:5:6", "as in usd:day:5"),
            ("", "as in usd:day:5"),
            ("eur:day:5", "usd, tokens, requests, sessions"),
            ("usd:year:5", "minute, 5h, day, week, month, total, now"),
            ("usd:day:0", "above 0"),
            ("requests:day:1.5", "whole number"),
            ("usd:now:5", "for requests and sessions"),
            ("tokens:now:5", "for requests and sessions"),
            ("USD:day:5", "usd, tokens"),
        ] {
            let fault = text.parse::<Limit>().expect_err(text);
            assert!(fault.to_string().contains(told), "{text}: {fault}");
            assert_ne!(fault.words().text(Language::Chinese), fault.to_string());
        }
    }

    #[test]
    fn limits_have_words() {
        let words = |text: &str| text.parse::<Limit>().expect(text).words();
        assert_eq!(words("usd:day:5"), both!("5 dollars a day", "每天 5 美元"));
        assert_eq!(words("requests:now:1"), both!("one request at one time", "同时 1 个请求"));
        assert_eq!(words("tokens:5h:10"), both!("10 tokens in 5 hours", "每 5 小时 10 个 token"));
    }

    proptest! {
        #[test]
        fn every_limit_is_read_as_it_was_written(
            measure in 0..Measure::ALL.len(), window in 0..Window::ALL.len(), amount in 1..=super::super::measure::LARGEST,
        ) {
            let limit = Limit { measure: Measure::ALL[measure], window: Window::ALL[window], amount };
            match limit.to_string().parse::<Limit>() {
                Ok(read) => prop_assert_eq!(read, limit),
                Err(fault) => prop_assert_eq!(fault, LimitFault::AtOneTime { measure: limit.measure }),
            }
        }

        #[test]
        fn no_text_is_too_much(text in ".{0,40}") {
            let _ = text.parse::<Limit>();
        }
    }
}
