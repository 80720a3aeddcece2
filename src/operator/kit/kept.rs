//! What is kept of an object that was read: what is rendered for its kind, and what decisions need. Server-side apply
//! leaves the additions of others, up to 1 MiB on each object of every ensemble, and an observation is held for as long
//! as its slowest agent takes to answer.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use kube::core::{DynamicObject, ObjectMeta};
use serde_json::{Map, Value};

use crate::model::FieldDifference;
use crate::model::names::{
    BACKUP_LABEL, ENSEMBLE_LABEL, INSTANCE_LABEL, MANAGED_BY_LABEL, MEMBER_LABEL, RESTORE_LABEL, SCHEDULE_LABEL,
};
use crate::model::observed::Kind;
use crate::model::words::cut;
use crate::render::SEAL;

/// The longest record of one manager, and how many of them are kept. Those of known controllers for a whole
/// `StatefulSet` take about 5 KiB.
const RECORD: usize = 16 << 10;
const RECORDS: usize = 16;
/// The longest value of somebody else's that is kept. Messages show less of it.
const THEIRS: usize = 1 << 10;

/// Metadata that is compared or told, or used in preconditions of writes.
const METADATA: [&str; 7] =
    ["name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp"];
/// Labels that say to which custom resource an object belongs: one for each kind.
const OWNERS: [&str; 4] = [ENSEMBLE_LABEL, RESTORE_LABEL, BACKUP_LABEL, SCHEDULE_LABEL];
/// Other labels and annotations that are rendered on an object. None is longer than a label may be.
const MARKS: [&str; 5] = [INSTANCE_LABEL, MANAGED_BY_LABEL, MEMBER_LABEL, NAME_LABEL, SEAL];
const SHORT: usize = 63;
const NAME_LABEL: &str = "app.kubernetes.io/name";

/// What is kept of an object that belongs to `uid` or to nobody. Who changed what is needed only for an object that is
/// `disputed`.
pub fn kept(kind: Kind, mut whole: Value, uid: &str, disputed: bool) -> Value {
    let mut kept = Map::new();
    let take = |from: &mut Value, key: &str| from.get_mut(key).map(Value::take);
    let mut metadata = whole.get_mut("metadata").map(Value::take).unwrap_or_default();
    kept.insert("metadata".to_owned(), of_metadata(&mut metadata, uid, disputed));
    for (field, keys) in [("apiVersion", None), ("kind", None)].iter().chain(kind.resource().fields) {
        let Some(mut value) = take(&mut whole, field) else { continue };
        if let Some(keys) = keys {
            only(&mut value, |key, _| keys.contains(&key));
        }
        kept.insert((*field).to_owned(), value);
    }
    Value::Object(kept)
}

fn of_metadata(whole: &mut Value, uid: &str, disputed: bool) -> Value {
    only(whole, |key, value| match key {
        "labels" | "annotations" => {
            let known = |key: &str| OWNERS.contains(&key) || MARKS.contains(&key);
            only(value, |key, value| known(key) && value.as_str().is_some_and(|value| value.len() <= SHORT));
            true
        }
        "ownerReferences" => {
            if let Value::Array(owners) = value {
                owners.retain(|owner| owner["uid"] == uid);
            }
            true
        }
        "managedFields" => {
            if let Value::Array(records) = value {
                records.retain(|record| record.to_string().len() <= RECORD);
                records.truncate(RECORDS);
            }
            disputed
        }
        key => METADATA.contains(&key),
    });
    whole.take()
}

fn only(value: &mut Value, mut keep: impl FnMut(&str, &mut Value) -> bool) {
    if let Value::Object(fields) = value {
        *fields = std::mem::take(fields)
            .into_iter()
            .filter_map(|(key, mut value)| keep(&key, &mut value).then_some((key, value)))
            .collect();
    }
}

/// What is kept of a watched object: what identifies it, and whose it is.
pub fn of_watched(mut whole: ObjectMeta) -> ObjectMeta {
    let owners =
        whole.labels.take().map(|all| all.into_iter().filter(|(key, _)| OWNERS.contains(&key.as_str())).collect());
    ObjectMeta { labels: owners, ..identity(whole) }
}

/// What identifies an object, and what has happened to it.
fn identity(whole: ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        name: whole.name,
        namespace: whole.namespace,
        uid: whole.uid,
        resource_version: whole.resource_version,
        generation: whole.generation,
        creation_timestamp: whole.creation_timestamp,
        deletion_timestamp: whole.deletion_timestamp,
        ..ObjectMeta::default()
    }
}

/// What is kept of a custom resource: its spec, its status, its identity, and the annotations by which people `ask` for
/// something.
pub fn of_custom(object: DynamicObject, ask: &[&str]) -> DynamicObject {
    let DynamicObject { types, metadata: mut whole, data } = object;
    let asked = |(key, _): &(String, String)| ask.contains(&key.as_str());
    let annotations = whole.annotations.take().map(|all| all.into_iter().filter(asked).collect());
    let metadata = ObjectMeta { annotations, ..identity(whole) };
    DynamicObject { types, metadata, data }
}

/// A difference with no more of somebody else's value than messages show. Two different values stay different: that
/// shows whether a policy makes another value each time.
pub fn shortened(difference: FieldDifference) -> FieldDifference {
    let text = difference.theirs.to_string();
    if text.len() <= THEIRS {
        return difference;
    }
    let mut sum = DefaultHasher::new();
    text.hash(&mut sum);
    let theirs = format!("{} ({} bytes, {:016x})", cut(&text, THEIRS), text.len(), sum.finish());
    FieldDifference { theirs: Value::String(theirs), ..difference }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::charter::{CHARTER_KEY, STATIC_KEY};
    use crate::model::names::{APPROVE_ANNOTATION, RESTART_ANNOTATION};

    const UID: &str = "mine";

    fn long() -> String {
        "x".repeat(256 << 10)
    }

    fn burdened(kind: Kind) -> Value {
        json!({
            "apiVersion": "v1", "kind": kind.as_str(),
            "metadata": {
                "name": "zk", "uid": "u", "resourceVersion": "7",
                "labels": {ENSEMBLE_LABEL: "zk", "theirs": long()},
                "annotations": {SEAL: "0123", "theirs": long(), "menagerie.dev/theirs": long()},
                "ownerReferences": [{"uid": UID}, {"uid": "another", "name": long()}],
                "finalizers": [long()],
                "managedFields": [
                    {"manager": "theirs", "fieldsV1": {"f:metadata": {long(): {}}}},
                    {"manager": "argocd", "fieldsV1": {"f:spec": {}}},
                ],
            },
            "data": {CHARTER_KEY: "{}", STATIC_KEY: "a=b\n", "theirs": long()}, "binaryData": {"theirs": long()},
            "spec": {"selector": {}}, "status": {"observedGeneration": 3, "updateRevision": "r", "theirs": long()},
            "secrets": [{"name": long()}], "imagePullSecrets": [{"name": long()}],
        })
    }

    #[test]
    fn of_an_object_with_256_kib_of_somebody_elses_less_than_8_are_held() {
        for kind in Kind::OF_ENSEMBLE {
            let held = kept(kind, burdened(kind), UID, true);
            assert!(held.to_string().len() < 8 << 10, "{kind:?}: {}", held.to_string().len());
            let metadata = &held["metadata"];
            assert_eq!((&metadata["uid"], &metadata["resourceVersion"]), (&json!("u"), &json!("7")));
            assert_eq!(metadata["annotations"], json!({SEAL: "0123"}));
            assert_eq!(metadata["ownerReferences"], json!([{"uid": UID}]));
        }
        let held = kept(Kind::StatefulSet, burdened(Kind::StatefulSet), UID, false);
        assert_eq!(held["status"], json!({"observedGeneration": 3, "updateRevision": "r"}));
    }

    #[test]
    fn of_a_custom_resource_with_256_kib_of_annotations_what_is_asked_for_is_held() {
        let object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "menagerie.dev/v1alpha1", "kind": "ZooKeeperEnsemble",
            "metadata": {
                "name": "zk", "uid": "u", "generation": 3, "finalizers": [long()],
                "annotations": {"theirs": long(), RESTART_ANNOTATION: "now", APPROVE_ANNOTATION: "r"},
                "managedFields": [{"manager": "theirs", "fieldsV1": {"f:metadata": {long(): {}}}}],
            },
            "spec": {"replicas": 3},
        }))
        .unwrap();
        let held = serde_json::to_value(of_custom(object, &[RESTART_ANNOTATION, APPROVE_ANNOTATION])).unwrap();
        assert!(held.to_string().len() < 8 << 10);
        assert_eq!(held["metadata"]["annotations"], json!({RESTART_ANNOTATION: "now", APPROVE_ANNOTATION: "r"}));
        assert_eq!((&held["metadata"]["generation"], &held["spec"]["replicas"]), (&json!(3), &json!(3)));
    }

    #[test]
    fn who_changed_what_is_kept_of_what_is_disputed_alone() {
        let managers =
            |disputed| kept(Kind::Service, burdened(Kind::Service), UID, disputed)["metadata"]["managedFields"].clone();
        assert_eq!(managers(true), json!([{"manager": "argocd", "fieldsV1": {"f:spec": {}}}]));
        assert_eq!(managers(false), Value::Null);
    }

    /// Otherwise it would differ on each pass, and be written on each.
    #[test]
    fn all_that_is_rendered_is_kept() {
        for golden in ["minimal", "everything"] {
            let path = format!("{}/tests/golden/{golden}.yaml", env!("CARGO_MANIFEST_DIR"));
            let rendered: Vec<Value> = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            let mut looked = 0;
            for object in rendered {
                let kind = Kind::OF_ENSEMBLE.into_iter().find(|kind| object["kind"] == kind.as_str()).unwrap();
                if kind == Kind::Secret {
                    continue;
                }
                let uid = object["metadata"]["ownerReferences"][0]["uid"].as_str().unwrap().to_owned();
                assert_eq!(kept(kind, object.clone(), &uid, false), object);
                looked += 1;
            }
            assert!(looked > 5, "{looked}");
        }
    }

    #[test]
    fn of_a_long_value_of_somebody_elses_so_much_is_remembered_that_another_one_is_told_apart() {
        let difference = |theirs: String| {
            shortened(FieldDifference {
                path: vec!["data".into()],
                ours: json!("a"),
                theirs: json!(theirs),
                whatever: false,
            })
            .theirs
        };
        let (one, another) = (difference(long()), difference(long() + "y"));
        assert!(one.to_string().len() < 2 << 10 && one != another && one == difference(long()));
        assert!(one.as_str().unwrap().starts_with("\"xxx"));
        assert_eq!(difference("short".into()), json!("short"));
    }
}
