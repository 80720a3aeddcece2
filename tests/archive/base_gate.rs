//! Which snapshots become bases, against [`Zab`]: whatever happens, the tree that is built from one is the leader's.

use menagerie::archive::base::{Content, Effect, Proved, Testimony};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use zookeeper_files::ids::Zxid;

use super::gate::{Archiver, Mutant as GateMutant};
use super::zab::{MEMBERS, Tree, Zab, digest};

const COURSES: u64 = 2000;
const EVENTS: usize = 120;

/// What is done wrong, to show that it would be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutant {
    None,
    /// It takes a name that was committed for a proof.
    TrustsNames,
    /// It does not ask whether the transaction that proves it was committed.
    Uncommitted,
    /// It takes a snapshot for what was there when it was begun.
    Sharp,
    /// It does not reckon with one transaction more than the server says.
    NoNext,
}

/// How many bases were shipped, and how many of them were fuzzy.
type Counts = [usize; 2];

/// What a member's archiver takes for a base.
fn bases(zab: &Zab, member: usize, archiver: &Archiver, mutant: Mutant) -> Vec<(Zxid, Tree, Proved)> {
    let server = &zab.members[member];
    let mut found = Vec::new();
    for (&name, content) in &server.contents {
        let said = Content { name, sum: digest(&content.tree), server: content.server, last: None };
        let mut testimony = Testimony::about(said);
        for entry in &server.log {
            testimony.hear(entry.0, zab.trees.get(entry).map(digest), Effect::Changes);
        }
        let proved = match (mutant, testimony.judge()) {
            (Mutant::TrustsNames, _) => Proved { name, by: name, until: name },
            (_, Err(_)) => continue,
            (Mutant::Sharp, Ok(proved)) => Proved { until: name, ..proved },
            (Mutant::NoNext, Ok(proved)) => Proved { until: proved.by.max(name), ..proved },
            (_, Ok(proved)) => proved,
        };
        if mutant == Mutant::Uncommitted || proved.is_archived(|zxid| archiver.held.contains(&zxid)) {
            found.push((name, content.tree.clone(), proved));
        }
    }
    found
}

/// Whether the base and the archived log give the tree that the leader had. The error says why not.
fn check(zab: &Zab, archiver: &Archiver, (name, tree, proved): &(Zxid, Tree, Proved)) -> Result<(), String> {
    let end = proved.until.max(*name);
    let between = zab.committed.iter().filter(|entry| entry.0 > *name && entry.0 <= end);
    if let Some((zxid, _)) = between.clone().find(|entry| !archiver.held.contains(&entry.0)) {
        return Err(format!("base {name:#} until {end:#}: {zxid:#} is not archived"));
    }
    let built: Tree = tree.iter().chain(between).copied().collect();
    let last = zab.committed.iter().rev().find(|entry| entry.0 <= end);
    let had = last.map(|last| zab.trees[last].clone()).unwrap_or_default();
    if built != had {
        return Err(format!(
            "base {name:#} until {end:#} by {:#} gives {built:?}, and the leader had {had:?}",
            proved.by
        ));
    }
    // A leader whose own tree is spoilt says so in its digests.
    if !zab.spoilt && !tree.iter().all(|entry| zab.committed.contains(entry)) {
        return Err(format!("base {name:#} holds what was never committed: {tree:?}"));
    }
    Ok(())
}

fn course(seed: u64, mutant: Mutant) -> Result<Counts, String> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut zab = Zab::new();
    let mut archivers = vec![Archiver::default(); MEMBERS];
    let mut counts = [0; 2];
    for _ in 0..EVENTS {
        zab.happen(&mut rng);
        let member = rng.random_range(0..MEMBERS);
        let archiver = &mut archivers[member];
        if let Some(applied) = zab.sample(member).filter(|_| rng.random_bool(0.4)) {
            archiver.gate.hear(applied);
            archiver.applied = Some(applied);
        }
        archiver.look(&zab, member, GateMutant::None, &mut rng)?;
        for base in bases(&zab, member, archiver, mutant) {
            let wrong = |wrong| format!("course {seed}: member {member}: {wrong}\n  {}", zab.story.join("\n  "));
            check(&zab, archiver, &base).map_err(wrong)?;
            counts[0] += 1;
            counts[1] += usize::from(base.2.until > base.0);
        }
    }
    Ok(counts)
}

#[test]
fn whatever_happens_a_base_and_the_archived_log_give_the_leaders_tree() {
    let mut sums = [0; 2];
    for seed in 0..COURSES {
        let counts = course(seed, Mutant::None).unwrap_or_else(|wrong| panic!("{wrong}"));
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    // Otherwise it would be safe and useless.
    let [bases, fuzzy] = sums.map(|sum| sum as u64);
    assert!(bases > COURSES && fuzzy * 20 > COURSES, "{bases} bases, {fuzzy} of them fuzzy");
}

#[test]
fn whoever_judges_snapshots_otherwise_is_found() {
    for mutant in [Mutant::TrustsNames, Mutant::Uncommitted, Mutant::Sharp, Mutant::NoNext] {
        assert!((0..COURSES).any(|seed| course(seed, mutant).is_err()), "{mutant:?} is not found");
    }
}
