use super::*;

fn window(opens: &str, zone: Option<&str>, minutes: i32) -> Result<Window, String> {
    Window::parse(&UpdateWindow { opens: opens.into(), time_zone: zone.map(Into::into), minutes })
}

/// 2026-11-23 12:00 UTC, a Monday.
const NOON: u64 = 1_795_435_200;

#[test]
fn a_window_is_open_from_its_time_on_for_as_long_as_it_lasts() {
    let noon = window("0 12 * * 1", None, 30).unwrap();
    for (second, open) in [(NOON - 1, false), (NOON, true), (NOON + 1799, true), (NOON + 1801, false)] {
        assert_eq!(noon.open(second), open, "{second}");
    }
    assert!(!window("0 12 * * 0", None, 30).unwrap().open(NOON), "day 0 is Sunday");
    assert_eq!(noon.next(NOON).unwrap().1, "2026-11-30 12:00 UTC");
}

#[test]
fn a_time_zone_moves_it() {
    assert!(window("0 13 * * *", Some("Europe/Berlin"), 5).unwrap().open(NOON));
    assert!(!window("0 12 * * *", Some("Europe/Berlin"), 5).unwrap().open(NOON));
}

#[test]
fn what_is_no_time_or_never_comes_is_refused_with_an_example() {
    for (opens, zone, says) in [
        ("0 3 * *", None, "five fields"),
        ("0 0 3 * * *", None, "five fields"),
        ("61 3 * * *", None, "its minute \"61\" is not within 0 to 59"),
        ("0 24 * * *", None, "its hour \"24\" is not within 0 to 23"),
        ("0 3 32 * *", None, "its day of month \"32\" is not within 1 to 31"),
        ("0 3 * 13 *", None, "its month \"13\" is not within 1 to 12 or JAN to DEC"),
        ("0 3 * * 8", None, "its day of week \"8\" is not within 0 to 7 or SUN to SAT"),
        ("0 3 * * SATURDAYS", None, "its day of week \"SATURDAYS\""),
        ("0 22-4 * * *", None, "its hour \"22-4\""),
        ("SUN 3 * * *", None, "its minute \"SUN\" is not within 0 to 59"),
        ("3 MON * * *", None, "its hour \"MON\" is not within 0 to 23"),
        ("0 3 * * */MON", None, "its day of week \"*/MON\" is not within 0 to 7 or SUN to SAT"),
        ("0 3 * MAR,*/FEB *", None, "its month \"MAR,*/FEB\" is not within 1 to 12 or JAN to DEC"),
        ("0 3 JAN * *", None, "its day of month \"JAN\" is not within 1 to 31"),
        ("0 3 * MON *", None, "its month \"MON\" is not within 1 to 12 or JAN to DEC"),
        ("0 3 * * jan", None, "its day of week \"jan\" is not within 0 to 7 or SUN to SAT"),
        ("0 3 * * SUNMON", None, "its day of week \"SUNMON\""),
        ("0 1MON * * *", None, "its hour \"1MON\""),
        ("60 24 * * *", None, "such as \"0 3 * * 6\": its minute \"60\" is not within 0 to 59, its hour \"24\""),
        ("0 0 30 2 *", None, "never comes"),
        ("0 3 * * *", Some("Mars/Olympus"), "Europe/Berlin"),
    ] {
        let refused = window(opens, zone, 5).unwrap_err();
        assert!(refused.contains(says), "{refused}");
    }
}

/// Expressions, and below each when it opens next after each of [`MOMENTS`], in each of [`ZONES`]; or why it is refused.
const OPENINGS: &str = include_str!("../../../tests/fixtures/windows.txt");

const ZONES: [&str; 3] = ["UTC", "Europe/Berlin", "America/New_York"];

/// Half an hour before clocks go forward in New York, and in Berlin; within both passes of the hour that comes twice, in
/// Berlin and in New York; before the end of a year; before a 29th of February.
const MOMENTS: [&str; 8] = [
    "2026-03-08T06:30:00Z",
    "2026-03-29T00:30:00Z",
    "2026-10-25T00:15:00Z",
    "2026-10-25T01:15:00Z",
    "2026-11-01T05:15:00Z",
    "2026-11-01T06:15:00Z",
    "2026-12-30T12:00:00Z",
    "2028-02-28T12:00:00Z",
];

fn second(moment: &str) -> u64 {
    let moment: jiff::Timestamp = moment.parse().unwrap();
    moment.as_second().try_into().unwrap()
}

/// What stands below that expression in [`OPENINGS`].
fn told(opens: &str) -> String {
    let told = |zone| {
        let window = window(opens, Some(zone), 5)?;
        let next = MOMENTS.map(|moment| window.next(second(moment)).unwrap().1);
        Ok(format!("  {zone}: {}\n", next.join(" | ")))
    };
    ZONES.into_iter().map(told).collect::<Result<_, _>>().unwrap_or_else(|refused: String| format!("  {refused}\n"))
}

#[test]
fn every_expression_opens_when_the_table_says() {
    let expressions = OPENINGS.lines().filter(|line| !line.starts_with(['#', ' ']));
    assert!(expressions.clone().count() > 100);
    for opens in expressions {
        let told = told(opens);
        assert!(OPENINGS.contains(&format!("\n{opens}\n{told}")), "not in the table:\n{opens}\n{told}");
    }
}

#[test]
fn a_time_that_clocks_jump_over_opens_when_they_have_jumped_and_only_where_it_is_the_only_one() {
    // On 2026-03-29, 02:00 CET is 03:00 CEST.
    let jump = second("2026-03-29T01:00:00Z");
    let one = window("30 2 * * *", Some("Europe/Berlin"), 10).unwrap();
    for (second, open) in [(jump - 1, false), (jump, true), (jump + 599, true), (jump + 601, false)] {
        assert_eq!(one.open(second), open, "{second}");
    }
    let many = window("*/30 2 * * *", Some("Europe/Berlin"), 10).unwrap();
    assert!((jump - 3600..jump + 3600).all(|second| !many.open(second)));
}

#[test]
fn a_time_before_the_one_that_clocks_jump_over_opens_no_second_time_behind_it() {
    let jump = second("2026-03-29T01:00:00Z");
    let early = window("0 1 * * *", Some("Europe/Berlin"), 10).unwrap();
    assert!(early.open(jump - 3600) && !early.open(jump));
    assert_eq!(early.next(jump - 1800).unwrap().1, "2026-03-30 01:00 CEST");
}

#[test]
fn a_time_that_comes_twice_opens_at_the_first_and_many_open_at_both() {
    // On 2026-10-25, 02:30 is at 00:30 UTC as CEST and at 01:30 UTC as CET.
    let (first, again) = (second("2026-10-25T00:30:00Z"), second("2026-10-25T01:30:00Z"));
    let one = window("30 2 * * *", Some("Europe/Berlin"), 10).unwrap();
    for (second, open) in [(first - 1, false), (first, true), (first + 599, true), (first + 601, false)] {
        assert_eq!(one.open(second), open, "{second}");
    }
    let many = window("30 2,4 * * *", Some("Europe/Berlin"), 10).unwrap();
    for (second, open) in [(first - 1, false), (first, true), (first + 601, false), (again, true), (again + 599, true)]
    {
        assert_eq!(many.open(second), open, "{second}");
    }
}

#[test]
fn the_next_opening_is_never_in_the_past() {
    let start = second("2026-10-24T23:00:00Z");
    for opens in ["30 2 * * *", "*/20 2 * * *", "30 2,4 * * *", "* * * * *"] {
        let window = window(opens, Some("Europe/Berlin"), 5).unwrap();
        for now in (start..start + 4 * 3600).step_by(300) {
            let next = window.next(now).unwrap();
            assert!(next.0 > now.try_into().unwrap(), "{opens} {now}: {next:?}");
        }
    }
}

#[test]
fn zones_are_told_by_their_abbreviation_or_else_by_their_offset() {
    for (zone, says) in [
        (None, "2026-11-24 12:00 UTC"),
        (Some("Etc/UTC"), "2026-11-24 12:00 UTC"),
        (Some("Europe/London"), "2026-11-24 12:00 GMT"),
        (Some("Asia/Kolkata"), "2026-11-24 12:00 IST"),
        (Some("America/Sao_Paulo"), "2026-11-23 12:00 -03"),
        (Some("Asia/Kathmandu"), "2026-11-24 12:00 +0545"),
        (Some("Etc/GMT+5"), "2026-11-23 12:00 -05"),
        (Some("EST5EDT"), "2026-11-23 12:00 EST"),
        (Some("US/Pacific"), "2026-11-23 12:00 PST"),
    ] {
        assert_eq!(window("0 12 * * *", zone, 5).unwrap().next(NOON).unwrap().1, says, "{zone:?}");
    }
    for zone in [
        "",
        " UTC",
        "UTC ",
        "CEST",
        "+01:00",
        "Local",
        "../UTC",
        "Europe",
        "Europe/Berlin\0",
        "posix/UTC",
        "europe/berlin",
        "Etc/Unknown",
    ] {
        assert!(window("0 12 * * *", Some(zone), 5).unwrap_err().contains("is not a time zone"), "{zone:?}");
    }
}

#[test]
fn a_moment_that_no_calendar_knows_is_none_of_a_window() {
    let every = window("* * * * *", Some("Europe/Berlin"), 10080).unwrap();
    for (second, open) in [(0, true), (u64::MAX, false), (i64::MAX as u64, false)] {
        assert_eq!(every.open(second), open, "{second}");
    }
    assert_eq!(every.next(u64::MAX), None);
}
