//! What is remembered of one ensemble, in memory alone. All of it goes with the ensemble (`kit::memory`).

use super::hindered::Notes;
use super::hints::Hints;
use super::passwords::PasswordMemory;
use crate::api::Guarded;
use crate::operator::kit::pace::Pace;
use crate::zk::guard::Walk;

/// What is remembered of one ensemble.
#[derive(Default)]
pub struct Memory {
    /// What its last passes came to.
    pub pace: Pace,
    /// What may be there of its members.
    pub hints: Hints,
    /// What came to nothing.
    pub notes: Notes,
    /// Its super user's password, as far as it is known.
    pub password: PasswordMemory,
    /// A walk through `/zookeeper` that had no time to come to an end, for what is to be at its end.
    pub walk: Option<(Guarded, Walk)>,
}

impl Memory {
    /// The walk to go on with, or a new one.
    pub fn walk_on(&mut self, mark: &Guarded) -> Walk {
        self.walk.take().filter(|(before, _)| before == mark).map(|(_, walk)| walk).unwrap_or_default()
    }
}
