//! What is allowed and still unwise.

use super::standing::Standing;
use super::{Reason, Truth, Verdict, service, version, volume};
use crate::model::desired::{BESIDE_HEAP_MIB, Storage};
use crate::model::{Desired, Observation, ServerId};

/// All of it in sentences, the first for a reason.
pub fn warning(seen: &Observation, standing: &Standing) -> Option<Verdict> {
    let desired = seen.desired.as_ref().ok()?;
    let advice = desired.advice.iter().map(|sentence| Reason::new("UnwiseSetting", sentence.clone()));
    let said: Vec<Reason> = [
        volume::warning(seen, standing, desired),
        last_copy(desired),
        ephemeral_limit(desired),
        service::warning(seen, standing),
        tight_memory(desired),
        two_voters(standing).or_else(|| even_voters(desired.replicas)),
    ]
    .into_iter()
    .flatten()
    .chain(version::known_to_lose_data(seen).map(|message| Reason::new("KnownDefect", message)))
    .chain(advice)
    .collect();
    let reason = said.first()?.code;
    let message = said.into_iter().map(|reason| reason.message).collect::<Vec<_>>().join("; ");
    Some(Verdict { name: "Warning", truth: Truth::True, reason, message })
}

/// What two voters mean: of them ZooKeeper needs both, and takes no vote from a server whose database is empty.
const AT_STAKE: &str = "2 voters tolerate no failure, as 1 does, and both must be up; if the volume of one is lost, the other does not serve again, although it has all the data: ask for 3, which tolerate one";

/// What is at stake while two vote: for as long as that is asked for, or on the way between one and three.
fn two_voters(standing: &Standing) -> Option<Reason> {
    let voters: Vec<ServerId> = standing.committed.as_ref()?.voters().collect();
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
fn tight_memory(desired: &Desired) -> Option<Reason> {
    let (heap, limit) = (desired.heap_mib?, desired.memory_limit_mib()?);
    (heap + BESIDE_HEAP_MIB > limit).then(|| {
        Reason::new(
            "TightMemory",
            format!(
                "a memory limit of {limit} MiB leaves {} MiB beside a heap of {heap} MiB, and under load a server needs {BESIDE_HEAP_MIB}: raise resources.limits.memory to {}Mi, or the kernel kills it",
                limit.saturating_sub(heap),
                heap + BESIDE_HEAP_MIB
            ),
        )
    })
}
