//! Times in words.

use super::{Language, Words};
use std::fmt;
use std::time::Duration;

/// A time as it is told: `1m 30s`, as settings have it; in its alternate form (`{:#}`) it is Chinese, `1 分 30 秒`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spelled(pub Duration);

impl Spelled {
    /// In whole seconds, not less than it is: where nobody asks for milliseconds.
    pub fn whole(time: Duration) -> Self {
        Self(Duration::from_secs(time.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)))
    }

    /// In both languages.
    pub fn words(self) -> Words {
        Words::new(format_args!("{self}"), format_args!("{self:#}"))
    }

    /// In one of them.
    pub fn text(self, language: Language) -> String {
        match language {
            Language::English => self.to_string(),
            Language::Chinese => format!("{self:#}"),
        }
    }
}

impl fmt::Display for Spelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return humantime::format_duration(self.0).fmt(f);
        }
        let (seconds, nanos) = (self.0.as_secs(), self.0.subsec_nanos());
        let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
        let has_rest = rest > 0 || nanos > 0;
        let parts = [
            (seconds / 86_400, "天"),
            (seconds / 3_600 % 24, "小时"),
            (minutes, if has_rest { "分" } else { "分钟" }),
            (rest, "秒"),
            (u64::from(nanos / 1_000_000), "毫秒"),
            (u64::from(nanos / 1_000 % 1_000), "微秒"),
        ];
        let mut gap = "";
        for (count, unit) in parts.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{gap}{count} {unit}")?;
            gap = " ";
        }
        if gap.is_empty() { f.write_str("0 秒") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_both_languages() {
        let ms = Duration::from_millis;
        for (time, english, chinese) in [
            (ms(90_000), "1m 30s", "1 分 30 秒"),
            (ms(300_000), "5m", "5 分钟"),
            (ms(500), "500ms", "500 毫秒"),
            (ms(60_250), "1m 250ms", "1 分 250 毫秒"),
            (ms(3_600_000), "1h", "1 小时"),
            (ms(90_061_000), "1day 1h 1m 1s", "1 天 1 小时 1 分 1 秒"),
            (Duration::from_micros(350), "350us", "350 微秒"),
            (Duration::ZERO, "0s", "0 秒"),
        ] {
            let words = Spelled(time).words();
            assert_eq!([words.text(Language::English), words.text(Language::Chinese)], [english, chinese]);
        }
        assert_eq!(Spelled::whole(ms(1_001)).text(Language::Chinese), "2 秒");
    }
}
