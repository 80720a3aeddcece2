//! Finds the end of a record in bytes that may be damaged.

use crate::log::record::FRAME_HEAD;

/// The byte after each record.
pub(crate) const END_MARK: u8 = b'B';

/// What some bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    /// A frame of this length, with its end mark.
    Whole(usize),
    /// A length of 0: the zeros that servers allocate ahead.
    Empty,
    /// Too few bytes: this many are needed.
    Short(usize),
    /// A length that is negative or beyond the limit.
    Length(i32),
    /// A frame of this length that ends with this byte.
    EndMark(usize, u8),
}

#[inline]
pub(crate) fn front(bytes: &[u8], limit: usize) -> Front {
    let Some(head) = bytes.first_chunk::<FRAME_HEAD>() else { return Front::Short(FRAME_HEAD) };
    let length = i32::from_be_bytes([head[8], head[9], head[10], head[11]]);
    let whole = match usize::try_from(length) {
        Ok(0) => return Front::Empty,
        Ok(length) if length <= limit => FRAME_HEAD + length + 1,
        _ => return Front::Length(length),
    };
    match bytes.get(whole - 1) {
        None => Front::Short(whole),
        Some(&END_MARK) => Front::Whole(whole),
        Some(&other) => Front::EndMark(whole, other),
    }
}

/// The stored checksum of a frame, and the checksum of its body.
#[inline]
pub(crate) fn checksums(frame: &[u8]) -> (u64, u32) {
    let stored = frame.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    (stored, simd_adler32::adler32(&body(frame)))
}

/// The body of a whole frame.
#[inline]
pub(crate) fn body(frame: &[u8]) -> &[u8] {
    frame.get(FRAME_HEAD..frame.len() - 1).unwrap_or_default()
}
