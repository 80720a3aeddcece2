//! Finds names that differ from one in the table only in upper and lower case. To ZooKeeper and Java these are
//! different names: nobody reads the property `ticktime`, and whoever wrote it believes that it is set.

use super::table::all;
use super::{PREFIX, Reach};

/// The name in the table that differs from this key of `config` only in upper and lower case.
pub fn of_key(key: &str) -> Option<String> {
    right(key, &all().map(|setting| setting.name.to_owned()).collect::<Vec<_>>())
}

/// The same for a property, with its full name.
pub fn of_property(property: &str) -> Option<String> {
    let whole = all().map(|setting| match setting.reach {
        Reach::Property => setting.name.to_owned(),
        Reach::Key | Reach::Both => format!("{PREFIX}{}", setting.name),
    });
    right(property, &whole.collect::<Vec<_>>())
}

/// Tries rows about a single option before rows that end in `*`. Otherwise `metricsProvider.*` would accept
/// `metricsProvider.classname`, which ZooKeeper passes to a provider, and which never chooses one.
fn right(name: &str, rows: &[String]) -> Option<String> {
    let (alike, single): (Vec<&str>, Vec<&str>) = rows.iter().map(String::as_str).partition(|row| row.ends_with('*'));
    if single.contains(&name) {
        return None;
    }
    if let Some(row) = single.iter().find(|row| row.eq_ignore_ascii_case(name)) {
        return Some((*row).to_owned());
    }
    let starts: Vec<&str> = alike.iter().map(|row| row.trim_end_matches('*')).collect();
    if starts.iter().any(|start| name.starts_with(start)) {
        return None;
    }
    let begins = |start: &&&str| name.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start));
    let start = starts.iter().filter(begins).max_by_key(|start| start.len())?;
    Some(format!("{start}{}", &name[start.len()..]))
}

/// The message about a name in the wrong case. If the right name may not be set either, it says why.
pub fn wrong_case(right: &str, its_fault: Option<String>) -> String {
    let instead = its_fault.map_or_else(|| format!("write {right}"), |fault| format!("{right} {fault}"));
    format!("is not read, since ZooKeeper tells small letters from capitals: {instead}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_other_letters_is_led_back_to_its_row() {
        for (wrong, right) in [
            ("ticktime", Some("tickTime")),
            ("SNAPCOUNT", Some("snapCount")),
            ("jute.maxBuffer", Some("jute.maxbuffer")),
            ("metricsProvider.classname", Some("metricsProvider.className")),
            ("authprovider.Mine", Some("authProvider.Mine")),
            ("clientport", Some("clientPort")),
            ("tickTime", None),
            ("metricsProvider.mine", None),
            ("datum", None),
            ("é", None),
        ] {
            assert_eq!(of_key(wrong).as_deref(), right, "{wrong}");
        }
    }

    #[test]
    fn a_property_in_other_letters_is_led_back_to_its_row_by_its_whole_name() {
        for (wrong, right) in [
            ("zookeeper.snapcount", Some("zookeeper.snapCount")),
            ("ZooKeeper.snapCount", Some("zookeeper.snapCount")),
            ("Jute.maxbuffer", Some("jute.maxbuffer")),
            ("zookeeper.snapCount", None),
            ("snapcount", None),
            ("user.timezone", None),
        ] {
            assert_eq!(of_property(wrong).as_deref(), right, "{wrong}");
        }
    }

    #[test]
    fn no_two_options_differ_in_capitals_alone() {
        for setting in all() {
            assert_eq!(
                all().filter(|other| other.name.eq_ignore_ascii_case(setting.name)).count(),
                1,
                "{}",
                setting.name
            );
            assert_eq!(of_key(setting.name), None, "{}", setting.name);
        }
    }
}
