//! Findings about logs, and about gaps between them.

use crate::disk::cover::CoveredBy;
use crate::disk::error::DiskError;
use crate::disk::member_files::{DataFile, MemberFiles};
use crate::disk::open::OnProgress;
use crate::disk::start::LogContext;
use crate::disk::survey::{self, LogSurvey};
use crate::disk::verify::{Judge, Report, Severity};
use crate::ids::Zxid;
use crate::log::{AtStart, Damage, LogFault};

/// A log and its survey.
struct SurveyedLog<'a> {
    file: &'a DataFile,
    survey: LogSurvey,
    stray: bool,
}

/// Verifies all logs, and returns the last transaction that a server reads when it starts.
pub(super) fn take(
    report: &mut Report,
    member: &MemberFiles,
    files: &[&DataFile],
    judge: &Judge,
    progress: OnProgress<'_>,
) -> Result<Option<Zxid>, DiskError> {
    let mut logs: Vec<SurveyedLog<'_>> = Vec::new();
    for &file in files {
        let stray = member.strays.iter().any(|stray| stray.file == *file);
        match survey::log(&file.path, member.max_record, progress)? {
            Some(survey) => logs.push(SurveyedLog { file, survey, stray }),
            // If a log was purged, so were those before it.
            None => logs.clear(),
        }
    }
    let proper = logs.iter().filter(|log| !log.stray);
    if member.single && proper.clone().any(|log| log.survey.damage.iter().any(is_magic)) {
        let LogFault::Magic(bytes) = logs[0].survey.damage[0].fault else { return Ok(None) };
        let what = LogFault::Magic(bytes).to_string();
        return Err(DiskError::OtherFile { path: logs[0].file.path.clone(), what });
    }
    for log in proper.clone() {
        count(report, log)?;
    }
    for (at, log) in logs.iter().enumerate() {
        if log.stray {
            stray(report, log, at + 1 == logs.len(), judge);
        } else {
            one(report, &logs, at, judge);
        }
    }
    let with_records: Vec<&SurveyedLog<'_>> = proper.filter(|log| log.survey.records > 0).collect();
    for pair in with_records.windows(2) {
        between(report, pair[0], pair[1], judge);
    }
    let read_at_start = logs.iter().filter(|log| judge.start.reads(log.file.zxid));
    Ok(read_at_start.filter_map(|log| judge.start.reaches(&log.survey.damage, log.survey.last)).max())
}

fn is_magic(damage: &Damage) -> bool {
    matches!(damage.fault, LogFault::Magic(_))
}

fn count(report: &mut Report, log: &SurveyedLog<'_>) -> Result<(), DiskError> {
    let survey = &log.survey;
    report.logs += 1;
    report.records += survey.records;
    report.bytes += survey.bytes;
    report.first = report.first.or(survey.first);
    report.last = report.last.max(survey.last);
    report.begins = report.begins.or(survey.begins(log.file.zxid));
    report.member_history.append(&survey.member_history);
    for &(zxid, sample) in &survey.samples {
        report.sample(&log.file.path, zxid, sample)?;
    }
    Ok(())
}

fn context(logs: &[SurveyedLog<'_>], at: usize, damage: &Damage) -> LogContext {
    let earlier = logs[..at].iter().filter_map(|log| log.survey.last).max();
    let later = logs[at + 1..].iter().find_map(|log| log.survey.first);
    LogContext {
        name: logs[at].file.zxid,
        before: damage.after.or(earlier),
        last: logs[at].survey.last,
        next: later,
        newest: at + 1 == logs.len(),
    }
}

fn one(report: &mut Report, logs: &[SurveyedLog<'_>], at: usize, judge: &Judge) {
    let SurveyedLog { file, survey, .. } = &logs[at];
    for damage in &survey.damage {
        let covered = judge.cover.of_damage(damage);
        let severity = if covered.is_some() { Severity::Notice } else { Severity::Damage };
        let because = covered.map(|why| format!("; {why}")).unwrap_or_default();
        let finding = report.add(&file.path, severity, damage.fault.name(), format!("{damage}{because}"));
        (finding.offset, finding.zxid) = (Some(damage.offset), damage.zxid.or(damage.after));
        // What a server does with a single log depends on the other files in its folder.
        let at_start = judge.start.damage(damage, &context(logs, at, damage));
        finding.at_start = (!judge.single).then_some(at_start);
    }
    if survey.more_damage > 0 {
        let text = format!("{} more places are damaged", survey.more_damage);
        report.add(&file.path, Severity::Damage, "more", text);
    }
    if let Some((offset, zxid, length)) = survey.too_long {
        let text = format!("the transaction {zxid:#} has {length} bytes: {}", super::beyond(length));
        let finding = report.add(&file.path, Severity::Damage, "too-long", text);
        (finding.offset, finding.zxid) = (Some(offset), Some(zxid));
        let at_start = if judge.start.reads(file.zxid) { AtStart::Refuses } else { AtStart::Harmless };
        finding.at_start = (!judge.single).then_some(at_start);
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
        let text = format!("its name says {name:#}, and its first good transaction is {first:#}");
        report.add(&file.path, Severity::Damage, "renamed", text).zxid = Some(first);
    }
}

/// A copy beside the logs does no harm if the server does not read it.
fn stray(report: &mut Report, log: &SurveyedLog<'_>, newest: bool, judge: &Judge) {
    let path = &log.file.path;
    if !judge.start.reads(log.file.zxid) || (log.survey.records == 0 && log.survey.damage.is_empty()) {
        let text = "it is named like a log, and older than what a server reads when it starts".to_owned();
        report.add(path, Severity::Notice, "stray", text).at_start = Some(AtStart::Harmless);
        return;
    }
    let context = LogContext { name: log.file.zxid, before: None, last: log.survey.last, next: None, newest };
    let damage = log.survey.damage.iter().map(|damage| judge.start.damage(damage, &context));
    let refuses = damage.into_iter().any(|at_start| at_start == AtStart::Refuses);
    let text = "a server takes it for one of its logs, by its name".to_owned();
    let at_start = match log.survey.last {
        _ if refuses => AtStart::Refuses,
        None => AtStart::Harmless,
        last => judge.start.again(last),
    };
    let severity = if at_start == AtStart::Harmless { Severity::Notice } else { Severity::Damage };
    report.add(path, severity, "stray", text).at_start = Some(at_start);
}

fn between(report: &mut Report, before: &SurveyedLog<'_>, after: &SurveyedLog<'_>, judge: &Judge) {
    let (Some(last), Some(first)) = (before.survey.last, after.survey.begins(after.file.zxid)) else { return };
    let (path, next_name) = (&before.file.path, after.file.short());
    match crate::log::jump(last, first) {
        None => {}
        Some(LogFault::Gap { .. }) => match judge.cover.of_gap(last, first) {
            Some(why) => {
                let text = format!("transactions are missing between its {last:#} and {first:#} of {next_name}: {why}");
                let name = if why == CoveredBy::FromLeader { "synced" } else { "missing" };
                let finding = report.add(path, Severity::Notice, name, text);
                (finding.zxid, finding.at_start) = (Some(last), Some(judge.start.gap(last, first)));
            }
            None => missing(report, before, (last, first), &next_name, judge),
        },
        Some(_) => {
            let text = format!("it goes up to {last:#}, beyond the beginning of {next_name} at {first:#}");
            let finding = report.add(path, Severity::Damage, "overlap", text);
            (finding.zxid, finding.at_start) = (Some(first), Some(judge.start.again(Some(last))));
        }
    }
}

fn missing(report: &mut Report, before: &SurveyedLog<'_>, (last, first): (Zxid, Zxid), next_name: &str, judge: &Judge) {
    let cut = if before.survey.ends_bare() { "it was cut at the end of a transaction, or " } else { "" };
    let text = format!(
        "transactions are missing between its {last:#} and {first:#} of {next_name}: {cut}a log between is gone"
    );
    let finding = report.add(&before.file.path, Severity::Damage, "missing", text);
    (finding.zxid, finding.at_start) = (Some(last), Some(judge.start.gap(last, first)));
}
