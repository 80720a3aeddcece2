//! The laws of retention, in archives of every kind.

use std::collections::BTreeSet;

use menagerie::archive::doubt::{Doubt, Ends};
use menagerie::archive::key::BaseKey;
use menagerie::archive::retention::{
    self, ABANDONED, Base, BaseState, Catalogue, ChainLog, Cut, Fate, GRACE, MOST_SKEW, Pin, Plan, Reason, Skew,
    StoredSegment, Wish, plan,
};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use zookeeper_files::ids::Zxid;

use super::retention_world::{Archive, Object, Request, Runner, Stored, World, chain, world};
use super::shipping::at;

const COURSES: u64 = 500;
pub const HOUR: i64 = GRACE;

/// What is done wrong, to show that it would be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutant {
    None,
    /// It takes what has just left the window.
    NoGrace,
    ForgetsPins,
    /// It takes no heed of a pin before which the list has no base.
    VoidPins,
    /// It builds on bases of which something is missing.
    TrustsDamaged,
    /// It builds on bases that stand above all log.
    TrustsForged,
    /// It keeps what the newest base needs.
    NewestIsEnough,
    /// It takes log that is old though there is no base.
    WithoutBase,
    /// It takes the segment that holds the name of the base.
    CutsOneMore,
    /// It takes the last segment of a chain.
    TakesLast,
    /// It takes the parts together with the manifest.
    AllAtOnce,
    /// It takes the log before the manifest.
    ManifestLast,
    /// It takes the parts of what was retired a moment ago.
    Impatient,
    /// It takes what may be on its way.
    Hasty,
    /// It retires what is retired.
    Again,
    /// It takes nothing if little is to be kept.
    Jumps,
}

fn decide(mutant: Mutant, catalogue: &Catalogue, wish: &Wish, now: i64) -> Plan {
    let mut seen = catalogue.clone();
    let mut wish = wish.clone();
    match mutant {
        Mutant::NoGrace => wish.window -= GRACE,
        Mutant::ForgetsPins => wish.pins.clear(),
        Mutant::VoidPins => {
            let pinned = plan(catalogue, &wish, now).pinned;
            let mut has_base = pinned.iter().map(Option::is_some);
            wish.pins.retain(|_| has_base.next().unwrap_or(true));
        }
        Mutant::TrustsDamaged => {
            for base in &mut seen.bases {
                if let BaseState::Complete { sound, .. } = &mut base.state {
                    *sound = true;
                }
            }
        }
        Mutant::TrustsForged => seen.bases.iter_mut().for_each(|base| base.doubt = None),
        Mutant::NewestIsEnough => wish.window = HOUR,
        Mutant::Jumps if wish.window < 24 * HOUR => wish.window = now,
        _ => {}
    }
    let mut plan = plan(&seen, &wish, now);
    match mutant {
        Mutant::WithoutBase if plan.anchor.is_none() => {
            plan.cuts = (0..seen.chains.len())
                .map(|chain| Cut { chain, from: 0, to: seen.chains[chain].segments.len().saturating_sub(1) / 2 })
                .collect();
        }
        Mutant::CutsOneMore | Mutant::TakesLast => {
            for cut in &mut plan.cuts {
                let last = seen.chains[cut.chain].segments.len() - 1;
                let taken = if mutant == Mutant::TakesLast { last + 1 } else { last };
                cut.to = (cut.to + 1).min(taken);
            }
        }
        _ => {}
    }
    for ((_, fate), base) in plan.bases.iter_mut().zip(&seen.bases) {
        match (mutant, &fate, base.state) {
            (Mutant::Impatient, Fate::Waits(_), _) | (Mutant::Hasty, _, BaseState::Begun { .. }) => *fate = Fate::Clear,
            (Mutant::Again, Fate::Waits(_), _) => *fate = Fate::Retire,
            _ => {}
        }
    }
    plan
}

fn requests(mutant: Mutant, catalogue: &Catalogue, plan: &Plan) -> Vec<Request> {
    let mut requests = Vec::new();
    for step in [Fate::Retire, Fate::Clear] {
        for (base, (key, fate)) in catalogue.bases.iter().zip(&plan.bases) {
            assert_eq!(base.key, *key);
            if *fate != step {
                continue;
            }
            let parts = || base.parts.iter().map(|part| Request::Delete(Object::Part(key.clone(), *part)));
            if step == Fate::Retire {
                requests.push(Request::Mark(key.clone()));
                requests.push(Request::Delete(Object::Manifest(key.clone())));
                if mutant == Mutant::AllAtOnce {
                    requests.extend(parts());
                }
                continue;
            }
            requests.push(Request::Check(key.clone(), base.state));
            requests.extend(parts());
            if matches!(base.state, BaseState::Retired { .. }) {
                requests.push(Request::Delete(Object::Mark(key.clone())));
            }
        }
    }
    for cut in &plan.cuts {
        let segments = &catalogue.chains[cut.chain].segments;
        requests.extend(cut.order().map(|number| Request::Delete(Object::Segment(cut.chain, segments[number].first))));
    }
    if mutant == Mutant::ManifestLast {
        requests.reverse();
    }
    requests
}

/// What was wished for and could be built before.
fn kept(world: &World, wish: &Wish, points: &BTreeSet<Zxid>) -> BTreeSet<Zxid> {
    let begin = world.now - wish.window;
    let later = world.committed.iter().skip(1).map(|(_, time)| *time).chain([i64::MAX]);
    let mut wanted: BTreeSet<Zxid> =
        world.committed.iter().zip(later).filter(|(_, next)| *next > begin).map(|((zxid, _), _)| *zxid).collect();
    wanted.extend(wish.pins.iter().map(|pin| pin.from));
    wanted.intersection(points).copied().collect()
}

fn deletions(requests: &[Request]) -> BTreeSet<Object> {
    let deleted = requests.iter().filter_map(|request| match request {
        Request::Delete(Object::Mark(_)) | Request::Mark(_) | Request::Check(..) => None,
        Request::Delete(object) => Some(object.clone()),
    });
    deleted.collect()
}

/// Nothing young goes, no last segment, and nothing of what is needed comes before what needs it.
fn check_requests(archive: &Archive, requests: &[Request], wish: &Wish, now: i64) -> Result<(), String> {
    let mut archive = archive.clone();
    let horizon = now - wish.window - GRACE;
    let mut begun_with_log = false;
    for request in requests {
        let young = match request {
            Request::Delete(Object::Segment(chain, first)) => {
                begun_with_log = true;
                let (_, stored) = archive.segments[&(*chain, *first)];
                let last = archive.segments.keys().rfind(|(of, _)| of == chain).unwrap();
                stored > horizon || last.1 == *first
            }
            Request::Delete(Object::Manifest(key)) => {
                if begun_with_log {
                    return Err(format!("log goes before the manifest of {key:?}"));
                }
                archive.bases[key].manifest.is_none_or(|(stored, _, _)| stored > horizon)
            }
            Request::Delete(Object::Part(key, _)) => {
                let base = &archive.bases[key];
                let latest = *base.parts.values().max().unwrap();
                match (base.manifest, base.mark) {
                    (Some(_), _) => true,
                    (None, Some(since)) => since + GRACE > now,
                    (None, None) => latest + ABANDONED > now,
                }
            }
            _ => false,
        };
        if young {
            return Err(format!("{request:?} is too early"));
        }
        Runner::new(vec![request.clone()]).next(&mut archive, now);
    }
    Ok(())
}

/// A list that lacks some of what there is: segments, and if `bases` whole bases too.
fn shrunken(catalogue: &Catalogue, bases: bool, rng: &mut StdRng) -> Catalogue {
    let mut shrunken = catalogue.clone();
    for chain in &mut shrunken.chains {
        chain.segments.retain(|_| rng.random_bool(0.7));
    }
    shrunken.bases.retain(|_| !bases || rng.random_bool(0.7));
    shrunken
}

/// Lets one or two runners go on to their ends, and asks after every request whether all is there that was wished for.
fn run(world: &mut World, wish: &Wish, mut runners: Vec<Runner>, rng: &mut StdRng) -> Result<(), String> {
    let kept = kept(world, wish, &world.archive.points(&world.committed));
    while !runners.is_empty() {
        let next = rng.random_range(0..runners.len());
        let Some(request) = runners[next].next(&mut world.archive, world.now) else {
            runners.remove(next);
            continue;
        };
        if let Request::Delete(_) = request {
            let points = world.archive.points(&world.committed);
            if let Some(lost) = kept.difference(&points).next() {
                return Err(format!("{lost:#} is lost with {request:?}"));
            }
        }
    }
    Ok(())
}

/// How many manifests, parts and segments were deleted.
type Counts = [usize; 3];

fn course(seed: u64, mutant: Mutant) -> Result<Counts, String> {
    let rng = &mut StdRng::seed_from_u64(seed);
    let mut world = world(rng);
    let pins = (0..rng.random_range(0..3)).filter(|_| !world.committed.is_empty());
    let pins = pins.map(|_| world.committed[rng.random_range(0..world.committed.len())].0).collect::<Vec<_>>();
    let pins = pins.into_iter().map(|zxid| Pin { from: zxid, to: zxid }).collect();
    let wish = Wish { window: rng.random_range(HOUR..72 * HOUR), pins };
    let mut counts = [0; 3];
    // Bases that had a manifest when a run began, and what could be built from them then.
    let mut restores: Vec<(i64, BaseKey)> = Vec::new();
    for _ in 0..4 {
        let catalogue = world.archive.catalogue();
        let plan = decide(mutant, &catalogue, &wish, world.now);
        let all = requests(mutant, &catalogue, &plan);
        check_requests(&world.archive, &all, &wish, world.now)?;
        let deleted = deletions(&all);
        for object in &deleted {
            counts[match object {
                Object::Manifest(_) => 0,
                Object::Part(..) | Object::Mark(_) => 1,
                Object::Segment(..) => 2,
            }] += 1;
        }
        laws_of_a_plan(mutant, &world, &wish, &catalogue, &deleted, rng)?;

        let newest = newest_whole(&world.archive);
        restores.extend(
            catalogue
                .bases
                .iter()
                .filter(|base| matches!(base.state, BaseState::Complete { .. }))
                .map(|base| (world.now, base.key.clone())),
        );
        // A second runner that has seen the same, or a list that lacks something.
        let mut runners = vec![Runner::new(all)];
        if rng.random_bool(0.5) {
            let listed = if rng.random_bool(0.5) { catalogue.clone() } else { shrunken(&catalogue, true, rng) };
            let plan = decide(mutant, &listed, &wish, world.now);
            runners.push(Runner::new(requests(mutant, &listed, &plan)));
        }
        run(&mut world, &wish, runners, rng)?;
        if newest_whole(&world.archive) != newest {
            return Err(format!("the newest base {newest:?} is gone"));
        }
        let still = |key: &BaseKey| world.archive.bases.get(key).is_some_and(|base| !base.parts.is_empty());
        if let Some((_, key)) = restores.iter().find(|(since, key)| since + GRACE > world.now && !still(key)) {
            return Err(format!("the parts of {key:?} are gone, and somebody may be reading them"));
        }
        let catalogue = world.archive.catalogue();
        let again = decide(mutant, &catalogue, &wish, world.now);
        if !again.is_empty() {
            return Err(format!("a second run at once would delete more: {again:?}"));
        }
        world.now += rng.random_range(HOUR / 4..2 * HOUR);
    }
    Ok(counts)
}

/// A longer window and a shorter list delete no more.
fn laws_of_a_plan(
    mutant: Mutant,
    world: &World,
    wish: &Wish,
    catalogue: &Catalogue,
    deleted: &BTreeSet<Object>,
    rng: &mut StdRng,
) -> Result<(), String> {
    let of = |catalogue: &Catalogue, wish: &Wish| {
        let plan = decide(mutant, catalogue, wish, world.now);
        deletions(&requests(mutant, catalogue, &plan))
    };
    let longer = Wish { window: wish.window + rng.random_range(0..48 * HOUR), ..wish.clone() };
    if let Some(more) = of(catalogue, &longer).difference(deleted).next() {
        return Err(format!("with a longer window {more:?} goes as well"));
    }
    if let Some(more) = of(&shrunken(catalogue, false, rng), wish).difference(deleted).next() {
        return Err(format!("by a shorter list {more:?} goes as well"));
    }
    let without_log = Catalogue { chains: Vec::new(), ..catalogue.clone() };
    let without_bases = Catalogue { bases: Vec::new(), ..catalogue.clone() };
    for nothing in [Catalogue::default(), without_log, without_bases] {
        if !of(&nothing, wish).is_empty() {
            return Err("an empty list deletes something".to_owned());
        }
    }
    Ok(())
}

fn newest_whole(archive: &Archive) -> Option<BaseKey> {
    let whole = |base: &Stored| matches!(base.manifest, Some((_, _, true)));
    archive.bases.iter().rfind(|(_, base)| whole(base)).map(|(key, _)| key.clone())
}

#[test]
fn whatever_is_stored_each_point_of_the_window_and_each_pin_can_be_built_before_while_and_after_the_rest_goes() {
    let mut sums = [0; 3];
    for seed in 0..COURSES {
        let counts = course(seed, Mutant::None).unwrap_or_else(|wrong| panic!("course {seed}: {wrong}"));
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count as u64);
    }
    // Otherwise it would be safe and useless.
    assert!(sums.iter().all(|sum| *sum > COURSES), "manifests, parts and segments that went: {sums:?}");
}

#[test]
fn whoever_keeps_otherwise_is_found() {
    for mutant in [
        Mutant::NoGrace,
        Mutant::ForgetsPins,
        Mutant::VoidPins,
        Mutant::TrustsDamaged,
        Mutant::TrustsForged,
        Mutant::NewestIsEnough,
        Mutant::WithoutBase,
        Mutant::CutsOneMore,
        Mutant::TakesLast,
        Mutant::AllAtOnce,
        Mutant::ManifestLast,
        Mutant::Impatient,
        Mutant::Hasty,
        Mutant::Again,
        Mutant::Jumps,
    ] {
        let found = (0..COURSES).find_map(|seed| course(seed, mutant).err());
        assert!(found.is_some(), "{mutant:?} is not found");
        println!("{mutant:?}: {}", found.unwrap_or_default());
    }
}

/// One object that a store does not give, or that a later version wrote, ended every run.
#[test]
fn a_base_that_cannot_be_read_stays_with_all_that_it_may_need_and_nothing_goes_that_would_have_stayed() {
    let (mut fewer, mut some) = (0, 0);
    for seed in 0..COURSES {
        let rng = &mut StdRng::seed_from_u64(seed);
        let world = world(rng);
        let pin = |zxid| Pin { from: zxid, to: zxid };
        let pins = world.committed.iter().filter(|_| rng.random_bool(0.02)).map(|(zxid, _)| pin(*zxid)).collect();
        let wish = Wish { window: rng.random_range(HOUR..72 * HOUR), pins };
        let catalogue = world.archive.catalogue();
        let goes =
            |catalogue: &Catalogue| deletions(&requests(Mutant::None, catalogue, &plan(catalogue, &wish, world.now)));
        let all = goes(&catalogue);
        for base in &catalogue.bases {
            let mut seen = catalogue.clone();
            seen.leave(&base.key);
            let less = goes(&seen);
            assert!(less.is_subset(&all), "{seed}: without {:?} more goes: {:?}", base.key, less.difference(&all));
            for object in &less {
                let its = |key: &BaseKey| *key == base.key;
                assert!(
                    !matches!(object, Object::Manifest(key) | Object::Part(key, _) if its(key)),
                    "{seed}: {object:?}"
                );
            }
            for cut in plan(&seen, &wish, world.now).cuts {
                let behind = seen.chains[cut.chain].segments[cut.to].first;
                assert!(behind <= base.key.zxid, "{seed}: log behind {:?} goes", base.key);
            }
            fewer += usize::from(less.len() < all.len());
            some += usize::from(!less.is_empty());
        }
    }
    assert!(fewer > 100 && some > 100, "{fewer} {some}");
}

#[test]
fn the_earlier_clock_counts_and_clocks_that_are_far_apart_delete_nothing() {
    assert_eq!(retention::now(5000, 7000), Ok(5000));
    assert_eq!(retention::now(7000, 5000), Ok(5000));
    for (ours, stores) in [(0, MOST_SKEW + 1), (MOST_SKEW + 1, 0), (10 * 365 * 24 * HOUR, 0), (i64::MIN, i64::MAX)] {
        assert!(retention::now(ours, stores).is_err());
    }
    assert_eq!(Skew(301_000).to_string(), "the clocks of this machine and of the store are 301 s apart");
}

fn complete(counter: u64, stored: i64) -> Base {
    let key = BaseKey { zxid: at(1, counter), chain: chain(0) };
    let state = BaseState::Complete { stored, end: at(1, counter), sound: true, marked: false };
    Base { key, state, parts: vec![0], bytes: 1, doubt: None }
}

#[test]
fn each_base_is_kept_for_a_reason_and_until_a_time() {
    let segments = (0..10).map(|n| StoredSegment { first: at(1, n * 10 + 1), stored: 0, bytes: 1 }).collect();
    let chains = vec![ChainLog { chain: chain(0), segments }];
    let (day, window) = (24 * HOUR, 3 * 24 * HOUR);
    let bases = vec![complete(11, 0), complete(31, 2 * day), complete(51, 4 * day), complete(71, 6 * day)];
    let catalogue = Catalogue { bases, chains };
    let pin = Pin { from: at(1, 15), to: at(1, 15) };
    let plan = plan(&catalogue, &Wish { window, pins: vec![pin] }, 8 * day);
    let fates: Vec<Fate> = plan.bases.into_iter().map(|(_, fate)| fate).collect();
    let until = |day_of_next: i64| Some(day_of_next * day + window + GRACE);
    let want = [
        Fate::Keep(vec![Reason::Pin(0)]),
        Fate::Retire,
        Fate::Keep(vec![Reason::Window(until(6))]),
        Fate::Keep(vec![Reason::Younger(None), Reason::Newest]),
    ];
    assert_eq!(fates, want);
    // What the pin needs stays, and what the retired base needs too, for now.
    assert_eq!(plan.cuts, [Cut { chain: 0, from: 0, to: 1 }, Cut { chain: 0, from: 2, to: 3 }]);
}

fn stores(number: usize, segments: &[(u64, i64)]) -> ChainLog {
    let segment = |&(counter, hour): &(u64, i64)| {
        let stored = u32::try_from(hour * HOUR / 1000).unwrap();
        StoredSegment { first: at(1, counter), stored, bytes: 1 }
    };
    ChainLog { chain: chain(number), segments: segments.iter().map(segment).collect() }
}

#[test]
fn a_base_is_only_relied_on_if_others_go_on_above_it_and_nobody_below() {
    let base = BaseKey { zxid: at(1, 50), chain: chain(0) };
    // It ends with the 52nd and was stored in the 10th hour.
    for (chains, want) in [
        (vec![stores(0, &[(40, 9), (60, 12)]), stores(1, &[(40, 9), (60, 12)])], None),
        // Its own chain alone is not believed while others ship.
        (vec![stores(0, &[(40, 9), (60, 12)]), stores(1, &[(40, 9), (45, 10)])], Some(Doubt::NotContinued)),
        (vec![stores(0, &[(40, 9), (60, 12)]), stores(1, &[(40, 9), (41, 12)])], Some(Doubt::LeftBehind)),
        // One alone can only speak for itself, and so can the last that ships.
        (vec![stores(0, &[(40, 9), (60, 12)])], None),
        (vec![stores(0, &[(40, 9), (60, 12)]), stores(1, &[(40, 9)])], None),
        (vec![stores(0, &[(40, 9), (51, 12)])], Some(Doubt::NotContinued)),
        (vec![stores(0, &[(40, 9), (60, 9)])], Some(Doubt::NotContinued)),
        // Log that was put far above does not hide that the chain goes on below.
        (vec![stores(0, &[(40, 12), (900, 10)]), stores(1, &[(41, 12), (900, 10)])], Some(Doubt::LeftBehind)),
        (vec![], Some(Doubt::NotContinued)),
    ] {
        assert_eq!(Ends::of(&chains).doubt(&base, at(1, 52), 10 * HOUR), want, "{chains:?}");
    }
}

/// A segment that was left alone would stand before a hole, and that is what damage looks like.
#[test]
fn a_roll_up_waits_until_the_segments_that_it_was_made_of_are_gone() {
    let mut rolled = stores(0, &[(1, 1), (11, 1), (21, 1)]);
    rolled.chain = rolled.chain.rolled();
    let cut = |source: &[(u64, i64)]| {
        let chains = vec![stores(0, source), rolled.clone()];
        let catalogue = Catalogue { bases: vec![complete(22, 0)], chains };
        let plan = plan(&catalogue, &Wish { window: HOUR, pins: Vec::new() }, 9 * HOUR);
        plan.cuts.into_iter().filter(|cut| cut.chain == 1).map(|cut| (cut.from, cut.to)).collect::<Vec<_>>()
    };
    assert_eq!(cut(&[(31, 2), (32, 2)]), [(0, 2)]);
    // The last segment of a chain is in no roll-up.
    assert_eq!(cut(&[(15, 2)]), [(0, 2)]);
    assert_eq!(cut(&[(15, 2), (31, 2)]), [(0, 1)]);
    assert_eq!(cut(&[(1, 2), (15, 2), (31, 2)]), []);
}

#[test]
fn roll_ups_say_nothing_new_of_whether_others_have_gone_on() {
    let base = BaseKey { zxid: at(1, 50), chain: chain(0) };
    let mut rolled = stores(0, &[(40, 12), (60, 12)]);
    rolled.chain = rolled.chain.rolled();
    let goes_on = stores(0, &[(40, 9), (60, 12)]);
    assert_eq!(Ends::of(&[goes_on.clone(), rolled.clone()]).doubt(&base, at(1, 52), 10 * HOUR), None);
    rolled.segments.pop();
    assert_eq!(Ends::of(&[goes_on, rolled]).doubt(&base, at(1, 52), 10 * HOUR), None, "it was only made later");
}

#[test]
fn a_base_in_doubt_replaces_none_and_stays_itself() {
    let chains = vec![stores(0, &[(1, 0), (11, 0), (21, 0), (31, 0)])];
    let mut bases = vec![complete(11, 0), complete(21, 0), complete(900, 0)];
    bases[2].doubt = Some(Doubt::LeftBehind);
    let plan = plan(&Catalogue { bases, chains }, &Wish { window: HOUR, pins: Vec::new() }, 3 * HOUR);
    assert_eq!(plan.anchor.map(|anchor| anchor.zxid), Some(at(1, 21)));
    let fates: Vec<Fate> = plan.bases.into_iter().map(|(_, fate)| fate).collect();
    let want =
        [Fate::Retire, Fate::Keep(vec![Reason::Window(None), Reason::Newest]), Fate::Keep(vec![Reason::Younger(None)])];
    assert_eq!(fates, want);
    assert!(plan.cuts.iter().all(|cut| cut.to <= 1), "{:?}", plan.cuts);
}
