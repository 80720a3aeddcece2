//! What may stand in a line of zoo.cfg. ZooKeeper reads the file as `java.util.Properties`, and at each change of the
//! membership writes it anew as KEY=VALUE without escaping anything (`QuorumPeerConfig.editStaticConfig`): an escape holds
//! for one reading, and then a value that ends in a backslash swallows the next line, whichever that is. So nothing is
//! escaped here; what would need it is refused.

/// What is wrong with a key.
pub fn key_fault(key: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let fault = if key.is_empty() || !key.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        "must begin with a letter or digit"
    } else if key.len() > 128 {
        "is longer than 128 characters"
    } else if !key.chars().all(plain) {
        "may hold only letters, digits, '.', '_' and '-'"
    } else {
        return None;
    };
    Some(fault.to_owned())
}

/// What is wrong with a value that has no space around it.
pub fn value_fault(value: &str) -> Option<String> {
    let fault = if value.is_empty() {
        "has no value: leave the key out"
    } else if value.len() > 1024 {
        "is longer than 1024 characters"
    } else if value.contains('\\') {
        "must not hold a backslash: ZooKeeper writes zoo.cfg anew without escaping, and the next reading would take it for \
         the beginning of an escape, or of a longer line"
    } else if value.contains(['\n', '\r']) {
        "must be one line"
    } else if value.contains(|c: char| c.is_control()) {
        "must not hold control characters: zoo.cfg cannot carry them"
    } else if !value.is_ascii() {
        "must be ASCII: ZooKeeper reads zoo.cfg as Latin-1 and writes it anew in another encoding"
    } else {
        return None;
    };
    Some(fault.to_owned())
}
