//! What is allowed and still unwise.

use super::view::View;
use super::{ConditionStatus, Reason, Verdict, service, version, volume};
use crate::model::desired::Storage;
use crate::model::heap::BESIDE_HEAP_MIB;
use crate::model::{Desired, Observation, Pool, ServerId};

/// All of it in sentences, the first for a reason.
pub fn warning(view: &View<'_>) -> Option<Verdict> {
    let (seen, desired) = (view.seen, view.desired?);
    let advice = desired.advice.iter().map(|sentence| Reason::new("UnwiseSetting", sentence.clone()));
    let said: Vec<Reason> = [
        other_domain(seen),
        volume::warning(view),
        last_copy(desired),
        ephemeral_limit(desired),
        service::warning(view),
        tight_memory(seen, desired),
        two_voters(view).or_else(|| even_voters(desired.replicas)),
    ]
    .into_iter()
    .flatten()
    .chain(version::known_to_lose_data(seen).map(|message| Reason::new("KnownDefect", message)))
    .chain(advice)
    .collect();
    let reason = said.first()?.code;
    let message = said.into_iter().map(|reason| reason.message).collect::<Vec<_>>().join("; ");
    Some(Verdict { name: "Warning", truth: ConditionStatus::True, reason, message })
}

/// Members get names below one domain, and the cluster's is another one.
fn other_domain(seen: &Observation) -> Option<Reason> {
    let (told, searched) = (&seen.names.domain, seen.environment.searched.as_ref()?);
    (told.trim_end_matches('.') != searched).then(|| {
        Reason::new(
            "ClusterDomain",
            format!(
                "members get names below {told}, and the operator's own pod is in a cluster whose DNS domain is {searched}: set the operator's --cluster-domain (chart value clusterDomain={searched}); with a wrong one no new member starts"
            ),
        )
    })
}

/// What two voters mean: of them ZooKeeper needs both, and takes no vote from a server whose database is empty.
const AT_STAKE: &str = "2 voters tolerate no failure, as 1 does, and both must be up; if the volume of one is lost, the other does not serve again, although it has all the data: ask for 3, which tolerate one";

/// What is at stake while two vote: for as long as that is asked for, or on the way between one and three.
fn two_voters(view: &View<'_>) -> Option<Reason> {
    let voters: Vec<ServerId> = view.voters().collect();
    let [one, other] = voters[..] else { return None };
    Some(Reason::new("TwoVoters", format!("members {one} and {other} vote now: {AT_STAKE}")))
}

fn even_voters(voters: u32) -> Option<Reason> {
    let message = match voters {
        2 => AT_STAKE.to_owned(),
        n if n % 2 == 0 => format!(
            "{n} voters tolerate {} failed, as {} do, and every write waits for {} of them: use {} or {}",
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

/// Of two copies one is not enough: `ZooKeeper` ignores the vote of an empty server.
fn last_copy(desired: &Desired) -> Option<Reason> {
    let members = match desired.replicas {
        1 => "a single ephemeral member is the only copy of the data",
        2 => "of 2 ephemeral members none may be lost: an empty one does not vote, and the other alone is no majority",
        _ => return None,
    };
    let message =
        format!("{members}; no pod may be evicted, so that a node with one is not drained: use 3, or volumes");
    matches!(desired.storage, Storage::Ephemeral { .. }).then(|| Reason::new("LastCopy", message))
}

/// The kubelet evicts a pod at the limit, and asks no budget.
fn ephemeral_limit(desired: &Desired) -> Option<Reason> {
    let Storage::Ephemeral { limit: Some(limit) } = &desired.storage else { return None };
    Some(Reason::new(
        "EphemeralLimit",
        format!(
            "a member whose data and logs outgrow storage.size ({limit}) is evicted by its kubelet, whatever the disruption budget says, and its copy goes with it; all members grow alike, so all may be evicted at the same time: leave storage.size out, or use volumes"
        ),
    ))
}

/// Under load the kernel would kill the server, and all members at the same time.
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
    // What admission makes of the pods stands in the pods alone. One that is to be made anew may be of another spec.
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
