//! From a setting's text to its value, with an error that says what would be right.

use super::message::Message;
use super::problem::near;
use gateway_core::usage::pricing::decimal::Factor;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

/// `host:port`; the host an address or `localhost`.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn address(text: &str) -> Result<SocketAddr, Message> {
    if let Some(port) = text.strip_prefix("localhost:") {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, self::port(port)?)));
    }
    text.parse().map_err(|_| Message::NotAnAddress { text: text.to_owned() })
}

/// A port number from 1 on.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn port(text: &str) -> Result<u16, Message> {
    text.parse().ok().filter(|&port| port > 0).ok_or_else(|| Message::NotAPort { text: text.to_owned() })
}

/// `true` or `false`, and the spellings that people use in environments.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn boolean(text: &str) -> Result<bool, Message> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(Message::NotABoolean { text: text.to_owned() }),
    }
}

/// A time such as `10s`, `500ms` or `1m 30s`; not zero.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn duration(text: &str) -> Result<Duration, Message> {
    humantime::parse_duration(text)
        .ok()
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| Message::NotADuration { text: text.to_owned() })
}

/// A time within a range, perhaps zero.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn duration_within(text: &str, range: RangeInclusive<Duration>) -> Result<Duration, Message> {
    let time = humantime::parse_duration(text).map_err(|_| Message::NotADuration { text: text.to_owned() })?;
    if range.contains(&time) {
        return Ok(time);
    }
    let spelled = |duration: &Duration| humantime::format_duration(*duration).to_string();
    let (least, most) = (spelled(range.start()), spelled(range.end()));
    Err(Message::NotADurationWithin { text: text.to_owned(), least, most })
}

/// Whole percents such as `20%`, within a range.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn percentage(text: &str, range: RangeInclusive<u32>) -> Result<u32, Message> {
    let percents = text.strip_suffix('%').and_then(|number| number.trim_end().parse().ok());
    percents.filter(|percents| range.contains(percents)).ok_or_else(|| {
        let (least, most) = (u64::from(*range.start()), u64::from(*range.end()));
        Message::NotAPercentage { text: text.to_owned(), least, most }
    })
}

/// A comma list of name servers, each an address with perhaps a port (53 if there is none).
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn name_servers(text: &str) -> Result<Vec<SocketAddr>, Message> {
    let servers = text.split(',').map(str::trim).filter(|server| !server.is_empty()).map(|server| {
        let bare = server.strip_prefix('[').and_then(|server| server.strip_suffix(']')).unwrap_or(server);
        let address = bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53)).ok();
        let address = address.or_else(|| server.parse().ok()).filter(|address| address.port() > 0);
        address.ok_or_else(|| Message::NotANameServer { text: server.to_owned() })
    });
    servers.collect()
}

/// A number of bytes such as `64KiB`; not zero.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn size(text: &str) -> Result<usize, Message> {
    text.parse::<bytesize::ByteSize>()
        .ok()
        .and_then(|size| usize::try_from(size.as_u64()).ok())
        .filter(|&size| size > 0)
        .ok_or_else(|| Message::NotASize { text: text.to_owned() })
}

/// A whole number in a range.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn number<T>(text: &str, range: RangeInclusive<T>) -> Result<T, Message>
where
    T: FromStr + PartialOrd + Copy + TryInto<u64>,
{
    text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
        let bound = |bound: &T| (*bound).try_into().unwrap_or_default();
        let (least, most) = (bound(range.start()), bound(range.end()));
        Message::NotANumber { text: text.to_owned(), least, most }
    })
}

/// How many times as much something costs: a decimal from 0 to `most`.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn factor(text: &str, most: u32) -> Result<Factor, Message> {
    Factor::parse(text, most).ok_or_else(|| Message::NotAFactor {
        text: text.to_owned(),
        most: most.into(),
        places: Factor::PLACES.into(),
    })
}

/// The midnight (UTC) at which a date begins, such as 2026-10-07.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn date(text: &str) -> Result<SystemTime, Message> {
    let time = (text.len() == "2026-10-07".len()).then(|| humantime::parse_rfc3339(&format!("{text}T00:00:00Z")).ok());
    time.flatten().ok_or_else(|| Message::NotADate { text: text.to_owned() })
}

/// One of the names in `choices`.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn choice<T: Clone>(text: &str, choices: &[(&str, T)]) -> Result<T, Message> {
    choices.iter().find(|(name, _)| *name == text).map(|(_, value)| value.clone()).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let near = near(text, names.iter().copied());
        Message::NotAChoice { text: text.to_owned(), choices: names.join(", "), near }
    })
}

/// A key without what stands around it by mistake: blanks and line ends (of `$(cat file)`, of YAML's `|`, of a text that
/// was pasted), and marks that nobody sees.
pub(crate) fn bare(key: &str) -> &str {
    let is_unseen = |c: char| matches!(c, '\u{feff}' | '\u{200b}'..='\u{200d}' | '\u{2060}');
    key.trim_matches(|c: char| c.is_whitespace() || is_unseen(c))
}

/// Makes a key [`bare`]; whether something was cut off.
pub(crate) fn cut(key: &mut String) -> bool {
    let length = key.len();
    if bare(key).len() < length {
        *key = bare(key).to_owned();
    }
    key.len() < length
}

/// A key that a client can send.
///
/// # Errors
/// When there are control characters in it.
pub(crate) fn key(text: &str) -> Result<String, Message> {
    match gateway_core::http1::is_field_value(text.as_bytes()) {
        true => Ok(text.to_owned()),
        false => Err(Message::KeyControls),
    }
}

/// Any text.
///
/// # Errors
/// None.
pub(crate) fn text(text: &str) -> Result<String, Message> {
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_with_their_units() {
        assert_eq!(address("localhost:80"), Ok(SocketAddr::from(([127, 0, 0, 1], 80))));
        assert!(address("[::1]:80").is_ok() && address("80").is_err() && address("a:80").is_err());
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert!(duration("10").is_err() && duration("0s").is_err() && duration("-1s").is_err());
        assert_eq!(size("64KiB"), Ok(65536));
        assert_eq!(size("100"), Ok(100));
        assert!(size("x").is_err() && size("0").is_err());
        assert_eq!(boolean("On"), Ok(true));
        assert!(boolean("maybe").is_err());
        assert!(number("0", 1..=9).is_err() && number("9", 1..=9) == Ok(9));
        assert_eq!(
            choice("jsno", &[("text", 1), ("json", 2)]).map_err(|message| message.to_string()),
            Err("\"jsno\" is not one of text, json; did you mean \"json\"?".to_owned())
        );
    }
    #[test]
    fn dates_are_days_of_the_calendar() {
        let day = |text| date(text).map(|time| humantime::format_rfc3339(time).to_string());
        assert_eq!(day("2026-10-07").as_deref(), Ok("2026-10-07T00:00:00Z"));
        assert_eq!(day("2028-02-29").as_deref(), Ok("2028-02-29T00:00:00Z"));
        for bad in ["", "2026-13-01", "2026-02-30", "07.10.2026", "2026-10-7", "2026-10-07T00:00:00Z", "10/07/2026"] {
            assert!(date(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_percentages_and_name_servers_are_bounded() {
        let second = Duration::from_secs(1);
        assert_eq!(duration_within("0s", Duration::ZERO..=second), Ok(Duration::ZERO));
        assert_eq!(duration_within("1s", Duration::ZERO..=second), Ok(second));
        let error = duration_within("1001ms", Duration::ZERO..=second).expect_err("too long");
        assert_eq!(error.to_string(), "\"1001ms\" is not a time from 0s to 1s");
        assert!(duration_within("1", Duration::ZERO..=second).is_err());
        assert_eq!((percentage("20%", 0..=100), percentage("20 %", 0..=100)), (Ok(20), Ok(20)));
        for bad in ["20", "%", "101%", "-1%", "0.5%", "20%%", ""] {
            assert!(percentage(bad, 0..=100).is_err(), "{bad}");
        }
        let servers = name_servers("1.1.1.1, 9.9.9.9:5353,[::1],[::2]:54,::3").expect("valid");
        let shown: Vec<String> = servers.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["1.1.1.1:53", "9.9.9.9:5353", "[::1]:53", "[::2]:54", "[::3]:53"]);
        for bad in ["dns.test", "1.1.1.1:0", "1.1.1.1:x", "1.1.1.1 9.9.9.9", "[::1"] {
            assert!(name_servers(bad).is_err(), "{bad}");
        }
    }
}
