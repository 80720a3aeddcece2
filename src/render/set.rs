//! The `StatefulSet`.

use serde_json::{Value, json};

use super::{Blueprint, Rendered, labels, pod, selector};
use crate::model::desired::Storage;
use crate::model::names::{DATA_VOLUME, IDENTITY_LABEL, INSTANCE_LABEL};
use crate::model::observed::Kind;

/// Parallel, because members are born together and a joining member waits for nobody; `OnDelete`, because this
/// operator, not the `StatefulSet` controller, decides who restarts and when.
pub fn stateful_set(blueprint: &Blueprint<'_>) -> Rendered {
    let names = blueprint.names;
    let mut spec = json!({
        "replicas": blueprint.pods,
        "serviceName": names.headless(),
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "OnDelete"},
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        "selector": {"matchLabels": selector(names)},
        "template": pod::template(blueprint),
    });
    if let Storage::Claim { size, class } = &blueprint.desired.storage {
        spec["volumeClaimTemplates"] = json!([claim_template(blueprint, size, class.as_deref())]);
    }
    blueprint.object(Kind::StatefulSet, &names.ensemble, json!({"spec": spec}))
}

/// A claim has the identity from its creation, so that it always says whose data it holds.
///
/// The instance label is left out: a claim has no owner, and Argo CD would delete it with the objects that are no
/// longer in the manifests of an application with the ensemble's name.
fn claim_template(blueprint: &Blueprint<'_>, size: &str, class: Option<&str>) -> Value {
    let mut labels = labels(blueprint.names);
    if let (Some(labels), false) = (labels.as_object_mut(), blueprint.old_claims) {
        labels.remove(INSTANCE_LABEL);
    }
    labels[IDENTITY_LABEL] = json!(blueprint.charter.identity);
    let mut spec = json!({
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
    });
    if let Some(class) = class {
        spec["storageClassName"] = json!(class);
    }
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": DATA_VOLUME, "labels": labels},
        "spec": spec,
    })
}
