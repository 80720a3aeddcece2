//! A time in which restarts may begin: cron with a time zone.
//!
//! Invariant: a window that was parsed opens some day.

use std::sync::LazyLock;

use croner::Cron;
use croner::errors::CronError;
use croner::parser::CronParser;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp, Zoned};

use crate::api::UpdateWindow;

/// The start of the search for the next opening: a 29th of February on a given weekday comes every 28 years.
const EPOCH_OF_PROOF: i64 = 1_735_689_600;

/// A window.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    cron: Cron,
    zone: TimeZone,
    length: SignedDuration,
}

impl Window {
    /// Reads it, and proves that it opens.
    pub fn parse(window: &UpdateWindow) -> Result<Self, String> {
        let opens = &window.opens;
        if opens.split_whitespace().count() != 5 {
            return Err(format!(
                "{opens:?} is not a cron expression of five fields such as \"0 3 * * 6\": minute, hour, day of month, month, day of week"
            ));
        }
        let cron = cron(opens).map_err(|error| {
            let error = wrong_field(opens).unwrap_or_else(|| error.to_string());
            format!("{opens:?} is not a cron expression such as \"0 3 * * 6\": {error}")
        })?;
        if let Some(error) = misplaced_name(opens) {
            return Err(format!("{opens:?} is not a cron expression such as \"0 3 * * 6\": {error}"));
        }
        let name = window.time_zone.as_deref().unwrap_or("UTC");
        let zone = zone(name).ok_or_else(|| format!("{name:?} is not a time zone such as Europe/Berlin"))?;
        let parsed = Self { cron, zone, length: SignedDuration::from_mins(i64::from(window.minutes.max(1))) };
        match parsed.at(EPOCH_OF_PROOF).map(|proof| parsed.cron.find_next_occurrence(&proof, true)) {
            Some(Ok(_)) => Ok(parsed),
            Some(Err(_)) | None => Err(format!("{opens:?} never opens")),
        }
    }

    /// Whether it is open at that second.
    pub fn open(&self, now: u64) -> bool {
        self.opening_before(now).is_some()
    }

    /// When it opens next, for people.
    pub fn next(&self, now: u64) -> Option<(i64, String)> {
        let next = self.cron.find_next_occurrence(&self.at(i64::try_from(now).ok()?)?, false).ok()?;
        Some((next.timestamp().as_second(), next.strftime("%Y-%m-%d %H:%M %Z").to_string()))
    }

    fn opening_before(&self, now: u64) -> Option<Zoned> {
        let now = self.at(i64::try_from(now).ok()?)?;
        let opened = self.cron.find_next_occurrence(&now.checked_sub(self.length).ok()?, false).ok()?;
        (opened <= now).then_some(opened)
    }

    fn at(&self, second: i64) -> Option<Zoned> {
        Some(Timestamp::from_second(second).ok()?.to_zoned(self.zone.clone()))
    }
}

/// Reads an expression. The library accepts `5/15`, every 15 from 5 on, only with this option.
fn cron(opens: &str) -> Result<Cron, CronError> {
    CronParser::builder().sloppy_ranges(true).build().parse(opens)
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
fn wrong_field(opens: &str) -> Option<String> {
    let alone = |at: usize, text: &str| {
        let mut fields = ["*"; FIELDS.len()];
        fields[at] = text;
        cron(&fields.join(" "))
    };
    let fields = opens.split_whitespace().zip(FIELDS).enumerate();
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
/// would open daily at 01:03.
fn misplaced_name(opens: &str) -> Option<String> {
    let fields = opens.split_whitespace().zip(FIELDS).zip(NAMES).enumerate();
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
mod tests;
