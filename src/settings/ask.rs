//! Checks a user's `config` and `jvm.flags` against the table of settings.

use std::collections::{BTreeMap, BTreeSet};

use super::table::by_key;
use super::{PREFIX, Reach, RefusedSetting, Setting, SettingRule, flags, spelling, text, ticks};
use crate::model::words::NAMED;

/// The smallest ensemble in which, with one member away, another member still serves beside the leader.
const SMALLEST_WITHOUT_SERVING_LEADER: u32 = 3;

/// The parts of a spec that matter for its settings.
#[derive(Clone, Copy, Debug)]
pub struct UserSettings<'a> {
    /// `config`.
    pub config: &'a BTreeMap<String, String>,
    /// `jvm.flags`.
    pub flags: &'a [String],
    /// `version`.
    pub version: &'a str,
    /// `replicas`.
    pub replicas: u32,
}

/// Where each accepted setting goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckedSettings {
    /// Lines of zoo.cfg.
    pub config: BTreeMap<String, String>,
    /// Flags of the JVM: the user's, then the properties in `config` that are not keys of zoo.cfg.
    pub flags: Vec<String>,
    /// Warnings, one sentence each, about settings that are passed on although they are unwise, unknown or without
    /// effect.
    pub advice: Vec<String>,
}

/// Decides on each setting, or returns all that are refused.
pub fn check(user: UserSettings<'_>) -> Result<CheckedSettings, Vec<RefusedSetting>> {
    let mut settled = CheckedSettings::default();
    let mut unknown = BTreeSet::new();
    let mut refused = Vec::new();
    for (key, value) in user.config {
        let value = value.trim_matches([' ', '\t']);
        match accepted(key, value, user) {
            Ok(setting) => take(setting, key, value, user, &mut settled),
            Err(fault) => refused.push(refusal(key, &fault)),
        }
        if by_key(key).is_none() {
            unknown.insert(key.clone());
        }
    }
    let times = ticks::faults(user.config, &settled.config);
    refused.extend(times.into_iter().map(|reason| RefusedSetting { field: "config", reason }));
    refused.extend(flags::add(user, &mut settled, &mut unknown));
    if !refused.is_empty() {
        return Err(refused);
    }
    settled.advice.extend(unknown_names(&unknown));
    Ok(settled)
}

fn refusal(name: &str, fault: &str) -> RefusedSetting {
    let name: String = name.chars().take(128).flat_map(char::escape_default).collect();
    RefusedSetting { field: "config", reason: format!("{name} {fault}") }
}

/// Returns the row about a key, or `None` if no row is about it; or why the key or its value is refused.
fn accepted(key: &str, value: &str, user: UserSettings<'_>) -> Result<Option<&'static Setting>, String> {
    if let Some(fault) = text::key_fault(key) {
        return Err(fault);
    }
    if let Some(name) = key.strip_prefix(PREFIX) {
        let name = spelling::of_key(name).unwrap_or_else(|| name.to_owned());
        return Err(format!(
            "is the name of a property: ZooKeeper puts {PREFIX:?} before a key by itself, so write {name}"
        ));
    }
    if let Some(right) = spelling::of_key(key) {
        return Err(spelling::wrong_case(&right, why_refused(by_key(&right), value, user)));
    }
    let setting = by_key(key);
    if let Some(fault) = text::value_fault(value).or_else(|| why_refused(setting, value, user)) {
        return Err(fault);
    }
    let property = setting.is_some_and(|setting| setting.reach == Reach::Property);
    if property && value.contains(char::is_whitespace) {
        return Err("becomes a flag of the JVM, and must not hold a space".to_owned());
    }
    Ok(setting)
}

fn take(setting: Option<&Setting>, key: &str, value: &str, user: UserSettings<'_>, settled: &mut CheckedSettings) {
    match setting {
        Some(Setting { reach: Reach::Property, .. }) => settled.flags.push(format!("-D{key}={value}")),
        Some(Setting { rule: SettingRule::Extended(least), .. }) => {
            _ = settled.config.insert(key.to_owned(), together(least, value));
        }
        _ => _ = settled.config.insert(key.to_owned(), value.to_owned()),
    }
    settled.advice.extend(setting.and_then(|setting| advice(setting, key, value, user.version)));
}

/// Why an option may not be set at all, or not to this value.
pub fn why_refused(setting: Option<&Setting>, value: &str, user: UserSettings<'_>) -> Option<String> {
    let setting = setting?;
    match setting.rule {
        SettingRule::Owned { value: Some(ours), .. } if value == ours => None,
        SettingRule::Owned { value: Some(ours), why, .. } => {
            Some(format!("must not be set, it is always {ours}: {why}"))
        }
        SettingRule::Owned { value: None, why, .. } | SettingRule::Refused(why) => {
            Some(format!("must not be set: {why}"))
        }
        SettingRule::Extended(_) => {
            let word = |word: &str| word == "*" || (word.len() == 4 && word.bytes().all(|b| b.is_ascii_lowercase()));
            let wrong = value.split(',').map(str::trim).find(|part| !word(part))?;
            Some(format!("lists words of four letters, or *, and {wrong:?} is neither"))
        }
        SettingRule::Followed | SettingRule::Unwise { .. }
            if setting.name == "leaderServes" && value == "no" && user.replicas < SMALLEST_WITHOUT_SERVING_LEADER =>
        {
            Some(format!(
                "must not be no with fewer than {SMALLEST_WITHOUT_SERVING_LEADER} replicas: a leader that is left alone would serve nobody, and could not be asked to take anybody in"
            ))
        }
        SettingRule::Followed | SettingRule::Unwise { .. } => setting.takes.why_refused(value),
    }
}

/// The warning about a value that is passed on, if it needs one.
pub fn advice(setting: &Setting, name: &str, value: &str, version: &str) -> Option<String> {
    if let SettingRule::Unwise { values, why } = setting.rule
        && values.hold(value)
    {
        return Some(format!("{name}: {why}"));
    }
    let mut numbers = version.split('.').skip(1).map(|part| part.parse().ok());
    let (Some(Some(minor)), Some(Some(patch))) = (numbers.next(), numbers.next()) else { return None };
    (!setting.known_to((minor, patch)))
        .then(|| format!("{name} is without effect: ZooKeeper {version} does not know it yet"))
}

/// Joins two lists of words, each word once; `*` stands for all words.
fn together(least: &str, more: &str) -> String {
    let words: BTreeSet<&str> = least.split(',').chain(more.split(',')).map(str::trim).collect();
    if words.contains("*") {
        return "*".to_owned();
    }
    words.into_iter().collect::<Vec<_>>().join(", ")
}

/// The warning about names that are passed on although no row is about them.
fn unknown_names(names: &BTreeSet<String>) -> Option<String> {
    let listed: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!names.is_empty())
        .then(|| format!("ZooKeeper 3.8 and 3.9 know no {}{more}; passed on all the same", listed.join(", ")))
}
