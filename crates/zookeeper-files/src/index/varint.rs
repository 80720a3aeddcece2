//! Variable-length numbers: seven bits per byte, lowest first.

/// Appends a number.
#[inline]
pub(crate) fn put(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    to.push(value.to_le_bytes()[0]);
}

/// Appends a number that can be negative: small ones stay short on both sides of 0.
pub(crate) fn put_signed(to: &mut Vec<u8>, value: i64) {
    put(to, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Takes a number off the front; `None` if it is cut off or too long.
#[inline]
pub(crate) fn take(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for (at, &byte) in from.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            *from = &from[at + 1..];
            return Some(value);
        }
    }
    None
}

/// Takes a number written by [`put_signed`].
pub(crate) fn take_signed(from: &mut &[u8]) -> Option<i64> {
    let value = take(from)?;
    Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_taken_and_what_is_cut_off_is_not() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            put(&mut bytes, value);
            put_signed(&mut bytes, value.cast_signed());
            let mut rest = &bytes[..];
            assert_eq!((take(&mut rest), take_signed(&mut rest)), (Some(value), Some(value.cast_signed())));
            assert!(rest.is_empty());
            let mut cut = &bytes[..bytes.len() - 1];
            assert!(take(&mut cut).is_some() && take_signed(&mut cut).is_none(), "{value}");
        }
        assert_eq!(take(&mut &[0x80_u8; 11][..]), None);
    }
}
