//! Members are told where their own names lead, before they start.

use std::collections::BTreeMap;

use menagerie::model::Hindrance;
use menagerie::model::observed::{Kind, Live, ObjectKey};
use menagerie::plan::{Step, Write, plan};
use serde_json::json;

use super::world::{World, zk};

fn service(name: &str) -> ObjectKey {
    ObjectKey { kind: Kind::Service, name: name.into() }
}

/// As an API server does.
fn give(world: &mut World, name: &str, addresses: &[&str]) {
    let Some(Live::Ours(live)) = world.objects.get_mut(&service(name)) else { panic!("no Service {name}") };
    live["spec"]["clusterIP"] = json!(addresses[0]);
    live["spec"]["clusterIPs"] = json!(addresses);
}

fn told(writes: &[Write]) -> Option<BTreeMap<String, Vec<String>>> {
    let config = writes.iter().map(Write::object).find(|object| object.key.kind == Kind::ConfigMap)?;
    serde_json::from_str(config.json["data"]["addresses.json"].as_str()?).ok()
}

#[test]
fn members_are_told_the_addresses_of_their_services_before_there_is_a_pod() {
    let mut world = zk(3);
    let Step::Apply(first) = world.pass().step else { panic!() };
    let kinds = |writes: &[Write]| writes.iter().map(|write| write.object().key.kind).collect::<Vec<_>>();
    assert!(!kinds(&first).iter().any(|kind| matches!(kind, Kind::ConfigMap | Kind::StatefulSet)), "{first:?}");
    give(&mut world, "zk-0", &["10.96.0.7", "fd00::7"]);
    give(&mut world, "zk-1", &["10.96.0.8"]);
    // Who turned it into a headless one says himself where it leads.
    give(&mut world, "zk-2", &["None"]);
    let Step::Apply(second) = world.pass().step else { panic!() };
    assert_eq!(kinds(&second), [Kind::ConfigMap, Kind::StatefulSet]);
    let told = told(&second).unwrap();
    let hosts: Vec<&str> = told.keys().map(|host| host.split('.').next().unwrap()).collect();
    assert_eq!(hosts, ["zk-0", "zk-1"]);
    assert_eq!(told.into_values().collect::<Vec<_>>(), [vec!["10.96.0.7", "fd00::7"], vec!["10.96.0.8"]]);
    assert_eq!(world.settle().step, Step::Rest);
}

#[test]
fn a_service_that_is_refused_keeps_nobody_from_being_told_of_the_others() {
    let mut world = zk(3);
    world.pass();
    world.objects.remove(&service("zk-2"));
    give(&mut world, "zk-0", &["10.96.0.7"]);
    let mut seen = world.seen();
    let Step::Apply(writes) = plan(&seen).step else { panic!() };
    assert!(writes.iter().all(|write| write.object().key == service("zk-2")), "{writes:?}");
    let refused = Hindrance::Refused { seal: writes[0].object().seal(), words: "quota".into() };
    seen.hindrances.objects.insert(service("zk-2"), refused);
    let Step::Apply(writes) = plan(&seen).step else { panic!() };
    assert_eq!(told(&writes).unwrap().len(), 1, "{writes:?}");
}
