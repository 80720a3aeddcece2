//! Points of an archive that somebody named: they can be built, whatever their age, until the name is taken back.
//!
//! A pin is an object of its own, created once and never changed. `prune` reads all of them, and deletes nothing if one cannot be read.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use zookeeper_files::ids::Zxid;

use super::retention::Pin;
use super::store::{Listed, Put, Store, StoreError};
use crate::view::time::iso_text;

/// More than anybody names. Each costs a request in every run of `prune`. Those that are over count, and go in the next run.
const MOST: usize = 100_000;
/// More than that is an error of its own.
const MOST_LISTED: usize = 1_000_000;
const LONGEST: usize = 4 << 10;
const FORMAT: u32 = 1;

/// A point with a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamedPin {
    format: u32,
    /// Its name, of small letters, digits, '-' and '.'.
    pub name: String,
    /// The first zxid that it may mean.
    pub from: Zxid,
    /// The last one: the same, unless a time was named.
    pub to: Zxid,
    /// When it was made, in milliseconds since 1970.
    pub made: i64,
    /// From when on it keeps nothing, in milliseconds since 1970; without it, until it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
}

/// Why a pin was not stored, read or taken back.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// The store did not answer as it should.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It cannot be read. What it pins is not known.
    #[error("{0} is no pin that this version reads: use a newer menagerie, or, if nobody needs it, delete that object")]
    Unreadable(String),
    /// Another point has that name.
    #[error(
        "the archive has another pin of the name {0}: take another name, or take that one back first (menagerie archive unpin)"
    )]
    Taken(String),
    /// There are too many.
    #[error("the archive has more than {MOST} pins of {0}: take some back (menagerie archive unpin)")]
    TooMany(String),
    /// There is none of that name.
    #[error("the archive has no pin of the name {0}")]
    Missing(String),
}

impl NamedPin {
    /// A point with a name.
    pub fn new(name: &str, Pin { from, to }: Pin, made: i64) -> Self {
        Self { format: FORMAT, name: name.to_owned(), from, to, made, until: None }
    }

    /// The same, for so long.
    #[must_use]
    pub fn until(self, until: Option<i64>) -> Self {
        Self { until, ..self }
    }

    /// Whether it keeps its point at that time.
    pub fn counts(&self, now: i64) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// What it keeps.
    pub fn pin(&self) -> Pin {
        Pin { from: self.from, to: self.to }
    }

    /// For people: its name, and the point.
    pub fn text(&self) -> String {
        let until = self.until.map(|until| format!(" until {}", iso_text(until))).unwrap_or_default();
        let point = if self.from == self.to {
            format!("{:#}", self.to)
        } else {
            // A time was named: which of them was the last before it, only the tree there tells.
            format!("between {:#} and {:#}", self.from, self.to)
        };
        format!("{} ({point}{until})", self.name)
    }
}

fn folder(identity: &str) -> String {
    format!("{identity}/pin")
}

fn path(identity: &str, name: &str) -> String {
    format!("{}/{name}", folder(identity))
}

/// Stores a pin. The same point again is the same pin.
pub async fn keep(store: &Store, identity: &str, pin: &NamedPin) -> Result<(), PinError> {
    let path = path(identity, &pin.name);
    let object = serde_json::to_vec(pin).map_err(|_| PinError::Unreadable(path.clone()))?;
    // A store that knows no conditions would overwrite what others rely on.
    if store.clone().looking_first().put(&path, Bytes::from(object)).await? == Put::Stored {
        return Ok(());
    }
    match read(store, identity, &pin.name).await? {
        Some(there) if there.pin() == pin.pin() && there.until == pin.until => Ok(()),
        _ => Err(PinError::Taken(pin.name.clone())),
    }
}

/// The pin of that name.
pub async fn read(store: &Store, identity: &str, name: &str) -> Result<Option<NamedPin>, PinError> {
    let path = path(identity, name);
    let Some(object) = store.get(&path, Some(LONGEST + 1)).await? else { return Ok(None) };
    let pin = serde_json::from_slice::<NamedPin>(&object).ok();
    let whole = |pin: &NamedPin| pin.format == FORMAT && pin.name == name && pin.from <= pin.to;
    pin.filter(whole).map(Some).ok_or(PinError::Unreadable(path))
}

/// All pins of an ensemble, by name.
pub async fn all(store: &Store, identity: &str) -> Result<Vec<NamedPin>, PinError> {
    let names = store.names(&folder(identity)).await?;
    if names.len() > MOST {
        return Err(PinError::TooMany(identity.to_owned()));
    }
    let mut pins = Vec::new();
    for name in names {
        let name = name.rsplit('/').next().unwrap_or_default();
        // One that was taken back meanwhile pins nothing.
        pins.extend(read(store, identity, name).await?);
    }
    pins.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(pins)
}

/// The pins of an ensemble that can be read, by name. `unread` hears of the others: what they keep is not known.
pub async fn readable(
    store: &Store,
    identity: &str,
    unread: &mut dyn FnMut(&str),
) -> Result<Vec<NamedPin>, StoreError> {
    let mut pins = Vec::new();
    for stored in listed(store, identity).await? {
        match read(store, identity, stored.name()).await {
            Ok(pin) => pins.extend(pin),
            Err(PinError::Store(error)) if !error.is_of_one_object() => return Err(error),
            Err(error) => unread(&format!("{error}; until it can be read, prune deletes nothing")),
        }
    }
    pins.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(pins)
}

/// A pin as it is stored: one that was taken back and made again is another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoredPin {
    name: String,
    bytes: u64,
    stored: i64,
}

impl StoredPin {
    /// Its name.
    pub fn name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or_default()
    }
}

/// All pins as they are stored, which one request tells.
pub async fn listed(store: &Store, identity: &str) -> Result<BTreeSet<StoredPin>, StoreError> {
    let mut all = BTreeSet::new();
    let mut take = |Listed { name, bytes, stored }: Listed| {
        all.insert(StoredPin { name, bytes, stored });
    };
    store.entries(&folder(identity), MOST_LISTED, &mut take).await?;
    Ok(all)
}

/// Deletes a pin that is over, unless another one has its name by now; whether it did.
pub async fn drop_over(store: &Store, identity: &str, pin: &NamedPin) -> Result<bool, StoreError> {
    match read(store, identity, &pin.name).await {
        Ok(Some(there)) if there == *pin => store.delete(&path(identity, &pin.name)).await.map(|()| true),
        Err(PinError::Store(error)) => Err(error),
        Ok(_) | Err(_) => Ok(false),
    }
}

/// Takes a pin back.
pub async fn take_back(store: &Store, identity: &str, name: &str) -> Result<(), PinError> {
    let path = path(identity, name);
    // It need not be read: its key may be gone.
    if store.look(&path).await?.is_none() {
        return Err(PinError::Missing(name.to_owned()));
    }
    Ok(store.delete(&path).await?)
}
