//! Where the members' own names lead. A server looks its own name up when it starts. Where that leads elsewhere by then, it takes
//! itself for another one as soon as it leads, and commits nothing (`mute`).
//!
//! - Members are told the addresses of their Services, so that they do not start while a DNS cache still has those of Services that
//!   had these names before.
//! - A Service that is younger than its pod has another address than the one that the server has looked up.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value;

use super::Write;
use crate::model::observed::{Kind, ObjectKey};
use crate::model::{Addresses, Observation, PodFacts, Seat};

/// Of all members that have a Service, by their hosts.
pub fn of(seen: &Observation) -> Addresses {
    let services = seen.objects.iter().filter(|(key, _)| key.kind == Kind::Service);
    let members = services.filter_map(|(key, live)| {
        seen.names.seat_of_pod(&key.name)?;
        let addresses = given(live.held()?);
        (!addresses.is_empty()).then(|| (seen.names.dns(&key.name), addresses))
    });
    members.collect()
}

/// What the API server gave a Service: one address for each family.
fn given(service: &Value) -> Vec<IpAddr> {
    let all = service["spec"]["clusterIPs"].as_array().into_iter().flatten();
    let all = all.chain(Some(&service["spec"]["clusterIP"]));
    let mut addresses: Vec<IpAddr> = all.filter_map(|address| address.as_str()?.parse().ok()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// Without what members start from, while a Service of theirs is about to be created: its address is part of that.
pub fn first(seen: &Observation, mut writes: Vec<Write>) -> Vec<Write> {
    let created = |write: &Write| matches!(write, Write::Apply { uid: None, .. });
    let member = |key: &ObjectKey| key.kind == Kind::Service && seen.names.seat_of_pod(&key.name).is_some();
    if writes.iter().any(|write| created(write) && member(&write.object().key)) {
        writes.retain(|write| {
            !(created(write) && matches!(write.object().key.kind, Kind::ConfigMap | Kind::StatefulSet))
        });
    }
    writes
}

/// Why a server has to be started again to know its own address.
pub fn moved(seen: &Observation, seat: Seat, pod: &PodFacts) -> Option<String> {
    let key = ObjectKey { kind: Kind::Service, name: seen.names.pod(seat) };
    let live = seen.objects.get(&key)?.held()?;
    let made: Timestamp = live["metadata"]["creationTimestamp"].as_str()?.parse().ok()?;
    let later = u64::try_from(made.as_second()).is_ok_and(|made| made > pod.since);
    later.then(|| {
        format!("Service {} was made after it, so its server knows an address that is not its own any more", key.name)
    })
}
