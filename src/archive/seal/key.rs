//! A key: 32 random bytes, from which another key is derived for each object.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Its length.
const BYTES: usize = 32;
/// Each object has a salt of its own: two objects never have the same key, and their chunks may be numbered from 0.
pub(super) const SALT: usize = 32;
/// Bytes that only the key, the salt and the name give. AES-GCM alone would let an object be made that two keys open.
pub(super) const COMMITMENT: usize = 32;

/// What keys derived for different purposes differ by.
const FOR_ID: &[u8] = b"menagerie archive: key id";
const FOR_OBJECT: &[u8] = b"menagerie archive: object key";
const FOR_SECRET: &[u8] = b"menagerie: key of a secret";
const FOR_COMMITMENT: &[u8] = b"menagerie archive: commitment";

/// A key that seals and opens.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    bytes: [u8; BYTES],
    id: KeyId,
}

/// What tells one key from another, and nothing of the key itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(pub(super) [u8; KeyId::BYTES]);

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It has another form.
    #[error("is no key: write 64 hexadecimal digits or the Base64 of 32 bytes, as `openssl rand -hex 32` gives them")]
    Form,
    /// It has another length.
    #[error("is no key: it decodes to {0} bytes, and 32 are needed, as `openssl rand -hex 32` gives them")]
    Length(usize),
    /// It was encoded once more: what a Secret shows as YAML is Base64 already.
    #[error(
        "is no key, but the Base64 of one: it was encoded twice. `data` of a Secret is Base64 already, `stringData` and --from-file are not"
    )]
    Twice,
    /// Somebody has written it by hand.
    #[error("is no random key: one byte makes up half of it or more; `openssl rand -hex 32` gives one")]
    NotRandom,
}

/// The keys of one object.
pub(super) struct ObjectKey {
    pub chunks: LessSafeKey,
    pub commitment: [u8; COMMITMENT],
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Key {
    /// Reads a key as people write it.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let bytes = decoded(text).ok_or(KeyError::Form)?;
        let length = bytes.len();
        let bytes: [u8; BYTES] = bytes.try_into().map_err(|bytes: Vec<u8>| {
            let again = String::from_utf8(bytes).ok().and_then(|text| decoded(text.trim()));
            if again.is_some_and(|again| again.len() == BYTES) { KeyError::Twice } else { KeyError::Length(length) }
        })?;
        let mut counts = [0; 256];
        for byte in bytes {
            counts[usize::from(byte)] += 1;
        }
        if counts.iter().any(|count| *count >= BYTES / 2) {
            return Err(KeyError::NotRandom);
        }
        let id = derived(&Salt::new(HKDF_SHA256, FOR_ID).extract(&bytes), &[FOR_ID]);
        id.map(|id| Self { bytes, id: KeyId(id) }).ok_or(KeyError::Form)
    }

    /// The key of all who know a secret text, for a purpose.
    pub fn of_secret(secret: &str, purpose: &str) -> Option<Self> {
        let bytes = derived(&Salt::new(HKDF_SHA256, purpose.as_bytes()).extract(secret.as_bytes()), &[FOR_SECRET])?;
        let id = derived(&Salt::new(HKDF_SHA256, FOR_ID).extract(&bytes), &[FOR_ID]);
        id.map(|id| Self { bytes, id: KeyId(id) })
    }

    /// What the key is called in objects and errors.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The keys of the object whose head begins so, and that has this salt and this name.
    pub(super) fn of_object(&self, begins: &[u8], salt: &[u8; SALT], name: &str) -> Option<ObjectKey> {
        let prk = Salt::new(HKDF_SHA256, salt).extract(&self.bytes);
        let chunks: [u8; BYTES] = derived(&prk, &[FOR_OBJECT, begins, self.id.0.as_slice(), name.as_bytes()])?;
        let commitment = derived(&prk, &[FOR_COMMITMENT, begins, self.id.0.as_slice(), name.as_bytes()])?;
        let key = UnboundKey::new(&AES_256_GCM, &chunks).ok()?;
        Some(ObjectKey { chunks: LessSafeKey::new(key), commitment })
    }
}

/// HKDF-SHA256 gives up to 8,160 bytes: `None` for more.
fn derived<const N: usize>(prk: &Prk, info: &[&[u8]]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    prk.expand(info, Length(N)).and_then(|okm| okm.fill(&mut bytes)).ok()?;
    Some(bytes)
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    of_hex(text).or_else(|| STANDARD.decode(text).ok()).filter(|bytes| !bytes.is_empty())
}

fn of_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect()
}

impl KeyId {
    /// Its length.
    pub const BYTES: usize = 8;
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// Never the key.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    #[test]
    fn a_key_is_read_in_hexadecimal_or_base64_and_shown_in_neither() {
        let key = Key::parse(&format!(" {HEX}\n")).unwrap();
        assert_eq!(Key::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap(), key);
        assert_eq!(Key::parse(&HEX.to_uppercase()).unwrap(), key);
        let shown = format!("{key:?} {} {:?}", key.id(), key.id());
        assert!(!shown.contains("0001020304") && !shown.contains("[0, 1"), "{shown}");
    }

    /// It stands in every object: were it another one with the next version, nobody could tell which key is asked for.
    #[test]
    fn the_id_of_a_key_is_always_the_same() {
        assert_eq!(Key::parse(HEX).unwrap().id().to_string(), "ed0dfc8b6923d4b5");
    }

    #[test]
    fn what_is_no_key_is_refused_with_how_to_make_one() {
        for form in ["", "secret!", "correct horse battery staple 32b", &HEX[1..], &HEX.replace('f', "g")] {
            assert!(matches!(Key::parse(form), Err(KeyError::Form | KeyError::Length(_))), "{form}");
        }
        assert_eq!(Key::parse(&format!("{HEX}00")), Err(KeyError::Length(33)));
        assert_eq!(Key::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"), Err(KeyError::Length(24)), "rand -base64 24");
        for once in [HEX.to_owned(), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n".to_owned()] {
            assert_eq!(Key::parse(&STANDARD.encode(once)), Err(KeyError::Twice));
        }
        for by_hand in ["00".repeat(32), "abababab".repeat(8), "61".repeat(31) + "62"] {
            assert_eq!(Key::parse(&by_hand), Err(KeyError::NotRandom), "{by_hand}");
        }
        assert!(KeyError::Form.to_string().contains("openssl rand -hex 32"));
    }
}
