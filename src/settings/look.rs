//! Single options of the table, for somebody who half knows a name.

use super::page::row;
use super::table::all;
use super::{PREFIX, Setting};

/// What `menagerie settings NAME…` prints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Rows of the page, in its order.
    pub rows: String,
    /// About each name that is in no row: a sentence with the one that is next to it.
    pub missed: Vec<String>,
}

/// The rows of options that bear one of these names, or of whose name they are a part.
pub fn look(names: &[String]) -> Found {
    let asked = |setting: &&Setting| names.iter().any(|name| bears(setting, name));
    let rows = all().filter(asked).map(row).collect();
    let missed = names.iter().filter(|name| !all().any(|setting| bears(setting, name)));
    Found { rows, missed: missed.map(|name| near(name)).collect() }
}

/// In capitals or small letters: who asks looks for the right spelling.
fn bears(setting: &Setting, name: &str) -> bool {
    let (name, own) = (plain(name), setting.name.to_lowercase());
    // A row about all options that begin alike is about each of them.
    own.contains(&name) || own.strip_suffix('*').is_some_and(|start| name.starts_with(start))
}

fn plain(name: &str) -> String {
    let name = name.to_lowercase();
    name.strip_prefix(PREFIX).map_or(name.clone(), str::to_owned)
}

fn near(name: &str) -> String {
    let asked = plain(name);
    let nearest = all().min_by_key(|setting| distance(&asked, &setting.name.to_lowercase()));
    let hint = nearest.map_or_else(String::new, |setting| format!("; the nearest name is {}", setting.name));
    format!("no option of ZooKeeper 3.8 or 3.9 has {name:?} in its name{hint}")
}

/// How many letters have to be put in, taken out or replaced to make one word of the other.
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
        let Found { rows, missed } = look(&names);
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
    fn the_distance_of_two_words_is_the_number_of_letters_to_change() {
        for (one, other, letters) in
            [("", "abc", 3), ("abc", "", 3), ("abc", "abc", 0), ("abc", "axc", 1), ("ab", "bab", 1)]
        {
            assert_eq!(distance(one, other), letters, "{one} {other}");
        }
    }
}
