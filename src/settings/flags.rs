//! Flags of the JVM: no way around the table.

use std::collections::BTreeSet;

use super::ask::{Asked, Settled, advice, fault, hinted};
use super::table::by_property;
use super::{PREFIX, Reach, Refusal, Rule};

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

/// Adds the user's flags to what is settled, before those that come from `config`.
pub fn add(asked: Asked<'_>, settled: &mut Settled, unknown: &mut BTreeSet<String>) -> Result<(), Refusal> {
    let mut moved = BTreeSet::new();
    for flag in asked.flags {
        let refused = |fault: &str| Refusal { field: "jvm.flags", reason: format!("{} {fault}", shown(flag)) };
        if !flag.starts_with('-') || flag.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(refused("is no flag: it starts with '-' and holds no space"));
        }
        let name = flag.split('=').next().unwrap_or(flag);
        if let Some((_, fault)) = REFUSED.iter().find(|(start, _)| *start == name) {
            return Err(refused(fault));
        }
        let Some(assignment) = flag.strip_prefix("-D") else { continue };
        let (property, value) = assignment.split_once('=').unwrap_or((assignment, ""));
        let Some((setting, key)) = by_property(property, PREFIX) else {
            if property.starts_with(PREFIX) || property.starts_with("jute.") {
                unknown.insert(hinted(property));
            }
            continue;
        };
        if let Some(fault) = fault(Some(setting), value, asked) {
            return Err(refused(&fault));
        }
        if setting.reach == Reach::Key {
            return Err(refused(&format!(
                "is without effect: ZooKeeper takes {key} from zoo.cfg alone; set it in config"
            )));
        }
        if matches!(setting.rule, Rule::AtLeast(_)) {
            return Err(refused(&format!("is without effect: zoo.cfg says more; add to {key} in config")));
        }
        if asked.config.contains_key(key) {
            return Err(refused(&format!("says once more what config says of {key}: set one of them")));
        }
        settled.advice.extend(advice(setting, property, value, asked.version));
        if IN_ZOO_CFG.contains(&key) {
            settled.config.insert(key.to_owned(), value.to_owned());
            moved.insert(flag);
        }
    }
    let flags = asked.flags.iter().filter(|flag| !moved.contains(flag));
    settled.flags.splice(0..0, flags.cloned().collect::<Vec<_>>());
    Ok(())
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
