//! What the operator remembers of one ensemble, in memory only. All of it goes with the ensemble (`kit::memory`).

use super::hindered::EnsembleNotes;
use super::hints::Hints;
use super::passwords::PasswordMemory;
use crate::api::Guarded;
use crate::operator::kit::pace::Pace;
use crate::zk::guard::Walk;

/// What the operator remembers of one ensemble.
#[derive(Default)]
pub struct Memory {
    /// The outcomes of its last passes.
    pub pace: Pace,
    /// Which objects its members may have.
    pub hints: Hints,
    /// What failed.
    pub notes: EnsembleNotes,
    /// Its super user's password, as far as it is known.
    pub password: PasswordMemory,
    /// An unfinished walk through `/zookeeper`, and what the status should say at its end.
    pub walk: Option<(Guarded, Walk)>,
}

impl Memory {
    /// The walk to continue, or a new one.
    pub fn walk_on(&mut self, mark: &Guarded) -> Walk {
        self.walk.take().filter(|(before, _)| before == mark).map(|(_, walk)| walk).unwrap_or_default()
    }
}
