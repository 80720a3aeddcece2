//! Reads objects, each by its name and each from etcd, never from a cache: operators that acted on stale lists deleted
//! the volumes of live members (pravega/zookeeper-operator 312, 314). Only what is needed is kept.

use std::fmt::Debug;

use kube::api::{Api, ListParams};
use kube::core::{ApiResource, DynamicObject, ObjectList};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::kept::{kept, of_custom};
use super::timeout::{ApiError, within};
use crate::model::Live;
use crate::model::names::{MANAGED_BY, MANAGED_BY_LABEL, is_name};
use crate::model::observed::{Kind, ObjectKey, ResourceInfo};
use crate::model::words::{NAMED, QUOTE, cut};

/// The objects that are held whole at the same time. Each may be as large as the API server allows, and takes several
/// times that while it is decoded.
static WHOLE: Semaphore = Semaphore::const_new(8);
/// Objects in one answer of a list.
pub const PAGE: u32 = 10;

/// A custom resource as it is now.
pub enum Fresh<K> {
    /// It is there, and can be read.
    Whole(Box<K>),
    /// It exists, but these types cannot hold it, for this reason.
    Undecodable(Box<DynamicObject>, String),
    /// It is gone, or being deleted.
    Gone,
}

/// Reads a custom resource, with the annotations by which people `ask` for something.
pub async fn fresh<K>(
    client: &Client,
    (word, namespace, name): (&str, &str, &str),
    ask: &[&str],
) -> Result<Fresh<K>, ApiError>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    // A name is a part of the address that is asked: with a '/', '?' or '..' in it, another object would be read. Nothing is called so.
    if !is_name(name) {
        return Ok(Fresh::Gone);
    }
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &ApiResource::erase::<K>(&()));
    let read = async { api.get_opt(name).await };
    let found = whole(format!("read {word} {name}"), read, |object: DynamicObject| {
        let there = object.metadata.deletion_timestamp.is_none();
        there.then(|| decoded(of_custom(object, ask)))
    });
    Ok(found.await?.flatten().unwrap_or(Fresh::Gone))
}

fn decoded<K: DeserializeOwned>(object: DynamicObject) -> Fresh<K> {
    // With the field name: an error about a number says little without it.
    let whole = serde_json::to_value(&object).map_err(|error| error.to_string());
    match whole.and_then(|json| serde_path_to_error::deserialize(json).map_err(|error| error.to_string())) {
        Ok(custom) => Fresh::Whole(Box::new(custom)),
        Err(error) => Fresh::Undecodable(Box::new(object), error),
    }
}

/// The API of a kind, untyped: JSON is compared.
pub fn objects(client: &Client, kind: Kind, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &resource(kind))
}

/// A kind, in the form that kube needs.
pub fn resource(kind: Kind) -> ApiResource {
    let ResourceInfo { group, version, api_version, kind, plural, fields: _ } = kind.resource();
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

/// The custom resource that has to own the objects.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// Kind of the custom resource.
    pub kind: &'a str,
    /// The label on its objects that holds its name.
    pub label: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its uid.
    pub uid: &'a str,
}

/// An object and whose it is, if it exists. Who changed it is kept if it is `disputed`.
pub async fn live(
    client: &Client,
    namespace: &str,
    key: &ObjectKey,
    owner: Owner<'_>,
    disputed: bool,
) -> Result<Option<Live>, ApiError> {
    let (api, kind, name) = (objects(client, key.kind, namespace), key.kind, key.name.as_str());
    let read = async {
        // This process does not keep a password before it needs it.
        if kind == Kind::Secret {
            Ok(api.get_metadata_opt(name).await?.map(|object| to_json(&object)))
        } else {
            Ok(api.get_opt(name).await?.map(|object| to_json(&object)))
        }
    };
    whole(format!("read {} {name}", kind.as_str()), read, |json| match classify(json, owner) {
        Live::Ours(json) => Live::Ours(kept(kind, json, owner.uid, disputed)),
        Live::Orphan(json) => Live::Orphan(kept(kind, json, owner.uid, disputed)),
        other @ (Live::Leftover { .. } | Live::Foreign { .. }) => other,
    })
    .await
}

/// Reads something, and keeps only what is needed before the next is read.
pub async fn whole<T, K>(
    what: String,
    read: impl Future<Output = kube::Result<Option<T>>>,
    keep: impl FnOnce(T) -> K,
) -> Result<Option<K>, ApiError> {
    // An error would mean that the semaphore is closed, and nobody closes it.
    let _turn = WHOLE.acquire().await;
    Ok(within(what, read).await?.map(keep))
}

/// Lists objects a page at a time, and keeps of each only what is needed before the next page is read.
pub async fn pages<T, K>(
    what: &str,
    api: &Api<T>,
    wanted: ListParams,
    keep: impl Fn(&T) -> Option<K>,
) -> Result<Vec<K>, ApiError>
where
    T: Clone + DeserializeOwned + Debug,
{
    let (mut kept, mut wanted) = (Vec::new(), wanted.limit(PAGE));
    loop {
        let page = async { api.list(&wanted).await.map(Some) };
        let those =
            |list: ObjectList<T>| (list.items.iter().filter_map(&keep).collect::<Vec<_>>(), list.metadata.continue_);
        let Some((found, more)) = whole(what.to_owned(), page, those).await? else { return Ok(kept) };
        kept.extend(found);
        match more.filter(|more| !more.is_empty()) {
            Some(more) => wanted = wanted.continue_token(&more),
            None => return Ok(kept),
        }
    }
}

/// The garbage collector's own finalizers: they go by themselves, once what the object owns is gone.
const COLLECTORS: [&str; 2] = ["foregroundDeletion", "orphan"];

/// Who may keep an object from going.
fn holders(json: &Value) -> Vec<String> {
    let all = json["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str);
    all.filter(|name| !COLLECTORS.contains(name)).take(NAMED).map(|name| cut(name, QUOTE)).collect()
}

/// Whose an object is, by its owners and labels.
fn classify(json: Value, owner: Owner<'_>) -> Live {
    let owners = json["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
    let deleted = !json["metadata"]["deletionTimestamp"].is_null();
    let leftover = || Live::Leftover { finalizers: if deleted { holders(&json) } else { Vec::new() } };
    if owners.iter().any(|by| by["uid"] == owner.uid) {
        return if deleted { leftover() } else { Live::Ours(json) };
    }
    if owners.iter().any(|by| by["kind"] == owner.kind && by["name"] == owner.name) {
        return leftover();
    }
    let labels = &json["metadata"]["labels"];
    let made_here = labels[MANAGED_BY_LABEL] == MANAGED_BY && labels[owner.label] == owner.name;
    if made_here && owners.is_empty() {
        return if deleted { leftover() } else { Live::Orphan(json) };
    }
    let called = |by: &Value| Some(format!("{} {}", by["kind"].as_str()?, by["name"].as_str()?));
    let somebody = owners.iter().find_map(called);
    Live::Foreign {
        owner: somebody.map_or_else(|| "nobody of this operator".to_owned(), |somebody| cut(&somebody, QUOTE)),
    }
}

/// As it goes over the wire.
pub fn to_json<T: serde::Serialize>(object: &T) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::ZooKeeperEnsemble;
    use crate::model::names::ENSEMBLE_LABEL;

    fn whose(metadata: &Value) -> Live {
        let owner = Owner { kind: "ZooKeeperEnsemble", label: ENSEMBLE_LABEL, name: "zk", uid: "mine" };
        classify(json!({"metadata": metadata}), owner)
    }

    #[test]
    fn case_05_what_bears_the_labels_and_has_no_owner_may_be_taken_up_and_nothing_else() {
        let labels = json!({MANAGED_BY_LABEL: MANAGED_BY, ENSEMBLE_LABEL: "zk"});
        let owner = |kind: &str, uid: &str| json!([{"kind": kind, "name": "zk", "uid": uid}]);
        let live = whose(&json!({"labels": labels}));
        assert!(matches!(live, Live::Orphan(_)), "{live:?}");
        let live = whose(&json!({"labels": labels, "deletionTimestamp": "2026-11-26T00:00:00Z"}));
        assert!(matches!(live, Live::Leftover { .. }), "{live:?}");
        let held = json!({"labels": labels, "deletionTimestamp": "2026-11-26T00:00:00Z", "finalizers": ["foregroundDeletion", "example.com/backup"]});
        let live = whose(&held);
        assert!(matches!(&live, Live::Leftover { finalizers } if *finalizers == ["example.com/backup"]), "{live:?}");
        // The garbage collector deletes it, whatever labels it has.
        let live = whose(&json!({"labels": labels, "ownerReferences": owner("ZooKeeperEnsemble", "another")}));
        assert!(matches!(live, Live::Leftover { .. }), "{live:?}");
        let live = whose(&json!({"labels": labels, "ownerReferences": owner("ZooKeeperEnsemble", "mine")}));
        assert!(matches!(live, Live::Ours(_)), "{live:?}");
        let mut others = vec![json!({"labels": labels, "ownerReferences": owner("Deployment", "d")}), json!({})];
        others.push(json!({"labels": {MANAGED_BY_LABEL: MANAGED_BY, ENSEMBLE_LABEL: "another"}}));
        others.push(json!({"labels": {MANAGED_BY_LABEL: "Helm", ENSEMBLE_LABEL: "zk"}}));
        for metadata in others {
            assert!(matches!(whose(&metadata), Live::Foreign { .. }), "{metadata}");
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_told_with_its_field() {
        let object = |replicas: Value| {
            let object = json!({
                "apiVersion": "menagerie.dev/v1alpha1", "kind": "ZooKeeperEnsemble", "metadata": {"name": "zk"},
                "spec": {"replicas": replicas, "version": "3.9.5"},
            });
            decoded::<ZooKeeperEnsemble>(serde_json::from_value(object).unwrap())
        };
        assert!(matches!(object(json!(3)), Fresh::Whole(ensemble) if ensemble.spec.replicas == 3));
        let Fresh::Undecodable(object, error) = object(json!(99_999_999_999_u64)) else { panic!() };
        assert!(error.starts_with("spec.replicas: "), "{error}");
        assert_eq!(object.data["spec"]["replicas"].as_i64(), Some(99_999_999_999));
    }
}
