//! What others have changed since a plan was approved. Pure.
//!
//! A plan that was carried out in part is not the same plan any more, and yet nobody else did anything. So the hashes decide only
//! if they are equal; else each operation does: one that is not left must be done, and one that is left must have been approved.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::restore::live::Live;
use crate::restore::operation::Operation;
use crate::restore::options::Access;
use crate::restore::plan::Plan;
use crate::restore::quota::Statistics;

/// A difference between the approved plan and the ensemble that no earlier run of this plan explains.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Moved {
    /// To be done now, and not approved.
    New(Operation),
    /// Approved, and neither done nor possible now.
    Overtaken(Operation),
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.told(&self.operation().to_string(), f)
    }
}

/// As [`Operation::brief`].
pub struct Brief<'a>(pub &'a Moved);

impl fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.told(&self.0.operation().brief(), f)
    }
}

impl Moved {
    fn operation(&self) -> &Operation {
        let (Self::New(operation) | Self::Overtaken(operation)) = self;
        operation
    }

    fn told(&self, operation: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = if matches!(self, Self::New(_)) { "now" } else { "no longer" };
        write!(f, "would {now} {operation}")?;
        // Only this tells a znode from one that was deleted and created again.
        self.operation().czxid().map_or(Ok(()), |czxid| write!(f, ", created by {czxid:#}"))
    }
}

/// How many znodes they are about: one that was changed is both new and overtaken.
pub fn znodes(moved: &[Moved]) -> usize {
    moved.iter().map(|moved| moved.operation().path()).collect::<HashSet<_>>().len()
}

/// What is no longer as it was when `approved` was made, but for what a run of it has done.
pub fn moved(approved: &Plan, now: &Plan, live: &Live, access: Access) -> Vec<Moved> {
    if approved.hash == now.hash {
        return Vec::new();
    }
    let left = by_path(now);
    let allowed = by_path(approved);
    let is_in = |operations: &HashMap<&str, Vec<&Operation>>, operation: &Operation| {
        operations.get(operation.path()).is_some_and(|there| there.contains(&operation))
    };
    // Once some counters are raised, there is room for more of them: that is nobody's doing.
    let told = |operation: &&Operation| !matches!(operation, Operation::Raise { .. }) && !is_in(&allowed, operation);
    let new = now.operations.iter().filter(told).cloned().map(Moved::New);
    let overtaken =
        approved.operations.iter().filter(|operation| !is_in(&left, operation) && !is_done(operation, live, access));
    new.chain(overtaken.cloned().map(Moved::Overtaken)).collect()
}

fn by_path(plan: &Plan) -> HashMap<&str, Vec<&Operation>> {
    let mut operations: HashMap<&str, Vec<&Operation>> = HashMap::new();
    for operation in &plan.operations {
        operations.entry(operation.path()).or_default().push(operation);
    }
    operations
}

fn is_done(operation: &Operation, live: &Live, access: Access) -> bool {
    let there = live.znodes.get(operation.path());
    match operation {
        Operation::Delete { .. } => there.is_none(),
        Operation::Create { data, acl, .. } => {
            there.is_some_and(|now| !now.ephemeral && now.data == *data && now.acl.shows(acl, access))
        }
        Operation::Set { data, .. } => there.is_some_and(|now| !now.ephemeral && now.data == *data),
        Operation::SetAcl { acl, .. } => there.is_some_and(|now| now.acl.shows(acl, access)),
        Operation::Raise { to, .. } => there.is_some_and(|now| now.counter >= *to),
        Operation::CreateQuota { limits, .. } | Operation::SetQuota { limits, counts: false, .. } => {
            let now = operation.quota_of().and_then(|of| live.quotas.as_ref()?.get(of));
            now.is_some_and(|now| now.limits == Some(*limits))
        }
        Operation::SetQuota { limits, counts: true, .. } => {
            let now = operation.quota_of().and_then(|of| live.quotas.as_ref()?.get(of));
            now.is_some_and(|now| now.limits == Some(*limits) && now.statistics != Statistics::Missing)
        }
        Operation::CountQuota { .. } => {
            let now = operation.quota_of().and_then(|of| live.quotas.as_ref()?.get(of));
            now.is_some_and(|now| now.statistics != Statistics::Missing)
        }
    }
}
