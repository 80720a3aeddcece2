//! The table of ACLs of a tree: each list once, named by a number.

use std::collections::HashMap;

use crate::jute::Decoder;
use crate::log::Acls;
use crate::snapshot::{AclTableEntry, OPEN_ACL};

/// Lists of ACLs by their numbers, as snapshots keep them.
#[derive(Clone, Debug, Default)]
pub struct AclTable {
    lists: HashMap<i64, Box<[u8]>>,
    keys: HashMap<Box<[u8]>, i64>,
    highest: i64,
}

impl AclTable {
    pub(crate) fn load(&mut self, entry: &AclTableEntry<'_>) {
        let encoded: Box<[u8]> = entry.acls.encoded().into();
        self.highest = self.highest.max(entry.key);
        self.lists.insert(entry.key, encoded.clone());
        self.keys.insert(encoded, entry.key);
    }

    /// The number of a list, a new one for a new list.
    pub(crate) fn key(&mut self, acls: Acls<'_>) -> i64 {
        if acls.is_null() {
            return OPEN_ACL;
        }
        if let Some(&key) = self.keys.get(acls.encoded()) {
            return key;
        }
        self.highest = self.highest.wrapping_add(1);
        self.load(&AclTableEntry { key: self.highest, acls });
        self.highest
    }

    /// The list of this number. [`OPEN_ACL`] has none, nor do numbers that a fuzzy snapshot names and does not explain.
    pub fn get(&self, key: i64) -> Option<Acls<'_>> {
        Acls::decode(&mut Decoder::new(self.lists.get(&key)?)).ok()
    }
}
