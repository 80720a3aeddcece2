//! Names of an archive's objects.
//!
//! Invariants: a name holds the ensemble's identity and, for what one disk ships, the member and the disk, so that no two
//! writers ever share one; numbers have a fixed width, so that the order of names is the order of zxids; no clock is in it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use zookeeper_files::ids::Zxid;

use crate::model::ServerId;

/// The bits of a counter that share a folder: 65,536 transactions, so at most 66 pages of a list, where each was shipped alone. A
/// member that starts lists one of these folders.
const BLOCK_BITS: u32 = 16;
/// The same of a roll-up, which has some hundred thousand transactions: 256 folders for each epoch at most.
const ROLLED_BITS: u32 = 24;
/// What stands behind the disk in the name of a chain of roll-ups.
const ROLLED: &str = ".rolled";

/// The id of a disk, minted at random by the agent that first archives from it. A new disk begins a chain of its own. A copy
/// of a disk has the same id, and meets the objects of the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DiskId(String);

impl DiskId {
    /// From 64 random bits.
    pub fn from_bits(bits: u64) -> Self {
        Self(format!("{bits:016x}"))
    }
}

impl TryFrom<String> for DiskId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match hex(&text, 16) {
            Some(bits) => Ok(Self::from_bits(bits)),
            None => Err(format!("{text:?} is no disk id: 16 lower-case hexadecimal digits")),
        }
    }
}

impl From<DiskId> for String {
    fn from(disk: DiskId) -> Self {
        disk.0
    }
}

impl fmt::Display for DiskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What one member ships from one disk: segments that follow each other. Or the same again in fewer and larger ones, its roll-ups.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Chain {
    /// The member.
    pub member: ServerId,
    /// Its disk.
    pub disk: DiskId,
    /// Whether these are the roll-ups of what the member has shipped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rolled: bool,
}

impl Chain {
    /// What this member ships from this disk.
    pub fn of(member: ServerId, disk: DiskId) -> Self {
        Self { member, disk, rolled: false }
    }

    /// The roll-ups of the same disk.
    #[must_use]
    pub fn rolled(&self) -> Self {
        Self { rolled: true, ..self.clone() }
    }

    /// Whether both are of one disk.
    pub fn is_of_the_disk_of(&self, other: &Self) -> bool {
        (self.member, &self.disk) == (other.member, &other.disk)
    }

    fn block_bits(&self) -> u32 {
        if self.rolled { ROLLED_BITS } else { BLOCK_BITS }
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}{}", self.member, self.disk, if self.rolled { ROLLED } else { "" })
    }
}

impl FromStr for Chain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is no chain: MEMBER.DISK, or MEMBER.DISK{ROLLED}");
        let (named, rolled) = match text.strip_suffix(ROLLED) {
            Some(named) => (named, true),
            None => (text, false),
        };
        let (member, disk) = named.split_once('.').ok_or_else(wrong)?;
        let number: u32 = member.parse().map_err(|_| wrong())?;
        // Only one spelling of a number is a name.
        if number.to_string() != member {
            return Err(wrong());
        }
        Ok(Self { member: ServerId(number), disk: DiskId::try_from(disk.to_owned()).map_err(|_| wrong())?, rolled })
    }
}

/// The name of a segment, below the ensemble's identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentKey {
    /// The chain that it belongs to.
    pub chain: Chain,
    /// Its first transaction. Its last one is not in its name: two writers of one chain meet at their first difference.
    pub first: Zxid,
}

impl SegmentKey {
    /// The folder of a chain's segments.
    pub fn folder(identity: &str, chain: &Chain) -> String {
        format!("{identity}/log/{chain}")
    }

    /// The whole name.
    pub fn path(&self, identity: &str) -> String {
        let Self { chain, first } = self;
        let (epoch, block) = (first.epoch(), first.counter() >> chain.block_bits());
        format!("{}/{epoch:08x}/{block:04x}/{:016x}", Self::folder(identity, chain), first.0)
    }

    /// The least zxid that a segment in a folder of them can begin with; `None` for any other folder.
    pub fn begins(identity: &str, folder: &str) -> Option<Zxid> {
        let rest = folder.strip_prefix(identity)?.strip_prefix("/log/")?;
        let mut parts = rest.split('/');
        let (chain, epoch, block) = (parts.next()?, parts.next()?, parts.next()?);
        let chain: Chain = chain.parse().ok()?;
        let begins = hex(block, 4)?.checked_shl(chain.block_bits()).filter(|begins| u32::try_from(*begins).is_ok())?;
        let first = Zxid(hex(epoch, 8)? << 32 | begins);
        let key = Self { chain, first };
        key.path(identity)
            .strip_suffix(&format!("/{:016x}", first.0))
            .is_some_and(|path| path == folder)
            .then_some(first)
    }

    /// Reads a whole name; `None` for any other object.
    pub fn parse(identity: &str, path: &str) -> Option<Self> {
        let rest = path.strip_prefix(identity)?.strip_prefix("/log/")?;
        let mut parts = rest.split('/');
        let (chain, _, _, first) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let key = Self { chain: chain.parse().ok()?, first: Zxid(hex(first, 16)?) };
        (key.path(identity) == path).then_some(key)
    }
}

/// The name of a base, below the ensemble's identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BaseKey {
    /// The zxid in the snapshot's name.
    pub zxid: Zxid,
    /// Whose snapshot it is.
    pub chain: Chain,
}

impl BaseKey {
    /// The folder of all bases of an ensemble.
    pub fn bases(identity: &str) -> String {
        format!("{identity}/snap")
    }

    /// The folder of its parts.
    pub fn folder(&self, identity: &str) -> String {
        format!("{}/{:016x}.{}", Self::bases(identity), self.zxid.0, self.chain)
    }

    /// The name of a part.
    pub fn part(&self, identity: &str, number: usize) -> String {
        format!("{}/{number:04x}", self.folder(identity))
    }

    /// The name of its manifest.
    pub fn manifest(&self, identity: &str) -> String {
        format!("{}/manifest", self.folder(identity))
    }

    /// The names of the marks that say that it is retired: the younger one counts. Who retires it anew stores the second before the
    /// first may go, so that it is never without.
    pub fn marks(&self, identity: &str) -> [String; 2] {
        let folder = self.folder(identity);
        [format!("{folder}/retired"), format!("{folder}/retired-again")]
    }

    /// Reads the name of a folder in [`BaseKey::bases`]; `None` for any other.
    pub fn parse(folder: &str) -> Option<Self> {
        let (zxid, chain) = folder.split_once('.')?;
        let chain = chain.parse().ok().filter(|chain: &Chain| !chain.rolled)?;
        Some(Self { zxid: Zxid(hex(zxid, 16)?), chain })
    }
}

/// Whether an identity can stand in a name: it comes from a custom resource's uid, and an archive is asked for by it.
pub fn is_identity(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn hex(text: &str, digits: usize) -> Option<u64> {
    let plain = text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    plain.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn key(member: u32, bits: u64, first: u64) -> SegmentKey {
        SegmentKey { chain: Chain::of(ServerId(member), DiskId::from_bits(bits)), first: Zxid(first) }
    }

    #[test]
    fn a_name_tells_whose_it_is_and_where_it_begins() {
        let path = key(3, 0xab, 0x2_0010_0001).path("one");
        assert_eq!(path, "one/log/3.00000000000000ab/00000002/0010/0000000200100001");
    }

    #[test]
    fn roll_ups_are_a_chain_beside_the_one_whose_they_are() {
        let rolled = SegmentKey { chain: key(3, 0xab, 0).chain.rolled(), first: Zxid(0x2_0110_0001) };
        let path = rolled.path("one");
        assert_eq!(path, "one/log/3.00000000000000ab.rolled/00000002/0001/0000000201100001");
        assert_eq!(SegmentKey::parse("one", &path), Some(rolled.clone()));
        assert_eq!(SegmentKey::begins("one", path.rsplit_once('/').unwrap().0), Some(Zxid(0x2_0100_0000)));
        for wrong in
            [path.replace(".rolled", ".rolled.rolled"), path.replace("/0001/", "/0110/"), path.replace(".rolled", "")]
        {
            assert_eq!(SegmentKey::parse("one", &wrong), None, "{wrong}");
        }
        assert_eq!(SegmentKey::begins("one", "one/log/3.00000000000000ab.rolled/00000002/ffff"), None);
        assert!(rolled.chain.is_of_the_disk_of(&key(3, 0xab, 0).chain) && rolled.chain != key(3, 0xab, 0).chain);
    }

    #[test]
    fn a_bases_name_tells_which_snapshot_of_whom_it_is() {
        let key = BaseKey { zxid: Zxid(0x2_0010_0001), chain: key(3, 0xab, 0).chain };
        assert_eq!(key.part("one", 26), "one/snap/0000000200100001.3.00000000000000ab/001a");
        assert_eq!(BaseKey::parse("0000000200100001.3.00000000000000ab"), Some(key));
        for wrong in [
            "",
            "x",
            "0000000200100001.3.00000000000000ab.rolled",
            "200100001.3.00000000000000ab",
            "0000000200100001.03.00000000000000ab",
        ] {
            assert_eq!(BaseKey::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_name_is_read_as_it_was_written(member in 1..255_u32, bits: u64, first: u64) {
            let key = key(member, bits, first);
            assert_eq!(SegmentKey::parse("a-1", &key.path("a-1")), Some(key));
        }

        #[test]
        fn names_of_a_chain_are_in_the_order_of_zxids(bits: u64, one in any::<u64>(), other in any::<u64>()) {
            let path = |first| key(1, bits, first).path("a");
            assert_eq!(path(one).cmp(&path(other)), one.cmp(&other));
        }

        #[test]
        fn no_text_is_taken_for_a_name_that_it_is_not(text in ".{0,80}") {
            if let Some(key) = SegmentKey::parse("a", &text) {
                assert_eq!(key.path("a"), text);
            }
        }
    }

    #[test]
    fn other_objects_and_other_spellings_are_no_segments() {
        let path = key(3, 0xab, 0x2_0010_0001).path("one");
        for wrong in [
            path.replace("one", "two"),
            path.replace("3.", "03."),
            path.replace("ab/", "AB/"),
            path.replace("/0010/", "/0020/"),
            path.replace("/log/", "/snap/"),
            format!("{path}0"),
            format!("{path}/x"),
            "one/ensemble".to_owned(),
        ] {
            assert_eq!(SegmentKey::parse("one", &wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_identity_is_what_a_uid_is_made_of() {
        assert!(is_identity("0b5c7e0c-6f3e-4a53-9d0e-2f7b4f0f2a11"));
        for wrong in ["", "..", "a/b", "A", "a#1", &"a".repeat(65)] {
            assert!(!is_identity(wrong), "{wrong}");
        }
    }
}
