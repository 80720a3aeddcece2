//! Access control lists, in one form for what was and for what is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use zookeeper_files::log;

use crate::restore::options::Access;

/// All five rights: READ 1, WRITE 2, CREATE 4, DELETE 8, ADMIN 16.
pub const ALL_RIGHTS: i32 = 31;
/// The right to read data and the names of children.
pub const READ: i32 = 1;
/// The right to set data.
pub const WRITE: i32 = 2;
/// The right to create below.
pub const CREATE: i32 = 4;
/// The right to delete below.
pub const DELETE: i32 = 8;
/// The right to set the ACL.
pub const ADMIN: i32 = 16;

/// Who may do what.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// `world`, `digest`, `ip`, `sasl`, …
    pub scheme: String,
    /// The id, in the form of the scheme.
    pub id: String,
    /// A sum of rights.
    pub rights: i32,
}

impl Entry {
    fn is_everybody(&self) -> bool {
        self.scheme == "world" && self.id == "anyone"
    }
}

/// What everybody may do, and what each id that is named may do, with what everybody may.
struct Rights<'a> {
    everybody: i32,
    ids: BTreeMap<(&'a str, &'a str), i32>,
}

impl Rights<'_> {
    fn of(&self, id: &(&str, &str)) -> i32 {
        self.ids.get(id).copied().unwrap_or(self.everybody)
    }
}

/// A list, in one order: entries have none, and a server answers them as they were written.
///
/// A million znodes may have the same one: copies share it.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(from = "Vec<Entry>")]
pub struct Acl(Arc<[Entry]>);

impl Serialize for Acl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter())
    }
}

/// Equal lists are one here.
#[derive(Default)]
pub struct Shared(BTreeSet<Acl>);

impl Shared {
    /// The one that is equal, and how many bytes it adds.
    pub fn share(&mut self, acl: Acl) -> (Acl, usize) {
        if let Some(known) = self.0.get(&acl) {
            return (known.clone(), 0);
        }
        let bytes = acl.0.iter().map(|entry| size_of::<Entry>() + entry.scheme.len() + entry.id.len()).sum();
        self.0.insert(acl.clone());
        (acl, bytes)
    }
}

impl From<Vec<Entry>> for Acl {
    fn from(mut entries: Vec<Entry>) -> Self {
        entries.sort();
        entries.dedup();
        Self(entries.into())
    }
}

impl Acl {
    /// All rights for everybody.
    pub fn open() -> Self {
        vec![Entry { scheme: "world".to_owned(), id: "anyone".to_owned(), rights: ALL_RIGHTS }].into()
    }

    /// A list as it is on disk; `None` if no client could set it: it has a text that is no UTF-8, other rights, or no entry.
    pub fn of(acls: log::Acls<'_>) -> Option<Self> {
        if acls.is_null() {
            return Some(Self::open());
        }
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let entry =
            |acl: log::Acl<'_>| Some(Entry { scheme: text(acl.scheme.0)?, id: text(acl.id.0)?, rights: acl.perms });
        let entries: Vec<Entry> = acls.iter().map(entry).collect::<Option<_>>()?;
        let fits = !entries.is_empty() && entries.iter().all(|entry| (0..=ALL_RIGHTS).contains(&entry.rights));
        fits.then(|| entries.into())
    }

    /// The entries.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// Whether it gives everybody what of these rights the other one gives.
    pub fn leaves_everybody(&self, rights: i32, other: &Self) -> bool {
        self.gives_everybody(rights & other.everybody())
    }

    /// Whether everybody has all these rights.
    pub fn gives_everybody(&self, rights: i32) -> bool {
        self.everybody() & rights == rights
    }

    /// Whether a client has all these rights from some address. Which address is ours, only the servers know.
    pub fn gives_an_address(&self, rights: i32) -> bool {
        let addresses = self.0.iter().filter(|entry| entry.scheme == "ip");
        addresses.fold(self.everybody(), |all, entry| all | entry.rights) & rights == rights
    }

    /// Whether nobody has a right by this list that the other one does not give.
    ///
    /// A client may have several ids, and then has the rights of all of them: what holds for each id holds for each client.
    pub fn is_within(&self, other: &Self) -> bool {
        let (own, other) = (self.rights(), other.rights());
        let within = |rights: i32, given: i32| rights & !given == 0;
        within(own.everybody, other.everybody) && own.ids.iter().all(|(id, rights)| within(*rights, other.of(id)))
    }

    /// What a server shows of it to clients without the right ADMIN.
    fn hidden(&self) -> Self {
        let hidden = |entry: &Entry| match (&*entry.scheme, entry.id.split_once(':')) {
            ("digest", Some((user, _))) => Entry { id: format!("{user}:x"), ..entry.clone() },
            _ => entry.clone(),
        };
        self.0.iter().map(hidden).collect::<Vec<_>>().into()
    }

    /// Whether it is what a server shows of that list, whole or hidden.
    pub fn shows(&self, list: &Self, access: Access) -> bool {
        self == list || (self.is_hidden(access) && *self == list.hidden())
    }

    fn rights(&self) -> Rights<'_> {
        let everybody = self.everybody();
        let mut ids = BTreeMap::new();
        for Entry { scheme, id, rights } in self.0.iter().filter(|entry| !entry.is_everybody()) {
            *ids.entry((&**scheme, &**id)).or_insert(everybody) |= rights;
        }
        Rights { everybody, ids }
    }

    /// To servers, a list without entries is an open one.
    fn everybody(&self) -> i32 {
        let world = self.0.iter().filter(|entry| entry.is_everybody());
        if self.0.is_empty() { ALL_RIGHTS } else { world.fold(0, |all, entry| all | entry.rights) }
    }

    /// Whether a server may have hidden a part of it, as it does from clients without the right ADMIN. To the super user `x` is the
    /// id that somebody has set.
    pub fn is_hidden(&self, access: Access) -> bool {
        let hidden = |entry: &Entry| entry.scheme == "digest" && entry.id.ends_with(":x");
        access == Access::Anyone && !self.gives_everybody(ADMIN) && self.0.iter().any(hidden)
    }
}

impl fmt::Display for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Entry { scheme, id, rights }) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{}", log::Acl::new(*rights, scheme, id))?;
        }
        Ok(())
    }
}
