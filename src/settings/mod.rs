//! Every option of ZooKeeper 3.8 and 3.9, and what becomes of it: the operator owns it, follows it, or refuses it.
//!
//! Invariants: the table decides alone, for zoo.cfg, for system properties and for flags alike; what it does not know is
//! passed on, and said, unless it is a name of the table in other letters. All that is refused is said at once. What is
//! passed on as a line of zoo.cfg reads the same after any number of times that ZooKeeper has written that file anew.
//! `docs/settings.md` is this table.

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

pub use ask::{Asked, Settled, settle};
pub use flags::sets;
pub use look::{Found, look};
pub use page::page;
pub use pod::pod_faults;
pub use table::all;
pub use ticks::ticks;

/// One option, or all options that begin alike.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name in zoo.cfg; of a property that is none there, the whole name. With `*` at its end, how it begins.
    pub name: &'static str,
    /// Who reads it.
    pub reach: Reach,
    /// What its value looks like.
    pub takes: Takes,
    /// The first release of each line that reads it, as (minor, patch); none when 3.8.0 did.
    pub since: &'static [(u32, u32)],
    /// What becomes of it.
    pub rule: Rule,
}

/// How ZooKeeper comes to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It takes the key from zoo.cfg; no property does the same.
    Key,
    /// A key of zoo.cfg which becomes the property `zookeeper.KEY`, over one that was there already.
    Both,
    /// A property alone: in zoo.cfg it would be without effect.
    Property,
}

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A whole number, of 32 bits.
    Int,
    /// A whole number, and at least 1.
    Count,
    /// A whole number, and at least this.
    AtLeast(i32),
    /// A whole number, of 64 bits.
    Long,
    /// The same, and not 0, by which the server would divide.
    NotZero,
    /// A number with decimals, as Java and Rust both read it.
    Float,
    /// `true` or `false`.
    Bool,
    /// `yes` or `no`.
    YesNo,
    /// A port that the server listens on.
    Port,
    /// The size of the largest record, in bytes.
    Buffer,
    /// One of these words, in small letters or capitals; or none at all, as only a flag can say it. What else ZooKeeper makes
    /// of a word it does not know: nothing, without a line in its log, or an exception as soon as somebody connects.
    OneOf(&'static [&'static str]),
    /// Anything.
    Text,
}

/// What becomes of an option.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// The operator's value is written, always and last.
    Owned {
        /// It; none where the agent writes it, because it differs between members or is secret.
        value: Option<&'static str>,
        /// Whether a system property says the same, last of all flags: a lost line would cost data.
        twice: bool,
        /// Why.
        why: &'static str,
    },
    /// At least this is written, and what the user adds to it.
    AtLeast(&'static str),
    /// The user's value is passed on.
    Followed,
    /// The user's value is passed on, and a condition says why it should not be.
    Unwise {
        /// Which values.
        values: Values,
        /// Why.
        why: &'static str,
    },
    /// It may not be set.
    Refused(&'static str),
}

/// Some of the values of an option.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// Each of them.
    Every,
    /// All but this one, ZooKeeper's own.
    But(&'static str),
    /// Each number below.
    Below(i64),
}

/// Why something may not be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Path of the field below `spec`.
    pub field: &'static str,
    /// What is wrong, and what to do instead.
    pub reason: String,
}

/// Ports of a member's pod that have an owner.
const HELD_PORTS: [(u16, &str); 5] = [
    (CLIENT_PORT, "ZooKeeper's clients"),
    (QUORUM_PORT, "the quorum"),
    (ELECTION_PORT, "the elections"),
    (AGENT_PORT, "the agent"),
    (ADMIN_PORT, "the AdminServer"),
];

const PREFIX: &str = "zookeeper.";

impl Setting {
    /// The system property, where there is one.
    pub fn property(&self) -> Option<String> {
        match self.reach {
            Reach::Key => None,
            Reach::Both => Some(format!("{PREFIX}{}", self.name)),
            Reach::Property => Some(self.name.to_owned()),
        }
    }

    /// Whether a server of that version reads it.
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
    /// What is wrong with a value.
    fn fault(self, value: &str) -> Option<String> {
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

/// `a, b or c`.
fn either(words: &[&str]) -> String {
    match words {
        [most @ .., last] if !most.is_empty() => format!("{} or {last}", most.join(", ")),
        _ => words.concat(),
    }
}

/// `Integer.getInteger` takes 010 for 8.
fn is_octal(value: &str) -> bool {
    let digits = value.trim_start_matches(['+', '-']);
    digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Of what either of them reads, the other has no inf, NAN, 1f or 0x1p3; and a number that is too large becomes infinite.
fn is_decimal(value: &str) -> bool {
    value.bytes().all(|byte| b"0123456789+-.eE".contains(&byte)) && value.parse::<f64>().is_ok_and(f64::is_finite)
}

/// Java reads a number that it cannot as if it were not there.
fn is_buffer(value: &str) -> bool {
    let size = value.strip_prefix("0x").map_or_else(|| value.parse(), |hex| i32::from_str_radix(hex, 16));
    size.is_ok_and(|size| size >= 0xf_ffff)
}

fn port_fault(value: &str) -> Option<String> {
    let Ok(port) = value.parse::<u16>() else { return Some(format!("must be a port, and is {value:?}")) };
    let (_, holder) = HELD_PORTS.iter().find(|(held, _)| *held == port)?;
    Some(format!("must not be {port}: in a member's pod that port belongs to {holder}; take another, such as 7000"))
}

/// Whether the table has a row about a key of zoo.cfg, or about a property by its whole name.
pub fn known(name: &str) -> bool {
    table::by_key(name).is_some() || table::by_property(name, PREFIX).is_some()
}

/// What the operator always writes into zoo.cfg, whatever was asked for.
pub fn owned() -> impl Iterator<Item = (&'static str, &'static str)> {
    all().filter_map(|setting| match setting.rule {
        Rule::Owned { value: Some(value), .. } => Some((setting.name, value)),
        _ => None,
    })
}

/// What is written into zoo.cfg where nobody adds to it.
pub fn least() -> impl Iterator<Item = (&'static str, &'static str)> {
    all().filter_map(|setting| match setting.rule {
        Rule::AtLeast(value) => Some((setting.name, value)),
        _ => None,
    })
}

/// Flags that come last, so that the line of zoo.cfg is not the only word for what would cost data.
pub fn last_flags() -> impl Iterator<Item = String> {
    all().filter_map(|setting| match setting.rule {
        Rule::Owned { value: Some(value), twice: true, .. } => Some(format!("-D{}={value}", setting.property()?)),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
