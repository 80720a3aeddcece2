//! Decides. From one observation comes exactly one step; all safety rules live here and nowhere else.
//!
//! Invariants:
//! - pure: no clock, no I/O, no async, no randomness;
//! - at most one membership change a step, fenced by the version that it was decided on;
//! - what is unknown only ever leads to waiting, never to removing, deleting or restarting.

mod departure;
mod drain;
mod due;
mod failed;
mod guard;
mod heal;
mod hindered;
mod membership;
mod mute;
mod objects;
mod operation;
mod origin;
mod password;
mod quorum_view;
mod replace;
mod rolling;
mod rules;
mod service;
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

pub use guard::Guard;
pub use hindered::{Held, came_out_otherwise, refusal};
pub use objects::places;
pub use operation::{Expected, Operation};
pub use password::lacking as no_password;
pub use rules::{COURSE, GROUND, Rule};
pub use status::{ConditionStatus, GUARDING, Verdict, denied, refused};
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
    pub conditions: Vec<Verdict>,
    /// The rules that were asked before the one that decided, and asked for nothing: why it did not go on with those.
    pub considered: Vec<&'static Rule>,
}

impl Plan {
    /// The step was carried out: what the status may say of it that no look at the world would tell.
    pub fn carried_out(&mut self) {
        if let Step::Guard(guard) = &self.step {
            self.status.guarded = Some(guard.mark.clone());
        }
    }
}

/// Decides on one step and describes the state that it starts from.
pub fn plan(seen: &Observation) -> Plan {
    let view = View::of(seen);
    let decision = rules::decide(&view);
    let step = decision.step.or_nobody(&seen.names);
    let aside = Aside { held: view.held(), unguarded: decision.unguarded, otherwise: decision.otherwise };
    let status = status::status(&view);
    let conditions = status::conditions(&view, &step, &aside);
    Plan { step, status, conditions, considered: decision.considered }
}

/// What is said beside the step.
struct Aside {
    /// Writes and deletes that are passed over on the way to it.
    held: Vec<Held>,
    /// Why rights could not be taken away.
    unguarded: Option<Reason>,
    /// What there would be to do, if they were not taken away now.
    otherwise: Option<Step>,
}

/// The membership that counts: the leader's, else the last that was noted.
///
/// A note that is newer than what the leader has may mean a leader that was cut off, or a note that somebody changed.
/// Once every voter agrees with the leader there is no doubt left, and a false note goes: left in the charter, it would
/// make a restarted member the leader of a list of its own.
fn confirmed(view: &View<'_>) -> Option<Membership> {
    match (view.committed(), view.seen.noted_membership()) {
        (Some(committed), Some(noted)) if noted.version > committed.version && view.blocker().is_some() => Some(noted),
        (Some(committed), _) => Some(committed.clone()),
        (None, noted) => noted,
    }
}
