//! What is allowed, but unwise.

use super::view::View;
use super::{ConditionStatus, Reason, UntimedCondition, archive, retention, service, version, volume};
use crate::model::archive::ArchivePlace;
use crate::model::bounded::words;
use crate::model::desired::Storage;
use crate::model::heap::BESIDE_HEAP_MIB;
use crate::model::store;
use crate::model::{Desired, Observation, Pool, ServerId};

/// All warnings as sentences. The first gives the reason.
pub fn warning(view: &View<'_>) -> Option<UntimedCondition> {
    let (seen, desired) = (view.seen, view.desired?);
    let advice = desired.advice.iter().map(|sentence| Reason::new("UnwiseSetting", sentence.clone()));
    let said: Vec<Reason> = [
        other_domain(seen),
        taken_up(view, desired),
        volume::warning(view),
        filling(view, desired),
        unpurged(view),
        last_copy(desired),
        ephemeral_limit(desired),
        service::warning(view),
        tight_memory(seen, desired),
        readable_archive(desired),
        archive::unbuilt(view).map(|message| Reason::new("NoBase", message)),
        retention::warning(view),
        two_voters(view).or_else(|| even_voters(desired.replicas)),
    ]
    .into_iter()
    .flatten()
    .chain(version::known_to_lose_data(seen).map(|message| Reason::new("KnownDefect", message)))
    .chain(advice)
    .collect();
    let reason = said.first()?.code;
    let message = said.into_iter().map(|reason| reason.message).collect::<Vec<_>>().join("; ");
    Some(UntimedCondition { name: "Warning", status: ConditionStatus::True, reason, message })
}

/// Members get names in one domain, but the cluster has another.
fn other_domain(seen: &Observation) -> Option<Reason> {
    let (told, searched) = (&seen.names.domain, seen.operator.searched.as_ref()?);
    (told.trim_end_matches('.') != searched).then(|| {
        Reason::new(
            "ClusterDomain",
            format!(
                "members get names below {told}, but the operator's own pod is in a cluster whose DNS domain is {searched}: set the operator's --cluster-domain (chart value clusterDomain={searched}); with the wrong domain no new member starts"
            ),
        )
    })
}

const TAKEN_UP: &str = "this ensemble has the data of the claims that were there before it";

/// Claims of an earlier ensemble of this name were kept: its data counts, whatever the spec wants it to begin with.
fn taken_up(view: &View<'_>, desired: &Desired) -> Option<Reason> {
    let (parent, origin) = (&desired.parent.as_ref()?.point, view.origin().ok()?);
    if origin.beginning.is_birth() || origin.identity == view.seen.uid {
        return None;
    }
    // Claims of a try that failed hand on their identity, and were never born. What a database began with, its volume says.
    // A member whose volume was replaced has all of it from the others, and says nothing of it.
    let wanted = parent.to_string();
    let wanted = words(&wanted);
    let mut disks = view.pods().filter_map(|(_, member, _)| Some(&member.report?.disk));
    if disks.any(|disk| disk.parent.as_deref() == Some(wanted.as_str())) {
        return None;
    }
    // Until all have answered, what was said before holds.
    let all = view.pods().all(|(_, member, _)| member.report.is_some()) && view.pods().next().is_some();
    let before = view.seen.status.conditions.iter().any(|before| before.message.contains(TAKEN_UP));
    if !all && !before {
        return None;
    }
    Some(Reason::new(
        "FromIgnored",
        format!(
            "{TAKEN_UP} (identity {}), and not {parent}: to begin with that, create one with another name, or, if nobody needs that data, delete this one and its claims first",
            origin.identity
        ),
    ))
}

/// A volume that is nearly full, by the percent that are free: the bands that a message names, so that it rests between them.
const BANDS: [u8; 3] = [2, 5, 10];

/// A server that cannot write ends, and all members grow alike.
fn filling(view: &View<'_>, desired: &Desired) -> Option<Reason> {
    let full: Vec<(ServerId, u8)> = view
        .pods()
        .filter_map(|(id, member, _)| {
            let free = member.report?.disk.free?;
            Some((id, BANDS.into_iter().find(|band| free < *band)?))
        })
        .collect();
    let (first, _) = full.first()?;
    let told: Vec<String> =
        full.iter().map(|(id, band)| format!("of the volume of member {id} less than {band} % is free")).collect();
    let names = &view.seen.names;
    let cure = match &desired.storage {
        Storage::Claim { .. } => format!(
            "make the claim of each member larger, if its storage class allows that: kubectl -n {} patch pvc {} --type merge -p '{{\"spec\":{{\"resources\":{{\"requests\":{{\"storage\":\"SIZE\"}}}}}}}}'; or delete znodes, and what was set aside on the volume (version-2.set-aside)",
            names.namespace,
            names.claim(first.seat())
        ),
        Storage::Ephemeral { .. } => "make room on the members' nodes, or delete znodes".to_owned(),
    };
    let message = format!(
        "{}: a server ends when it cannot write, and does not start before there is room; {cure}",
        told.join(", ")
    );
    Some(Reason::new("VolumeFilling", message))
}

/// Whose volume fills up, since nobody deletes anything there: the server does not, and its agent cannot.
fn unpurged(view: &View<'_>) -> Option<Reason> {
    let said = view.pods().filter_map(|(id, member, _)| {
        let why = member.report?.unpurged.as_ref()?;
        Some(format!("member {id} deletes none of its old logs and snapshots, and its volume fills up: {why}"))
    });
    let said: Vec<_> = said.collect();
    (!said.is_empty()).then(|| Reason::new("NotPurged", said.join("; ")))
}

/// The risk of two voters: ZooKeeper needs both, and ignores the vote of a server with an empty database.
const AT_STAKE: &str = "2 voters tolerate no failure, like 1, and both must run; if the volume of one is lost, the other does not serve again, although it has all the data: ask for 3, which tolerate one failure";

/// The risk while two vote: because that is what the spec asks for, or on the way between one and three.
fn two_voters(view: &View<'_>) -> Option<Reason> {
    let voters: Vec<ServerId> = view.voters().collect();
    let [one, other] = voters[..] else { return None };
    Some(Reason::new("TwoVoters", format!("members {one} and {other} vote now: {AT_STAKE}")))
}

fn even_voters(voters: u32) -> Option<Reason> {
    let message = match voters {
        2 => AT_STAKE.to_owned(),
        n if n % 2 == 0 => format!(
            "{n} voters tolerate as many failures ({}) as {} do, and every write waits for {} of them: use {} or {}",
            (n - 1) / 2,
            n - 1,
            n / 2 + 1,
            n - 1,
            n + 1
        ),
        _ => return None,
    };
    Some(Reason::new("EvenVoters", message))
}

/// Requests are signed, but nothing in them is hidden, unless we encrypt it.
fn readable_archive(desired: &Desired) -> Option<Reason> {
    let archive = desired.archive.as_ref().map(|archive| ("archive", &archive.config.place));
    let parent = desired.parent.as_ref().map(|parent| ("from", &parent.point.place));
    let mut endpoints =
        archive.into_iter().chain(parent).filter_map(|(field, place)| Some((field, place, place.endpoint.as_ref()?)));
    // The others may send a token with each request, which whoever reads it can use.
    let hidden = |place: &ArchivePlace| place.encryption_keys.is_some() && store::field(place) == "s3";
    let readable = |place: &ArchivePlace, endpoint: &str| endpoint.starts_with("http://") && !hidden(place);
    endpoints.find(|(_, place, endpoint)| readable(place, endpoint)).map(|(field, place, endpoint)| {
        let store = store::field(place);
        Reason::new(
            "UnwiseSetting",
            format!(
                "{field}.{store}.endpoint is {endpoint}: whoever listens on the network reads all that is archived, with every secret in the ensemble: use https://"
            ),
        )
    })
}

/// With two copies, one is not enough: `ZooKeeper` ignores the vote of an empty server.
fn last_copy(desired: &Desired) -> Option<Reason> {
    let members = match desired.replicas {
        1 => "a single ephemeral member is the only copy of the data",
        2 => {
            "neither of 2 ephemeral members may be lost: an empty one does not vote, and the other alone is no majority"
        }
        _ => return None,
    };
    let message = format!("{members}; no pod may be evicted, so a node with one cannot be drained: use 3, or volumes");
    matches!(desired.storage, Storage::Ephemeral { .. }).then(|| Reason::new("LastCopy", message))
}

/// The kubelet evicts a pod that reaches the limit, and ignores the disruption budget.
fn ephemeral_limit(desired: &Desired) -> Option<Reason> {
    let Storage::Ephemeral { limit: Some(limit) } = &desired.storage else { return None };
    Some(Reason::new(
        "EphemeralLimit",
        format!(
            "the kubelet evicts a member whose data and logs outgrow storage.size ({limit}), whatever the disruption budget says, and its copy is lost; all members grow alike, so all may be evicted at the same time: leave storage.size out, or use volumes"
        ),
    ))
}

/// Under load the kernel would kill the server, on all members at the same time.
fn tight_memory(seen: &Observation, desired: &Desired) -> Option<Reason> {
    let tight = |heap: u64, limit: u64| heap + BESIDE_HEAP_MIB > limit;
    let leaves = |heap: u64, limit: u64| {
        let beside = limit.saturating_sub(heap);
        format!("leaves {beside} MiB beside a heap of {heap} MiB, and under load a server needs {BESIDE_HEAP_MIB}")
    };
    let (heap, limit) = (desired.heap.largest_mib, desired.memory_limit_mib());
    if let Some(limit) = limit.filter(|limit| tight(heap, *limit)) {
        let (leaves, enough) = (leaves(heap, limit), heap + BESIDE_HEAP_MIB);
        return Some(Reason::new(
            "TightMemory",
            format!(
                "a memory limit of {limit} MiB {leaves}: raise resources.limits.memory to {enough}Mi, or the kernel kills it"
            ),
        ));
    }
    // Only the pods show what admission changed. A pod that has to be recreated may come from another spec.
    let newest = seen.set(Pool::Voters).and_then(|set| set.update_revision.as_ref());
    let mut members = seen.pods.values().filter(|pod| newest.is_some() && pod.revision.as_ref() == newest);
    let (name, heap, found) = members.find_map(|pod| {
        let memory = pod.memory.filter(|memory| Some(memory.limit_mib) != limit)?;
        let heap = memory.heap_mib.unwrap_or(heap);
        tight(heap, memory.limit_mib).then_some((&pod.name, heap, memory.limit_mib))
    })?;
    let spec = limit.map_or_else(|| "has none".to_owned(), |limit| format!("says {limit} MiB"));
    let (leaves, enough) = (leaves(heap, found), heap + BESIDE_HEAP_MIB);
    Some(Reason::new(
        "TightMemory",
        format!(
            "pod {name} has a memory limit of {found} MiB, though the spec {spec}: a LimitRange or a webhook sets it. It {leaves}: set resources.limits.memory to {enough}Mi, or the kernel kills it"
        ),
    ))
}
