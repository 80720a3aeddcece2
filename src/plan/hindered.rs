//! What others prevent: the planner reports it, passes over it, and holds up only what depends on it.
//!
//! - A value that a policy sets stays. Pods are compared with the StatefulSet as it is, so the policy restarts nobody.
//! - A member gets a pod only once its Service exists, and the StatefulSet changes only after its `ConfigMap`.
//! - Members start from the charter. While it cannot be updated, the membership stays as it is, and no member that
//!   serves is stopped.

use std::collections::BTreeSet;

use serde_json::Value;

use super::view::View;
use super::{Reason, Step, Target, Write, due, objects, origin};
use crate::model::names::MANAGED_BY;
use crate::model::observed::{Kind, Live, ObjectKey};
use crate::model::words::{QUOTE, cut};
use crate::model::{Charter, FieldDifference, Hindrance, Observation, OtherPod, Pool, Seat, ServerId};
use crate::render::Rendered;

/// How many differences of an object a message names.
const SHOWN: usize = 4;
/// The longest value that a message shows, in bytes.
const VALUE: usize = 120;

/// A write or a delete that is passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    key: ObjectKey,
    /// Whether the ensemble lacks something because of it. It can live with a value that a policy changes.
    pub refused: bool,
    /// Whether it concerns the content of the object, and not only its metadata.
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

/// What the API server said when it refused.
pub fn refusal(what: &str, words: &str) -> String {
    format!("failed to {what}: the API server says: {}", cut(words, QUOTE))
}

/// Separates the writes to make from those that would have no effect, or that wait for one of those.
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
            let differences = objects::differences(seen, write);
            let all = differences.iter().all(|difference| known.iter().any(|known| known.wants_the_same(difference)));
            all.then(|| Held {
                // An object that is deleted each time is missing.
                refused: differences.iter().any(|difference| difference.path.is_empty()),
                content: differences
                    .iter()
                    .any(|difference| difference.path.first().is_none_or(|field| field != "metadata")),
                message: if known.iter().any(|known| known.whatever) {
                    wavering(&key, &differences)
                } else {
                    overruled(seen, &key, &differences)
                },
                key,
            })
        }
        Hindrance::Refused { .. } => None,
    }
}

/// Whether a StatefulSet that is created or changed now would create pods that cannot run, or that run with the wrong
/// files.
fn pods_need(seen: &Observation, held: &Held) -> bool {
    match held.key.kind {
        Kind::ConfigMap => held.content,
        Kind::ServiceAccount | Kind::Secret | Kind::Service => {
            seen.set(Pool::Voters).is_none()
                && held.key.name != seen.names.client()
                && !seen.objects.contains_key(&held.key)
        }
        Kind::PodDisruptionBudget
        | Kind::PersistentVolumeClaim
        | Kind::Pod
        | Kind::StatefulSet
        | Kind::CronJob
        | Kind::Job
        | Kind::Backup => false,
    }
}

/// Why no member may start now: it would find an outdated charter, which cannot be written.
pub fn charter_blocked(seen: &Observation, held: &[Held], charter: &Charter) -> Option<Reason> {
    let config = held.iter().find(|held| held.key.kind == Kind::ConfigMap)?;
    (seen.charter.as_ref() != Some(charter)).then(|| {
        let Reason { code, message } = config.reason();
        Reason::new(
            code,
            format!("{message}; members start from it, so the membership stays as it is and no member is restarted"),
        )
    })
}

/// Whether a pod that does not serve may still be recreated: the charter that its member finds is old, but not false.
/// An older membership never replaces a member's own.
pub fn may_start(seen: &Observation, charter: &Charter) -> bool {
    seen.charter
        .as_ref()
        .is_some_and(|found| found.identity == charter.identity && found.beginning == charter.beginning)
}

/// What prevents the creation of the StatefulSet.
pub fn unfounded(view: &View<'_>) -> Option<Step> {
    lacking(&view.object_changes()?.held).filter(|_| view.seen.set(Pool::Voters).is_none()).map(Step::Refuse)
}

/// Members would find an outdated charter when they start.
pub fn charter_not_written(view: &View<'_>) -> Option<Step> {
    let changes = view.object_changes()?;
    charter_blocked(view.seen, &changes.held, &changes.confirmed_charter).map(Step::Refuse)
}

/// The new membership cannot be written to the charter.
pub fn membership_not_written(view: &View<'_>) -> Option<Step> {
    let changes = view.object_changes()?;
    let held = changes.new_membership.as_ref()?.as_ref().err()?;
    charter_blocked(view.seen, held, &changes.blueprint.charter).map(Step::Refuse)
}

/// Everything that is refused, as one reason.
pub fn lacking(held: &[Held]) -> Option<Reason> {
    let refused: Vec<&str> = held.iter().filter(|held| held.refused).map(|held| held.message.as_str()).collect();
    (!refused.is_empty()).then(|| Reason::new("ApplyRefused", refused.join("; ")))
}

/// Why a member's pod is not created: it would have no address, or the StatefulSet may not be scaled.
pub fn unraisable(seen: &Observation, id: ServerId, set: &Rendered) -> Option<Reason> {
    let service = ObjectKey { kind: Kind::Service, name: seen.names.pod(id.seat()) };
    match seen.hindrances.objects.get(&service).filter(|_| !seen.objects.contains_key(&service)) {
        Some(Hindrance::Refused { words, .. }) => Some(unapplied(&service, words)),
        Some(Hindrance::Overruled(differences)) => {
            Some(Reason::new("ApplyRefused", overruled(seen, &service, differences)))
        }
        None => unresizable(seen, set),
    }
}

/// Why the StatefulSet cannot be scaled.
pub fn unresizable(seen: &Observation, set: &Rendered) -> Option<Reason> {
    match seen.hindrances.objects.get(&set.key) {
        Some(Hindrance::Refused { seal, words }) if *seal == set.seal() => Some(unapplied(&set.key, words)),
        _ => None,
    }
}

fn unapplied(key: &ObjectKey, words: &str) -> Reason {
    Reason::new("ApplyRefused", refusal(&format!("apply {} {}", key.kind.as_str(), key.name), words))
}

/// Whether the API server refuses to delete this. A pod or claim that stays is not retried on every pass: it would
/// block everything else.
pub fn stays(seen: &Observation, target: &Target) -> bool {
    matches!(seen.hindrances.objects.get(&target.key), Some(Hindrance::Refused { seal, .. }) if *seal == target.uid)
}

/// Claims that must be deleted before the StatefulSet is created, and cannot be.
pub fn claims_that_stay(view: &View<'_>) -> Option<Step> {
    let (seen, claims) = (view.seen, origin::empty_claims(view.seen));
    let names: Vec<&str> = claims.iter().map(|claim| claim.key.name.as_str()).collect();
    let words: Vec<String> = undeleted(seen).map(|held| held.message).collect();
    (!names.is_empty()).then(|| {
        Step::Refuse(Reason::new(
            "ApplyRefused",
            format!(
                "{}; these claims are empty and keep the ensemble from starting with the storage that the spec asks for now: kubectl -n {} delete pvc {}",
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

/// A pod that Kubernetes refuses to create. Once the deadline of the policy is over, the roll halts with it.
pub fn unmade(view: &View<'_>) -> Option<Reason> {
    let (seen, desired) = (view.seen, view.desired?);
    let unmanned = seen.unmanned();
    if let Some(taken) = unmanned.iter().find_map(|seat| name_taken(seen, ServerId::from(*seat))) {
        return Some(taken);
    }
    let refused = unmanned.iter().find_map(|seat| Some((seat, seen.hindrances.pods.get(seat)?)));
    let (seat, refusal) = refused?;
    let (pod, words) = (seen.names.pod(*seat), &refusal.words);
    let waiting = due::count(view);
    let late = refusal.since.is_some_and(|since| seen.now.saturating_sub(since) > desired.deadline);
    Some(if late && waiting > 0 {
        Reason::new(
            "RollHalted",
            format!(
                "pod {pod} has not been created again after {} s; {waiting} more keep the older revision until it is, or until you correct the spec; the API server says: {words}",
                desired.deadline
            ),
        )
    } else {
        Reason::new("PodRefused", format!("pod {pod} is not created; the API server says: {words}"))
    })
}

/// Why a member has no pod, or can have none: another has its name.
pub fn name_taken(seen: &Observation, id: ServerId) -> Option<Reason> {
    let told = in_the_way(seen, id.seat())?.told(&seen.names.pod(id.seat()), &seen.names);
    Some(Reason::new("ForeignPod", format!("member {id} has no pod: {told}")))
}

/// A pod that is not this ensemble's and keeps a member from having one, until somebody does something about it.
pub fn in_the_way(seen: &Observation, seat: Seat) -> Option<&OtherPod> {
    seen.hindrances.in_the_way.get(&seat).filter(|other| !other.going)
}

/// What the operator itself wants changes with each pass. Nobody else is to blame, and nobody else can end it.
fn wavering(key: &ObjectKey, differences: &[FieldDifference]) -> String {
    let shown: Vec<String> = differences.iter().take(SHOWN).map(|difference| tell(key.kind, difference)).collect();
    format!(
        "the operator wants another value of a field of {} {} again and again, and leaves it alone for now: {}; please report this",
        key.kind.as_str(),
        key.name,
        shown.join(", ")
    )
}

fn overruled(seen: &Observation, key: &ObjectKey, differences: &[FieldDifference]) -> String {
    if differences.iter().any(|difference| difference.path.is_empty()) {
        let (kind, name) = (key.kind.as_str(), &key.name);
        return if seen.objects.contains_key(key) {
            format!("{kind} {name} does not change, however often it is applied")
        } else {
            format!("{kind} {name} is gone each time after it was created: somebody deletes it")
        };
    }
    let claim = seen.claims.values().find(|claim| claim.name == key.name && key.kind == Kind::PersistentVolumeClaim);
    let managed = match (seen.objects.get(key), claim) {
        (Some(Live::Ours(live)), _) => &live["metadata"]["managedFields"],
        (_, Some(claim)) => &claim.managed,
        _ => &Value::Null,
    };
    let mut shown: Vec<String> = differences.iter().take(SHOWN).map(|difference| tell(key.kind, difference)).collect();
    if differences.len() > SHOWN {
        shown.push(format!("{} more fields", differences.len() - SHOWN));
    }
    let managers: BTreeSet<&str> =
        differences.iter().flat_map(|difference| managers(managed, &difference.path)).collect();
    let by = if managers.is_empty() {
        "an admission webhook, a policy or a controller".to_owned()
    } else {
        managers.into_iter().collect::<Vec<_>>().join(", ")
    };
    format!(
        "{} {} does not stay as it is applied: {}; changed by {by}, and left that way",
        key.kind.as_str(),
        key.name,
        shown.join(", ")
    )
}

fn tell(kind: Kind, difference: &FieldDifference) -> String {
    let path = difference.path.join(".");
    match (kind, &difference.ours) {
        // Whether the ensemble owns a claim.
        (Kind::PersistentVolumeClaim, Value::Bool(false)) => {
            format!(
                "{path} makes the ensemble its owner, so it is deleted with the ensemble, whatever storage.reclaim.onDelete says"
            )
        }
        (Kind::PersistentVolumeClaim, Value::Bool(true)) => format!("{path} is removed"),
        (_, ours) => format!("{path} should be {}, but is {}", short(ours), short(&difference.theirs)),
    }
}

fn short(value: &Value) -> String {
    if value.is_null() { "missing".to_owned() } else { cut(&value.to_string(), VALUE) }
}

/// Who else manages this field, according to the API server's own record. A webhook changes a request before it is
/// recorded, so it does not show.
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

/// The fields in which the API server's answer to a write differs from what was written.
pub fn came_out_otherwise(answer: &Value, written: &Rendered) -> Vec<FieldDifference> {
    let mut written = written.clone();
    if let Some(metadata) = written.json["metadata"].as_object_mut() {
        // The precondition of the write.
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
        let differences = came_out_otherwise(&answer(45), &written);
        assert_eq!(
            differences,
            [FieldDifference {
                path: vec!["spec".into(), "a".into()],
                ours: json!(30),
                theirs: json!(45),
                whatever: false
            }]
        );
    }
}
