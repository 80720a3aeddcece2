//! Decides. Each observation leads to exactly one step. All safety rules are here and nowhere else.
//!
//! Invariants:
//! - pure: no clock, no I/O, no async, no randomness;
//! - at most one change of the membership in a step, bound to the version on which it was decided;
//! - what is unknown leads only to waiting, never to removing, deleting or restarting.

mod addresses;
mod archive;
mod backups;
mod barred;
mod departure;
mod drain;
mod due;
mod failed;
mod guard;
mod heal;
mod held;
mod hindered;
mod lost;
mod membership;
mod mute;
mod objects;
mod operation;
mod origin;
mod password;
mod quorum_view;
mod replace;
mod retention;
mod rolling;
mod rules;
mod service;
mod shippers;
mod spec;
mod status;
mod step;
mod stop;
mod strangers;
mod version;
mod view;
mod volume;
mod warning;

use crate::api::EnsembleStatus;
use crate::model::{Membership, Observation};
use view::View;

pub use archive::GIVING_UP;
pub use guard::Guard;
pub use held::Prove;
pub use hindered::{Held, came_out_otherwise, refusal};
pub use objects::differences;
pub use operation::{Expected, Operation};
pub use password::lacking as no_password;
pub use rules::{MEMBERSHIP_RULES, PRECONDITION_RULES, Rule};
pub use status::{ConditionStatus, GUARDING, PROVING, UntimedCondition, denied, refused};
pub use step::{Obstacle, Purpose, Reason, ReplaceVolume, Resize, Restart, Step, Target, Tell, Write};
pub use stop::DENIED;

/// What to do, and what to say.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The step.
    pub step: Step,
    /// The status, without conditions.
    pub status: EnsembleStatus,
    /// The conditions, without times.
    pub conditions: Vec<UntimedCondition>,
    /// The rules that were asked before the one that decided, and had no step: why the plan is not one of theirs.
    pub considered: Vec<&'static Rule>,
}

impl Plan {
    /// Records in the status that the step was carried out, where no observation would show it.
    pub fn carried_out(&mut self) {
        if let Step::Guard(guard) = &self.step {
            self.status.guarded = Some(guard.mark.clone());
        }
    }
}

/// Decides on one step, and describes the current state.
pub fn plan(seen: &Observation) -> Plan {
    let seen = &*shippers::settled(seen);
    let view = View::of(seen);
    let decision = rules::decide(&view);
    let step = decision.step.or_nobody(&seen.names);
    let aside = Aside { held: view.held(), unguarded: decision.unguarded, otherwise: decision.otherwise };
    let status = status::status(&view);
    let conditions = status::conditions(&view, &step, &aside);
    Plan { step, status, conditions, considered: decision.considered }
}

/// What the conditions say besides the step.
struct Aside {
    /// Writes and deletes that are passed over on the way to it.
    held: Vec<Held>,
    /// Why rights could not be taken away.
    unguarded: Option<Reason>,
    /// The step that the plan would have if no rights were taken away and nothing was written for the archive now.
    otherwise: Option<Step>,
}

/// The membership that counts: the leader's, else the last recorded one.
///
/// A recorded membership that is newer than the leader's may mean that the leader was cut off, or that somebody changed
/// the record. Once every voter agrees with the leader there is no doubt left, and the false record is replaced: in the
/// charter it would make a restarted member the leader of a list of its own.
fn confirmed(view: &View<'_>) -> Option<Membership> {
    match (view.committed(), view.seen.noted_membership()) {
        (Some(committed), Some(noted)) if noted.version > committed.version && view.blocker().is_some() => Some(noted),
        (Some(committed), _) => Some(committed.clone()),
        (None, noted) => noted,
    }
}
