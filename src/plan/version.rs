//! Which versions of ZooKeeper may follow each other. Upward one minor at a time, as its own project tests; patches both
//! ways; downward only where the older server is known to read what the newer one wrote.

use super::view::View;
use super::{Reason, Step};
use crate::model::truth::ServerState;
use crate::model::{Fact, Observation, Pool, Seat, ServerId};

/// The newest minor version whose files the minor before it is known to read.
const READABLE_BELOW: u32 = 9;

/// Why the version that is asked for may not follow those that ran; `None` when it may. Before the birth there are no files
/// that it would have to read.
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
            format!("ZooKeeper {from} has run and cannot be followed by {}: {why}; nothing was changed, version: {from} goes on as before", desired.version),
        ))
    })
}

/// The version of ZooKeeper that a member's files are of. One that nothing was noted of was made by an older operator, which
/// knew only what it had asked for.
fn last(seen: &Observation, seat: Seat) -> Option<&str> {
    let unnoted = seen.claims.get(&seat).is_some_and(|claim| claim.born && claim.ran.is_none());
    let rendered = || seen.set(Pool::Voters).and_then(|set| set.version.as_deref()).filter(|_| unnoted);
    ran(seen, seat).or_else(rendered)
}

/// The version that ran last on a member's volume: as its server says, or its pod, or as it was noted. A template is no
/// evidence: a version that was mistyped has an image that never ran, and can be taken back.
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

/// A version that runs and loses data in known ways.
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
        format!("ZooKeeper {} can lose acknowledged writes in ways that {fixed} mended (ZOOKEEPER-4785, 4925): use {fixed} or later", desired.version)
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
