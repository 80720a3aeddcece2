//! Who archives. The first voters do, and where one of them has been away for long, another one as well: with the first two of five on dead
//! nodes an ensemble served on, and nobody archived.
//!
//! - Whoever archives keeps what is in no archive, and whoever no longer does purges it. So nobody is relieved whose log the archive may
//!   lack: who is away keeps its part, and one too many goes only once it serves, and it and enough others say that they are up to date.
//! - Only who is known to be away, or says that it cannot go on by itself, gets one beside it, and only a voter that serves: each new one
//!   ships all of its log once more. The agents hear of it by their `ConfigMap`, without a restart.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::model::archive::{ARCHIVE_KEY, Archive, ArchiveConfig, ENCRYPTED_ARCHIVE_KEY};
use crate::model::observed::{Kind, ObjectKey};
use crate::model::truth::{ArchiveReason, Mode, ServerState, Serving};
use crate::model::{Fact, Observation, Seat, ServerId};

/// In seconds: a roll, or a pod that moves to another node, takes less.
const AWAY: u64 = 120;
/// In seconds: who is not farther behind has all but its newest log in the archive, and that no purge takes.
const RECENT: u64 = 60;

/// The same, with the members in it that are to archive now.
pub fn settled(seen: &Observation) -> Cow<'_, Observation> {
    let Some(archive) = seen.desired.as_ref().ok().and_then(|desired| desired.archive.as_ref()) else {
        return Cow::Borrowed(seen);
    };
    let members = shippers(seen, archive);
    if members == archive.config.members {
        return Cow::Borrowed(seen);
    }
    let mut seen = seen.clone();
    if let Some(archive) = seen.desired.as_mut().ok().and_then(|desired| desired.archive.as_mut()) {
        archive.config.members = members;
    }
    Cow::Owned(seen)
}

fn shippers(seen: &Observation, archive: &Archive) -> BTreeSet<ServerId> {
    let (copies, voters) = (archive.copies as usize, voters(seen));
    let Some(told) = told(seen) else { return archive.config.members.clone() };
    let mut members: BTreeSet<ServerId> = told.intersection(&voters).copied().collect();
    let archives = |id: &&ServerId| !is_away(seen, **id) && !has_stopped(seen, **id);
    let present = |members: &BTreeSet<ServerId>| members.iter().filter(archives).count();
    // The first come first, as if nobody had ever been away.
    for id in voters.iter().take(copies) {
        if members.len() < copies {
            members.insert(*id);
        }
    }
    let mut spare: Vec<_> = voters
        .iter()
        .filter(|id| !members.contains(id))
        // A leader has enough to do.
        .filter_map(|id| Some((serves(seen, *id)?.mode == Mode::Leader, *id)))
        .collect();
    spare.sort_unstable();
    for (_, id) in spare {
        if present(&members) < copies {
            members.insert(id);
        }
    }
    let current: Vec<_> = members.iter().copied().filter(|id| is_current(seen, archive, *id)).collect();
    // The last of them go, while enough are left of those that are up to date.
    let surplus = members.len().saturating_sub(copies).min(current.len().saturating_sub(copies));
    for id in current.into_iter().rev().take(surplus) {
        members.remove(&id);
    }
    members
}

/// Voters that there are to be.
fn voters(seen: &Observation) -> BTreeSet<ServerId> {
    let wanted = seen.desired.as_ref().map_or(0, |desired| desired.replicas);
    (0..wanted).map(|ordinal| ServerId::from(Seat::voter(ordinal))).collect()
}

/// Who was told to archive.
fn told(seen: &Observation) -> Option<BTreeSet<ServerId>> {
    let key = ObjectKey { kind: Kind::ConfigMap, name: seen.names.config() };
    let data = &seen.objects.get(&key)?.held()?["data"];
    let text = data[ENCRYPTED_ARCHIVE_KEY].as_str().or_else(|| data[ARCHIVE_KEY].as_str())?;
    let config: ArchiveConfig = serde_json::from_str(text).ok()?;
    Some(config.members)
}

/// How its server serves, if it does.
fn serves(seen: &Observation, id: ServerId) -> Option<&Serving> {
    match &seen.members.get(&id)?.known()?.server {
        ServerState::Serving(serving) => Some(serving),
        _ => None,
    }
}

/// Whether its pod has been without a server that serves for so long, or Kubernetes has refused it one. Without a pod and a refusal nobody
/// knows for how long.
fn is_away(seen: &Observation, id: ServerId) -> bool {
    let since = match seen.pods.get(&id.seat()) {
        Some(_) if serves(seen, id).is_some() => None,
        Some(pod) => pod.unready.or((!pod.served).then_some(pod.since)),
        None => seen.hindrances.pods.get(&id.seat()).and_then(|refusal| refusal.since),
    };
    since.is_some_and(|since| seen.now.saturating_sub(since) >= AWAY)
}

/// Whether its chain has come to an end that only a person can mend: what it goes on to write is in no archive.
fn has_stopped(seen: &Observation, id: ServerId) -> bool {
    let state = seen.members.get(&id).and_then(Fact::known).and_then(|truth| truth.archive.as_ref());
    state.is_some_and(|state| matches!(state.reason, ArchiveReason::Conflict | ArchiveReason::ArchiveDamaged))
}

/// Whether it serves and says that this archive has what it has.
fn is_current(seen: &Observation, archive: &Archive, id: ServerId) -> bool {
    let state = || seen.members.get(&id)?.known()?.archive.as_ref().filter(|_| serves(seen, id).is_some());
    let place = archive.config.place.described();
    state().is_some_and(|state| {
        state.reason == ArchiveReason::Shipping
            && state.place.as_ref() == Some(&place)
            && state.held.is_none()
            && state.lag.as_ref().is_some_and(|lag| lag.seconds <= RECENT)
    })
}
