//! Which objects differ from what they should be, and which are in the way.

use serde_json::{Value, json};

use super::view::View;
use super::{Reason, Step, Target, Write, hindered, version};
use crate::api::ReclaimPolicy;
use crate::model::names::{BORN_LABEL, INSTANCE_LABEL, VERSION_ANNOTATION};
use crate::model::observed::{Kind, Live, ObjectKey};
use crate::model::words::held;
use crate::model::{FieldDifference, Observation, Pool, Seat, generated, quantity};
use crate::render::{self, Blueprint, OnClaim, Rendered};

/// How many changed fields, or objects, a message names.
const NAMED: usize = 6;

/// Objects with names that the ensemble needs and that belong to others. They are never overwritten, and all of them
/// are named at once.
pub fn collision(view: &View<'_>) -> Option<Step> {
    let seen = view.seen;
    let called = |key: &ObjectKey| format!("{} {}", key.kind.as_str(), key.name);
    let foreign = seen.objects.iter().filter_map(|(key, live)| match live {
        Live::Foreign { owner } => Some(format!("{} belongs to {owner}", called(key))),
        Live::Ours(_) | Live::Orphan(_) | Live::Leftover { .. } => None,
    });
    let foreign: Vec<String> = foreign.collect();
    if !foreign.is_empty() {
        return Some(Step::Refuse(Reason::new(
            "ForeignObject",
            format!(
                "objects with names that this ensemble needs belong to others: {}; delete or rename them, or give the ensemble another name",
                some(foreign, "; ")
            ),
        )));
    }
    if let Some(stray) = stray(seen) {
        return Some(Step::Refuse(stray));
    }
    let leftovers = seen.objects.iter().filter_map(|(key, live)| match live {
        Live::Leftover { finalizers } if finalizers.is_empty() => Some(called(key)),
        Live::Leftover { finalizers } => {
            let kind = key.kind.as_str().to_lowercase();
            Some(called(key) + &held(finalizers, &seen.names.namespace, &kind, &key.name))
        }
        Live::Ours(_) | Live::Orphan(_) | Live::Foreign { .. } => None,
    });
    let leftovers: Vec<String> = leftovers.collect();
    (!leftovers.is_empty()).then(|| {
        let message = format!("waiting until what an earlier ensemble left is gone: {}", some(leftovers, ", "));
        Step::Wait(Reason::new("LeftoverTerminating", message))
    })
}

/// Objects without an owner are taken over again if everything with an identity has the same one: the StatefulSet's
/// claims, the charter, and the existing claims. Otherwise members would start on volumes of another life of the
/// ensemble, and refuse them.
fn stray(seen: &Observation) -> Option<Reason> {
    let orphan =
        |kind: Kind| seen.objects.iter().any(|(key, live)| key.kind == kind && matches!(live, Live::Orphan(_)));
    if !orphan(Kind::StatefulSet) && !orphan(Kind::ConfigMap) {
        return None;
    }
    let set =
        seen.set(Pool::Voters).and_then(|set| set.identity.as_deref()).map(|identity| ("the StatefulSet", identity));
    let charter = seen.charter.as_ref().map(|charter| ("the ConfigMap", charter.identity.as_str()));
    let claims = seen.claims.values().filter(|claim| !claim.going);
    let claims = claims.filter_map(|claim| Some((claim.name.as_str(), claim.identity.as_deref()?)));
    let found: Vec<(&str, &str)> = set.into_iter().chain(charter).chain(claims).collect();
    let (_, first) = *found.first()?;
    if found.iter().all(|(_, identity)| *identity == first) {
        return None;
    }
    let found = found.into_iter().map(|(name, identity)| format!("{name} of {identity}")).collect();
    Some(Reason::new(
        "ForeignObject",
        format!(
            "objects without an owner belong to different ensembles: {}; keep those of one identity and delete the others",
            some(found, ", ")
        ),
    ))
}

/// The first few, and how many more there are.
fn some(mut names: Vec<String>, between: &str) -> String {
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    if more > 0 {
        names.push(format!("{more} more"));
    }
    names.join(between)
}

/// What has to be written, apart from what a quorum has to confirm first.
pub fn apply(view: &View<'_>) -> Option<Step> {
    let changes = view.object_changes()?;
    (!changes.writes.is_empty()).then(|| Step::Apply(changes.writes.clone()))
}

/// The membership that members do not know yet.
pub fn tell(view: &View<'_>) -> Option<Step> {
    view.object_changes()?.new_membership.as_ref()?.as_ref().ok().cloned().map(Step::Tell)
}

/// Until the StatefulSet controller has observed the change, nobody knows who has to be restarted.
pub fn taken_in(view: &View<'_>) -> Option<Step> {
    let taken = view.scaling()?.set.update_revision.is_some();
    (!taken)
        .then(|| Step::Wait(Reason::new("Applying", "waiting for the StatefulSet controller to observe the change")))
}

/// What has to be written so that the objects are as rendered.
pub fn differing(seen: &Observation, rendered: &[Rendered], blueprint: &Blueprint<'_>) -> Vec<Write> {
    let mut writes: Vec<Write> = rendered.iter().filter_map(|object| write(seen, object)).collect();
    writes.extend(seen.claims.keys().filter_map(|seat| claim(seen, *seat, blueprint)));
    writes
}

fn write(seen: &Observation, object: &Rendered) -> Option<Write> {
    match (seen.objects.get(&object.key), object.key.kind) {
        (None, Kind::Secret) => {
            let key = generated::key(&seen.names, &object.key.name)?;
            Some(Write::CreateSecret { object: object.clone(), key })
        }
        (None, _) => Some(Write::Apply { object: object.clone(), uid: None }),
        // A second write to the Secret could only lose the password that running members know, and the operator has no
        // right to it. If the Secret has lost its owner, it is used as it is, and outlives the ensemble.
        (Some(Live::Foreign { .. } | Live::Leftover { .. }), _) | (Some(_), Kind::Secret) => None,
        (Some(Live::Ours(live)), _) if reflects(live, &object.json) => None,
        (Some(Live::Ours(live) | Live::Orphan(live)), kind) => {
            let mut object = object.clone();
            // It contains the number of pods: a number from before the last resize would stop a voter's pod.
            if kind == Kind::StatefulSet {
                object.json["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
            }
            Some(Write::Apply { object, uid: uid_of(live) })
        }
    }
}

/// Which fields of the pod template differ, if pods that run are about to get a changed template.
pub fn template_changes(seen: &Observation, writes: &[Write]) -> Option<String> {
    let rendered = writes.iter().find_map(|write| match write {
        Write::Apply { object, uid: Some(_) } if object.key.kind == Kind::StatefulSet => Some(object),
        Write::Apply { .. } | Write::CreateSecret { .. } => None,
    })?;
    let live = seen.objects.get(&rendered.key)?.held()?;
    let differences = compare(&live["spec"]["template"], &rendered.json["spec"]["template"]);
    let differences: Vec<String> = differences.iter().map(|difference| difference.path.join(".")).collect();
    (!differences.is_empty()).then(|| some(differences, ", "))
}

/// The fields in which an object differs from what a write would make of it. There is always at least one: a write
/// without effect must be recognised later, whatever its purpose. If the object is missing, or no difference can be
/// named, the whole object counts as one.
pub fn differences(seen: &Observation, write: &Write) -> Vec<FieldDifference> {
    let object = write.object();
    let found = match write {
        Write::Apply { uid: Some(_), .. } if object.key.kind == Kind::PersistentVolumeClaim => {
            claim_differences(seen, object)
        }
        Write::Apply { uid: Some(_), .. } => {
            let live = seen.objects.get(&object.key).and_then(Live::held);
            live.map_or_else(Vec::new, |live| compare(live, &object.json))
        }
        Write::Apply { uid: None, .. } | Write::CreateSecret { .. } => Vec::new(),
    };
    if found.is_empty() {
        return vec![FieldDifference {
            path: Vec::new(),
            ours: json!(object.seal()),
            theirs: Value::Null,
            whatever: false,
        }];
    }
    found
}

/// For a claim, exactly what [`claim`] decides on: what the operator maintains on it. The instance label has to be gone
/// in the end, whatever the write that removes it says.
fn claim_differences(seen: &Observation, object: &Rendered) -> Vec<FieldDifference> {
    let Some(claim) = seen.claims.values().find(|claim| claim.name == object.key.name) else { return Vec::new() };
    let metadata = &object.json["metadata"];
    let owned = metadata["ownerReferences"].as_array().is_some_and(|owners| !owners.is_empty());
    let difference = |path: &[&str], ours: Value, theirs: Value| FieldDifference {
        path: [&["metadata"], path].concat().into_iter().map(str::to_owned).collect(),
        ours,
        theirs,
        whatever: false,
    };
    let born = if claim.born { json!("true") } else { Value::Null };
    let all = [
        difference(&["ownerReferences"], json!(owned), json!(claim.owned)),
        difference(&["labels", BORN_LABEL], metadata["labels"][BORN_LABEL].clone(), born),
        difference(&["labels", INSTANCE_LABEL], Value::Null, json!(claim.instance)),
        difference(
            &["annotations", VERSION_ANNOTATION],
            metadata["annotations"][VERSION_ANNOTATION].clone(),
            json!(claim.ran),
        ),
    ];
    all.into_iter().filter(|difference| difference.ours != difference.theirs).collect()
}

/// The fields in which an answer differs from what was written. For a claim's owners: only whether the ensemble is one
/// of them.
pub fn answered(answer: &Value, written: &Rendered) -> Vec<FieldDifference> {
    let mut differences = compare(answer, &written.json);
    if written.key.kind == Kind::PersistentVolumeClaim {
        let owners =
            |difference: &FieldDifference| difference.path.get(1).is_some_and(|field| field == "ownerReferences");
        let before = differences.len();
        differences.retain(|difference| !owners(difference));
        if differences.len() < before {
            let path = ["metadata", "ownerReferences"].map(str::to_owned).to_vec();
            differences.push(FieldDifference { path, ours: json!(true), theirs: json!(false), whatever: false });
        }
    }
    differences
}

/// The fields in which the rendered object differs from the live one.
pub fn compare(live: &Value, rendered: &Value) -> Vec<FieldDifference> {
    let mut differences = Vec::new();
    collect(&mut Vec::new(), live, rendered, &mut differences);
    differences
}

fn collect(path: &mut Vec<String>, live: &Value, rendered: &Value, differences: &mut Vec<FieldDifference>) {
    if reflects(live, rendered) {
        return;
    }
    match (live, rendered) {
        (Value::Object(live), Value::Object(rendered)) => {
            for (key, value) in rendered {
                below(path, key, live.get(key).unwrap_or(&Value::Null), value, differences);
            }
        }
        (Value::Array(live), Value::Array(rendered)) if rendered.iter().all(|item| item["name"].is_string()) => {
            for item in rendered {
                let other = live.iter().find(|other| other["name"] == item["name"]).unwrap_or(&Value::Null);
                below(path, item["name"].as_str().unwrap_or_default(), other, item, differences);
            }
        }
        _ => differences.push(FieldDifference {
            path: path.clone(),
            ours: rendered.clone(),
            theirs: live.clone(),
            whatever: false,
        }),
    }
}

/// Whether the claims of the existing StatefulSet have the instance label, as those of earlier versions do.
pub fn old_claims(seen: &Observation) -> bool {
    let key = ObjectKey { kind: Kind::StatefulSet, name: seen.names.ensemble.clone() };
    let Some(Live::Ours(live)) = seen.objects.get(&key) else { return false };
    live["spec"]["volumeClaimTemplates"][0]["metadata"]["labels"][INSTANCE_LABEL].is_string()
}

fn below(path: &mut Vec<String>, key: &str, live: &Value, rendered: &Value, differences: &mut Vec<FieldDifference>) {
    // What the API server drops when it stores an object is no difference.
    if live.is_null() && is_empty(rendered) {
        return;
    }
    path.push(key.to_owned());
    collect(path, live, rendered, differences);
    path.pop();
}

/// What the operator maintains on a member's claim, if it is not there yet.
fn claim(seen: &Observation, seat: Seat, blueprint: &Blueprint<'_>) -> Option<Write> {
    let claim = seen.claims.get(&seat)?;
    let ours = claim.identity.as_ref() == Some(&blueprint.charter.identity) && !claim.going;
    let owned = blueprint.desired.on_delete == ReclaimPolicy::Delete;
    let born = claim.born || !blueprint.charter.beginning.is_birth();
    let ran = version::ran(seen, seat).filter(|_| born);
    let as_it_is = claim.owned == owned && claim.born == born && claim.ran.as_deref() == ran;
    if !ours || (as_it_is && claim.instance.is_none()) {
        return None;
    }
    let object = render::claim(blueprint, claim, OnClaim { born, ran, owned });
    Some(Write::Apply { object, uid: Some(claim.uid.clone()) })
}

/// Deletes what would go on deleting from an archive that is to keep all, or that is no longer the ensemble's. It waits for no quorum:
/// whoever has lost one may need the whole archive.
pub fn give_up_pruning(view: &View<'_>) -> Option<Step> {
    let wanted = view.object_changes()?.blueprint.desired.archive.as_ref().is_some_and(|all| all.retention.is_some());
    let key = ObjectKey { kind: Kind::CronJob, name: view.seen.names.prune() };
    let Some(Live::Ours(live)) = view.seen.objects.get(&key).filter(|_| !wanted) else { return None };
    let target = Target::of(key, live).filter(|target| !hindered::stays(view.seen, target))?;
    Some(Step::Delete(vec![target]))
}

/// Deletes what nobody uses any more.
pub fn give_up_unused(view: &View<'_>) -> Option<Step> {
    let unused = unused(view.seen, &view.object_changes()?.blueprint);
    (!unused.is_empty()).then_some(Step::Delete(unused))
}

/// Member Services above the last member, and claims that the policy deletes, once no pod uses them.
fn unused(seen: &Observation, blueprint: &Blueprint<'_>) -> Vec<Target> {
    let first_unused = blueprint.pods.max(blueprint.desired.replicas);
    let mut targets: Vec<Target> = seen
        .objects
        .iter()
        .filter(|(key, _)| key.kind == Kind::Service)
        .filter(|(key, _)| seen.names.seat_of_pod(&key.name).is_some_and(|seat| seat.ordinal >= first_unused))
        .filter_map(|(key, live)| match live {
            Live::Ours(live) => Target::of(key.clone(), live),
            Live::Orphan(_) | Live::Leftover { .. } | Live::Foreign { .. } => None,
        })
        .collect();
    if blueprint.desired.on_scale_down == ReclaimPolicy::Delete {
        let given_up = seen.claims.iter().filter(|(seat, claim)| {
            seat.ordinal >= first_unused
                && !claim.going
                && claim.identity.as_deref() == Some(blueprint.charter.identity.as_str())
                && !seen.pods.contains_key(seat)
        });
        targets.extend(given_up.map(|(_, claim)| Target::claim(claim)));
    }
    targets.retain(|target| !hindered::stays(seen, target));
    targets
}

fn uid_of(live: &Value) -> Option<String> {
    live["metadata"]["uid"].as_str().map(str::to_owned)
}

/// Whether the live object contains everything that was rendered, whatever defaults, status and additions of others it
/// has. The seal on every rendering shows when a field is no longer rendered.
fn reflects(live: &Value, rendered: &Value) -> bool {
    match (live, rendered) {
        (Value::Object(live), Value::Object(rendered)) => {
            rendered.iter().all(|(key, value)| live.get(key).map_or(is_empty(value), |live| reflects(live, value)))
        }
        // Server-side apply keeps the list items of others, and puts ours anywhere among them.
        (Value::Array(live), Value::Array(rendered)) => {
            rendered.iter().all(|rendered| live.iter().any(|live| reflects(live, rendered)))
        }
        (Value::String(live), Value::String(rendered)) => quantity::same(live, rendered),
        (live, rendered) => live == rendered,
    }
}

/// What the API server drops when it stores an object: a difference in it could never be resolved.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(is_empty),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_beside_what_was_rendered_are_no_difference() {
        let rendered = json!({"spec": {"ports": [{"port": 1}], "selector": {}, "cpu": "1000m"}});
        let live =
            json!({"spec": {"ports": [{"port": 1, "protocol": "TCP"}], "clusterIP": "x", "cpu": "1"}, "status": {}});
        assert!(reflects(&live, &rendered));
        assert!(!reflects(&json!({"spec": {"ports": [], "cpu": "1"}}), &rendered));
        assert!(!reflects(&json!({"spec": {"ports": [{"port": 2}], "cpu": "1"}}), &rendered));
    }

    #[test]
    fn what_the_api_server_drops_or_others_add_is_no_difference() {
        for (live, rendered) in [
            (json!({}), json!({"readOnly": false, "delay": 0, "medium": "", "emptyDir": {"medium": ""}})),
            (json!({"env": [{"name": "FOO"}, {"name": "A"}]}), json!({"env": [{"name": "A", "value": ""}]})),
            (json!({"cpu": "1m", "memory": "500m"}), json!({"cpu": "0.0001", "memory": "0.5"})),
        ] {
            assert!(reflects(&live, &rendered), "{live} {rendered}");
        }
        assert!(!reflects(&json!({}), &json!({"readOnly": true})));
    }
}
