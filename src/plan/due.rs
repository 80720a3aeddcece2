//! Why a member has to be restarted, and whether it may be restarted now.

use super::Reason;
use super::view::View;
use super::volume;
use crate::model::desired::Updates;
use crate::model::observed::MemberRequest;
use crate::model::{Desired, Fact, Observation, Pool, ServerId};

/// Why a member's pod has to be recreated; `None` if it is as it should be, or if that is not known.
pub fn due(seen: &Observation, id: ServerId) -> Option<String> {
    let pod = seen.pods.get(&id.seat())?;
    if pod.request == Some(MemberRequest::Restart) {
        return Some("somebody asked for its restart".to_owned());
    }
    let wanted = seen.set(Pool::Voters)?.update_revision.as_deref();
    if let (Some(revision), Some(wanted)) = (pod.revision.as_deref(), wanted)
        && revision != wanted
    {
        return Some("it has an older revision".to_owned());
    }
    let resync = seen.charter.as_ref().and_then(|charter| charter.resync.get(&id));
    if resync == Some(&pod.uid) {
        return Some("it cannot read its data, and will sync again from the others".to_owned());
    }
    seen.members.get(&id).and_then(Fact::known).and_then(|truth| truth.disk.outdated.clone())
}

/// Whether no other member has served with this pod's revision, so the revision itself may be why this server ends.
pub fn unproven(view: &View<'_>, id: ServerId) -> bool {
    let member = view.member(id);
    let revision = member.pod.and_then(|pod| pod.revision.as_ref());
    let mut others = view.pods().filter(|(other, ..)| *other != id);
    member.due.is_none() && !others.any(|(.., pod)| pod.ready && pod.revision.as_ref() == revision)
}

/// How many members have to be restarted.
pub fn count(view: &View<'_>) -> usize {
    view.pods().filter(|(_, member, _)| member.due.is_some()).count()
}

/// Why members that serve are not restarted now, although some have to be.
pub fn held(view: &View<'_>) -> Option<Reason> {
    volume::last_copy(view).or_else(|| view.closed.clone())
}

/// What the update policy waits for.
pub fn closed(seen: &Observation, desired: &Desired) -> Option<Reason> {
    let revision = seen.set(Pool::Voters)?.update_revision.clone().unwrap_or_default();
    match &desired.updates {
        Updates::Supervised if seen.requests.approved.as_deref() != Some(revision.as_str()) => Some(Reason::new(
            "ApprovalNeeded",
            format!(
                "they wait for an approval: kubectl -n {} annotate zke {} --overwrite menagerie.dev/approve={revision}",
                seen.names.namespace, seen.names.ensemble
            ),
        )),
        Updates::Windows(windows) if !windows.iter().any(|window| window.open(seen.now)) => {
            let next = windows.iter().filter_map(|window| window.next(seen.now)).min();
            let next = next.map_or_else(|| "never".to_owned(), |(_, time)| time);
            Some(Reason::new("WindowClosed", format!("they wait for the next update window, which opens {next}")))
        }
        Updates::Automatic | Updates::Supervised | Updates::Windows(_) => None,
    }
}
