//! How the ensemble stands: who leads, which membership is committed, who is synced.
//!
//! Invariant: a member counts as synced only on its own recent word, in the leader's epoch, with the leader's
//! membership. Silence counts as not synced, and as nothing else. A leader's word is enough to say that there is a
//! quorum; for a step every voter has to say so itself.

use super::view::View;
use super::{Reason, Step, mute, strangers};
use crate::model::truth::{Mode, ServerState, Serving};
use crate::model::{Fact, MemberTruth, Membership, Observation, ServerId};

/// How the ensemble stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuorumView {
    /// Who leads, with a majority of the committed membership behind it.
    pub leader: Option<ServerId>,
    /// The leader's epoch.
    pub epoch: u64,
    /// The membership that the leader has committed.
    pub committed: Option<Membership>,
    /// One of ours that leads another ensemble, with its membership, where nobody leads this one.
    pub elsewhere: Option<(ServerId, Membership)>,
}

impl QuorumView {
    /// Reads it from the members' truths.
    pub fn of(seen: &Observation) -> Self {
        let mut leaders: Vec<(ServerId, &Serving)> = seen
            .members
            .iter()
            .filter_map(|(id, fact)| Some((*id, serving(fact.known()?)?)))
            .filter(|(_, serving)| serving.mode == Mode::Leader)
            .collect();
        // A leader that was cut off believes in itself until `syncLimit` runs out. The later epoch is the true one.
        leaders.sort_by_key(|(_, serving)| std::cmp::Reverse(serving.epoch));
        let mut quorum = Self::default();
        for (leader, serving) in leaders {
            let Ok(committed) = Membership::parse(&serving.membership) else { continue };
            let led = Self {
                leader: Some(leader),
                epoch: serving.epoch,
                committed: Some(committed.clone()),
                elsewhere: None,
            };
            if !backed(seen, leader, &led, &committed) || committed.version.0 == 0 {
                continue;
            }
            // One of ours that leads another ensemble has no quorum of this one behind it.
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
    // It may serve to its last moment, and is as good as gone.
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
        ServerState::Unknown => Some("what its agent says is not understood".to_owned()),
        ServerState::Serving(serving) => match strangers::elsewhere(seen, serving) {
            Some(host) => Some(strangers::joined(seen, id, &host)),
            None if serving.epoch != epoch => {
                Some(format!("it serves in epoch {}, the leader in {epoch}", serving.epoch))
            }
            None => None,
        },
    }
}

/// Why a member that is synced has not taken part in the committed membership yet; `None` when it has.
pub fn behind(seen: &Observation, quorum: &QuorumView, id: ServerId) -> Option<String> {
    let committed = quorum.committed.as_ref()?;
    let truth = seen.members.get(&id)?.known()?;
    let believed = Membership::parse(&serving(truth)?.membership).ok()?;
    (believed.version != committed.version)
        .then(|| format!("it has membership {}, the leader {}", believed.version, committed.version))
}

/// Not every voter serves and is synced.
pub fn everybody(view: &View<'_>) -> Option<Step> {
    view.blocker().map(Step::Wait)
}

impl View<'_> {
    /// The first voter that is not synced, and why. `None` only when every voter is, and the leader agrees.
    pub fn blocker(&self) -> Option<Reason> {
        let (Some(leader), Some(committed)) = (self.quorum.leader, self.committed()) else {
            return Some(self.no_quorum());
        };
        // A stranger has no agent that could be asked: of it the leader's count has to do.
        if let Some(blocker) = committed.own_voters(&self.seen.names).find_map(|id| self.blocks(id)) {
            return Some(blocker);
        }
        // The leader also counts followers that still receive their snapshot, so its word alone would not be enough.
        let (voters, counted) = (committed.voters().count(), counted(self.seen, leader, &self.quorum));
        (counted < voters).then(|| {
            Reason::new(
                "MemberNotSynced",
                format!("waiting for the leader: it counts {counted} of {voters} voters as synced"),
            )
        })
    }

    /// The first voter that is not synced, this one not counted, and why: when it is given up itself.
    pub fn blocker_but(&self, id: ServerId) -> Option<Reason> {
        let Some(committed) = self.committed() else { return Some(self.no_quorum()) };
        let mut others = committed.own_voters(&self.seen.names).filter(|voter| *voter != id);
        others.find_map(|voter| self.blocks(voter)).or_else(|| self.missing_stranger(committed))
    }

    /// Whether the leader misses more than the one that is given up, where a stranger may be among them.
    fn missing_stranger(&self, committed: &Membership) -> Option<Reason> {
        let (id, server) = committed.strangers(&self.seen.names).find(|(_, server)| server.votes())?;
        let voters = committed.voters().count();
        let counted = counted(self.seen, self.quorum.leader?, &self.quorum);
        (counted + 1 < voters).then(|| {
            let host = server.host();
            Reason::new("MemberNotSynced", format!("waiting for the leader: it counts {counted} of {voters} voters as synced, and whether server {id} at {host} is among them cannot be asked"))
        })
    }

    fn blocks(&self, id: ServerId) -> Option<Reason> {
        let reason = self.row(id).unconfirmed.as_ref()?;
        let pod = self.seen.names.pod(id.seat());
        let hindrance = hindrance(self.seen, [id]);
        Some(Reason::new("MemberNotSynced", format!("waiting for member {id} (pod {pod}): {reason}{hindrance}")))
    }

    /// Nobody leads: who has said what.
    pub fn no_quorum(&self) -> Reason {
        let words = self.seen.manned().into_iter().map(ServerId::from).map(|id| (id, self.silence(id)));
        let members = together(words);
        let members = if members.is_empty() { "there are no pods yet".to_owned() } else { members };
        let hindrance = hindrance(self.seen, self.pods().map(|(id, ..)| id));
        Reason::new("NoQuorum", format!("waiting for a leader with a majority behind it; {members}{hindrance}"))
    }

    fn silence(&self, id: ServerId) -> String {
        let row = self.row(id);
        match row.report.and_then(serving) {
            Some(serving) if strangers::elsewhere(self.seen, serving).is_none() => {
                format!("serves in epoch {}", serving.epoch)
            }
            _ => row.unsynced.clone().unwrap_or_default(),
        }
    }

    /// Members that serve with the leader and have an address, `except` not among them. Those that have to be restarted are asked
    /// only when there is nobody else: they may know another password than the Secret holds by now. A leader that takes no
    /// session is never asked.
    pub fn to_ask(&self, except: Option<ServerId>) -> Vec<ServerId> {
        let hears = |id: ServerId| self.quorum.leader != Some(id) || !mute::mute(self.row(id));
        let synced = self.voters().filter(|id| Some(*id) != except && hears(*id) && self.row(*id).synced());
        let (due, fresh): (Vec<ServerId>, Vec<ServerId>) = synced.partition(|id| self.row(*id).due.is_some());
        let mut asked = if fresh.is_empty() { due } else { fresh };
        asked.retain(|id| self.seen.address(*id).is_some());
        asked
    }
}

/// Who says what; those of the same words together, where the first of them stands.
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

/// Whether a leader has a quorum behind it. Where that goes by majority its count is enough, and they may be any.
fn backed(seen: &Observation, leader: ServerId, led: &QuorumView, committed: &Membership) -> bool {
    if committed.votes.by_majority() {
        let any: Vec<ServerId> = committed.voters().take(counted(seen, leader, led)).collect();
        return committed.quorum(|id| any.contains(&id));
    }
    committed.quorum(|id| unsynced(seen, led.epoch, id).is_none())
}

/// How many voters the leader counts as synced, itself among them. Where it cannot say (`monitor` fails for good with a
/// broken quota), those that say themselves that they serve in its epoch: none does without following it.
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

/// What the first of these that waits was started in spite of. Where it is the reason, it is that of the others too.
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

/// What Kubernetes says keeps a member's pod from running: nearer to the cause than the silence of its agent.
fn trouble(seen: &Observation, id: ServerId) -> Option<String> {
    let pod = seen.pods.get(&id.seat())?;
    if pod.terminating {
        return Some("its pod is being deleted".to_owned());
    }
    pod.trouble.clone()
}
