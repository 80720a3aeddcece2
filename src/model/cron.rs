//! When something is to happen, again and again: cron with a time zone.
//!
//! Invariant: what was parsed comes some day.

use std::sync::LazyLock;

use croner::Cron as Expression;
use croner::errors::CronError;
use croner::parser::CronParser;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, Zoned};

/// The start of the search for the next time: a 29th of February on a given weekday comes every 28 years.
const EPOCH_OF_PROOF: i64 = 1_735_689_600;

/// A cron expression of five fields, in a time zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Cron {
    expression: Expression,
    zone: TimeZone,
}

impl Cron {
    /// Reads it, and proves that it comes. Without a zone, times are in UTC.
    pub fn parse(text: &str, time_zone: Option<&str>) -> Result<Self, String> {
        if text.split_whitespace().count() != FIELDS.len() {
            return Err(format!(
                "{text:?} is not a cron expression of five fields such as \"0 3 * * 6\": minute, hour, day of month, month, day of week"
            ));
        }
        let expression = expression(text).map_err(|error| {
            let error = wrong_field(text).unwrap_or_else(|| error.to_string());
            format!("{text:?} is not a cron expression such as \"0 3 * * 6\": {error}")
        })?;
        if let Some(error) = misplaced_name(text) {
            return Err(format!("{text:?} is not a cron expression such as \"0 3 * * 6\": {error}"));
        }
        let name = time_zone.unwrap_or("UTC");
        let zone = zone(name).ok_or_else(|| format!("{name:?} is not a time zone such as Europe/Berlin"))?;
        let parsed = Self { expression, zone };
        match parsed.at(EPOCH_OF_PROOF).map(|proof| parsed.expression.find_next_occurrence(&proof, true)) {
            Some(Ok(_)) => Ok(parsed),
            Some(Err(_)) | None => Err(format!("{text:?} never comes")),
        }
    }

    /// The first second of it after that one. Both are counted since 1970.
    pub fn next(&self, now: u64) -> Option<u64> {
        u64::try_from(self.after(i64::try_from(now).ok()?)?.timestamp().as_second()).ok()
    }

    /// The first time of it after that second, in its zone.
    pub fn after(&self, second: i64) -> Option<Zoned> {
        self.expression.find_next_occurrence(&self.at(second)?, false).ok()
    }

    fn at(&self, second: i64) -> Option<Zoned> {
        Some(Timestamp::from_second(second).ok()?.to_zoned(self.zone.clone()))
    }
}

/// Reads an expression. The library accepts `5/15`, every 15 from 5 on, only with this option.
fn expression(text: &str) -> Result<Expression, CronError> {
    CronParser::builder().sloppy_ranges(true).build().parse(text)
}

/// The zone with exactly that name. Zones are part of the binary: its image has no others, and a node's may be of
/// another year.
fn zone(name: &str) -> Option<TimeZone> {
    static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
    ZONES.get(name).ok().filter(|zone| zone.iana_name() == Some(name))
}

/// The fields of an expression, and what each may hold.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of month", "1 to 31"),
    ("month", "1 to 12 or JAN to DEC"),
    ("day of week", "0 to 7 or SUN to SAT"),
];

/// Which field of an expression is wrong: the library says only that one of them is. Each is read alone, beside fields
/// that are always valid.
fn wrong_field(text: &str) -> Option<String> {
    let alone = |at: usize, text: &str| {
        let mut fields = ["*"; FIELDS.len()];
        fields[at] = text;
        expression(&fields.join(" "))
    };
    let fields = text.split_whitespace().zip(FIELDS).enumerate();
    let wrong = fields.filter(|(at, (text, _))| alone(*at, text).is_err());
    let said: Vec<String> =
        wrong.map(|(_, (text, (name, range)))| format!("its {name} {text:?} is not within {range}")).collect();
    (!said.is_empty()).then(|| said.join(", "))
}

/// What each field may hold of letters.
const NAMES: [&[&str]; 5] = [
    &[],
    &[],
    &[],
    &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
];

/// A name in a field that has no such names. The library puts its number in place of every name, wherever it stands: `3 MON * * *`
/// would come daily at 01:03.
fn misplaced_name(text: &str) -> Option<String> {
    let fields = text.split_whitespace().zip(FIELDS).zip(NAMES).enumerate();
    let said: Vec<String> = fields
        .filter(|(at, ((text, _), names))| {
            !text.split(|c: char| !c.is_alphanumeric()).all(|word| holds(*at, word, names)) || named_step(text)
        })
        .map(|(_, ((text, (name, range)), _))| format!("its {name} {text:?} is not within {range}"))
        .collect();
    (!said.is_empty()).then(|| said.join(", "))
}

/// Whether a step is a name: the library takes `*/MON` for every day from the first on.
fn named_step(text: &str) -> bool {
    let mut steps = text.split(',').filter_map(|item| item.split_once('/'));
    let named = |c: char| c.is_ascii_alphabetic() && !matches!(c.to_ascii_uppercase(), 'L' | 'W');
    steps.any(|(_, step)| step.contains(named))
}

/// Whether a word between signs is a number or a name of its field, or says last or nearest weekday.
fn holds(field: usize, word: &str, names: &[&str]) -> bool {
    let word = word.to_ascii_uppercase();
    let days = matches!(field, 2 | 4);
    match names.iter().find_map(|name| word.strip_prefix(name)) {
        Some(rest) => rest.is_empty() || (days && rest == "L"),
        None => word.chars().all(|c| c.is_ascii_digit() || (days && matches!(c, 'L' | 'W'))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-23 12:00 UTC, a Monday.
    const NOON: u64 = 1_795_435_200;

    #[test]
    fn the_next_time_is_after_the_moment_that_is_asked_about() {
        let noon = Cron::parse("0 12 * * *", None).unwrap();
        assert_eq!(
            [NOON - 1, NOON, NOON + 1].map(|now| noon.next(now)),
            [Some(NOON), Some(NOON + 86_400), Some(NOON + 86_400)]
        );
        assert_eq!(Cron::parse("0 12 * * *", Some("Europe/Berlin")).unwrap().next(NOON - 7200), Some(NOON - 3600));
        for no_calendar in [u64::MAX, i64::MAX as u64] {
            assert_eq!(noon.next(no_calendar), None);
        }
    }

    /// `model/window/tests.rs` has the tables of what is read and refused.
    #[test]
    fn seconds_and_what_never_comes_are_refused() {
        let refused = |text: &str| Cron::parse(text, None).unwrap_err();
        assert!(refused("0 0 3 * * *").contains("of five fields such as"));
        assert!(refused("0 0 30 2 *").contains("never comes"));
    }
}
