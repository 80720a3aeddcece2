//! Flags of the JVM: no way around the table.

use std::collections::BTreeSet;

use super::ask::{Asked, Settled, advice, fault};
use super::table::by_property;
use super::{PREFIX, Reach, Refusal, Rule, Setting, spelling};

/// Flags that name other flags where nobody sees them, or start something else than ZooKeeper.
const REFUSED: [(&str, &str); 9] = [
    ("-XX:VMOptionsFile", "holds flags that the operator does not see: list them"),
    ("-XX:Flags", "holds flags that the operator does not see: list them"),
    ("-cp", "replaces ZooKeeper's class path: mount a jar of yours below lib of the image"),
    ("-classpath", "replaces ZooKeeper's class path: mount a jar of yours below lib of the image"),
    ("--class-path", "replaces ZooKeeper's class path: mount a jar of yours below lib of the image"),
    ("-jar", "starts something else than ZooKeeper"),
    ("-version", "prints and ends: the server would not start"),
    ("--version", "prints and ends: the server would not start"),
    ("-help", "prints and ends: the server would not start"),
];

/// What an agent has to know of its server, of whose settings it sees zoo.cfg alone: written there, whoever says it.
const IN_ZOO_CFG: [&str; 1] = ["leaderServes"];

/// Adds the user's flags to what is settled, before those that come from `config`; says which of them are refused.
pub fn add(asked: Asked<'_>, settled: &mut Settled, unknown: &mut BTreeSet<String>) -> Vec<Refusal> {
    let mut refused = Vec::new();
    let mut kept = Vec::new();
    for flag in asked.flags {
        match accepted(flag, asked) {
            Ok(Means::Setting(setting, property, value)) => {
                settled.advice.extend(advice(setting, property, value, asked.version));
                match IN_ZOO_CFG.iter().find(|key| **key == setting.name) {
                    Some(key) => _ = settled.config.insert((*key).to_owned(), value.to_owned()),
                    None => kept.push(flag.clone()),
                }
            }
            Ok(Means::Unknown(property)) => {
                unknown.insert(property.to_owned());
                kept.push(flag.clone());
            }
            Ok(Means::Other) => kept.push(flag.clone()),
            Err(fault) => refused.push(Refusal { field: "jvm.flags", reason: format!("{} {fault}", shown(flag)) }),
        }
    }
    settled.flags.splice(0..0, kept);
    refused
}

/// What a flag is about.
enum Means<'a> {
    /// A row of the table, by which property, and the value.
    Setting(&'static Setting, &'a str, &'a str),
    /// A property that looks like one of ZooKeeper's, and that no row is about.
    Unknown(&'a str),
    /// The JVM, or somebody else's property.
    Other,
}

fn accepted<'a>(flag: &'a str, asked: Asked<'_>) -> Result<Means<'a>, String> {
    if !flag.starts_with('-') || flag.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("is no flag: it starts with '-' and holds no space".to_owned());
    }
    let name = flag.split('=').next().unwrap_or(flag);
    if let Some((_, fault)) = REFUSED.iter().find(|(start, _)| *start == name) {
        return Err((*fault).to_owned());
    }
    let Some(assignment) = flag.strip_prefix("-D") else { return Ok(Means::Other) };
    let (property, value) = assignment.split_once('=').unwrap_or((assignment, ""));
    if let Some(right) = spelling::of_property(property) {
        let its_fault = by_property(&right, PREFIX).and_then(|row| property_fault(row, value, asked));
        return Err(spelling::fault(&right, its_fault));
    }
    let Some(row) = by_property(property, PREFIX) else {
        let ours = property.starts_with(PREFIX) || property.starts_with("jute.");
        return Ok(if ours { Means::Unknown(property) } else { Means::Other });
    };
    property_fault(row, value, asked).map_or(Ok(Means::Setting(row.0, property, value)), Err)
}

/// What is wrong with saying a setting, which has that name in zoo.cfg, as a property.
fn property_fault((setting, key): (&Setting, &str), value: &str, asked: Asked<'_>) -> Option<String> {
    if let Some(fault) = fault(Some(setting), value, asked) {
        return Some(fault);
    }
    if setting.reach == Reach::Key {
        return Some(format!("is without effect: ZooKeeper takes {key} from zoo.cfg alone; set it in config"));
    }
    if matches!(setting.rule, Rule::AtLeast(_)) {
        return Some(format!("is without effect: zoo.cfg says more; add to {key} in config"));
    }
    let twice = asked.config.contains_key(key);
    twice.then(|| format!("says once more what config says of {key}: set one of them"))
}

/// Whether a flag says what a line of zoo.cfg with this key would say.
pub fn sets(flag: &str, key: &str) -> bool {
    let said = flag.split('=').next().and_then(|name| name.strip_prefix("-D")?.strip_prefix(PREFIX));
    said == Some(key)
}

/// A flag as it may stand in a message: whatever it holds, and no secret that follows its name.
fn shown(flag: &str) -> String {
    flag.split('=').next().unwrap_or_default().chars().take(128).flat_map(char::escape_default).collect()
}
