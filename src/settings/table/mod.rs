//! The rows of the table, grouped by topic.

mod admin;
mod auth;
mod clients;
mod ensemble;
mod java;
mod storage;
mod tls;
mod work;

use super::Takes::{self, AtLeast as From, Bool, Buffer, Count, Float, Int, Long, NotZero, OneOf, Port, Text, YesNo};
use super::Values::{self, Below, But, Every};
use super::{Reach, Setting, SettingRule};

/// The groups, each with its heading in `docs/settings.md`.
pub const GROUPS: [(&str, &[Setting]); 8] = [
    ("Data on disk", storage::SETTINGS),
    ("Membership, election, synchronisation", ensemble::SETTINGS),
    ("Clients and sessions", clients::SETTINGS),
    ("Authentication and ACLs", auth::SETTINGS),
    ("TLS", tls::SETTINGS),
    ("Administration and metrics", admin::SETTINGS),
    ("Requests, memory, watches", work::SETTINGS),
    ("Java properties that are no keys of zoo.cfg", java::SETTINGS),
];

/// All rows.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    GROUPS.iter().flat_map(|(_, settings)| settings.iter())
}

/// The most specific row about a key of `config`.
pub fn by_key(name: &str) -> Option<&'static Setting> {
    most_special(all().filter(|setting| setting.covers(name)))
}

/// The most specific row about a system property, and the option's name in `config`: without the prefix, if it is a key
/// of zoo.cfg.
pub fn by_property<'a>(property: &'a str, prefix: &str) -> Option<(&'static Setting, &'a str)> {
    let plain = most_special(all().filter(|row| row.reach == Reach::Property && row.covers(property)));
    if let Some(setting) = plain {
        return Some((setting, property));
    }
    let name = property.strip_prefix(prefix)?;
    most_special(all().filter(|row| row.reach != Reach::Property && row.covers(name))).map(|setting| (setting, name))
}

fn most_special(rows: impl Iterator<Item = &'static Setting>) -> Option<&'static Setting> {
    rows.max_by_key(|row| (!row.name.ends_with('*'), row.name.len()))
}

const fn key(name: &'static str, takes: Takes, rule: SettingRule) -> Setting {
    Setting { name, reach: Reach::Key, takes, since: &[], rule, note: None }
}

const fn both(name: &'static str, takes: Takes, rule: SettingRule) -> Setting {
    Setting { name, reach: Reach::Both, takes, since: &[], rule, note: None }
}

const fn property(name: &'static str, takes: Takes, rule: SettingRule) -> Setting {
    Setting { name, reach: Reach::Property, takes, since: &[], rule, note: None }
}

const fn owned(value: &'static str, why: &'static str) -> SettingRule {
    SettingRule::Owned { value: Some(value), twice: false, why }
}

/// Owned, and also set by a flag.
const fn vital(value: &'static str, why: &'static str) -> SettingRule {
    SettingRule::Owned { value: Some(value), twice: true, why }
}

/// Followed, with a warning about some values.
const fn unwise(values: Values, why: &'static str) -> SettingRule {
    SettingRule::Unwise { values, why }
}

/// Owned, and written by the agent.
const fn by_agent(why: &'static str) -> SettingRule {
    SettingRule::Owned { value: None, twice: false, why }
}

impl Setting {
    const fn since(mut self, since: &'static [(u32, u32)]) -> Self {
        self.since = since;
        self
    }

    const fn noted(mut self, note: &'static str) -> Self {
        self.note = Some(note);
        self
    }
}
