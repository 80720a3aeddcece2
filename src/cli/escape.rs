//! Bytes of anybody's making on one line of text.

/// Appends a message of ours that has names of anybody's making in it.
pub(crate) fn push_message(text: &str, to: &mut Vec<u8>) {
    for character in text.chars() {
        if character.is_control() || is_layout(character) {
            to.extend(character.escape_default().map(|escaped| escaped as u8));
        } else {
            to.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

/// Appends bytes as text: what is printable as it is, the rest as `\n`, `\t`, `\\` or `\x1b`.
pub(crate) fn push_escaped(bytes: &[u8], to: &mut Vec<u8>) {
    if is_plain(bytes) {
        to.extend_from_slice(bytes);
        return;
    }
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => to.extend_from_slice(b"\\\\"),
                character if character.is_control() || is_layout(character) => {
                    to.extend(character.escape_default().map(|escaped| escaped as u8));
                }
                character => to.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        for byte in chunk.invalid() {
            to.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
        }
    }
}

/// Whether all bytes are printable ASCII and no backslash. It looks at every byte, which the compiler turns into few steps.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.chunks(64).all(|chunk| {
        chunk.iter().fold(0, |odd, &byte| odd | u8::from(!(b' '..=b'~').contains(&byte)) | u8::from(byte == b'\\')) == 0
    })
}

/// Characters that turn the direction of the rest of the line, or are not seen.
fn is_layout(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Appends data, of long data its beginning.
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

/// Appends a number in hexadecimal, without zeros before it.
pub(crate) fn push_hex(number: u64, to: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
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
