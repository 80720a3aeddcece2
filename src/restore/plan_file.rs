//! A plan as a JSON object: what is wanted, what was decided and what would be done, to be looked at and approved.

use std::io::{self, Write as _};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::restore::hash::Digest;
use crate::restore::operation::{Kind, Operation};
use crate::restore::options::{Existing, Options, OptionsError};
use crate::restore::plan::Plan;
use crate::restore::plan_hash::hash;
use crate::restore::plan_quotas::can_have_a_quota;
use crate::restore::quota::is_taken_for_limits;
use crate::restore::undo::Left;
use crate::restore::wanted::{Limits, Wanted};

/// The version of the form.
pub const VERSION: u32 = 5;
/// The longest plan that is read. Data is in base64, and every znode has its ACL and an operation beside it.
pub const LONGEST: u64 = 2 << 30;

/// A plan with all that is needed to carry it out. It holds the wanted data: it is as secret as the znodes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanFile {
    /// Of the form.
    pub version: u32,
    /// What the user decided.
    pub options: Options,
    /// What would be done.
    pub plan: Plan,
    /// What was at the point.
    pub wanted: Wanted,
}

/// What is no plan.
#[derive(Debug, Error)]
pub enum PlanFileError {
    /// No JSON, or not of this form.
    #[error("not a plan of `menagerie restore plan`: {0}")]
    Form(#[from] serde_json::Error),
    /// Of another release.
    #[error("the plan has version {0}, and this release reads {VERSION}: plan again with this release")]
    Version(u32),
    /// Its parts do not fit together.
    #[error("the plan was changed after it was made: {0}; plan again")]
    Changed(String),
    /// Options that do not go together.
    #[error(transparent)]
    Options(#[from] OptionsError),
}

struct Bounded<W> {
    to: W,
    left: u64,
}

impl<W: io::Write> io::Write for Bounded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let too_long =
            || io::Error::other("the plan is longer than any that is read: restore one subtree after the other");
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or_else(too_long)?;
        self.to.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl PlanFile {
    /// A plan with what it is of.
    pub fn of(wanted: Wanted, options: Options, plan: Plan) -> Self {
        Self { version: VERSION, options, plan, wanted }
    }

    /// Reads one, and checks that it does nothing but what is in it, in its scope.
    pub fn read(text: &[u8], limits: Limits) -> Result<Self, PlanFileError> {
        // Another version may have other fields.
        let Version { version } = serde_json::from_slice(text)?;
        if version != VERSION {
            return Err(PlanFileError::Version(version));
        }
        let file: Self = serde_json::from_slice(text)?;
        file.options.check()?;
        file.check(limits)?;
        Ok(file)
    }

    /// Writes it, unless it is longer than a plan that is read.
    pub fn write(&self, to: impl io::Write, longest: u64) -> io::Result<()> {
        let mut to = Bounded { to, left: longest };
        serde_json::to_writer(&mut to, self)?;
        to.write_all(b"\n")
    }

    fn check(&self, limits: Limits) -> Result<(), PlanFileError> {
        let Self { version: _, options, plan, wanted } = self;
        let changed = |what: String| Err(PlanFileError::Changed(what));
        if wanted.znodes.len() > limits.znodes || plan.operations.len() > limits.znodes.saturating_mul(2) {
            return changed(format!("it has more than {} znodes", limits.znodes));
        }
        if hash(wanted, options, &plan.operations) != plan.hash {
            return changed("its hash is not that of its operations".to_owned());
        }
        if wanted.left.is_empty() == matches!(options.existing, Existing::Undo { .. }) {
            return changed("what its transaction changed is not in it".to_owned());
        }
        let paths =
            wanted.znodes.keys().chain(wanted.left.keys()).chain(wanted.quotas.keys()).chain(&wanted.idle_quotas);
        if let Some(path) = paths.into_iter().find(|path| !wanted.scope.has(path)) {
            return changed(format!("{path} is not in its scope"));
        }
        for operation in &plan.operations {
            let path = operation.path();
            let fits = match operation {
                Operation::Delete { czxid, .. } => {
                    let created = matches!(wanted.left.get(path), Some(Left::There(left)) if left.czxid == *czxid);
                    (options.delete_extra || created) && !wanted.znodes.contains_key(path) && !is_taken_for_limits(path)
                }
                Operation::Create { kind, data, acl, .. } => wanted.znodes.get(path).is_some_and(|znode| {
                    *kind != Kind::Ephemeral
                        && !is_taken_for_limits(path)
                        && znode.kind == *kind
                        && Digest::of(&znode.data) == *data
                        && znode.acl.as_ref() == Some(acl)
                }),
                Operation::Raise { to, .. } => {
                    options.raise_counters && wanted.znodes.get(path).is_some_and(|znode| znode.counter == *to)
                }
                Operation::Set { data, .. } => {
                    wanted.znodes.get(path).is_some_and(|znode| Digest::of(&znode.data) == *data)
                }
                Operation::SetAcl { acl, .. } => {
                    wanted.znodes.get(path).is_some_and(|znode| znode.acl.as_ref() == Some(acl))
                }
                Operation::CreateQuota { limits, .. } | Operation::SetQuota { limits, .. } => {
                    let of = operation.quota_of().filter(|of| options.quotas && can_have_a_quota(of));
                    of.is_some_and(|of| wanted.quotas.get(of) == Some(&Some(*limits)))
                }
                Operation::CountQuota { .. } => {
                    let of = operation.quota_of().filter(|of| options.quotas && can_have_a_quota(of));
                    of.is_some_and(|of| matches!(wanted.quotas.get(of), Some(Some(_))))
                }
            };
            if !fits || !wanted.scope.has(operation.quota_of().unwrap_or(path)) {
                return changed(format!("{operation}: not what is wanted there"));
            }
        }
        Ok(())
    }
}
