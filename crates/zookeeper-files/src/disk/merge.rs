//! Merges the logs of several members into the history of their ensemble.

use std::path::{Path, PathBuf};

use crate::disk::cursor::LogCursor;
use crate::disk::epoch_files::EpochFiles;
use crate::disk::error::DiskError;
use crate::disk::member_files::MemberFiles;
use crate::disk::open::OnProgress;
use crate::disk::verify::Report;
use crate::ids::Zxid;
use crate::log::Record;
use crate::replay::{CommitStatus, CommittedHistory, MemberHistory, decide};

/// The history, as the files of several members show it.
#[derive(Debug, Default)]
pub struct HistorySurvey {
    /// What was committed and what was not.
    pub history: CommittedHistory,
    /// What each member has, in the order of the members.
    pub member_histories: Vec<MemberHistory>,
    /// Damaged logs: they may have had more of an epoch than can be read.
    pub damaged: Vec<PathBuf>,
}

/// Reads all logs once, and decides what was committed. Refuses members of different ensembles.
pub fn survey(
    members: &[MemberFiles],
    voters: Option<usize>,
    progress: OnProgress<'_>,
) -> Result<HistorySurvey, DiskError> {
    let mut all = Report::default();
    let (mut member_histories, mut damaged) = (Vec::new(), Vec::new());
    for member in members {
        let mut member_history = MemberHistory::default();
        for file in &member.logs {
            let Some(survey) = crate::disk::survey::log(&file.path, member.max_record, progress)? else { continue };
            if survey.lost_some() {
                damaged.push(file.path.clone());
            }
            for (zxid, sample) in survey.samples {
                all.sample(&file.path, zxid, sample)?;
            }
            member_history.append(&survey.member_history);
        }
        member_history.epoch =
            member.data.as_deref().map(EpochFiles::read).transpose()?.and_then(|files| files.is_in());
        member_history.snapshots.extend(member.snapshots.iter().filter_map(|file| file.zxid));
        member_histories.push(member_history);
    }
    Ok(HistorySurvey { history: decide(&member_histories, voters), member_histories, damaged })
}

/// The merged logs of several members: each transaction once, without those that were never committed.
pub struct Merge<'h> {
    cursors: Vec<LogCursor>,
    history: Option<&'h CommittedHistory>,
    at: Option<usize>,
    dropped: u64,
}

impl<'h> Merge<'h> {
    /// Merges all logs of these members. Starts before the first transaction.
    pub fn new(
        members: &[MemberFiles],
        history: Option<&'h CommittedHistory>,
        progress: OnProgress<'_>,
    ) -> Result<Self, DiskError> {
        let cursors = members.iter().map(|member| LogCursor::new(&member.logs, member.max_record, progress));
        Ok(Self::of(cursors.collect::<Result<_, _>>()?, history))
    }

    /// Merges the logs with everything after a transaction, and some of what is before it.
    pub(crate) fn after(
        zxid: Zxid,
        members: &[MemberFiles],
        history: Option<&'h CommittedHistory>,
        progress: OnProgress<'_>,
    ) -> Result<Self, DiskError> {
        let cursors = members.iter().map(|member| LogCursor::new(member.logs_after(zxid), member.max_record, progress));
        Ok(Self::of(cursors.collect::<Result<_, _>>()?, history))
    }

    fn of(cursors: Vec<LogCursor>, history: Option<&'h CommittedHistory>) -> Self {
        Self { cursors, history, at: None, dropped: 0 }
    }

    /// Moves to the next transaction; `None` at the end.
    pub fn advance(&mut self, progress: OnProgress<'_>) -> Result<Option<Zxid>, DiskError> {
        if let Some(zxid) = self.at.take().and_then(|at| self.cursors[at].zxid()) {
            self.leave(zxid, progress)?;
        }
        loop {
            let ahead = self.cursors.iter().enumerate().filter_map(|(number, cursor)| Some((cursor.zxid()?, number)));
            let Some((zxid, number)) = ahead.min() else { return Ok(None) };
            if self.history.is_none_or(|history| history.commit_status(zxid) != CommitStatus::NeverCommitted) {
                self.agree(zxid, number)?;
                self.at = Some(number);
                return Ok(Some(zxid));
            }
            self.dropped += 1;
            self.leave(zxid, progress)?;
        }
    }

    fn leave(&mut self, zxid: Zxid, progress: OnProgress<'_>) -> Result<(), DiskError> {
        for cursor in self.cursors.iter_mut().filter(|cursor| cursor.zxid() == Some(zxid)) {
            cursor.advance(progress)?;
        }
        Ok(())
    }

    fn agree(&self, zxid: Zxid, number: usize) -> Result<(), DiskError> {
        let one = &self.cursors[number];
        let header = |cursor: &LogCursor| Some(cursor.record()?.ok()?.header);
        let mut others = self.cursors.iter().filter(|cursor| cursor.zxid() == Some(zxid));
        match others.find(|other| header(other) != header(one)) {
            None => Ok(()),
            Some(other) => {
                let path = |cursor: &LogCursor| cursor.path().unwrap_or(Path::new("")).to_owned();
                Err(DiskError::Mixed { one: path(one), other: path(other), zxid })
            }
        }
    }

    /// The current transaction.
    pub fn record(&self) -> Option<Record<'_>> {
        self.cursors[self.at?].record()?.ok()
    }

    /// The damage so far, with its files.
    pub fn damage(&self) -> impl Iterator<Item = &(PathBuf, crate::log::Damage)> {
        self.cursors.iter().flat_map(|cursor| &cursor.damage)
    }

    /// The logs that were purged before they could be read.
    pub fn purged(&self) -> impl Iterator<Item = &PathBuf> {
        self.cursors.iter().flat_map(LogCursor::purged)
    }

    /// The number of transactions left out because they were never committed.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}
