//! Jute, the encoding of everything that ZooKeeper writes: big-endian numbers, lengths before bytes, no framing.
//!
//! A [`Decoder`] borrows from its input and never allocates, so a wrong length in a file costs no memory. [`Text`] keeps a
//! string as it is on disk.
//!
//! ```
//! use zookeeper_files::jute::Decoder;
//!
//! let mut from = Decoder::new(b"\0\0\0\x02/a\0\0\0\x07");
//! assert_eq!(from.text()?.to_string(), "/a");
//! assert_eq!(from.i32()?, 7);
//! assert!(from.i64().is_err(), "nothing is left");
//! # Ok::<(), zookeeper_files::jute::Malformed>(())
//! ```

use std::borrow::Cow;
use std::fmt;

/// Bytes that are not a value of the expected type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at} of the record")]
pub struct Malformed {
    /// What is wrong there.
    pub what: &'static str,
    /// Where, from the start of what was decoded.
    pub at: usize,
}

const FLAG_CUT: &str = "a flag is cut off";
const NUMBER_CUT: &str = "a number is cut off";
const LENGTH_PAST: &str = "a length reaches past the end";
const COUNT_PAST: &str = "a count reaches past the end";

/// Whether the cause is that the bytes end too early, which Java's readers treat differently.
pub(crate) fn is_cut(what: &str) -> bool {
    [FLAG_CUT, NUMBER_CUT, LENGTH_PAST, COUNT_PAST].contains(&what)
}

/// A string of a file, undecoded.
///
/// Java's servers write characters beyond the basic plane as two surrogates of three bytes each, which is not UTF-8.
/// Printing decodes them, and replaces invalid bytes.
///
/// ```
/// use zookeeper_files::jute::Text;
/// assert_eq!(Text(b"/a").to_string(), "/a");
/// assert_eq!(Text(b"\xed\xa0\xbd\xed\xb8\x80").to_string(), "\u{1f600}");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<'a>(pub &'a [u8]);

impl<'a> Text<'a> {
    /// The string, borrowed if it is valid UTF-8.
    pub fn decode(self) -> Cow<'a, str> {
        match std::str::from_utf8(self.0) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => Cow::Owned(decode_surrogates(self.0)),
        }
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.decode())
    }
}

fn decode_surrogates(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut plain = 0;
    let mut at = 0;
    while at + 6 <= bytes.len() {
        let Some(character) = surrogate_pair(&bytes[at..at + 6]) else {
            at += 1;
            continue;
        };
        text.push_str(&String::from_utf8_lossy(&bytes[plain..at]));
        text.push(character);
        at += 6;
        plain = at;
    }
    text.push_str(&String::from_utf8_lossy(&bytes[plain..]));
    text
}

fn surrogate_pair(bytes: &[u8]) -> Option<char> {
    let &[0xed, high @ 0xa0..=0xaf, high_low, 0xed, low @ 0xb0..=0xbf, low_low] = bytes else { return None };
    let half = |a: u8, b: u8| (u32::from(a & 0x0f) << 6) | u32::from(b & 0x3f);
    char::from_u32(0x1_0000 + (half(high, high_low) << 10) + half(low & 0x0f, low_low))
}

/// Takes values off the front of a slice.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Decoder<'a> {
    /// Decodes `bytes` from their start.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The number of bytes taken.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The remaining bytes.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// The bytes taken since `from`.
    pub(crate) fn since(&self, from: usize) -> &'a [u8] {
        &self.bytes[from..self.at]
    }

    /// An error at the current position.
    pub(crate) fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { what, at: self.at }
    }

    #[inline]
    fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        let Some((taken, _)) = self.bytes[self.at..].split_at_checked(length) else { return Err(self.malformed(what)) };
        self.at += length;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let Some(&taken) = self.bytes[self.at..].first_chunk::<N>() else { return Err(self.malformed(what)) };
        self.at += N;
        Ok(taken)
    }

    /// One byte; any value but 0 is true.
    #[inline]
    pub fn bool(&mut self) -> Result<bool, Malformed> {
        Ok(self.array::<1>(FLAG_CUT)?[0] != 0)
    }

    /// A number of 4 bytes.
    #[inline]
    pub fn i32(&mut self) -> Result<i32, Malformed> {
        Ok(i32::from_be_bytes(self.array(NUMBER_CUT)?))
    }

    /// A number of 8 bytes.
    #[inline]
    pub fn i64(&mut self) -> Result<i64, Malformed> {
        Ok(i64::from_be_bytes(self.array(NUMBER_CUT)?))
    }

    /// Bytes after their length; `None` for null, which is length −1.
    #[inline]
    pub fn buffer(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        match self.i32()? {
            -1 => Ok(None),
            length => match usize::try_from(length) {
                Ok(length) => self.take(length, LENGTH_PAST).map(Some),
                Err(_) => Err(self.malformed("a length is negative")),
            },
        }
    }

    /// A string. Null is malformed: ZooKeeper writes no null where a string is required.
    #[inline]
    pub fn text(&mut self) -> Result<Text<'a>, Malformed> {
        self.buffer()?.map(Text).ok_or_else(|| self.malformed("a string is null"))
    }

    /// The count of a vector; `None` for null. Its elements, of at least `least` bytes each, must fit into the rest.
    #[inline]
    pub fn count(&mut self, least: usize) -> Result<Option<usize>, Malformed> {
        match self.i32()? {
            -1 => Ok(None),
            count => match usize::try_from(count) {
                Ok(count) if count.saturating_mul(least) <= self.bytes.len() - self.at => Ok(Some(count)),
                Ok(_) => Err(self.malformed(COUNT_PAST)),
                Err(_) => Err(self.malformed("a count is negative")),
            },
        }
    }
}

/// Appends values to a vector of bytes.
pub(crate) trait Encode {
    /// One byte.
    fn put_bool(&mut self, value: bool);
    /// 4 bytes.
    fn put_i32(&mut self, value: i32);
    /// 8 bytes.
    fn put_i64(&mut self, value: i64);
    /// The length, then the bytes.
    fn put_buffer(&mut self, value: Option<&[u8]>);
    /// A count or length that came from a slice.
    fn put_count(&mut self, value: usize);
}

impl Encode for Vec<u8> {
    fn put_bool(&mut self, value: bool) {
        self.push(u8::from(value));
    }

    fn put_i32(&mut self, value: i32) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_i64(&mut self, value: i64) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_buffer(&mut self, value: Option<&[u8]>) {
        match value {
            None => self.put_i32(-1),
            Some(bytes) => {
                self.put_count(bytes.len());
                self.extend_from_slice(bytes);
            }
        }
    }

    fn put_count(&mut self, value: usize) {
        // A slice of 2 GiB exceeds every limit of ZooKeeper: readers refuse this length.
        self.put_i32(i32::try_from(value).unwrap_or(i32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_past_the_end_is_malformed_whatever_it_claims() {
        for length in [i32::MIN, -2, 5, i32::MAX] {
            let mut bytes = length.to_be_bytes().to_vec();
            bytes.extend_from_slice(b"four");
            assert!(Decoder::new(&bytes).buffer().is_err(), "{length}");
            assert!(Decoder::new(&bytes).count(4).is_err(), "{length}");
        }
    }

    #[test]
    fn text_that_no_one_can_decode_is_replaced_and_not_lost() {
        assert_eq!(Text(b"/a\xff/b\xed\xa0\xbd\xed\xb8\x80").to_string(), "/a\u{fffd}/b\u{1f600}");
    }
}
