//! Which backups of each ensemble have ended, as their passes have seen them: what an ensemble's pass reads of them, which may be thousands.
//!
//! In memory only, and of a backup no longer than it is there. Each is looked at after a start and each hour, and what an ensemble has said of
//! them is in its status.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::model::backup_end::BackupEnd;

type Object = (String, String);

/// By namespace and name of the ensemble. Of all that ended alike, the last is kept.
#[derive(Default)]
pub struct Ended(Mutex<BTreeMap<Object, Vec<BackupEnd>>>);

impl Ended {
    /// A backup has ended.
    pub fn note(&self, namespace: &str, ensemble: &str, end: BackupEnd) {
        let mut all = self.all();
        let known = all.entry((namespace.to_owned(), ensemble.to_owned())).or_default();
        let alike = |other: &&mut BackupEnd| {
            let class = |end: &BackupEnd| (end.said.level, end.said.tells(), end.said.reason.is_some());
            other.identity == end.identity && other.archive == end.archive && class(other) == class(&end)
        };
        match known.iter_mut().find(alike) {
            Some(other) if other.said.order() <= end.said.order() => *other = end,
            Some(_) => {}
            None => known.push(end),
        }
    }

    /// Those of an ensemble. One that failed before it was known whose it was is this one's if it ended since that was created.
    pub fn of(&self, namespace: &str, ensemble: &str, created: Option<Timestamp>) -> Vec<BackupEnd> {
        let all = self.all();
        let known = all.get(&(namespace.to_owned(), ensemble.to_owned())).into_iter().flatten();
        let since = |end: &BackupEnd| created.is_some_and(|created| end.said.ended.0 >= created);
        known.filter(|end| end.identity.is_some() || since(end)).cloned().collect()
    }

    /// A backup is gone.
    pub fn forget(&self, namespace: &str, backup: &str) {
        self.all().retain(|(place, _), known| {
            if place == namespace {
                known.retain(|end| end.said.name != backup);
            }
            !known.is_empty()
        });
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Object, Vec<BackupEnd>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{EndedBackup, ProofLevel, Time};

    fn end(name: &str, hour: u32, level: Option<ProofLevel>) -> BackupEnd {
        let said = EndedBackup {
            name: name.to_owned(),
            ended: Time(format!("2026-11-27T{hour:02}:00:00Z").parse().unwrap()),
            zxid: None,
            level,
            reason: level.is_none().then(|| "TooLate".to_owned()),
            message: String::new(),
        };
        BackupEnd { identity: level.map(|_| "one".to_owned()), archive: None, said }
    }

    #[test]
    fn of_a_thousand_backups_of_an_ensemble_the_last_of_each_kind_is_remembered_while_it_is_there() {
        let ended = Ended::default();
        for hour in [3, 5, 4] {
            ended.note("ns", "zk", end(&format!("replay-{hour}"), hour, Some(ProofLevel::Replay)));
            ended.note("ns", "zk", end(&format!("late-{hour}"), hour, None));
        }
        ended.note("ns", "other", end("theirs", 9, Some(ProofLevel::Replay)));
        let names = |created: &str| {
            let found = ended.of("ns", "zk", Some(created.parse().unwrap()));
            found.into_iter().map(|end| end.said.name).collect::<Vec<_>>()
        };
        assert_eq!(names("2026-11-27T05:00:00Z"), ["replay-5", "late-5"]);
        assert_eq!(names("2026-11-27T05:00:01Z"), ["replay-5"], "it failed before this ensemble was created");
        ended.forget("other", "replay-5");
        assert_eq!(names("2026-11-27T05:00:00Z"), ["replay-5", "late-5"], "another namespace's has the same name");
        ended.forget("ns", "replay-5");
        assert_eq!(names("2026-11-27T05:00:00Z"), ["late-5"]);
        ended.forget("ns", "late-5");
        assert_eq!(ended.all().len(), 1, "that of another ensemble");
    }
}
