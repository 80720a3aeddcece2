//! A majority of the volumes is empty, and some member still has its data.
//!
//! - An empty volume does not vote: whoever elects with it may elect somebody who lacks acknowledged writes. With a majority
//!   of them nobody can be elected any more, and only a person can know whether the lost volumes come back.
//! - A person can accept the loss, by an annotation that names this loss and no other: the epoch in it is over with the first
//!   election. Then as many empty volumes may vote as a quorum with all members that have data needs. None of these can be
//!   missing then, so that whoever is elected has what the best of them has. By weights that does not hold, and it is not offered.
//! - A volume has data if its server has joined an epoch on it: one that was allowed to vote empty has a snapshot of nothing.
//! - Every member has to have answered: a silent one may have all of the data, and an observer a later epoch.

use std::collections::BTreeMap;

use super::Reason;
use super::barred::gone;
use super::view::View;
use crate::model::names::ACCEPT_LOSS_ANNOTATION;
use crate::model::truth::DiskState;
use crate::model::{Membership, Pool, ServerId};

/// What is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    empty: Vec<ServerId>,
    holders: Vec<ServerId>,
    /// Those of the empty ones that would vote.
    voting: Vec<ServerId>,
    /// The last epoch that one with data has joined.
    epoch: u64,
}

impl Loss {
    /// What is lost, if that is certain and keeps the others from a quorum.
    fn of(view: &View<'_>) -> Option<Self> {
        if view.committed().is_some() || view.origin().ok()?.beginning.is_birth() {
            return None;
        }
        let membership = last_membership(view)?;
        let identity = &view.origin().ok()?.identity;
        let (mut empty, mut holders, mut epoch) = (Vec::new(), Vec::new(), 0);
        if !outsiders(view, &membership).is_empty() {
            return None;
        }
        if !membership.votes.by_majority() {
            return None;
        }
        for (&id, server) in &membership.servers {
            let disk = &view.member(id).report?.disk;
            // A newer membership than the one that the operator knows may need other members for a quorum.
            if disk.identity.as_ref() != Some(identity) || disk.record > Some(membership.version) {
                return None;
            }
            // An older agent does not say.
            if disk.database && disk.epoch.is_none() {
                return None;
            }
            let joined = disk.epoch.unwrap_or_default();
            // Data that only one without a vote has, or an epoch on a volume without any: nobody here knows which is right.
            let odd =
                if server.votes() { !disk.database && joined > 0 } else { joined > epoch_of_voters(view, &membership) };
            if odd {
                return None;
            }
            match server.votes() {
                true if disk.database && joined > 0 => holders.push(id),
                true => empty.push(id),
                false => continue,
            }
            epoch = epoch.max(joined);
        }
        if holders.is_empty() || membership.quorum(|id| holders.contains(&id)) {
            return None;
        }
        let voting = fewest(&membership, &holders, &empty)?;
        Some(Self { empty, holders, voting, epoch })
    }

    /// The annotation's value that accepts exactly this.
    fn word(&self) -> String {
        let ids: Vec<_> = self.voting.iter().map(ToString::to_string).collect();
        format!("epoch-{:x}-members-{}", self.epoch, ids.join("-"))
    }
}

/// The membership that the next leader needs a quorum of: the last one that the operator noted, or a newer one that a server has on
/// record. A server writes that file when the change is committed; if the quorum goes before the operator hears of it, nobody else
/// knows. It counts once every pod has answered, and all that have this version on record have the same.
pub fn last_membership(view: &View<'_>) -> Option<Membership> {
    let noted = view.seen.noted_membership()?;
    Some(on_record(view, &noted).unwrap_or(noted))
}

fn on_record(view: &View<'_>, noted: &Membership) -> Option<Membership> {
    let set = view.seen.set(Pool::Voters)?;
    let identity = &view.origin().ok()?.identity;
    let disks = (1..=set.replicas).map(|id| Some(&view.member(ServerId(id)).report?.disk));
    let disks: Vec<&DiskState> = disks.collect::<Option<_>>()?;
    if disks.iter().any(|disk| disk.identity.as_ref() != Some(identity)) {
        return None;
    }
    let version = disks.iter().filter_map(|disk| disk.record).max().filter(|newest| *newest > noted.version)?;
    let mut told = disks.iter().filter(|disk| disk.record == Some(version)).map(|disk| disk.recorded.as_deref());
    let text = told.next()??;
    let same = told.all(|other| other == Some(text));
    let membership = Membership::parse(text).ok().filter(|_| same)?;
    let known = |id: &ServerId| id.0 <= set.replicas;
    let servers = membership.servers.keys().chain(noted.servers.keys());
    let all = servers.copied().all(|id| known(&id));
    all.then_some(Membership { version, ..membership })
}

/// Pods that are not in the membership that counts, and may have later writes than anybody in it: those that do not answer, and those with
/// data of a later epoch or membership than any member with data. A member that was taken out is one until its pod goes.
pub fn outsiders(view: &View<'_>, membership: &Membership) -> Vec<ServerId> {
    let Some(set) = view.seen.set(Pool::Voters) else { return Vec::new() };
    let disk = |id: ServerId| view.member(id).report.map(|truth| &truth.disk).filter(|disk| disk.database);
    let mark = |disk: &DiskState| (disk.epoch, disk.record);
    let (mut epoch, mut record) = (None, None);
    for (joined, known) in membership.voters().filter_map(disk).map(mark) {
        (epoch, record) = (epoch.max(joined), record.max(known));
    }
    let later = |id: &ServerId| match view.member(*id).report {
        // A pod that no node has room for, with a volume that is still to come, never had any.
        None => gone(view, view.member(*id)).is_none(),
        Some(_) => disk(*id).is_some_and(|disk| disk.epoch > epoch || disk.record > record),
    };
    (1..=set.replicas).map(ServerId).filter(|id| !membership.contains(*id)).filter(later).collect()
}

/// The last epoch that a voter has joined.
pub fn epoch_of_voters(view: &View<'_>, membership: &Membership) -> u64 {
    let epochs = membership.voters().filter_map(|id| view.member(id).report?.disk.epoch);
    epochs.max().unwrap_or_default()
}

/// As many of the empty ones as make a quorum with those that have data, and not by themselves.
fn fewest(membership: &Membership, holders: &[ServerId], empty: &[ServerId]) -> Option<Vec<ServerId>> {
    let quorum = |few: &[ServerId]| membership.quorum(|id| few.contains(&id) || holders.contains(&id));
    let few = (1..=empty.len()).map(|number| &empty[..number]).find(|few| quorum(few))?;
    (!membership.quorum(|id| few.contains(&id))).then(|| few.to_vec())
}

/// Where the ensemble is archived: what no volume has may be there, and whoever accepts a loss first should know.
pub fn archived(view: &View<'_>) -> String {
    let archive = view.desired.and_then(|desired| desired.archive.as_ref());
    let (Some(archive), Ok(origin)) = (archive, view.origin()) else { return String::new() };
    let last = view.seen.status.archive.as_ref().and_then(|archive| archive.last_recoverability_point.as_ref());
    let known = last.map(|last| format!(", {} at the least", last.zxid)).unwrap_or_default();
    format!(
        "; the archive {} may have more than is left here{known} (menagerie archive stat, identity {}): a new ensemble of another name can begin with it (spec.from)",
        archive.config.place.target, origin.identity
    )
}

/// Why there will be no quorum, and what a person can do.
pub fn majority(view: &View<'_>) -> Option<Reason> {
    let loss = Loss::of(view)?;
    let names = &view.seen.names;
    let list = |ids: &[ServerId]| match ids {
        [one] => format!("member {one}"),
        ids => format!("members {}", ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    };
    let (empty, holders) = (list(&loss.empty), list(&loss.holders));
    let are = if loss.empty.len() == 1 { "volume of {} is" } else { "volumes of {} are" }.replace("{}", &empty);
    let message = if view.seen.requests.accept_loss.as_deref() == Some(&loss.word()) {
        format!(
            "the {are} empty; somebody has accepted the loss: {} may vote without data, and {holders} lead",
            list(&loss.voting)
        )
    } else {
        format!(
            "the {are} empty, and {holders} cannot elect a leader alone: bring the lost volumes back. Or accept that every write is lost that is not on {holders}: kubectl -n {} annotate zke {} --overwrite {ACCEPT_LOSS_ANNOTATION}={}{}",
            names.namespace,
            names.ensemble,
            loss.word(),
            archived(view)
        )
    };
    Some(Reason::new("MajorityLost", message))
}

/// Members that may vote with an empty volume, each with the last epoch that another one has joined.
pub fn may_vote(view: &View<'_>) -> BTreeMap<ServerId, u64> {
    if view.committed().is_some() {
        return BTreeMap::new();
    }
    let accepted = |loss: &Loss| view.seen.requests.accept_loss.as_deref() == Some(&loss.word());
    if let Some(loss) = Loss::of(view).filter(accepted) {
        return loss.voting.iter().map(|id| (*id, loss.epoch)).collect();
    }
    // While its pod is made again it says nothing. It has voted when it has a database, and all is over with a later epoch.
    let mut told = view.seen.charter.as_ref().map(|charter| charter.may_vote.clone()).unwrap_or_default();
    let reports = view.pods().filter_map(|(_, member, _)| member.report);
    let latest = reports.filter_map(|truth| truth.disk.epoch).max().unwrap_or_default();
    told.retain(|id, last| latest <= *last && view.member(*id).report.is_none_or(|truth| !truth.disk.database));
    told
}
