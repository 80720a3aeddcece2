//! Servers of the membership that are none of this ensemble's members: somebody added them by hand, as when an ensemble moves.
//!
//! - They keep their votes: whether they are wanted, only the one who added them knows. They are named.
//! - No pod is started for one. A server that was added with id 9 once raised the `StatefulSet` to nine pods.
//! - One at an id that a member is to have is in the way, and so is a membership in which no member is this ensemble's.

use super::Reason;
use super::standing::Standing;
use crate::model::truth::Serving;
use crate::model::{Membership, Observation, Server, ServerId};

/// Why the membership cannot be worked with.
pub fn in_the_way(seen: &Observation, committed: &Membership, wanted: u32) -> Option<Reason> {
    let mut strangers = committed.strangers(&seen.names).peekable();
    let (first, server) = strangers.peek()?;
    if committed.highest(&seen.names) == 0 {
        let ours = seen.names.server(*first);
        return Some(Reason::new(
            "ForeignMembership",
            format!(
                "none of the servers of the membership is this ensemble's: server {first} is at {}, and this ensemble's would be at {}; if the cluster's domain is another one, put the operator's --cluster-domain (chart value clusterDomain) right",
                server.host(),
                ours.host()
            ),
        ));
    }
    let (id, server) = strangers.find(|(id, _)| id.0 <= wanted)?;
    Some(Reason::new(
        "ForeignServer",
        format!(
            "{}, where member {id} (pod {}) is to be: take it out with `reconfig -remove {id}` as super, or ask for fewer than {id} members",
            told(id, server),
            seen.names.pod(id.ordinal())
        ),
    ))
}

/// All strangers, for a condition.
pub fn named(seen: &Observation, standing: &Standing) -> Option<Reason> {
    let strangers: Vec<String> =
        standing.committed.as_ref()?.strangers(&seen.names).map(|(id, s)| told(id, s)).collect();
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
    let pod = seen.names.pod(id.ordinal());
    format!(
        "it has joined the ensemble of {host} and has that one's data: give it another volume with kubectl -n {} annotate pod {pod} menagerie.dev/replace=volume",
        seen.names.namespace
    )
}

fn told(id: ServerId, server: &Server) -> String {
    format!("server {id} of the membership is at {}", server.host())
}
