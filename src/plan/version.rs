//! Which versions of ZooKeeper may follow each other: up by one minor version at a time, as the ZooKeeper project tests
//! it; patches both ways; down only if the older server is known to read what the newer one wrote.

use super::view::View;
use super::{Reason, Step};
use crate::model::truth::ServerState;
use crate::model::{Fact, Observation, Pool, Seat, ServerId};

/// The newest minor version whose files the minor version before it is known to read.
const READABLE_BELOW: u32 = 9;

/// Why the wanted version may not follow those that ran; `None` if it may. Before the birth there are no files to read.
pub fn refusal(view: &View<'_>) -> Option<Step> {
    let (seen, desired, origin) = (view.seen, view.desired?, view.origin().ok()?);
    let to = minor(&desired.version).filter(|_| !origin.beginning.is_birth())?;
    let pods = seen.set(Pool::Voters).map_or(u32::MAX, |set| set.replicas);
    let claims = seen.claims.iter().filter(|(seat, claim)| {
        seat.ordinal < pods && !claim.going && claim.identity.as_ref() == Some(&origin.identity)
    });
    let mut members: Vec<Seat> = seen.pods.keys().chain(claims.map(|(seat, _)| seat)).copied().collect();
    members.sort_unstable();
    let wrong = members.into_iter().filter_map(|seat| last(seen, seat));
    let wrong = wrong.into_iter().find_map(|from| Some((from, objection(minor(from)?, to)?)));
    wrong.map(|(from, why)| {
        Step::Refuse(Reason::new(
            "VersionRefused",
            format!("ZooKeeper {from} has run, and {} cannot follow it: {why}; nothing was changed, and version: {from} still works", desired.version),
        ))
    })
}

/// The version of ZooKeeper that wrote a member's files. A claim without a recorded version comes from an older
/// operator, which knew only the version it had asked for.
fn last(seen: &Observation, seat: Seat) -> Option<&str> {
    let unnoted = seen.claims.get(&seat).is_some_and(|claim| claim.born && claim.ran.is_none());
    let rendered = || seen.set(Pool::Voters).and_then(|set| set.version.as_deref()).filter(|_| unnoted);
    ran(seen, seat).or_else(rendered)
}

/// The version that ran last on a member's volume: according to its server, its pod, or the record. A template is no
/// evidence: the image of a mistyped version never ran, and the version can be taken back.
pub fn ran(seen: &Observation, seat: Seat) -> Option<&str> {
    let truth = seen.members.get(&ServerId::from(seat)).and_then(Fact::known);
    let told = truth.and_then(|truth| match &truth.server {
        ServerState::Serving(serving) => Some(serving.version.as_str()),
        ServerState::Waiting { version, .. } => version.as_deref(),
        ServerState::Silent { .. } | ServerState::Unknown => None,
    });
    let pod = seen.pods.get(&seat).and_then(|pod| pod.ran.as_deref());
    told.or(pod).or_else(|| seen.claims.get(&seat)?.ran.as_deref())
}

/// The oldest version that any member with a pod runs, or ran last.
pub fn oldest(seen: &Observation) -> Option<String> {
    let number = |version: &str| -> Vec<u32> { version.split('.').map_while(|part| part.parse().ok()).collect() };
    let all = seen.pods.keys().filter_map(|seat| ran(seen, *seat)).filter(|version| !version.is_empty());
    all.min_by_key(|version| (number(version), *version)).map(str::to_owned)
}

fn objection(from: u32, to: u32) -> Option<String> {
    if to > from + 1 {
        return Some(format!("go up one minor version at a time, to 3.{} first", from + 1));
    }
    if to + 1 < from {
        return Some(format!("go down one minor version at a time, to 3.{} first", from - 1));
    }
    (to < from && from > READABLE_BELOW)
        .then(|| format!("3.{to} is not known to read the files of 3.{from}; create a new ensemble of that version"))
}

fn minor(version: &str) -> Option<u32> {
    let mut parts = version.split('.');
    if parts.next()? != "3" {
        return None;
    }
    parts.next()?.parse().ok()
}

/// A version that is known to lose data.
pub fn known_to_lose_data(seen: &Observation) -> Option<String> {
    let desired = seen.desired.as_ref().ok()?;
    let patch: u32 = desired.version.rsplit('.').next()?.parse().ok()?;
    let floor = match minor(&desired.version)? {
        8 => 5,
        9 => 4,
        _ => return None,
    };
    let fixed = format!("3.{}.{floor}", minor(&desired.version)?);
    (patch < floor).then(|| {
        format!("ZooKeeper {} can lose acknowledged writes in ways that {fixed} fixed (ZOOKEEPER-4785, 4925): use {fixed} or later", desired.version)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_minor_at_a_time_upward_and_down_only_where_files_are_readable() {
        for (from, to, allowed) in
            [(8, 8, true), (8, 9, true), (9, 8, true), (8, 10, false), (9, 10, true), (10, 9, false), (10, 8, false)]
        {
            assert_eq!(objection(from, to).is_none(), allowed, "3.{from} -> 3.{to}");
        }
    }
}
