//! Commands that people paste into a shell.

/// An argument as a shell takes it: in quotes where it needs them.
pub(super) fn word(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:@%+=,".contains(letter);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_read_otherwise_is_quoted() {
        for plain in ["prod", "s3://b/zk", "arn:aws:eks:eu-1:1:cluster/a", "admin@prod"] {
            assert_eq!(word(plain), plain);
        }
        for (text, quoted) in
            [("", "''"), ("a b", "'a b'"), ("a;b", "'a;b'"), ("$(b)", "'$(b)'"), ("it's", r"'it'\''s'")]
        {
            assert_eq!(word(text), quoted);
        }
    }
}
