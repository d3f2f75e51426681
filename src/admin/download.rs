//! Tables as downloads: CSV that spreadsheets take as it is meant, times that people read, and a file's name that tells what
//! is in it. Pure.

use super::call::Call;
use super::fault::Fault;
use super::parameters::Parameters;
use super::refused::Refused;
use crate::gateway::Answer;
use http::header::{CONTENT_DISPOSITION, HeaderValue};
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The type of CSV.
pub(super) const CSV: &str = "text/csv; charset=utf-8";
/// What makes Excel read UTF-8; other programs take it for a part of the first name.
const BYTE_ORDER_MARK: &str = "\u{feff}";
/// Most characters of a file's name, without its ending.
const LONGEST_NAME: usize = 120;
/// What a header's text may hold of a name as it is (RFC 5987).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_');

/// How a download is to be written.
pub(super) struct Form {
    /// Whether it begins with a byte order mark.
    has_mark: bool,
    /// The zone that was asked for.
    zone: Option<TimeZone>,
}

impl Form {
    /// What a query asks for.
    pub(super) fn read(parameters: &Parameters) -> Result<Self, Refused> {
        let has_mark = match parameters.get("bom") {
            None | Some("0") => false,
            Some("1") => true,
            Some(_) => return Err(Fault::NotAChoice { name: "bom".into(), choices: "0, 1".into() }.into()),
        };
        let zone = match parameters.get("zone") {
            Some(text) => Some(zone(text).ok_or_else(|| Fault::NotAZone { text: text.to_owned() })?),
            None => None,
        };
        Ok(Self { has_mark, zone })
    }

    /// Whether a zone was asked for.
    pub(super) fn has_zone(&self) -> bool {
        self.zone.is_some()
    }

    /// A time, as RFC 3339 says: in the zone that was asked for, or else in UTC.
    pub(super) fn time(&self, millis: i64) -> String {
        let Ok(time) = Timestamp::from_millisecond(millis) else { return String::new() };
        match &self.zone {
            Some(zone) => time.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string(),
            None => time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        }
    }

    /// The day and minute of a time, for the name of a file.
    fn minute(&self, millis: i64) -> Option<String> {
        let zone = self.zone.clone().unwrap_or(TimeZone::UTC);
        let time = Timestamp::from_millisecond(millis).ok()?.to_zoned(zone);
        let is_midnight = (time.hour(), time.minute()) == (0, 0);
        Some(time.strftime(if is_midnight { "%Y-%m-%d" } else { "%Y-%m-%dT%H%M" }).to_string())
    }

    /// The first characters of a download.
    pub(super) fn begin(&self) -> &'static str {
        if self.has_mark { BYTE_ORDER_MARK } else { "" }
    }

    /// A table as a download.
    pub(super) fn answer(&self, name: &str, head: &[&str], lines: impl Iterator<Item = Vec<String>>) -> Answer {
        let head = head.iter().map(|name| (*name).to_owned()).collect();
        let text = format!("{}{}", self.begin(), csv(Some(head).into_iter().chain(lines)));
        Answer::new(200, CSV, text).with_value(CONTENT_DISPOSITION, disposition(name, "csv"))
    }

    /// What a file is called that holds this, of this span, with what the query asks for.
    pub(super) fn name(
        &self,
        what: &str,
        span: (Option<i64>, Option<i64>),
        call: &Parameters,
        filters: &[&str],
    ) -> String {
        let minute = |time: Option<i64>| time.and_then(|time| self.minute(time));
        let span = [minute(span.0), minute(span.1)];
        let filters = filters.iter().filter_map(|name| Some(format!("{name}-{}", call.get(name)?)));
        let parts = [what.to_owned()].into_iter().chain(span.into_iter().flatten()).chain(filters);
        let name: String = parts.collect::<Vec<_>>().join("_").chars().map(in_a_name).take(LONGEST_NAME).collect();
        name.trim_end_matches(['.', '-', '_']).to_owned()
    }
}

/// Whether a query asks for CSV in place of JSON.
pub(super) fn wants_csv(call: &Call) -> Result<bool, Refused> {
    match call.parameters.get("format") {
        None | Some("json") => Ok(false),
        Some("csv") => Ok(true),
        Some(_) => Err(Fault::NotAChoice { name: "format".into(), choices: "json, csv".into() }.into()),
    }
}

/// A zone by its name, or as an offset from UTC such as `+05:30`.
fn zone(text: &str) -> Option<TimeZone> {
    let offset = || {
        let (sign, rest) = match text.split_at_checked(1)? {
            // A plus is a blank where the query was not encoded.
            ("+" | " ", rest) => (1, rest),
            ("-", rest) => (-1, rest),
            _ => return None,
        };
        let (hours, minutes) = rest.split_once(':')?;
        let number = |text: &str, most: i32| {
            let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|number: &i32| is_number && *number <= most)
        };
        let seconds = (number(hours, 23)? * 60 + number(minutes, 59)?) * 60;
        Some(TimeZone::fixed(Offset::from_seconds(sign * seconds).ok()?))
    };
    offset().or_else(|| TimeZone::get(text).ok())
}

/// A character of a file's name: none that some system does not take.
fn in_a_name(character: char) -> char {
    match character {
        '.' | '-' | '_' => character,
        _ if character.is_alphanumeric() => character,
        _ => '-',
    }
}

/// What says that a response is a file, and what it is called.
pub(super) fn disposition(name: &str, ending: &str) -> HeaderValue {
    let plain: String = name.chars().map(|c| if c.is_ascii() { c } else { '-' }).collect();
    let mut text = format!("attachment; filename=\"{plain}.{ending}\"");
    if plain != name {
        text.push_str(&format!("; filename*=UTF-8''{}.{ending}", utf8_percent_encode(name, PLAIN)));
    }
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("attachment"))
}

/// Lines of CSV: cells are texts to those who open it, never formulas.
pub(super) fn csv(lines: impl Iterator<Item = Vec<String>>) -> String {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    for line in lines {
        // Writing to memory cannot fail, and all lines are of one length.
        let _ = writer.write_record(line.into_iter().map(no_formula));
    }
    writer.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

/// A cell of what may not be known.
pub(super) fn cell(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// What a formula begins with, in some languages in full width
/// (<https://owasp.org/www-community/attacks/CSV_Injection>).
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// A text that a spreadsheet would take for a formula begins with an apostrophe.
fn no_formula(cell: String) -> String {
    match cell.starts_with(FORMULA) {
        true => format!("'{cell}"),
        false => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(query: &str) -> Form {
        Form::read(&Parameters::read(query.as_bytes())).expect("a form")
    }

    #[test]
    fn no_cell_begins_as_a_formula_does() {
        for text in ["=1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠1"] {
            assert_eq!(no_formula(text.to_owned()), format!("'{text}"));
        }
        for text in ["", "1", "a=1", "'=1", "模型"] {
            assert_eq!(no_formula(text.to_owned()), text);
        }
    }

    #[test]
    fn times_are_told_in_the_zone_of_the_reader() {
        let (winter, summer) = (1_795_786_661_234, 1_785_000_000_000);
        assert_eq!(form("").time(winter), "2026-11-27T13:37:41.234Z");
        for (zone, wanted) in [
            ("Asia/Shanghai", ["2026-11-27T21:37:41.234+08:00", "2026-07-26T01:20:00.000+08:00"]),
            ("Europe/Berlin", ["2026-11-27T14:37:41.234+01:00", "2026-07-25T19:20:00.000+02:00"]),
            ("%2B05:30", ["2026-11-27T19:07:41.234+05:30", "2026-07-25T22:50:00.000+05:30"]),
            ("-03:00", ["2026-11-27T10:37:41.234-03:00", "2026-07-25T14:20:00.000-03:00"]),
        ] {
            let form = form(&format!("zone={zone}"));
            assert_eq!([form.time(winter), form.time(summer)], wanted, "{zone}");
        }
        for none in ["zone=Asia/Nowhere", "zone=%2B24:00", "zone=%2B5", "bom=yes"] {
            assert!(Form::read(&Parameters::read(none.as_bytes())).is_err(), "{none}");
        }
    }

    #[test]
    fn the_name_of_a_file_tells_its_span_and_what_was_asked_for() {
        let form = form("zone=Asia/Shanghai&bom=1");
        let call = Parameters::read("model=claude-sonnet-4-5&upstream=a/b \"c\"&key=&q=上游".as_bytes());
        let filters = ["model", "upstream", "key", "q"];
        // Midnight in Shanghai, and half an hour later.
        let name = form.name("requests", (Some(1_795_708_800_000), Some(1_795_710_600_000)), &call, &filters);
        assert_eq!(name, "requests_2026-11-27_2026-11-27T0030_model-claude-sonnet-4-5_upstream-a-b--c-_q-上游");
        let told = disposition(&name, "csv");
        let told = std::str::from_utf8(told.as_bytes()).expect("text");
        assert!(told.starts_with("attachment; filename=\"requests_2026-11-27_"), "{told}");
        assert!(told.ends_with("_q-%E4%B8%8A%E6%B8%B8.csv"), "{told}");
        assert_eq!(disposition("sessions", "csv"), "attachment; filename=\"sessions.csv\"");
        assert_eq!(form.name("requests", (None, None), &Parameters::default(), &filters), "requests");
        assert_eq!((form.begin(), self::form("").begin()), (BYTE_ORDER_MARK, ""));
    }
}
