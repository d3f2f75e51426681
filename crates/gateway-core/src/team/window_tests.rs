//! Windows over the days on which clocks are changed, ends of months, zones that are no whole hours off, and clocks that are
//! set back.

use super::limit::Window;
use super::window::{Span, zone};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;

const HOUR: i64 = 3_600_000;

/// Whole, half and quarter hours; zones that change their clocks at midnight, by half an hour, or by a whole day.
const ZONES: [&str; 16] = [
    "UTC",
    "Asia/Shanghai",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "America/Havana",
    "America/Sao_Paulo",
    "America/Santiago",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Beirut",
    "Africa/Cairo",
    "Australia/Lord_Howe",
    "Australia/Eucla",
    "Pacific/Chatham",
    "Pacific/Apia",
];

fn of(name: &str) -> TimeZone {
    zone(name).expect(name)
}

fn ms(time: &str) -> i64 {
    time.parse::<Timestamp>().expect(time).as_millisecond()
}

fn text(time: i64) -> String {
    Timestamp::from_millisecond(time).expect("a time").to_string()
}

fn opened(window: Window, zone: &TimeZone, now: i64) -> Span {
    window.at(zone, now, [])
}

fn day(name: &str, now: &str) -> (String, String, i64) {
    let span = opened(Window::Day, &of(name), ms(now));
    let end = span.ends_at.expect("an end");
    (text(span.opens_at), text(end), (end - span.opens_at) / (HOUR / 2))
}

#[test]
fn days_follow_the_calendar_of_the_zone() {
    for (name, now, opens, ends, half_hours) in [
        ("UTC", "2026-11-28T12:00:00Z", "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z", 48),
        ("Asia/Shanghai", "2026-11-28T12:00:00Z", "2026-11-27T16:00:00Z", "2026-11-28T16:00:00Z", 48),
        ("Asia/Kathmandu", "2026-11-28T18:14:59Z", "2026-11-27T18:15:00Z", "2026-11-28T18:15:00Z", 48),
        ("Asia/Kathmandu", "2026-11-28T18:15:00Z", "2026-11-28T18:15:00Z", "2026-11-29T18:15:00Z", 48),
        ("Asia/Kolkata", "2026-11-28T12:00:00Z", "2026-11-27T18:30:00Z", "2026-11-28T18:30:00Z", 48),
        ("Australia/Eucla", "2026-11-28T12:00:00Z", "2026-11-27T15:15:00Z", "2026-11-28T15:15:00Z", 48),
        // Clocks forward, and back.
        ("Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", 46),
        ("Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", 50),
        // By half an hour.
        ("Australia/Lord_Howe", "2026-10-04T00:00:00Z", "2026-10-03T13:30:00Z", "2026-10-04T13:00:00Z", 47),
        ("Australia/Lord_Howe", "2026-04-05T00:00:00Z", "2026-04-04T13:00:00Z", "2026-04-05T13:30:00Z", 49),
        // At midnight: the day begins at one o'clock; the hour before midnight comes twice.
        ("Africa/Cairo", "2026-04-24T12:00:00Z", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z", 46),
        ("Africa/Cairo", "2026-10-29T20:30:00Z", "2026-10-28T21:00:00Z", "2026-10-29T22:00:00Z", 50),
        // A day that there never was.
        ("Pacific/Apia", "2011-12-30T09:59:00Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z", 48),
        ("Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z", 48),
        // A minute past midnight the clock goes back: the new day has begun, and goes on.
        ("America/St_Johns", "2010-11-07T02:30:00Z", "2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z", 50),
        ("America/St_Johns", "2010-11-07T03:00:00Z", "2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z", 50),
    ] {
        assert_eq!(day(name, now), (opens.to_owned(), ends.to_owned(), half_hours), "{name} {now}");
    }
}

#[test]
fn weeks_begin_on_monday_and_months_are_as_long_as_they_are() {
    for (window, name, now, opens, ends) in [
        (Window::Week, "UTC", "2026-11-29T23:59:59Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
        (Window::Week, "UTC", "2026-11-30T00:00:00Z", "2026-11-30T00:00:00Z", "2026-12-07T00:00:00Z"),
        (Window::Week, "America/New_York", "2026-03-08T12:00:00Z", "2026-03-02T05:00:00Z", "2026-03-09T04:00:00Z"),
        (Window::Month, "UTC", "2026-01-31T12:00:00Z", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
        (Window::Month, "UTC", "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
        (Window::Month, "Asia/Shanghai", "2026-12-31T16:00:00Z", "2026-12-31T16:00:00Z", "2027-01-31T16:00:00Z"),
        (Window::Month, "Europe/Berlin", "2026-03-31T12:00:00Z", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"),
        (Window::Minute, "Asia/Kathmandu", "2026-11-28T12:00:59.999Z", "2026-11-28T12:00:00Z", "2026-11-28T12:01:00Z"),
    ] {
        let span = opened(window, &of(name), ms(now));
        let found = (text(span.opens_at), text(span.ends_at.expect("an end")));
        assert_eq!(found, (opens.to_owned(), ends.to_owned()), "{window:?} {name} {now}");
    }
}

#[test]
fn what_has_no_end_is_always_the_same() {
    for window in [Window::Total, Window::Now] {
        for now in [0, ms("2026-11-28T12:00:00Z"), i64::MAX] {
            assert_eq!(opened(window, &of("Asia/Shanghai"), now), Span { opens_at: 0, ends_at: None });
        }
    }
}

#[test]
fn five_hours_begin_with_their_first_charge() {
    let (zone, now) = (TimeZone::UTC, ms("2026-11-28T10:07:03Z"));
    let first = Window::FiveHours.at(&zone, now, []);
    assert_eq!(first, Span { opens_at: now, ends_at: Some(now + 5 * HOUR) });
    assert_eq!(Window::FiveHours.at(&zone, now + 5 * HOUR - 1, [first]), first);
    // Nobody asks for two hours: the next ones begin when somebody does.
    let next = Window::FiveHours.at(&zone, now + 7 * HOUR, [first]);
    assert_eq!(next, Span { opens_at: now + 7 * HOUR, ends_at: Some(now + 12 * HOUR) });
    // The clock is set back by an hour, right after they began.
    assert_eq!(Window::FiveHours.at(&zone, now + 6 * HOUR, [first, next]), next);
    // A clock that was a year ahead does not take the year away.
    let far = Span { opens_at: now + 8760 * HOUR, ends_at: Some(now + 8765 * HOUR) };
    assert_eq!(Window::FiveHours.at(&zone, now + HOUR, [far, first]), first);
}

#[test]
fn a_window_stays_when_its_zone_changes() {
    let now = ms("2026-11-28T20:00:00Z");
    let day = opened(Window::Day, &TimeZone::UTC, now);
    assert_eq!(Window::Day.at(&of("Asia/Shanghai"), now, [day]), day);
    let next = Window::Day.at(&of("Asia/Shanghai"), now + 4 * HOUR, [day]);
    assert_eq!(text(next.opens_at), "2026-11-28T16:00:00Z");
    assert_eq!(Window::Day.at(&TimeZone::UTC, now + 4 * HOUR, [day, next]), next);
}

#[test]
fn zones_have_the_names_of_the_iana() {
    for name in ["Mars/Olympus", "", "CST+8", "../etc/passwd"] {
        assert!(zone(name).is_none(), "{name}");
    }
}

fn calendars() -> impl Strategy<Value = (Window, &'static str)> {
    (
        prop::sample::select(vec![Window::Minute, Window::Day, Window::Week, Window::Month]),
        prop::sample::select(&ZONES[..]),
    )
}

/// From 1990 to 2060: what zones did in the past is as odd as what they may do.
fn times() -> impl Strategy<Value = i64> {
    631_152_000_000_i64..2_840_140_800_000
}

/// The hours around each change of a zone's clocks.
fn around_changes() -> impl Strategy<Value = (&'static str, i64)> {
    let changes: Vec<(&str, i64)> = ZONES
        .iter()
        .flat_map(|name| {
            let start = Timestamp::from_millisecond(631_152_000_000).expect("a time");
            let changes: Vec<i64> =
                of(name).following(start).take(90).map(|it| it.timestamp().as_millisecond()).collect();
            changes.into_iter().map(move |at| (*name, at))
        })
        .collect();
    (prop::sample::select(changes), -30 * HOUR..30 * HOUR).prop_map(|((name, at), off)| (name, at + off))
}

/// Windows cover time without a gap and without an overlap, and each begins where its date does.
fn is_partition(window: Window, name: &str, now: i64) -> Result<(), TestCaseError> {
    let zone = of(name);
    let span = opened(window, &zone, now);
    let end = span.ends_at.expect("an end");
    prop_assert!(span.contains(now), "{:?} {} {}", window, name, text(now));
    for (inside, what) in
        [(span.opens_at, "its beginning"), (end - 1, "its end"), ((span.opens_at + end) / 2, "its middle")]
    {
        prop_assert_eq!(opened(window, &zone, inside), span, "{} of {:?} {} {}", what, window, name, text(now));
    }
    prop_assert_eq!(opened(window, &zone, end).opens_at, end);
    prop_assert_eq!(opened(window, &zone, span.opens_at - 1).ends_at, Some(span.opens_at));
    let first = zone.to_datetime(Timestamp::from_millisecond(span.opens_at).expect("a time"));
    match window {
        Window::Week => prop_assert_eq!(first.date().weekday(), jiff::civil::Weekday::Monday),
        Window::Month => prop_assert_eq!(first.day(), 1),
        _ => {}
    }
    let longest = match window {
        Window::Minute => 60_000,
        Window::Day => 26 * HOUR,
        Window::Week => 170 * HOUR,
        _ => 746 * HOUR,
    };
    // A week without one of its days, and a month, were shorter once.
    prop_assert!((longest / 60 * 49..=longest).contains(&(end - span.opens_at)), "{:?} {} {}", window, name, text(now));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn windows_of_the_calendar_leave_no_gap((window, name) in calendars(), now in times()) {
        is_partition(window, name, now)?;
    }

    #[test]
    fn nor_do_they_where_clocks_are_changed(window in 0..4_usize, (name, now) in around_changes()) {
        let window = [Window::Minute, Window::Day, Window::Week, Window::Month][window];
        is_partition(window, name, now)?;
    }

    /// A clock that runs, stands, and is set back by an hour now and then; somebody who spends all there is at each step.
    #[test]
    fn a_clock_that_is_set_back_gives_nothing_twice(
        window in 0..5_usize,
        name in prop::sample::select(&ZONES[..]),
        start in times(),
        steps in prop::collection::vec((0..40 * HOUR / 10, prop::bool::weighted(0.2)), 1..60),
    ) {
        let window = [Window::Minute, Window::FiveHours, Window::Day, Window::Week, Window::Month][window];
        let zone = of(name);
        let (mut shown, mut real) = (start, 0);
        // The ledger's rows, and when each was opened in real time.
        let mut rows: Vec<(Span, i64)> = Vec::new();
        for (step, is_set_back) in steps {
            real += step;
            shown += if is_set_back { step - HOUR } else { step };
            let span = window.at(&zone, shown, rows.iter().map(|(span, _)| *span));
            match rows.iter().position(|(row, _)| *row == span) {
                // It has been there: what is spent of it stays spent.
                Some(_) => {}
                None => {
                    // Rows are told apart by their beginning.
                    prop_assert!(rows.iter().all(|(row, _)| row.opens_at != span.opens_at));
                    if window == Window::FiveHours {
                        prop_assert!(rows.iter().all(|(_, opened)| real - opened >= 5 * HOUR), "five hours twice");
                    }
                    rows.push((span, real));
                }
            }
        }
        // Of no stretch of the calendar there are two.
        if window != Window::FiveHours {
            rows.sort_by_key(|(span, _)| span.opens_at);
            prop_assert!(rows.windows(2).all(|two| two[0].0.ends_at <= Some(two[1].0.opens_at)));
        }
    }
}
