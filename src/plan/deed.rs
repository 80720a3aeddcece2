//! A step as the single reads and writes that carry it out, in their order. The operator goes through them and so does the
//! simulation, where it can die between any two.
//!
//! Invariant: what takes something away stands behind a fresh quorum read. Only where nothing is committed is there nobody
//! to ask.

use super::{Resize, Step, Target, Write};
use crate::model::{Change, ConfigVersion, Membership, ServerId};

/// One read or write. The first that fails ends the step.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// Create an object, or bring it to what it should be.
    Write(Write),
    /// Delete an object.
    Delete(Target),
    /// Change the number of pods.
    Resize(Resize),
    /// Commit a write, read the membership behind it, and go on only if it is as expected.
    Confirm {
        /// What it has to be.
        expected: Expected,
        /// Members to ask, by the addresses of their pods.
        via: Vec<String>,
    },
    /// Change the membership by `reconfig`.
    Reconfig {
        /// The change.
        change: Change,
        /// The version that this was decided on.
        from: ConfigVersion,
        /// Members to ask, by the addresses of their pods.
        via: Vec<String>,
    },
}

/// What a fresh quorum read has to find.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The membership is still of this version.
    pub version: Option<ConfigVersion>,
    /// This one is in no membership.
    pub without: Option<ServerId>,
}

impl Expected {
    /// Whether it is so; else what is not.
    pub fn met(&self, membership: &Membership) -> Result<(), String> {
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
    pub fn deeds(&self) -> Vec<Deed> {
        match self {
            Self::Apply(writes) => writes.iter().cloned().map(Deed::Write).collect(),
            Self::Delete(targets) => targets.iter().cloned().map(Deed::Delete).collect(),
            Self::Raise(resize) => vec![Deed::Resize(resize.clone())],
            Self::Lower(resize) => {
                let expected = Expected { version: None, without: Some(resize.id) };
                vec![confirm(expected, &resize.via), Deed::Resize(resize.clone())]
            }
            Self::Join { id, server, from, via } => change(Change::Join(*id, server.clone()), *from, via),
            Self::Leave { id, from, via, why: _ } => change(Change::Leave(*id), *from, via),
            Self::Restart(restart) => {
                // Between the look and the deed another may have died: the quorum answers for itself before a member is stopped.
                let still =
                    restart.from.map(|from| confirm(Expected { version: Some(from), without: None }, &restart.via));
                still.into_iter().chain([Deed::Delete(restart.pod.clone())]).collect()
            }
            Self::Renew(renew) => {
                // What is deleted here is a copy of what a quorum has, and of nobody's who votes.
                let expected = Expected { version: Some(renew.from), without: Some(renew.id) };
                let targets = [&renew.claim].into_iter().chain(&renew.pod);
                [confirm(expected, &renew.via)].into_iter().chain(targets.cloned().map(Deed::Delete)).collect()
            }
            Self::Wait(_) | Self::Refuse(_) | Self::Rest => Vec::new(),
        }
    }
}

fn confirm(expected: Expected, via: &[String]) -> Deed {
    Deed::Confirm { expected, via: via.to_vec() }
}

fn change(change: Change, from: ConfigVersion, via: &[String]) -> Vec<Deed> {
    let expected = Expected { version: Some(from), without: None };
    vec![confirm(expected, via), Deed::Reconfig { change, from, via: via.to_vec() }]
}
