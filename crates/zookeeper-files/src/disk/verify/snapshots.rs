//! Findings about snapshots.

use crate::disk::error::DiskError;
use crate::disk::live::unless_purged;
use crate::disk::member_files::{DataFile, MemberFiles};
use crate::disk::open::OnProgress;
use crate::disk::proof::{DigestProof, proof};
use crate::disk::survey::{self, SnapshotSurvey};
use crate::disk::verify::{Report, Severity};
use crate::ids::Zxid;
use crate::log::AtStart;
use crate::snapshot::Compression;

/// What is known of a member's snapshots.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    /// The names of the sound snapshots.
    pub(super) sound: Vec<Zxid>,
    /// The snapshot that a server loads when it starts. It checks less than we do.
    pub(super) base: Option<Zxid>,
    /// The findings about snapshots that it skips.
    passed: Vec<usize>,
}

pub(super) fn take(
    report: &mut Report,
    member: &MemberFiles,
    progress: OnProgress<'_>,
) -> Result<Snapshots, DiskError> {
    let mut snapshots = Snapshots::default();
    let strays = member.strays.iter().filter(|stray| !stray.log).map(|stray| (&stray.file, true));
    for (file, stray) in member.snapshots.iter().map(|file| (file, false)).chain(strays) {
        one(report, member, (file, stray), &mut snapshots, progress)?;
    }
    Ok(snapshots)
}

fn one(
    report: &mut Report,
    member: &MemberFiles,
    (file, stray): (&DataFile, bool),
    snapshots: &mut Snapshots,
    progress: OnProgress<'_>,
) -> Result<(), DiskError> {
    let at = report.findings.len();
    let survey = match unless_purged(survey::snapshot(&file.path, member.max_record, progress)) {
        Ok(None) => return Ok(()),
        Err(DiskError::OtherFile { path, what }) if !member.single => {
            report.snapshots += u64::from(!stray);
            let severity = if stray { Severity::Notice } else { Severity::Damage };
            report.add(&path, severity, if stray { "stray" } else { "magic" }, what);
            snapshots.passed.push(at);
            return Ok(());
        }
        other => other?,
    };
    let Some(survey) = survey else { return Ok(()) };
    report.snapshots += u64::from(!stray);
    report.bytes += survey.bytes;
    if let Some((offset, name, text)) = unreadable(&survey, file, member.single) {
        let (severity, name, text) = match (stray, survey.being_written) {
            (true, _) => (Severity::Notice, "stray", format!("it is named like a snapshot, and is none: {text}")),
            (_, true) => (Severity::Notice, "being-written", format!("a server writes it at this moment: {text}")),
            _ => (Severity::Damage, name, text),
        };
        report.add(&file.path, severity, name, text).offset = offset;
        snapshots.passed.push(at);
        return Ok(());
    }
    snapshots.base = snapshots.base.max(file.zxid);
    let renamed = file.zxid.and_then(|name| wrong_name(&survey, name));
    let renamed_at_start = renamed.as_ref().map(|(_, at_start)| *at_start);
    let wrong = match renamed {
        None => wrong_digest(&survey, member, file, progress)?,
        Some((text, _)) => Some((Severity::Damage, "renamed", text)),
    };
    if wrong.as_ref().is_none_or(|(severity, ..)| *severity == Severity::Notice) {
        snapshots.sound.extend(file.zxid);
    }
    if let Some((severity, name, text)) = wrong {
        let finding = report.add(&file.path, severity, name, text);
        finding.zxid = file.zxid;
        finding.at_start = renamed_at_start;
    } else if stray {
        let text = "a server takes it for a snapshot, by its name, and it is a whole one".to_owned();
        report.add(&file.path, Severity::Notice, "stray", text).at_start = Some(AtStart::Harmless);
    }
    Ok(())
}

/// What keeps a server from loading it.
fn unreadable(survey: &SnapshotSurvey, file: &DataFile, single: bool) -> Option<(Option<u64>, &'static str, String)> {
    if let Some((offset, fault, text)) = &survey.unsound {
        return Some((Some(*offset), fault.name(), text.clone()));
    }
    if let Some(length) = survey.too_long {
        let text = format!("a znode has {length} bytes of data: {}", super::beyond(length));
        return Some((None, "too-long", text));
    }
    // Servers tell by the name how a snapshot is packed.
    let named = Compression::by_name(&file.short());
    let text = format!("by its name it is packed as {named:?}, and it is {:?}", survey.packed);
    (!single && named != survey.packed).then_some((None, "packing", text))
}

/// Sets what a server does after it skips a snapshot.
pub(super) fn settle(report: &mut Report, snapshots: &Snapshots) {
    // If none is left, another finding says so.
    let at_start = snapshots.base.map(|_| AtStart::Harmless);
    for &at in &snapshots.passed {
        report.findings[at].at_start = at_start;
    }
}

/// A name that is too high hides transactions; a snapshot with a name that is too low contains too much. The server itself gives
/// such a name to a tree that it loaded again after its log was cut.
fn wrong_name(survey: &SnapshotSurvey, name: Zxid) -> Option<(String, AtStart)> {
    let end = survey.trailer.end(Zxid(0))?;
    if let Some(last) = survey.trailer.last.filter(|last| *last < name) {
        return Some((format!("its name says {name:#}, and it ends with {last:#}"), AtStart::DropsInSilence));
    }
    let text = || {
        let kept = "it was renamed, or its server kept what was cut from its log";
        (format!("it ends with {end:#}, and has a znode of {:#}: {kept}", survey.newest), AtStart::Harmless)
    };
    // The transaction at hand is in the znodes before it is counted: seen with 3.8.5.
    (survey.newest.0 > end.max(name).0.saturating_add(1)).then(text)
}

/// The digest covers the content only if no transaction happened while the snapshot was written.
fn wrong_digest(
    survey: &SnapshotSurvey,
    member: &MemberFiles,
    file: &DataFile,
    progress: OnProgress<'_>,
) -> Result<Option<(Severity, &'static str, String)>, DiskError> {
    let quiet = |zxid: Zxid| zxid.0 != 0 && Some(zxid) == file.zxid && survey.newest <= zxid;
    let Some(digest) = survey.trailer.digest.filter(|digest| digest.version == 2 && quiet(digest.zxid)) else {
        return Ok(None);
    };
    if digest.tree == survey.digest {
        return Ok(None);
    }
    let zxid = digest.zxid;
    let differ =
        format!("the server had the digest {:x} at {zxid:#}, and its content has {:x}", digest.tree, survey.digest);
    Ok(match proof(member, file, progress)? {
        DigestProof::Ahead => None,
        DigestProof::Wrong => Some((Severity::Damage, "digest", differ)),
        DigestProof::Unknown => {
            let text = format!(
                "{differ}: it holds the next transaction already, or it is damaged; the log that tells is not here"
            );
            Some((Severity::Notice, "digest-unproved", text))
        }
    })
}
