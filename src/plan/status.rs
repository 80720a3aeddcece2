//! The status and the conditions. They do not change while the ensemble does not change.

use super::quorum_view::serving;
use super::view::{MemberView, View};
use super::{
    Aside, Held, Purpose, Reason, Step, archive, backups, confirmed, due, failed, hindered, objects, origin, service,
    strangers, version, warning,
};
use crate::api::{Endpoints, EnsembleStatus, MemberRole, MemberState, MemberStatus, MembershipStatus};
use crate::model::membership::CLIENT_PORT;
use crate::model::truth::{Mode, ServerState};
use crate::model::words::{CONDITION, cut, steady};
use crate::model::{MemberTruth, Membership, Observation, Pool, Seat, ServerId};
use crate::render::selector_text;

/// The reason of a step that makes members restart.
const TEMPLATE_CHANGED: &str = "TemplateChanged";

/// What the conditions say while rights are taken away.
pub const GUARDING: &str =
    "taking from everybody the right to write below /zookeeper, and setting the ACL of / as the spec says";

/// The reason of an Event about a write for the archive's sake.
pub const PROVING: &str = "Proving";

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
pub struct UntimedCondition {
    /// Its type.
    pub name: &'static str,
    /// Its status.
    pub status: ConditionStatus,
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
        version: version::oldest(seen),
        replicas: number(seen.pods.len()),
        ready_replicas: number(ready),
        // Of those that vote or are wanted: if three of five voters serve, three are not all, whatever the spec asks
        // for.
        ready: format!("{ready}/{}", voters(view, membership.as_ref()).max(seen.asked)),
        selector: selector_text(&seen.names),
        leader: view.quorum.leader.map(|id| seen.names.pod(id.seat())),
        members: members(view, membership.as_ref()),
        // ZooKeeper has not confirmed a seed.
        membership: membership.as_ref().filter(|membership| membership.version.0 > 0).map(|membership| {
            MembershipStatus { version: membership.version.to_string(), servers: membership.lines() }
        }),
        identity: view.origin().ok().map(|origin| origin.identity.clone()).or_else(|| seen.status.identity.clone()),
        guarded: seen.status.guarded.clone(),
        endpoints: Some(endpoints(seen, membership.as_ref(), wanted)),
        archive: archive::recoverable(view),
        backups: backups::known(view),
    }
}

/// How many vote: in the committed membership, else in the last recorded one.
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
                state: state(view.member(id)),
                version: reported_version(view.member(id)),
                confirmed: membership.is_some_and(|membership| membership.contains(id)),
            }
        })
        .collect()
}

fn role(view: &View<'_>, id: ServerId, votes: bool) -> MemberRole {
    match view.member(id).report.and_then(serving) {
        Some(_) if view.quorum.leader == Some(id) => MemberRole::Leader,
        Some(serving) if serving.mode == Mode::Follower && votes => MemberRole::Follower,
        Some(serving) if serving.mode != Mode::Leader => MemberRole::Learner,
        _ => MemberRole::None,
    }
}

fn state(member: &MemberView<'_>) -> MemberState {
    let Some(pod) = member.pod else { return MemberState::Missing };
    match member.report.map(|truth| &truth.server) {
        Some(ServerState::Serving(_)) if member.synced() => MemberState::Synced,
        Some(ServerState::Serving(_) | ServerState::Waiting { .. }) => MemberState::NotServing,
        Some(ServerState::Silent { .. }) => MemberState::Starting,
        None if pod.ip.is_none() || pod.trouble.is_some() => MemberState::Starting,
        Some(ServerState::Unknown) | None => MemberState::Unknown,
    }
}

fn reported_version(member: &MemberView<'_>) -> Option<String> {
    match &member.report?.server {
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

/// The conditions, without times. While rights are taken away, they name the step that would be taken otherwise; while something is
/// written for the archive, they do so as well at rest: `ContinuousArchiving` says why.
pub fn conditions(view: &View<'_>, step: &Step, aside: &Aside) -> Vec<UntimedCondition> {
    let quietly = matches!(step, Step::Prove(_));
    let step = aside.otherwise.as_ref().filter(|step| quietly || **step != Step::Rest).unwrap_or(step);
    let doing = doing(view, step);
    let mut conditions =
        vec![degraded(view, step, aside), progressing(step, &doing), quorum(view), ready(view, step, &doing)];
    conditions.extend(restart_pending(view, step));
    conditions.extend(archive::archiving(view));
    conditions.extend(backups::conditions(view));
    conditions.extend(hindrances(aside));
    conditions.extend(warning::warning(view));
    for condition in &mut conditions {
        condition.message = cut(&steady(&condition.message), CONDITION);
    }
    conditions
}

/// Objects that others keep from being as they are applied.
fn hindrances(aside: &Aside) -> Option<UntimedCondition> {
    let refused = aside.held.iter().filter(|held| held.refused).map(Held::reason);
    let overruled = aside.held.iter().filter(|held| !held.refused).map(Held::reason);
    let all: Vec<Reason> = refused.chain(aside.unguarded.clone()).chain(overruled).collect();
    let messages: Vec<&str> = all.iter().map(|reason| reason.message.as_str()).collect();
    Some(UntimedCondition {
        name: "Hindered",
        status: ConditionStatus::True,
        reason: all.first()?.code,
        message: messages.join("; "),
    })
}

/// The step as a reason: what is being done, or what prevents it.
fn doing(view: &View<'_>, step: &Step) -> Reason {
    let seen = view.seen;
    let pod = |id: &ServerId| seen.names.pod(id.seat());
    match step {
        Step::Apply(writes) => match objects::template_changes(seen, writes) {
            Some(changes) => {
                let then = restarts(view, step).message;
                Reason::new(TEMPLATE_CHANGED, format!("the members' pods change in {changes}; {then}"))
            }
            None => Reason::new("Applying", "applying the objects"),
        },
        Step::Tell(tell) => {
            Reason::new("Applying", format!("telling the members about membership {}", tell.membership.version))
        }
        Step::Delete(_) => Reason::new("CleaningUp", "deleting what no member uses any more"),
        Step::AddPod(resize) => {
            Reason::new("Growing", format!("starting pod {} for member {}", pod(&resize.id), resize.id))
        }
        Step::RemovePod(resize) => {
            Reason::new("Shrinking", format!("stopping pod {}: member {} has left", pod(&resize.id), resize.id))
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
                        "{taking}, since no node has room for it and other members are to leave; it comes back when a node has room"
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
        Step::Prove(prove) => Reason::new(PROVING, prove.words()),
        Step::Wait(reason) | Step::Refuse(reason) => reason.clone(),
        Step::Rest => Reason::new("Ready", "every voter serves and is synced"),
    }
}

fn progressing(step: &Step, doing: &Reason) -> UntimedCondition {
    let (status, reason, message) = match step {
        Step::Rest => (ConditionStatus::False, "Steady", "there is nothing to do".to_owned()),
        Step::Refuse(_) => (ConditionStatus::False, doing.code, doing.message.clone()),
        _ => (ConditionStatus::True, doing.code, doing.message.clone()),
    };
    UntimedCondition { name: "Progressing", status, reason, message }
}

fn ready(view: &View<'_>, step: &Step, doing: &Reason) -> UntimedCondition {
    let wanted = view.desired.map_or(0, |desired| desired.replicas);
    let complete = view.synced_voters().count() == wanted as usize && view.blocker().is_none();
    // A user who waits for Ready waits for the end of a roll: from the change of the template until no member has to be
    // restarted. Restarts that the update policy holds do not count: that may take a week, and `RestartPending` reports
    // it.
    let settled =
        matches!(step, Step::Rest | Step::Apply(_) | Step::Tell(_) | Step::Delete(_) | Step::Guard(_) | Step::Prove(_));
    // Clients must not be sent to an ensemble that any of them can end.
    let guarded = view.seen.status.guarded.is_some();
    if complete && settled && doing.code != TEMPLATE_CHANGED && guarded && !rolls(view) {
        if !service::open(view) {
            let message = service::warning(view).map(|reason| reason.message);
            let message = message.unwrap_or_else(|| "the kubelets have found no member's pod ready yet".to_owned());
            return UntimedCondition { name: "Ready", status: ConditionStatus::False, reason: "NoEndpoint", message };
        }
        return UntimedCondition {
            name: "Ready",
            status: ConditionStatus::True,
            reason: "Ready",
            message: if wanted == 1 {
                "1 voter serves and is synced".to_owned()
            } else {
                format!("{wanted} voters serve and are synced")
            },
        };
    }
    UntimedCondition {
        name: "Ready",
        status: ConditionStatus::False,
        reason: doing.code,
        message: doing.message.clone(),
    }
}

fn quorum(view: &View<'_>) -> UntimedCondition {
    let seen = view.seen;
    let name = "QuorumAvailable";
    if let (Some(leader), Some(committed)) = (view.quorum.leader, view.committed()) {
        let (synced, voters) = (view.synced_voters().count(), committed.voters().count());
        let message = format!("pod {} leads, {synced} of {voters} voters are synced", seen.names.pod(leader.seat()));
        return UntimedCondition { name, status: ConditionStatus::True, reason: "Quorum", message };
    }
    if let Some(unread) = view.unread() {
        let (status, Reason { code, message }) = (ConditionStatus::Unknown, unread);
        return UntimedCondition { name, status, reason: code, message };
    }
    // Silence does not mean that the quorum is lost: the network between the operator and the pods may be broken. A
    // member that is in another ensemble says nothing about this one.
    let ours = |truth: &MemberTruth| serving(truth).is_none_or(|it| strangers::elsewhere(seen, it).is_none());
    let answered = seen.members.values().any(|fact| fact.known().is_some_and(ours));
    let (status, reason) = if answered || seen.pods.is_empty() {
        (ConditionStatus::False, "NoQuorum")
    } else {
        (ConditionStatus::Unknown, "NoAnswer")
    };
    match strangers::leads_elsewhere(view) {
        Some(foreign) if !answered => UntimedCondition { name, status, reason: foreign.code, message: foreign.message },
        _ => UntimedCondition { name, status, reason, message: view.no_quorum().message },
    }
}

fn degraded(view: &View<'_>, step: &Step, aside: &Aside) -> UntimedCondition {
    let condition = |status, reason, message| UntimedCondition { name: "Degraded", status, reason, message };
    if let Step::Refuse(reason) = step {
        return condition(ConditionStatus::True, reason.code, reason.message.clone());
    }
    if let Some(failed) = failed::failed(view) {
        return condition(ConditionStatus::True, failed.code, failed.message);
    }
    if let Some(strangers) = strangers::named(view) {
        return condition(ConditionStatus::True, strangers.code, strangers.message);
    }
    let born = born(view);
    let wrong = if born { view.blocker() } else { origin::stillborn(view) };
    match wrong.or_else(|| hindered::lacking(&aside.held)).or_else(|| aside.unguarded.clone()) {
        Some(wrong) => condition(ConditionStatus::True, wrong.code, wrong.message),
        None if born => condition(ConditionStatus::False, "AsExpected", "nothing is wrong".to_owned()),
        None => condition(ConditionStatus::False, "AsExpected", "the ensemble is being born".to_owned()),
    }
}

/// Whether the ensemble had a quorum before. One that was created again on its claims did, whether or not a membership
/// is on record.
fn born(view: &View<'_>) -> bool {
    let taken_up = || view.origin().is_ok_and(|origin| !origin.beginning.is_birth());
    view.committed().is_some() || view.seen.noted_membership().is_some() || taken_up()
}

/// Whether members have to be restarted now, or whether that is not known yet.
fn rolls(view: &View<'_>) -> bool {
    let unknown = view.seen.set(Pool::Voters).is_none_or(|set| set.update_revision.is_none());
    let by_name = || view.pods().any(|(.., pod)| pod.request.is_some());
    unknown || (due::count(view) > 0 && due::held(view).is_none()) || by_name()
}

/// What the restarts wait for, in a sentence about the members.
fn restarts(view: &View<'_>, step: &Step) -> Reason {
    let unborn = !born(view);
    let refused = || match step {
        Step::Refuse(reason) => Some(reason.clone()),
        _ => None,
    };
    if let Some(held) = due::held(view).or_else(refused).or_else(|| failed::failed(view).filter(|_| !unborn)) {
        return held;
    }
    let deadline = view.desired.map_or(0, |desired| desired.deadline);
    match view.blocker() {
        // Nobody serves yet, so a restart does not wait for the other voters.
        Some(_) if unborn => Reason::new(
            "Founding",
            format!(
                "before the birth, a member is restarted at once if it does not run, or if it was started with other settings than its pod has now and makes no progress; one that only waits is restarted when it has not served for {deadline} s (updatePolicy.deadlineSeconds), or at once when somebody asks for it: kubectl -n {} annotate pod POD menagerie.dev/restart=now",
                view.seen.names.namespace
            ),
        ),
        Some(blocker) => Reason::new(
            blocker.code,
            format!("members that serve are not restarted before every voter serves: {}", blocker.message),
        ),
        None => match step {
            // Something else comes before them.
            Step::Wait(reason) => reason.clone(),
            _ => Reason::new("InTurn", "they are restarted one at a time, the leader last"),
        },
    }
}

/// Pods that have to be recreated, and what they wait for.
fn restart_pending(view: &View<'_>, step: &Step) -> Option<UntimedCondition> {
    let due = view.pods().filter_map(|(_, member, pod)| Some(format!("{} ({})", pod.name, member.due.as_ref()?)));
    let due: Vec<String> = due.collect();
    let pending = restarts(view, step);
    (!due.is_empty()).then(|| UntimedCondition {
        name: "RestartPending",
        status: ConditionStatus::True,
        reason: pending.code,
        message: format!("to be restarted: {}; {}", due.join(", "), pending.message),
    })
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Why the members may refuse the super user. They do not say why, but the spec shows what is possible.
pub fn denied(seen: &Observation) -> String {
    let config = seen.desired.as_ref().map(|desired| &desired.config);
    let suspects: Vec<&str> =
        config.iter().flat_map(|config| config.keys()).map(String::as_str).filter(authenticates).collect();
    // With two voters neither can be restarted without leaving the membership, which needs the super user.
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
            "{said}: {password}, or with settings that accept no digest (SASL, another digest algorithm, a provider that is switched off)"
        );
    }
    format!(
        "{said}: spec.config sets {}, which may keep the servers from accepting a digest: take that back; or {password}",
        suspects.join(", ")
    )
}

/// Whether a key of `zoo.cfg` affects authentication.
fn authenticates(key: &&str) -> bool {
    let key = key.to_lowercase();
    ["auth", "sasl", "digest", "kerberos"].iter().any(|word| key.contains(word))
}

/// What the conditions say if a step was tried and refused by others, for a reason that only a change can solve.
pub fn refused(conditions: &mut [UntimedCondition], reason: &'static str, message: &str) {
    let message = cut(&steady(message), CONDITION);
    for condition in conditions {
        let status = match condition.name {
            "Degraded" => ConditionStatus::True,
            "Ready" | "Progressing" => ConditionStatus::False,
            _ => continue,
        };
        *condition = UntimedCondition { name: condition.name, status, reason, message: message.clone() };
    }
}
