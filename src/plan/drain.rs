//! A node that is about to be drained.
//!
//! Eviction itself is held to what keeps the quorum by the disruption budget. What is left to do is to give up leadership
//! before the leader is evicted, which spares clients an election by timeout.

use super::standing::Standing;
use super::{Purpose, Step, rolling};
use crate::model::{Fact, Observation, ServerId};

/// Takes the leader out of the membership when its node was cordoned, and no other voter's was: with two of them, the
/// seat could go back and forth for as long as they are.
pub fn hand_over(seen: &Observation, standing: &Standing) -> Option<Step> {
    let (leader, committed) = (standing.leader?, standing.committed.as_ref()?);
    let others: Vec<ServerId> = committed.voters().filter(|id| *id != leader).collect();
    let elsewhere = others.iter().all(|id| cordoned(seen, *id) == Some(false));
    let ready = cordoned(seen, leader) == Some(true) && !others.is_empty() && elsewhere;
    if !ready || standing.blocker(seen).is_some() || rolling::unready(seen, committed).is_some() {
        return None;
    }
    Some(rolling::leave(seen, standing, leader, committed.version, Purpose::HandOver))
}

fn cordoned(seen: &Observation, id: ServerId) -> Option<bool> {
    let node = seen.pods.get(&id.ordinal())?.node.as_ref()?;
    seen.nodes.get(node).and_then(Fact::known).map(|node| node.cordoned)
}
