//! What is rendered for an ensemble that is being born.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use menagerie::model::observed::OperatorFacts;
use menagerie::model::{Beginning, Charter, Desired, Names, Requests, Seat};
use menagerie::render::{Blueprint, render};
use serde_json::Value;

use crate::names::names;

/// Every object of an ensemble, rendered from a blueprint that somebody may change first.
pub fn objects(spec: Value, change: impl FnOnce(&mut Blueprint<'_>)) -> Vec<Value> {
    let desired = Desired::from_spec(&serde_json::from_value(spec).unwrap()).unwrap();
    let names = names();
    let charter = charter(&names, desired.replicas);
    let pods = desired.replicas;
    let mut blueprint = Blueprint {
        names: &names,
        uid: "uid",
        desired: &desired,
        requests: &Requests::default(),
        operator: &OperatorFacts { agent_image: "menagerie/operator:1".into(), ..OperatorFacts::default() },
        voters: charter.voters(),
        passing: false,
        charter,
        addresses: (0..pods).map(|n| (host(&names, n), vec![Ipv4Addr::from(0x0a60_0007 + n).into()])).collect(),
        pods,
        span: pods,
        old_claims: false,
    };
    change(&mut blueprint);
    let objects: Vec<Value> = render(&blueprint).into_iter().map(|object| object.json).collect();
    assert_eq!(objects, render(&blueprint).into_iter().map(|object| object.json).collect::<Vec<_>>(), "not stable");
    objects
}

fn host(names: &Names, ordinal: u32) -> String {
    names.dns(&names.pod(Seat::voter(ordinal)))
}

fn charter(names: &Names, voters: u32) -> Charter {
    Charter {
        ensemble: "zk".into(),
        identity: "identity".into(),
        beginning: Beginning::Birth,
        membership: names.seed(voters).text(),
        version: "0".into(),
        joiner: names.joiner(),
        resync: BTreeMap::new(),
        may_vote: BTreeMap::new(),
        parent: None,
    }
}
