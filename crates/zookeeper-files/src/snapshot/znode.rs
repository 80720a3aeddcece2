//! A znode in a snapshot.

use crate::ids::Zxid;
use crate::jute::{Decoder, Encode, Malformed, Text};
use crate::log::SessionId;
use crate::path;

/// The key of the open ACL, which is in no table: all rights for everybody.
pub const OPEN_ACL: i64 = -1;

/// What a server stores about a znode besides its data.
///
/// `cversion` counts created children here. Clients see twice that number minus the number of children.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stat {
    /// The transaction that created it.
    pub czxid: Zxid,
    /// The transaction that last set its data.
    pub mzxid: Zxid,
    /// The transaction that last created or deleted a child.
    pub pzxid: Zxid,
    /// When it was created, in milliseconds since 1970.
    pub ctime: i64,
    /// When its data was last set.
    pub mtime: i64,
    /// How often the data was set.
    pub version: i32,
    /// How many children were created.
    pub cversion: i32,
    /// How often the ACL was set.
    pub aversion: i32,
    /// The owner, encoded; see [`Stat::owner`].
    pub ephemeral_owner: i64,
}

/// How long a znode lives, by its `ephemeralOwner`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// Until it is deleted.
    Persistent,
    /// As long as this session lives.
    Session(SessionId),
    /// Until some time after its last child is gone.
    Container,
    /// Until it has no children and was not modified for this many milliseconds.
    Ttl(i64),
}

const CONTAINER: i64 = i64::MIN;
const TTL_MASK: i64 = 0xff << 56;
const TTL_RESERVED: i64 = 0xffff << 40;
/// What 3.5.3 set before a TTL. A session of a server 128 has it too, but not the zeros that follow: its time lies there.
const TTL_353: i64 = 0x80 << 56;

impl Owner {
    /// Its number in a stat.
    pub(crate) fn encoded(self) -> i64 {
        match self {
            Self::Persistent => 0,
            Self::Session(session) => session.0,
            Self::Container => CONTAINER,
            Self::Ttl(milliseconds) => TTL_MASK | (milliseconds & !(TTL_MASK | TTL_RESERVED)),
        }
    }
}

impl Stat {
    /// The bytes of a stat.
    pub(crate) const LENGTH: usize = 60;

    /// The owner of the znode. Without extended types, servers read TTLs as sessions of a server 255, which cannot exist.
    pub fn owner(&self) -> Owner {
        match self.ephemeral_owner {
            0 => Owner::Persistent,
            CONTAINER => Owner::Container,
            ttl if ttl & TTL_MASK == TTL_MASK && ttl & TTL_RESERVED == 0 => {
                Owner::Ttl(ttl & !(TTL_MASK | TTL_RESERVED))
            }
            ttl if ttl & (TTL_MASK | TTL_RESERVED) == TTL_353 => Owner::Ttl(ttl & !TTL_353),
            session => Owner::Session(SessionId(session)),
        }
    }

    /// The `cversion` that clients see.
    pub fn served_cversion(&self, children: usize) -> i32 {
        self.cversion.wrapping_mul(2).wrapping_sub(i32::try_from(children).unwrap_or(i32::MAX))
    }

    /// The znode's part of the digest of its tree, which is the sum over all znodes. Znodes below `/zookeeper` have none,
    /// because each server counts quotas itself.
    pub fn digest(&self, path: &[u8], data: Option<&[u8]>) -> u32 {
        if path.starts_with(b"/zookeeper/") {
            return 0;
        }
        let Self { czxid, mzxid, pzxid, ctime, mtime, version, cversion, aversion, ephemeral_owner } = *self;
        let mut stat = [0; Self::LENGTH];
        let (longs, rest) = stat.split_at_mut(40);
        let (ints, owner) = rest.split_at_mut(12);
        let values = [czxid.0, mzxid.0, pzxid.0, ctime.cast_unsigned(), mtime.cast_unsigned()];
        longs.chunks_exact_mut(8).zip(values).for_each(|(to, value)| to.copy_from_slice(&value.to_be_bytes()));
        let versions = [version, cversion, aversion];
        ints.chunks_exact_mut(4).zip(versions).for_each(|(to, value)| to.copy_from_slice(&value.to_be_bytes()));
        owner.copy_from_slice(&ephemeral_owner.to_be_bytes());
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(path);
        hasher.update(data.unwrap_or_default());
        hasher.update(&stat);
        hasher.finalize()
    }

    /// The highest zxid in it.
    pub(crate) fn newest(&self) -> Zxid {
        self.czxid.max(self.mzxid).max(self.pzxid)
    }

    pub(crate) fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let zxid = |number: i64| Zxid(number.cast_unsigned());
        let (czxid, mzxid) = (zxid(from.i64()?), zxid(from.i64()?));
        let (ctime, mtime) = (from.i64()?, from.i64()?);
        let (version, cversion, aversion) = (from.i32()?, from.i32()?, from.i32()?);
        let ephemeral_owner = from.i64()?;
        let pzxid = zxid(from.i64()?);
        Ok(Self { czxid, mzxid, pzxid, ctime, mtime, version, cversion, aversion, ephemeral_owner })
    }

    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        let Self { czxid, mzxid, pzxid, ctime, mtime, version, cversion, aversion, ephemeral_owner } = *self;
        to.put_i64(czxid.0.cast_signed());
        to.put_i64(mzxid.0.cast_signed());
        to.put_i64(ctime);
        to.put_i64(mtime);
        to.put_i32(version);
        to.put_i32(cversion);
        to.put_i32(aversion);
        to.put_i64(ephemeral_owner);
        to.put_i64(pzxid.0.cast_signed());
    }
}

/// A znode, borrowed from the reader's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SnapshotZnode<'a> {
    /// Its path; the root's is empty.
    pub path: Text<'a>,
    /// Its data.
    pub data: Option<&'a [u8]>,
    /// The key of its ACL in the snapshot's table, or [`OPEN_ACL`].
    pub acl: i64,
    /// The rest.
    pub stat: Stat,
}

impl<'a> SnapshotZnode<'a> {
    /// The path as users write it: the root's is `/`.
    pub fn shown_path(&self) -> Text<'a> {
        Text(path::shown(self.path.0))
    }
}
