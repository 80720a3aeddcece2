//! Limits the texts of others where they are decoded: an agent's texts end up in conditions, Events and log lines of
//! the operator, which manages everybody's ensembles.
//!
//! Invariant: a text for people is cut, and has no control characters; a text for a parser is whole or refused.

use serde::de::{Deserializer, Error};
use serde::{Deserialize, de};

/// The longest text in a condition, in bytes. Our own longest is a URL and an error.
pub const WORDS: usize = 300;

/// 255 servers with names of 180 bytes: more would not fit into the 64 KiB of an answer either.
pub const MEMBERSHIP: usize = 56 << 10;

/// A server id is a byte.
pub const SERVERS: usize = 255;

/// At most [`WORDS`] bytes of it, on one line.
pub fn words(text: &str) -> String {
    let mut end = text.len().min(WORDS);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut cut: String = text[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if end < text.len() {
        cut.push('…');
    }
    cut
}

/// For a field that people read.
pub fn text<'de, D: Deserializer<'de>>(decoder: D) -> Result<String, D::Error> {
    Ok(words(&String::deserialize(decoder)?))
}

/// For such a field that may be missing.
pub fn optional<'de, D: Deserializer<'de>>(decoder: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(decoder)?.as_deref().map(words))
}

/// For the text of a membership: half of one would be another membership.
pub fn membership<'de, D: Deserializer<'de>>(decoder: D) -> Result<String, D::Error> {
    let text = String::deserialize(decoder)?;
    if text.len() > MEMBERSHIP {
        return Err(D::Error::custom(format!("a membership of {} bytes", text.len())));
    }
    let servers = text.lines().filter(|line| line.trim_start().starts_with("server.")).count();
    if servers > SERVERS {
        return Err(D::Error::custom(format!("a membership of {servers} servers")));
    }
    Ok(text)
}

/// For such a text that may be missing.
pub fn optional_membership<'de, D: Deserializer<'de>>(decoder: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    struct Text(#[serde(deserialize_with = "membership")] String);
    Ok(Option::<Text>::deserialize(decoder)?.map(|Text(text)| text))
}

/// For a count, however it is written: with the Prometheus provider `monitor` has `2.0` where it has `2` by default.
/// Anything but a whole number is unknown.
pub fn count<'de, D: Deserializer<'de>>(decoder: D) -> Result<Option<u32>, D::Error> {
    struct Count;
    impl de::Visitor<'_> for Count {
        type Value = Option<u32>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a count")
        }

        fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
            Ok(u32::try_from(number).ok())
        }

        fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
            Ok(u32::try_from(number).ok())
        }

        fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
            let whole = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Ok(whole.then_some(number as u32))
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(text.trim().parse().ok())
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }
    decoder.deserialize_any(Count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_at_a_character_and_stay_on_one_line() {
        assert_eq!(words("it elects\n\u{1b}[31m"), "it elects  [31m");
        let long = words(&"ü".repeat(1000));
        assert_eq!((long.chars().count(), long.ends_with('…')), (WORDS / 2 + 1, true));
        assert_eq!(words(""), "");
    }

    #[test]
    fn a_count_is_a_count_however_it_is_written() {
        #[derive(Deserialize)]
        struct Counted {
            #[serde(default, deserialize_with = "count")]
            n: Option<u32>,
        }
        for (json, want) in [
            (r#"{"n":2}"#, Some(2)),
            (r#"{"n":2.0}"#, Some(2)),
            (r#"{"n":"2"}"#, Some(2)),
            (r#"{"n":0.0}"#, Some(0)),
            (r#"{"n":2.5}"#, None),
            (r#"{"n":-1}"#, None),
            (r#"{"n":1e300}"#, None),
            (r#"{"n":"NaN"}"#, None),
            (r#"{"n":null}"#, None),
            ("{}", None),
        ] {
            assert_eq!(serde_json::from_str::<Counted>(json).unwrap().n, want, "{json}");
        }
    }
}
