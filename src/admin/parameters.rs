//! What a query says: names and values, percent-decoded, each name once.

use super::fault::Fault;
use super::refused::Refused;
use crate::unix_time::now_ms;
use percent_encoding::percent_decode;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::UNIX_EPOCH;

/// Most values of a list: SQLite knows a bound.
const MOST_VALUES: usize = 100;

/// The values of a query.
#[derive(Debug, Default)]
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Reads a query; of a name that is there twice the last value counts.
    pub(super) fn read(query: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(query).into_owned().collect())
    }

    /// A value that is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The values of a comma list.
    pub(super) fn list(&self, name: &str) -> Result<Vec<String>, Refused> {
        let values = self.get(name).unwrap_or_default().split(',').map(str::trim);
        let values: Vec<String> = values.filter(|value| !value.is_empty()).map(str::to_owned).collect();
        match values.len() {
            ..=MOST_VALUES => Ok(values),
            count => {
                let (name, count) = (name.to_owned(), count as u64);
                Err(Fault::TooManyValues { name, count, most: MOST_VALUES as u64 }.into())
            }
        }
    }

    /// A whole number within a range.
    pub(super) fn number(&self, name: &str, range: Range<u32>, default: u32) -> Result<u32, Refused> {
        let Some(text) = self.get(name) else { return Ok(default) };
        text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
            let (name, text) = (name.to_owned(), text.to_owned());
            Fault::NotANumber { name, text, least: range.start.into(), most: (range.end - 1).into() }.into()
        })
    }

    /// One of these, by its name.
    pub(super) fn choice<T, const N: usize>(
        &self,
        name: &str,
        choices: [(&'static str, T); N],
    ) -> Result<Option<T>, Refused> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let names = choices.each_ref().map(|(known, _)| *known).join(", ");
        match choices.into_iter().find(|(known, _)| *known == text) {
            Some((_, choice)) => Ok(Some(choice)),
            None => Err(Fault::NotAChoice { name: name.to_owned(), choices: names }.into()),
        }
    }

    /// A point in time, in milliseconds since 1970: as such a number, or as RFC 3339 says.
    pub(super) fn time(&self, name: &str) -> Result<Option<i64>, Refused> {
        let Some(text) = self.get(name) else { return Ok(None) };
        read_time(text).map(Some).ok_or_else(|| Fault::NotATime { name: name.to_owned(), text: text.to_owned() }.into())
    }

    /// From when to when; the default is the last hour.
    pub(super) fn span(&self) -> Result<(i64, i64), Refused> {
        let to = self.time("to")?.unwrap_or_else(now_ms);
        let from = self.time("from")?.unwrap_or((to - 3_600_000).max(TIMES.start));
        if from > to {
            return Err(Fault::TimesReversed.into());
        }
        Ok((from, to))
    }

    /// Statuses: `200`, `4xx`.
    pub(super) fn statuses(&self) -> Result<Vec<Range<u16>>, Refused> {
        let read = |text: String| {
            match text.strip_suffix("xx") {
                Some(class) => class
                    .parse()
                    .ok()
                    .filter(|class| (1..=5).contains(class))
                    .map(|class: u16| class * 100..class * 100 + 100),
                None => text.parse().ok().filter(|status| *status < 1000).map(|status: u16| status..status + 1),
            }
            .ok_or_else(|| Fault::NotAStatus { text }.into())
        };
        self.list("status")?.into_iter().map(read).collect()
    }
}

/// No time beyond these is meant, and sums with them do not overflow.
pub(super) const TIMES: Range<i64> = 0..253_402_300_800_000;

fn read_time(text: &str) -> Option<i64> {
    let millis = text.parse().ok().or_else(|| read_date(text))?;
    TIMES.contains(&millis).then_some(millis)
}

/// A date of RFC 3339.
fn read_date(text: &str) -> Option<i64> {
    let (date, ahead) = split_offset(text).unwrap_or((text, 0));
    let time = humantime::parse_rfc3339_weak(date).ok()?;
    i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()?.checked_sub(ahead)
}

/// A date without its offset from UTC, and that in milliseconds. The plus is a blank if the query was not encoded.
fn split_offset(text: &str) -> Option<(&str, i64)> {
    let (date, offset) = text.split_at_checked(text.len().checked_sub("+00:00".len())?)?;
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let number = |text: &str, below: i64| {
        let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i64>().ok().filter(|number| is_number && *number < below)
    };
    let ahead = (number(hours, 24)? * 60 + number(minutes, 60)?) * 60_000;
    match offset.as_bytes().first() {
        Some(b'+' | b' ') => Some((date, ahead)),
        Some(b'-') => Some((date, -ahead)),
        _ => None,
    }
}

/// The segments of a path, percent-decoded. What is no text stays as it is written, and names nothing.
pub(super) fn segments(path: &[u8]) -> Vec<String> {
    let decode = |segment: &[u8]| match percent_decode(segment).decode_utf8() {
        Ok(text) => text.into_owned(),
        Err(_) => String::from_utf8_lossy(segment).into_owned(),
    };
    path.split(|&byte| byte == b'/').map(decode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(query: &str) -> Parameters {
        Parameters::read(query.as_bytes())
    }

    #[test]
    fn times_are_numbers_or_dates() {
        let time = |text: &str| read(&format!("from={text}")).time("from").ok().flatten();
        assert_eq!(time("1000"), Some(1000));
        assert_eq!(time("1970-01-01T00:00:02Z"), Some(2000));
        assert_eq!(time("1970-01-01T02:00:00%2B01:30"), Some(1_800_000));
        assert_eq!(time("1970-01-01T02:00:00.5+01:30"), Some(1_800_500));
        assert_eq!(time("1970-01-01T02:00:00-01:30"), Some(12_600_000));
        assert_eq!(time(""), None);
        for bad in [
            "yesterday",
            "-1",
            "9999999999999999",
            "1969-01-01T00:00:00Z",
            "1970-01-01 09:00",
            "1970-01-01T09:00:00+24:00",
            "1970-01-01T00:00:00+00:01",
            "1970-01-01T09:00:00+ab:cd",
            "1970-01-01T09:00:00é00:00",
        ] {
            assert!(read(&format!("from={bad}")).time("from").is_err(), "{bad}");
        }
        assert!(read("from=2&to=1").span().is_err());
    }

    #[test]
    fn statuses_lists_and_numbers_are_checked() {
        assert!(
            matches!(read("status=200,4xx").statuses().ok().as_deref(), Some([a, b]) if *a == (200..201) && *b == (400..500))
        );
        for bad in ["6xx", "xx", "abc", "1000"] {
            assert!(read(&format!("status={bad}")).statuses().is_err(), "{bad}");
        }
        assert_eq!(read("model=a%2C%20b,,c").list("model").ok(), Some(vec!["a".into(), "b".into(), "c".into()]));
        assert!(read(&format!("model={}", "a,".repeat(101))).list("model").is_err());
        assert_eq!(read("limit=5").number("limit", 1..501, 100).ok(), Some(5));
        assert_eq!(read("").number("limit", 1..501, 100).ok(), Some(100));
        assert!(read("limit=501").number("limit", 1..501, 100).is_err());
        assert_eq!(segments(b"requests/a%2Fb"), ["requests", "a/b"]);
    }

    proptest! {
        #[test]
        fn whatever_a_query_says_what_is_read_is_within_bounds(
            query in prop_oneof![
                any::<Vec<u8>>(),
                "((from|to|status|limit|by)=([0-9]{1,20}|[0-6]xx|[0-9TZ:.+%-]{1,30}|a|b)[,&]?){1,6}".prop_map(String::into_bytes),
            ],
        ) {
            let read = Parameters::read(&query);
            if let Ok((from, to)) = read.span() {
                prop_assert!(from <= to && TIMES.contains(&from) && TIMES.contains(&to));
            }
            for range in read.statuses().unwrap_or_default() {
                prop_assert!(range.start < range.end && range.end <= 1000 && matches!(range.len(), 1 | 100), "{:?}", range);
            }
            if let Ok(number) = read.number("limit", 1..501, 100) {
                prop_assert!((1..501).contains(&number));
            }
            if let Ok(list) = read.list("status") {
                prop_assert!(list.len() <= MOST_VALUES && list.iter().all(|value| !value.is_empty() && value.trim() == value));
            }
            let chosen = read.choice("by", [("a", 1), ("b", 2)]);
            prop_assert_eq!(chosen.is_ok_and(|chosen| chosen.is_some()), matches!(read.get("by"), Some("a" | "b")));
            prop_assert_eq!(segments(&query).len(), 1 + query.iter().filter(|byte| **byte == b'/').count());
        }

        #[test]
        fn a_time_is_the_same_as_a_number_and_as_a_date(millis in TIMES, hours in 0..24i64, minutes in 0..60i64, is_west: bool) {
            let time = |text: String| Parameters::read(format!("from={}", text.replace('+', "%2B")).as_bytes()).time("from").ok().flatten();
            prop_assert_eq!(time(millis.to_string()), Some(millis));
            let ahead = (hours * 60 + minutes) * 60_000 * if is_west { -1 } else { 1 };
            let there = millis + ahead;
            prop_assume!(TIMES.contains(&there));
            let date = humantime::format_rfc3339_millis(UNIX_EPOCH + std::time::Duration::from_millis(there.unsigned_abs())).to_string();
            let sign = if is_west { '-' } else { '+' };
            prop_assert_eq!(time(format!("{}{sign}{hours:02}:{minutes:02}", date.trim_end_matches('Z'))), Some(millis));
            prop_assert_eq!(time(date), Some(there));
        }
    }
}
