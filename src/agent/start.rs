//! From what a pod is given to a volume that its server may start with.
//!
//! Invariants:
//! - the other founders are asked only once names resolve: while DNS is away nobody is heard, and silence is no witness;
//! - the right to vote is given after that answer, and after everything else. Where a loss was accepted, somebody with data has to
//!   confirm that it is still one: there silence gives no right;
//! - whoever waits for its own name goes on waiting in one run, and reads anew what it is told: a name that appears, or one that is
//!   put right, does not wait for a kubelet that lets more and more time pass;
//! - a database is built from an archive once the founders have been asked, and taken over once they have been asked again: one that
//!   lost its disk after the birth must not vote with what the archive had before it;
//! - what was told while names or founders were waited for counts: a minute is enough for an ensemble to be born, and for the
//!   kubelet to mount the charter that forbids the vote.

use std::time::Duration;

use anyhow::bail;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::archive::access::Mounted;
use crate::model::{Beginning, Membership, ParentPoint, ServerId};

use super::birth;
use super::build;
use super::prepare::{Preparation, prepare};
use super::resolve::{self, Missing};
use super::seed::{Mounts, Seed};
use super::volume::Volume;

/// How long a run goes on waiting. After one of so many minutes a kubelet has forgotten those that failed before it.
pub const PATIENCE: Duration = Duration::from_mins(10);

/// Whom a start asks, and who hears of it.
pub trait Others {
    /// Those of the members' names that do not resolve within `bound`.
    async fn missing(&self, using: &Membership, seed: &Seed, bound: Duration) -> Missing;
    /// A founder who has seen the ensemble live, if one says so.
    async fn witness(&self, seed: &Seed, own: ServerId) -> Option<ServerId>;
    /// Whether the loss of a majority that somebody accepted still is one: a member with data is in this epoch, and none in a later one.
    async fn still_lost(&self, seed: &Seed, own: ServerId, last: u64) -> bool;
    /// Builds a database beside the volume's own, from an archive.
    async fn build(&self, parent: &ParentPoint, volume: &Volume) -> anyhow::Result<()>;
    /// Leaves words behind for whoever looks at the pod.
    fn tell(&self, words: &str);
}

/// The other members of the ensemble and archives, by the pod's network, and the kubelet.
pub struct Network {
    /// What is mounted to reach the archive that an ensemble is made from.
    pub parent: Mounted,
}

impl Others for Network {
    async fn missing(&self, using: &Membership, seed: &Seed, bound: Duration) -> Missing {
        resolve::wait(using, seed, bound).await
    }

    async fn witness(&self, seed: &Seed, own: ServerId) -> Option<ServerId> {
        birth::witness(seed, own).await
    }

    async fn still_lost(&self, seed: &Seed, own: ServerId, last: u64) -> bool {
        birth::still_lost(seed, own, last).await
    }

    async fn build(&self, parent: &ParentPoint, volume: &Volume) -> anyhow::Result<()> {
        build::build(parent, volume, &self.parent, &|words| self.tell(words)).await
    }

    fn tell(&self, words: &str) {
        super::leave_behind(words);
    }
}

/// One run of `prepare`.
pub struct Start {
    /// The member.
    pub id: ServerId,
    /// What it is told.
    pub mounts: Mounts,
    /// Its data.
    pub volume: Volume,
    /// How long names are waited for at a time.
    pub bound: Duration,
    /// How long in all.
    pub patience: Duration,
}

impl Start {
    /// Makes the volume ready, or says why its server must not start.
    pub async fn ready(&self, others: &impl Others) -> anyhow::Result<()> {
        let (id, bound, begun) = (self.id, self.bound, Instant::now());
        // The operator hears what is wrong when a container ends: the first run does so as soon as it knows.
        let first = self.volume.look()?.mark.is_none();
        loop {
            let seed = Seed::read(&self.mounts)?;
            let plan = self.plan(&seed)?;
            self.volume.apply(plan.before_birth())?;
            let missing = others.missing(&plan.using, &seed, bound).await;
            let Some(refusal) = resolve::refusal(&plan.using, id, &missing, bound) else {
                if !self.end(seed, others).await? {
                    info!(%id, "it is told something else by now: beginning again");
                    continue;
                }
                // The server may come to know the others yet, and waits better than a container that starts again and again.
                others.tell(&resolve::words(&plan.using, id, &missing, bound).unwrap_or_default());
                return Ok(());
            };
            if first || begun.elapsed() >= self.patience {
                bail!(refusal);
            }
            others.tell(&refusal);
        }
    }

    /// What is left to do once names resolve; not done if this is not what it is told any more.
    async fn end(&self, mut seed: Seed, others: &impl Others) -> anyhow::Result<bool> {
        let (id, told) = (self.id, seed.clone());
        let look = self.volume.look()?;
        if seed.beginning.is_birth()
            && (!look.database || look.untouched)
            && let Some(witness) = others.witness(&seed, id).await
        {
            warn!(%id, %witness, "the charter is out of date: the ensemble has been born, and this disk is empty");
            seed.beginning = Beginning::TakenUp;
        }
        if let Some(last) = seed.may_vote.get(&id).copied()
            && !self.volume.look()?.database
            && !others.still_lost(&seed, id, last).await
        {
            warn!(%id, last, "it may not vote: no member with data confirms that this loss is still one");
            seed.may_vote.clear();
        }
        // From here on nobody is waited for.
        if Seed::read(&self.mounts)? != told {
            return Ok(false);
        }
        let plan = self.plan(&seed)?;
        if let Some(parent) = &plan.builds {
            if let Err(error) = others.build(parent, &self.volume).await {
                // What was brought takes room, and is the other ensemble's.
                self.volume.clear()?;
                return Err(error);
            }
            // That took long: whoever was asked before is asked again.
            return Ok(false);
        }
        for file in &plan.ignored {
            warn!(%file, "not believed");
        }
        info!(%id, version = %plan.using.version, from = ?plan.from, birth = seed.beginning.is_birth(), "membership to start with");
        self.volume.apply(&plan.changes)?;
        self.volume.clear()?;
        Ok(true)
    }

    fn plan(&self, seed: &Seed) -> anyhow::Result<Preparation> {
        Ok(prepare(&self.volume.look()?, seed, self.id, &self.volume.root())?)
    }
}

#[cfg(test)]
mod tests;
