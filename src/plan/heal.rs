//! Restarts of members that do not serve.
//!
//! - What counts against a member is how long it has not served, by its agent and by Kubernetes, never how old its pod is: in
//!   the first millisecond of an election every member of an old pod looked like one that had been down for ever, and a roll
//!   that had halted at a bad image plus one crash was a total outage.
//! - A server that ended is started again by its kubelet, in place and as it was. Whoever served in this pod is left that
//!   time, whatever revision or approval waits.
//! - While nobody leads, nothing shows which revision can serve: at most one member at a time gets the newest, and only one
//!   that has not served with what it has, or ends again and again.

use super::stop::{restart, stays};
use super::view::{Row, View};
use super::{Step, hindered, replace, volume};
use crate::model::observed::Asked;
use crate::model::truth::ServerState;
use crate::model::{Beginning, Membership, Pool, Seat, ServerId};

/// A server that ended so often in its pod, and has not served for the whole deadline, will not by itself.
const CRASHES: u32 = 3;

/// In a server that takes part in anything something moves within `syncLimit`, 10 s.
const STILL: u64 = 15;

/// The restart of a pod that does not serve. What stays synced without it has to be a majority; without a quorum, one that
/// nobody could need. What a member finds when it starts may be old; it may not be false.
pub fn heal(view: &View<'_>) -> Option<Step> {
    let draft = view.draft()?;
    let beginning = view.origin().ok()?.beginning;
    let mut candidates = view.pods().filter(|(_, row, pod)| !pod.terminating && !row.pinned);
    let (id, pod, why) = candidates.find_map(|(id, row, pod)| Some((id, pod, heals(view, id, row, beginning)?)))?;
    let false_start =
        hindered::untold(view.seen, &draft.held, &draft.told).is_some() && !hindered::may_start(view.seen, &draft.told);
    (!false_start).then(|| restart(view, id, pod, why))
}

fn heals(view: &View<'_>, id: ServerId, row: &Row<'_>, beginning: Beginning) -> Option<String> {
    match (view.committed(), beginning) {
        (Some(committed), _) => beside_a_leader(view, id, row, committed),
        (None, Beginning::Birth) => at_birth(view, row),
        (None, Beginning::TakenUp) => without_a_leader(view, id, row),
    }
}

/// The others have a quorum, and keep it.
fn beside_a_leader(view: &View<'_>, id: ServerId, row: &Row<'_>, committed: &Membership) -> Option<String> {
    let hangs = replace::hung(row);
    let why = row.due.clone().or_else(|| hangs.clone())?;
    // Empty, it must not come back as one that is on record as a voter: it leaves first (`replace`).
    if row.passing.is_some() {
        return None;
    }
    let spared = || row.turn.is_some() && view.blocker_but(id).is_none();
    let lost = hangs.is_some() || never_served(row) || starts_anew(view, id) || given_up(view, row) || spared();
    (lost && !row.synced() && stays(view, committed, id)).then_some(why)
}

/// Nobody has written anything yet.
fn at_birth(view: &View<'_>, row: &Row<'_>) -> Option<String> {
    let down = row.stopped() || row.asked(Asked::Restart) || misled(row) || given_up(view, row);
    // A founder that may have voted must not come back empty and vote again; on what was never bound nobody has.
    let spare = row.passing.is_none() || row.claim.is_some_and(|claim| claim.volume.is_none());
    row.due.clone().or_else(|| row.passing.clone()).filter(|_| down && spare)
}

/// It was started with something else than its pod has now, other founders for one, has never followed anybody, and nothing
/// moves in it. Two of three may still be a quorum of the longer list: one that receives from such a leader is left alone
/// (found by the simulation). Its volume stays, whatever it may have promised meanwhile.
fn misled(row: &Row<'_>) -> bool {
    row.report.is_some_and(|truth| {
        let lived =
            truth.disk.record.is_some_and(|record| record.0 > 0) || truth.disk.epoch.is_some_and(|epoch| epoch > 0);
        let still = truth.still.is_some_and(|seconds| seconds > STILL);
        truth.disk.outdated.is_some() && !lived && still && !matches!(truth.server, ServerState::Serving(_))
    })
}

/// A quorum may come back by itself, as long as its members are left as they are.
fn without_a_leader(view: &View<'_>, id: ServerId, row: &Row<'_>) -> Option<String> {
    let deadline = view.desired?.deadline;
    let long = idle(view.seen.now, row).is_some_and(|seconds| seconds > deadline);
    let crashes = row.stopped() && row.pod.is_some_and(|pod| pod.restarts >= CRASHES) && long;
    let asked = row.asked(Asked::Restart) && long;
    let waits = |patience| in_the_air(view, id, patience) || unmade(view, deadline);
    // What never served has nothing to lose but its turn: it does not wait for ever for one that cannot run for a reason of
    // its own, such as a volume that is gone (found by the simulation).
    let frozen = replace::frozen(row);
    let gone = crashes || asked || frozen.is_some();
    let spare = if never_served(row) { !waits(deadline) } else { gone && !waits(u64::MAX) };
    row.due.clone().or(frozen).filter(|_| spare && volume::kept(view, row))
}

/// Nothing is lost with it: it does not run, and what its pod was made from never served there.
fn never_served(row: &Row<'_>) -> bool {
    row.stopped() && row.pod.is_some_and(|pod| !pod.served)
}

/// It cannot read its data, and has leave to begin without.
fn starts_anew(view: &View<'_>, id: ServerId) -> bool {
    let granted = view.seen.charter.as_ref().and_then(|charter| charter.resync.get(&id));
    granted.is_some() && granted == view.row(id).pod.map(|pod| &pod.uid)
}

/// It has not served for the whole deadline: it does not run, or nothing has moved in it for as long.
fn given_up(view: &View<'_>, row: &Row<'_>) -> bool {
    let long = |seconds: u64| view.desired.is_some_and(|desired| seconds > desired.deadline);
    let still = row.report.and_then(|truth| truth.still).is_some_and(long);
    (row.stopped() || still) && idle(view.seen.now, row).is_some_and(long)
}

/// For how many seconds a member has not served, as far as Kubernetes and its agent can tell; of two answers the shorter one.
/// `None` for one that serves, and where nobody can tell.
pub fn idle(now: u64, row: &Row<'_>) -> Option<u64> {
    let pod = row.pod.filter(|pod| !pod.ready)?;
    let since = if pod.served { pod.unready } else { Some(pod.since) };
    let by_kubernetes = since.map(|since| now.saturating_sub(since));
    let by_agent = match row.report {
        Some(truth) if matches!(truth.server, ServerState::Serving(_)) => return None,
        Some(truth) => truth.stalled,
        None => None,
    };
    match (by_kubernetes, by_agent) {
        (Some(kubernetes), Some(agent)) => Some(kubernetes.min(agent)),
        (one, other) => one.or(other),
    }
}

/// Another member has the newest revision and does not run with it, for no longer than this, or is on its way to it.
fn in_the_air(view: &View<'_>, id: ServerId, patience: u64) -> bool {
    let newest = view.seen.set(Pool::Voters).and_then(|set| set.update_revision.as_ref());
    let mut others = view.pods().filter(|(other, ..)| *other != id);
    others.any(|(_, row, pod)| {
        let fails = pod.revision.as_ref() == newest && pod.running != Some(true);
        let lately = || idle(view.seen.now, row).is_none_or(|seconds| seconds <= patience);
        pod.terminating || (fails && lately())
    })
}

/// A pod is about to be made. One that has been refused for longer than a restart may take is not: a quota that others have used up
/// may stay so.
fn unmade(view: &View<'_>, deadline: u64) -> bool {
    let seen = view.seen;
    let refused = |seat: &Seat| seen.hindrances.pods.get(seat).and_then(|refusal| refusal.since);
    let long = |since: u64| seen.now.saturating_sub(since) > deadline;
    seen.unmanned().iter().any(|seat| !refused(seat).is_some_and(long))
}
