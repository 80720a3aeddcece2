//! An archive's store: objects that are made once and read by name.
//!
//! Invariants: every request ends within its timeout; of a store and its clones one object is on its way at a time, and who asked first
//! is first, so that a segment waits for one part of a base at most; lists are small and wait for nothing; nothing is overwritten; what is there already is a question, and the answer
//! is read back ([`Put::Taken`]); no object is read that is larger than any of ours; where there are keys, nothing leaves unsealed and
//! nothing is believed that is not sealed.

use std::error::Error;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::access::{self, Access, Checked, Opened};
use super::refusal;
use super::seal::{self, KeyId, Keys, OpenError, Sealed};
use super::target::Target;

pub use super::store_error::{StoreError, StoreErrorKind};

/// How long one request may take with all its retries. A segment of 8 MiB needs 90 KB/s.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);
/// No object of ours is larger: 64 MiB of log, packed.
const LARGEST: u64 = 72 << 20;
/// What says whose history it is, in the folder of an identity: the one object that is never sealed.
pub(super) const IN_CLEAR: &str = "ensemble";
/// The variable that names a file with the keys of an archive that is sealed, for people.
const KEYS_VARIABLE: &str = "MENAGERIE_ARCHIVE_KEYS";
/// How many names one list may bring.
const MOST_NAMES: usize = 1_000_000;

/// Where an archive is, with the right to use it.
#[derive(Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
    target: Target,
    /// Where it is looked for, if that is not the kind's own place.
    looked: Option<String>,
    /// Whether each put tells it how to encrypt.
    encrypts: bool,
    /// Whether the store itself refuses a second object of one name.
    create_only: bool,
    /// Opens it with a checksum in each put.
    checked: Option<Checked>,
    /// The store so opened, once it has asked for that.
    asked: Arc<OnceLock<Arc<dyn ObjectStore>>>,
    /// Whether those who look after pods read its errors.
    of_pods: bool,
    /// The keys with which objects are sealed.
    keys: Option<Arc<Keys>>,
    /// Whose object is on its way. Who waits for it gets it in the order of asking.
    turn: Arc<Mutex<()>>,
}

/// An object, as the store lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// When it was stored, in milliseconds since 1970 by the store's clock.
    pub stored: i64,
}

/// What became of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is stored.
    Stored,
    /// An object of that name is there already, or a race is on: read it.
    Taken,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.target)
    }
}

impl Store {
    /// Opens a store with what the environment says of it, for people. Asks it nothing yet.
    pub fn open(target: &Target) -> Result<Self, StoreError> {
        let opened = access::of_environment(target)?;
        let keys = keys_of_environment(target)?;
        Ok(Self { of_pods: false, ..Self::of(target, opened) }.sealing(keys))
    }

    /// Whether the environment has credentials for it.
    pub(crate) fn is_keyed(target: &Target) -> bool {
        !access::environment(&target.to_string()).keyed.is_empty()
    }

    /// Opens a store with this access and nothing from the environment but the pod's own identity. Asks it nothing yet.
    pub fn open_with(target: &Target, access: &Access) -> Result<Self, StoreError> {
        access.open(target).map(|opened| Self::of(target, opened))
    }

    fn of(target: &Target, Opened { objects, looked, encrypts, checked }: Opened) -> Self {
        Self {
            objects,
            prefix: Path::from(target.prefix()),
            target: target.clone(),
            looked,
            encrypts,
            create_only: true,
            checked,
            asked: Arc::default(),
            of_pods: true,
            keys: None,
            turn: Arc::default(),
        }
    }

    /// The same, where all objects are sealed with these keys but the one that says whose they are.
    #[must_use]
    pub fn sealing(self, keys: Option<Keys>) -> Self {
        Self { keys: keys.map(Arc::new), ..self }
    }

    /// The key that seals, where objects are sealed.
    pub fn key(&self) -> Result<Option<KeyId>, StoreError> {
        let id = self.keys.as_ref().map(|keys| keys.id()).transpose();
        id.map_err(|why| self.wrong(StoreErrorKind::NoKey, "archive to", "", why))
    }

    /// The same, for a store that would overwrite: each put looks first. Two that put one name within a moment are not told apart.
    #[must_use]
    pub fn looking_first(self) -> Self {
        Self { create_only: false, ..self }
    }

    /// Where it is.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Stores an object under a name that has none.
    pub async fn put(&self, name: &str, object: Bytes) -> Result<Put, StoreError> {
        let object = self.sealed(name, object)?;
        let mode = if self.create_only { PutMode::Create } else { PutMode::Overwrite };
        let options = PutOptions { mode, ..PutOptions::default() };
        let path = self.path(name);
        let put = async {
            if !self.create_only {
                match self.objects.head(&path).await {
                    Ok(_) => return Ok(Put::Taken),
                    Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            match self.put_as_asked(&path, object, options).await {
                Ok(()) => Ok(Put::Stored),
                // Azure before object_store 0.14.2 said the second for the first; S3 says 409 where two write at once.
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                    Ok(Put::Taken)
                }
                Err(error) => Err(error),
            }
        };
        let _turn = self.turn.lock().await;
        // Where a put had no condition, nothing else in it is anything that a store may not know.
        let refused = |error: StoreError| error.of_encryption(!self.create_only);
        let stored = self.bounded("store", name, put).await.map_err(StoreError::of_put);
        stored.map_err(|error| if self.encrypts { refused(error) } else { error })
    }

    /// Puts with a checksum where the store has asked for one.
    async fn put_as_asked(&self, path: &Path, object: Bytes, options: PutOptions) -> object_store::Result<()> {
        let payload = PutPayload::from_bytes(object);
        if let Some(asked) = self.asked.get() {
            return asked.put_opts(path, payload, options).await.map(|_| ());
        }
        let Err(error) = self.objects.put_opts(path, payload.clone(), options.clone()).await else { return Ok(()) };
        match &self.checked {
            Some(open) if wants_checksum(&error) => {
                let asked = open()?;
                let _ = self.asked.set(Arc::clone(&asked));
                asked.put_opts(path, payload, options).await.map(|_| ())
            }
            _ => Err(error),
        }
    }

    /// Stores an object that nobody else writes, also where the store knows no conditions.
    pub async fn put_own(&self, name: &str, object: Bytes) -> Result<Put, StoreError> {
        match self.put(name, object.clone()).await {
            Err(error) if error.kind == StoreErrorKind::NotImplemented => {
                self.clone().looking_first().put(name, object).await
            }
            other => other,
        }
    }

    /// Reads an object, or its first bytes; `None` if there is none.
    pub async fn get(&self, name: &str, first: Option<usize>) -> Result<Option<Bytes>, StoreError> {
        let path = self.path(name);
        let seals = self.keys_of(name).is_some();
        let asked = first.map(|first| if seals { seal::front(first) } else { first });
        let range = asked.map(|asked| GetRange::Bounded(0..asked as u64));
        let largest = if seals { seal::sealed_length(LARGEST) } else { LARGEST };
        let get = async {
            let options = GetOptions { range, ..GetOptions::default() };
            let result = match self.objects.get_opts(&path, options).await {
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                other => other?,
            };
            let length = result.meta.size;
            if result.range.end - result.range.start > largest {
                return Ok(Some(Err(length)));
            }
            result.bytes().await.map(|bytes| Some(Ok((bytes, length))))
        };
        let _turn = self.turn.lock().await;
        let got = match self.bounded("read", name, get).await? {
            None => return Ok(None),
            Some(Ok(got)) => got,
            Some(Err(size)) => {
                let why = format!("it has {size} bytes, and no object of an archive has more than {largest}");
                return Err(self.wrong(StoreErrorKind::TooLarge, "read", name, &why));
            }
        };
        let (bytes, length) = got;
        // Whoever asks for all of an object, or for more than it gets, has it all, whatever the store says of its length.
        let short = asked.is_none_or(|asked| bytes.len() < asked);
        let length = if short { bytes.len() as u64 } else { length };
        let mut object = self.opened(name, bytes, length)?;
        if let Some(first) = first {
            object.truncate(first);
        }
        Ok(Some(object))
    }

    /// The keys with which an object of this name is sealed. Who has lost the key is to know whose history it is.
    fn keys_of(&self, name: &str) -> Option<&Keys> {
        let clear = name.split_once('/').is_some_and(|(_, of)| of == IN_CLEAR);
        self.keys.as_deref().filter(|_| !clear)
    }

    fn sealed(&self, name: &str, object: Bytes) -> Result<Bytes, StoreError> {
        let Some(keys) = self.keys_of(name) else { return Ok(object) };
        keys.seal(name, &object).map_err(|why| self.wrong(StoreErrorKind::NoKey, "store", name, &why))
    }

    fn opened(&self, name: &str, bytes: Bytes, length: u64) -> Result<Bytes, StoreError> {
        let sealed = Sealed { bytes: &bytes, length };
        let Some(keys) = self.keys_of(name) else {
            let Some(key) = sealed.key() else { return Ok(bytes) };
            let why = match key {
                Ok(id) => format!("{}, and no keys are given{}", OpenError::NoKey(id), self.how()),
                Err(error) => error.to_string(),
            };
            return Err(self.wrong(StoreErrorKind::NoKey, "read", name, &why));
        };
        keys.open(name, sealed).map_err(|error| {
            let (kind, why) = match &error {
                OpenError::NoKey(_) => (StoreErrorKind::NoKey, format!("{error}, and {keys}")),
                OpenError::Plain => (StoreErrorKind::NotSealed, format!("{error}: keys are given ({keys})")),
                OpenError::Later(_) | OpenError::OtherName | OpenError::Damaged => {
                    (StoreErrorKind::Changed, error.to_string())
                }
            };
            self.wrong(kind, "read", name, &why)
        })
    }

    /// How they are given.
    fn how(&self) -> String {
        if self.of_pods {
            " (encryptionKeys)".to_owned()
        } else {
            format!(": {KEYS_VARIABLE} names the file that has them")
        }
    }

    /// A size as it is listed, of the object that is read.
    fn bytes_of(&self, name: &str, listed: u64) -> u64 {
        if self.keys_of(name).is_some() { seal::plain_length(listed) } else { listed }
    }

    /// The same store, with objects of its own on their way.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self { turn: Arc::default(), ..self.clone() }
    }

    /// The names of the folders in a folder.
    pub async fn folders(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let path = self.path(folder);
        let listed = self.bounded("list", folder, self.objects.list_with_delimiter(Some(&path))).await?;
        Ok(listed.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)).collect())
    }

    /// The names of all objects below a folder, in the order of names.
    pub async fn names(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let mut names = Vec::new();
        self.each(folder, |name| names.push(name)).await?;
        names.sort_unstable();
        Ok(names)
    }

    /// The greatest name below a folder of those that count, in constant memory.
    pub async fn greatest(&self, folder: &str, counts: impl Fn(&str) -> bool) -> Result<Option<String>, StoreError> {
        let mut greatest: Option<String> = None;
        self.each(folder, |name| {
            if counts(&name) && greatest.as_ref().is_none_or(|greatest| name > *greatest) {
                greatest = Some(name);
            }
        })
        .await?;
        Ok(greatest)
    }

    /// One object of a folder that counts, whichever the store names first.
    pub async fn one<T>(&self, folder: &str, counts: impl Fn(&str) -> Option<T>) -> Result<Option<T>, StoreError> {
        let path = self.path(folder);
        let mut listing = self.objects.list(Some(&path));
        while let Some(object) = self.bounded("list", folder, listing.try_next()).await? {
            if let Some(found) = self.name(&object.location).and_then(|name| counts(&name)) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn each(&self, folder: &str, mut take: impl FnMut(String)) -> Result<(), StoreError> {
        self.entries(folder, MOST_NAMES, |object| take(object.name)).await
    }

    /// Each object below a folder, in whatever order the store has them. Every page of the list has a time limit of its own, and one of
    /// more than `most` objects is an error.
    pub async fn entries(&self, folder: &str, most: usize, mut take: impl FnMut(Listed)) -> Result<(), StoreError> {
        let path = self.path(folder);
        let mut listing = self.objects.list(Some(&path));
        let mut number = 0;
        while let Some(object) = self.bounded("list", folder, listing.try_next()).await? {
            number += 1;
            if number > most {
                return Err(self.failed("list", folder, &format!("it has more than {most} objects")));
            }
            if let Some(name) = self.name(&object.location) {
                let bytes = self.bytes_of(&name, object.size);
                take(Listed { name, bytes, stored: object.last_modified.timestamp_millis() });
            }
        }
        Ok(())
    }

    /// What the store says of an object; `None` if there is none. Unlike a list, it is never old.
    pub async fn look(&self, name: &str) -> Result<Option<Listed>, StoreError> {
        let path = self.path(name);
        let head = async {
            match self.objects.head(&path).await {
                Ok(object) => Ok(Some(object)),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        };
        let object = self.bounded("read", name, head).await?;
        Ok(object.map(|object| {
            let (bytes, stored) = (self.bytes_of(name, object.size), object.last_modified.timestamp_millis());
            Listed { name: name.to_owned(), bytes, stored }
        }))
    }

    /// Deletes an object. One that is not there is deleted.
    pub async fn delete(&self, name: &str) -> Result<(), StoreError> {
        let path = self.path(name);
        let delete = async {
            // Azure's answer to a delete is a list, and the library panics where it numbers what nobody asked for.
            let deleted = AssertUnwindSafe(self.objects.delete(&path)).catch_unwind().await;
            match deleted.unwrap_or_else(|_| Err(strange())) {
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                other => other,
            }
        };
        self.bounded("delete", name, delete).await
    }

    /// Forgets a folder in which nothing is left. Only a file system knows of such a one.
    pub(super) fn forget_folder(&self, folder: &str) {
        if let Target::File { folder: root } = &self.target {
            // It stays if there is anything in it, and so does the one that it is in.
            let folder = root.join(folder);
            if std::fs::remove_dir(&folder).is_ok()
                && let Some(parent) = folder.parent()
            {
                let _ = std::fs::remove_dir(parent);
            }
        }
    }

    /// An answer that is none, or none that can be.
    pub(super) fn failed(&self, doing: &str, name: &str, why: &str) -> StoreError {
        self.wrong(StoreErrorKind::Unavailable, doing, name, why)
    }

    /// What is wrong with an object.
    pub(super) fn wrong(&self, kind: StoreErrorKind, doing: &str, name: &str, why: &str) -> StoreError {
        let target = format!("{}/{name}", self.target);
        StoreError { kind, doing: format!("cannot {doing}"), target, why: why.to_owned() }
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.parts().chain(Path::from(name).parts()).collect()
    }

    fn name(&self, path: &Path) -> Option<String> {
        let parts: Vec<_> = path.prefix_match(&self.prefix)?.map(|part| part.as_ref().to_owned()).collect();
        Some(parts.join("/"))
    }

    async fn bounded<T>(
        &self,
        doing: &str,
        name: &str,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, StoreError> {
        let what = format!("{}/{name}", self.target);
        let Ok(done) = timeout(PATIENCE, work).await else {
            return Err(self.failed(doing, name, &format!("no answer within {} s", PATIENCE.as_secs())));
        };
        done.map_err(|error| {
            let error = StoreError::of(doing, &what, &error).at(self.looked.as_deref());
            if self.of_pods { error.of_pods() } else { error }
        })
    }
}

/// The keys of the person who asks.
fn keys_of_environment(target: &Target) -> Result<Option<Keys>, StoreError> {
    let Some(file) = std::env::var_os(KEYS_VARIABLE).filter(|file| !file.is_empty()) else { return Ok(None) };
    Keys::of_file(file.as_ref()).map(Some).map_err(|error| StoreError {
        kind: StoreErrorKind::NoKey,
        doing: "cannot open".to_owned(),
        target: target.to_string(),
        why: format!("{error} ({KEYS_VARIABLE})"),
    })
}

fn wants_checksum(error: &object_store::Error) -> bool {
    let mut next: Option<&dyn Error> = Some(error);
    while let Some(cause) = next {
        if refusal::wants_checksum(&cause.to_string()) {
            return true;
        }
        next = cause.source();
    }
    false
}

fn strange() -> object_store::Error {
    object_store::Error::Generic { store: "any", source: "the store answers of an object that nobody asked for".into() }
}
