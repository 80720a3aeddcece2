//! Checks the flags of the JVM, so that they are no way around the table.

use std::collections::BTreeSet;

use super::ask::{CheckedSettings, UserSettings, advice, why_refused};
use super::table::by_property;
use super::{PREFIX, Reach, RefusedSetting, Setting, SettingRule, spelling};

/// Flags that are always refused: they load other flags that the operator does not see, replace the class path, or
/// start something other than the server.
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

/// Options that the agent needs to know. It sees only zoo.cfg of its server's settings, so they are written there even
/// if the user sets them by a flag.
const IN_ZOO_CFG: [&str; 1] = ["leaderServes"];

/// Adds the user's flags to `settled`, before the flags that come from `config`. Returns those that are refused.
pub fn add(
    user: UserSettings<'_>,
    settled: &mut CheckedSettings,
    unknown: &mut BTreeSet<String>,
) -> Vec<RefusedSetting> {
    let mut refused = Vec::new();
    let mut kept = Vec::new();
    for flag in user.flags {
        match accepted(flag, user) {
            Ok(FlagTarget::Setting(setting, property, value)) => {
                settled.advice.extend(advice(setting, property, value, user.version));
                match IN_ZOO_CFG.iter().find(|key| **key == setting.name) {
                    Some(key) => _ = settled.config.insert((*key).to_owned(), value.to_owned()),
                    None => kept.push(flag.clone()),
                }
            }
            Ok(FlagTarget::Unknown(property)) => {
                unknown.insert(property.to_owned());
                kept.push(flag.clone());
            }
            Ok(FlagTarget::Other) => kept.push(flag.clone()),
            Err(fault) => {
                refused.push(RefusedSetting { field: "jvm.flags", reason: format!("{} {fault}", shown(flag)) });
            }
        }
    }
    settled.flags.splice(0..0, kept);
    refused
}

/// What a flag sets.
enum FlagTarget<'a> {
    /// An option of the table: its row, the property that the flag sets, and the value.
    Setting(&'static Setting, &'a str, &'a str),
    /// A property that looks like one of ZooKeeper's, but no row is about it.
    Unknown(&'a str),
    /// Something of the JVM itself, or a property that is not ZooKeeper's.
    Other,
}

fn accepted<'a>(flag: &'a str, user: UserSettings<'_>) -> Result<FlagTarget<'a>, String> {
    if !flag.starts_with('-') || flag.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("is no flag: it starts with '-' and holds no space".to_owned());
    }
    let name = flag.split('=').next().unwrap_or(flag);
    if let Some((_, fault)) = REFUSED.iter().find(|(start, _)| *start == name) {
        return Err((*fault).to_owned());
    }
    let Some(assignment) = flag.strip_prefix("-D") else { return Ok(FlagTarget::Other) };
    let (property, value) = assignment.split_once('=').unwrap_or((assignment, ""));
    if let Some(right) = spelling::of_property(property) {
        let its_fault = by_property(&right, PREFIX).and_then(|row| property_fault(row, value, user));
        return Err(spelling::wrong_case(&right, its_fault));
    }
    let Some(row) = by_property(property, PREFIX) else {
        let ours = property.starts_with(PREFIX) || property.starts_with("jute.");
        return Ok(if ours { FlagTarget::Unknown(property) } else { FlagTarget::Other });
    };
    property_fault(row, value, user).map_or(Ok(FlagTarget::Setting(row.0, property, value)), Err)
}

/// Why an option, with this key in zoo.cfg, may not be set as a system property, or not to this value.
fn property_fault((setting, key): (&Setting, &str), value: &str, user: UserSettings<'_>) -> Option<String> {
    if let Some(fault) = why_refused(Some(setting), value, user) {
        return Some(fault);
    }
    if setting.reach == Reach::Key {
        return Some(format!("is without effect: ZooKeeper takes {key} from zoo.cfg alone; set it in config"));
    }
    if matches!(setting.rule, SettingRule::Extended(_)) {
        return Some(format!("is without effect: zoo.cfg says more; add to {key} in config"));
    }
    let twice = user.config.contains_key(key);
    twice.then(|| format!("says once more what config says of {key}: set one of them"))
}

/// Whether a flag sets the same option as a line of zoo.cfg with this key.
pub fn sets(flag: &str, key: &str) -> bool {
    let said = flag.split('=').next().and_then(|name| name.strip_prefix("-D")?.strip_prefix(PREFIX));
    said == Some(key)
}

/// The name of a flag for a message: escaped, cut, and without the value, which may be a secret.
fn shown(flag: &str) -> String {
    flag.split('=').next().unwrap_or_default().chars().take(128).flat_map(char::escape_default).collect()
}
