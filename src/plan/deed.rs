//! A step as the single reads and writes that carry it out, in their order. The operator goes through them and so does the
//! simulation, where it can die between any two.
//!
//! Invariants:
//! - what takes something away, or changes who votes, is done only when a second look comes to the same step: between the
//!   first and the deed a member may have died, or an operator on a lost node may have woken up to what it decided before;
//! - and only behind a fresh quorum read. Where nothing is committed there is nobody to ask.

use super::{Resize, Step, Target, Write};
use crate::model::{Change, ConfigVersion, Membership, ServerId};

/// One read or write. The first that fails ends the step.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// Observe and plan once more, and go on only if that comes to the same step.
    LookAgain,
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
            Self::Raise(resize) => vec![Deed::Resize(resize.clone())],
            Self::Delete(targets) => behind(None, targets.iter().cloned().map(Deed::Delete)),
            Self::Lower(resize) => {
                let expected = Expected { version: None, without: Some(resize.id) };
                behind(Some((expected, &resize.via[..])), [Deed::Resize(resize.clone())])
            }
            Self::Join { id, server, from, via } => change(Change::Join(*id, server.clone()), *from, via),
            Self::Leave { id, from, via, why: _ } => change(Change::Leave(*id), *from, via),
            Self::Restart(restart) => {
                let expected = restart.from.map(|from| Expected { version: Some(from), without: None });
                behind(expected.map(|expected| (expected, &restart.via[..])), [Deed::Delete(restart.pod.clone())])
            }
            Self::Renew(renew) => {
                let expected = Expected { version: Some(renew.from), without: Some(renew.id) };
                let targets = [&renew.claim].into_iter().chain(&renew.pod).cloned();
                behind(Some((expected, &renew.via[..])), targets.map(Deed::Delete))
            }
            Self::Wait(_) | Self::Refuse(_) | Self::Rest => Vec::new(),
        }
    }

    /// In one word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Apply(_) => "apply",
            Self::Delete(_) => "delete",
            Self::Raise(_) => "raise",
            Self::Lower(_) => "lower",
            Self::Join { .. } => "join",
            Self::Leave { .. } => "leave",
            Self::Renew(_) => "renew",
            Self::Restart(_) => "restart",
            Self::Wait(_) => "wait",
            Self::Refuse(_) => "refuse",
            Self::Rest => "rest",
        }
    }
}

fn change(change: Change, from: ConfigVersion, via: &[String]) -> Vec<Deed> {
    let expected = Expected { version: Some(from), without: None };
    behind(Some((expected, via)), [Deed::Reconfig { change, from, via: via.to_vec() }])
}

/// The quorum is asked last: its answer is the youngest when the deed is done.
fn behind(confirm: Option<(Expected, &[String])>, deeds: impl IntoIterator<Item = Deed>) -> Vec<Deed> {
    let confirm = confirm.map(|(expected, via)| Deed::Confirm { expected, via: via.to_vec() });
    [Deed::LookAgain].into_iter().chain(confirm).chain(deeds).collect()
}
