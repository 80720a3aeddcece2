//! The folders of a chain's segments, of which only those are listed that are asked for. A month of a put a second has 2.6 million
//! segments, which are 2,600 pages of a list, in some thousand folders.

use zookeeper_files::ids::{Zxid, ZxidRange};

use super::chains;
use super::key::{Chain, SegmentKey};
use super::segment::Facts;
use super::shipper::ShipError;
use super::store::{Store, StoreError};

/// So many folders around a time are listed besides: the clocks of leaders differ.
const NEIGHBOURS: usize = 2;

/// A chain's folders, oldest first.
#[derive(Clone, Debug)]
pub struct Blocks {
    chain: Chain,
    folders: Vec<Block>,
}

#[derive(Clone, Debug)]
struct Block {
    /// No segment in it begins before.
    begins: Zxid,
    folder: String,
}

impl Blocks {
    /// Lists the folders of a chain, and none of their segments.
    pub async fn of(store: &Store, identity: &str, chain: &Chain) -> Result<Self, StoreError> {
        let mut folders = Vec::new();
        for epoch in chains::folders(store, &SegmentKey::folder(identity, chain)).await? {
            for folder in chains::folders(store, &epoch).await? {
                folders.extend(SegmentKey::begins(identity, &folder).map(|begins| Block { begins, folder }));
            }
        }
        Ok(Self { chain: chain.clone(), folders })
    }

    /// Whose they are.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Those with all segments that have something of a range, and with what is next to it on both sides, where there is anything.
    #[must_use]
    pub fn within(mut self, zxids: ZxidRange) -> Self {
        // What begins later than the range may be all that shows where it ends.
        let end = self.folders.partition_point(|block| block.begins <= zxids.last).saturating_add(1);
        self.folders.truncate(end);
        // The first of the range may be in the last segment of the folder before its own.
        let begin = self.folders.partition_point(|block| block.begins <= zxids.first).saturating_sub(2);
        self.folders.drain(..begin);
        self
    }

    /// The first ones.
    #[must_use]
    pub fn first(mut self, count: usize) -> Self {
        self.folders.truncate(count);
        self
    }

    /// The names of at least so many last segments, oldest first, if there are as many: some folders may have few of them, or none.
    pub async fn last_segments(
        &self,
        store: &Store,
        identity: &str,
        count: usize,
    ) -> Result<Vec<SegmentKey>, StoreError> {
        let mut last = Vec::new();
        for block in self.folders.iter().rev() {
            if last.len() >= count {
                break;
            }
            let names = store.names(&block.folder).await?;
            last.splice(0..0, names.iter().filter_map(|name| SegmentKey::parse(identity, name)));
        }
        Ok(last)
    }

    /// Between which zxids all is that has a time, in milliseconds since 1970, by one segment that is looked into of some folders.
    pub async fn of_time(&self, store: &Store, identity: &str, since: i64, until: i64) -> Result<ZxidRange, ShipError> {
        let mut zxids = ZxidRange::ALL;
        if since > i64::MIN {
            let early = |facts: &Facts| facts.latest < since;
            let begin = self.partition(store, identity, false, early).await?.saturating_sub(NEIGHBOURS);
            zxids.first = begin.checked_sub(1).map_or(Zxid(0), |begin| self.folders[begin].begins);
        }
        if until < i64::MAX {
            let late = |facts: &Facts| facts.earliest <= until;
            let end = self.partition(store, identity, true, late).await? + NEIGHBOURS;
            zxids.last = self.folders.get(end).map_or(Zxid(u64::MAX), |block| block.begins);
        }
        Ok(zxids)
    }

    /// How many of them come first for which it is so. Of one that cannot be read, `unread` is.
    async fn partition(
        &self,
        store: &Store,
        identity: &str,
        unread: bool,
        so: impl Fn(&Facts) -> bool,
    ) -> Result<usize, ShipError> {
        let (mut low, mut high) = (0, self.folders.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let key = store.one(&self.folders[middle].folder, |name| SegmentKey::parse(identity, name)).await?;
            let facts = match key {
                Some(key) => chains::facts(store, identity, &key).await,
                None => Ok(None),
            };
            let first = match facts {
                Ok(Some(facts)) => so(&facts),
                Ok(None) | Err(ShipError::Damaged { .. }) => unread,
                Err(ShipError::Store(error)) if error.is_of_one_object() => unread,
                Err(error) => return Err(error),
            };
            if first {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The names of their segments, oldest first: one folder after the other, so that no list is long.
    pub async fn segments(&self, store: &Store, identity: &str) -> Result<Vec<SegmentKey>, StoreError> {
        let mut segments = Vec::new();
        for block in &self.folders {
            let names = store.names(&block.folder).await?;
            segments.extend(names.iter().filter_map(|name| SegmentKey::parse(identity, name)));
        }
        Ok(segments)
    }
}
