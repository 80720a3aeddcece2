//! Checks what a line of zoo.cfg may contain. ZooKeeper reads the file as `java.util.Properties`, and at each change of
//! the membership rewrites it as KEY=VALUE without escaping anything (`QuorumPeerConfig.editStaticConfig`). So an
//! escape lasts for one reading; after that, a value that ends in a backslash swallows the next line, whichever that
//! is. Therefore nothing is escaped here, and what would need escaping is refused.

/// Why a key is refused, if it is.
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

/// Why a value is refused, if it is. The spaces around it are already removed.
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
