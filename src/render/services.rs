//! Services: one for clients, one that governs the StatefulSet, and one for each member.

use serde_json::{Value, json};

use super::{Blueprint, Rendered, selector};
use crate::model::layout::AGENT_PORT;
use crate::model::membership::{CLIENT_PORT, ELECTION_PORT, QUORUM_PORT};
use crate::model::names::MEMBER_LABEL;
use crate::model::observed::Kind;
use crate::model::{Seat, ServerId};

fn port(name: &str, number: u16) -> Value {
    // Without `appProtocol: tcp` a service mesh guesses, and breaks protocols in which the server speaks first.
    json!({"name": name, "port": number, "protocol": "TCP", "targetPort": number, "appProtocol": "tcp"})
}

/// For clients: members that are ready, which means serving and synced.
pub fn client(blueprint: &Blueprint<'_>) -> Rendered {
    blueprint.object(
        Kind::Service,
        &blueprint.names.client(),
        json!({"spec": {
            "type": "ClusterIP",
            "selector": selector(blueprint.names),
            "ports": [port("client", CLIENT_PORT)],
        }}),
    )
}

/// The headless Service that a `StatefulSet` needs. Nothing here depends on its names.
pub fn headless(blueprint: &Blueprint<'_>) -> Rendered {
    blueprint.object(
        Kind::Service,
        &blueprint.names.headless(),
        json!({"spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": true,
            "selector": selector(blueprint.names),
            "ports": [port("client", CLIENT_PORT)],
        }}),
    )
}

/// A member's address in ZooKeeper's configuration. It outlives the pod, so no DNS or JVM cache ever holds an old one:
/// a restarted follower served again after 3 s, against 29 s with headless names.
pub fn member(blueprint: &Blueprint<'_>, seat: Seat) -> Rendered {
    let pod = blueprint.names.pod(seat);
    let mut rendered = blueprint.object(
        Kind::Service,
        &pod,
        json!({"spec": {
            "type": "ClusterIP",
            "publishNotReadyAddresses": true,
            "selector": {"statefulset.kubernetes.io/pod-name": pod},
            "ports": [
                port("client", CLIENT_PORT),
                port("quorum", QUORUM_PORT),
                port("election", ELECTION_PORT),
                port("agent", AGENT_PORT),
            ],
        }}),
    );
    rendered.json["metadata"]["labels"][MEMBER_LABEL] = json!(ServerId::from(seat).to_string());
    rendered
}
