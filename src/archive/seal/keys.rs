//! The keys that somebody has: all of them open, one of them seals.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use bytes::Bytes;

use super::key::{Key, KeyError, KeyId};
use super::object::{self, OpenError, Sealed};

/// More than anybody rotates through.
const MOST: usize = 64;
/// A key has 64 digits; a file may have a comment.
const LONGEST: u64 = 64 << 10;

/// Keys, each with the name that people gave it.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// Where they are from, in words.
    whose: String,
    named: Vec<(String, Key)>,
    /// What else is there, and why it is no key.
    unusable: Vec<String>,
    /// Which of them seals, or why none does. Who only reads needs none.
    seals: Result<usize, String>,
}

/// Why keys are not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// There is none.
    #[error("{0} is missing or has no key")]
    None(String),
    /// What is there is no key.
    #[error("{name} of {whose} {why}")]
    NoKey {
        /// What people call it.
        name: String,
        /// Where it is.
        whose: String,
        /// What is wrong with it.
        why: KeyError,
    },
    /// There are too many.
    #[error("{0} has more than {MOST} keys")]
    Many(String),
    /// The file is not to be read.
    #[error("{0}")]
    Io(String),
}

impl Keys {
    /// The keys of a mounted Secret, one in each file. Where `seals` names none, the only one seals; of several none does.
    pub fn of_folder(folder: &Path, whose: String, seals: Option<&str>) -> Result<Self, KeysError> {
        let none = |_| KeysError::None(whose.clone());
        let mut entries: Vec<String> = fs::read_dir(folder)
            .map_err(none)?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            // A kubelet has folders of its own in it.
            .filter(|name| !name.starts_with('.'))
            .collect();
        entries.sort_unstable();
        if entries.len() > MOST {
            return Err(KeysError::Many(whose));
        }
        let (mut named, mut unusable) = (Vec::new(), Vec::new());
        for name in entries {
            let text =
                read(&folder.join(&name)).map_err(|error| KeysError::Io(format!("{name} of {whose}: {error}")))?;
            match keyed(name, &text, &whose) {
                Ok(key) => named.push(key),
                Err(error) => unusable.push(error),
            }
        }
        if named.is_empty() {
            return Err(unusable.into_iter().next().unwrap_or(KeysError::None(whose)));
        }
        let unusable: Vec<String> = unusable.iter().map(ToString::to_string).collect();
        let there: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
        let seals = match seals {
            Some(name) => {
                let found = there.iter().position(|there| *there == name);
                let begins = format!("{name} of ");
                let bad = unusable.iter().find(|words| words.starts_with(&begins)).cloned();
                let lacks = || format!("{whose} has no key {name} (writeWith); it has {}", there.join(", "));
                found.ok_or_else(|| bad.unwrap_or_else(lacks))
            }
            None if there.len() == 1 => Ok(0),
            None => {
                Err(format!("{whose} has {}: name the one that encrypts (encryptionKeys.writeWith)", there.join(", ")))
            }
        };
        Ok(Self { whose, named, unusable, seals })
    }

    /// The keys of a person's file, one a line; the first one seals.
    pub fn of_file(file: &Path) -> Result<Self, KeysError> {
        let whose = file.display().to_string();
        if Key::parse(&whose).is_ok() {
            return Err(KeysError::Io("this is a key, and not the name of a file that has it".to_owned()));
        }
        let text = read(file).map_err(|error| KeysError::Io(format!("{whose}: {error}")))?;
        let says = |line: &str| !line.trim().is_empty() && !line.trim().starts_with('#');
        let lines = text.lines().enumerate().filter(|(_, line)| says(line));
        let keys: Vec<_> = lines
            .map(|(number, line)| keyed(format!("line {}", number + 1), line, &whose))
            .collect::<Result<_, _>>()?;
        match keys.len() {
            0 => Err(KeysError::None(whose)),
            1..=MOST => Ok(Self { whose, named: keys, unusable: Vec::new(), seals: Ok(0) }),
            _ => Err(KeysError::Many(whose)),
        }
    }

    /// A single one.
    pub fn one(name: &str, key: Key) -> Self {
        Self { whose: name.to_owned(), named: vec![(name.to_owned(), key)], unusable: Vec::new(), seals: Ok(0) }
    }

    /// The one that seals.
    pub(super) fn seals(&self) -> Option<&Key> {
        self.seals.as_ref().ok().and_then(|number| self.named.get(*number)).map(|(_, key)| key)
    }

    /// What the one is called that seals; the error says why there is none.
    pub fn id(&self) -> Result<KeyId, &str> {
        self.seals.as_ref().map_err(String::as_str)?;
        self.seals().map(Key::id).ok_or("there is no key")
    }

    pub(super) fn opens(&self, id: KeyId) -> Option<&Key> {
        self.named.iter().map(|(_, key)| key).find(|key| key.id() == id)
    }

    /// Seals an object; the error says why not.
    pub fn seal(&self, name: &str, plain: &[u8]) -> Result<Bytes, String> {
        self.id()?;
        let mut salt = [0; _];
        SystemRandom::new().fill(&mut salt).map_err(|_| "the system gives no random bytes".to_owned())?;
        let sealed = object::seal(self, &salt, name, plain);
        sealed.map(Bytes::from).ok_or_else(|| "it cannot be encrypted".to_owned())
    }

    /// Opens an object, or the first bytes of one.
    pub fn open(&self, name: &str, sealed: Sealed<'_>) -> Result<Bytes, OpenError> {
        sealed.open(self, name).map(Bytes::from)
    }
}

fn keyed(name: String, text: &str, whose: &str) -> Result<(String, Key), KeysError> {
    match Key::parse(text) {
        Ok(key) => Ok((name, key)),
        Err(why) => Err(KeysError::NoKey { name, whose: whose.to_owned(), why }),
    }
}

fn read(file: &Path) -> io::Result<String> {
    use io::Read as _;
    let mut bytes = Vec::new();
    fs::File::open(file)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::other("it is no file of keys: it has more than 64 KiB"));
    }
    // What is no text is no key, and is said to be none.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Where they are from and what they are called; never a key.
impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |(name, key): &(String, Key)| format!("{name} ({})", key.id());
        let keys: Vec<String> = self.named.iter().map(named).collect();
        write!(f, "{} has {}", self.whose, keys.join(", "))?;
        self.unusable.iter().try_for_each(|words| write!(f, "; {words}"))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({self})")
    }
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::*;

    const A: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const B: &str = "100102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn secret(keys: &[(&str, &str)], seals: Option<&str>) -> Result<Keys, KeysError> {
        let folder = tempdir().unwrap();
        fs::create_dir(folder.path().join("..data")).unwrap();
        for (name, key) in keys {
            fs::write(folder.path().join(name), key).unwrap();
        }
        Keys::of_folder(folder.path(), "Secret s of encryptionKeys".to_owned(), seals)
    }

    #[test]
    fn the_only_key_seals_and_of_several_the_one_that_is_named() {
        let id = |text: &str| Key::parse(text).unwrap().id();
        assert_eq!(secret(&[("a", A)], None).unwrap().id(), Ok(id(A)));
        let both = secret(&[("a", A), ("b", B)], Some("b")).unwrap();
        assert_eq!(both.id(), Ok(id(B)));
        assert!(both.opens(id(A)).is_some());
        let neither = secret(&[("a", A), ("b", B)], None).unwrap();
        let words = neither.seal("n", b"").unwrap_err();
        assert!(
            words.contains("Secret s of encryptionKeys has a, b: name the one") && words.contains("writeWith"),
            "{words}"
        );
    }

    #[test]
    fn what_is_wrong_with_keys_is_said_by_their_names_and_never_with_a_key() {
        let words = |keys: &[(&str, &str)], seals| secret(keys, seals).unwrap_err().to_string();
        assert_eq!(words(&[], None), "Secret s of encryptionKeys is missing or has no key");
        // Whoever only reads needs none that seals, and what somebody else has put there is none of his business.
        let lacks = secret(&[("a", A)], Some("b")).unwrap();
        assert_eq!(lacks.id(), Err("Secret s of encryptionKeys has no key b (writeWith); it has a"));
        let beside = secret(&[("a", A), ("b", "hunter2")], None).unwrap();
        assert_eq!(beside.id(), Ok(Key::parse(A).unwrap().id()));
        let said = beside.to_string();
        assert!(said.contains("; b of Secret s of encryptionKeys is no key: ") && !said.contains("hunter2"), "{said}");
        let named = secret(&[("a", A), ("b", "hunter2")], Some("b")).unwrap();
        assert!(named.id().unwrap_err().starts_with("b of Secret s of encryptionKeys is no key"), "{named:?}");
        assert!(words(&[("b", "hunter2")], None).starts_with("b of Secret s of encryptionKeys is no key"));
        let all = format!("{:?} {}", secret(&[("a", A)], None).unwrap(), secret(&[("a", A)], None).unwrap());
        assert!(!all.contains(&A[..16]), "{all}");
    }

    #[test]
    fn of_a_persons_file_each_line_is_a_key_and_the_first_one_seals() {
        let folder = tempdir().unwrap();
        let file = folder.path().join("keys");
        fs::write(&file, format!("# of 2026\n\n{B}\n{A}\n")).unwrap();
        let keys = Keys::of_file(&file).unwrap();
        assert_eq!((keys.id(), keys.named.len()), (Ok(Key::parse(B).unwrap().id()), 2));
        fs::write(&file, format!("{A}\nno\n")).unwrap();
        assert!(Keys::of_file(&file).unwrap_err().to_string().starts_with("line 2 of "));
        fs::write(&file, "\n").unwrap();
        assert!(matches!(Keys::of_file(&file), Err(KeysError::None(_))));
        let itself = Keys::of_file(Path::new(A)).unwrap_err().to_string();
        assert!(itself.contains("this is a key") && !itself.contains(&A[..8]), "{itself}");
        assert!(Keys::of_file(&folder.path().join("none")).unwrap_err().to_string().contains("none: No such file"));
    }
}
