//! The commit gate against [`Zab`]: in whatever order things happen, nothing is shipped that was not committed.

use std::collections::BTreeSet;

use menagerie::archive::gate::{Admission, Gate};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use zookeeper_files::ids::{Zxid, ZxidRange};

use super::zab::{Entry, MEMBERS, Zab};

const COURSES: u64 = 3000;
const EVENTS: usize = 120;

/// What an archiver does wrong, to show that it would be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    None,
    /// It ships what it read first, and does not read it again.
    ReadsOnce,
    /// It does not look at snapshots.
    NoSnapshots,
    /// It does not see that snapshots were purged.
    NoPurges,
    /// It takes for committed what is below the last transaction that was applied.
    AnyEpoch,
}

/// One member's archiver. It reads a log in two pieces, between which anything may happen.
#[derive(Clone, Default)]
pub struct Archiver {
    pub gate: Gate,
    last: Option<Zxid>,
    pub applied: Option<Zxid>,
    /// What it has shipped.
    pub held: BTreeSet<Zxid>,
    begun: Option<(Option<Zxid>, Vec<Entry>)>,
    shipped: usize,
    followed: usize,
}

impl Archiver {
    /// Reads on, and ships what it may. The error says what it should not have.
    pub fn look(&mut self, zab: &Zab, member: usize, mutant: Mutant, rng: &mut StdRng) -> Result<(), String> {
        let server = &zab.members[member];
        let Some((before, mut read)) = self.begun.take() else {
            let (before, mut read) = server.behind(self.last);
            read.truncate(rng.random_range(0..=read.len()));
            self.begun = Some((before, read));
            return Ok(());
        };
        let begun = read.last().map(|entry| entry.0);
        let (_, rest) = server.behind(begun.or(self.last));
        read.extend(rest);
        let mut snapshots = server.snapshots.clone();
        match mutant {
            Mutant::NoSnapshots => snapshots = BTreeSet::from([Zxid(0)]),
            Mutant::NoPurges => drop(snapshots.insert(Zxid(0))),
            _ => {}
        }
        let runs = runs(&read);
        let admitted = match (mutant, self.applied) {
            (Mutant::AnyEpoch, applied) => {
                let below = runs.iter().filter(|run| Some(run.last) <= applied);
                below.map(|&zxids| Admission::Committed { zxids, follows: false }).collect()
            }
            _ => self.gate.admit(before, &runs, &snapshots),
        };
        // One segment a look, as the shipper does.
        let first = admitted.into_iter().find_map(|admission| match admission {
            Admission::Committed { zxids, follows } => Some((zxids, follows)),
            Admission::Unknown(_) => None,
        });
        let Some((zxids, follows)) = first else { return Ok(()) };
        let source = if mutant == Mutant::ReadsOnce { &read } else { &server.log };
        self.ship(zab, source, zxids, follows)
    }

    /// Ships a range, if `source` has all of it.
    fn ship(&mut self, zab: &Zab, source: &[Entry], zxids: ZxidRange, follows: bool) -> Result<(), String> {
        let place = |zxid: Option<Zxid>| zab.committed.iter().position(|entry| Some(entry.0) == zxid);
        let before = self.last;
        let all = (zxids.first.0..=zxids.last.0).map(Zxid);
        let Some(entries) =
            all.map(|zxid| source.iter().rev().find(|entry| entry.0 == zxid)).collect::<Option<Vec<_>>>()
        else {
            return Ok(());
        };
        if let Some((zxid, _)) = entries.iter().find(|entry| !zab.committed.contains(entry)) {
            return Err(format!("{zxid:#} is shipped and not committed"));
        }
        self.last = Some(zxids.last);
        self.shipped += entries.len();
        self.held.extend(entries.iter().map(|entry| entry.0));
        if !follows {
            return Ok(());
        }
        self.followed += 1;
        if place(Some(zxids.first)) != place(before).map(|at| at + 1) {
            return Err(format!("{:#} does not follow on {before:?}", zxids.first));
        }
        Ok(())
    }
}

fn runs(entries: &[Entry]) -> Vec<ZxidRange> {
    let mut runs: Vec<ZxidRange> = Vec::new();
    for &(zxid, _) in entries {
        match runs.last_mut() {
            Some(run) if run.last.epoch() == zxid.epoch() && run.last.0 + 1 == zxid.0 => run.last = zxid,
            _ => runs.push(ZxidRange::of(zxid)),
        }
    }
    runs
}

/// One course of events; how much was committed, shipped by the member that shipped most, and proved to follow.
fn course(seed: u64, mutant: Mutant) -> Result<[usize; 3], String> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut zab = Zab::new();
    let mut archivers = vec![Archiver::default(); MEMBERS];
    for _ in 0..EVENTS {
        zab.happen(&mut rng);
        let member = rng.random_range(0..MEMBERS);
        let archiver = &mut archivers[member];
        if rng.random_bool(0.3) {
            if let Some(applied) = zab.sample(member) {
                archiver.gate.hear(applied);
                archiver.applied = Some(applied);
            }
        } else {
            let shipped = archiver.look(&zab, member, mutant, &mut rng);
            shipped.map_err(|wrong| format!("course {seed}: {wrong}\n  {}", zab.story.join("\n  ")))?;
        }
    }
    let most = archivers.iter().map(|archiver| archiver.shipped).max().unwrap_or_default();
    Ok([zab.committed.len(), most, archivers.iter().map(|archiver| archiver.followed).sum()])
}

#[test]
fn whatever_happens_nothing_is_shipped_that_was_not_committed() {
    let mut sums = [0; 3];
    for seed in 0..COURSES {
        let counts = course(seed, Mutant::None).unwrap_or_else(|wrong| panic!("{wrong}"));
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    let [committed, shipped, followed] = sums;
    // Otherwise it would be safe and useless.
    assert!(shipped * 2 > committed, "of {committed} committed transactions {shipped} were shipped");
    assert!(followed as u64 > COURSES, "only {followed} segments were proved to follow");
}

#[test]
fn an_archiver_that_does_one_thing_wrong_is_found() {
    for mutant in [Mutant::ReadsOnce, Mutant::NoSnapshots, Mutant::NoPurges, Mutant::AnyEpoch] {
        assert!((0..COURSES).any(|seed| course(seed, mutant).is_err()), "{mutant:?} is not found");
    }
}
