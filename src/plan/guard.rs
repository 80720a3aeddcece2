//! What anybody may do from birth, and nobody should.
//!
//! At birth `ZooKeeper` lets every client write below `/zookeeper`, and set the ACL of `/`. Statistics of a quota that no
//! number can be read from end every server that counts by them, and one that finds that in its log never starts again
//! (3.9.5: one set and one create). So the super user takes `/zookeeper` and all below it, and the ACL of `/` is what the
//! spec says.
//!
//! - It needs a quorum, and nothing else: it is done where there would be nothing to do but to wait, so that it holds up
//!   nothing, and before an ensemble is first called ready.
//! - That it was done stands in the status, so that an ensemble at rest costs no session. A status that was lost does it
//!   again; one that was forged leaves it undone, or undoes nothing.

use super::Step;
use super::standing::Standing;
use crate::api::Guarded;
use crate::model::acl::{READ_ONLY, RootAcl};
use crate::model::{Desired, Observation};

/// Rights to take away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// What becomes of the ACL of `/`.
    pub root: RootAcl,
    /// What the status says once it is done.
    pub mark: Guarded,
    /// Members to ask, by the addresses of their pods.
    pub via: Vec<String>,
}

/// In the place of a step that does nothing.
pub fn instead(step: Step, seen: &Observation, standing: &Standing, desired: &Desired, identity: &str) -> Step {
    match step {
        Step::Rest | Step::Wait(_) => due(seen, standing, desired, identity).map_or(step, Step::Guard),
        // An object that Kubernetes refuses has nothing to do with who may write what in ZooKeeper.
        Step::Refuse(ref reason) if reason.code == "ApplyRefused" => {
            due(seen, standing, desired, identity).map_or(step, Step::Guard)
        }
        step => step,
    }
}

fn due(seen: &Observation, standing: &Standing, desired: &Desired, identity: &str) -> Option<Guard> {
    let root = desired.root_acl.as_ref().map(|acl| acl.iter().map(ToString::to_string).collect());
    let mark = Guarded { identity: identity.to_owned(), zookeeper: READ_ONLY.to_owned(), root };
    let before = seen.status.guarded.as_ref().filter(|guarded| guarded.identity == identity);
    let via = standing.endpoints(seen, None);
    if before == Some(&mark) || standing.leader.is_none() || via.is_empty() {
        return None;
    }
    let root = match &desired.root_acl {
        Some(acl) => RootAcl::Set(acl.clone()),
        None => RootAcl::Narrow { ours: before.and_then(|before| before.root.clone()).unwrap_or_default() },
    };
    Some(Guard { root, mark, via })
}
