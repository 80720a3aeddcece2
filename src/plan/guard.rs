//! What anybody may do from birth, and nobody should.
//!
//! At birth `ZooKeeper` lets every client write below `/zookeeper`, and set the ACL of `/`. Statistics of a quota that no
//! number can be read from end every server that counts by them, and one that finds that in its log never starts again
//! (3.9.5: one set and one create). So the super user takes `/zookeeper` and all below it, and the ACL of `/` is what the
//! spec says.
//!
//! - It needs a quorum, and nothing else: it is done where there would be nothing to do but to wait, so that it holds up
//!   nothing, and before an ensemble is first called ready. What is waited for is said all the same, and where it cannot be
//!   done, that is one reason among the others: one wrong entry of an ACL hid a roll that had halted.
//! - That it was done stands in the status, so that an ensemble at rest costs no session. A status that was lost does it
//!   again; one that was forged leaves it undone, or undoes nothing.

use super::view::View;
use super::{Reason, Step};
use crate::api::Guarded;
use crate::model::acl::{READ_ONLY, RootAcl};
use crate::model::{ConfigVersion, Desired, Observation, ServerId, Unguarded};

/// Rights to take away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// What becomes of the ACL of `/`.
    pub root: RootAcl,
    /// What the status says once it is done.
    pub mark: Guarded,
    /// The membership's version on which this was decided.
    pub from: ConfigVersion,
    /// Members to ask for a fresh quorum read, and then to do it.
    pub via: Vec<ServerId>,
}

/// The rights that are to be taken away now, in the place of a step that does nothing.
pub fn instead(step: &Step, view: &View<'_>, desired: &Desired, identity: &str) -> Option<Guard> {
    // An object that Kubernetes refuses has nothing to do with who may write what in ZooKeeper; everything else has to be put
    // right first.
    let refused = matches!(step, Step::Refuse(reason) if !matches!(reason.code, "ApplyRefused" | REFUSED));
    let idle = step.idle() && !refused;
    let waits = view.seen.hindrances.denied || failed(view.seen, desired, identity).is_some_and(|failed| failed.waits);
    if idle && !waits { due(view, desired, identity) } else { None }
}

/// The reason of rights that cannot be taken away.
const REFUSED: &str = "GuardRefused";

/// Why rights could not be taken away when that was last tried, as long as they are to be.
pub fn refused(seen: &Observation, desired: &Desired, identity: &str) -> Option<Reason> {
    failed(seen, desired, identity).map(|failed| Reason::new(REFUSED, failed.words.clone()))
}

fn failed<'a>(seen: &'a Observation, desired: &Desired, identity: &str) -> Option<&'a Unguarded> {
    let mark = wanted(desired, identity);
    seen.hindrances.guard.as_ref().filter(|failed| failed.mark == mark && seen.status.guarded.as_ref() != Some(&mark))
}

/// What the status says once it is done.
fn wanted(desired: &Desired, identity: &str) -> Guarded {
    let root = desired.root_acl.as_ref().map(|acl| acl.iter().map(ToString::to_string).collect());
    Guarded { identity: identity.to_owned(), zookeeper: READ_ONLY.to_owned(), root }
}

fn due(view: &View<'_>, desired: &Desired, identity: &str) -> Option<Guard> {
    let mark = wanted(desired, identity);
    let before = view.seen.status.guarded.as_ref().filter(|guarded| guarded.identity == identity);
    let via = view.to_ask(None);
    let from = view.committed()?.version;
    if before == Some(&mark) || via.is_empty() {
        return None;
    }
    let root = match &desired.root_acl {
        Some(acl) => RootAcl::Set(acl.clone()),
        None => RootAcl::Narrow { ours: before.and_then(|before| before.root.clone()).unwrap_or_default() },
    };
    Some(Guard { root, mark, from, via })
}
