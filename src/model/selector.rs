//! The labels of objects that the operator makes for itself to manage: its selector has to meet them.

use std::collections::BTreeMap;

/// Labels that meet a selector, without a word for what it forbids.
pub fn labels_of(selector: &str) -> BTreeMap<String, String> {
    requirements(selector).into_iter().filter_map(|requirement| label(requirement.trim())).collect()
}

/// The selector's parts: commas in parentheses belong to a list of values.
fn requirements(selector: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let parts = selector.split(move |c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    });
    parts.collect()
}

fn label(requirement: &str) -> Option<(String, String)> {
    let pair = |key: &str, value: &str| Some((key.trim().to_owned(), value.trim().to_owned()));
    if requirement.is_empty() || requirement.starts_with('!') || requirement.contains("!=") {
        return None;
    }
    if let Some((key, value)) = requirement.split_once('=') {
        return pair(key, value.trim_start_matches('='));
    }
    match requirement.split_once(char::is_whitespace) {
        Some((key, rest)) => {
            let values = rest.trim().strip_prefix("in")?.trim().strip_prefix('(')?.strip_suffix(')')?;
            pair(key, values.split(',').next()?)
        }
        None => pair(requirement, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_meet_the_selector_that_they_were_made_for() {
        let labels = |selector: &str| {
            let pairs: Vec<_> = labels_of(selector).into_iter().map(|(key, value)| format!("{key}={value}")).collect();
            pairs.join(",")
        };
        assert_eq!(labels(""), "");
        assert_eq!(labels("team=a,tier!=test"), "team=a");
        assert_eq!(labels("team == a, example.com/own"), "example.com/own=,team=a");
        assert_eq!(labels("!old,tier notin (a,b), team in (b, c)"), "team=b");
    }
}
