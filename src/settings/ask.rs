//! What a user asks for, held against the table.

use std::collections::{BTreeMap, BTreeSet};

use super::table::by_key;
use super::{PREFIX, Reach, Refusal, Rule, Setting, flags, spelling, text, ticks};
use crate::model::words::NAMED;

/// From as many on, whoever leads has another that serves beside it, also while one is away.
const ALONE: u32 = 3;

/// What a user asks for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// `config`.
    pub config: &'a BTreeMap<String, String>,
    /// `jvm.flags`.
    pub flags: &'a [String],
    /// `version`.
    pub version: &'a str,
    /// `replicas`.
    pub replicas: u32,
}

/// What of it goes where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Lines of zoo.cfg.
    pub config: BTreeMap<String, String>,
    /// Flags: the user's, and what `config` says that is no key of zoo.cfg.
    pub flags: Vec<String>,
    /// What is passed on and unwise, or unknown: a sentence each.
    pub advice: Vec<String>,
}

/// Decides for each of them, or says all that is refused.
pub fn settle(asked: Asked<'_>) -> Result<Settled, Vec<Refusal>> {
    let mut settled = Settled::default();
    let mut unknown = BTreeSet::new();
    let mut refused = Vec::new();
    for (key, value) in asked.config {
        let value = value.trim_matches([' ', '\t']);
        match accepted(key, value, asked) {
            Ok(setting) => take(setting, key, value, asked, &mut settled),
            Err(fault) => refused.push(refusal(key, &fault)),
        }
        if by_key(key).is_none() {
            unknown.insert(key.clone());
        }
    }
    let times = ticks::faults(asked.config, &settled.config);
    refused.extend(times.into_iter().map(|reason| Refusal { field: "config", reason }));
    refused.extend(flags::add(asked, &mut settled, &mut unknown));
    if !refused.is_empty() {
        return Err(refused);
    }
    settled.advice.extend(unknown_names(&unknown));
    Ok(settled)
}

fn refusal(name: &str, fault: &str) -> Refusal {
    let name: String = name.chars().take(128).flat_map(char::escape_default).collect();
    Refusal { field: "config", reason: format!("{name} {fault}") }
}

/// The row about a key, none when it is unknown; or why it is no key, or may not have that value.
fn accepted(key: &str, value: &str, asked: Asked<'_>) -> Result<Option<&'static Setting>, String> {
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
        return Err(spelling::fault(&right, fault(by_key(&right), value, asked)));
    }
    let setting = by_key(key);
    if let Some(fault) = text::value_fault(value).or_else(|| fault(setting, value, asked)) {
        return Err(fault);
    }
    let property = setting.is_some_and(|setting| setting.reach == Reach::Property);
    if property && value.contains(char::is_whitespace) {
        return Err("becomes a flag of the JVM, and must not hold a space".to_owned());
    }
    Ok(setting)
}

fn take(setting: Option<&Setting>, key: &str, value: &str, asked: Asked<'_>, settled: &mut Settled) {
    match setting {
        Some(Setting { reach: Reach::Property, .. }) => settled.flags.push(format!("-D{key}={value}")),
        Some(Setting { rule: Rule::AtLeast(least), .. }) => {
            _ = settled.config.insert(key.to_owned(), together(least, value));
        }
        _ => _ = settled.config.insert(key.to_owned(), value.to_owned()),
    }
    settled.advice.extend(setting.and_then(|setting| advice(setting, key, value, asked.version)));
}

/// What is wrong with setting it, or with the value.
pub fn fault(setting: Option<&Setting>, value: &str, asked: Asked<'_>) -> Option<String> {
    let setting = setting?;
    match setting.rule {
        Rule::Owned { value: Some(ours), .. } if value == ours => None,
        Rule::Owned { value: Some(ours), why, .. } => Some(format!("must not be set, it is always {ours}: {why}")),
        Rule::Owned { value: None, why, .. } | Rule::Refused(why) => Some(format!("must not be set: {why}")),
        Rule::AtLeast(_) => {
            let word = |word: &str| word == "*" || (word.len() == 4 && word.bytes().all(|b| b.is_ascii_lowercase()));
            let wrong = value.split(',').map(str::trim).find(|part| !word(part))?;
            Some(format!("lists words of four letters, or *, and {wrong:?} is neither"))
        }
        Rule::Followed | Rule::Unwise { .. }
            if setting.name == "leaderServes" && value == "no" && asked.replicas < ALONE =>
        {
            Some(format!(
                "must not be no with fewer than {ALONE} replicas: a leader that is left alone would serve nobody, and could not be asked to take anybody in"
            ))
        }
        Rule::Followed | Rule::Unwise { .. } => setting.takes.fault(value),
    }
}

/// What is to be said about a value that is passed on.
pub fn advice(setting: &Setting, name: &str, value: &str, version: &str) -> Option<String> {
    if let Rule::Unwise { values, why } = setting.rule
        && values.hold(value)
    {
        return Some(format!("{name}: {why}"));
    }
    let mut numbers = version.split('.').skip(1).map(|part| part.parse().ok());
    let (Some(Some(minor)), Some(Some(patch))) = (numbers.next(), numbers.next()) else { return None };
    (!setting.known_to((minor, patch)))
        .then(|| format!("{name} is without effect: ZooKeeper {version} does not know it yet"))
}

/// Both lists of words, each word once.
fn together(least: &str, more: &str) -> String {
    let words: BTreeSet<&str> = least.split(',').chain(more.split(',')).map(str::trim).collect();
    if words.contains("*") {
        return "*".to_owned();
    }
    words.into_iter().collect::<Vec<_>>().join(", ")
}

/// Names that are passed on although no row is about them.
fn unknown_names(names: &BTreeSet<String>) -> Option<String> {
    let listed: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!names.is_empty())
        .then(|| format!("ZooKeeper 3.8 and 3.9 know no {}{more}; passed on all the same", listed.join(", ")))
}
