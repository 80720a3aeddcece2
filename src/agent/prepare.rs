//! What a member's volume has to hold before its server starts: a pure rule over its contents, the seed and the id.
//!
//! Invariants:
//! - a volume of another ensemble or member, or one with unmarked data, is not touched;
//! - a member's own record is only replaced by one with a strictly higher version: two of five members restarted with
//!   an old list of three would be a majority of it, beside the majority of the other three. Before anything was agreed
//!   on, it is replaced by a list with fewer founders or with other names, and never with more of them. An unreadable record
//!   is not replaced by an older one;
//! - a member that starts with a list that it made itself keeps the last one that it knows as the proposed one. The
//!   server then needs a quorum of both to be elected, and completes that change first. Otherwise a leader that had
//!   committed its own removal, and was restarted before the others heard of it, was elected by the old list (found by
//!   the simulation);
//! - the list in use always contains the member itself: otherwise the server exits ("My id 4 not in the peer list");
//! - data that a quorum of others has and that this server cannot read is set aside once for each request;
//! - an empty disk may vote only while the ensemble is being born, and only if the seed contains its member, or where a person
//!   has accepted that a majority of the disks is lost;
//! - an ensemble that is made from another one's archive is born with that: an empty disk never votes in it, and the database that was
//!   built beside it becomes its own where it would otherwise get the right to vote;
//! - preparing twice has the same result as once, also after a stop between any two changes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::membership::CLIENT_PORT;
use crate::model::names::REPLACE_ANNOTATION;
use crate::model::truth::PASSWORD_CHANGED;
use crate::model::{ConfigVersion, Membership, ParentPoint, ServerId};

use super::record::{NEXT, Records, STEM, file_name, takes_clients};
use super::seed::{CONFIG_PROPERTY, NoSeed, Seed};

/// The file that says which ensemble and member a volume belongs to.
pub const MARK: &str = "menagerie.json";
/// The directory of `zoo.cfg` and the dynamic files: the server writes there.
pub const CONF: &str = "conf";
/// The static configuration in [`CONF`].
pub const ZOO_CFG: &str = "zoo.cfg";
/// The marker that lets a server with an empty database vote; it deletes it when it starts.
pub const INITIALIZE: &str = "initialize";
/// The file of the server's own id.
pub const MYID: &str = "myid";

/// Where a server keeps the last epoch that it has promised to follow.
pub const ACCEPTED_EPOCH: &str = "version-2/acceptedEpoch";
/// Where a server keeps the last epoch that it has joined.
pub const CURRENT_EPOCH: &str = "version-2/currentEpoch";

/// How many dynamic files are kept; the server never deletes one.
const KEPT: usize = 5;

/// The content of the mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Identity of the ensemble.
    pub identity: String,
    /// Its name, for messages.
    pub ensemble: String,
    /// The member.
    pub id: ServerId,
    /// The last request to start empty that was granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resynced: Option<String>,
}

/// What a volume holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeContents {
    /// Text of the mark.
    pub mark: Option<String>,
    /// Whether there is a snapshot or a transaction log.
    pub database: bool,
    /// Whether the marker of birth is there.
    pub initialize: bool,
    /// The last epoch that its server has promised to follow.
    pub promised: Option<u64>,
    /// What the database that was built beside it, if there is one, was built from.
    pub built: Option<String>,
    /// What its own database was built from.
    pub parent: Option<String>,
    /// Whether nothing but that is in it: its server has followed nobody.
    pub untouched: bool,
    /// Texts of the dynamic files, by their suffix.
    pub dynamics: BTreeMap<String, String>,
}

/// One change to a volume; paths are relative to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeChange {
    /// Afterwards the file has this text, and never half of it.
    Write {
        /// Which.
        path: String,
        /// Its whole text.
        text: String,
        /// Whether only the owner may read it.
        secret: bool,
    },
    /// Afterwards the database is set aside, if there is room for it and for another one.
    SetAside,
    /// Afterwards the database that was built beside it is its own.
    Adopt,
    /// Afterwards the file is gone.
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
    /// Files that were ignored, and why.
    pub ignored: Vec<String>,
    /// What a database has to be built from first, beside the volume's own: it may neither vote without one nor join.
    pub builds: Option<ParentPoint>,
}

impl Preparation {
    /// All of it but the right to vote with an empty disk, or with what was built for it, which is given last.
    pub fn before_birth(&self) -> &[VolumeChange] {
        match self.changes.split_last() {
            Some((VolumeChange::Write { path, .. }, rest)) if path == INITIALIZE => rest,
            Some((VolumeChange::Adopt, rest)) => rest,
            _ => &self.changes,
        }
    }
}

/// Where the membership in use comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The member's own record, untouched.
    Record,
    /// The charter, because it is newer than any record, or the only one.
    Charter,
    /// The newer of both plus the member itself, which is not in it: it joins, or was removed.
    Joiner,
}

/// Why a volume is not touched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
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
    /// Its database began with something else.
    #[error(
        "the volume holds a database that began with {has}, and this ensemble begins with {wants}; it was not touched: if \
         nobody needs it, delete the ensemble and its claims, and create the ensemble again; else give this one another name"
    )]
    OtherParent {
        /// What it began with.
        has: String,
        /// What is wanted.
        wants: String,
    },
    /// Its mark cannot be read.
    #[error(
        "the mark on the volume ({MARK}) cannot be read: {reason}; it was not touched: restore it, or delete the claim"
    )]
    UnreadableMark {
        /// Why.
        reason: String,
    },
    /// Its record cannot be read, and nothing as new is known.
    #[error(
        "{CONF}/{file} cannot be read ({reason}), and an older membership could make a second quorum; the volume was not \
         touched: {cure}"
    )]
    Unread {
        /// Which.
        file: String,
        /// Why.
        reason: String,
        /// What helps.
        cure: String,
    },
    /// Somebody took this member's client port out of the membership.
    #[error(
        "membership {version} has no client port of this member ({line}), and no client would be served; the volume was \
         not touched: as super user, reconfig -add '{line};0.0.0.0:{CLIENT_PORT}'. If nobody leads without this member, have that line in \
         {CONF}/{file} first, and then do the same: no server ever levels two texts of one version"
    )]
    NoClientPort {
        /// Of the last one that is known.
        version: ConfigVersion,
        /// Its own line.
        line: String,
        /// The file of that version.
        file: String,
    },
    /// The charter gives no entry for this member.
    #[error("{0}")]
    NoEntry(String),
}

impl From<NoSeed> for PrepareError {
    fn from(error: NoSeed) -> Self {
        Self::NoEntry(error.to_string())
    }
}

/// Everything that a start needs. `root` is where the server finds the volume.
pub fn prepare(contents: &VolumeContents, seed: &Seed, id: ServerId, root: &str) -> Result<Preparation, PrepareError> {
    let mark = owned(contents, seed, id)?;
    let founder = seed.beginning.is_birth() && seed.membership.contains(id);
    let wanted = seed.parent.as_ref().map(ToString::to_string);
    if founder && contents.database && contents.parent != wanted {
        let named = |parent: Option<&String>| parent.map_or("nothing".to_owned(), Clone::clone);
        return Err(PrepareError::OtherParent { has: named(contents.parent.as_ref()), wants: named(wanted.as_ref()) });
    }
    let mut plan = configure(contents, seed, id, root)?;
    let wish = ungranted(&mark, seed, id);
    let mut first = Vec::new();
    // What an archive had says nothing of what was acknowledged since the birth: with it, two that lag behind could lead.
    let behind = contents.untouched && !seed.beginning.is_birth();
    if (wish.is_some() || behind) && contents.database {
        // Before the mark says so: after a stop between the two, nothing is left to set aside.
        first.push(VolumeChange::SetAside);
    }
    let resynced = wish.cloned().or_else(|| mark.resynced.clone());
    // The mark comes first: after a stop at any later point, the next start knows whose half-prepared volume it finds.
    let mark = serde_json::to_string(&Mark { resynced, ..mark })
        .map_err(|error| PrepareError::UnreadableMark { reason: error.to_string() })?;
    first.extend([write(MARK, format!("{mark}\n")), write(MYID, format!("{id}\n"))]);
    plan.changes.splice(0..0, first);
    let seeded = seed.beginning.is_birth() && seed.membership.contains(id);
    let allowed = allowed(contents, seed, id);
    if allowed {
        // Without a database a server joins no epoch: one that an earlier server has left there would win the election, and -1 keeps
        // it from starting. A promise stays.
        plan.changes.push(VolumeChange::Remove { path: CURRENT_EPOCH.into() });
        if contents.promised.is_none() {
            plan.changes.push(VolumeChange::Remove { path: ACCEPTED_EPOCH.into() });
        }
    }
    let founds = seeded && !contents.database && plan.using.version == ConfigVersion(0);
    if contents.initialize && (!(founds || allowed) || (founds && seed.parent.is_some())) {
        plan.changes.push(VolumeChange::Remove { path: INITIALIZE.into() });
    }
    match &seed.parent {
        Some(parent) if founds && contents.built.as_deref() != Some(&parent.to_string()) => {
            plan.builds = Some(parent.clone());
        }
        Some(_) if founds => plan.changes.push(VolumeChange::Adopt),
        _ if founds || allowed => plan.changes.push(write(INITIALIZE, String::new())),
        _ => {}
    }
    Ok(plan)
}

/// Whether it may vote with its empty volume, since somebody accepted the loss of a majority.
fn allowed(contents: &VolumeContents, seed: &Seed, id: ServerId) -> bool {
    !seed.beginning.is_birth() && !contents.database && seed.may_vote.contains_key(&id)
}

/// The request that this member start empty, if no start has granted it yet.
fn ungranted<'a>(mark: &Mark, seed: &'a Seed, id: ServerId) -> Option<&'a String> {
    seed.resync.get(&id).filter(|wish| !seed.beginning.is_birth() && mark.resynced.as_ref() != Some(*wish))
}

/// What a server that was started with this `zoo.cfg` does not know: its kubelet is late with changes, and may start a
/// pod of the new revision with the configuration of the old one.
pub fn unknown(zoo_cfg: &str, seed: &Seed) -> Option<String> {
    let has = |wanted: &str| zoo_cfg.lines().any(|line| line.trim() == wanted);
    if !has(&seed.digest.line()) {
        return Some(PASSWORD_CHANGED.to_owned());
    }
    // A file that an older agent wrote does not say.
    let told = zoo_cfg.lines().any(|line| line.trim().starts_with(CONFIG_PROPERTY));
    (told && !has(&seed.config_line())).then(|| "it was started with another zoo.cfg than it has now".to_owned())
}

/// Why the volume has to be prepared again: its kubelet was late with the request to start empty, or it was prepared
/// for other founders.
pub fn outdated(contents: &VolumeContents, seed: &Seed, id: ServerId) -> Option<String> {
    let mark = owned(contents, seed, id).ok()?;
    if Records::read(&contents.dynamics).newest.is_some_and(|record| refounded(&record, seed)) {
        return Some("it was started with other founders".to_owned());
    }
    if allowed(contents, seed, id) && !contents.initialize {
        return Some("its empty volume may vote, from its next start on".to_owned());
    }
    ungranted(&mark, seed, id).map(|_| "it was to sync again from the others, and learned of it too late".to_owned())
}

/// The part that is repeated beside a joining member whose server stopped in place: the membership and `zoo.cfg`.
pub fn configure(
    contents: &VolumeContents,
    seed: &Seed,
    id: ServerId,
    root: &str,
) -> Result<Preparation, PrepareError> {
    let records = Records::read(&contents.dynamics);
    let (base, from) = newest(records.newest.as_ref(), seed, id);
    if let Some((version, reason)) = records.unread.filter(|(version, _)| *version > base.version) {
        let cure = cure(contents.dynamics.get(&version.to_string()));
        return Err(PrepareError::Unread { file: file_name(version), reason, cure });
    }
    let (using, from) =
        if base.contains(id) { (base.clone(), from) } else { (joining(base, seed, id)?, Source::Joiner) };
    let name = file_name(using.version);
    if let Some(own) = using.servers.get(&id).filter(|own| !takes_clients(own)) {
        let line = format!("server.{id}={}", own.spec());
        return Err(PrepareError::NoClientPort { version: using.version, line, file: name });
    }
    let mut changes = Vec::new();
    // A proposed membership belongs to the server until a decided one has reached its version: then the server would
    // take it for the newer one (`setLastSeenQuorumVerifier` only logs it).
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
    let gone = obsolete(&records.versions, using.version);
    changes.extend(gone.map(|suffix| VolumeChange::Remove { path: format!("{CONF}/{STEM}{suffix}") }));
    Ok(Preparation { changes, using, from, ignored: records.ignored, builds: None })
}

/// What helps where a record cannot be read. One that only this agent cannot read is no better at other members.
fn cure(text: Option<&String>) -> String {
    let command = text.and_then(|text| Membership::parse(text).err()?.command());
    command.map_or_else(
        || {
            format!(
                "put there what this file has at a member that serves, or give this member another volume \
                 ({REPLACE_ANNOTATION}=volume on its pod)"
            )
        },
        |command| {
            format!(
                "as super user, {command}; it starts by itself once the operator has read the membership that follows"
            )
        },
    )
}

/// The last known list. Of a record and a charter with the same version, the record counts, unless nobody has agreed on
/// it yet. A list of version 0 without the member is nobody's: neither the server nor this agent writes one.
fn newest<'a>(record: Option<&'a Membership>, seed: &'a Seed, id: ServerId) -> (&'a Membership, Source) {
    let ours = |record: &Membership| record.version > ConfigVersion(0) || record.contains(id);
    match record {
        Some(record) if ours(record) && record.version >= seed.membership.version && !refounded(record, seed) => {
            (record, Source::Record)
        }
        _ => (&seed.membership, Source::Charter),
    }
}

/// Whether the founders have other names by now, or are fewer: the operator removes founders that never ran. Neither
/// makes a second quorum: a majority counts ids, and a majority of the longer list is more than one of the shorter.
/// Names change after the birth too: a founder that had the wrong ones when the others were born would otherwise keep
/// them for ever (found by the simulation).
fn refounded(record: &Membership, seed: &Seed) -> bool {
    let founders = &seed.membership;
    let fewer = founders.servers.len() < record.servers.len();
    let unagreed = record.version == ConfigVersion(0) && founders.version == ConfigVersion(0);
    let may_go = seed.beginning.is_birth() || !fewer;
    unagreed && may_go && founders.servers.keys().all(|id| record.contains(*id)) && founders.servers != record.servers
}

/// That list and the member itself. Version 0 is older than any that was agreed on: the leader's list replaces it at
/// the first contact.
fn joining(base: &Membership, seed: &Seed, id: ServerId) -> Result<Membership, PrepareError> {
    let mut using = base.clone();
    using.version = ConfigVersion(0);
    using.servers.insert(id, seed.own_entry(id)?);
    Ok(using)
}

/// The mark, if the volume belongs to this member.
fn owned(contents: &VolumeContents, seed: &Seed, id: ServerId) -> Result<Mark, PrepareError> {
    let ours = Mark { identity: seed.identity.clone(), ensemble: seed.ensemble.clone(), id, resynced: None };
    let unreadable = |e: serde_json::Error| PrepareError::UnreadableMark { reason: e.to_string() };
    let mark = match &contents.mark {
        Some(text) => serde_json::from_str(text).map_err(unreadable)?,
        None if contents.database => return Err(PrepareError::Unmarked { what: "database" }),
        None if !contents.dynamics.is_empty() => return Err(PrepareError::Unmarked { what: "membership" }),
        None => ours.clone(),
    };
    if mark.identity != ours.identity {
        let Mark { identity, ensemble, .. } = ours;
        return Err(PrepareError::OtherEnsemble { mark: Box::new(mark), ensemble, identity });
    }
    if mark.id != id {
        return Err(PrepareError::OtherMember { mark: Box::new(mark), id });
    }
    Ok(mark)
}

fn zoo_cfg(seed: &Seed, dynamic: &str) -> String {
    let statics = seed.statics.trim_end();
    format!("{statics}\n{}\n{}\ndynamicConfigFile={dynamic}\n", seed.config_line(), seed.digest.line())
}

/// Suffixes of the files that nothing needs any more. A joining member's record is among those that are kept: no file is newer.
fn obsolete(versions: &[ConfigVersion], used: ConfigVersion) -> impl Iterator<Item = String> {
    let there: BTreeSet<_> = versions.iter().copied().chain([used]).collect();
    let old: Vec<_> = there.into_iter().rev().skip(KEPT).filter(|version| *version != used).collect();
    old.into_iter().map(|version| version.to_string())
}

fn write(path: &str, text: String) -> VolumeChange {
    VolumeChange::Write { path: path.to_owned(), text, secret: false }
}

#[cfg(test)]
mod tests;
