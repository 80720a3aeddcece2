//! What follows the znodes of a snapshot.

use crate::ids::Zxid;

/// A server's digest of its tree, and the transaction that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ZxidDigest {
    /// The transaction; 0 directly after a sync from a leader, before the server knows one.
    pub zxid: Zxid,
    /// The version of the algorithm; 2 in all releases that also log digests.
    pub version: i32,
    /// The digest.
    pub tree: i64,
}

/// What later releases append to a snapshot; each part has its own checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Trailer {
    /// Since 3.6, unless digests are off.
    pub digest: Option<ZxidDigest>,
    /// The last transaction in the snapshot. Since 3.9.
    pub last: Option<Zxid>,
}

impl Trailer {
    /// The last transaction that may be in a snapshot of this name; `None` if its release does not write it.
    pub fn end(&self, name: Zxid) -> Option<Zxid> {
        let digest = self.digest.map(|digest| digest.zxid).filter(|zxid| zxid.0 != 0);
        self.last.max(digest).map(|end| end.max(name))
    }
}
