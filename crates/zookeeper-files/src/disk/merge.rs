//! The logs of several members, read as the one history of their ensemble.

use std::path::{Path, PathBuf};

use crate::disk::chain::Chain;
use crate::disk::error::CannotLook;
use crate::disk::member::Member;
use crate::disk::open::OnProgress;
use crate::disk::verify::Report;
use crate::ids::Zxid;
use crate::log::Record;
use crate::replay::{History, Strand, Verdict, decide};

/// What several members' files say about their history.
#[derive(Debug, Default)]
pub struct Surveyed {
    /// What is committed and what is not.
    pub history: History,
    /// What each member's files say, in the order of the members.
    pub strands: Vec<Strand>,
    /// Logs that are damaged: what they hold of an epoch may not be all that they held.
    pub damaged: Vec<PathBuf>,
}

/// Reads all logs once, and decides on the history. Members of different ensembles are refused.
pub fn survey(members: &[Member], voters: Option<usize>, progress: OnProgress<'_>) -> Result<Surveyed, CannotLook> {
    let mut all = Report::default();
    let (mut strands, mut damaged) = (Vec::new(), Vec::new());
    for member in members {
        let mut strand = Strand::default();
        for file in &member.logs {
            let Some(survey) = crate::disk::survey::log(&file.path, member.max_record, progress)? else { continue };
            if survey.lost_some() {
                damaged.push(file.path.clone());
            }
            for (zxid, sample) in survey.samples {
                all.sample(&file.path, zxid, sample)?;
            }
            survey.strand.epochs.values().for_each(|&range| strand.add_all(range));
        }
        strand.snapshots.extend(member.snapshots.iter().filter_map(|file| file.zxid));
        strands.push(strand);
    }
    Ok(Surveyed { history: decide(&strands, voters), strands, damaged })
}

/// The logs of several members, each transaction once, those left out that were never committed.
pub struct Merge<'h> {
    chains: Vec<Chain>,
    history: Option<&'h History>,
    at: Option<usize>,
    dropped: u64,
}

impl<'h> Merge<'h> {
    /// All that is in the logs of these members. Stands before the first transaction.
    pub fn new(members: &[Member], history: Option<&'h History>, progress: OnProgress<'_>) -> Result<Self, CannotLook> {
        let chains = members.iter().map(|member| Chain::new(&member.logs, member.max_record, progress));
        Ok(Self::of(chains.collect::<Result<_, _>>()?, history))
    }

    /// What comes after a transaction, and some of what is before it.
    pub(crate) fn after(
        zxid: Zxid,
        members: &[Member],
        history: Option<&'h History>,
        progress: OnProgress<'_>,
    ) -> Result<Self, CannotLook> {
        let chains = members.iter().map(|member| Chain::new(member.logs_after(zxid), member.max_record, progress));
        Ok(Self::of(chains.collect::<Result<_, _>>()?, history))
    }

    fn of(chains: Vec<Chain>, history: Option<&'h History>) -> Self {
        Self { chains, history, at: None, dropped: 0 }
    }

    /// Goes to the next transaction; `None` at the end.
    pub fn advance(&mut self, progress: OnProgress<'_>) -> Result<Option<Zxid>, CannotLook> {
        if let Some(zxid) = self.at.take().and_then(|at| self.chains[at].zxid()) {
            self.leave(zxid, progress)?;
        }
        loop {
            let ahead = self.chains.iter().enumerate().filter_map(|(number, chain)| Some((chain.zxid()?, number)));
            let Some((zxid, number)) = ahead.min() else { return Ok(None) };
            if self.history.is_none_or(|history| history.verdict(zxid) != Verdict::NeverCommitted) {
                self.agree(zxid, number)?;
                self.at = Some(number);
                return Ok(Some(zxid));
            }
            self.dropped += 1;
            self.leave(zxid, progress)?;
        }
    }

    fn leave(&mut self, zxid: Zxid, progress: OnProgress<'_>) -> Result<(), CannotLook> {
        for chain in self.chains.iter_mut().filter(|chain| chain.zxid() == Some(zxid)) {
            chain.advance(progress)?;
        }
        Ok(())
    }

    fn agree(&self, zxid: Zxid, number: usize) -> Result<(), CannotLook> {
        let one = &self.chains[number];
        let header = |chain: &Chain| Some(chain.record()?.ok()?.header);
        let mut others = self.chains.iter().filter(|chain| chain.zxid() == Some(zxid));
        match others.find(|other| header(other) != header(one)) {
            None => Ok(()),
            Some(other) => {
                let path = |chain: &Chain| chain.path().unwrap_or(Path::new("")).to_owned();
                Err(CannotLook::Mixed { one: path(one), other: path(other), zxid })
            }
        }
    }

    /// The transaction at hand.
    pub fn record(&self) -> Option<Record<'_>> {
        self.chains[self.at?].record()?.ok()
    }

    /// Damage that was met, with the files it is in.
    pub fn damage(&self) -> impl Iterator<Item = &(PathBuf, crate::log::Damage)> {
        self.chains.iter().flat_map(|chain| &chain.damage)
    }

    /// The logs that were purged before they could be read.
    pub fn purged(&self) -> impl Iterator<Item = &PathBuf> {
        self.chains.iter().flat_map(Chain::purged)
    }

    /// How many transactions were left out, since they were never committed.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}
