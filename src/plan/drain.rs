//! Handles a node that is about to be drained, and a leader that is evicted.
//!
//! The disruption budget limits evictions to what keeps the quorum. What remains is to hand over leadership before the
//! leader stops, which spares clients an election by timeout: as soon as the leader's node is cordoned, and at the
//! latest when its pod is being deleted, whoever deletes it. The leader's agent keeps the server running for that long
//! (`agent::routes`).

use super::view::{MemberView, View};
use super::{Purpose, Step, mute, rolling, stop};
use crate::model::Fact;

/// Takes the leader out of the membership when its node is cordoned and no other voter's node is. With two cordoned
/// nodes, leadership could go back and forth between them. The same could happen while another voter is to be
/// restarted: it would become leader and then hand over for its own restart. Followers are restarted first. A
/// member without whose weight the others are no quorum goes on leading.
pub fn hand_over(view: &View<'_>) -> Option<Step> {
    let (leader, committed) = (view.quorum.leader?, view.committed()?);
    let others: Vec<&MemberView<'_>> =
        committed.voters().filter(|id| *id != leader).map(|id| view.member(id)).collect();
    let in_turn = others.iter().any(|member| member.turn.is_some());
    let elsewhere = others.iter().all(|member| cordoned(view, member) == Some(false));
    let ready = cordoned(view, view.member(leader)) == Some(true) && !others.is_empty() && elsewhere;
    if !ready
        || in_turn
        || mute::left_alone(view, leader)
        || stop::outweighs(view, committed, leader).is_some()
        || view.blocker().is_some()
        || rolling::unready(view).is_some()
    {
        return None;
    }
    Some(stop::leave(view, leader, committed, Purpose::HandOver))
}

/// Takes the leader out of the membership when its pod is being deleted and the server still leads. The remaining
/// membership tolerates as much as it would with the leader stopped.
pub fn relieve(view: &View<'_>) -> Option<Step> {
    let (leader, committed) = (view.quorum.leader?, view.committed()?);
    let going = view.member(leader).pod?.terminating;
    let alone = committed.voters().count() == 1;
    if !going
        || alone
        || mute::left_alone(view, leader)
        || stop::outweighs(view, committed, leader).is_some()
        || view.blocker_but(leader).is_some()
        || rolling::unready(view).is_some()
    {
        return None;
    }
    Some(stop::leave(view, leader, committed, Purpose::HandOver))
}

fn cordoned(view: &View<'_>, member: &MemberView<'_>) -> Option<bool> {
    let node = member.pod?.node.as_ref()?;
    view.seen.nodes.get(node).and_then(Fact::known).map(|node| node.cordoned)
}
