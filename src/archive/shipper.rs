//! Ships a member's committed transactions, segment by segment.
//!
//! Invariants: one put at a time; a segment is sent when it is proved to be committed, and counts as shipped when the store has
//! said so, or has it; what the store has under our name and is not ours ends the chain, and is never overwritten.

use bytes::Bytes;
use zookeeper_files::ids::{Zxid, ZxidRange};

use super::backlog::{Backlog, Behind, Proof, ReadError};
use super::bases::BEGINNING;
use super::chains;
use super::gate::{Admission, Gate};
use super::key::Chain;
use super::segment::{Facts, Link, NotASegment};
use super::store::{Put, Store, StoreError};

/// Raw bytes of log at which a segment is cut.
pub const CUT: u64 = 4 << 20;

/// One disk's shipper.
pub struct Shipper {
    store: Store,
    identity: String,
    chain: Chain,
    backlog: Backlog,
    gate: Gate,
    last: Option<Link>,
    /// Where the unbroken run that ends with it begins, as far as this process knows: it may begin earlier.
    begins: Option<Zxid>,
    /// Whether it begins there: with the chain, or behind a gap.
    starts: bool,
    /// The time of the last transaction, in milliseconds since 1970.
    time: i64,
    /// Whether the log has shown that it has what was shipped last.
    proved: bool,
}

/// What a shipper knows of its chain, for the next one: the transactions between these two follow one on the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    begins: Zxid,
    starts: bool,
    last: Link,
}

/// What came of one look at the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing in the log is unshipped.
    Idle,
    /// What the log has is not proved to be committed yet.
    Waiting,
    /// The same, of an epoch that has ended: only a transaction behind it shows whether it was.
    Held(ZxidRange),
    /// These were shipped.
    Shipped {
        /// The transactions.
        zxids: ZxidRange,
        /// Transactions before them that this log has and nobody can prove.
        unknown: Vec<ZxidRange>,
        /// The last one that was shipped before, if they are not proved to follow on it: what is between may be missing.
        gap: Option<Zxid>,
        /// Whether more is committed already than fits into a segment.
        more: bool,
    },
}

/// Why a shipper cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ShipError {
    /// Its chain in the archive is not what its log has. Only a person can say which of them is right.
    #[error(
        "the archive has other transactions than this disk under the name of this disk ({chain}): {what}. Either the disk was copied or brought back from an older time, or the archive was changed. Nothing is overwritten; a member with a new volume begins a chain of its own"
    )]
    Conflict {
        /// The chain.
        chain: Chain,
        /// What differs.
        what: String,
    },
    /// The archive has more of this disk than its log. Nothing is shipped until the log has caught up and proves to be the same.
    #[error("the archive has transactions of this disk ({chain}) up to {last:#}, and its log ends {}: either it catches up, or the disk was brought back from an older time, or somebody else wrote to the archive", .ends.map_or("before any".to_owned(), |ends| format!("at {ends:#}")))]
    Ahead {
        /// The chain.
        chain: Chain,
        /// The last transaction in the archive.
        last: Zxid,
        /// The last one in the log.
        ends: Option<Zxid>,
    },
    /// The store did not do it. It is tried again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk did not. It is tried again.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An object of the chain cannot be read.
    #[error("{name} is damaged: {why}")]
    Damaged {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: NotASegment,
    },
}

impl Shipper {
    /// Goes on behind the last segment that the archive has of this chain.
    pub async fn resume(store: Store, identity: &str, chain: Chain, mut backlog: Backlog) -> Result<Self, ShipError> {
        let last = chains::last(&store, identity, &chain).await?;
        backlog.go_on_behind(last.as_ref().map(|facts| facts.last))?;
        let (identity, gate) = (identity.to_owned(), Gate::default());
        let mut shipper = Self {
            store,
            identity,
            chain,
            backlog,
            gate,
            last: None,
            begins: None,
            starts: false,
            time: 0,
            proved: true,
        };
        if let Some(facts) = last {
            shipper.take_over(&facts)?;
        }
        Ok(shipper)
    }

    /// The last transaction that was shipped.
    pub fn last(&self) -> Option<Zxid> {
        self.last.as_ref().map(|link| link.last)
    }

    /// The segment that ends with it.
    pub fn segment(&self) -> Option<ZxidRange> {
        self.last.as_ref().map(|link| ZxidRange { first: link.first, last: link.last })
    }

    /// The last transaction with its time in milliseconds since 1970, if the archive is known to lead there: from the newest base, or from the very
    /// beginning. A chain that begins later, or has a gap behind the base, may lack what is between.
    pub fn reaches(&self, newest: Option<Zxid>) -> Option<(Zxid, i64)> {
        let (last, begins) = (self.last()?, self.begins?);
        let from_base = newest.is_some_and(|base| base.0.saturating_add(1) >= begins.0 && base <= last);
        (begins == BEGINNING || from_base).then_some((last, self.time))
    }

    /// What is known of the chain.
    pub fn run(&self) -> Option<Run> {
        Some(Run { begins: self.begins?, starts: self.starts, last: self.last.clone()? })
    }

    /// Where the unbroken run that ends the chain begins, if it is known to begin there, and that is not the beginning of the ensemble:
    /// without a base up to there, nothing that this chain has since can be built.
    pub fn starts(&self) -> Option<Zxid> {
        self.begins.filter(|begins| self.starts && *begins != BEGINNING)
    }

    /// Takes over what a shipper of the same chain knew, if the chain still ends there. Nobody reads all of it again for that.
    pub fn recall(&mut self, run: &Run) {
        if self.last.as_ref() == Some(&run.last) {
            (self.begins, self.starts) = (Some(run.begins), run.starts);
        }
    }

    /// Whether the log has anything that is not shipped: worth asking the server about.
    pub fn has_more(&mut self) -> Result<bool, ShipError> {
        let last = self.last();
        Ok(self.backlog.has_more(last)?)
    }

    /// Where the log has nothing more to ship: what the server was synced with and has not logged. It then writes a snapshot that is newer than its
    /// log. Only the next transaction in the log shows the gap, and where nobody writes there is none.
    pub fn unlogged(&self) -> Result<Option<ZxidRange>, ShipError> {
        let (last, newest) = (self.last().unwrap_or_default(), self.backlog.newest_snapshot()?);
        Ok(newest.filter(|newest| *newest > last).map(|newest| ZxidRange { first: Zxid(last.0 + 1), last: newest }))
    }

    /// What the log has behind the last transaction that was shipped.
    pub fn behind(&mut self) -> Result<Option<Behind>, ShipError> {
        let last = self.last();
        Ok(self.backlog.behind(last)?)
    }

    /// Ships the next segment. `applied` is what the server said just before that it has applied while it serves, and `epoch` the
    /// epoch in which it does.
    pub async fn ship(&mut self, applied: Zxid, epoch: u64) -> Result<Outcome, ShipError> {
        self.gate.hear(applied);
        let last = self.last();
        let pending = self.backlog.pending(last, CUT, &|zxid| self.gate.has_applied(zxid))?;
        if pending.runs.is_empty() {
            return Ok(Outcome::Idle);
        }
        let before = pending.before.filter(|_| self.proved);
        let mut unknown = Vec::new();
        let admitted = self.gate.admit(before, &pending.runs, &pending.snapshots);
        for (number, admission) in admitted.iter().enumerate() {
            match *admission {
                Admission::Unknown(zxids) => unknown.push(zxids),
                Admission::Committed { zxids, follows } => {
                    let others = admitted[number + 1..].iter();
                    let more = others.clone().any(|other| matches!(other, Admission::Committed { .. })) || pending.more;
                    let gap = last.filter(|_| !follows);
                    let shipped = self.send(zxids, follows, epoch).await?;
                    // That a later epoch took it over is as good as having applied it.
                    self.gate.hear(zxids.last);
                    return Ok(Outcome::Shipped {
                        zxids: shipped,
                        unknown,
                        gap,
                        more: more || shipped.last < zxids.last,
                    });
                }
            }
        }
        Ok(Gate::held(&pending.runs, epoch).map_or(Outcome::Waiting, Outcome::Held))
    }

    /// The log has changed under the reading: looks for its place anew.
    pub fn look_again(&mut self) {
        self.backlog.forget();
    }

    async fn send(&mut self, zxids: ZxidRange, follows: bool, epoch: u64) -> Result<ZxidRange, ShipError> {
        let last = self.last();
        let (writer, shipped) = self.backlog.read(last, zxids, CUT)?;
        let facts = writer.facts(&self.identity, &self.chain, epoch, self.last.clone(), follows);
        let facts = facts.ok_or(ReadError::Changed)?;
        let name = facts.key().path(&self.identity);
        let object = writer.pack(&facts).map_err(ReadError::Packing)?;
        match self.store.put(&name, Bytes::from(object)).await? {
            Put::Stored => {
                self.backlog.shipped(shipped);
                self.proved = true;
                self.end_with(&facts);
                Ok(ZxidRange { first: facts.first, last: facts.last })
            }
            Put::Taken => self.met(&name, &facts).await,
        }
    }

    /// What is stored under the name of a segment already: it is ours if it has the same transactions, whether or not it ends
    /// where ours does.
    async fn met(&mut self, name: &str, ours: &Facts) -> Result<ZxidRange, ShipError> {
        let Some(theirs) = chains::facts(&self.store, &self.identity, &ours.key()).await? else {
            // S3 says 409 as well where two writes met and neither was stored.
            return Err(ReadError::Changed.into());
        };
        if theirs.previous != ours.previous || theirs.identity != ours.identity || theirs.key() != ours.key() {
            return Err(self.conflict(format!("{name} is another segment, or follows on another one")));
        }
        self.take_over(&theirs)?;
        self.backlog.forget();
        Ok(ZxidRange { first: theirs.first, last: theirs.last })
    }

    /// Goes on behind a segment of the archive, if the log does not show that it is another's.
    fn take_over(&mut self, facts: &Facts) -> Result<(), ShipError> {
        let zxids = ZxidRange { first: facts.first, last: facts.last };
        self.proved = match self.backlog.prove(facts)? {
            Proof::Same => true,
            Proof::Gone => false,
            Proof::NotYet(ends) => {
                return Err(ShipError::Ahead { chain: self.chain.clone(), last: facts.last, ends });
            }
            Proof::Different => return Err(self.conflict(format!("its segment of {zxids} is not what the log has"))),
        };
        self.end_with(facts);
        Ok(())
    }

    /// The chain ends with this segment now.
    fn end_with(&mut self, facts: &Facts) {
        if !facts.follows {
            (self.begins, self.starts) = (Some(facts.first), true);
        } else if self.begins.is_none() {
            (self.begins, self.starts) = (Some(facts.first), false);
        }
        (self.last, self.time) = (Some(facts.link()), facts.latest);
    }

    fn conflict(&self, what: String) -> ShipError {
        ShipError::Conflict { chain: self.chain.clone(), what }
    }
}
