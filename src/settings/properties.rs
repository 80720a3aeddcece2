//! `java.util.Properties` and what ZooKeeper does with it, for tests: how a server reads zoo.cfg, and rewrites it.

use std::collections::BTreeMap;

/// Reads as `Properties.load(InputStream)` does: Latin-1, escapes, lines that a backslash at the end continues, and three
/// kinds of separators (`=`, `:`, white space).
pub fn load(bytes: &[u8]) -> BTreeMap<String, String> {
    let text: String = bytes.iter().copied().map(char::from).collect();
    let mut lines = text.split(['\n', '\r']).peekable();
    let mut read = BTreeMap::new();
    while let Some(line) = lines.next() {
        let mut line = start(line).to_owned();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        while goes_on(&line) {
            line.pop();
            match lines.next() {
                Some(next) => line.push_str(start(next)),
                None => break,
            }
        }
        let (key, value) = parted(&line);
        read.insert(unescaped(key), unescaped(value));
    }
    read
}

/// Writes as `QuorumPeerConfig.editStaticConfig` does: trimmed, without escaping, in the order of a hash table, in the
/// JVM's encoding. `backwards` gives another such order.
pub fn written_anew(read: &BTreeMap<String, String>, backwards: bool) -> Vec<u8> {
    let erased = ["server.", "group", "weight", "dynamicConfigFile", "peerType", "clientPort"];
    let trimmed = |text: &str| text.trim_matches(|c: char| c <= ' ').to_owned();
    let kept = read.iter().map(|(key, value)| (trimmed(key), trimmed(value)));
    let kept = kept.filter(|(key, _)| !erased.iter().any(|start| key.starts_with(start)));
    let mut lines: Vec<String> = kept.map(|(key, value)| format!("{key}={value}\n")).collect();
    if backwards {
        lines.reverse();
    }
    (lines.concat() + "dynamicConfigFile=/data/conf/zoo.cfg.dynamic.5\n").into_bytes()
}

fn start(line: &str) -> &str {
    line.trim_start_matches([' ', '\t', '\x0c'])
}

fn goes_on(line: &str) -> bool {
    (line.len() - line.trim_end_matches('\\').len()) % 2 == 1
}

fn parted(line: &str) -> (&str, &str) {
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        if !escaped && " \t\x0c=:".contains(c) {
            let rest = start(&line[at..]);
            let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
            return (&line[..at], start(rest));
        }
        escaped = c == '\\' && !escaped;
    }
    (line, "")
}

fn unescaped(text: &str) -> String {
    let (mut plain, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        match (c, (c == '\\').then(|| chars.next()).flatten()) {
            ('\\', Some('t')) => plain.push('\t'),
            ('\\', Some('n')) => plain.push('\n'),
            ('\\', Some('r')) => plain.push('\r'),
            ('\\', Some('f')) => plain.push('\x0c'),
            ('\\', Some('u')) => {
                let code: String = chars.by_ref().take(4).collect();
                plain.extend(u32::from_str_radix(&code, 16).ok().and_then(char::from_u32));
            }
            ('\\', None) => {}
            ('\\', Some(other)) | (other, _) => plain.push(other),
        }
    }
    plain
}
