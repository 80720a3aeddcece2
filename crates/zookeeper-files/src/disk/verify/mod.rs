//! Verifies a member's files, and finds what a server does with each fault when it starts.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::disk::cover::{SnapshotCover, looks_whole};
use crate::disk::error::DiskError;
use crate::disk::member_files::{DataFile, MemberFiles};
use crate::disk::open::OnProgress;
use crate::disk::start::ServerStart;
use crate::ids::Zxid;
use crate::log::{AtStart, Header, MEMBER_LIMIT, SERVER_LIMIT, TxnType};
use crate::replay::MemberHistory;

mod dirty;
mod epochs;
mod folders;
mod logs;
mod snapshots;

pub use dirty::dirty_snapshots;
use snapshots::Snapshots;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something is lost or wrong.
    Damage,
    /// Worth knowing, but not damage.
    Notice,
}

impl Severity {
    /// Its name for programs and people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Damage => "damage",
            Self::Notice => "notice",
        }
    }
}

/// Something that the verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// In this file.
    pub path: PathBuf,
    /// How much it matters.
    pub severity: Severity,
    /// Its name for programs.
    pub name: &'static str,
    /// Where in the file.
    pub offset: Option<u64>,
    /// At or after this transaction.
    pub zxid: Option<Zxid>,
    /// What it is, in a sentence.
    pub text: String,
    /// What a server does with it when it starts.
    pub at_start: Option<AtStart>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.text)?;
        self.at_start.map_or(Ok(()), |at_start| write!(f, "; {}", at_start.says()))
    }
}

/// The report on a member's files.
#[derive(Debug, Default)]
pub struct Report {
    /// All findings.
    pub findings: Vec<Finding>,
    /// How many logs there are.
    pub logs: u64,
    /// How many snapshots there are.
    pub snapshots: u64,
    /// How many good transactions the logs have.
    pub records: u64,
    /// How many bytes were read.
    pub bytes: u64,
    /// The first transaction.
    pub first: Option<Zxid>,
    /// The last transaction.
    pub last: Option<Zxid>,
    /// What its logs have of the history of the ensemble.
    pub member_history: MemberHistory,
    /// Where its logs begin, also if that transaction is damaged.
    begins: Option<Zxid>,
    /// Some of its transactions, to compare them with other members.
    pub(crate) samples: BTreeMap<Zxid, (Header, TxnType, PathBuf)>,
}

impl Report {
    /// Whether nothing is lost or wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity == Severity::Notice)
    }

    fn add(&mut self, path: &Path, severity: Severity, name: &'static str, text: String) -> &mut Finding {
        let finding = Finding { path: path.to_owned(), severity, name, offset: None, zxid: None, text, at_start: None };
        self.findings.push(finding);
        let last = self.findings.len() - 1;
        &mut self.findings[last]
    }

    pub(crate) fn sample(&mut self, path: &Path, zxid: Zxid, sample: (Header, TxnType)) -> Result<(), DiskError> {
        let (header, txn_type) = sample;
        match self.samples.get(&zxid) {
            Some((other, of_type, one)) if (*other, *of_type) != (header, txn_type) => {
                Err(DiskError::Mixed { one: one.clone(), other: path.to_owned(), zxid })
            }
            _ => {
                self.samples.insert(zxid, (header, txn_type, path.to_owned()));
                Ok(())
            }
        }
    }
}

/// Which servers can read this many bytes.
fn beyond(length: usize) -> String {
    format!(
        "a server reads that only if its jute.maxbuffer and jute.maxbuffer.extrasize are together {length} or more. They are \
         {SERVER_LIMIT} by default, and {MEMBER_LIMIT} for members of this operator: say --max-record {MEMBER_LIMIT}, or what \
         yours have"
    )
}

/// Verifies all files of a member together.
pub fn verify(member: &MemberFiles, progress: OnProgress<'_>) -> Result<Report, DiskError> {
    let mut report = Report::default();
    let snapshots = snapshots::take(&mut report, member, progress)?;
    report.member_history.snapshots.extend(snapshots.sound.iter().copied());
    let cover = if member.single { member.cover() } else { SnapshotCover::of(snapshots.sound.iter().copied()) };
    let strays = member.strays.iter().filter(|stray| stray.log).map(|stray| &stray.file);
    let mut files: Vec<&DataFile> = member.logs.iter().chain(strays).collect();
    files.sort_by_key(|file| file.zxid);
    let limit = member.max_record.unwrap_or(SERVER_LIMIT);
    let judge = Judge { start: ServerStart::new(snapshots.base, &member.logs, limit), cover, single: member.single };
    let reached = logs::take(&mut report, member, &files, &judge, progress)?;
    snapshots::settle(&mut report, &snapshots);
    if !member.single {
        ends(&mut report, member, &snapshots);
        folders::take(&mut report, member);
        epochs::take(&mut report, member, reached.max(snapshots.base).unwrap_or_default())?;
    }
    Ok(report)
}

/// Verifies only the snapshots of a member. It reads the logs only if a snapshot alone does not show whether it is sound.
pub fn verify_snapshots(member: &MemberFiles, progress: OnProgress<'_>) -> Result<Report, DiskError> {
    let mut report = Report::default();
    let snapshots = snapshots::take(&mut report, member, progress)?;
    snapshots::settle(&mut report, &snapshots);
    Ok(report)
}

/// What the findings depend on: how a server starts, and which snapshots cover gaps.
struct Judge {
    start: ServerStart,
    cover: SnapshotCover,
    single: bool,
}

/// Checks that the logs reach the newest snapshot.
fn ends(report: &mut Report, member: &MemberFiles, snapshots: &Snapshots) {
    let newest = snapshots.sound.iter().max().copied();
    let last = member.logs.iter().rfind(|file| file.zxid <= report.last).or(member.logs.last());
    let Some(log) = last.or(member.snapshots.last()) else { return };
    match (snapshots.base, newest, report.begins, report.last) {
        (None, ..) => {
            let (text, at_start) = no_snapshot(member);
            report.add(&log.path, Severity::Damage, "no-snapshot", text.to_owned()).at_start = Some(at_start);
        }
        (_, Some(newest), Some(first), _) if first.0 > newest.0 + 1 && crate::log::jump(newest, first).is_some() => {
            let text = format!("transactions are missing between the newest snapshot, {newest:#}, and {first:#}");
            let finding = report.add(&member.logs[0].path, Severity::Damage, "missing", text);
            (finding.zxid, finding.at_start) = (Some(newest), Some(AtStart::DropsInSilence));
        }
        // A new leader names a snapshot after its epoch's 0, which is no transaction.
        (_, Some(newest), Some(_), Some(last)) if newest > last && newest.counter() != 0 => {
            let text = format!(
                "the logs end with {last:#} and a snapshot is of {newest:#}: they were cut, or it came from the leader"
            );
            report.add(&log.path, Severity::Notice, "behind-snapshot", text).zxid = Some(last);
        }
        _ => {}
    }
}

/// Without a snapshot a server of 3.5.4 or later does not start on logs. It looks at snapshots in two steps: at their ends,
/// and then at all of them, and refuses only on those that passed the first.
fn no_snapshot(member: &MemberFiles) -> (&'static str, AtStart) {
    if member.snapshots.is_empty() {
        let text = "there is no snapshot for the logs to begin from (if snapshots have a folder of their own, name it first: \
                    DATA,LOG; before 3.5 new members had none, for which there is zookeeper.snapshot.trust.empty)";
        return (text, AtStart::Refuses);
    }
    let refuses = !member.logs.is_empty() || member.snapshots.iter().any(|file| looks_whole(&file.path));
    let text = if refuses {
        "there is no sound snapshot for the logs to begin from"
    } else {
        "there is neither a sound snapshot nor a log: a server begins with an empty tree"
    };
    (text, if refuses { AtStart::Refuses } else { AtStart::DropsInSilence })
}
