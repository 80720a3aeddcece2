//! Search terms, as numbers.
//!
//! The index does not store paths: a hash of 40 bits leads to the entry, the entry to the log, and the log shows whether it is
//! the right path. A hash collision costs one read.

use crate::index::entry_kind::EntryKind;
use crate::log::SessionId;

/// A search term: a path, everything below a path, a session, a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Term(u64);

const PATH: u64 = 0x9e37_79b9_7f4a_7c15;
const BELOW: u64 = 0xc2b2_ae3d_27d4_eb4f;
const SESSION: u64 = 0x1656_67b1_9e37_79f9;
const LIFE: u64 = 0xd6e8_feb8_6659_fd93;
const KIND: u64 = 0x27d4_eb2f_1656_67c5;
const MULTI: u64 = 0x85eb_ca77_c2b2_ae63;

impl Term {
    /// How many bits a term has.
    pub(crate) const BITS: u32 = 40;

    /// A stored term.
    pub(crate) fn stored(value: u64) -> Self {
        Self(value)
    }

    pub(crate) fn value(self) -> u64 {
        self.0
    }

    /// This path.
    pub(crate) fn path(path: &str) -> Self {
        Self::of(PATH, path.bytes().fold(SEED, step))
    }

    /// Everything below this path, without the path itself.
    pub(crate) fn below(path: &str) -> Self {
        Self::of(BELOW, path.bytes().fold(SEED, step))
    }

    pub(crate) fn session(session: SessionId) -> Self {
        Self::of(SESSION, session.0.cast_unsigned())
    }

    /// The beginning and the end of a session, without what is between.
    pub(crate) fn life(session: SessionId) -> Self {
        Self::of(LIFE, session.0.cast_unsigned())
    }

    pub(crate) fn kind(kind: EntryKind) -> Self {
        Self::of(KIND, kind as u64)
    }

    /// Any part of a multi.
    pub(crate) fn multi() -> Self {
        Self::of(MULTI, 0)
    }

    /// Calls `each` with a path's own term and with that of each folder above it but the root, below which is everything.
    #[inline]
    pub(crate) fn each_of_path(path: &str, mut each: impl FnMut(Self)) {
        let mut hash = SEED;
        for (at, byte) in path.bytes().enumerate() {
            if byte == b'/' && at > 0 {
                each(Self::of(BELOW, hash));
            }
            hash = step(hash, byte);
        }
        each(Self::of(PATH, hash));
    }

    #[inline]
    fn of(space: u64, value: u64) -> Self {
        let mut mixed = value ^ space;
        mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        Self((mixed ^ (mixed >> 33)) >> (64 - Self::BITS))
    }
}

// FNV-1a: the hash of a path passes through the hashes of all folders above it.
const SEED: u64 = 0xcbf2_9ce4_8422_2325;

#[inline]
fn step(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_its_own_term_and_those_of_the_folders_above_it() {
        let mut terms = Vec::new();
        Term::each_of_path("/a/b/c", |term| terms.push(term));
        assert_eq!(terms, [Term::below("/a"), Term::below("/a/b"), Term::path("/a/b/c")]);
        assert!(terms.iter().all(|term| term.value() < 1 << Term::BITS));
    }
}
