//! What follows the znodes of a snapshot.

use crate::ids::Zxid;

/// What a server computed its tree to be, and after which transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ZxidDigest {
    /// The transaction. 0 right after a sync from a leader, when the server had none to name.
    pub zxid: Zxid,
    /// The way it is computed; 2 in all releases that log digests too.
    pub version: i32,
    /// The digest.
    pub tree: i64,
}

/// What later releases append to a snapshot, each part sealed by its own checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Trailer {
    /// Since 3.6, unless digests are off.
    pub digest: Option<ZxidDigest>,
    /// The last transaction that is in it, written since 3.9.
    pub last: Option<Zxid>,
}

impl Trailer {
    /// The last transaction that may be in a snapshot of this name; `None` where its release did not say.
    pub fn end(&self, name: Zxid) -> Option<Zxid> {
        let digest = self.digest.map(|digest| digest.zxid).filter(|zxid| zxid.0 != 0);
        self.last.max(digest).map(|end| end.max(name))
    }
}
