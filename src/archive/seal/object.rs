//! What a sealed object looks like.
//!
//! A head of 80 bytes: [`MAGIC`] with the version, the key's id, a salt, and a commitment to key, salt and name. Then chunks of 32 KiB,
//! each encrypted by AES-256-GCM and followed by its tag of 16 bytes. A chunk's nonce is its number and whether it is the last one (the
//! STREAM construction), so that chunks cannot be left out, moved, or cut off. The first bytes are read without the rest: heads of
//! segments are, by the thousand.

use std::fmt;

use aws_lc_rs::aead::{Aad, NONCE_LEN, Nonce};
use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::key::{COMMITMENT, KeyId, ObjectKey, SALT};
use super::keys::Keys;

/// What a sealed object begins with. The last byte is the version.
const MAGIC: [u8; 8] = *b"MNGRSEA\x01";
const HEAD: usize = MAGIC.len() + KeyId::BYTES + SALT + COMMITMENT;
/// The head of a segment fits into one.
const CHUNK: usize = 32 << 10;
const TAG: usize = 16;

/// Why something is not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// It is not sealed.
    Plain,
    /// It is sealed, by a later version of this format.
    Later(u8),
    /// With a key that is not there.
    NoKey(KeyId),
    /// It was not sealed under this name, or its head is not as it was.
    OtherName,
    /// A chunk of it is not as it was, or some of it is missing.
    Damaged,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("it is not encrypted, and what is stored here has to be"),
            Self::Later(version) => {
                write!(f, "it is encrypted in format {version}, which this version of menagerie does not know")
            }
            Self::NoKey(id) => write!(f, "it is encrypted with the key {id}"),
            Self::OtherName => f.write_str("it was not encrypted under this name: somebody has moved or changed it"),
            Self::Damaged => {
                f.write_str("it is not as it was encrypted: somebody has changed it, or a part of it is missing")
            }
        }
    }
}

/// An object, or the first bytes of one.
#[derive(Clone, Copy, Debug)]
pub struct Sealed<'a> {
    /// What was read.
    pub bytes: &'a [u8],
    /// How long the whole object is, as the store says.
    pub length: u64,
}

/// The length of an object with so many bytes, once it is sealed.
pub fn sealed_length(plain: u64) -> u64 {
    let chunks = plain.div_ceil(CHUNK as u64).max(1);
    HEAD as u64 + plain + chunks * TAG as u64
}

/// How many bytes an object has that is so long when it is sealed. What no sealed object can have is none of ours: it is taken as it is.
pub fn plain_length(sealed: u64) -> u64 {
    let Some(body) = sealed.checked_sub((HEAD + TAG) as u64) else { return sealed };
    let chunks = body / (CHUNK + TAG) as u64;
    body - chunks * TAG as u64
}

/// So much of a sealed object has its first bytes.
pub fn front(plain: usize) -> usize {
    HEAD + plain.div_ceil(CHUNK).max(1) * (CHUNK + TAG)
}

fn nonce(chunk: usize, last: bool) -> Option<Nonce> {
    let mut bytes = [0; NONCE_LEN];
    bytes[NONCE_LEN - 5..NONCE_LEN - 1].copy_from_slice(&u32::try_from(chunk).ok()?.to_be_bytes());
    bytes[NONCE_LEN - 1] = u8::from(last);
    Some(Nonce::assume_unique_for_key(bytes))
}

/// Seals an object with the key that seals and a salt that no other object has.
pub(super) fn seal(keys: &Keys, salt: &[u8; SALT], name: &str, plain: &[u8]) -> Option<Vec<u8>> {
    let key = keys.seals()?;
    let ObjectKey { chunks, commitment } = key.of_object(&MAGIC, salt, name)?;
    let count = plain.len().div_ceil(CHUNK).max(1);
    let mut sealed = Vec::with_capacity(HEAD + plain.len() + count * TAG);
    sealed.extend_from_slice(&MAGIC);
    sealed.extend_from_slice(&key.id().0);
    sealed.extend_from_slice(salt);
    sealed.extend_from_slice(&commitment);
    for number in 0..count {
        let chunk = &plain[number * CHUNK..plain.len().min((number + 1) * CHUNK)];
        let start = sealed.len();
        sealed.extend_from_slice(chunk);
        let nonce = nonce(number, number + 1 == count)?;
        let tag = chunks.seal_in_place_separate_tag(nonce, Aad::empty(), &mut sealed[start..]).ok()?;
        sealed.extend_from_slice(tag.as_ref());
    }
    Some(sealed)
}

impl Sealed<'_> {
    /// Whether it is sealed at all, and with which key.
    pub fn key(&self) -> Option<Result<KeyId, OpenError>> {
        let rest = self.bytes.strip_prefix(&MAGIC[..MAGIC.len() - 1])?;
        let (&version, rest) = rest.split_first()?;
        if version != MAGIC[MAGIC.len() - 1] {
            return Some(Err(OpenError::Later(version)));
        }
        Some(rest.first_chunk().map(|id| KeyId(*id)).ok_or(OpenError::Damaged))
    }

    /// Opens it under the name by which it was asked for.
    pub(super) fn open(&self, keys: &Keys, name: &str) -> Result<Vec<u8>, OpenError> {
        let id = self.key().ok_or(OpenError::Plain)??;
        let key = keys.opens(id).ok_or(OpenError::NoKey(id))?;
        let rest = self.bytes.get(MAGIC.len() + KeyId::BYTES..).unwrap_or_default();
        let (salt, rest) = rest.split_first_chunk().ok_or(OpenError::Damaged)?;
        let (commitment, mut rest) = rest.split_first_chunk::<COMMITMENT>().ok_or(OpenError::Damaged)?;
        let derived = key.of_object(&MAGIC, salt, name).ok_or(OpenError::Damaged)?;
        if verify_slices_are_equal(&derived.commitment, commitment).is_err() {
            return Err(OpenError::OtherName);
        }
        let whole = self.bytes.len() as u64 >= self.length;
        let mut plain = Vec::with_capacity(rest.len());
        for number in 0.. {
            // Where it ends with a whole chunk, that is the last one. What was cut where no chunk ends is of no use.
            let (chunk, after) = match rest.split_at_checked(CHUNK + TAG) {
                Some(parts) => parts,
                None if whole => (rest, &[][..]),
                None => break,
            };
            rest = after;
            let last = whole && rest.is_empty();
            let start = plain.len();
            plain.extend_from_slice(chunk);
            let nonce = nonce(number, last).ok_or(OpenError::Damaged)?;
            let opened = derived.chunks.open_in_place(nonce, Aad::empty(), &mut plain[start..]);
            let length = opened.map_err(|_| OpenError::Damaged)?.len();
            plain.truncate(start + length);
            if last {
                break;
            }
        }
        Ok(plain)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};
    use sha2::{Digest as _, Sha256};

    use super::super::key::Key;
    use super::*;

    const SALTED: [u8; SALT] = [7; SALT];

    fn keys(first: u8) -> Keys {
        let bytes: Vec<u8> = (0..32).map(|n| first ^ n).collect();
        Keys::one("k", Key::parse(&STANDARD.encode(bytes)).unwrap())
    }

    fn numbered(length: usize) -> Vec<u8> {
        (0..=250).cycle().take(length).collect()
    }

    fn whole(bytes: &[u8]) -> Sealed<'_> {
        Sealed { bytes, length: bytes.len() as u64 }
    }

    fn opened(bytes: &[u8]) -> Result<Vec<u8>, OpenError> {
        whole(bytes).open(&keys(0), "a/log")
    }

    fn sealed(plain: &[u8]) -> Vec<u8> {
        seal(&keys(0), &SALTED, "a/log", plain).unwrap()
    }

    #[test]
    fn what_is_sealed_is_opened_again_and_its_length_is_known_without_it() {
        for length in [0, 1, 500, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 17] {
            let plain: Vec<u8> = numbered(length);
            let object = sealed(&plain);
            assert_eq!(opened(&object).unwrap(), plain, "{length}");
            let lengths = (sealed_length(length as u64), plain_length(object.len() as u64));
            assert_eq!(lengths, (object.len() as u64, length as u64));
            assert!(length < 16 || !object.windows(16).any(|window| window == &plain[..16]), "it is readable");
        }
    }

    /// What is stored today has to be opened by every later version.
    #[test]
    fn the_format_is_always_the_same() {
        let object = sealed(b"a transaction");
        let digest = STANDARD.encode(Sha256::digest(&object));
        assert_eq!(digest, "a0jVDZ5TCOvXe1VeBEmK8AVExpAZ64+eFgUfkIiDjmw=");
    }

    proptest! {
        #[test]
        fn the_first_bytes_are_opened_without_the_rest(length in 0..4 * CHUNK, first in 0..4 * CHUNK) {
            let plain: Vec<u8> = numbered(length);
            let object = sealed(&plain);
            let got = &object[..object.len().min(front(first))];
            let mut opened = Sealed { bytes: got, length: object.len() as u64 }.open(&keys(0), "a/log").unwrap();
            opened.truncate(first);
            prop_assert_eq!(opened, &plain[..first.min(length)]);
        }

        #[test]
        fn whatever_is_changed_or_cut_is_refused(
            length in 0..3 * CHUNK, place in any::<prop::sample::Index>(), bit in 0..8_u32, cut in any::<prop::sample::Index>()
        ) {
            let object = sealed(&vec![3; length]);
            let mut changed = object.clone();
            changed[place.index(object.len())] ^= 1 << bit;
            prop_assert_eq!(opened(&changed).is_err(), true);
            prop_assert_eq!(opened(&object[..cut.index(object.len())]).is_err(), true);
            let mut longer = object;
            longer.extend_from_slice(&vec![0; cut.index(2 * CHUNK) + 1]);
            prop_assert_eq!(opened(&longer).is_err(), true);
        }
    }

    #[test]
    fn chunks_do_not_change_places_and_none_is_left_out() {
        let object = sealed(&vec![1; 3 * CHUNK]);
        let chunk = |number: usize| &object[HEAD + number * (CHUNK + TAG)..][..CHUNK + TAG];
        for order in [&[1, 0, 2][..], &[0, 1], &[0, 2], &[0, 1, 2, 2]] {
            let other: Vec<u8> = order.iter().fold(object[..HEAD].to_vec(), |all, &n| [&all, chunk(n)].concat());
            assert_eq!(opened(&other), Err(OpenError::Damaged), "{order:?}");
        }
    }

    #[test]
    fn what_was_sealed_under_another_name_or_with_another_key_is_not_opened_and_it_is_said_which() {
        let object = sealed(b"a transaction");
        assert_eq!(whole(&object).open(&keys(0), "b/log"), Err(OpenError::OtherName));
        let id = keys(0).seals().unwrap().id();
        assert_eq!(whole(&object).open(&keys(1), "a/log"), Err(OpenError::NoKey(id)));
        assert_eq!(whole(b"{}").open(&keys(0), "a/log"), Err(OpenError::Plain));
        assert_eq!(opened(b"MNGRSEA\x02later"), Err(OpenError::Later(2)));
        assert_eq!(opened(&MAGIC), Err(OpenError::Damaged));
    }
}
