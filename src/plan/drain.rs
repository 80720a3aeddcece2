//! A node that is about to be drained, and a leader that is evicted.
//!
//! Eviction itself is held to what keeps the quorum by the disruption budget. What is left to do is to give up leadership
//! before the leader stops, which spares clients an election by timeout: as soon as its node is cordoned, and at the latest
//! when its pod is being deleted, whoever deletes it. Its agent holds the server up for that long (`agent::routes`).

use super::view::{Row, View};
use super::{Purpose, Step, mute, rolling, stop};
use crate::model::Fact;

/// Takes the leader out of the membership when its node was cordoned, and no other voter's was: with two of them, the
/// seat could go back and forth for as long as they are. So it could while another is to be restarted: it would take the seat
/// and give it up for its restart, and followers are restarted first.
pub fn hand_over(view: &View<'_>) -> Option<Step> {
    let (leader, committed) = (view.quorum.leader?, view.committed()?);
    let others: Vec<&Row<'_>> = committed.voters().filter(|id| *id != leader).map(|id| view.row(id)).collect();
    let in_turn = others.iter().any(|row| row.turn.is_some());
    let elsewhere = others.iter().all(|row| cordoned(view, row) == Some(false));
    let ready = cordoned(view, view.row(leader)) == Some(true) && !others.is_empty() && elsewhere;
    if !ready
        || in_turn
        || mute::left_alone(view, leader)
        || view.blocker().is_some()
        || rolling::unready(view).is_some()
    {
        return None;
    }
    Some(stop::leave(view, leader, committed, Purpose::HandOver))
}

/// Takes the leader out of the membership when its pod is being deleted and the server still leads. What is left tolerates
/// what it would tolerate with the leader stopped.
pub fn relieve(view: &View<'_>) -> Option<Step> {
    let (leader, committed) = (view.quorum.leader?, view.committed()?);
    let going = view.row(leader).pod?.terminating;
    let alone = committed.voters().count() == 1;
    if !going
        || alone
        || mute::left_alone(view, leader)
        || view.blocker_but(leader).is_some()
        || rolling::unready(view).is_some()
    {
        return None;
    }
    Some(stop::leave(view, leader, committed, Purpose::HandOver))
}

fn cordoned(view: &View<'_>, row: &Row<'_>) -> Option<bool> {
    let node = row.pod?.node.as_ref()?;
    view.seen.nodes.get(node).and_then(Fact::known).map(|node| node.cordoned)
}
