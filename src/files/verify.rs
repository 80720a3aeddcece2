//! The verdict on a member's files, and what a server would make of each fault when it starts.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::files::error::CannotLook;
use crate::files::member::{File, Member};
use crate::files::survey::{self, LogSurvey, OnProgress, SnapshotSurvey};
use crate::log::{AtStart, Fault, Header, Kind};
use crate::model::ids::Zxid;
use crate::replay::Strand;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something is lost or wrong.
    Damage,
    /// Worth to know, and as it should be.
    Notice,
}

/// Something that was found.
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

/// What was found in a member's files.
#[derive(Debug, Default)]
pub struct Report {
    /// All that was found.
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
    /// What its logs say about the history of the ensemble.
    pub strand: Strand,
    /// Where its logs begin, be that transaction good or not.
    begins: Option<Zxid>,
    /// Some of its transactions, to be compared with other members'.
    pub(crate) samples: BTreeMap<Zxid, (Header, Kind, PathBuf)>,
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

    pub(crate) fn sample(&mut self, path: &Path, zxid: Zxid, sample: (Header, Kind)) -> Result<(), CannotLook> {
        let (header, kind) = sample;
        match self.samples.get(&zxid) {
            Some((other, of_kind, one)) if (*other, *of_kind) != (header, kind) => {
                Err(CannotLook::Mixed { one: one.clone(), other: path.to_owned(), zxid })
            }
            _ => {
                self.samples.insert(zxid, (header, kind, path.to_owned()));
                Ok(())
            }
        }
    }
}

/// Verifies all files of a member, and how they hang together.
pub fn verify(member: &Member, progress: OnProgress<'_>) -> Result<Report, CannotLook> {
    let mut report = Report::default();
    let mut whole = Vec::new();
    for file in &member.snapshots {
        if take_snapshot(&mut report, member, file, progress)? {
            whole.extend(file.zxid);
        }
    }
    report.strand.snapshots.extend(whole.iter().copied());
    let mut previous: Option<(&File, LogSurvey)> = None;
    for (number, file) in member.logs.iter().enumerate() {
        let newest = number + 1 == member.logs.len();
        let Some(survey) = take_log(&mut report, member, file, newest, &whole, progress)? else { continue };
        if let Some((before, survey_before)) = &previous {
            between(&mut report, (before, survey_before), (file, &survey), &whole);
        }
        if survey.records > 0 || previous.is_none() {
            previous = Some((file, survey));
        }
    }
    for stray in &member.strays {
        let text = "a server takes it for one of its own files, by its name".to_owned();
        report.add(stray, Severity::Damage, "stray", text).at_start = Some(AtStart::Refuses);
    }
    if !member.single {
        ends(&mut report, member, &whole);
    }
    Ok(report)
}

/// Verifies one log.
pub fn verify_log(path: &Path, progress: OnProgress<'_>) -> Result<Report, CannotLook> {
    verify(&single(path, true), progress)
}

/// Verifies one snapshot.
pub fn verify_snapshot(path: &Path, progress: OnProgress<'_>) -> Result<Report, CannotLook> {
    verify(&single(path, false), progress)
}

fn single(path: &Path, log: bool) -> Member {
    let file = vec![File { path: path.to_owned(), zxid: None }];
    let (logs, snapshots) = if log { (file, Vec::new()) } else { (Vec::new(), file) };
    Member { logs, snapshots, single: true, ..Member::default() }
}

fn take_snapshot(
    report: &mut Report,
    member: &Member,
    file: &File,
    progress: OnProgress<'_>,
) -> Result<bool, CannotLook> {
    report.snapshots += 1;
    let survey = match survey::snapshot(&file.path, progress) {
        Err(CannotLook::OtherFile { path, what }) if !member.single => {
            report.add(&path, Severity::Damage, "magic", what);
            return Ok(false);
        }
        other => other?,
    };
    report.bytes += survey.bytes;
    if let Some((offset, fault, text)) = survey.unsound {
        let finding = report.add(&file.path, Severity::Damage, fault.name(), text);
        finding.offset = Some(offset);
        return Ok(false);
    }
    let wrong = file.zxid.and_then(|name| wrong_name(&survey, name)).or_else(|| wrong_digest(&survey, file.zxid));
    let Some((name, text)) = wrong else { return Ok(true) };
    let finding = report.add(&file.path, Severity::Damage, name, text);
    (finding.zxid, finding.at_start) = (file.zxid, (name == "renamed").then_some(AtStart::DropsInSilence));
    Ok(false)
}

/// A snapshot under a higher name hides transactions; one under a lower name holds what it should not.
fn wrong_name(survey: &SnapshotSurvey, name: Zxid) -> Option<(&'static str, String)> {
    let end = survey.trailer.end(Zxid(0))?;
    if let Some(last) = survey.trailer.last.filter(|last| *last < name) {
        return Some(("renamed", format!("its name says 0x{name}, and it ends with 0x{last}")));
    }
    let text = || format!("it ends with 0x{end}, and has a znode of 0x{}", survey.newest);
    // The transaction at hand is in the znodes before it is counted: seen with 3.8.5.
    (survey.newest.0 > end.max(name).0.saturating_add(1)).then(|| ("renamed", text()))
}

/// Only of a snapshot during which nothing happened is the digest that of its content.
fn wrong_digest(survey: &SnapshotSurvey, name: Option<Zxid>) -> Option<(&'static str, String)> {
    let digest = survey.trailer.digest.filter(|digest| digest.version == 2 && Some(digest.zxid) == name)?;
    let text = || {
        let zxid = digest.zxid;
        format!("the server had the digest {:x} at 0x{zxid}, and its content has {:x}", digest.tree, survey.digest)
    };
    (digest.tree != survey.digest && digest.zxid.0 != 0).then(|| ("digest", text()))
}

fn take_log(
    report: &mut Report,
    member: &Member,
    file: &File,
    newest: bool,
    snapshots: &[Zxid],
    progress: OnProgress<'_>,
) -> Result<Option<LogSurvey>, CannotLook> {
    report.logs += 1;
    let mut survey = match survey::log(&file.path, progress) {
        Err(CannotLook::OtherFile { path, what }) if !member.single => {
            report.add(&path, Severity::Damage, "magic", what).at_start = Some(AtStart::Refuses);
            return Ok(None);
        }
        other => other?,
    };
    report.records += survey.records;
    report.bytes += survey.bytes;
    report.first = report.first.or(survey.first);
    report.last = report.last.max(survey.last);
    report.begins = report.begins.or(survey.begins(file.zxid));
    for &(first, last) in survey.strand.epochs.values() {
        report.strand.add(first);
        report.strand.add(last);
    }
    for (zxid, sample) in survey.samples.drain(..) {
        report.sample(&file.path, zxid, sample)?;
    }
    for damage in &survey.damage {
        let covered = match (&damage.fault, damage.zxid) {
            (Fault::Gap { before }, Some(zxid)) => covers(snapshots, *before, zxid),
            _ => false,
        };
        let severity = if covered { Severity::Notice } else { Severity::Damage };
        let because = if covered { "; a snapshot from the leader has them" } else { "" };
        let finding = report.add(&file.path, severity, damage.fault.name(), format!("{damage}{because}"));
        (finding.offset, finding.zxid) = (Some(damage.offset), damage.zxid.or(damage.after));
        finding.at_start = (!covered).then(|| damage.fault.at_start(newest));
    }
    if survey.more_damage > 0 {
        let text = format!("{} more places are damaged", survey.more_damage);
        report.add(&file.path, Severity::Damage, "more", text);
    }
    if let Some(what) = &survey.unpacking {
        report.add(&file.path, Severity::Damage, "packing", format!("it cannot be unpacked to its end ({what})"));
    }
    if survey.surplus > 0 {
        let text = format!("{} transactions have bytes that no known release writes", survey.surplus);
        report.add(&file.path, Severity::Notice, "surplus", text);
    }
    if let (Some(name), Some(first)) = (file.zxid, survey.begins(file.zxid))
        && name != first
    {
        let text = format!("its name says 0x{name}, and its first good transaction is 0x{first}");
        report.add(&file.path, Severity::Damage, "renamed", text).zxid = Some(first);
    }
    Ok(Some(survey))
}

/// Whether a snapshot makes up for what is missing between two transactions.
fn covers(snapshots: &[Zxid], before: Zxid, next: Zxid) -> bool {
    snapshots.iter().any(|&snapshot| snapshot > before && snapshot < next && snapshot.0 >= next.0 - 1)
}

fn between(report: &mut Report, before: (&File, &LogSurvey), after: (&File, &LogSurvey), snapshots: &[Zxid]) {
    let ((file, survey), (next_file, next)) = (before, after);
    let (Some(last), Some(first)) = (survey.last, next.begins(next_file.zxid)) else { return };
    let next_name = next_file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match crate::log::jump(last, first) {
        None => {}
        Some(Fault::Gap { .. }) if covers(snapshots, last, first) => {
            let text =
                format!("between 0x{last} and 0x{first} of {next_name} this member got a snapshot from the leader");
            report.add(&file.path, Severity::Notice, "synced", text).zxid = Some(last);
        }
        Some(Fault::Gap { .. }) => {
            let cut = if survey.ends_bare() { "it was cut at the end of a transaction, or " } else { "" };
            let text = format!(
                "transactions are missing between its 0x{last} and 0x{first} of {next_name}: {cut}a log between is gone"
            );
            let finding = report.add(&file.path, Severity::Damage, "missing", text);
            (finding.zxid, finding.at_start) = (Some(last), Some(at_gap(last, first, snapshots)));
        }
        Some(_) => {
            let text = format!("it goes up to 0x{last}, beyond the beginning of {next_name} at 0x{first}");
            let finding = report.add(&file.path, Severity::Damage, "overlap", text);
            (finding.zxid, finding.at_start) = (Some(first), Some(AtStart::Refuses));
        }
    }
}

/// A server of 3.9 counts the transactions that it replays, and wants them without a gap within an epoch ("Committed proposal
/// cached out of order"). It does not read what is older than its newest snapshot.
fn at_gap(before: Zxid, next: Zxid, snapshots: &[Zxid]) -> AtStart {
    match snapshots.iter().max() {
        Some(&newest) if newest >= next => AtStart::Harmless,
        _ if next.epoch() > before.epoch() => AtStart::DropsInSilence,
        _ => AtStart::Refuses,
    }
}

/// Whether the logs reach from a snapshot to where the newest one says that they were.
fn ends(report: &mut Report, member: &Member, snapshots: &[Zxid]) {
    let newest = snapshots.iter().max().copied();
    let Some(log) = member.logs.iter().rfind(|file| file.zxid <= report.last).or(member.logs.last()) else { return };
    match (newest, report.begins, report.last) {
        (None, Some(first), _) if first.0 & 0xffff_ffff != 1 || first.epoch() > 1 || !member.snapshots.is_empty() => {
            let text = "there is no sound snapshot for the logs to begin from".to_owned();
            report.add(&log.path, Severity::Damage, "no-snapshot", text).at_start = Some(AtStart::Refuses);
        }
        (Some(newest), Some(first), _) if first.0 > newest.0 + 1 && crate::log::jump(newest, first).is_some() => {
            let text = format!("transactions are missing between the newest snapshot, 0x{newest}, and 0x{first}");
            let finding = report.add(&member.logs[0].path, Severity::Damage, "missing", text);
            (finding.zxid, finding.at_start) = (Some(newest), Some(AtStart::DropsInSilence));
        }
        // A new leader names a snapshot after its epoch's 0, which is no transaction.
        (Some(newest), Some(_), Some(last)) if newest > last && newest.0 & 0xffff_ffff != 0 => {
            let text = format!(
                "the logs end with 0x{last} and a snapshot is of 0x{newest}: they were cut, or it came from the leader"
            );
            report.add(&log.path, Severity::Notice, "behind-snapshot", text).zxid = Some(last);
        }
        _ => {}
    }
}
