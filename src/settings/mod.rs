//! The table of settings: every option of ZooKeeper 3.8 and 3.9, and whether the operator owns, follows or refuses it.
//!
//! Invariants:
//! - only the table decides, in the same way for keys of zoo.cfg, for system properties and for flags;
//! - an option that is not in the table is passed on with a warning; if its name differs from one in the table only in
//!   upper and lower case, it is refused;
//! - everything that is refused is reported at once;
//! - a value that is passed on in zoo.cfg reads the same, however often ZooKeeper rewrites that file.
//!
//! `docs/settings.md` is printed from this table.

mod ask;
mod flags;
mod look;
mod page;
mod pod;
#[cfg(test)]
pub mod properties;
mod spelling;
mod table;
mod text;
mod ticks;

use crate::model::layout::{ADMIN_PORT, AGENT_PORT};
use crate::model::membership::{CLIENT_PORT, ELECTION_PORT, QUORUM_PORT};

pub use ask::{CheckedSettings, UserSettings, check};
pub use flags::sets;
pub use look::{Matches, look};
pub use page::page;
pub use pod::pod_faults;
pub use table::all;
pub use ticks::{sync_limit, ticks};

/// A row of the table: one option, or all options whose names begin alike.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its key in zoo.cfg, or the full name of a property that has no key there. A `*` at the end stands for any rest.
    pub name: &'static str,
    /// Where ZooKeeper reads it.
    pub reach: Reach,
    /// Which values it takes.
    pub takes: Takes,
    /// The first release that reads it, for each line of releases, as (minor, patch); empty if 3.8.0 reads it. Of the
    /// lines that are not listed, those after all listed ones read it.
    pub since: &'static [(u32, u32)],
    /// What the operator does with it.
    pub rule: SettingRule,
    /// What else is to be said of it.
    pub note: Option<&'static str>,
}

/// Where ZooKeeper reads an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Only in zoo.cfg: no system property does the same.
    Key,
    /// In zoo.cfg. ZooKeeper turns the key into the system property `zookeeper.KEY`, and overwrites one from a flag.
    Both,
    /// Only as a system property: in zoo.cfg it has no effect.
    Property,
}

/// Which values an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 32 bits, at least 1.
    Count,
    /// A whole number of 32 bits, at least this one.
    AtLeast(i32),
    /// A whole number of 64 bits.
    Long,
    /// A whole number of 64 bits other than 0: a server divides by half of `snapSizeLimitInKb`.
    NotZero,
    /// A decimal number that Java and Rust both read.
    Float,
    /// `true` or `false`.
    Bool,
    /// `yes` or `no`.
    YesNo,
    /// A port that the server listens on.
    Port,
    /// The size of the largest record, in bytes.
    Buffer,
    /// One of these words, in upper or lower case. A flag may also leave it empty. Other words are refused here,
    /// because ZooKeeper ignores them without a line in its log, or throws an exception as soon as somebody connects.
    OneOf(&'static [&'static str]),
    /// Any text.
    Text,
}

/// What the operator does with an option.
#[derive(Clone, Copy, Debug)]
pub enum SettingRule {
    /// The operator always writes its own value, after everything else.
    Owned {
        /// That value; `None` if the agent writes it, because it differs between members or is secret.
        value: Option<&'static str>,
        /// Whether a flag sets it too, after all other flags: if only the line of zoo.cfg set it, losing that line
        /// would cost data.
        twice: bool,
        /// Why.
        why: &'static str,
    },
    /// The operator writes these words, and those that the user adds.
    Extended(&'static str),
    /// The user's value is passed on.
    Followed,
    /// The user's value is passed on; if it is unwise, the condition `Warning` says why.
    Unwise {
        /// Which values are unwise.
        values: Values,
        /// Why.
        why: &'static str,
    },
    /// The user may not set it, for this reason.
    Refused(&'static str),
}

/// Some of the values of an option.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// All values.
    Every,
    /// All values except this one, ZooKeeper's default.
    But(&'static str),
    /// All numbers below this one.
    Below(i64),
}

/// A part of the spec that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedSetting {
    /// The path of the field below `spec`.
    pub field: &'static str,
    /// What is wrong, and what to do instead.
    pub reason: String,
}

/// The ports that are in use in every member's pod, and by what.
const HELD_PORTS: [(u16, &str); 5] = [
    (CLIENT_PORT, "ZooKeeper's clients"),
    (QUORUM_PORT, "the quorum"),
    (ELECTION_PORT, "the elections"),
    (AGENT_PORT, "the agent"),
    (ADMIN_PORT, "the AdminServer"),
];

const PREFIX: &str = "zookeeper.";

impl Setting {
    /// The system property that sets it, if there is one.
    pub fn property(&self) -> Option<String> {
        match self.reach {
            Reach::Key => None,
            Reach::Both => Some(format!("{PREFIX}{}", self.name)),
            Reach::Property => Some(self.name.to_owned()),
        }
    }

    /// Whether a server of this version reads it.
    fn known_to(&self, (minor, patch): (u32, u32)) -> bool {
        match self.since.iter().find(|(line, _)| *line == minor) {
            Some((_, first)) => patch >= *first,
            None => self.since.iter().all(|(line, _)| *line < minor),
        }
    }

    fn covers(&self, name: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => self.name == name,
        }
    }
}

impl Values {
    fn hold(self, value: &str) -> bool {
        match self {
            Self::Every => true,
            Self::But(harmless) => value != harmless,
            Self::Below(least) => value.parse::<i64>().is_ok_and(|number| number < least),
        }
    }
}

impl Takes {
    /// Why a value is refused, if it is.
    fn why_refused(self, value: &str) -> Option<String> {
        let number = value.parse::<i32>().ok();
        let wanted = match self {
            Self::Int | Self::Count | Self::AtLeast(_) | Self::Long | Self::NotZero if is_octal(value) => {
                "a whole number without a 0 before it: Java reads such a one as octal"
            }
            Self::Int if number.is_none() => "a whole number of at most 2147483647",
            Self::Count if number.is_none_or(|count| count < 1) => "a whole number of at least 1",
            Self::AtLeast(least) if number.is_none_or(|number| number < least) => {
                return Some(format!("must be a whole number of at least {least}, and is {value:?}"));
            }
            Self::Long if value.parse::<i64>().is_err() => "a whole number",
            Self::NotZero if value.parse::<i64>().map_or(true, |number| number == 0) => {
                "a whole number other than 0 (-1 switches it off)"
            }
            Self::Float if !is_decimal(value) => "a number",
            Self::Bool if !["true", "false"].contains(&value) => "true or false",
            Self::YesNo if !["yes", "no"].contains(&value) => "yes or no",
            Self::Port => return port_fault(value),
            Self::OneOf(words) if !value.is_empty() && !words.iter().any(|word| word.eq_ignore_ascii_case(value)) => {
                return Some(format!("must be {}, and is {value:?}", either(words)));
            }
            Self::Buffer if !is_buffer(value) => {
                "a whole number of 1048575 to 2147483647 (with less, a server no longer starts on what others wrote before)"
            }
            _ => return None,
        };
        Some(format!("must be {wanted}, and is {value:?}"))
    }
}

/// Joins words as `a, b or c`.
fn either(words: &[&str]) -> String {
    match words {
        [most @ .., last] if !most.is_empty() => format!("{} or {last}", most.join(", ")),
        _ => words.concat(),
    }
}

/// Whether Java would read a number as octal: `Integer.getInteger` reads 010 as 8.
fn is_octal(value: &str) -> bool {
    let digits = value.trim_start_matches(['+', '-']);
    digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether Java and Rust read a text as the same number. Only Rust reads inf and NAN, only Java reads 1f and 0x1p3, and
/// a number that is too large becomes infinite.
fn is_decimal(value: &str) -> bool {
    value.bytes().all(|byte| b"0123456789+-.eE".contains(&byte)) && value.parse::<f64>().is_ok_and(f64::is_finite)
}

/// Whether a text is a size that is large enough and that Java can read: Java ignores one that it cannot read.
fn is_buffer(value: &str) -> bool {
    let size = value.strip_prefix("0x").map_or_else(|| value.parse(), |hex| i32::from_str_radix(hex, 16));
    size.is_ok_and(|size| size >= 0xf_ffff)
}

fn port_fault(value: &str) -> Option<String> {
    let Ok(port) = value.parse::<u16>() else { return Some(format!("must be a port, and is {value:?}")) };
    let (_, holder) = HELD_PORTS.iter().find(|(held, _)| *held == port)?;
    Some(format!("must not be {port}: in a member's pod that port belongs to {holder}; take another, such as 7000"))
}

/// Whether the table has a row about a key of zoo.cfg, or about a property with its full name.
pub fn known(name: &str) -> bool {
    table::by_key(name).is_some() || table::by_property(name, PREFIX).is_some()
}

/// The keys and values that the operator always writes into zoo.cfg, whatever the user sets.
pub fn owned() -> impl Iterator<Item = (&'static str, &'static str)> {
    all().filter_map(|setting| match setting.rule {
        SettingRule::Owned { value: Some(value), .. } => Some((setting.name, value)),
        _ => None,
    })
}

/// The keys of zoo.cfg to which users may only add words, with the words that the operator always writes.
pub fn least() -> impl Iterator<Item = (&'static str, &'static str)> {
    all().filter_map(|setting| match setting.rule {
        SettingRule::Extended(value) => Some((setting.name, value)),
        _ => None,
    })
}

/// The flags that come after all others. They repeat the lines of zoo.cfg whose loss would cost data.
pub fn last_flags() -> impl Iterator<Item = String> {
    all().filter_map(|setting| match setting.rule {
        SettingRule::Owned { value: Some(value), twice: true, .. } => {
            Some(format!("-D{}={value}", setting.property()?))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests;
