//! Prints the table as `docs/settings.md`.

use std::fmt::Write as _;

use super::table::GROUPS;
use super::{Reach, Setting, SettingRule, Takes, Values};

const HEAD: &str = "# Settings

<!-- Written by `menagerie settings`; `dev/generate` keeps it so. Change src/settings/table. -->

Every option of ZooKeeper 3.8 and 3.9, and what the operator does with it:

- **owned**: the operator always writes its own value, as the last line of zoo.cfg. ZooKeeper prefers zoo.cfg to every `-D`, so this
  value also wins over flags and the environment. Options on which data depends are set as a flag too, after all other flags. Leave an
  owned option out: any other value is refused, and many of these names the API server refuses in `config` with any value, the operator's
  own too.
- **followed**: the operator passes your value on. Write it in `config` under the name in the first column. If ZooKeeper reads the option
  only as a property, the operator makes a flag of the JVM from it.
- **followed, with a warning**: the same, and the condition `Warning` says why it is unwise.
- **refused**: do not set it, neither in `config` nor as `-D` in `jvm.flags`. The message says why, and what to do instead.

An option that is not in the table is passed on, and the condition `Warning` names it. ZooKeeper distinguishes upper and lower case in
names, and ignores a name in the wrong case: the operator refuses it and names the right one. Words such as `gz` may be in either case.
The operator names everything that it refuses at once.

The operator checks that ZooKeeper can read each value, and that a port is free. A key of `config` has no `zookeeper.` before it:
ZooKeeper adds that itself. A key holds letters, digits, `.`, `_` and `-`. A value is one line of ASCII without a backslash: ZooKeeper
rewrites zoo.cfg at each change of the membership, without escaping, and a value that ends in a backslash would swallow the next line.
Spaces around a value are dropped.
";

/// The text of `docs/settings.md`.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for (heading, settings) in GROUPS {
        _ = writeln!(page, "\n## {heading}\n\n| option | property | value | |\n|---|---|---|---|");
        for setting in settings {
            page.push_str(&row(setting));
        }
    }
    page
}

/// One option, as a line of the page.
pub fn row(setting: &Setting) -> String {
    let property = match (setting.reach, setting.property()) {
        (Reach::Both, Some(property)) => format!("`{property}`"),
        (Reach::Property, _) => "the same".to_owned(),
        _ => String::new(),
    };
    format!("| `{}` | {property} | {} | {} |\n", setting.name, takes(setting.takes), becomes(setting))
}

fn takes(takes: Takes) -> String {
    let words = match takes {
        Takes::Int | Takes::Long => "number",
        Takes::Count => "number, at least 1",
        Takes::AtLeast(least) => return format!("number, at least {least}"),
        Takes::NotZero => "number, not 0",
        Takes::Float => "decimal",
        Takes::Bool => "true, false",
        Takes::YesNo => "yes, no",
        Takes::Port => "port",
        Takes::Buffer => "bytes, at least 1048575",
        Takes::OneOf(words) => return words.join(", "),
        Takes::Text => "text",
    };
    words.to_owned()
}

fn becomes(setting: &Setting) -> String {
    let verdict = match setting.rule {
        SettingRule::Owned { value: Some(value), twice: false, why } => format!("**owned** `{value}`: {why}"),
        SettingRule::Owned { value: Some(value), twice: true, why } => {
            format!("**owned** `{value}`, as a flag too: {why}")
        }
        SettingRule::Owned { value: None, why, .. } => format!("**owned**, the agent writes it: {why}"),
        SettingRule::Extended(least) => format!("followed: `{least}` and the words that you add, or `*`"),
        SettingRule::Followed => "followed".to_owned(),
        SettingRule::Unwise { values: Values::Every, why } => format!("followed, with a warning: {why}"),
        SettingRule::Unwise { values: Values::But(value), why } => {
            format!("followed; other than `{value}` with a warning: {why}")
        }
        SettingRule::Unwise { values: Values::Below(least), why } => {
            format!("followed; below {least} with a warning: {why}")
        }
        SettingRule::Refused(why) => format!("**refused**: {why}"),
    };
    let verdict = setting.note.map_or(verdict.clone(), |note| format!("{verdict}. {note}"));
    let since: Vec<String> = setting.since.iter().map(|(minor, patch)| format!("3.{minor}.{patch}")).collect();
    if since.is_empty() { verdict } else { format!("{verdict} (since {})", since.join(" and ")) }
}
