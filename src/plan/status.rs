//! What is said about the ensemble. Nothing here changes while the ensemble stands still.

use super::quorum_view::serving;
use super::view::{Row, View};
use super::{
    Aside, Held, Purpose, Reason, Step, confirmed, due, failed, hindered, objects, origin, service, strangers, warning,
};
use crate::api::{Endpoints, EnsembleStatus, MemberRole, MemberState, MemberStatus, MembershipStatus};
use crate::model::membership::CLIENT_PORT;
use crate::model::truth::{Mode, ServerState};
use crate::model::words::{CONDITION, cut, steady};
use crate::model::{MemberTruth, Membership, Observation, Pool, Seat, ServerId};
use crate::render::selector_text;

/// The reason of a step that will make members restart.
const TEMPLATE_CHANGED: &str = "TemplateChanged";

/// What is done when rights are taken away.
pub const GUARDING: &str =
    "taking from everybody the right to write below /zookeeper, and setting the ACL of / as the spec says";

/// True, false, or not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionStatus {
    /// It is so.
    True,
    /// It is not so.
    False,
    /// Nobody who could tell has answered.
    Unknown,
}

impl ConditionStatus {
    /// As Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// A condition without its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Its type.
    pub name: &'static str,
    /// Its status.
    pub truth: ConditionStatus,
    /// One CamelCase word.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
}

/// The status, without conditions.
pub fn status(view: &View<'_>) -> EnsembleStatus {
    let seen = view.seen;
    let membership = confirmed(view);
    let wanted = view.desired.map_or(0, |desired| desired.replicas);
    let ready = view.synced_voters().count();
    EnsembleStatus {
        observed_generation: Some(seen.generation),
        conditions: Vec::new(),
        replicas: number(seen.pods.len()),
        ready_replicas: number(ready),
        // Of those that vote or are asked for: with five voters three of which serve, three are not all, whatever is wanted.
        ready: format!("{ready}/{}", voters(view, membership.as_ref()).max(seen.asked)),
        selector: selector_text(&seen.names),
        leader: view.quorum.leader.map(|id| seen.names.pod(id.seat())),
        members: members(view, membership.as_ref()),
        // A seed is nothing that ZooKeeper has confirmed.
        membership: membership.as_ref().filter(|membership| membership.version.0 > 0).map(|membership| {
            MembershipStatus { version: membership.version.to_string(), servers: membership.lines() }
        }),
        identity: view.origin().ok().map(|origin| origin.identity.clone()).or_else(|| seen.status.identity.clone()),
        guarded: seen.status.guarded.clone(),
        endpoints: Some(endpoints(seen, membership.as_ref(), wanted)),
    }
}

/// How many vote: by the committed membership, else by the last that was noted.
fn voters(view: &View<'_>, membership: Option<&Membership>) -> u32 {
    let membership = view.committed().or(membership.filter(|membership| membership.version.0 > 0));
    membership.map_or(0, |membership| u32::try_from(membership.voters().count()).unwrap_or(u32::MAX))
}

fn members(view: &View<'_>, membership: Option<&Membership>) -> Vec<MemberStatus> {
    let seen = view.seen;
    let mut ids: Vec<ServerId> = view.pods().map(|(id, ..)| id).collect();
    let strangers: Vec<ServerId> =
        membership.iter().flat_map(|it| it.strangers(&seen.names).map(|(id, _)| id)).collect();
    let members = membership.into_iter().flat_map(|membership| membership.servers.keys().copied());
    ids.extend(members.filter(|id| !strangers.contains(id)));
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter()
        .map(|id| {
            let votes = membership.is_some_and(|membership| membership.voters().any(|voter| voter == id));
            MemberStatus {
                id: i32::try_from(id.0).unwrap_or(i32::MAX),
                pod: seen.names.pod(id.seat()),
                role: role(view, id, votes),
                state: state(view.row(id)),
                version: version(view.row(id)),
                confirmed: membership.is_some_and(|membership| membership.contains(id)),
            }
        })
        .collect()
}

fn role(view: &View<'_>, id: ServerId, votes: bool) -> MemberRole {
    match view.row(id).report.and_then(serving) {
        Some(_) if view.quorum.leader == Some(id) => MemberRole::Leader,
        Some(serving) if serving.mode == Mode::Follower && votes => MemberRole::Follower,
        Some(serving) if serving.mode != Mode::Leader => MemberRole::Learner,
        _ => MemberRole::None,
    }
}

fn state(row: &Row<'_>) -> MemberState {
    let Some(pod) = row.pod else { return MemberState::Missing };
    match row.report.map(|truth| &truth.server) {
        Some(ServerState::Serving(_)) if row.synced() => MemberState::Synced,
        Some(ServerState::Serving(_) | ServerState::Waiting { .. }) => MemberState::NotServing,
        Some(ServerState::Silent { .. }) => MemberState::Starting,
        None if pod.ip.is_none() || pod.trouble.is_some() => MemberState::Starting,
        Some(ServerState::Unknown) | None => MemberState::Unknown,
    }
}

fn version(row: &Row<'_>) -> Option<String> {
    match &row.report?.server {
        ServerState::Serving(serving) => Some(serving.version.clone()),
        ServerState::Waiting { version, .. } => version.clone(),
        ServerState::Silent { .. } | ServerState::Unknown => None,
    }
}

fn endpoints(seen: &Observation, membership: Option<&Membership>, wanted: u32) -> Endpoints {
    let mut ids: Vec<ServerId> = membership.into_iter().flat_map(|it| it.own_voters(&seen.names)).collect();
    if ids.is_empty() {
        ids = (1..=wanted).map(ServerId).collect();
    }
    let members: Vec<String> =
        ids.iter().map(|id| format!("{}:{CLIENT_PORT}", seen.names.dns(&seen.names.pod(id.seat())))).collect();
    Endpoints { client: seen.names.client_endpoint(), connection_string: members.join(",") }
}

/// The conditions, without times. While rights are taken away they say what there would be to do otherwise.
pub fn conditions(view: &View<'_>, step: &Step, aside: &Aside) -> Vec<Verdict> {
    let step = aside.otherwise.as_ref().filter(|step| **step != Step::Rest).unwrap_or(step);
    let doing = doing(view, step);
    let mut verdicts =
        vec![degraded(view, step, aside), progressing(step, &doing), quorum(view), ready(view, step, &doing)];
    verdicts.extend(restart_pending(view));
    verdicts.extend(hindrances(aside));
    verdicts.extend(warning::warning(view));
    for verdict in &mut verdicts {
        verdict.message = cut(&steady(&verdict.message), CONDITION);
    }
    verdicts
}

/// What others keep from being as it is applied.
fn hindrances(aside: &Aside) -> Option<Verdict> {
    let refused = aside.held.iter().filter(|held| held.refused).map(Held::reason);
    let overruled = aside.held.iter().filter(|held| !held.refused).map(Held::reason);
    let all: Vec<Reason> = refused.chain(aside.unguarded.clone()).chain(overruled).collect();
    let messages: Vec<&str> = all.iter().map(|reason| reason.message.as_str()).collect();
    Some(Verdict {
        name: "Hindered",
        truth: ConditionStatus::True,
        reason: all.first()?.code,
        message: messages.join("; "),
    })
}

/// The step as a reason: what is being done, or what keeps it from being done.
fn doing(view: &View<'_>, step: &Step) -> Reason {
    let seen = view.seen;
    let pod = |id: &ServerId| seen.names.pod(id.seat());
    match step {
        Step::Apply(writes) => match objects::template_changes(seen, writes) {
            Some(changes) => {
                let then = restarts(view).message;
                Reason::new(TEMPLATE_CHANGED, format!("the members' pods change in {changes}; {then}"))
            }
            None => Reason::new("Applying", "bringing the objects to what they should be"),
        },
        Step::Tell(tell) => Reason::new("Applying", format!("telling the members of membership {}", tell.version)),
        Step::Delete(_) => Reason::new("CleaningUp", "deleting what no member uses any more"),
        Step::AddPod(resize) => {
            Reason::new("Growing", format!("starting pod {} for member {}", pod(&resize.id), resize.id))
        }
        Step::RemovePod(resize) => {
            Reason::new("Shrinking", format!("stopping pod {}, member {} has left", pod(&resize.id), resize.id))
        }
        Step::Join { id, .. } => {
            Reason::new("Growing", format!("adding member {id} (pod {}) to the membership", pod(id)))
        }
        Step::Leave { id, why, .. } => {
            let taking = format!("taking member {id} (pod {}) out of the membership", pod(id));
            match why {
                Purpose::Shrink => Reason::new("Shrinking", taking),
                Purpose::Unplaced => Reason::new(
                    "Shrinking",
                    format!(
                        "{taking}, since no node is found for it and others are to go; it comes back when it has one"
                    ),
                ),
                Purpose::HandOver => {
                    Reason::new("HandingOver", format!("{taking} so that another leads; it comes back"))
                }
                Purpose::Replace => {
                    Reason::new("Replacing", format!("{taking} to give it a new volume; it comes back"))
                }
                Purpose::Restart => Reason::new(
                    "Restarting",
                    format!("{taking} to restart it without losing the quorum; it comes back"),
                ),
            }
        }
        Step::ReplaceVolume(replacement) => Reason::new(
            "Replacing",
            format!("deleting claim {} of member {}: {}", replacement.claim.key.name, replacement.id, replacement.why),
        ),
        Step::Restart(restart) => {
            Reason::new("Restarting", format!("restarting pod {}: {}", pod(&restart.id), restart.why))
        }
        Step::Guard(_) => Reason::new("Guarding", GUARDING),
        Step::Wait(reason) | Step::Refuse(reason) => reason.clone(),
        Step::Rest => Reason::new("Ready", "every voter serves and is synced"),
    }
}

fn progressing(step: &Step, doing: &Reason) -> Verdict {
    let (truth, reason, message) = match step {
        Step::Rest => (ConditionStatus::False, "Steady", "there is nothing to do".to_owned()),
        Step::Refuse(_) => (ConditionStatus::False, doing.code, doing.message.clone()),
        _ => (ConditionStatus::True, doing.code, doing.message.clone()),
    };
    Verdict { name: "Progressing", truth, reason, message }
}

fn ready(view: &View<'_>, step: &Step, doing: &Reason) -> Verdict {
    let wanted = view.desired.map_or(0, |desired| desired.replicas);
    let complete = view.synced_voters().count() == wanted as usize && view.blocker().is_none();
    // Who waits for Ready waits for the end of a roll: from the change of the template until no member is due to be
    // restarted. What the update policy holds is not waited for: it may be held for a week, and `RestartPending` says so.
    let settled = matches!(step, Step::Rest | Step::Apply(_) | Step::Tell(_) | Step::Delete(_) | Step::Guard(_));
    // Nobody is sent to an ensemble that any client can end.
    let guarded = view.seen.status.guarded.is_some();
    if complete && settled && doing.code != TEMPLATE_CHANGED && guarded && !rolls(view) {
        if !service::open(view) {
            let message = service::warning(view).map(|reason| reason.message);
            let message = message.unwrap_or_else(|| "the kubelets have found no member's pod ready yet".to_owned());
            return Verdict { name: "Ready", truth: ConditionStatus::False, reason: "NoEndpoint", message };
        }
        return Verdict {
            name: "Ready",
            truth: ConditionStatus::True,
            reason: "Ready",
            message: format!("{wanted} voters serve and are synced"),
        };
    }
    Verdict { name: "Ready", truth: ConditionStatus::False, reason: doing.code, message: doing.message.clone() }
}

fn quorum(view: &View<'_>) -> Verdict {
    let seen = view.seen;
    let name = "QuorumAvailable";
    if let (Some(leader), Some(committed)) = (view.quorum.leader, view.committed()) {
        let (synced, voters) = (view.synced_voters().count(), committed.voters().count());
        let message = format!("pod {} leads, {synced} of {voters} voters are synced", seen.names.pod(leader.seat()));
        return Verdict { name, truth: ConditionStatus::True, reason: "Quorum", message };
    }
    // Silence is not a lost quorum: the network between here and the pods may be what is broken. Nor has one that is another
    // ensemble's said anything about this one.
    let ours = |truth: &MemberTruth| serving(truth).is_none_or(|it| strangers::elsewhere(seen, it).is_none());
    let answered = seen.members.values().any(|fact| fact.known().is_some_and(ours));
    let (truth, reason) = if answered || seen.pods.is_empty() {
        (ConditionStatus::False, "NoQuorum")
    } else {
        (ConditionStatus::Unknown, "NoAnswer")
    };
    match strangers::leads_elsewhere(view) {
        Some(foreign) if !answered => Verdict { name, truth, reason: foreign.code, message: foreign.message },
        _ => Verdict { name, truth, reason, message: view.no_quorum().message },
    }
}

fn degraded(view: &View<'_>, step: &Step, aside: &Aside) -> Verdict {
    let verdict = |truth, reason, message| Verdict { name: "Degraded", truth, reason, message };
    if let Step::Refuse(reason) = step {
        return verdict(ConditionStatus::True, reason.code, reason.message.clone());
    }
    if let Some(failed) = failed::failed(view) {
        return verdict(ConditionStatus::True, failed.code, failed.message);
    }
    if let Some(strangers) = strangers::named(view) {
        return verdict(ConditionStatus::True, strangers.code, strangers.message);
    }
    let born = view.committed().is_some() || view.seen.noted_membership().is_some();
    let wrong = if born { view.blocker() } else { origin::stillborn(view) };
    match wrong.or_else(|| hindered::lacking(&aside.held)).or_else(|| aside.unguarded.clone()) {
        Some(wrong) => verdict(ConditionStatus::True, wrong.code, wrong.message),
        None if born => verdict(ConditionStatus::False, "AsExpected", "nothing is wrong".to_owned()),
        None => verdict(ConditionStatus::False, "AsExpected", "the ensemble is being born".to_owned()),
    }
}

/// Whether members are to be restarted now, or that is not known yet.
fn rolls(view: &View<'_>) -> bool {
    let unknown = view.seen.set(Pool::Voters).is_none_or(|set| set.update_revision.is_none());
    let by_name = || view.pods().any(|(.., pod)| pod.asked.is_some());
    unknown || (due::count(view) > 0 && due::held(view).is_none()) || by_name()
}

/// What restarts wait for, as a sentence about pods.
fn restarts(view: &View<'_>) -> Reason {
    let unborn = view.committed().is_none() && view.seen.noted_membership().is_none();
    if let Some(held) = due::held(view).or_else(|| failed::failed(view).filter(|_| !unborn)) {
        return held;
    }
    let deadline = view.desired.map_or(0, |desired| desired.deadline);
    match view.blocker() {
        // Nobody serves yet: what is waited for is none of the others.
        Some(_) if unborn => Reason::new(
            "Founding",
            format!(
                "before the birth, one that does not run or was started with something else than its pod has now and stands still is restarted at once, and one that only waits once it has not served for {deadline} s (updatePolicy.deadlineSeconds), or at once when somebody asks for it: kubectl -n {} annotate pod POD menagerie.dev/restart=now",
                view.seen.names.namespace
            ),
        ),
        Some(blocker) => Reason::new(
            blocker.code,
            format!("those that serve are not restarted before every voter does: {}", blocker.message),
        ),
        None => Reason::new("InTurn", "they are restarted one at a time, the leader last"),
    }
}

/// Pods that have to be made anew, and what they wait for.
fn restart_pending(view: &View<'_>) -> Option<Verdict> {
    let due = view.pods().filter_map(|(_, row, pod)| Some(format!("{} ({})", pod.name, row.due.as_ref()?)));
    let due: Vec<String> = due.collect();
    let pending = restarts(view);
    (!due.is_empty()).then(|| Verdict {
        name: "RestartPending",
        truth: ConditionStatus::True,
        reason: pending.code,
        message: format!("to be restarted: {}; {}", due.join(", "), pending.message),
    })
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Why the members may not let the super user in. Which it is they do not say: the spec tells what is possible.
pub fn denied(seen: &Observation) -> String {
    let config = seen.desired.as_ref().map(|desired| &desired.config);
    let suspects: Vec<&str> =
        config.iter().flat_map(|config| config.keys()).map(String::as_str).filter(authenticates).collect();
    // Of two neither can be spared without leaving the membership, which takes the super user.
    let two = seen.noted_membership().is_some_and(|membership| membership.voters().count() == 2);
    let by_hand = if two {
        format!(
            "; of two voters one has to be restarted by hand, which costs the quorum until it is back: kubectl -n {} annotate pod {} menagerie.dev/restart=now",
            seen.names.namespace,
            seen.names.pod(Seat::voter(0))
        )
    } else {
        String::new()
    };
    let password = format!(
        "they were started with another password than the Secret {} holds now (those that know the old one are restarted in turn{by_hand})",
        seen.names.super_secret()
    );
    let said = "the members refuse the super user";
    if suspects.is_empty() {
        return format!(
            "{said}: {password}, or with settings under which a digest proves nobody (SASL, another digest algorithm, a provider that is switched off)"
        );
    }
    format!(
        "{said}: spec.config sets {}, under which a digest may prove nobody: take that back; or {password}",
        suspects.join(", ")
    )
}

/// Whether a key of `zoo.cfg` has a say in who is who.
fn authenticates(key: &&str) -> bool {
    let key = key.to_lowercase();
    ["auth", "sasl", "digest", "kerberos"].iter().any(|word| key.contains(word))
}

/// What the conditions say when a step was tried and refused from outside, for a reason that only a change can mend.
pub fn refused(conditions: &mut [Verdict], reason: &'static str, message: &str) {
    let message = cut(&steady(message), CONDITION);
    for verdict in conditions {
        let truth = match verdict.name {
            "Degraded" => ConditionStatus::True,
            "Ready" | "Progressing" => ConditionStatus::False,
            _ => continue,
        };
        *verdict = Verdict { name: verdict.name, truth, reason, message: message.clone() };
    }
}
