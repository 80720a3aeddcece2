//! A node that is about to be drained, and a leader that is evicted.
//!
//! Eviction itself is held to what keeps the quorum by the disruption budget. What is left to do is to give up leadership
//! before the leader stops, which spares clients an election by timeout: as soon as its node is cordoned, and at the latest
//! when its pod is being deleted, whoever deletes it. Its agent holds the server up for that long (`agent::routes`).

use super::standing::Standing;
use super::{Purpose, Step, due, mute, rolling, stop};
use crate::model::{Fact, Observation, ServerId};

/// Takes the leader out of the membership when its node was cordoned, and no other voter's was: with two of them, the
/// seat could go back and forth for as long as they are. So it could while another is to be restarted: it would take the seat
/// and give it up for its restart, and followers are restarted first.
pub fn hand_over(seen: &Observation, standing: &Standing) -> Option<Step> {
    let (leader, committed) = (standing.leader?, standing.committed.as_ref()?);
    let others: Vec<ServerId> = committed.voters().filter(|id| *id != leader).collect();
    let desired = seen.desired.as_ref().ok()?;
    let in_turn = others.iter().any(|id| due::turn(seen, desired, *id).is_some());
    let elsewhere = others.iter().all(|id| cordoned(seen, *id) == Some(false));
    let ready = cordoned(seen, leader) == Some(true) && !others.is_empty() && elsewhere;
    if !ready
        || in_turn
        || mute::left_alone(seen, standing, leader)
        || standing.blocker(seen).is_some()
        || rolling::unready(seen, committed).is_some()
    {
        return None;
    }
    Some(stop::leave(seen, standing, leader, committed.version, Purpose::HandOver))
}

/// Takes the leader out of the membership when its pod is being deleted and the server still leads. What is left tolerates
/// what it would tolerate with the leader stopped.
pub fn relieve(seen: &Observation, standing: &Standing) -> Option<Step> {
    let (leader, committed) = (standing.leader?, standing.committed.as_ref()?);
    let going = seen.pods.get(&leader.ordinal())?.terminating;
    let alone = committed.voters().count() == 1;
    if !going
        || alone
        || mute::left_alone(seen, standing, leader)
        || standing.blocker_but(seen, leader).is_some()
        || rolling::unready(seen, committed).is_some()
    {
        return None;
    }
    Some(stop::leave(seen, standing, leader, committed.version, Purpose::HandOver))
}

fn cordoned(seen: &Observation, id: ServerId) -> Option<bool> {
    let node = seen.pods.get(&id.ordinal())?.node.as_ref()?;
    seen.nodes.get(node).and_then(Fact::known).map(|node| node.cordoned)
}
