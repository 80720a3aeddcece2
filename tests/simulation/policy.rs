//! When members that serve may be restarted: what people want of that and approve of, the windows, and what the operator
//! must not do while the policy is closed.

use menagerie::api::{UpdateMode, UpdatePolicy, UpdateWindow};
use menagerie::plan::{Purpose, Step};

use super::invariants::Wrong;
use super::mind::Mind;
use super::operator::Pass;
use super::sight::Sight;
use super::world::World;

/// A window opens with every hour.
const HOUR: u64 = 3_600;
/// For how many minutes.
const MINUTES: u32 = 20;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Policy {
    #[default]
    Automatic,
    Supervised,
    Windows,
}

pub const POLICIES: [Policy; 3] = [Policy::Automatic, Policy::Supervised, Policy::Windows];

impl Policy {
    pub fn to_api(self) -> UpdatePolicy {
        let mode = match self {
            Self::Automatic => UpdateMode::Automatic,
            Self::Supervised => UpdateMode::Supervised,
            Self::Windows => UpdateMode::Windows,
        };
        let minutes = i32::try_from(MINUTES).unwrap_or(i32::MAX);
        let hourly = UpdateWindow { opens: "0 * * * *".into(), time_zone: None, minutes };
        UpdatePolicy {
            mode: Some(mode),
            windows: (self == Self::Windows).then(|| vec![hourly]),
            deadline_seconds: None,
        }
    }

    /// Whether a roll to this revision has to wait. Told apart from what the planner makes of it.
    fn closed(self, approved: Option<u64>, revision: u64, now: u64) -> bool {
        match self {
            Self::Automatic => false,
            Self::Supervised => approved != Some(revision),
            Self::Windows => now % HOUR >= u64::from(MINUTES) * 60,
        }
    }
}

/// What people know of revisions, and approve of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Approval {
    /// The revision that they were told last; there may be a later one.
    noticed: Option<u64>,
    /// The annotation on the custom resource.
    pub given: Option<u64>,
}

impl Sight {
    /// Whether a roll had to wait, by what was read.
    pub fn closed(&self) -> bool {
        let resource = &self.resource;
        resource.spec.policy.closed(resource.approved, self.revision(), self.now)
    }

    /// Whether a member's pod is to be made anew now, as far as the policy goes.
    pub fn rolls(&self, ordinal: u32) -> bool {
        let late = self.pods.get(&ordinal).is_some_and(|pod| pod.outdated(self.revision()));
        self.asked(ordinal) || (late && !self.closed())
    }
}

impl World {
    /// People look which revision waits.
    pub fn notice(&mut self) -> bool {
        let told = (!self.kube.behind && self.kube.set().is_some()).then(|| self.kube.revision());
        let news = told.is_some() && told != self.approval.noticed;
        if news {
            self.approval.noticed = told;
            self.tell(|| format!("somebody sees that the newest revision is {:x}", told.unwrap_or_default()));
        }
        news
    }

    /// People approve of what they saw.
    pub fn approve(&mut self) -> bool {
        let Some(noticed) = self.approval.noticed.filter(|noticed| self.approval.given != Some(*noticed)) else {
            return false;
        };
        self.approval.given = Some(noticed);
        self.tell(|| format!("somebody approves of revision {noticed:x}"));
        true
    }

    /// Whether there is a roll that waits for people or for a window.
    pub fn held(&self) -> bool {
        let revision = self.kube.revision();
        let late = self.kube.pods.values().any(|pod| pod.revision != revision);
        late && self.closed()
    }

    fn closed(&self) -> bool {
        self.spec.policy.closed(self.approval.given, self.kube.revision(), self.kube.now)
    }

    /// Waiting alone permits nothing: an hour later the same pods run, and every window is where it was.
    pub fn wait_in_vain(&mut self, mind: &Mind) {
        let pods = |world: &Self| world.kube.pods.values().map(|pod| (pod.uid, pod.terminating)).collect::<Vec<_>>();
        let before = pods(self);
        self.later(HOUR);
        self.pass(0, mind);
        if pods(self) != before {
            self.wrong(Wrong::Policy("a roll that has to wait goes on by itself after an hour".to_owned()));
        }
    }

    /// What a roll waits for comes: people approve of it, the window opens.
    pub fn permit(&mut self) {
        match self.spec.policy {
            Policy::Automatic => {}
            Policy::Supervised => {
                self.notice();
                self.approve();
            }
            Policy::Windows => {
                let opens = self.kube.now.next_multiple_of(HOUR);
                self.later(opens - self.kube.now);
                self.tell(|| "the window opens".to_owned());
            }
        }
    }

    /// The operator stops a member or takes it out. A member that does not serve is healed, one on a node that is drained
    /// or whose pod is being deleted goes anyway, and one that gets a new volume has to: only the rest are rolls.
    pub fn judge_roll(&mut self, id: u32, pass: &Pass) {
        let (sight, ordinal) = (&pass.sight, id - 1);
        let roll = match &pass.thought.step {
            Step::Restart(_) => !sight.given_up(ordinal),
            Step::Leave { why: Purpose::HandOver, .. } => !sight.cordoned(ordinal) && !sight.terminating(ordinal),
            Step::Leave { why: Purpose::Restart, .. } => true,
            _ => false,
        };
        if roll && sight.closed() && pass.synced.or(pass.recent).contains(id) && !sight.asked(ordinal) {
            let policy = sight.resource.spec.policy;
            self.wrong(Wrong::Policy(format!(
                "member {id} serves, or would again, and is stopped or taken out for a roll that has to wait ({policy:?})"
            )));
        }
    }
}
