//! Servers of the membership that are none of this ensemble's members: somebody added them by hand, as when an ensemble moves.
//!
//! - They keep their votes: whether they are wanted, only the one who added them knows. They are named.
//! - No pod is started for one. A server that was added with id 9 once raised the `StatefulSet` to nine pods.
//! - One at an id that a member is to have is in the way. A membership in which no member is this ensemble's is no word about it.

use super::view::View;
use super::{Reason, Step};
use crate::model::truth::Serving;
use crate::model::{Membership, Observation, Server, ServerId};

/// Why the membership cannot be worked with.
pub fn in_the_way(view: &View<'_>) -> Option<Step> {
    let (names, course) = (&view.seen.names, view.course()?);
    let mut strangers = course.committed.strangers(names);
    let (id, server) = strangers.find(|(id, _)| id.0 <= course.wanted)?;
    Some(Step::Refuse(Reason::new(
        "ForeignServer",
        format!(
            "{}, where member {id} (pod {}) is to be: take it out with `reconfig -remove {id}` as super, or ask for fewer than {id} members",
            told(id, server),
            names.pod(id.seat())
        ),
    )))
}

/// What is wrong where the only leader among ours leads another ensemble, or the names of this one are other ones. No quorum of this
/// ensemble has said anything: nothing is noted of it, and nobody is told.
pub fn leads_elsewhere(view: &View<'_>) -> Option<Reason> {
    let (seen, (leader, theirs)) = (view.seen, view.quorum.elsewhere.as_ref()?);
    let (first, server) = theirs.servers.iter().next()?;
    let (pod, ours) = (seen.names.pod(leader.seat()), seen.names.server(*first));
    Some(Reason::new(
        "ForeignMembership",
        format!(
            "pod {pod} leads an ensemble none of whose servers is this ensemble's: server {first} is at {}, and this ensemble's would be at {}; if the cluster's domain is another one, put the operator's --cluster-domain (chart value clusterDomain) right; if it is another ensemble, the pod has joined that one and has its data: once a majority of the others serves, give it another volume with kubectl -n {} annotate pod {pod} menagerie.dev/replace=volume",
            server.host(),
            ours.host(),
            seen.names.namespace
        ),
    ))
}

/// Nothing is done while that is so.
pub fn led_elsewhere(view: &View<'_>) -> Option<Step> {
    leads_elsewhere(view).map(Step::Refuse)
}

/// All strangers, for a condition.
pub fn named(view: &View<'_>) -> Option<Reason> {
    let strangers = view.committed()?.strangers(&view.seen.names);
    let strangers: Vec<String> = strangers.map(|(id, server)| told(id, server)).collect();
    (!strangers.is_empty()).then(|| {
        Reason::new(
            "ForeignServer",
            format!(
                "{}: it is none of this ensemble's members, keeps its vote, and is left to whoever added it; `reconfig -remove ID` as super takes it out",
                strangers.join("; ")
            ),
        )
    })
}

/// Where a server is that serves in a membership in which none of this ensemble's members is. Members do not prove to each
/// other who they are: one that found another ensemble's leader at the address of a peer has joined that one (case r04).
pub fn elsewhere(seen: &Observation, serving: &Serving) -> Option<String> {
    let membership = Membership::parse(&serving.membership).ok()?;
    let lost = membership.highest(&seen.names) == 0;
    membership.servers.values().next().filter(|_| lost).map(|server| server.host().to_owned())
}

/// What has become of such a member, and the way out.
pub fn joined(seen: &Observation, id: ServerId, host: &str) -> String {
    let pod = seen.names.pod(id.seat());
    format!(
        "it has joined the ensemble of {host} and has that one's data: give it another volume with kubectl -n {} annotate pod {pod} menagerie.dev/replace=volume",
        seen.names.namespace
    )
}

fn told(id: ServerId, server: &Server) -> String {
    format!("server {id} of the membership is at {}", server.host())
}
