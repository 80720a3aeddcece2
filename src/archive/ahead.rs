//! The segments of a chain in their order, a few of them read ahead: one after the other, a day of one a second takes half an hour.

use futures::stream::{self, Stream, StreamExt as _};

use super::key::SegmentKey;
use super::segment::Segment;
use super::shipper::ShipError;
use super::store::Store;
use super::{chains, segment::Facts};

/// So many segments are on their way, of at most 4 MiB of log each, and rarely of one larger transaction.
const AHEAD: usize = 8;
/// So many roll-ups, of 16 MiB of log each.
const AHEAD_ROLLED: usize = 4;

/// Reads an ensemble's segments.
#[derive(Clone)]
pub struct Reader {
    stores: Vec<Store>,
    identity: String,
}

impl Reader {
    /// Of this ensemble.
    pub fn of(store: &Store, identity: &str) -> Self {
        Self { stores: (0..AHEAD).map(|_| store.beside()).collect(), identity: identity.to_owned() }
    }

    /// Whose segments it reads.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Segments in their order, each as it comes; `None` is one that was deleted meanwhile.
    pub fn ahead<'a>(
        &'a self,
        keys: &'a [SegmentKey],
    ) -> impl Stream<Item = (&'a SegmentKey, Result<Option<Segment>, ShipError>)> + Send + 'a {
        let read = async move |(number, key): (usize, &'a SegmentKey)| {
            let store = &self.stores[number % AHEAD];
            (key, chains::segment(store, &self.identity, key).await)
        };
        let rolled = keys.first().is_some_and(|key| key.chain.rolled);
        stream::iter(keys.iter().enumerate()).map(read).buffered(if rolled { AHEAD_ROLLED } else { AHEAD })
    }

    /// What a segment says of itself.
    pub async fn facts(&self, key: &SegmentKey) -> Result<Option<Facts>, ShipError> {
        chains::facts(&self.stores[0], &self.identity, key).await
    }
}
