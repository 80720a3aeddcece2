//! Takes away rights that everybody has in a new ensemble, and nobody should have.
//!
//! A new ensemble lets every client write below `/zookeeper` and set the ACL of `/`. If the statistics of a quota
//! contain no readable number, every server that updates them ends, and a server that finds them in its log never
//! starts again (3.9.5: one set and one create are enough). So only the super user may write to `/zookeeper` and all
//! znodes below it, and `/` gets the ACL of the spec.
//!
//! - This needs a quorum and nothing else. It is done when there is nothing to do but wait, so that it delays nothing,
//!   and before an ensemble is first called ready. The conditions still say what the ensemble waits for. If it fails,
//!   that is only one reason among others: one wrong entry of an ACL once hid a halted roll.
//! - The status records that it was done, so that an ensemble at rest needs no session. If the status is lost, it is
//!   done again. A forged status leaves it undone, or undoes nothing.

use super::view::View;
use super::{Reason, Step};
use crate::api::Guarded;
use crate::model::acl::{READ_ONLY, RootAcl};
use crate::model::{Desired, Membership, Observation, ServerId, Unguarded};

/// Rights to take away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The new ACL of `/`.
    pub root: RootAcl,
    /// What the status records once it is done.
    pub mark: Guarded,
    /// The membership on which this was decided.
    pub from: Membership,
    /// Members to ask for a fresh quorum read, and then to change the ACLs.
    pub via: Vec<ServerId>,
}

/// The rights to take away now, instead of a step that does nothing.
pub fn instead(step: &Step, view: &View<'_>, desired: &Desired, identity: &str) -> Option<Guard> {
    // A refused Kubernetes object does not affect rights in ZooKeeper. Everything else must be solved first.
    let refused = matches!(step, Step::Refuse(reason) if !matches!(reason.code, "ApplyRefused" | REFUSED));
    let idle = step.idle() && !refused;
    let waits = view.seen.hindrances.denied || failed(view.seen, desired, identity).is_some_and(|failed| failed.waits);
    if idle && !waits { due(view, desired, identity) } else { None }
}

/// The reason if rights cannot be taken away.
const REFUSED: &str = "GuardRefused";

/// Why the last attempt to take away rights failed, while they still have to be taken away.
pub fn refused(seen: &Observation, desired: &Desired, identity: &str) -> Option<Reason> {
    failed(seen, desired, identity).map(|failed| Reason::new(REFUSED, failed.words.clone()))
}

fn failed<'a>(seen: &'a Observation, desired: &Desired, identity: &str) -> Option<&'a Unguarded> {
    let mark = wanted(desired, identity);
    seen.hindrances.guard.as_ref().filter(|failed| failed.mark == mark && seen.status.guarded.as_ref() != Some(&mark))
}

/// What the status records once it is done.
fn wanted(desired: &Desired, identity: &str) -> Guarded {
    let root = desired.root_acl.as_ref().map(|acl| acl.iter().map(ToString::to_string).collect());
    Guarded { identity: identity.to_owned(), zookeeper: READ_ONLY.to_owned(), root }
}

fn due(view: &View<'_>, desired: &Desired, identity: &str) -> Option<Guard> {
    let mark = wanted(desired, identity);
    let before = view.seen.status.guarded.as_ref().filter(|guarded| guarded.identity == identity);
    let via = view.to_ask(None);
    let from = view.committed()?.clone();
    if before == Some(&mark) || via.is_empty() {
        return None;
    }
    let root = match &desired.root_acl {
        Some(acl) => RootAcl::Set(acl.clone()),
        None => RootAcl::Narrow { ours: before.and_then(|before| before.root.clone()).unwrap_or_default() },
    };
    Some(Guard { root, mark, from, via })
}
