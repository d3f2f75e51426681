//! When the window of a limit opens and ends. Times are milliseconds since 1970 by the database's clock, which all gateways
//! go by.

use super::limit::Window;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

const MINUTE: i64 = 60_000;
const FIVE_HOURS: i64 = 300 * MINUTE;
const DAY: i64 = 1_440 * MINUTE;
/// The year 9000: jiff's calendar ends some time after it.
const FARTHEST: i64 = 221_845_392_000_000;

/// A stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first millisecond.
    pub opens_at: i64,
    /// The first millisecond behind it; `None` if it has no end.
    pub ends_at: Option<i64>,
}

impl Span {
    /// Whether this time is in it.
    pub fn contains(&self, now: i64) -> bool {
        self.opens_at <= now && self.ends_at.is_none_or(|end| now < end)
    }
}

/// The time zone of this IANA name (`Asia/Shanghai`), by the rules that the program was built with.
pub fn zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

impl Window {
    /// The window that a charge at this time belongs to. `known` are those of the same limit that the ledger has: all that
    /// have not ended yet, in whatever order.
    ///
    /// One that is there stays until it ends, whatever became of the zone. Five hours that begin a little later than now
    /// have begun: the clock was set back, and they are not given a second time. Windows of the calendar need no such care,
    /// if the ledger keeps the rows of those that have ended for as long as a clock may be wrong: setting it back leads into
    /// the window before, and what was spent of that.
    pub fn at(self, zone: &TimeZone, now: i64, known: impl IntoIterator<Item = Span>) -> Span {
        let now = now.clamp(0, FARTHEST);
        if matches!(self, Self::Total | Self::Now) {
            return Span { opens_at: 0, ends_at: None };
        }
        let (mut current, mut next): (Option<Span>, Option<Span>) = (None, None);
        for span in known {
            if span.contains(now) {
                current = current.filter(|other| other.opens_at >= span.opens_at).or(Some(span));
            } else if self == Self::FiveHours && span.opens_at > now && span.opens_at - now < FIVE_HOURS {
                next = next.filter(|other| other.opens_at <= span.opens_at).or(Some(span));
            }
        }
        current.or(next).unwrap_or_else(|| self.opened(zone, now))
    }

    /// The window that is opened at this time where none is.
    fn opened(self, zone: &TimeZone, now: i64) -> Span {
        let lasting = |opens_at: i64, length: i64| Span { opens_at, ends_at: Some(opens_at + length) };
        match self {
            Self::Minute => lasting(now - now.rem_euclid(MINUTE), MINUTE),
            Self::FiveHours => lasting(now, FIVE_HOURS),
            // No time within bounds is one that the calendar does not have.
            _ => self.of_calendar(zone, now).unwrap_or_else(|_| lasting(now - now.rem_euclid(DAY), DAY)),
        }
    }

    /// The day, week or month of the calendar.
    fn of_calendar(self, zone: &TimeZone, now: i64) -> Result<Span, jiff::Error> {
        let mut first = self.first_date(zone.to_datetime(Timestamp::from_millisecond(now)?).date())?;
        loop {
            let next = self.next_date(first)?;
            let (opens_at, ends_at) = (start_of(first, zone)?, start_of(next, zone)?);
            // Clocks that are put back across midnight show a date twice: the day that has begun goes on.
            if now < ends_at {
                return Ok(Span { opens_at, ends_at: Some(ends_at) });
            }
            first = next;
        }
    }

    fn first_date(self, date: Date) -> Result<Date, jiff::Error> {
        match self {
            Self::Week => date.checked_sub(i64::from(date.weekday().to_monday_zero_offset()).days()),
            Self::Month => Ok(date.first_of_month()),
            _ => Ok(date),
        }
    }

    fn next_date(self, first: Date) -> Result<Date, jiff::Error> {
        match self {
            Self::Week => first.checked_add(7.days()),
            Self::Month => first.checked_add(1.month()),
            _ => first.checked_add(1.day()),
        }
    }
}

/// The first moment of a date; where that has none, of the next one.
fn start_of(date: Date, zone: &TimeZone) -> Result<i64, jiff::Error> {
    Ok(date.to_zoned(zone.clone())?.start_of_day()?.timestamp().as_millisecond())
}
