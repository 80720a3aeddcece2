//! What a user asks for, held against the table.

use std::collections::{BTreeMap, BTreeSet};

use super::table::{all, by_key};
use super::{PREFIX, Reach, Refusal, Rule, Setting, flags, text, ticks};

/// How many names a sentence lists.
const NAMED: usize = 8;

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

/// Decides for each of them.
pub fn settle(asked: Asked<'_>) -> Result<Settled, Refusal> {
    let mut settled = Settled::default();
    let mut unknown = BTreeSet::new();
    for (key, value) in asked.config {
        let value = value.trim_matches([' ', '\t']);
        let setting = setting_of(key).map_err(|fault| refusal("config", key, &fault))?;
        if let Some(fault) = text::value_fault(value).or_else(|| fault(setting, value, asked)) {
            return Err(refusal("config", key, &fault));
        }
        match setting {
            Some(setting) if setting.reach == Reach::Property => {
                if value.contains(char::is_whitespace) {
                    return Err(refusal("config", key, "becomes a flag of the JVM, and must not hold a space"));
                }
                settled.flags.push(format!("-D{key}={value}"));
            }
            Some(Setting { rule: Rule::AtLeast(least), .. }) => {
                settled.config.insert(key.clone(), together(least, value));
            }
            _ => {
                settled.config.insert(key.clone(), value.to_owned());
            }
        }
        match setting {
            Some(setting) => settled.advice.extend(advice(setting, key, value, asked.version)),
            None => _ = unknown.insert(hinted(key)),
        }
    }
    if let Some(fault) = ticks::fault(&settled.config) {
        return Err(Refusal { field: "config", reason: fault });
    }
    flags::add(asked, &mut settled, &mut unknown)?;
    settled.advice.extend(unknown_names(&unknown));
    Ok(settled)
}

fn refusal(field: &'static str, name: &str, fault: &str) -> Refusal {
    let name: String = name.chars().take(128).flat_map(char::escape_default).collect();
    Refusal { field, reason: format!("{name} {fault}") }
}

/// The row about a key, none when it is unknown; or why it is no key.
fn setting_of(key: &str) -> Result<Option<&'static Setting>, String> {
    if let Some(fault) = text::key_fault(key) {
        return Err(fault);
    }
    if let Some(name) = key.strip_prefix(PREFIX) {
        return Err(format!(
            "is the name of a property: ZooKeeper puts {PREFIX:?} before a key by itself, so write {name}"
        ));
    }
    Ok(by_key(key))
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

/// A name that is unknown, and the one that is probably meant: Java's properties differ in case.
pub fn hinted(name: &str) -> String {
    let meant = all().find(|setting| setting.name.eq_ignore_ascii_case(name.strip_prefix(PREFIX).unwrap_or(name)));
    meant.map_or_else(|| name.to_owned(), |setting| format!("{name} ({} is meant?)", setting.name))
}

fn unknown_names(names: &BTreeSet<String>) -> Option<String> {
    let listed: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!names.is_empty())
        .then(|| format!("ZooKeeper 3.8 and 3.9 know no {}{more}; passed on all the same", listed.join(", ")))
}
