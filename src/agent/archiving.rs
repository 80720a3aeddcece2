//! What a member's agent says of its archive: the tasks that ship and purge write it, and the operator hears it.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;
use zookeeper_files::ids::ZxidRange;

use crate::model::archive::ArchivePlace;
use crate::model::truth::{ArchiveState, GivenUp};

/// What the member's agent says of its archive.
#[derive(Debug, Default)]
pub struct Archiving {
    state: Mutex<Option<ArchiveState>>,
    /// Of which archive it is said.
    place: Mutex<Option<String>>,
    /// The last segment that the store has of this disk, as it said in this agent's life.
    segment: Mutex<Option<ZxidRange>>,
    purged: Mutex<Purged>,
    stop: watch::Sender<bool>,
}

/// What is said of the purge beside that.
#[derive(Clone, Debug, Default)]
pub(super) struct Purged {
    /// What was deleted and is in no archive.
    pub given_up: Option<GivenUp>,
    /// Bytes that stay because they are not archived.
    pub unarchived: Option<u64>,
    /// Why the last purge ended before its end.
    pub trouble: Option<String>,
}

impl Archiving {
    /// What it says now; `None` where this member archives nothing.
    pub fn state(&self) -> Option<ArchiveState> {
        let state = self.shipped()?;
        let purged = self.purged.lock().unwrap_or_else(PoisonError::into_inner);
        Some(ArchiveState { given_up: purged.given_up, unarchived: purged.unarchived, ..state })
    }

    /// Why nothing is purged, whether or not this member archives.
    pub fn unpurged(&self) -> Option<String> {
        self.purged.lock().unwrap_or_else(PoisonError::into_inner).trouble.clone()
    }

    /// The same without what the purge says.
    pub(super) fn shipped(&self) -> Option<ArchiveState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The last segment that the store is known to have.
    pub(super) fn segment(&self) -> Option<ZxidRange> {
        *self.segment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, segment: Option<ZxidRange>) {
        *self.segment.lock().unwrap_or_else(PoisonError::into_inner) = segment;
    }

    /// What it says from now on while it ships, and what the store has.
    pub(super) fn ships(&self, state: ArchiveState, segment: Option<ZxidRange>) {
        self.has(segment);
        self.say(Some(state));
    }

    /// What the purge says from now on.
    pub(super) fn purged(&self, purged: Purged) {
        *self.purged.lock().unwrap_or_else(PoisonError::into_inner) = purged;
    }

    /// The agent is to end: no more bases, and what is on its way of one is broken off.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Hears that the agent is to end.
    pub(super) fn stops(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// From now on, what is said is of this archive. What was known of another one is forgotten.
    pub(super) fn about(&self, place: &ArchivePlace) {
        let place = Some(place.described());
        let mut known = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != place {
            *known = place;
            self.say(None);
            self.has(None);
            self.purged(Purged::default());
        }
    }

    /// Of which archive it is said.
    pub(super) fn place(&self) -> Option<String> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it says from now on; nothing where it archives nothing.
    pub(super) fn say(&self, state: Option<ArchiveState>) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::truth::ArchiveReason;

    /// The error of a wrong target stayed in the condition after it was corrected.
    #[test]
    fn what_was_said_of_another_archive_is_forgotten() {
        let place = |target: &str| ArchivePlace { target: target.to_owned(), ..ArchivePlace::default() };
        let archiving = Archiving::default();
        archiving.about(&place("s3://a"));
        archiving.say(Some(ArchiveState::of(ArchiveReason::AccessDenied)));
        archiving.about(&place("s3://a"));
        assert!(archiving.state().is_some());
        archiving.about(&place("s3://b"));
        assert_eq!((archiving.state(), archiving.place().as_deref()), (None, Some("s3://b")));
    }
}
