//! What somebody else keeps from happening: it is said, passed over, and holds up only what depends on it.
//!
//! - A policy's value is left where it is: pods are compared with the set as it is, so it restarts nobody.
//! - A member is raised only when its Service is there, and a set is changed only behind its `ConfigMap`.
//! - Members start from the charter: while it cannot be brought up to date, the membership stays as it is and nobody who
//!   serves is stopped.

use std::collections::BTreeSet;

use serde_json::Value;

use super::view::View;
use super::{Reason, Step, Target, Write, due, objects, origin};
use crate::model::names::MANAGED_BY;
use crate::model::observed::{Kind, Live, ObjectKey};
use crate::model::words::{QUOTE, cut};
use crate::model::{Charter, Hindrance, Observation, Place, Pool, ServerId};
use crate::render::Rendered;

/// How many places of an object are told.
const TOLD: usize = 4;
/// Longest value that is told, in bytes.
const VALUE: usize = 120;

/// A write or a delete that is passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    key: ObjectKey,
    /// Whether the ensemble lacks something for it: what a policy only changes is lived with.
    pub refused: bool,
    /// Whether it concerns what the object says, and not its metadata.
    content: bool,
    /// Why, in a sentence.
    pub message: String,
}

impl Held {
    /// As a reason.
    pub fn reason(&self) -> Reason {
        Reason::new(if self.refused { "ApplyRefused" } else { "Overruled" }, self.message.clone())
    }
}

/// What the API server said when it would not do something.
pub fn refusal(what: &str, words: &str) -> String {
    format!("failed to {what}: the API server says: {}", cut(words, QUOTE))
}

/// Parts the writes that are to be made from those that are in vain, or wait for one that is.
pub fn part(seen: &Observation, writes: Vec<Write>) -> (Vec<Write>, Vec<Held>) {
    let mut held = Vec::new();
    let mut made = Vec::new();
    for write in writes {
        match in_vain(seen, &write) {
            Some(why) => held.push(why),
            None => made.push(write),
        }
    }
    if held.iter().any(|held| pods_need(seen, held)) {
        made.retain(|write| write.object().key.kind != Kind::StatefulSet);
    }
    held.extend(undeleted(seen));
    (made, held)
}

fn in_vain(seen: &Observation, write: &Write) -> Option<Held> {
    let object = write.object();
    let key = object.key.clone();
    match seen.hindrances.objects.get(&key)? {
        Hindrance::Refused { seal, words } if *seal == object.seal() => {
            let what = format!("apply {} {}", key.kind.as_str(), key.name);
            Some(Held { refused: true, content: true, message: refusal(&what, words), key })
        }
        Hindrance::Overruled(known) => {
            let places = objects::places(seen, write);
            let all = places.iter().all(|place| known.iter().any(|known| known.wants_the_same(place)));
            all.then(|| Held {
                // Of one that is gone again there is a lack.
                refused: places.iter().any(|place| place.path.is_empty()),
                content: places.iter().any(|place| place.path.first().is_none_or(|field| field != "metadata")),
                message: overruled(seen, &key, &places),
                key,
            })
        }
        Hindrance::Refused { .. } => None,
    }
}

/// Whether a set that is made or changed now would have pods made that cannot run, or run with other files than they
/// should.
fn pods_need(seen: &Observation, held: &Held) -> bool {
    match held.key.kind {
        Kind::ConfigMap => held.content,
        Kind::ServiceAccount | Kind::Secret | Kind::Service => {
            seen.set(Pool::Voters).is_none()
                && held.key.name != seen.names.client()
                && !seen.objects.contains_key(&held.key)
        }
        Kind::PodDisruptionBudget | Kind::PersistentVolumeClaim | Kind::Pod | Kind::StatefulSet => false,
    }
}

/// What members would be told wrong if they started now: the charter that they find is not the one that they should.
pub fn untold(seen: &Observation, held: &[Held], charter: &Charter) -> Option<Reason> {
    let config = held.iter().find(|held| held.key.kind == Kind::ConfigMap)?;
    (seen.charter.as_ref() != Some(charter)).then(|| {
        let Reason { code, message } = config.reason();
        Reason::new(
            code,
            format!(
                "{message}; members start from what it says, so the membership stays as it is and none is restarted"
            ),
        )
    })
}

/// Whether a pod that does not serve may be made anew all the same: what its member finds is old, and not false. An older
/// membership never replaces a member's own.
pub fn may_start(seen: &Observation, charter: &Charter) -> bool {
    seen.charter.as_ref().is_some_and(|told| told.identity == charter.identity && told.beginning == charter.beginning)
}

/// What keeps the set from being made at all.
pub fn unfounded(view: &View<'_>) -> Option<Step> {
    lacking(&view.draft()?.held).filter(|_| view.seen.set(Pool::Voters).is_none()).map(Step::Refuse)
}

/// What members find when they start is not what they should.
pub fn charter_untold(view: &View<'_>) -> Option<Step> {
    let draft = view.draft()?;
    untold(view.seen, &draft.held, &draft.told).map(Step::Refuse)
}

/// The new membership cannot be brought to them.
pub fn news_untold(view: &View<'_>) -> Option<Step> {
    let draft = view.draft()?;
    let held = draft.news.as_ref()?.as_ref().err()?;
    untold(view.seen, held, &draft.blueprint.charter).map(Step::Refuse)
}

/// Everything that is refused, as one reason.
pub fn lacking(held: &[Held]) -> Option<Reason> {
    let refused: Vec<&str> = held.iter().filter(|held| held.refused).map(|held| held.message.as_str()).collect();
    (!refused.is_empty()).then(|| Reason::new("ApplyRefused", refused.join("; ")))
}

/// Why a member's pod is not started: it would have no address, or the set is not let grow.
pub fn unraisable(seen: &Observation, id: ServerId, set: &Rendered) -> Option<Reason> {
    let service = ObjectKey { kind: Kind::Service, name: seen.names.pod(id.seat()) };
    match seen.hindrances.objects.get(&service).filter(|_| !seen.objects.contains_key(&service)) {
        Some(Hindrance::Refused { words, .. }) => Some(unapplied(&service, words)),
        Some(Hindrance::Overruled(places)) => Some(Reason::new("ApplyRefused", overruled(seen, &service, places))),
        None => unresizable(seen, set),
    }
}

/// Why the set does not get another number of pods.
pub fn unresizable(seen: &Observation, set: &Rendered) -> Option<Reason> {
    match seen.hindrances.objects.get(&set.key) {
        Some(Hindrance::Refused { seal, words }) if *seal == set.seal() => Some(unapplied(&set.key, words)),
        _ => None,
    }
}

fn unapplied(key: &ObjectKey, words: &str) -> Reason {
    Reason::new("ApplyRefused", refusal(&format!("apply {} {}", key.kind.as_str(), key.name), words))
}

/// Whether the API server refuses to delete this. A pod or claim that stays is not tried again on every pass: it would stand in the
/// way of everybody else.
pub fn stays(seen: &Observation, target: &Target) -> bool {
    matches!(seen.hindrances.objects.get(&target.key), Some(Hindrance::Refused { seal, .. }) if *seal == target.uid)
}

/// Claims that have to go before there can be a set, and may not.
pub fn claims_that_stay(view: &View<'_>) -> Option<Step> {
    let (seen, claims) = (view.seen, origin::empty_claims(view.seen));
    let names: Vec<&str> = claims.iter().map(|claim| claim.key.name.as_str()).collect();
    let words: Vec<String> = undeleted(seen).map(|held| held.message).collect();
    (!names.is_empty()).then(|| {
        Step::Refuse(Reason::new(
            "ApplyRefused",
            format!(
                "{}; these hold nothing and keep the ensemble from starting with the storage that is asked for now: kubectl -n {} delete pvc {}",
                words.join("; "),
                seen.names.namespace,
                names.join(" ")
            ),
        ))
    })
}

/// What the API server refuses to delete.
pub fn undeleted(seen: &Observation) -> impl Iterator<Item = Held> {
    let uid = |key: &ObjectKey| match key.kind {
        Kind::Pod => seen.pods.values().find(|pod| pod.name == key.name).map(|pod| pod.uid.as_str()),
        Kind::PersistentVolumeClaim => {
            seen.claims.values().find(|claim| claim.name == key.name).map(|claim| claim.uid.as_str())
        }
        _ => seen.objects.get(key)?.held()?["metadata"]["uid"].as_str(),
    };
    seen.hindrances.objects.iter().filter_map(move |(key, hindrance)| match hindrance {
        Hindrance::Refused { seal, words } if uid(key) == Some(seal) => {
            let message = refusal(&format!("delete {} {}", key.kind.as_str(), key.name), words);
            Some(Held { key: key.clone(), refused: true, content: false, message })
        }
        Hindrance::Refused { .. } | Hindrance::Overruled(_) => None,
    })
}

/// A pod that Kubernetes refuses to make, and once the patience of the policy is over the roll that halts with it.
pub fn unmade(view: &View<'_>) -> Option<Reason> {
    let (seen, desired) = (view.seen, view.desired?);
    let unmanned = seen.unmanned();
    let refused = unmanned.iter().find_map(|seat| Some((seat, seen.hindrances.pods.get(seat)?)));
    let (seat, refusal) = refused?;
    let (pod, words) = (seen.names.pod(*seat), &refusal.words);
    let waiting = due::count(view);
    let late = refusal.since.is_some_and(|since| seen.now.saturating_sub(since) > desired.deadline);
    Some(if late && waiting > 0 {
        Reason::new(
            "RollHalted",
            format!(
                "pod {pod} is not made again after {} s; {waiting} more keep the older revision until it is, or until the spec is put right; the API server says: {words}",
                desired.deadline
            ),
        )
    } else {
        Reason::new("PodRefused", format!("pod {pod} is not made; the API server says: {words}"))
    })
}

fn overruled(seen: &Observation, key: &ObjectKey, places: &[Place]) -> String {
    if places.iter().any(|place| place.path.is_empty()) {
        let (kind, name) = (key.kind.as_str(), &key.name);
        return if seen.objects.contains_key(key) {
            format!("{kind} {name} does not change, however often it is applied")
        } else {
            format!("{kind} {name} is gone each time after it was made: somebody deletes it")
        };
    }
    let claim = seen.claims.values().find(|claim| claim.name == key.name && key.kind == Kind::PersistentVolumeClaim);
    let managed = match (seen.objects.get(key), claim) {
        (Some(Live::Ours(live)), _) => &live["metadata"]["managedFields"],
        (_, Some(claim)) => &claim.managed,
        _ => &Value::Null,
    };
    let mut told: Vec<String> = places.iter().take(TOLD).map(|place| tell(key.kind, place)).collect();
    if places.len() > TOLD {
        told.push(format!("{} more fields", places.len() - TOLD));
    }
    let managers: BTreeSet<&str> = places.iter().flat_map(|place| managers(managed, &place.path)).collect();
    let by = if managers.is_empty() {
        "an admission webhook, a policy or a controller".to_owned()
    } else {
        managers.into_iter().collect::<Vec<_>>().join(", ")
    };
    format!(
        "{} {} does not stay as it is applied: {}; changed by {by}, and left so",
        key.kind.as_str(),
        key.name,
        told.join(", ")
    )
}

fn tell(kind: Kind, place: &Place) -> String {
    let path = place.path.join(".");
    match (kind, &place.ours) {
        // Whether the ensemble owns a claim.
        (Kind::PersistentVolumeClaim, Value::Bool(false)) => {
            format!(
                "{path} makes the ensemble its owner, and it will be deleted with it whatever storage.reclaim.onDelete says"
            )
        }
        (Kind::PersistentVolumeClaim, Value::Bool(true)) => format!("{path} is taken away"),
        (_, ours) => format!("{path} should be {} and is {}", short(ours), short(&place.theirs)),
    }
}

fn short(value: &Value) -> String {
    if value.is_null() { "missing".to_owned() } else { cut(&value.to_string(), VALUE) }
}

/// Who, by the API server's own record, holds this place besides this operator. A webhook changes a request before it is
/// recorded, and so shows as nobody else.
fn managers<'a>(managed: &'a Value, path: &[String]) -> Vec<&'a str> {
    let entries = managed.as_array().map(Vec::as_slice).unwrap_or_default();
    let others = entries.iter().filter(|entry| entry["manager"] != MANAGED_BY && entry["subresource"].is_null());
    others.filter(|entry| holds(&entry["fieldsV1"], path)).filter_map(|entry| entry["manager"].as_str()).collect()
}

fn holds(fields: &Value, path: &[String]) -> bool {
    let Some((head, rest)) = path.split_first() else { return true };
    let Some(fields) = fields.as_object() else { return false };
    fields.iter().any(|(key, below)| leads_to(key, head) && holds(below, rest))
}

/// `f:NAME` is a field, `k:{"name":"NAME"}` an item of a list.
fn leads_to(key: &str, name: &str) -> bool {
    let item = |keys: &str| serde_json::from_str::<Value>(keys).is_ok_and(|keys| keys["name"] == name);
    key.strip_prefix("f:") == Some(name) || key.strip_prefix("k:").is_some_and(item)
}

/// Where the API server's answer to a write is not what was written.
pub fn came_out_otherwise(answer: &Value, written: &Rendered) -> Vec<Place> {
    let mut written = written.clone();
    if let Some(metadata) = written.json["metadata"].as_object_mut() {
        // What the write was fenced by.
        metadata.remove("resourceVersion");
    }
    objects::answered(answer, &written)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_changes_a_place_is_read_from_the_api_servers_record() {
        let fields = |fields: Value| json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"zookeeper\"}": {".": {}, "f:image": fields}}}}}});
        let managed = json!([
            {"manager": "menagerie", "operation": "Apply", "fieldsV1": fields(json!({}))},
            {"manager": "argocd-controller", "operation": "Apply", "fieldsV1": fields(json!({}))},
            {"manager": "kube-controller-manager", "subresource": "status", "fieldsV1": fields(json!({}))},
            {"manager": "other", "fieldsV1": {"f:metadata": {}}},
        ]);
        let path = ["spec", "template", "spec", "containers", "zookeeper", "image"].map(str::to_owned);
        assert_eq!(managers(&managed, &path), ["argocd-controller"]);
        assert!(managers(&managed, &["spec".to_owned(), "replicas".to_owned()]).is_empty());
        assert!(managers(&Value::Null, &path).is_empty());
    }

    #[test]
    fn an_answer_is_compared_with_all_that_was_written_but_its_fence() {
        let key = ObjectKey { kind: Kind::StatefulSet, name: "zk".into() };
        let json = json!({"metadata": {"resourceVersion": "1"}, "spec": {"a": 30, "cpu": "1000m"}});
        let written = Rendered { key, json };
        let answer = |a: u32| json!({"metadata": {"resourceVersion": "2"}, "spec": {"a": a, "cpu": "1", "b": 1}});
        assert!(came_out_otherwise(&answer(30), &written).is_empty());
        let places = came_out_otherwise(&answer(45), &written);
        assert_eq!(places, [Place { path: vec!["spec".into(), "a".into()], ours: json!(30), theirs: json!(45) }]);
    }
}
