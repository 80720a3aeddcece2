//! Writes untrusted bytes as one line of text that is safe for a terminal.

/// Appends a message of our own, in which only names may be untrusted: it keeps backslashes.
pub(crate) fn push_message(text: &str, to: &mut Vec<u8>) {
    for character in text.chars() {
        if character.is_control() || is_layout(character) {
            push_hidden(character, to);
        } else {
            to.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

/// Appends bytes as text: printable characters unchanged, others as `\n`, `\t`, `\\` or `\u{1b}`, and bytes that are
/// not UTF-8 as `\xff`.
pub(crate) fn push_escaped(bytes: &[u8], to: &mut Vec<u8>) {
    if is_plain(bytes) {
        to.extend_from_slice(bytes);
        return;
    }
    for chunk in bytes.utf8_chunks() {
        push_text(chunk.valid(), to);
        for &byte in chunk.invalid() {
            push_byte(byte, to);
        }
    }
}

/// Copies each run of printable characters at once: one character at a time took twenty times as long for binary data.
fn push_text(text: &str, to: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let (mut at, mut printed) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        if is_printable(byte) {
            at += 1;
            continue;
        }
        let Some(character) = text[at..].chars().next() else { break };
        let next = at + character.len_utf8();
        if character == '\\' || character.is_control() || is_layout(character) {
            to.extend_from_slice(&bytes[printed..at]);
            push_hidden(character, to);
            printed = next;
        }
        at = next;
    }
    to.extend_from_slice(&bytes[printed..]);
}

/// Appends the escape of a character, like `char::escape_default`.
fn push_hidden(character: char, to: &mut Vec<u8>) {
    match character {
        '\n' => to.extend_from_slice(b"\\n"),
        '\r' => to.extend_from_slice(b"\\r"),
        '\t' => to.extend_from_slice(b"\\t"),
        '\\' => to.extend_from_slice(b"\\\\"),
        other => {
            to.extend_from_slice(b"\\u{");
            push_hex(u32::from(other).into(), to);
            to.push(b'}');
        }
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

fn push_byte(byte: u8, to: &mut Vec<u8>) {
    to.extend_from_slice(&[b'\\', b'x', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}

fn is_printable(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte) && byte != b'\\'
}

/// Whether all bytes are printable ASCII and no backslash. It looks at every byte of a chunk, so that the compiler can
/// vectorize the loop.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.chunks(64).all(|chunk| {
        chunk.iter().fold(0, |odd, &byte| odd | u8::from(!(b' '..=b'~').contains(&byte)) | u8::from(byte == b'\\')) == 0
    })
}

/// Characters that change the direction of the rest of the line, or are invisible.
fn is_layout(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Appends data in quotes, shortened to its first `limit` bytes.
pub(crate) fn push_data(data: Option<&[u8]>, limit: usize, to: &mut Vec<u8>) {
    let Some(data) = data else { return to.extend_from_slice(b"null") };
    to.push(b'"');
    if data.len() <= limit {
        push_escaped(data, to);
        to.push(b'"');
    } else {
        push_escaped(&data[..limit], to);
        to.extend_from_slice(format!("\"… {} bytes", data.len()).as_bytes());
    }
}

/// Appends a zxid or a session as `{:#}` would, which is too slow for a log of a million lines.
pub(crate) fn push_0x(number: u64, to: &mut Vec<u8>) {
    to.extend_from_slice(b"0x");
    push_hex(number, to);
}

/// Appends a number in hexadecimal, without leading zeros.
fn push_hex(number: u64, to: &mut Vec<u8>) {
    let mut text = [0; 16];
    let mut at = text.len();
    let mut rest = number;
    loop {
        at -= 1;
        text[at] = DIGITS[(rest & 15) as usize];
        rest >>= 4;
        if rest == 0 {
            break;
        }
    }
    to.extend_from_slice(&text[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_never_told_to_do_something() {
        let shown = |bytes: &[u8]| {
            let mut text = Vec::new();
            push_escaped(bytes, &mut text);
            String::from_utf8(text).unwrap()
        };
        assert_eq!(shown(b"plain {\"a\": 1}"), "plain {\"a\": 1}");
        assert_eq!(shown(b"a\nb\\\x1b[31m\xff"), "a\\nb\\\\\\u{1b}[31m\\xff");
        assert_eq!(shown("grün \u{202e}".as_bytes()), "grün \\u{202e}");
    }

    #[test]
    fn hexadecimal_is_as_the_library_has_it() {
        for number in [0, 1, 0xf, 0x10, u64::MAX, 0x1_0000_0001] {
            let mut text = Vec::new();
            push_hex(number, &mut text);
            assert_eq!(String::from_utf8(text).unwrap(), format!("{number:x}"));
        }
    }
}
