//! Commits something where nobody writes, so that members can show what of their logs is committed.
//!
//! A member cannot prove the end of an epoch that is over before a transaction follows on it (`archive::gate`), and does not archive it
//! until then. After a restart of an ensemble that nobody writes to, acknowledged writes would be missing from the archive for ever. Opening a
//! session is a transaction, needs no rights, and changes no znode. The same shows, and lets a base prove, what a member was synced with by a
//! snapshot and has in no log.
//!
//! - It is done only where there is nothing to do but wait, a quorum serves, and somebody who ships holds something back: at rest there is no
//!   session.
//! - It is bounded: at most [`MOST`] times for the same end of the same log, with pauses between (the operator's notes). If a member holds it
//!   back all the same, the condition says so, and the next write of anybody else is another chance.

use std::collections::BTreeMap;

use super::archive;
use super::step::Step;
use super::view::View;
use crate::model::truth::HeldBack;
use crate::model::{Membership, ServerId, Zxid};

/// In seconds: clients of an ensemble that was restarted come back within that, and any write of theirs does the same. It is less than after
/// which an archive is `Behind`.
const PATIENCE: u64 = 15;
/// With the pauses between, some half an hour: a quorum that comes and goes does not outlast that.
const MOST: u32 = 5;

/// Something to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prove {
    /// By member: the last transaction of what it holds back.
    pub held: BTreeMap<ServerId, Zxid>,
    /// The membership on which this was decided.
    pub from: Membership,
    /// Members to open a session with.
    pub via: Vec<ServerId>,
}

impl Prove {
    /// What is done, in a sentence.
    pub fn words(&self) -> String {
        let members: Vec<String> = self.held.keys().map(ToString::to_string).collect();
        let who = if members.len() == 1 { "member" } else { "members" };
        format!(
            "opening a session, since nothing was written after a change of the leader or a sync: with that write {who} {} can show which transactions are committed, and archive them",
            members.join(", ")
        )
    }
}

/// What to commit now, instead of a step that does nothing.
pub fn instead(step: &Step, view: &View<'_>) -> Option<Prove> {
    let hindrances = &view.seen.hindrances;
    if !step.idle() || hindrances.unproven.waits || hindrances.denied {
        return None;
    }
    let from = view.committed()?.clone();
    let due = |(id, epoch, HeldBack { last, seconds, unlogged, .. }): (ServerId, u64, HeldBack)| {
        // What it says and in which epoch it serves are not of one moment.
        let ended = unlogged || last.epoch() < epoch;
        (ended && seconds >= PATIENCE).then_some((id, last))
    };
    let held: BTreeMap<ServerId, Zxid> = archive::held_back(view).filter_map(due).collect();
    let tries = |(id, last): (&ServerId, &Zxid)| {
        let tried = hindrances.unproven.tried.get(id).filter(|(of, _)| of == last);
        tried.is_none_or(|(_, times)| *times < MOST)
    };
    let via = view.to_ask(None);
    (held.iter().any(tries) && !via.is_empty()).then_some(Prove { held, from, via })
}
