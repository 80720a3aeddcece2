//! What the gate makes of a log whose old files are purged while the store is away.

use std::collections::BTreeSet;

use menagerie::archive::gate::Gate;
use menagerie::archive::purge::{Duty, Files, Log, Snapshot, purge};
use proptest::prelude::{Strategy, any, prop, prop_assert_eq, proptest};
use zookeeper_files::ids::{Zxid, ZxidRange};

use super::shipping::at;

/// A member's transactions of three epochs, with the places of its snapshots and logs among them.
#[derive(Clone, Debug)]
struct History {
    zxids: Vec<Zxid>,
    /// Behind how many transactions a snapshot was written, and whether it was named by one that the log lacks.
    snapshots: Vec<(usize, bool)>,
    /// Before which transactions a log was begun.
    logs: BTreeSet<usize>,
}

fn history() -> impl Strategy<Value = History> {
    let lengths = prop::collection::vec(1_u64..12, 3);
    let places = (
        prop::collection::vec((any::<prop::sample::Index>(), prop::bool::weighted(0.1)), 0..12),
        prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    );
    (lengths, places).prop_map(|(lengths, (snapshots, logs))| {
        let zxids: Vec<_> =
            (1..).zip(lengths).flat_map(|(epoch, length)| (1..=length).map(move |n| at(epoch, n))).collect();
        let mut snapshots: Vec<_> =
            snapshots.into_iter().map(|(place, other)| (place.index(zxids.len() + 1), other)).collect();
        snapshots.sort_unstable();
        let logs = logs.into_iter().map(|place| place.index(zxids.len())).chain([0]).collect();
        History { zxids, snapshots, logs }
    })
}

impl History {
    /// The folder after so many transactions, without what is gone.
    fn files(&self, length: usize, gone: &BTreeSet<String>) -> Files {
        let logs = self.logs.iter().filter(|place| **place < length).map(|place| {
            let first = self.zxids[*place];
            Log { path: format!("log.{first}").into(), first, last: None, bytes: 1 }
        });
        let snapshots = self.snapshots.iter().filter(|(place, _)| *place <= length).map(|(place, other)| {
            let last = place.checked_sub(1).map_or(Zxid(0), |last| self.zxids[last]);
            // Synced by a snapshot: it is between the epochs, or right behind what the log has.
            let zxid = if *other { Zxid(last.0 + 1000) } else { last };
            Snapshot {
                path: format!("snapshot.{zxid}").into(),
                zxid,
                whole: true,
                torn: false,
                packed: false,
                bytes: 1,
            }
        });
        let left = |path: &std::path::Path| !gone.contains(path.to_str().unwrap());
        let mut snapshots: Vec<_> = snapshots.filter(|snapshot| left(&snapshot.path)).collect();
        snapshots.sort_by_key(|snapshot| snapshot.zxid);
        snapshots.dedup_by_key(|snapshot| snapshot.zxid);
        Files { logs: logs.filter(|log| left(&log.path)).collect(), snapshots }
    }

    fn runs(&self, from: usize) -> Vec<ZxidRange> {
        let mut runs: Vec<ZxidRange> = Vec::new();
        for zxid in &self.zxids[from..] {
            match runs.last_mut() {
                Some(run) if run.last.0 + 1 == zxid.0 => run.last = *zxid,
                _ => runs.push(ZxidRange::of(*zxid)),
            }
        }
        runs
    }
}

proptest! {
    /// The end of an epoch that is over is proved by the names of snapshots, of which none may be missing.
    #[test]
    fn what_is_purged_during_an_outage_changes_nothing_of_what_the_gate_admits_after_it(
        history in history(),
        archived in any::<prop::sample::Index>(),
        rounds in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
    ) {
        let archived = archived.index(history.zxids.len());
        let duty = |length: usize| Duty::Ships {
            archived: Some(ZxidRange::of(history.zxids[archived])),
            epoch: Some(history.zxids[length - 1].epoch()),
        };
        let mut rounds: Vec<_> =
            rounds.iter().map(|round| archived + 1 + round.index(history.zxids.len() - archived)).collect();
        rounds.sort_unstable();
        let mut gone = BTreeSet::new();
        for length in rounds {
            let purged = purge(&history.files(length, &gone), 3, duty(length), None);
            gone.extend(purged.goes.into_iter().map(|going| going.path.display().to_string()));
        }
        let names = |gone: &BTreeSet<String>| -> BTreeSet<Zxid> {
            history.files(history.zxids.len(), gone).snapshots.iter().map(|snapshot| snapshot.zxid).collect()
        };
        let admits = |names: &BTreeSet<Zxid>| {
            Gate::default().admit(Some(history.zxids[archived]), &history.runs(archived + 1), names)
        };
        prop_assert_eq!(admits(&names(&gone)), admits(&names(&BTreeSet::new())), "{:?}", gone);
    }
}
