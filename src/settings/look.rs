//! Finds options of the table, for somebody who knows only a part of the name.

use super::page::row;
use super::table::all;
use super::{PREFIX, Setting};

/// What `menagerie settings NAME…` prints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matches {
    /// Rows of the page, in its order.
    pub rows: String,
    /// For each name that is in no row: a sentence with the nearest name.
    pub missed: Vec<String>,
}

/// The rows of all options whose name contains one of these.
pub fn look(names: &[String]) -> Matches {
    let asked = |setting: &&Setting| names.iter().any(|name| bears(setting, name));
    let rows = all().filter(asked).map(row).collect();
    let missed = names.iter().filter(|name| !all().any(|setting| bears(setting, name)));
    Matches { rows, missed: missed.map(|name| near(name)).collect() }
}

/// Whether an option's name contains this one, in upper or lower case: the user looks for the right spelling.
fn bears(setting: &Setting, name: &str) -> bool {
    let (name, own) = (plain(name), setting.name.to_lowercase());
    // A row such as `authProvider.*` is also about `authProvider.1`.
    own.contains(&name) || own.strip_suffix('*').is_some_and(|start| name.starts_with(start))
}

fn plain(name: &str) -> String {
    let name = name.to_lowercase();
    name.strip_prefix(PREFIX).map_or(name.clone(), str::to_owned)
}

fn near(name: &str) -> String {
    let asked = plain(name);
    let named = all().map(|setting| setting.name.trim_end_matches('*'));
    let nearest = named.map(|name| (distance(&asked, &name.to_lowercase()), name)).min_by_key(|(letters, _)| *letters);
    // With every other letter wrong, the word is no slip: for `foo` the nearest name would be `group`.
    let hint = nearest
        .filter(|(letters, _)| letters * 2 < asked.chars().count())
        .map_or_else(String::new, |(_, name)| format!("; the nearest name is {name}"));
    format!("no option of ZooKeeper 3.8 or 3.9 has {name:?} in its name{hint}")
}

/// How many letters must be inserted, deleted or replaced to turn one word into the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (to, same) in other.iter().map(|&against| against == letter).enumerate() {
            let replaced = diagonal + usize::from(!same);
            diagonal = row[to + 1];
            row[to + 1] = replaced.min(diagonal + 1).min(row[to] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str]) -> (Vec<String>, Vec<String>) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let Matches { rows, missed } = look(&names);
        let name = |row: &str| row.split('`').nth(1).unwrap().to_owned();
        (rows.lines().map(name).collect(), missed)
    }

    #[test]
    fn an_option_is_found_by_its_name_by_a_part_of_it_and_by_its_property() {
        for asked in ["tickTime", "ticktime", "TICKT"] {
            assert_eq!(found(&[asked]), (vec!["tickTime".to_owned()], vec![]), "{asked}");
        }
        assert_eq!(found(&["zookeeper.snapCount"]).0, ["snapCount"]);
        assert_eq!(found(&["SessionTimeout"]).0, ["minSessionTimeout", "maxSessionTimeout"]);
        assert_eq!(found(&["authProvider.1"]).0, ["authProvider.*"]);
    }

    #[test]
    fn several_names_give_each_row_once_in_the_order_of_the_page() {
        assert_eq!(found(&["tickTime", "snapCount", "tick"]).0, ["snapCount", "tickTime"]);
    }

    #[test]
    fn a_name_that_is_in_no_row_is_said_with_the_one_next_to_it() {
        let (rows, missed) = found(&["tickTiem", "snapCount"]);
        assert_eq!(rows, ["snapCount"]);
        assert_eq!(
            missed,
            ["no option of ZooKeeper 3.8 or 3.9 has \"tickTiem\" in its name; the nearest name is tickTime"]
        );
    }

    #[test]
    fn a_word_that_is_like_no_name_is_said_without_one() {
        assert_eq!(found(&["foo"]).1, ["no option of ZooKeeper 3.8 or 3.9 has \"foo\" in its name"]);
        assert!(found(&["weihgt"]).1[0].ends_with("the nearest name is weight"), "{:?}", found(&["weihgt"]).1);
    }

    #[test]
    fn the_distance_of_two_words_is_the_number_of_letters_to_change() {
        for (one, other, letters) in
            [("", "abc", 3), ("abc", "", 3), ("abc", "abc", 0), ("abc", "axc", 1), ("ab", "bab", 1)]
        {
            assert_eq!(distance(one, other), letters, "{one} {other}");
        }
    }
}
