//! Which chains may have something of a time or later. A disk that was replaced leaves a chain for ever.

use super::chains;
use super::key::Chain;
use super::lost::Lost;
use super::segment::Facts;
use super::shipper::ShipError;
use super::store::Store;
use zookeeper_files::ids::Zxid;

/// In milliseconds: by so much no two clocks of leaders differ.
const LONG: i64 = 60 * 60 * 1000;

/// The chains of an ensemble.
pub(super) struct Chains {
    /// Those that may have something of the time or later.
    pub(super) live: Vec<Chain>,
    /// Those that have ended long before, each with its last transaction.
    pub(super) ended: Vec<(Chain, Zxid)>,
}

impl Chains {
    /// By the last segment of each, which a few requests find. Where all have ended, the one that came furthest is live.
    pub(super) async fn since(store: &Store, identity: &str, since: i64) -> Result<Self, ShipError> {
        let (mut live, mut ended) = (Vec::new(), Vec::new());
        for chain in chains::chains(store, identity).await? {
            if since == i64::MIN {
                live.push(chain);
                continue;
            }
            match chains::last(store, identity, &chain).await {
                Ok(Some(facts)) if is_long_before(&facts, since) => ended.push((chain, facts.last)),
                Ok(_) => live.push(chain),
                // Of one that cannot be read nothing is known.
                Err(error) => {
                    Lost::default().segment(error)?;
                    live.push(chain);
                }
            }
        }
        let last = ended.iter().max_by_key(|(_, last)| *last).map(|(chain, _)| chain.clone());
        live.extend(last.filter(|_| live.is_empty()));
        ended.retain(|(chain, _)| !live.contains(chain));
        Ok(Self { live, ended })
    }
}

/// Whether a segment ends so long before a time that clocks do not matter.
pub(super) fn is_long_before(facts: &Facts, since: i64) -> bool {
    facts.latest < since.saturating_sub(LONG)
}
