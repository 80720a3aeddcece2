//! A step as the single reads and writes that carry it out, in their order. The operator goes through them and so does the
//! simulation, where it can die between any two.
//!
//! Invariants:
//! - what takes something away, or changes who votes, is done only when a second look comes to the same step: between the
//!   first and the operation a member may have died, or an operator on a lost node may have woken up to what it decided before;
//! - and only behind a fresh quorum read. Where nothing is committed there is nobody to ask.

use super::{Guard, Reason, Resize, Step, Target, Write};
use crate::model::{Change, ConfigVersion, Membership, Names, ServerId};

/// One read or write. The first that fails ends the step.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Observe and plan once more, and go on only if that comes to the same step.
    LookAgain,
    /// Create an object, or bring it to what it should be.
    Write(Write),
    /// Delete an object.
    Delete(Target),
    /// Change the number of pods.
    Resize(Resize),
    /// Open a session, which is a committed write, read the membership behind it, and go on only if it is as expected.
    Confirm {
        /// What it has to be.
        expected: Expected,
        /// Members to ask.
        via: Vec<ServerId>,
    },
    /// Change the membership by `reconfig`.
    Reconfig {
        /// The change.
        change: Change,
        /// The version that this was decided on.
        from: ConfigVersion,
        /// Members to ask.
        via: Vec<ServerId>,
    },
    /// Set ACLs as super user, from the top down.
    Guard(Guard),
}

/// What a fresh quorum read has to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The membership is still of this version.
    pub version: Option<ConfigVersion>,
    /// This one is in no membership.
    pub without: Option<ServerId>,
}

impl Expected {
    /// Whether it is so; else what is not.
    pub fn met(&self, membership: &Membership, names: &Names) -> Result<(), String> {
        // Two ensembles may well be at the same version, and an address was given to another pod.
        if membership.highest(names) == 0 {
            return Err("the answer is another ensemble's membership".to_owned());
        }
        if let Some(version) = self.version.filter(|version| *version != membership.version) {
            return Err(format!("the membership is at {} by now, not at {version}", membership.version));
        }
        match self.without.filter(|id| membership.contains(*id)) {
            Some(id) => Err(format!("member {id} is in the membership again")),
            None => Ok(()),
        }
    }
}

impl Step {
    /// What carries it out.
    pub fn operations(&self) -> Vec<Operation> {
        match self {
            Self::Apply(writes) => writes.iter().cloned().map(Operation::Write).collect(),
            Self::AddPod(resize) => vec![Operation::Resize(resize.clone())],
            Self::Delete(targets) => behind(None, targets.iter().cloned().map(Operation::Delete)),
            Self::RemovePod(resize) => {
                let expected = Expected { version: None, without: Some(resize.id) };
                behind(Some((expected, &resize.via[..])), [Operation::Resize(resize.clone())])
            }
            Self::Join { id, to, from, via } | Self::Leave { id, to, from, via, why: _ } => {
                change(Change { id: *id, to: to.clone() }, *from, via)
            }
            Self::Restart(restart) => {
                let expected = restart.from.map(|from| Expected { version: Some(from), without: None });
                behind(expected.map(|expected| (expected, &restart.via[..])), [Operation::Delete(restart.pod.clone())])
            }
            Self::ReplaceVolume(replacement) => {
                let expected = Expected { version: Some(replacement.from), without: Some(replacement.id) };
                let targets = [&replacement.claim].into_iter().chain(&replacement.pod).cloned();
                behind(Some((expected, &replacement.via[..])), targets.map(Operation::Delete))
            }
            // An address may have been given to another ensemble's member, whose super user has the same password.
            Self::Guard(guard) => {
                let expected = Expected { version: Some(guard.from), without: None };
                behind(Some((expected, &guard.via[..])), [Operation::Guard(guard.clone())])
            }
            // What members start from rises only when a quorum says so: a leader that was cut off believes in its own.
            Self::Tell(tell) => {
                let expected = Expected { version: Some(tell.version), without: None };
                let confirm = Operation::Confirm { expected, via: tell.via.clone() };
                vec![confirm, Operation::Write(tell.write.clone())]
            }
            Self::Wait(_) | Self::Refuse(_) | Self::Rest => Vec::new(),
        }
    }
}

impl Step {
    /// A step that nobody could confirm would fail at every pass while all is said to be well. It waits, and says so.
    pub(super) fn or_nobody(self, names: &Names) -> Self {
        let asks = self.operations().into_iter().any(|operation| match operation {
            Operation::Confirm { via, .. } | Operation::Reconfig { via, .. } => via.is_empty(),
            Operation::Guard(guard) => guard.via.is_empty(),
            Operation::LookAgain | Operation::Write(_) | Operation::Delete(_) | Operation::Resize(_) => false,
        });
        if !asks {
            return self;
        }
        let about = self.member().map_or(String::new(), |id| format!(" member {id} (pod {})", names.pod(id.seat())));
        Self::Wait(Reason::new(
            "NobodyToAsk",
            format!("waiting for a synced member that can be asked before this is done: {}{about}", self.word()),
        ))
    }
}

fn change(change: Change, from: ConfigVersion, via: &[ServerId]) -> Vec<Operation> {
    let expected = Expected { version: Some(from), without: None };
    behind(Some((expected, via)), [Operation::Reconfig { change, from, via: via.to_vec() }])
}

/// The quorum is asked last: its answer is the youngest when the operation is done.
fn behind(confirm: Option<(Expected, &[ServerId])>, operations: impl IntoIterator<Item = Operation>) -> Vec<Operation> {
    let confirm = confirm.map(|(expected, via)| Operation::Confirm { expected, via: via.to_vec() });
    [Operation::LookAgain].into_iter().chain(confirm).chain(operations).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixtures::names;
    use crate::model::observed::{Kind, ObjectKey};
    use crate::plan::{Purpose, ReplaceVolume, Restart};
    use crate::render::Rendered;

    const ID: ServerId = ServerId(3);
    const FROM: ConfigVersion = ConfigVersion(7);

    fn target(kind: Kind) -> Target {
        Target { key: ObjectKey { kind, name: "zk".into() }, uid: "u".into(), resource_version: "1".into() }
    }

    fn via() -> Vec<ServerId> {
        vec![ServerId(1)]
    }

    fn restart(from: Option<ConfigVersion>) -> Step {
        Step::Restart(Restart { id: ID, pod: target(Kind::Pod), from, via: via(), why: String::new() })
    }

    #[test]
    fn what_takes_something_away_stands_behind_a_second_look_and_then_a_fresh_quorum_read() {
        let (claim, pod) = (target(Kind::PersistentVolumeClaim), target(Kind::Pod));
        let key = ObjectKey { kind: Kind::StatefulSet, name: "zk".into() };
        let object = Rendered { key, json: serde_json::Value::Null };
        let resize = Resize { id: ID, object, uid: "u".into(), resource_version: "1".into(), via: via() };
        let replacement =
            ReplaceVolume { id: ID, claim: claim.clone(), pod: Some(pod), from: FROM, via: via(), why: String::new() };
        let to = Membership::default();
        let steps = [
            (Step::RemovePod(resize), (None, Some(ID)), 1),
            (Step::Join { id: ID, to: to.clone(), from: FROM, via: via() }, (Some(FROM), None), 1),
            (Step::Leave { id: ID, to, from: FROM, via: via(), why: Purpose::Shrink }, (Some(FROM), None), 1),
            (restart(Some(FROM)), (Some(FROM), None), 1),
            (Step::ReplaceVolume(replacement), (Some(FROM), Some(ID)), 2),
        ];
        for (step, (version, without), writes) in steps {
            let operations = step.operations();
            let confirm = Operation::Confirm { expected: Expected { version, without }, via: via() };
            assert_eq!(operations[..2], [Operation::LookAgain, confirm], "{}", step.word());
            assert_eq!(operations.len(), 2 + writes, "{}", step.word());
        }
        // There is nobody to ask: nothing is committed, or nothing that a quorum could know of.
        for step in [restart(None), Step::Delete(vec![claim])] {
            assert!(matches!(step.operations()[..], [Operation::LookAgain, Operation::Delete(_)]), "{}", step.word());
        }
    }

    #[test]
    fn a_membership_of_another_version_or_with_the_member_in_it_is_not_what_was_expected() {
        let names = names();
        let membership = Membership { version: FROM, ..names.seed(3) };
        let met = |version, without| Expected { version, without }.met(&membership, &names);
        assert_eq!(met(Some(FROM), Some(ServerId(4))), Ok(()));
        assert_eq!(met(Some(ConfigVersion(6)), None).unwrap_err(), "the membership is at 7 by now, not at 6");
        assert_eq!(met(None, Some(ID)).unwrap_err(), "member 3 is in the membership again");
    }
}
