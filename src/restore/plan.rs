//! What has to be done so that the scope becomes as it was. Pure.
//!
//! Invariants:
//! - every prefix of the operations leaves an ensemble from which a new plan leads to the same end;
//! - no ephemeral znode is created, changed or deleted;
//! - what exists is only changed with the version that was seen.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use zookeeper_files::ids::Zxid;

use crate::restore::acl::{ADMIN, Acl, CREATE, DELETE, READ, WRITE};
use crate::restore::counters::{Asked, Counters, counters};
use crate::restore::hash::Digest;
use crate::restore::live::{Live, LiveZnode, Parent};
use crate::restore::operation::{Kind, Operation, Turn};
use crate::restore::options::{Access, Existing, Options, OptionsError};
use crate::restore::plan_hash::hash;
use crate::restore::plan_quotas::{Quotas, quotas};
use crate::restore::quota;
use crate::restore::reason::{Note, Reason, Skipped};
use crate::restore::scope::parent;
use crate::restore::undo::Left;
use crate::restore::wanted::{Wanted, WantedZnode};

/// How much of what.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Counts {
    /// Znodes that are created.
    pub create: usize,
    /// Znodes whose data is set.
    pub set: usize,
    /// Znodes whose ACL is set.
    pub set_acl: usize,
    /// Znodes that are deleted.
    pub delete: usize,
    /// Znodes that are as they were.
    pub equal: usize,
    /// Znodes that are left as they are, for a reason.
    pub skipped: usize,
    /// Znodes that were not there at the point.
    pub extra: usize,
    /// Znodes below which sequence numbers will be lower than they were: so many names can come twice.
    #[serde(default)]
    pub counters: usize,
    /// Sequence counters that are raised.
    #[serde(default)]
    pub raise: usize,
    /// Limits of quotas that are lower than what there would be, and quotas whose limits no server can read.
    #[serde(default)]
    pub quotas: usize,
    /// Quotas that are made, or whose limits are set. Left out if there are none, so that a release that knows none reads the plan.
    #[serde(default, skip_serializing_if = "is_none")]
    pub set_quota: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

/// What has to be done.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// The hash of point, scope, options, wanted znodes and operations.
    pub hash: Digest,
    /// How much of what.
    pub counts: Counts,
    /// The changes, in an order that works.
    pub operations: Vec<Operation>,
    /// What is left as it is. What is as it was is only counted.
    pub skipped: Vec<Skipped>,
    /// What a user should know.
    pub notes: Vec<Note>,
}

/// Plans how what is there becomes what is wanted.
pub fn plan(wanted: &Wanted, live: &Live, options: &Options) -> Result<Plan, OptionsError> {
    options.check()?;
    if let (Existing::KeepNewer { .. } | Existing::Undo { .. }, Some(path)) =
        (options.existing, shown_other(wanted, live))
    {
        let undoes = matches!(options.existing, Existing::Undo { .. });
        let error = if undoes { OptionsError::UndoesShownOther { path } } else { OptionsError::ShownOther { path } };
        return Err(error);
    }
    let mut planner = Planner { wanted, live, options: *options, ..Planner::empty(wanted, live) };
    for (path, znode) in &wanted.znodes {
        planner.visit(path, znode);
    }
    planner.extra();
    planner.notes();
    planner.quotas();
    Ok(planner.finish())
}

/// A znode that the same transaction created at another time: two histories.
fn shown_other(wanted: &Wanted, live: &Live) -> Option<String> {
    let before = wanted.znodes.iter().map(|(path, znode)| (path, znode.czxid, znode.ctime));
    let after = wanted.left.iter().filter_map(|(path, left)| match left {
        Left::Gone => None,
        Left::There(znode) => Some((path, znode.czxid, znode.ctime)),
    });
    let differs = |(path, czxid, ctime): (&String, Zxid, i64)| {
        live.znodes.get(path).filter(|now| now.czxid == czxid && now.ctime != ctime).map(|_| path.clone())
    };
    before.chain(after).find_map(differs)
}

/// What a parent is for its children, once it was planned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Plain,
    Ephemeral,
    /// Nothing can be created below it.
    Closed(Reason),
    None,
}

/// The rights that are needed below a znode.
const BELOW: i32 = CREATE | DELETE;

/// Whether an ACL that we set as anybody lets us go on. This does not ask what is left to do, so that it is the same when a part
/// is done.
fn leaves_us_what_we_need(wanted: &Acl, now: &LiveZnode) -> bool {
    wanted.leaves_everybody(READ | WRITE | BELOW, &now.acl)
}

struct Planner<'a> {
    wanted: &'a Wanted,
    live: &'a Live,
    options: Options,
    standing: HashMap<&'a str, Standing>,
    /// The ACLs that are set before anything else is done.
    first: HashMap<&'a str, &'a Acl>,
    operations: Vec<Operation>,
    skipped: Vec<Skipped>,
    notes: Vec<Note>,
    counts: Counts,
}

impl<'a> Planner<'a> {
    fn empty(wanted: &'a Wanted, live: &'a Live) -> Self {
        Self {
            wanted,
            live,
            options: Options::default(),
            standing: HashMap::new(),
            first: HashMap::new(),
            operations: Vec::new(),
            skipped: Vec::new(),
            notes: Vec::new(),
            counts: Counts::default(),
        }
    }

    fn skip(&mut self, path: &str, reason: Reason) {
        let of = if reason == Reason::UnreadableStatistics { quota::unreadable(path, self.live) } else { None };
        self.skipped.push(Skipped { path: path.to_owned(), reason, quota: of.map(str::to_owned) });
    }

    /// Why nothing that servers count may be done to this znode.
    fn ends_servers(&self, path: &str) -> Option<Reason> {
        quota::unreadable(path, self.live).map(|_| Reason::UnreadableStatistics)
    }

    fn undoes(&self) -> bool {
        matches!(self.options.existing, Existing::Undo { .. })
    }

    /// Why an undo leaves a znode that differs from what it was before.
    fn not_as_left(&self, path: &str, znode: &WantedZnode, now: &LiveZnode, data: bool) -> Option<Reason> {
        let Existing::Undo { of } = self.options.existing else { return None };
        match self.wanted.left.get(path) {
            Some(Left::There(left)) if left.is_still_or_half_undone(of, now, data, znode.acl.as_ref()) => {
                (left.kind != znode.kind).then_some(Reason::OtherKind)
            }
            _ => Some(Reason::ChangedSince),
        }
    }

    /// Parents come before their children in the order of the map.
    fn visit(&mut self, path: &'a str, znode: &'a WantedZnode) {
        let live = self.live;
        let standing = match (live.znodes.get(path), znode.kind) {
            (Some(now), _) => self.existing(path, znode, now),
            (None, Kind::Ephemeral) => {
                self.skip(path, Reason::Ephemeral);
                Standing::None
            }
            (None, _) if self.undoes() && self.wanted.left.get(path) != Some(&Left::Gone) => {
                self.skip(path, Reason::ChangedSince);
                Standing::None
            }
            (None, kind) => self.missing(path, znode, kind),
        };
        self.standing.insert(path, standing);
    }

    fn missing(&mut self, path: &str, znode: &WantedZnode, kind: Kind) -> Standing {
        let reason = match (self.above(path), &znode.acl) {
            (Standing::None, _) => Reason::NoParent,
            (Standing::Ephemeral, _) => Reason::UnderEphemeral,
            (Standing::Closed(reason), _) => reason,
            (Standing::Plain, None) => Reason::UnknownAcl,
            (Standing::Plain, Some(_)) if quota::is_taken_for_limits(path) => Reason::TakenForLimits,
            (Standing::Plain, Some(_)) if let Some(reason) = self.ends_servers(path) => reason,
            (Standing::Plain, Some(acl)) => {
                let data = Digest::of(&znode.data);
                self.operations.push(Operation::Create { path: path.to_owned(), kind, data, acl: acl.clone() });
                return self.open_or_closed(acl);
            }
        };
        self.skip(path, reason);
        Standing::None
    }

    fn above(&self, path: &str) -> Standing {
        let Some(above) = parent(path) else { return Standing::Plain };
        if let Some(&standing) = self.standing.get(above) {
            return standing;
        }
        let inside = self.live.znodes.get(above);
        let inside = inside.map(|now| if now.ephemeral { Parent::Ephemeral } else { Parent::Plain });
        match inside.or_else(|| self.live.parents.get(above).copied()) {
            Some(Parent::Plain) => Standing::Plain,
            Some(Parent::Ephemeral) => Standing::Ephemeral,
            None => Standing::None,
        }
    }

    /// Why we may not do what needs these rights.
    fn hindrance(&self, acl: &Acl, rights: i32, missing: Reason) -> Option<Reason> {
        match self.options.access {
            Access::Super => None,
            Access::Anyone if acl.gives_everybody(rights) => None,
            Access::Anyone if acl.gives_an_address(rights) => Some(Reason::ByAddress),
            Access::Anyone => Some(missing),
        }
    }

    fn open_or_closed(&self, acl: &Acl) -> Standing {
        self.hindrance(acl, CREATE, Reason::NeedsSuper).map_or(Standing::Plain, Standing::Closed)
    }

    fn existing(&mut self, path: &'a str, znode: &'a WantedZnode, now: &LiveZnode) -> Standing {
        if znode.kind == Kind::Ephemeral {
            self.skip(path, Reason::Ephemeral);
            return if now.ephemeral { Standing::Ephemeral } else { Standing::Plain };
        }
        if now.ephemeral {
            self.skip(path, Reason::EphemeralInPlace);
            return Standing::Ephemeral;
        }
        let wanted = Digest::of(&znode.data);
        let data = wanted != now.data;
        let hidden = now.acl.is_hidden(self.options.access);
        let acl = znode.acl.as_ref().filter(|acl| **acl != now.acl && !hidden);
        let mut then = self.open_or_closed(&now.acl);
        let counted = || if data { self.ends_servers(path) } else { None };
        let hindrance = self.not_as_left(path, znode, now, data).or_else(counted);
        let hindrance = hindrance.or_else(|| self.hindrance_to_change(znode, now, data, acl));
        match self.options.existing {
            Existing::Undo { .. } if hindrance == Some(Reason::OtherKind) => self.skip(path, Reason::OtherKind),
            _ if !data && acl.is_none() => match (hidden, &znode.acl) {
                (true, _) => self.skip(path, Reason::HiddenAcl),
                (false, None) => self.skip(path, Reason::UnknownAcl),
                (false, Some(_)) => self.counts.equal += 1,
            },
            Existing::Keep => self.skip(path, Reason::Kept),
            // An ACL that is set leaves no zxid in the znode: of that alone nobody knows whether it is newer.
            Existing::KeepNewer { than } if data && now.mzxid > than => self.skip(path, Reason::Newer),
            Existing::KeepNewer { .. } | Existing::Overwrite | Existing::Undo { .. }
                if let Some(reason) = hindrance =>
            {
                self.skip(path, reason);
            }
            Existing::KeepNewer { .. } | Existing::Overwrite | Existing::Undo { .. } => {
                if let Some(acl) = acl {
                    let turn = self.turn(acl, now);
                    if turn == Turn::Before {
                        then = self.open_or_closed(acl);
                        self.first.insert(path, acl);
                    }
                    let (path, aversion, czxid) = (path.to_owned(), now.aversion, now.czxid);
                    self.operations.push(Operation::SetAcl { path, aversion, czxid, acl: acl.clone(), turn });
                }
                if data {
                    match (&znode.acl, hidden) {
                        (None, _) => self.notes.push(Note::UnknownAcl { path: path.to_owned() }),
                        (Some(_), true) => self.notes.push(Note::HiddenAcl { path: path.to_owned() }),
                        (Some(_), false) => {}
                    }
                    let LiveZnode { version, czxid, mzxid, .. } = *now;
                    let path = path.to_owned();
                    self.operations.push(Operation::Set { path, version, czxid, mzxid, data: wanted });
                }
            }
        }
        then
    }

    /// Without the super user, an ACL that closes a znode can only come after its data: nobody but those whom it names could set it.
    fn hindrance_to_change(
        &self,
        znode: &WantedZnode,
        now: &LiveZnode,
        data: bool,
        acl: Option<&Acl>,
    ) -> Option<Reason> {
        let rights = if data { WRITE } else { 0 } | if acl.is_some() { ADMIN } else { 0 };
        // It could be neither before what needs the rights that it takes, nor after what needs those that it gives.
        let twofold = acl.is_some_and(|acl| !leaves_us_what_we_need(acl, now) && !now.acl.leaves_everybody(BELOW, acl));
        let missing = Reason::NeedsSuperToChange;
        let closes = znode.acl.as_ref().is_some_and(|wanted| !wanted.gives_everybody(READ));
        let access = self.options.access;
        let shown = access == Access::Anyone && data && closes && (acl.is_some() || now.acl.is_hidden(access));
        let shown = shown.then_some(Reason::NeedsSuperToHide);
        let twofold = (access == Access::Anyone && twofold).then_some(missing);
        // Without the super user only ACLs that everybody may set are set: everybody could let themselves in before.
        let both = |acl: &Acl| !acl.is_within(&now.acl) && !now.acl.is_within(acl);
        let crossed = access == Access::Super && data && acl.is_some_and(both);
        let crossed = crossed.then_some(Reason::OpensAndCloses);
        self.hindrance(&now.acl, rights, missing).or(shown).or(twofold).or(crossed)
    }

    /// When the ACL is set. Nobody ever reads the data that goes without the right to it by the ACL that was with it, nor the data
    /// that comes without the right to it by its own.
    fn turn(&self, wanted: &Acl, now: &LiveZnode) -> Turn {
        let after = match self.options.access {
            Access::Anyone => !leaves_us_what_we_need(wanted, now),
            // One that both gives and takes is alone: its data is as wanted.
            Access::Super => now.acl.is_within(wanted) && !wanted.is_within(&now.acl),
        };
        if after { Turn::After } else { Turn::Before }
    }

    /// What was not there at the point, children before their parents.
    fn extra(&mut self) {
        let live = self.live;
        let mut gone: HashMap<&str, usize> = HashMap::new();
        for (path, now) in live.znodes.iter().rev() {
            if self.wanted.znodes.contains_key(path) || !self.wanted.scope.has(path) {
                continue;
            }
            self.counts.extra += 1;
            if !self.options.delete_extra && !self.undoes() {
                continue;
            }
            let Some(above) = parent(path) else { continue };
            if let Some(reason) = self.reason_to_stay(path, now, gone.get(path.as_str()).copied().unwrap_or(0)) {
                self.skip(path, reason);
            } else {
                *gone.entry(above).or_insert(0) += 1;
                let LiveZnode { version, czxid, mzxid, .. } = *now;
                self.operations.push(Operation::Delete { path: path.clone(), version, czxid, mzxid });
            }
        }
        let created = self.wanted.left.keys().filter(|path| !self.wanted.znodes.contains_key(*path));
        self.counts.equal += created.filter(|path| !live.znodes.contains_key(*path)).count();
    }

    /// Why a znode that was not there is not deleted, where so many of its children are.
    fn reason_to_stay(&self, path: &str, now: &LiveZnode, gone: usize) -> Option<Reason> {
        let left = match self.wanted.left.get(path) {
            Some(Left::There(left)) => Some(left),
            Some(Left::Gone) | None => None,
        };
        let used = left.is_none_or(|left| left.counter != now.counter);
        if now.ephemeral {
            Some(Reason::ExtraEphemeral)
        } else if self.undoes() && !left.is_some_and(|left| left.is_still(now)) {
            Some(Reason::ChangedSince)
        } else if quota::is_taken_for_limits(path) {
            Some(Reason::TakenForLimits)
        } else if let Some(reason) = self.ends_servers(path) {
            Some(reason)
        } else if let Some(reason) = parent(path).and_then(|above| self.hindrance_to_delete_below(above)) {
            Some(reason)
        } else if gone != now.children {
            Some(Reason::ExtraWithChildren)
        } else {
            // Children that came and went: somebody uses it, and its counter would begin anew.
            (self.undoes() && used).then_some(Reason::ChangedSince)
        }
    }

    /// An ACL outside of the scope is not read: if it forbids this, the servers say so.
    fn hindrance_to_delete_below(&self, above: &str) -> Option<Reason> {
        let there = self.live.znodes.get(above).map(|now| &now.acl);
        let acl = self.first.get(above).copied().or(there)?;
        self.hindrance(acl, DELETE, Reason::NeedsSuperToDelete)
    }

    fn notes(&mut self) {
        let mut born: HashMap<&str, i64> = HashMap::new();
        let mut created = Vec::new();
        for operation in &self.operations {
            if let Operation::Create { path, kind, .. } = operation {
                if let Some(above) = parent(path) {
                    *born.entry(above).or_insert(0) += 1;
                }
                created.push((path.clone(), *kind));
            }
        }
        let mut notes = Vec::new();
        for (path, kind) in created {
            match kind {
                Kind::Ttl(_) => notes.push(Note::Ttl { path }),
                Kind::Container if !born.contains_key(path.as_str()) => notes.push(Note::EmptyContainer { path }),
                _ => {}
            }
        }
        let asked = Asked { wanted: self.wanted, live: self.live, born: &born, first: &self.first };
        // What an undo leaves to others since, it leaves as it is.
        let left: HashSet<&str> =
            self.skipped.iter().filter(|_| self.undoes()).map(|left| left.path.as_str()).collect();
        let stands = |path: &str| {
            !left.contains(path) && matches!(self.standing.get(path), Some(Standing::Plain | Standing::Closed(_)))
        };
        let raises = self.options.raise_counters;
        let may_raise = |path: &str, acl: &Acl| {
            raises && self.hindrance(acl, BELOW, Reason::NeedsSuper).is_none() && self.ends_servers(path).is_none()
        };
        let Counters { mut raised, lower, told } = counters(&asked, stands, may_raise);
        self.counts.counters = lower;
        let not_raised = told.iter().filter_map(|note| match note {
            Note::Counter { path, .. } if raises => {
                let quota = quota::unreadable(path, self.live)?.to_owned();
                Some(Note::NotRaised { path: path.clone(), quota })
            }
            _ => None,
        });
        notes.extend(not_raised);
        notes.extend(told);
        self.operations.append(&mut raised);
        if self.undoes() && !self.skipped.is_empty() {
            notes.push(Note::Part { left: self.skipped.len(), of: self.wanted.left.len() });
        }
        self.notes.append(&mut notes);
    }

    /// After all else: whose quota it is has to be known.
    fn quotas(&mut self) {
        let Quotas { mut operations, mut skipped, mut notes } =
            quotas(self.wanted, self.live, &self.options, &self.operations);
        self.operations.append(&mut operations);
        self.skipped.append(&mut skipped);
        let refuses =
            |note: &&Note| matches!(note, Note::Quota { .. } | Note::UnreadableLimits { .. } | Note::LowQuota { .. });
        notes.extend(quota::told(&self.operations, self.wanted, self.live));
        self.counts.quotas = notes.iter().filter(refuses).count();
        self.notes.append(&mut notes);
    }

    fn finish(mut self) -> Plan {
        self.operations.sort_by(|a, b| a.stage().cmp(&b.stage()).then_with(|| a.path().cmp(b.path())));
        let mut counts = Counts { skipped: self.skipped.len(), ..self.counts };
        for operation in &self.operations {
            match operation {
                Operation::Create { .. } => counts.create += 1,
                Operation::Set { .. } => counts.set += 1,
                Operation::SetAcl { .. } => counts.set_acl += 1,
                Operation::Delete { .. } => counts.delete += 1,
                Operation::Raise { .. } => counts.raise += 1,
                Operation::CreateQuota { .. } | Operation::SetQuota { .. } | Operation::CountQuota { .. } => {
                    counts.set_quota += 1;
                }
            }
        }
        let hash = hash(self.wanted, &self.options, &self.operations);
        Plan { hash, counts, operations: self.operations, skipped: self.skipped, notes: self.notes }
    }
}
