//! Leaders that accept no session: those that were started with `leaderServes=no`, and those that commit nothing.
//!
//! - The operator reaches such a leader through a follower. If it leads alone, nobody can ask it anything: no member
//!   can join, and none of its pods goes. So it is never left alone: before fewer than three vote, members with this
//!   setting are restarted without it.
//! - If it has already happened, under an operator that did not know of it, the member is restarted without leaving the
//!   membership. A leader that serves nobody loses nothing by that, and with two voters it costs the quorum for
//!   seconds.
//! - A leader whose own address was another one when its server started takes itself for one that is to hand over: it
//!   serves, its followers are synced, and it commits nothing, for ever. Seen with ensembles that were made again
//!   under their name while DNS caches still had the old addresses.

use super::view::{MemberView, View};
use super::{Reason, Restart, Step, Target, departure, due, hindered, rolling, stop, volume};
use crate::model::ServerId;
use crate::model::truth::ServerState;
use crate::settings;

/// With fewer voters than this, a leader does not have two others, of which one may be away.
const FEW: usize = 3;

const CODE: &str = "LeaderServesNobody";
const COMMITS_NOTHING_CODE: &str = "LeaderCommitsNothing";

/// In seconds. A new leader commits its first transaction within the time of two writes to disk. It loses its followers if they do not
/// answer within `syncLimit`: after three times that as well, this is no slow disk of theirs.
const COMMITS_NOTHING: u64 = 30;

/// So many times as long where its own acknowledgement is needed: for its own disk nobody sets a limit. A restart would write the same
/// snapshot to it once more, and wait for it once more.
const ITS_OWN_DISK: u64 = 10;

/// Whether a member was started with this setting. An older agent does not say.
pub fn mute(member: &MemberView<'_>) -> bool {
    member.report.is_some_and(|truth| truth.disk.leader_serves == Some(false))
}

/// Whether only one voter stays when this one leaves, and would then lead and accept no session.
pub fn left_alone(view: &View<'_>, id: ServerId) -> bool {
    let mut others = view.voters().filter(|voter| *voter != id);
    matches!((others.next(), others.next()), (Some(last), None) if mute(view.member(last)))
}

/// Ends the state in which such a member leads alone: by a restart, if that changes its settings.
pub fn alone(view: &View<'_>) -> Option<Step> {
    let (leader, committed) = (view.quorum.leader?, view.committed()?);
    let member = view.member(leader);
    if committed.voters().count() > 1 || !mute(member) {
        return None;
    }
    let pod = member.pod?;
    let says = "runs with leaderServes=no and leads alone: it accepts no session, so nobody can change the membership";
    if pod.terminating {
        return Some(Step::Wait(Reason::new(CODE, format!("pod {} {says}; it is being deleted", pod.name))));
    }
    match member.due.clone().filter(|_| volume::kept(view, member)) {
        Some(why) => {
            Some(Step::Restart(Restart { id: leader, pod: Target::pod(pod), from: None, via: Vec::new(), why }))
        }
        None => Some(Step::Refuse(Reason::new(
            CODE,
            format!(
                "pod {} {says}; if its data is on a volume, restart it: kubectl -n {} delete pod {}",
                pod.name, view.seen.names.namespace, pod.name
            ),
        ))),
    }
}

/// Restarts a leader that has committed nothing in its epoch, though it proposes. Nobody has anything that only it has; and nobody can be
/// asked, as a session is something to commit. So this comes before whatever needs one.
pub fn commits_nothing(view: &View<'_>) -> Option<Step> {
    let (leader, desired) = (view.quorum.leader?, view.desired?);
    let member = view.member(leader);
    let seconds = member.report.and_then(|truth| match &truth.server {
        ServerState::Serving(serving) => serving.commits_nothing,
        ServerState::Silent { .. } | ServerState::Waiting { .. } | ServerState::Unknown => None,
    })?;
    // Those who say themselves that they are synced: a leader also counts those who still receive a snapshot.
    let others = view.committed().is_some_and(|all| stop::stays(view, all, leader));
    let disk = if others { 1 } else { ITS_OWN_DISK };
    let patience = disk * COMMITS_NOTHING.max(3 * settings::sync_limit(&desired.config));
    let pod = member.pod.filter(|_| seconds >= patience && !member.pinned)?;
    // Told without the seconds: it is decided twice, and has to be the same.
    let says = format!("leads and has committed nothing for more than {patience} s, though it has been asked to");
    if pod.terminating {
        let words = format!("pod {} {says}; it is being deleted", pod.name);
        return Some(Step::Wait(Reason::new(COMMITS_NOTHING_CODE, words)));
    }
    // What it would read at its start has to be right, as of everybody who is restarted.
    let changes = view.object_changes()?;
    if hindered::charter_blocked(view.seen, &changes.held, &changes.confirmed_charter).is_some()
        && !hindered::may_start(view.seen, &changes.confirmed_charter)
    {
        return None;
    }
    // What was committed before is with the others, if they are a quorum.
    if !volume::kept(view, member) && !others {
        return Some(Step::Refuse(Reason::new(
            COMMITS_NOTHING_CODE,
            format!(
                "pod {} {says}, and its data goes with it: if you can do without, restart it: kubectl -n {} delete pod {}",
                pod.name, view.seen.names.namespace, pod.name
            ),
        )));
    }
    let why = format!("it {says}");
    Some(Step::Restart(Restart { id: leader, pod: Target::pod(pod), from: None, via: Vec::new(), why }))
}

/// What must happen before a departure that leaves fewer than three voters, if one of them has this setting. A member
/// that does not serve may go at once: a restart of the others would wait for it.
pub fn before_few(view: &View<'_>, leaver: ServerId) -> Option<Step> {
    let committed = view.committed()?;
    if committed.voters().count() > FEW || departure::gone(view.member(leaver)) {
        return None;
    }
    let id = committed.own_voters(&view.seen.names).find(|id| mute(view.member(*id)))?;
    Some(rolling::roll(view).unwrap_or_else(|| {
        let held = due::held(view).map(|held| format!(": {}", held.message)).unwrap_or_default();
        Step::Wait(Reason::new(
            CODE,
            format!(
                "member {id} runs with leaderServes=no; before fewer than {FEW} vote, the members with this setting are restarted without it{held}"
            ),
        ))
    }))
}

/// A restart without leaving, or a wait, if a member cannot leave before its restart because nobody accepts the session
/// for that, or nobody would accept the one for its return.
pub fn instead_of_leaving(view: &View<'_>, id: ServerId) -> Option<Result<(), Reason>> {
    let heard = !view.to_ask(Some(id)).is_empty();
    if heard && !left_alone(view, id) {
        return None;
    }
    let pod = view.seen.names.pod(id.seat());
    Some(volume::kept(view, view.member(id)).then_some(()).ok_or_else(|| {
        Reason::new(
            CODE,
            format!("neither of two ephemeral members that run with leaderServes=no can be restarted without losing its data: pod {pod} has to be, and the other, the leader, accepts no session"),
        )
    }))
}
