//! Who archives. The first voters do, until one of them has been away for long: with the first two of five on dead nodes an ensemble
//! served on, and nobody archived.
//!
//! - Whoever archives goes on with it: each new one ships all of its log once more, under its own disk's name. Nobody is given back what
//!   another has taken over.
//! - Only who is known to be away is replaced, and only by a voter that serves. The agents hear of it by their `ConfigMap`, without a
//!   restart.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::model::archive::{ARCHIVE_KEY, Archive, ArchiveConfig};
use crate::model::observed::{Kind, ObjectKey};
use crate::model::truth::{Mode, ServerState, Serving};
use crate::model::{Observation, Seat, ServerId};

/// In seconds: a roll, or a pod that moves to another node, takes less.
pub const AWAY: u64 = 120;

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
    let first = &archive.config.members;
    let (copies, voters) = (first.len(), voters(seen));
    let told: BTreeSet<ServerId> = told(seen).unwrap_or_else(|| first.clone());
    let mut members: BTreeSet<ServerId> = told.intersection(&voters).copied().collect();
    // Of too many, those go that would not be there without a word of it: what the first ship is the longest.
    while members.len() > copies {
        members.pop_last();
    }
    // Where more are wanted, the first come, as if nobody had ever been away.
    let more: Vec<ServerId> = voters.iter().copied().filter(|id| !members.contains(id)).collect();
    members.extend(more.into_iter().take(copies - members.len()));
    let away: Vec<ServerId> = members.iter().copied().filter(|id| is_away(seen, *id)).collect();
    let others = voters.iter().filter(|id| !members.contains(id));
    // A leader has enough to do.
    let mut spare: Vec<_> = others.filter_map(|id| Some((serves(seen, *id)?.mode == Mode::Leader, *id))).collect();
    spare.sort_unstable();
    for (away, (_, instead)) in away.into_iter().zip(spare) {
        members.remove(&away);
        members.insert(instead);
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
    let text = seen.objects.get(&key)?.held()?["data"][ARCHIVE_KEY].as_str()?;
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

/// Whether its pod has been without a server that serves for so long. Without a pod nobody knows for how long.
fn is_away(seen: &Observation, id: ServerId) -> bool {
    let Some(pod) = seen.pods.get(&id.seat()).filter(|_| serves(seen, id).is_none()) else { return false };
    let never = (!pod.served).then_some(pod.since);
    pod.unready.or(never).is_some_and(|since| seen.now.saturating_sub(since) >= AWAY)
}
