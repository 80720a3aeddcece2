//! Servers of the membership that are not members of this ensemble: somebody added them by hand, for example to move an
//! ensemble.
//!
//! - They keep their votes, because only the one who added them knows whether they are wanted. The conditions name
//!   them.
//! - The operator starts no pod for them. A server that was added with id 9 once raised the `StatefulSet` to nine pods.
//! - A server with an id that a member needs is in the way. A membership without any member of this ensemble says
//!   nothing about this ensemble.

use super::view::View;
use super::{Reason, Step};
use crate::model::truth::Serving;
use crate::model::{Membership, Observation, Server, ServerId};

/// Why the operator cannot work with the membership.
pub fn in_the_way(view: &View<'_>) -> Option<Step> {
    let (names, scaling) = (&view.seen.names, view.scaling()?);
    let mut strangers = scaling.committed.strangers(names);
    let (id, server) = strangers.find(|(id, _)| id.0 <= scaling.wanted)?;
    Some(Step::Refuse(Reason::new(
        "ForeignServer",
        format!(
            "{}, but member {id} (pod {}) needs this id: remove that server with `reconfig -remove {id}` as super, or ask for fewer than {id} members",
            location(id, server),
            names.pod(id.seat())
        ),
    )))
}

/// What is wrong if the only leader among our pods leads another ensemble, or if this ensemble has other names. No
/// quorum of this ensemble has said anything: nothing is recorded, and no member is told.
pub fn leads_elsewhere(view: &View<'_>) -> Option<Reason> {
    let (seen, (leader, theirs)) = (view.seen, view.quorum.elsewhere.as_ref()?);
    let (first, server) = theirs.servers.iter().next()?;
    let (pod, ours) = (seen.names.pod(leader.seat()), seen.names.server(*first));
    Some(Reason::new(
        "ForeignMembership",
        format!(
            "pod {pod} leads a membership in which no server is this ensemble's: server {first} is at {}, and this ensemble's would be at {}; if the cluster has another DNS domain, correct the operator's --cluster-domain (chart value clusterDomain); if it is another ensemble, the pod has joined that one and has its data: once a majority of the others serves, give it another volume with kubectl -n {} annotate pod {pod} menagerie.dev/replace=volume",
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
    let strangers: Vec<String> = strangers.map(|(id, server)| location(id, server)).collect();
    (!strangers.is_empty()).then(|| {
        Reason::new(
            "ForeignServer",
            format!(
                "{}: it is not a member of this ensemble, keeps its vote, and is left to whoever added it; `reconfig -remove ID` as super removes it",
                strangers.join("; ")
            ),
        )
    })
}

/// The address of a server in the membership of a serving member, if no member of this ensemble is in it. Members do
/// not prove to each other who they are: a member that found another ensemble's leader at a peer's address has joined
/// that ensemble (case r04).
pub fn elsewhere(seen: &Observation, serving: &Serving) -> Option<String> {
    let membership = Membership::parse(&serving.membership).ok()?;
    let lost = membership.highest(&seen.names) == 0;
    membership.servers.values().next().filter(|_| lost).map(|server| server.host().to_owned())
}

/// What happened to such a member, and how to repair it.
pub fn joined(seen: &Observation, id: ServerId, host: &str) -> String {
    let pod = seen.names.pod(id.seat());
    format!(
        "it has joined the ensemble of {host} and has that one's data: give it another volume with kubectl -n {} annotate pod {pod} menagerie.dev/replace=volume",
        seen.names.namespace
    )
}

fn location(id: ServerId, server: &Server) -> String {
    format!("server {id} of the membership is at {}", server.host())
}
