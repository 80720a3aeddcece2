//! Where the members' own names lead: they are told the addresses of their Services, so that no founder starts while a DNS cache still has
//! those of Services that had these names before. A server looks its own name up when it starts. Where it leads elsewhere once an
//! ensemble is founded, the leader takes itself for another server, and commits nothing (`mute`).

use std::net::IpAddr;

use serde_json::Value;

use super::Write;
use crate::model::observed::{Kind, ObjectKey};
use crate::model::{Addresses, Observation};

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
