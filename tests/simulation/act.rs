//! What becomes of a step's operations. Between any two of them the operator can die.

use menagerie::model::charter::CHARTER_KEY;
use menagerie::model::observed::Kind;
use menagerie::model::{Change, Charter, ConfigVersion, ServerId};
use menagerie::plan::{Expected, Operation, Resize, Target, Write};
use menagerie::render::Rendered;

use super::disk::What;
use super::invariants::Wrong;
use super::kube::{Conflict, resolves};
use super::membership::{Config, Ids};
use super::operator::Pass;
use super::server::Server;
use super::sight::pod_at;
use super::world::World;
use super::zab::ReconfigOutcome;

/// How a operation ends, as far as the network is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wire {
    /// Done and answered.
    Fine,
    /// Done, and the answer was lost.
    AnswerLost,
    /// It never arrived.
    Unsent,
    /// A proposal that nobody has acknowledged yet.
    Halfway,
}

impl World {
    /// Carries out one operation; whether the next one follows.
    pub fn carry_out(&mut self, operation: &Operation, pass: &Pass, wire: Wire) -> bool {
        if wire == Wire::Unsent {
            self.tell(|| format!("a request of {} ({}) never arrives", pass.name(), describe(operation)));
            return false;
        }
        let outcome = match operation {
            // Of ACLs nothing in this world depends: it is the status alone that is told.
            Operation::LookAgain | Operation::Guard(_) => Ok(()),
            Operation::Write(write) => self.apply(write, pass),
            Operation::Delete(target) => self.delete(target, pass),
            Operation::Resize(resize) => self.resize(resize, pass),
            Operation::Confirm { expected, via } => self
                .quorum_read(via, pass)
                .and_then(|config| expected.met(&config.membership(), &pass.sight.resource.spec.names())),
            Operation::Reconfig { change, via } => {
                let from = (!pass.thought.unfenced).then_some(change.from.version);
                self.change(change, from, via, (pass, wire))
            }
        };
        match &outcome {
            Ok(()) => self.tell(|| format!("{}: {}", pass.name(), describe(operation))),
            Err(reason) => self.tell(|| format!("{}: {}: refused: {reason}", pass.name(), describe(operation))),
        }
        outcome.is_ok() && wire == Wire::Fine
    }

    fn apply(&mut self, write: &Write, pass: &Pass) -> Result<(), String> {
        self.admits(write.object(), pass)?;
        let owner = pass.sight.resource.uid;
        let outcome = match write {
            Write::CreateSecret { object, .. } => self.kube.create(&object.key, &object.json, Some(owner)),
            Write::Apply { object, uid } => {
                let mut json = object.json.clone();
                if let Some(uid) = uid {
                    json["metadata"]["uid"] = uid.as_str().into();
                }
                let foreign = self.kube.objects.get(&object.key).is_some_and(|found| found.owner.is_none());
                let before = self.kube.replicas();
                let outcome = self.kube.apply(&object.key, &json, owner);
                if foreign && outcome.is_ok() {
                    let (kind, name) = (object.key.kind.as_str(), object.key.name.clone());
                    self.wrong(Wrong::Foreign(format!("{kind} {name} of somebody else is overwritten")));
                }
                if outcome.is_ok() {
                    self.judge_charter(object);
                }
                self.resized(before, pass);
                outcome
            }
        };
        outcome.map_err(|Conflict(reason)| reason)?;
        self.note(write, pass);
        Ok(())
    }

    /// What members start from is a membership of this ensemble that was committed.
    fn judge_charter(&mut self, object: &Rendered) {
        let text = object.json["data"][CHARTER_KEY].as_str();
        let charter = text.and_then(|text| serde_json::from_str::<Charter>(text).ok());
        let Some(told) = charter.and_then(|charter| charter.confirmed()) else { return };
        if let Some((id, server)) = told.strangers(&super::names::names()).find(|(_, server)| resolves(server.host())) {
            let text =
                format!("members are told that server {id} is at {}, which is another ensemble's", server.host());
            return self.wrong(Wrong::Foreign(text));
        }
        if told.version.0 > self.committed.version {
            let text =
                format!("members are told of membership {}, and {} is the last one", told.version, self.committed);
            self.wrong(Wrong::Changes(text));
        }
    }

    fn resize(&mut self, resize: &Resize, pass: &Pass) -> Result<(), String> {
        self.admits(&resize.object, pass)?;
        let before = self.kube.replicas();
        let mut json = resize.object.json.clone();
        json["metadata"]["uid"] = resize.uid.as_str().into();
        json["metadata"]["resourceVersion"] = resize.resource_version.as_str().into();
        let owner = pass.sight.resource.uid;
        self.kube.apply(&resize.object.key, &json, owner).map_err(|Conflict(reason)| reason)?;
        self.resized(before, pass);
        Ok(())
    }

    /// What a new number of pods means for those that vote.
    fn resized(&mut self, before: u32, pass: &Pass) {
        let now = self.kube.replicas();
        if before == 0 || now == before || !self.born() {
            return;
        }
        if now.abs_diff(before) > 1 {
            self.wrong(Wrong::Changes(format!("the StatefulSet goes from {before} to {now} pods in one step")));
        }
        let stopped: Ids = (now + 1..=before).collect();
        let voting = self.memberships().into_iter().find(|config| config.voters.and(stopped).len() > 0);
        if let Some(config) = voting {
            let who = config.voters.and(stopped);
            self.wrong(Wrong::Quorum(format!("the pods of {who} are stopped, who vote in membership {config}")));
        }
        let remaining = pass.synced.iter().filter(|id| !stopped.contains(*id)).collect();
        self.judge_quorum(pass.synced, remaining, "a smaller StatefulSet");
    }

    fn delete(&mut self, target: &Target, pass: &Pass) -> Result<(), String> {
        self.releases(&target.key, &target.uid, pass)?;
        if target.key.kind == Kind::Pod {
            let before = self.kube.clone_of(&target.key.name);
            self.kube.delete(target).map_err(|Conflict(reason)| reason)?;
            self.judge_restart(
                &target.key.name,
                before.is_some_and(|uid| uid.to_string() != target.uid && !target.uid.is_empty()),
                pass,
            );
            return Ok(());
        }
        let ordinal = self.kube.claim_mut(&target.key.name).map(|claim| claim.uid.to_string());
        self.kube.delete(target).map_err(|Conflict(reason)| reason)?;
        if let Some(uid) = ordinal {
            self.judge_claim(target, &uid, pass);
        }
        Ok(())
    }

    /// A pod is deleted: nothing that the others need.
    fn judge_restart(&mut self, name: &str, other: bool, pass: &Pass) {
        let Some(id) = super::names::names().seat_of_pod(name).map(|seat| seat.ordinal + 1) else { return };
        if other {
            self.wrong(Wrong::Quorum(format!("pod {name} is deleted, and it is not the one that was seen")));
        }
        self.judge_volume(id, pass);
        self.judge_roll(id, pass);
        self.judge_spreading(id, pass);
        self.judge_patience(id, pass);
        let decided = pass.decided;
        // The only member takes the quorum along whenever it is restarted; it may have been born since that was decided.
        let alone = decided.voters.len() == 1 || (decided.version == 0 && self.committed.voters.without(id).len() == 0);
        if !self.born() || !pass.synced.contains(id) || alone {
            return;
        }
        if decided.version != self.committed.version && decided.voters.contains(id) {
            self.wrong(Wrong::Changes(format!(
                "member {id} is stopped on a decision about membership {decided}, and it is {}",
                self.committed
            )));
        }
        self.judge_quorum(pass.synced, pass.synced.without(id), &format!("the restart of member {id}"));
        let absent: Ids = decided.voters.iter().filter(|voter| !pass.synced.contains(*voter)).collect();
        if absent.len() > 0 && decided.voters.contains(id) {
            self.wrong(Wrong::Quorum(format!("member {id} is stopped while {absent} of {decided} are not synced")));
        }
        if pass.leader == Some(id) {
            self.wrong(Wrong::Leader(format!("member {id} is stopped while it leads")));
        }
    }

    /// A pod takes along what is on its volume when the claim was deleted: the copy of a voter goes only once it votes no more.
    fn judge_volume(&mut self, id: u32, pass: &Pass) {
        let votes = self.memberships().into_iter().find(|config| config.voters.contains(id));
        if let Some(config) = votes.filter(|_| self.born() && pass.sight.passing(id - 1) && self.passing(id)) {
            self.wrong(Wrong::Claim(format!(
                "the restart of member {id} takes its volume along, and it votes in membership {config}"
            )));
        }
    }

    fn judge_claim(&mut self, target: &Target, uid: &str, pass: &Pass) {
        let name = &target.key.name;
        let Some(ordinal) = super::names::names().seat_of_claim(name).map(|seat| seat.ordinal) else { return };
        let member = self.memberships().iter().any(|config| config.voters.contains(ordinal + 1));
        let used = self.kube.pods.get(&ordinal).is_some_and(|pod| !pod.terminating);
        let identity = self.kube.claims.get(&ordinal).and_then(|claim| claim.identity.clone());
        let reason = if identity.is_none() {
            return self.wrong(Wrong::Foreign(format!("claim {name} of somebody else is deleted")));
        } else if !self.spec.reclaim && !pass.sight.resource.spec.reclaim && !pass.sight.given_up(ordinal) {
            "although claims are to be kept"
        } else if target.uid != uid && !target.uid.is_empty() {
            "although it is not the one that was seen"
        } else if member {
            "although its member votes"
        } else if used && !pass.sight.given_up(ordinal) {
            "although its pod uses it"
        } else {
            return;
        };
        self.wrong(Wrong::Claim(format!("claim {name} is deleted {reason}")));
    }

    /// Whoever is by now at the addresses that these members had when the operator looked.
    fn reached(&self, via: &[ServerId], pass: &Pass) -> Vec<u32> {
        let uids = via.iter().filter_map(|id| pod_at(pass.thought.addresses.get(id)?));
        uids.filter_map(|uid| Some(self.kube.pods.iter().find(|(_, pod)| pod.uid == uid)?.0 + 1)).collect()
    }

    fn quorum_read(&mut self, via: &[ServerId], pass: &Pass) -> Result<Config, String> {
        for id in self.reached(via, pass).into_iter().filter(|_| !self.deaf).collect::<Vec<_>>() {
            if let Some(config) = self.fresh_read(id) {
                return Ok(config);
            }
        }
        Err("no member commits a write".to_owned())
    }

    fn change(
        &mut self,
        change: &Change,
        from: Option<ConfigVersion>,
        via: &[ServerId],
        (pass, wire): (&Pass, Wire),
    ) -> Result<(), String> {
        let (id, join) = (change.id.0, change.joins());
        let before = self.committed;
        let Some(member) =
            self.reached(via, pass).into_iter().find(|id| self.kube.server(*id).is_some_and(Server::serving))
        else {
            return Err("nobody serves".to_owned());
        };
        let to = Config::of(&change.to);
        let proposed = self.proposals();
        let outcome = self.reconfigure(member, to, from.map(|from| from.0), wire != Wire::Halfway);
        if self.proposals() > proposed {
            self.judge_change(before, (id, join), pass);
        }
        match outcome {
            ReconfigOutcome::Done | ReconfigOutcome::Unknown => Ok(()),
            outcome => Err(format!("{outcome:?}")),
        }
    }

    fn proposals(&self) -> usize {
        let logs = self.kube.running().filter_map(|(id, _)| self.kube.disk(id));
        logs.map(|disk| disk.log.iter().filter(|entry| matches!(entry.what, What::Reconfig(_))).count())
            .max()
            .unwrap_or(0)
    }

    /// One that serves leaves: no more than one is missing then of those that are wanted, or of those that there were when that
    /// was wanted. Whose pod is being deleted goes anyway.
    fn judge_copies(&mut self, before: Config, id: u32, pass: &Pass) {
        let (left, wanted) = (before.voters.without(id), pass.sight.resource.spec.replicas);
        let enough = left.len() + 1 >= self.voted.min(wanted);
        if !enough && pass.synced.contains(id) && !pass.sight.terminating(id - 1) {
            self.wrong(Wrong::Copies(format!(
                "member {id} serves and is removed from {before}, which leaves {left} where {wanted} are wanted"
            )));
        }
    }

    fn judge_change(&mut self, before: Config, (id, join): (u32, bool), pass: &Pass) {
        let verb = if join { "added" } else { "removed" };
        if !join {
            self.judge_roll(id, pass);
        }
        if pass.decided.version != before.version {
            self.wrong(Wrong::Changes(format!(
                "member {id} is {verb} on a decision about membership {}, and it is {before}",
                pass.decided
            )));
        }
        let absent: Ids = before.voters.without(id).iter().filter(|voter| !pass.synced.contains(*voter)).collect();
        // One that does not serve takes nothing along, while those that are synced are a majority with it and without it.
        let spared = !join && !pass.synced.contains(id) && before.quorum(pass.synced);
        if absent.len() > 0 && !spared {
            self.wrong(Wrong::Quorum(format!(
                "member {id} is {verb} while members {absent} of {before} are not synced"
            )));
        }
        if !join {
            self.judge_copies(before, id, pass);
        }
        let sight = &pass.sight;
        // One whose pod may not be deleted is waited for by nobody.
        let waits = |other: u32| sight.rolls(other - 1) && !sight.pinned(other - 1);
        let others: Ids = before.voters.iter().filter(|other| *other != id && waits(*other)).collect();
        let asked = sight.given_up(id - 1) || sight.cordoned(id - 1) || sight.terminating(id - 1);
        if !join
            && !asked
            && pass.leader == Some(id)
            && sight.rolls(id - 1)
            && others.len() > 0
            && id <= sight.resource.spec.replicas
        {
            self.wrong(Wrong::Leader(format!(
                "member {id} gives up leadership while {others} are still to be restarted"
            )));
        }
        if join && !pass.synced.contains(id) {
            self.wrong(Wrong::Quorum(format!("member {id} is added before it is synced")));
        }
    }
}

fn describe(operation: &Operation) -> String {
    match operation {
        Operation::LookAgain => "looks again".to_owned(),
        Operation::Guard(_) => "takes what strangers could break from them".to_owned(),
        Operation::Write(Write::Apply { object, .. }) => {
            let pods =
                object.json["spec"]["replicas"].as_u64().map_or(String::new(), |pods| format!(" with {pods} pods"));
            format!("applies {} {}{pods}", object.key.kind.as_str(), object.key.name)
        }
        Operation::Write(Write::CreateSecret { object, .. }) => format!("creates Secret {}", object.key.name),
        Operation::Delete(target) => format!("deletes {} {}", target.key.kind.as_str(), target.key.name),
        Operation::Resize(resize) => {
            format!("sets the StatefulSet to {} pods", resize.object.json["spec"]["replicas"])
        }
        Operation::Confirm { expected: Expected { membership, without }, .. } => {
            let version = membership.as_ref().map(|told| format!("the membership is at {}", told.version));
            let without = without.map(|id| format!("{id} is no member"));
            let found: Vec<String> = version.into_iter().chain(without).collect();
            format!("commits a write and reads that {}", found.join(" and "))
        }
        Operation::Reconfig { change, .. } => {
            let verb = if change.joins() { "adds" } else { "removes" };
            format!("asks for a reconfig that {verb} member {}", change.id)
        }
    }
}
