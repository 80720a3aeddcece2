//! The custom resource definitions as YAML.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

use super::{ZooKeeperBackup, ZooKeeperBackupSchedule, ZooKeeperEnsemble, ZooKeeperRestore};

/// Every custom resource definition of this operator.
pub fn crds() -> Vec<Value> {
    vec![
        slim(&ZooKeeperEnsemble::crd()),
        slim(&ZooKeeperRestore::crd()),
        slim(&ZooKeeperBackup::crd()),
        slim(&ZooKeeperBackupSchedule::crd()),
    ]
}

/// All of them as one YAML stream, for `menagerie crd` and `crds/`.
pub fn crds_yaml() -> Result<String, serde_saphyr::ser::Error> {
    let mut text = String::new();
    for crd in crds() {
        text.push_str("---\n");
        text.push_str(&serde_saphyr::to_string(&crd)?);
    }
    Ok(text)
}

/// Leaves out the descriptions of Kubernetes' own types below `podTemplate` and `resources`. They have 250 KB, and
/// `kubectl apply` keeps a copy of the object in an annotation of at most 256 KiB. `kubectl explain pod` shows them.
fn slim(crd: &CustomResourceDefinition) -> Value {
    let mut crd = serde_json::to_value(crd).unwrap_or_default();
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    if let Some(template) = crd.pointer_mut(&format!("{spec}/podTemplate/properties/spec/properties")) {
        each_value(template, &mut strip_inside);
    }
    for resources in ["resources", "agent/properties/resources", "backup/properties/resources"] {
        if let Some(resources) = crd.pointer_mut(&format!("{spec}/{resources}")) {
            strip_inside(resources);
        }
    }
    crd
}

/// Drops the descriptions of everything below `schema`, but not its own.
fn strip_inside(schema: &mut Value) {
    for inner in ["properties", "items", "additionalProperties"] {
        if let Some(value) = schema.get_mut(inner) {
            strip(value);
        }
    }
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            // A property may itself be named `description`; a description is a string.
            if map.get("description").is_some_and(Value::is_string) {
                map.remove("description");
            }
            map.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

fn each_value(value: &mut Value, act: &mut dyn FnMut(&mut Value)) {
    if let Value::Object(map) = value {
        map.values_mut().for_each(act);
    }
}
