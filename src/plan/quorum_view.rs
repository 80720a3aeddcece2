//! Who leads, which membership is committed, and who is synced.
//!
//! Invariant: a member counts as synced only if it says so itself, recently, in the leader's epoch and with the
//! leader's membership. Silence means not synced, and nothing more. The leader's word is enough to know that there is a
//! quorum; before a step, every voter has to say it itself.

use super::view::View;
use super::{Reason, Step, mute, strangers};
use crate::model::truth::{Mode, ServerState, Serving};
use crate::model::words::{QUOTE, cut, held};
use crate::model::{Fact, MemberTruth, Membership, NotAMembership, Observation, PodFacts, ServerId};

/// Who leads, and who follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuorumView {
    /// The leader, with a majority of the committed membership behind it.
    pub leader: Option<ServerId>,
    /// The leader's epoch.
    pub epoch: u64,
    /// The membership that the leader has committed.
    pub committed: Option<Membership>,
    /// A member of ours that leads another ensemble, and that membership, if nobody leads this one.
    pub elsewhere: Option<(ServerId, Membership)>,
    /// A member that leads with a membership that cannot be read here, and why, if nobody leads with another one.
    pub unread: Option<(ServerId, NotAMembership)>,
}

impl QuorumView {
    /// Reads it from the members' answers.
    pub fn of(seen: &Observation) -> Self {
        let mut leaders: Vec<(ServerId, &Serving)> = seen
            .members
            .iter()
            .filter_map(|(id, fact)| Some((*id, serving(fact.known()?)?)))
            .filter(|(_, serving)| serving.mode == Mode::Leader)
            .collect();
        // A leader that was cut off believes in itself until `syncLimit` is over. The later epoch is right.
        leaders.sort_by_key(|(_, serving)| std::cmp::Reverse(serving.epoch));
        let mut quorum = Self::default();
        for (leader, serving) in leaders {
            let committed = match Membership::parse(&serving.membership) {
                Ok(committed) => committed,
                Err(error) => {
                    quorum.unread.get_or_insert((leader, error));
                    continue;
                }
            };
            let led = Self {
                leader: Some(leader),
                epoch: serving.epoch,
                committed: Some(committed.clone()),
                ..Self::default()
            };
            if !backed(seen, leader, &led, &committed) || committed.version.0 == 0 {
                continue;
            }
            // A member of ours that leads another ensemble has no quorum of this one.
            if strangers::elsewhere(seen, serving).is_some() {
                quorum.elsewhere.get_or_insert((leader, committed));
                continue;
            }
            return led;
        }
        quorum
    }
}

/// Why a member is not synced with a leader of this epoch; `None` when it is.
pub fn unsynced(seen: &Observation, epoch: u64, id: ServerId) -> Option<String> {
    // It may serve until the end, but will be gone in a moment.
    if seen.pods.get(&id.seat()).is_some_and(|pod| pod.terminating) {
        return trouble(seen, id);
    }
    let truth = match seen.truth(id) {
        Fact::Known(truth) => truth,
        Fact::Unknown(reason) => return Some(trouble(seen, id).unwrap_or(reason)),
    };
    match &truth.server {
        ServerState::Silent { reason } => {
            Some(trouble(seen, id).unwrap_or_else(|| format!("its server is silent ({reason})")))
        }
        ServerState::Waiting { phase, .. } => Some(format!("it is in {phase}")),
        ServerState::Unknown => Some("the operator does not understand what its agent says".to_owned()),
        ServerState::Serving(serving) => match strangers::elsewhere(seen, serving) {
            Some(host) => Some(strangers::joined(seen, id, &host)),
            None if serving.epoch != epoch => {
                Some(format!("it serves in epoch {}, the leader in {epoch}", serving.epoch))
            }
            None => None,
        },
    }
}

/// Why a synced member does not have the committed membership yet; `None` if it has.
pub fn behind(seen: &Observation, quorum: &QuorumView, id: ServerId) -> Option<String> {
    let committed = quorum.committed.as_ref()?;
    let truth = seen.members.get(&id)?.known()?;
    let believed = match Membership::parse(&serving(truth)?.membership) {
        Ok(believed) => believed,
        Err(error) => return Some(format!("what it has for a membership cannot be read: {}", quoted(&error))),
    };
    (believed.version != committed.version)
        .then(|| format!("it has membership {}, the leader {}", believed.version, committed.version))
}

fn quoted(error: &NotAMembership) -> String {
    cut(&error.to_string(), QUOTE)
}

/// Nothing is done while the membership of whoever leads cannot be read: it is not known who may be missing, and a member that
/// starts cannot read it either. One agent's word is not enough for that: it may be the agent that is wrong, and all the others
/// would stay down with it.
pub fn unread(view: &View<'_>) -> Option<Step> {
    view.unread().filter(|_| view.unread_by_others()).map(Step::Refuse)
}

/// Not every voter serves and is synced.
pub fn everybody(view: &View<'_>) -> Option<Step> {
    view.blocker().map(Step::Wait)
}

impl View<'_> {
    /// The first voter that is not synced, and why. `None` only if every voter is synced, and the leader agrees.
    pub fn blocker(&self) -> Option<Reason> {
        let (Some(leader), Some(committed)) = (self.quorum.leader, self.committed()) else {
            return Some(self.no_quorum());
        };
        // A stranger has no agent to ask, so the leader's count has to do.
        if let Some(blocker) = committed.own_voters(&self.seen.names).find_map(|id| self.blocks(id)) {
            return Some(blocker);
        }
        // The leader also counts followers that still receive their snapshot, so its word alone is not enough.
        let (voters, counted) = (committed.voters().count(), counted(self.seen, leader, &self.quorum));
        (counted < voters).then(|| {
            Reason::new(
                "MemberNotSynced",
                format!("waiting for the leader: it counts {counted} of {voters} voters as synced"),
            )
        })
    }

    /// The first voter other than this one that is not synced, and why: for a step that gives up this one.
    pub fn blocker_but(&self, id: ServerId) -> Option<Reason> {
        let Some(committed) = self.committed() else { return Some(self.no_quorum()) };
        let mut others = committed.own_voters(&self.seen.names).filter(|voter| *voter != id);
        others.find_map(|voter| self.blocks(voter)).or_else(|| self.missing_stranger(committed))
    }

    /// Whether the leader misses more voters than the one that is given up, if a stranger may be one of them.
    fn missing_stranger(&self, committed: &Membership) -> Option<Reason> {
        let (id, server) = committed.strangers(&self.seen.names).find(|(_, server)| server.votes())?;
        let voters = committed.voters().count();
        let counted = counted(self.seen, self.quorum.leader?, &self.quorum);
        (counted + 1 < voters).then(|| {
            let host = server.host();
            Reason::new("MemberNotSynced", format!("waiting for the leader: it counts {counted} of {voters} voters as synced, and nobody can ask whether server {id} at {host} is one of them"))
        })
    }

    fn blocks(&self, id: ServerId) -> Option<Reason> {
        let reason = self.member(id).unconfirmed.as_ref()?;
        let pod = self.seen.names.pod(id.seat());
        let hindrance = hindrance(self.seen, [id]);
        Some(Reason::new("MemberNotSynced", format!("waiting for member {id} (pod {pod}): {reason}{hindrance}")))
    }

    /// Why there is no leader: what each member said.
    pub fn no_quorum(&self) -> Reason {
        if let Some(unread) = self.unread() {
            return unread;
        }
        let words = self.seen.manned().into_iter().map(ServerId::from).map(|id| (id, self.silence(id)));
        let members = together(words);
        let members = if members.is_empty() { "there are no pods yet".to_owned() } else { members };
        let hindrance = hindrance(self.seen, self.pods().map(|(id, ..)| id));
        Reason::new("NoQuorum", format!("waiting for a leader with a majority behind it; {members}{hindrance}"))
    }

    /// Somebody leads, and with whom is not known: that is no lost quorum.
    pub fn unread(&self) -> Option<Reason> {
        let (leader, error) = self.quorum.unread.as_ref()?;
        let (pod, quoted) = (self.seen.names.pod(leader.seat()), quoted(error));
        let command = error.command().unwrap_or_else(|| "put that line right with reconfig -file".to_owned());
        let message = if self.unread_by_others() {
            format!(
                "member {leader} (pod {pod}) leads, and its membership cannot be read here: {quoted}; as super user: {command}. Until then nobody joins, leaves or is restarted: whoever starts could not read it either"
            )
        } else {
            format!(
                "according to its agent alone, member {leader} (pod {pod}) leads, with a membership that cannot be read here: {quoted}; no other member that serves in its epoch says so. Until one does, or somebody leads with a membership that can be read, nobody joins or leaves; those that certainly do not run are restarted. If it is so, as super user: {command}"
            )
        };
        Some(Reason::new("MembershipUnread", message))
    }

    /// Whether another member that serves in the epoch of such a leader has a membership that cannot be read either.
    fn unread_by_others(&self) -> bool {
        let Some((leader, _)) = &self.quorum.unread else { return false };
        let serves = |id: ServerId| self.member(id).report.and_then(serving);
        let Some(epoch) = serves(*leader).map(|serving| serving.epoch) else { return false };
        let mut others = self.pods().map(|(id, ..)| id).filter(|id| id != leader).filter_map(serves);
        others.any(|other| other.epoch == epoch && Membership::parse(&other.membership).is_err())
    }

    fn silence(&self, id: ServerId) -> String {
        let member = self.member(id);
        match member.report.and_then(serving) {
            Some(serving) if strangers::elsewhere(self.seen, serving).is_none() => {
                format!("serves in epoch {}", serving.epoch)
            }
            _ => member.unsynced.clone().unwrap_or_default(),
        }
    }

    /// Synced members that have an address, without `except`. Members that have to be restarted are asked only if there
    /// is nobody else: they may know another password than the Secret holds. A leader that accepts no session is never
    /// asked.
    pub fn to_ask(&self, except: Option<ServerId>) -> Vec<ServerId> {
        let hears = |id: ServerId| self.quorum.leader != Some(id) || !mute::mute(self.member(id));
        let synced = self.voters().filter(|id| Some(*id) != except && hears(*id) && self.member(*id).synced());
        let (due, fresh): (Vec<ServerId>, Vec<ServerId>) = synced.partition(|id| self.member(*id).due.is_some());
        let mut asked = if fresh.is_empty() { due } else { fresh };
        asked.retain(|id| self.seen.address(*id).is_some());
        asked
    }
}

/// Who says what. Members that say the same are listed together.
fn together(words: impl Iterator<Item = (ServerId, String)>) -> String {
    let mut said: Vec<(Vec<String>, String)> = Vec::new();
    for (id, words) in words {
        match said.iter_mut().find(|(_, before)| *before == words) {
            Some((ids, _)) => ids.push(id.to_string()),
            None => said.push((vec![id.to_string()], words)),
        }
    }
    let told = said.into_iter().map(|(ids, words)| {
        let member = if ids.len() == 1 { "member" } else { "members" };
        format!("{member} {}: {words}", ids.join(", "))
    });
    told.collect::<Vec<_>>().join("; ")
}

/// Whether a leader has a quorum. With a majority quorum its count is enough, whoever they are.
fn backed(seen: &Observation, leader: ServerId, led: &QuorumView, committed: &Membership) -> bool {
    if committed.votes.by_majority() {
        let any: Vec<ServerId> = committed.voters().take(counted(seen, leader, led)).collect();
        return committed.quorum(|id| any.contains(&id));
    }
    committed.quorum(|id| unsynced(seen, led.epoch, id).is_none())
}

/// How many voters the leader counts as synced, itself included. If it cannot say (`monitor` fails for good with a
/// broken quota), the members that say themselves that they serve in its epoch: none does without following it.
fn counted(seen: &Observation, leader: ServerId, quorum: &QuorumView) -> usize {
    let leads = seen.members.get(&leader).and_then(Fact::known).and_then(serving);
    if let Some(others) = leads.and_then(|serving| serving.synced_voters) {
        return others as usize + 1;
    }
    let voters = quorum.committed.iter().flat_map(Membership::voters);
    voters.filter(|id| unsynced(seen, quorum.epoch, *id).is_none()).count()
}

/// What a member says while it serves.
pub fn serving(truth: &MemberTruth) -> Option<&Serving> {
    match &truth.server {
        ServerState::Serving(serving) => Some(serving),
        ServerState::Silent { .. } | ServerState::Waiting { .. } | ServerState::Unknown => None,
    }
}

/// Why the first waiting member was started without a name that it needs. If that is the cause, it is the cause for the
/// others too.
fn hindrance(seen: &Observation, ids: impl IntoIterator<Item = ServerId>) -> String {
    let waits = |id: &ServerId| {
        let truth = seen.members.get(id).and_then(Fact::known);
        truth.is_some_and(|truth| matches!(truth.server, ServerState::Waiting { .. }))
    };
    let words = ids.into_iter().filter(waits).find_map(|id| {
        let pod = seen.pods.get(&id.seat())?;
        Some(format!("; of pod {}, {}", pod.name, pod.in_spite_of.as_deref()?))
    });
    words.unwrap_or_default()
}

/// What Kubernetes says prevents a member's pod from running: closer to the cause than a silent agent.
fn trouble(seen: &Observation, id: ServerId) -> Option<String> {
    let pod = seen.pods.get(&id.seat())?;
    if pod.terminating {
        return Some(format!("its pod is being deleted{}", lingers(seen, pod).unwrap_or_default()));
    }
    pod.trouble.clone()
}

/// How long after its time a pod may still be there: its kubelet kills what runs then, and says so.
const LATE: u64 = 30;

/// Why a pod that should be gone is still there.
fn lingers(seen: &Observation, pod: &PodFacts) -> Option<String> {
    let ending = pod.ending.as_ref()?;
    let late = seen.now > ending.until.saturating_add(LATE);
    let (namespace, name) = (&seen.names.namespace, &pod.name);
    if !ending.finalizers.is_empty() && (ending.ended || late) {
        return Some(held(&ending.finalizers, namespace, "pod", name));
    }
    let node = pod.node.as_deref().filter(|_| late)?;
    Some(format!(
        ", and node {node} does not say that it has ended: bring the node back, or, if it is off for good, delete it (kubectl delete node {node})"
    ))
}
