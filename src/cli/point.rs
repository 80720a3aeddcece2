//! Parses points of the history, as users write them.

use std::str::FromStr;

use zookeeper_files::disk::Point;
use zookeeper_files::ids::Zxid;

/// `0x10000002a`, or `2026-11-23T19:52:00Z`, or `@1795463520000` in milliseconds since 1970, or `1h` ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PointArg(pub(crate) Point);

impl FromStr for PointArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "end" => Ok(Self(Point::End)),
            "now" => Err("now: write end, the last transaction that is there".to_owned()),
            // Nobody means some million days.
            _ if days(text) || digits(text).is_none() => match time(text) {
                Some(time) => Ok(Self(Point::Time(time?))),
                None => {
                    Err(meant(text).unwrap_or_else(|| format!("{text}: neither a zxid like 0x10000002a nor {TIMES}")))
                }
            },
            _ => zxid(text).map(|zxid| Self(Point::Zxid(zxid))),
        }
    }
}

fn days(text: &str) -> bool {
    text.strip_suffix('d').is_some_and(|count| count.len() <= 4 && count.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Parses a zxid. Without 0x nobody knows which number is meant: logs' names have it in hexadecimal, ZooKeeper's metrics and AdminServer
/// in decimal.
pub(crate) fn zxid(text: &str) -> Result<Zxid, String> {
    let hexadecimal = |digits: &str| u64::from_str_radix(digits, 16).ok().map(Zxid);
    let neither = || format!("{text}: not a zxid like 0x10000002a");
    match digits(text) {
        Some(digits) if digits.len() < text.len() => hexadecimal(digits).ok_or_else(neither),
        Some(digits) => match (hexadecimal(digits), digits.parse().ok().map(Zxid)) {
            (Some(one), Some(other)) if one != other => Err(format!(
                "{text}: write 0x{text} if it is hexadecimal, as in logs' names; {text} in decimal, as in ZooKeeper's metrics, is {other:#}"
            )),
            (Some(zxid), _) => Err(format!("{text}: write {zxid:#}: a zxid begins with 0x")),
            (None, Some(zxid)) => Err(format!("{text}: write a zxid with 0x: {text} in decimal is {zxid:#}")),
            (None, None) => Err(neither()),
        },
        None => Err(neither()),
    }
}

/// The digits of what looks like a zxid, with 0x or without.
fn digits(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(digits)
}

/// A time in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeArg(pub(crate) i64);

impl FromStr for TimeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match time(text) {
            Some(time) => time.map(Self),
            // Users also try zxids here, so the error says where these belong.
            None if digits(text).is_some() => Err(format!("{text}: not {TIMES}; zxids go with --from and --to")),
            None if text == "now" => Err("now: write 0s; without --until, all up to the end is shown".to_owned()),
            None => Err(meant(text).unwrap_or_else(|| format!("{text}: not {TIMES}"))),
        }
    }
}

const TIMES: &str =
    "a time like 2026-11-23T19:52:00Z, @1795463520000 (milliseconds since 1970) or 90m (ago; also s, h, d)";

/// A time in milliseconds since 1970; `None` if the text does not look like a time.
fn time(text: &str) -> Option<Result<i64, String>> {
    if let Some(millis) = text.strip_prefix('@') {
        return Some(millis.parse().map_err(|_| format!("{text}: not @ and milliseconds since 1970")));
    }
    if text.contains('[') {
        // Its offset may be another one than that zone has then: nobody is to find that out from what was restored.
        return None;
    }
    if let Some(ago) = ago(text) {
        let now = jiff::Timestamp::now().as_millisecond();
        return Some(now.checked_sub(ago).ok_or_else(|| format!("{text}: a time before 1970")));
    }
    text.parse().ok().map(|time: jiff::Timestamp| Ok(time.as_millisecond()))
}

/// What is wrong with a text that is nearly a time.
fn meant(text: &str) -> Option<String> {
    if let Some((before, _)) = text.split_once('[') {
        // Java writes the zone's name behind the offset, and the name alone where it has none.
        let with_offset =
            text.parse::<jiff::Zoned>().ok().map(|time| time.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string());
        let write = with_offset.or_else(|| before.parse::<jiff::Timestamp>().ok().map(|_| before.to_owned()))?;
        return Some(format!("{text}: a time has its offset, and no zone in brackets: write {write}"));
    }
    if let Ok(time) = text.parse::<jiff::civil::DateTime>() {
        return Some(format!(
            "{text}: a time without its zone: write {time}Z for UTC, or the offset in place of Z, like +02:00"
        ));
    }
    in_short(text).map(|write| format!("{text}: write {write}"))
}

/// Units as people write them, and as they are written here.
const UNITS: [(&str, char); 12] = [
    ("minutes", 'm'),
    ("minute", 'm'),
    ("mins", 'm'),
    ("min", 'm'),
    ("hours", 'h'),
    ("hour", 'h'),
    ("hr", 'h'),
    ("days", 'd'),
    ("day", 'd'),
    ("seconds", 's'),
    ("second", 's'),
    ("sec", 's'),
];

/// A number with the name of a unit, as it is written here.
fn in_short(text: &str) -> Option<String> {
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic() || letter == ' ');
    let unit = text[number.len()..].trim();
    let (_, unit) = UNITS.iter().find(|(word, _)| *word == unit)?;
    let write = format!("{number}{unit}");
    ago(&write).map(|_| write)
}

/// Parses a time span, in milliseconds.
pub(crate) fn span(text: &str) -> Result<i64, String> {
    if let Some(span) = ago(text) {
        return Ok(span);
    }
    let what = "is no time span";
    if let Some(write) = in_short(text) {
        return Err(format!("{text} {what}: write {write}"));
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("{text} {what}: write its unit: {text}s, {text}m (minutes), {text}h or {text}d"));
    }
    Err(format!("{text} {what}: write numbers with s, m (minutes), h or d, like 90s, 12m, 1h30m or 7d"))
}

/// The milliseconds of `45s`, `90m`, `1h`, `2d`, or of several of these in a row.
pub(crate) fn ago(text: &str) -> Option<i64> {
    let (mut all, mut number) = (0_i64, None::<i64>);
    for character in text.chars() {
        if let Some(digit) = character.to_digit(10) {
            number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(digit.into())?);
            continue;
        }
        let unit = match character {
            's' => 1000,
            'm' => 60_000,
            'h' => 3_600_000,
            'd' => 86_400_000,
            _ => return None,
        };
        all = all.checked_add(number.take()?.checked_mul(unit)?)?;
    }
    (number.is_none() && !text.is_empty()).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zxid_has_0x_and_a_number_without_is_refused_with_all_that_it_may_mean() {
        let at = |text: &str| text.parse::<PointArg>().map(|point| point.0);
        assert_eq!(at("0x1000011c0"), Ok(Point::Zxid(Zxid(0x1_0000_11c0))));
        assert_eq!(at("0x1d"), Ok(Point::Zxid(Zxid(0x1d))));
        for (text, expected) in [
            ("4294967301", "0x4294967301 if it is hexadecimal"),
            ("4294967301", "4294967301 in decimal, as in ZooKeeper's metrics, is 0x100000005"),
            (
                "10",
                "write 0x10 if it is hexadecimal, as in logs' names; 10 in decimal, as in ZooKeeper's metrics, is 0xa",
            ),
            ("5", "write 0x5"),
            ("1000011c0", "write 0x1000011c0"),
            ("10000001d", "write 0x10000001d"),
            ("18446744073709551615", "in decimal is 0xffffffffffffffff"),
            ("0x10000000000000000", "not a zxid like 0x10000002a"),
            ("fffffffffffffffff", "not a zxid like 0x10000002a"),
        ] {
            for refused in [at(text).unwrap_err(), zxid(text).unwrap_err()] {
                assert!(refused.contains(expected), "{text}: {refused}");
            }
        }
        for text in ["", "0x", "0x+1", "+5", "0x0x1", "soon"] {
            assert!(zxid(text).unwrap_err().contains("not a zxid like"), "{text}");
            assert!(at(text).is_err(), "{text}");
        }
    }

    #[test]
    fn days_are_days_and_no_zxid() {
        let now = jiff::Timestamp::now().as_millisecond();
        let at = |text: &str| text.parse::<PointArg>().map(|point| point.0);
        assert!(matches!(at("30d"), Ok(Point::Time(time)) if (now - time) / 86_400_000 == 30));
        assert_eq!(at("@17"), Ok(Point::Time(17)));
        assert!(at("yesterday").unwrap_err().contains("neither a zxid like"));
    }

    #[test]
    fn a_time_can_be_relative_to_now() {
        assert_eq!(ago("1h"), Some(3_600_000));
        assert_eq!(ago("1d2h3m4s"), Some(93_784_000));
        for other in ["", "1", "h", "1x", "1h2", "99999999999999999999h", "9223372036854775807d"] {
            assert_eq!(ago(other), None, "{other}");
        }
        let hour = |text: &str| text.parse::<TimeArg>().unwrap().0;
        assert!(hour("2h") < hour("1h"));
    }

    #[test]
    fn a_time_span_is_written_as_kubernetes_users_do_and_anything_else_is_one_error_with_what_to_write() {
        for (text, seconds) in [("90s", 90), ("12m", 720), ("1h30m", 5400), ("1h0m0s", 3600), ("7d", 604_800)] {
            assert_eq!(span(text), Ok(seconds * 1000), "{text}");
        }
        for (text, words) in [
            ("12", "12s, 12m (minutes), 12h or 12d"),
            ("5min", "write 5m"),
            ("3 days", "write 3d"),
            ("PT12M", "like 90s, 12m, 1h30m or 7d"),
            ("1.5h", "like 90s, 12m, 1h30m or 7d"),
            ("-5m", "like 90s, 12m, 1h30m or 7d"),
            ("", "like 90s, 12m, 1h30m or 7d"),
        ] {
            let told = span(text).unwrap_err();
            assert!(told.contains("is no time span") && told.contains(words), "{told}");
        }
    }

    #[test]
    fn a_time_with_its_zone_in_brackets_is_refused_with_the_same_time_as_it_is_written_here() {
        for (text, write) in [
            ("2026-11-28T10:00:00+01:00[Europe/Paris]", "write 2026-11-28T10:00:00+01:00"),
            ("2026-07-28T10:00:00[Europe/Paris]", "write 2026-07-28T10:00:00+02:00"),
            ("2026-11-28T09:00:00Z[UTC]", "write 2026-11-28T09:00:00"),
            // That zone has another offset then: the offset counts.
            ("2026-07-28T10:00:00+01:00[Europe/Paris]", "write 2026-07-28T10:00:00+01:00"),
            ("2026-11-28T10:00:00+01:00[Nowhere]", "write 2026-11-28T10:00:00+01:00"),
        ] {
            for told in [text.parse::<PointArg>().unwrap_err(), text.parse::<TimeArg>().unwrap_err()] {
                assert!(told.contains("no zone in brackets") && told.contains(write), "{told}");
            }
        }
        assert!("a[b".parse::<PointArg>().unwrap_err().contains("neither a zxid"));
    }

    #[test]
    fn what_is_nearly_a_time_is_refused_with_what_to_write() {
        let refused = |text: &str| [text.parse::<PointArg>().unwrap_err(), text.parse::<TimeArg>().unwrap_err()];
        for error in refused("2026-11-23T19:52:00") {
            assert!(error.contains("without its zone: write 2026-11-23T19:52:00Z"), "{error}");
        }
        for error in refused("2026-11-23 19:52") {
            assert!(error.contains("write 2026-11-23T19:52:00Z"), "{error}");
        }
        for error in refused("5min") {
            assert!(error.contains("write 5m"), "{error}");
        }
        assert!(refused("now")[0].contains("write end"));
        assert!(refused("min")[0].contains("neither a zxid"));
    }
}
