//! Restarts of members that do not serve.
//!
//! - What counts is how long a member has not served, according to its agent and to Kubernetes, never the age of its
//!   pod. In the first millisecond of an election, members of old pods looked as if they had been down for ever, so a
//!   roll that halted at a bad image, plus one crash, became a total outage.
//! - If a server ends, its kubelet restarts it in place, unchanged. A server that has served in this pod gets the time
//!   for that, whatever revision or approval is pending.
//! - Without a leader nothing shows which revision can serve. So at most one member at a time gets the newest revision,
//!   and only a member that has not served with its own, or that ends again and again.

use super::stop::{restart, stays};
use super::view::{MemberView, View};
use super::{Step, hindered, replace, volume};
use crate::model::observed::MemberRequest;
use crate::model::truth::ServerState;
use crate::model::{Beginning, Membership, Pool, Seat, ServerId};

/// A server that ended this often in its pod, and did not serve for the whole deadline, will not recover by itself.
const CRASHES: u32 = 3;

/// How long a pod runs before it is made again so that its empty volume may vote.
const RETRY: u64 = 30;

/// In a server that takes part in the ensemble, something moves within `syncLimit`, 10 s.
const STILL: u64 = 15;

/// Restarts a pod that does not serve. The members that stay synced must be a majority; without a quorum, it must be a
/// member that nobody could need. What the member reads when it starts may be old, but not false.
pub fn heal(view: &View<'_>) -> Option<Step> {
    let changes = view.object_changes()?;
    let beginning = view.origin().ok()?.beginning;
    let mut candidates = view.pods().filter(|(_, member, pod)| !pod.terminating && !member.pinned);
    let (id, pod, why) =
        candidates.find_map(|(id, member, pod)| Some((id, pod, heals(view, id, member, beginning)?)))?;
    let false_start = hindered::charter_blocked(view.seen, &changes.held, &changes.confirmed_charter).is_some()
        && !hindered::may_start(view.seen, &changes.confirmed_charter);
    (!false_start).then(|| restart(view, id, pod, why))
}

fn heals(view: &View<'_>, id: ServerId, member: &MemberView<'_>, beginning: Beginning) -> Option<String> {
    match (view.committed(), beginning) {
        (Some(committed), _) => beside_a_leader(view, id, member, committed),
        (None, Beginning::Birth) => at_birth(view, member),
        (None, Beginning::TakenUp) => without_a_leader(view, id, member),
    }
}

/// The others have a quorum and keep it.
fn beside_a_leader(view: &View<'_>, id: ServerId, member: &MemberView<'_>, committed: &Membership) -> Option<String> {
    let hangs = replace::hung(member);
    let why = member.due.clone().or_else(|| hangs.clone())?;
    // A recorded voter must not come back empty: it leaves the membership first (`replace`).
    if member.passing.is_some() {
        return None;
    }
    let spared = || member.turn.is_some() && view.blocker_but(id).is_none();
    let lost = hangs.is_some() || never_served(member) || starts_anew(view, id) || given_up(view, member) || spared();
    (lost && !member.synced() && stays(view, committed, id)).then_some(why)
}

/// Nobody has written anything yet.
fn at_birth(view: &View<'_>, member: &MemberView<'_>) -> Option<String> {
    let down = member.stopped() || member.requested(MemberRequest::Restart) || misled(member) || given_up(view, member);
    // A founder that may have voted must not come back empty and vote again. Nobody has voted from a volume that was
    // never bound.
    let spare = member.passing.is_none() || member.claim.is_some_and(|claim| claim.volume.is_none());
    member.due.clone().or_else(|| member.passing.clone()).filter(|_| down && spare)
}

/// It was started with other settings than its pod has now, for example other founders. It has never followed anybody,
/// and nothing moves in it. Two of three may still be a quorum of the longer list, so a member that receives data from
/// such a leader is left alone (found by the simulation). Its volume stays, whatever its server may have promised.
fn misled(member: &MemberView<'_>) -> bool {
    member.report.is_some_and(|truth| {
        let lived =
            truth.disk.record.is_some_and(|record| record.0 > 0) || truth.disk.epoch.is_some_and(|epoch| epoch > 0);
        let still = truth.still.is_some_and(|seconds| seconds > STILL);
        truth.disk.outdated.is_some() && !lived && still && !matches!(truth.server, ServerState::Serving(_))
    })
}

/// A quorum may come back by itself if its members are left alone.
fn without_a_leader(view: &View<'_>, id: ServerId, member: &MemberView<'_>) -> Option<String> {
    // One whose right was denied at its start, since nobody with data answered, tries again, and not without a pause.
    let rested = member.pod.is_some_and(|pod| view.seen.now.saturating_sub(pod.since) > RETRY);
    if rested && votes_empty(view, id, member) {
        return member.due.clone();
    }
    let deadline = view.desired?.deadline;
    let long = idle(view.seen.now, member).is_some_and(|seconds| seconds > deadline);
    let crashes = member.stopped() && member.pod.is_some_and(|pod| pod.restarts >= CRASHES) && long;
    let asked = member.requested(MemberRequest::Restart) && long;
    let waits = |patience| in_the_air(view, id, patience) || unmade(view, deadline);
    // A member that never served loses nothing but its turn. It does not wait for ever for one that cannot run for
    // another reason, such as a lost volume (found by the simulation).
    let frozen = replace::frozen(member);
    let gone = crashes || asked || frozen.is_some();
    let spare = if never_served(member) { !waits(deadline) } else { gone && !waits(u64::MAX) };
    member.due.clone().or(frozen).filter(|_| spare && volume::kept(view, member))
}

/// Nothing is lost with it: it does not run, and its pod never served with this template.
fn never_served(member: &MemberView<'_>) -> bool {
    member.stopped() && member.pod.is_some_and(|pod| !pod.served)
}

/// It cannot read its data, and is allowed to start empty.
fn starts_anew(view: &View<'_>, id: ServerId) -> bool {
    let granted = view.seen.charter.as_ref().and_then(|charter| charter.resync.get(&id));
    granted.is_some() && granted == view.member(id).pod.map(|pod| &pod.uid)
}

/// Its volume is empty, and it is allowed to vote all the same, which it finds at its next start.
fn votes_empty(view: &View<'_>, id: ServerId, member: &MemberView<'_>) -> bool {
    let allowed = view.seen.charter.as_ref().is_some_and(|charter| charter.may_vote.contains_key(&id));
    allowed && member.report.is_some_and(|truth| !truth.disk.database)
}

/// It has not served for the whole deadline, and in that time it did not run, or nothing moved in it.
fn given_up(view: &View<'_>, member: &MemberView<'_>) -> bool {
    let long = |seconds: u64| view.desired.is_some_and(|desired| seconds > desired.deadline);
    let still = member.report.and_then(|truth| truth.still).is_some_and(long);
    (member.stopped() || still) && idle(view.seen.now, member).is_some_and(long)
}

/// For how many seconds a member has not served, according to Kubernetes and its agent: the shorter of the two. `None`
/// for a member that serves, or if neither can tell.
pub fn idle(now: u64, member: &MemberView<'_>) -> Option<u64> {
    let pod = member.pod.filter(|pod| !pod.ready)?;
    let since = if pod.served { pod.unready } else { Some(pod.since) };
    let by_kubernetes = since.map(|since| now.saturating_sub(since));
    let by_agent = match member.report {
        Some(truth) if matches!(truth.server, ServerState::Serving(_)) => return None,
        Some(truth) => truth.stalled,
        None => None,
    };
    match (by_kubernetes, by_agent) {
        (Some(kubernetes), Some(agent)) => Some(kubernetes.min(agent)),
        (one, other) => one.or(other),
    }
}

/// Another member has the newest revision and has not run with it for at most this long, or is on its way to it.
fn in_the_air(view: &View<'_>, id: ServerId, patience: u64) -> bool {
    let newest = view.seen.set(Pool::Voters).and_then(|set| set.update_revision.as_ref());
    let mut others = view.pods().filter(|(other, ..)| *other != id);
    others.any(|(_, member, pod)| {
        let fails = pod.revision.as_ref() == newest && pod.running != Some(true);
        let lately = || idle(view.seen.now, member).is_none_or(|seconds| seconds <= patience);
        pod.terminating || (fails && lately())
    })
}

/// A pod is about to be created. A pod that was refused for longer than a restart may take does not count: a quota that
/// others use up may stay used up. Nor does one whose name another pod has.
fn unmade(view: &View<'_>, deadline: u64) -> bool {
    let seen = view.seen;
    let refused = |seat: &Seat| seen.hindrances.pods.get(seat).and_then(|refusal| refusal.since);
    let long = |since: u64| seen.now.saturating_sub(since) > deadline;
    let comes = |seat: &&Seat| hindered::in_the_way(seen, **seat).is_none();
    seen.unmanned().iter().filter(comes).any(|seat| !refused(seat).is_some_and(long))
}
