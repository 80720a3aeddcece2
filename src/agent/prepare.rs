//! What has to stand on a member's volume before its server starts: a pure rule over what is there, the seed and the id.
//!
//! Invariants:
//! - a volume of another ensemble or member, or one with unmarked data, is not touched;
//! - a member's own record is never replaced by one whose version is not strictly higher: two of five members restarted
//!   with an old list of three would be a majority of it, beside the majority of the other three. Before anything was agreed
//!   on, it gives way to founders that are fewer or called otherwise, and never to more of them;
//! - a member that starts with a list of its own making keeps the last one that it knows as the proposed one: the server then
//!   needs a quorum of both to be elected, and completes that change first. Without it, a leader that had committed its own
//!   removal, and was restarted before the others heard of it, was elected by the list from before (found by the simulation);
//! - the list in use always contains the member itself: the server exits otherwise ("My id 4 not in the peer list");
//! - data that a quorum of others was seen to have, and that this server cannot read, is set aside once for each wish;
//! - an empty disk may vote only when the ensemble is being born, and with a member of its seed;
//! - applied twice it changes what it changed once, and so it does after a stop between any two changes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::truth::PASSWORD_CHANGED;
use crate::model::{ConfigVersion, Membership, ServerId};

use super::record::{NEXT, Records, STEM, file_name};
use super::seed::{CONFIG_PROPERTY, NoSeed, Seed};

/// The mark of the ensemble and member that a volume belongs to.
pub const MARK: &str = "menagerie.json";
/// The directory of `zoo.cfg` and the dynamic files: the server writes there.
pub const CONF: &str = "conf";
/// The static configuration in [`CONF`].
pub const ZOO_CFG: &str = "zoo.cfg";
/// The marker that lets a server with an empty database vote; it deletes it when it starts.
pub const INITIALIZE: &str = "initialize";
/// The file of the server's own id.
pub const MYID: &str = "myid";

/// How many dynamic files are kept; the server never deletes one.
const KEPT: usize = 5;

/// What stands in the mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Identity of the ensemble.
    pub identity: String,
    /// Its name, for messages.
    pub ensemble: String,
    /// The member.
    pub id: ServerId,
    /// The last wish to start empty that was granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resynced: Option<String>,
}

/// What a volume holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Text of the mark.
    pub mark: Option<String>,
    /// Whether there is a snapshot or a transaction log.
    pub database: bool,
    /// Whether the marker of birth is there.
    pub initialize: bool,
    /// Texts of the dynamic files, by what follows their stem.
    pub dynamics: BTreeMap<String, String>,
}

/// One change to a volume; paths are relative to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeChange {
    /// The file has this text afterwards, and never half of it.
    Write {
        /// Which.
        path: String,
        /// Its whole text.
        text: String,
        /// Whether only the owner may read it.
        secret: bool,
    },
    /// The database stands beside its place afterwards, while there is room for it and for another one.
    SetAside,
    /// The file is gone afterwards.
    Remove {
        /// Which.
        path: String,
    },
}

/// What to do to a volume, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preparation {
    /// The changes.
    pub changes: Vec<VolumeChange>,
    /// The membership that the server starts with.
    pub using: Membership,
    /// Where it comes from.
    pub from: Source,
    /// Files that were not believed, and why.
    pub ignored: Vec<String>,
}

/// Where the membership in use comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The member's own record, untouched.
    Record,
    /// The charter, being newer than any record or the only one.
    Charter,
    /// The newer of both and the member itself, which is not in it: it joins, or was removed.
    Joiner,
}

/// Why a volume is not touched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its mark names another ensemble.
    #[error(
        "the volume belongs to member {} of ensemble {:?} (identity {}), this pod to ensemble {ensemble:?} (identity \
         {identity}); it was not touched: delete the claim to start with an empty one, or bring that ensemble back",
        mark.id, mark.ensemble, mark.identity
    )]
    OtherEnsemble {
        /// What it says.
        mark: Box<Mark>,
        /// Ours.
        ensemble: String,
        /// Ours.
        identity: String,
    },
    /// Its mark names another member.
    #[error(
        "the volume belongs to member {} of ensemble {:?}, this pod is member {id}; it was not touched: delete the claim \
         to start with an empty one, or attach the volume of member {id}",
        mark.id, mark.ensemble
    )]
    OtherMember {
        /// What it says.
        mark: Box<Mark>,
        /// Ours.
        id: ServerId,
    },
    /// It holds data and no mark.
    #[error(
        "the volume holds a ZooKeeper {what} that no ensemble of this operator has marked; it was not touched: delete the \
         claim to start with an empty one"
    )]
    Unmarked {
        /// What it holds.
        what: &'static str,
    },
    /// Its mark cannot be read.
    #[error(
        "the mark on the volume ({MARK}) cannot be read: {reason}; it was not touched: restore it, or delete the claim"
    )]
    UnreadableMark {
        /// Why.
        reason: String,
    },
    /// The charter gives no entry for this member.
    #[error("{0}")]
    NoEntry(String),
}

impl From<NoSeed> for Refusal {
    fn from(error: NoSeed) -> Self {
        Self::NoEntry(error.to_string())
    }
}

/// All that a start needs. `root` is where the server finds the volume.
pub fn prepare(found: &Found, seed: &Seed, id: ServerId, root: &str) -> Result<Preparation, Refusal> {
    let mark = owned(found, seed, id)?;
    let mut plan = configure(found, seed, id, root)?;
    let wish = ungranted(&mark, seed, id);
    let mut first = Vec::new();
    if wish.is_some() && found.database {
        // Before the mark says so: a stop between the two finds nothing left to set aside.
        first.push(VolumeChange::SetAside);
    }
    let resynced = wish.cloned().or_else(|| mark.resynced.clone());
    // The mark goes first: after a stop anywhere behind it, the next start knows whose half-made volume it finds.
    let mark = serde_json::to_string(&Mark { resynced, ..mark })
        .map_err(|error| Refusal::UnreadableMark { reason: error.to_string() })?;
    first.extend([write(MARK, format!("{mark}\n")), write(MYID, format!("{id}\n"))]);
    plan.changes.splice(0..0, first);
    let seeded = seed.beginning.is_birth() && seed.membership.contains(id);
    if seeded && !found.database && plan.using.version == ConfigVersion(0) {
        plan.changes.push(write(INITIALIZE, String::new()));
    } else if found.initialize {
        plan.changes.push(VolumeChange::Remove { path: INITIALIZE.into() });
    }
    Ok(plan)
}

/// The wish that this member start empty, while it is one that no start has granted yet.
fn ungranted<'a>(mark: &Mark, seed: &'a Seed, id: ServerId) -> Option<&'a String> {
    seed.resync.get(&id).filter(|wish| !seed.beginning.is_birth() && mark.resynced.as_ref() != Some(*wish))
}

/// What a server that was started with this `zoo.cfg` does not know: its kubelet hears of changes late, and may start a pod
/// of the new revision with the configuration of the old one.
pub fn unknown(zoo_cfg: &str, seed: &Seed) -> Option<String> {
    let has = |wanted: &str| zoo_cfg.lines().any(|line| line.trim() == wanted);
    if !has(&seed.digest.line()) {
        return Some(PASSWORD_CHANGED.to_owned());
    }
    // One that an older agent wrote says nothing of it.
    let told = zoo_cfg.lines().any(|line| line.trim().starts_with(CONFIG_PROPERTY));
    (told && !has(&seed.config_line())).then(|| "it was started with another zoo.cfg than it has now".to_owned())
}

/// Why the volume has to be made ready once more: its kubelet had not heard of the wish that it start empty when that was
/// done last, or it was made ready for other founders.
pub fn outdated(found: &Found, seed: &Seed, id: ServerId) -> Option<String> {
    let mark = owned(found, seed, id).ok()?;
    if Records::read(&found.dynamics).newest.is_some_and(|record| refounded(&record, seed)) {
        return Some("it was started with other founders".to_owned());
    }
    ungranted(&mark, seed, id).map(|_| "it was to sync anew, and heard of it too late".to_owned())
}

/// The part of it that is repeated beside a joiner whose server stopped in place: the membership and `zoo.cfg`.
pub fn configure(found: &Found, seed: &Seed, id: ServerId, root: &str) -> Result<Preparation, Refusal> {
    let records = Records::read(&found.dynamics);
    let (base, from) = newest(records.newest.as_ref(), seed, id);
    let (using, from) =
        if base.contains(id) { (base.clone(), from) } else { (joining(base, seed, id)?, Source::Joiner) };
    let name = file_name(using.version);
    let mut changes = Vec::new();
    // A proposed membership is the server's business, until a decided one has reached its version: the server would take it
    // for the newer one (`setLastSeenQuorumVerifier` only logs it).
    let known = from == Source::Joiner && base.version > ConfigVersion(0);
    if known && records.next.is_none_or(|next| next <= base.version) {
        let text = format!("{}version={}\n", base.text(), base.version);
        changes.push(write(&format!("{CONF}/{STEM}{NEXT}"), text));
    }
    if from != Source::Record {
        changes.push(write(&format!("{CONF}/{name}"), using.text()));
    }
    changes.push(VolumeChange::Write {
        path: format!("{CONF}/{ZOO_CFG}"),
        text: zoo_cfg(seed, &format!("{root}/{CONF}/{name}")),
        secret: true,
    });
    if !known && records.next.is_some_and(|next| next <= base.version) {
        changes.push(VolumeChange::Remove { path: format!("{CONF}/{STEM}{NEXT}") });
    }
    let gone = obsolete(&records, using.version, from);
    changes.extend(gone.map(|suffix| VolumeChange::Remove { path: format!("{CONF}/{STEM}{suffix}") }));
    Ok(Preparation { changes, using, from, ignored: records.ignored })
}

/// The last list that is known. Between a record and a charter of the same version, the record wins, unless nobody has agreed
/// on it yet. A list of version 0 that lacks the member is nobody's: the server writes none, and this agent none without it.
fn newest<'a>(record: Option<&'a Membership>, seed: &'a Seed, id: ServerId) -> (&'a Membership, Source) {
    let ours = |record: &Membership| record.version > ConfigVersion(0) || record.contains(id);
    match record {
        Some(record) if ours(record) && record.version >= seed.membership.version && !refounded(record, seed) => {
            (record, Source::Record)
        }
        _ => (&seed.membership, Source::Charter),
    }
}

/// Whether the founders are called otherwise by now, or are fewer: the operator lets some go that never ran. Neither makes a
/// second quorum: a majority is counted by ids, and one of the longer list is more than one of the shorter. Names give way after
/// the birth too: a founder that had the wrong ones when the others were born would have them for ever (found by the simulation).
fn refounded(record: &Membership, seed: &Seed) -> bool {
    let founders = &seed.membership;
    let fewer = founders.servers.len() < record.servers.len();
    let unagreed = record.version == ConfigVersion(0) && founders.version == ConfigVersion(0);
    let may_go = seed.beginning.is_birth() || !fewer;
    unagreed && may_go && founders.servers.keys().all(|id| record.contains(*id)) && founders.servers != record.servers
}

/// That list and the member itself. Version 0 is older than any that was agreed on: the leader's replaces it at the first
/// contact.
fn joining(base: &Membership, seed: &Seed, id: ServerId) -> Result<Membership, Refusal> {
    let mut using = base.clone();
    using.version = ConfigVersion(0);
    using.servers.insert(id, seed.own_entry(id)?);
    Ok(using)
}

/// The mark, when the volume is this member's to write to.
fn owned(found: &Found, seed: &Seed, id: ServerId) -> Result<Mark, Refusal> {
    let ours = Mark { identity: seed.identity.clone(), ensemble: seed.ensemble.clone(), id, resynced: None };
    let unreadable = |e: serde_json::Error| Refusal::UnreadableMark { reason: e.to_string() };
    let mark = match &found.mark {
        Some(text) => serde_json::from_str(text).map_err(unreadable)?,
        None if found.database => return Err(Refusal::Unmarked { what: "database" }),
        None if !found.dynamics.is_empty() => return Err(Refusal::Unmarked { what: "membership" }),
        None => ours.clone(),
    };
    if mark.identity != ours.identity {
        let Mark { identity, ensemble, .. } = ours;
        return Err(Refusal::OtherEnsemble { mark: Box::new(mark), ensemble, identity });
    }
    if mark.id != id {
        return Err(Refusal::OtherMember { mark: Box::new(mark), id });
    }
    Ok(mark)
}

fn zoo_cfg(seed: &Seed, dynamic: &str) -> String {
    let statics = seed.statics.trim_end();
    format!("{statics}\n{}\n{}\ndynamicConfigFile={dynamic}\n", seed.config_line(), seed.digest.line())
}

/// Suffixes of the files that nothing needs any more.
fn obsolete(records: &Records, used: ConfigVersion, from: Source) -> impl Iterator<Item = String> {
    let there: BTreeSet<_> = records.versions.iter().copied().chain([used]).collect();
    // A joiner's record is newer than what it starts with, and outlives it.
    let kept = |version: &ConfigVersion| *version == used || (from == Source::Joiner && *version == records.version());
    let old: Vec<_> = there.into_iter().rev().skip(KEPT).filter(|version| !kept(version)).collect();
    old.into_iter().map(|version| version.to_string())
}

fn write(path: &str, text: String) -> VolumeChange {
    VolumeChange::Write { path: path.to_owned(), text, secret: false }
}

#[cfg(test)]
mod tests;
