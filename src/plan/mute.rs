//! Leaders that take no session: those that were started with `leaderServes=no`.
//!
//! - Such a leader is asked by way of a follower. Alone it can be asked nothing: no member joins it, and none of its pods goes.
//!   So one is never left alone, and before fewer than three vote, those that run with it are restarted without.
//! - Where that has happened already, under an operator that did not know of it, the way out is a restart in its place: of one
//!   that serves nobody it takes nothing, and of two voters it costs the quorum for seconds.

use super::view::{Row, View};
use super::{Reason, Restart, Step, Target, departure, due, rolling, volume};
use crate::model::ServerId;

/// Fewer voters than this have no two others beside a leader, of which one may be away.
const FEW: usize = 3;

const CODE: &str = "LeaderServesNobody";

/// Whether a member was started so; an agent of an older time does not say it.
pub fn mute(row: &Row<'_>) -> bool {
    row.report.is_some_and(|truth| truth.disk.leader_serves == Some(false))
}

/// Whether only one voter stays when this one leaves, which then leads and takes no session.
pub fn left_alone(view: &View<'_>, id: ServerId) -> bool {
    let mut others = view.voters().filter(|voter| *voter != id);
    matches!((others.next(), others.next()), (Some(last), None) if mute(view.row(last)))
}

/// The end of one that leads alone: a restart, if that gives it other settings.
pub fn alone(view: &View<'_>) -> Option<Step> {
    let (leader, committed) = (view.quorum.leader?, view.committed()?);
    let row = view.row(leader);
    if committed.voters().count() > 1 || !mute(row) {
        return None;
    }
    let pod = row.pod?;
    let says =
        "runs with leaderServes=no and leads alone: it takes no session, and so nobody can change the membership";
    if pod.terminating {
        return Some(Step::Wait(Reason::new(CODE, format!("pod {} {says}; it is being deleted", pod.name))));
    }
    match row.due.clone().filter(|_| volume::kept(view, row)) {
        Some(why) => {
            Some(Step::Restart(Restart { id: leader, pod: Target::pod(pod), from: None, via: Vec::new(), why }))
        }
        None => Some(Step::Refuse(Reason::new(
            CODE,
            format!(
                "pod {} {says}; when its data is on a volume, start it anew: kubectl -n {} delete pod {}",
                pod.name, view.seen.names.namespace, pod.name
            ),
        ))),
    }
}

/// What comes before a departure after which fewer than three vote, where one of them runs so. Whoever does not serve may go: a
/// restart of the others would wait for it.
pub fn before_few(view: &View<'_>, leaver: ServerId) -> Option<Step> {
    let committed = view.committed()?;
    if committed.voters().count() > FEW || departure::gone(view.row(leaver)) {
        return None;
    }
    let id = committed.own_voters(&view.seen.names).find(|id| mute(view.row(*id)))?;
    Some(rolling::roll(view).unwrap_or_else(|| {
        let held = due::held(view).map(|held| format!(": {}", held.message)).unwrap_or_default();
        Step::Wait(Reason::new(
            CODE,
            format!(
                "member {id} runs with leaderServes=no; before fewer than {FEW} vote, those that do are restarted without it{held}"
            ),
        ))
    }))
}

/// A restart in its place, or a wait, where a member cannot leave before it is restarted: nobody takes the session for it, or
/// nobody would take the one for its return.
pub fn instead_of_leaving(view: &View<'_>, id: ServerId) -> Option<Result<(), Reason>> {
    let heard = !view.to_ask(Some(id)).is_empty();
    if heard && !left_alone(view, id) {
        return None;
    }
    let pod = view.seen.names.pod(id.seat());
    Some(volume::kept(view, view.row(id)).then_some(()).ok_or_else(|| {
        Reason::new(
            CODE,
            format!("of two ephemeral members that run with leaderServes=no none can be restarted without a loss: pod {pod} has to be, and the leader beside it takes no session"),
        )
    }))
}
