//! Texts of others on their way into conditions and Events: limited, and the same as long as they mean the same.

/// Longest message of a condition that the API server takes, in bytes.
pub const CONDITION: usize = 32_768;
/// Longest note of an Event, in bytes.
pub const NOTE: usize = 1_024;
/// The longest quotation of somebody else's words, in bytes: enough for every field that Pod Security rejects.
pub const QUOTE: usize = 1_024;
/// How many of many a sentence names.
pub const NAMED: usize = 8;

const CUT: &str = "…";

/// At most so many bytes of a text, cut between two characters.
pub fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes.saturating_sub(CUT.len()));
    format!("{}{CUT}", &text[..end])
}

/// Why an object that is being deleted is still there, if somebody holds it, and what lets it go; kind as kubectl takes it.
pub fn held(finalizers: &[String], namespace: &str, kind: &str, name: &str) -> String {
    if finalizers.is_empty() {
        return String::new();
    }
    format!(
        ", and stays until somebody takes away its finalizers ({}): whoever put them there, or you, with kubectl -n {namespace} patch {kind} {name} --type merge -p '{{\"metadata\":{{\"finalizers\":null}}}}'",
        finalizers.join(", ")
    )
}

/// The text without measured times: `no answer within 1873 ms` would differ on each pass, and each would be written to
/// the status.
pub fn steady(text: &str) -> String {
    let mut steady = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let number = rest[start..].find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len() - start);
        let (before, after) = (&rest[..start], &rest[start + number..]);
        let unit = after.strip_prefix(' ').unwrap_or(after).strip_prefix("ms");
        let alone = !before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_'));
        steady.push_str(before);
        if alone && unit.is_some_and(|next| !next.starts_with(|c: char| c.is_alphanumeric())) {
            steady.push_str(CUT);
        } else {
            steady.push_str(&rest[start..start + number]);
        }
        rest = after;
    }
    steady + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_never_longer_than_allowed() {
        for (text, bytes, expected) in [("short", 5, "short"), ("longer", 5, "lo…"), ("ééé", 5, "é…"), ("ab", 0, "…")]
        {
            assert_eq!(cut(text, bytes), expected);
        }
        let long = "ä€🦀".repeat(10_000);
        assert!((NOTE - 6..=NOTE).contains(&cut(&long, NOTE).len()));
    }

    #[test]
    fn a_measured_time_does_not_make_a_text_another_one() {
        assert_eq!(steady("no answer within 1873 ms"), steady("no answer within 2ms").replace("…ms", "… ms"));
        assert_eq!(steady("after 0.5 ms, 3 of 5 and 4 more"), "after … ms, 3 of 5 and 4 more");
        for same in ["pod zk-2 of 3", "10 msgs", "a-7 ms", "1", "", "in 30 s"] {
            assert_eq!(steady(same), same);
        }
    }
}
