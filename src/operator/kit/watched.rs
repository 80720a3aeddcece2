//! What is kept of watched objects: their identity. Whoever may write an object in a namespace can put 256 KiB of
//! annotations on each, and the controller's store holds every ensemble for as long as it exists.

use std::borrow::Cow;
use std::marker::PhantomData;

use kube::core::{DynamicObject, ObjectMeta};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Resource, ResourceExt as _};
use serde::{Deserialize, Deserializer};

use super::kept::of_watched;

/// The number of objects in one answer of a list. Each may be as large as the API server allows, and ten kinds are
/// listed at once.
const PAGE: u32 = 10;

/// An object of a kind, of which only the metadata is read. It can be decoded whatever its spec says.
#[derive(Clone, Debug)]
pub struct Watched<K> {
    metadata: ObjectMeta,
    kind: PhantomData<fn() -> K>,
}

/// The configuration of a watch for the objects with these labels.
pub fn of_labels(selector: &str) -> watcher::Config {
    watcher::Config::default().labels(selector).page_size(PAGE)
}

/// Whose an object is: the name is in that label of it.
pub fn labelled<K>(
    label: &'static str,
) -> impl Fn(Watched<DynamicObject>) -> Option<ObjectRef<Watched<K>>> + Send + Sync
where
    K: Resource<DynamicType = ()>,
{
    move |object| {
        let owner = object.labels().get(label)?;
        Some(ObjectRef::new(owner).within(&object.namespace()?))
    }
}

impl<'de, K> Deserialize<'de> for Watched<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Whole {
            #[serde(default)]
            metadata: ObjectMeta,
        }
        let whole = Whole::deserialize(deserializer)?;
        Ok(Self { metadata: of_watched(whole.metadata), kind: PhantomData })
    }
}

impl<K: Resource> Resource for Watched<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(of: &K::DynamicType) -> Cow<'_, str> {
        K::kind(of)
    }

    fn group(of: &K::DynamicType) -> Cow<'_, str> {
        K::group(of)
    }

    fn version(of: &K::DynamicType) -> Cow<'_, str> {
        K::version(of)
    }

    fn plural(of: &K::DynamicType) -> Cow<'_, str> {
        K::plural(of)
    }

    fn metadata_api() -> bool {
        true
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt as _;
    use serde_json::{Value, json};

    use super::*;
    use crate::api::ZooKeeperEnsemble;
    use crate::model::names::ENSEMBLE_LABEL;

    fn watched(metadata: &Value, spec: &Value) -> Watched<ZooKeeperEnsemble> {
        let object = json!({"apiVersion": "menagerie.dev/v1alpha1", "kind": "ZooKeeperEnsemble", "metadata": metadata, "spec": spec});
        serde_json::from_str(&object.to_string()).unwrap()
    }

    #[test]
    fn of_an_ensemble_with_256_kib_of_annotations_the_store_keeps_who_it_is() {
        let long = "x".repeat(256 << 10);
        let metadata = json!({
            "name": "zk", "namespace": "ns", "uid": "u", "resourceVersion": "7", "generation": 3,
            "labels": {ENSEMBLE_LABEL: "zk", "theirs": "x"}, "annotations": {"theirs": long}, "finalizers": [long],
            "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {long.as_str(): {}}}}],
            "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": long, "uid": "x"}],
        });
        let kept = watched(&metadata, &json!({"replicas": 3, "version": long}));
        assert!(format!("{kept:?}").len() < 8 << 10);
        let meta = kept.meta();
        assert_eq!(
            (meta.name.as_deref(), meta.namespace.as_deref(), meta.generation),
            (Some("zk"), Some("ns"), Some(3))
        );
        assert_eq!((meta.uid.as_deref(), meta.resource_version.as_deref()), (Some("u"), Some("7")));
        assert_eq!(kept.labels().iter().collect::<Vec<_>>(), [(&ENSEMBLE_LABEL.to_owned(), &"zk".to_owned())]);
    }

    #[test]
    fn an_object_that_cannot_be_decoded_does_not_spoil_the_list_that_it_is_in() {
        let kept = watched(&json!({"name": "bad"}), &json!({"replicas": "three", "version": 3}));
        assert_eq!(kept.name_any(), "bad");
    }
}
