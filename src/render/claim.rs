//! What the operator maintains on a member's claim: the label of a born ensemble, the version that last ran on it, and
//! its owner.
//!
//! The `StatefulSet` controller creates claims. With `onDelete: Delete` the custom resource owns them, so the garbage
//! collector deletes them together with it, and only then: a `StatefulSet` deleted by mistake takes no data along.

use serde_json::json;

use super::{Blueprint, Rendered};
use crate::model::ClaimFacts;
use crate::model::names::{BORN_LABEL, IDENTITY_LABEL, INSTANCE_LABEL, VERSION_ANNOTATION};
use crate::model::observed::{Kind, ObjectKey};

/// What a claim should say.
#[derive(Clone, Copy, Debug)]
pub struct OnClaim<'a> {
    /// Whether the ensemble was born.
    pub born: bool,
    /// The version that last ran on its volume.
    pub ran: Option<&'a str>,
    /// Whether the custom resource owns it.
    pub owned: bool,
}

/// The part of a claim that belongs to the operator.
pub fn claim(blueprint: &Blueprint<'_>, claim: &ClaimFacts, on: OnClaim<'_>) -> Rendered {
    let mut labels = json!({IDENTITY_LABEL: blueprint.charter.identity});
    if on.born {
        labels[BORN_LABEL] = json!("true");
    }
    // The field belongs to the StatefulSet controller until the operator takes it over: it is set to an empty value
    // first, and left out the next time.
    if claim.instance.as_ref().is_some_and(|instance| !instance.is_empty()) {
        labels[INSTANCE_LABEL] = json!("");
    }
    let mut owner = blueprint.owner_reference();
    // The StatefulSet may be the claim's controller one day; for the garbage collector a plain owner is enough.
    owner["controller"] = json!(false);
    owner["blockOwnerDeletion"] = json!(false);
    let kind = Kind::PersistentVolumeClaim;
    let json = json!({
        "apiVersion": kind.resource().api_version,
        "kind": kind.as_str(),
        "metadata": {
            "name": claim.name,
            "namespace": blueprint.names.namespace,
            "labels": labels,
            "annotations": on.ran.map_or(json!({}), |ran| json!({VERSION_ANNOTATION: ran})),
            "ownerReferences": if on.owned { vec![owner] } else { Vec::new() },
        },
    });
    Rendered { key: ObjectKey { kind, name: claim.name.clone() }, json }
}
