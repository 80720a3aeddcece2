//! The table as a page.

use std::fmt::Write as _;

use super::table::PARTS;
use super::{Reach, Rule, Setting, Takes, Values};

const HEAD: &str = "# Settings

<!-- Written by `menagerie settings`; `dev/generate` keeps it so. Change src/settings/table. -->

Every option of ZooKeeper 3.8 and 3.9, and what becomes of it:

- **owned**: the operator's value is written, always and last. ZooKeeper takes zoo.cfg over every `-D`, so it wins over flags and
  environment as well; what would cost data says a flag too, after all others. Who asks for the same value is not refused.
- **followed**: your value is passed on. Write it in `config` under the name in the first column; an option that is no key of
  zoo.cfg becomes a flag of the JVM by itself.
- **followed, with a warning**: the condition `Warning` says why it is unwise.
- **refused**: it may not be set, in `config` or as `-D` in `jvm.flags`; the sentence says why, and what to do instead.

What is not in the table is passed on, and the condition `Warning` names it. ZooKeeper tells small letters from capitals, and would
not read a name of the table in other letters: that is refused, with the right one. Words such as `gz` it reads in either.
All that is refused is named at once.

A value is checked to be what ZooKeeper can read, and a port to be free. A key of `config` has no `zookeeper.` before it:
ZooKeeper adds that by itself. A key holds letters, digits, `.`, `_` and `-`; a value is one line of ASCII without a backslash. ZooKeeper
writes zoo.cfg anew at each change of the membership, without escaping: a value that ends in a backslash would swallow the line
after it. Spaces around a value are dropped.
";

/// `docs/settings.md`.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for (heading, settings) in PARTS {
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
        Rule::Owned { value: Some(value), twice: false, why } => format!("**owned** `{value}`: {why}"),
        Rule::Owned { value: Some(value), twice: true, why } => format!("**owned** `{value}`, as a flag too: {why}"),
        Rule::Owned { value: None, why, .. } => format!("**owned**, the agent writes it: {why}"),
        Rule::AtLeast(least) => format!("followed: `{least}` and the words that you add, or `*`"),
        Rule::Followed => "followed".to_owned(),
        Rule::Unwise { values: Values::Every, why } => format!("followed, with a warning: {why}"),
        Rule::Unwise { values: Values::But(value), why } => {
            format!("followed; other than `{value}` with a warning: {why}")
        }
        Rule::Unwise { values: Values::Below(least), why } => format!("followed; below {least} with a warning: {why}"),
        Rule::Refused(why) => format!("**refused**: {why}"),
    };
    let since: Vec<String> = setting.since.iter().map(|(minor, patch)| format!("3.{minor}.{patch}")).collect();
    if since.is_empty() { verdict } else { format!("{verdict} (since {})", since.join(" and ")) }
}
