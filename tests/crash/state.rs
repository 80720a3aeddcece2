//! The state of a namespace as it should be the same in every run.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, ListParams};
use kube::core::{ApiResource, DynamicObject};
use kube::{Resource, ResourceExt as _};
use menagerie::api::ZooKeeperEnsemble;
use serde_json::Value;

use super::cluster::Space;

/// Lines of JSON, by object: `StatefulSet/zk` → `/spec/replicas` → `3`.
pub type State = BTreeMap<String, BTreeMap<String, String>>;

/// What every run has of its own: names that the API server makes, times, places, and how often something was counted.
const OWN: [&str; 24] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "managedFields",
    "generation",
    "observedGeneration",
    "generateName",
    "lastTransitionTime",
    "clusterIP",
    "clusterIPs",
    "volumeName",
    "nodeName",
    "controller-revision-hash",
    "volume.kubernetes.io/selected-node",
    "volume.beta.kubernetes.io/storage-provisioner",
    "volume.kubernetes.io/storage-provisioner",
    "pv.kubernetes.io/bind-completed",
    "pv.kubernetes.io/bound-by-controller",
    "identity",
    "menagerie.dev/identity",
    "topology.kubernetes.io/zone",
    // A digest of what holds all this.
    "menagerie.dev/rendered",
    // Of the ensemble's status: who leads.
    "leader",
    "role",
];

/// It counts transactions.
const MEMBERSHIP_VERSION: &str = "/status/membership/version";

/// Everything that the operator and its StatefulSet have made.
pub async fn state(space: &Space) -> State {
    let mut state = State::new();
    let own = ["kube-root-ca.crt", "default"];
    for (kind, resource) in [
        kind::<ZooKeeperEnsemble>(),
        kind::<StatefulSet>(),
        kind::<Service>(),
        kind::<ConfigMap>(),
        kind::<Secret>(),
        kind::<ServiceAccount>(),
        kind::<PodDisruptionBudget>(),
        kind::<PersistentVolumeClaim>(),
        kind::<Pod>(),
    ] {
        let api: Api<DynamicObject> = Api::namespaced_with(space.client.clone(), &space.name, &resource);
        for object in api.list(&ListParams::default()).await.unwrap() {
            let name = object.name_any();
            if !own.contains(&name.as_str()) {
                state.insert(format!("{kind}/{name}"), lines(&kind, &object, space));
            }
        }
    }
    state
}

fn kind<K: Resource<DynamicType = ()>>() -> (String, ApiResource) {
    (K::kind(&()).into_owned(), ApiResource::erase::<K>(&()))
}

fn lines(kind: &str, object: &DynamicObject, space: &Space) -> BTreeMap<String, String> {
    let mut json = serde_json::to_value(object).unwrap();
    match kind {
        "Secret" => json["data"] = keys(&json["data"]),
        "ZooKeeperEnsemble" => {}
        _ => {
            json.as_object_mut().unwrap().remove("status");
        }
    }
    if kind == "Pod" {
        // The rest comes from the template, the kubelet and admission.
        let parts = ["metadata", "spec"];
        json.as_object_mut().unwrap().retain(|key, _| parts.contains(&key.as_str()));
        let spec = json["spec"].as_object_mut().unwrap();
        spec.retain(|key, _| ["containers", "hostname"].contains(&key.as_str()));
    }
    let mut found = BTreeMap::new();
    walk("", &json, space, &mut found);
    found
}

/// Which keys a Secret has; never what is in it.
fn keys(data: &Value) -> Value {
    data.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect()
}

fn walk(path: &str, value: &Value, space: &Space, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields.iter().filter(|(key, _)| !OWN.contains(&key.as_str())) {
                let path = format!("{path}/{key}");
                if path != MEMBERSHIP_VERSION {
                    walk(&path, value, space, found);
                }
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, item)| walk(&format!("{path}/{n}"), item, space, found));
        }
        Value::String(text) => {
            found.insert(path.to_owned(), masked(text, space));
        }
        other => {
            found.insert(path.to_owned(), other.to_string());
        }
    }
}

/// Names of this run inside a text: the namespace, who leads, the charter's identity and version, and the addresses that members are told.
fn masked(text: &str, space: &Space) -> String {
    let text = text.replace(&space.name, "NAMESPACE");
    let named = text.split('"').map(|part| if part.parse::<IpAddr>().is_ok() { "ADDRESS" } else { part });
    let text = named.collect::<Vec<_>>().join("\"");
    let own = |line: &str| {
        let of_charter = ["\"identity\":", "\"version\":"].iter().any(|key| line.trim_start().starts_with(key));
        match line.split_once(" leads, ") {
            _ if of_charter => "OWN".to_owned(),
            Some((_, rest)) => format!("MEMBER leads, {rest}"),
            None => line.to_owned(),
        }
    };
    text.lines().map(own).collect::<Vec<_>>().join("\n")
}

/// What differs, one line each.
pub fn differences(expected: &State, found: &State) -> Vec<String> {
    let mut differences = Vec::new();
    let names: std::collections::BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    for name in names {
        match (expected.get(name), found.get(name)) {
            (Some(a), Some(b)) => {
                let paths: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
                for path in paths.into_iter().filter(|path| a.get(*path) != b.get(*path)) {
                    differences.push(format!("{name}{path}: {:?}, undisturbed {:?}", b.get(path), a.get(path)));
                }
            }
            (Some(_), None) => differences.push(format!("{name} is missing")),
            (None, _) => differences.push(format!("{name} is there, and not in the undisturbed run")),
        }
    }
    differences
}
