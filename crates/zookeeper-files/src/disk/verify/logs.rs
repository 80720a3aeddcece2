//! Findings about logs, and about what is between them.

use crate::disk::cover::Covered;
use crate::disk::error::CannotLook;
use crate::disk::member::{File, Member};
use crate::disk::open::OnProgress;
use crate::disk::start::Around;
use crate::disk::survey::{self, LogSurvey};
use crate::disk::verify::{Judge, Report, Severity};
use crate::ids::Zxid;
use crate::log::{AtStart, Damage, Fault};

/// A log, and what is in it.
struct Read<'a> {
    file: &'a File,
    survey: LogSurvey,
    stray: bool,
}

/// Takes all logs, and gives the last transaction that a server reads of them when it starts.
pub(super) fn take(
    report: &mut Report,
    member: &Member,
    files: &[&File],
    judge: &Judge,
    progress: OnProgress<'_>,
) -> Result<Option<Zxid>, CannotLook> {
    let mut reads: Vec<Read<'_>> = Vec::new();
    for &file in files {
        let stray = member.strays.iter().any(|stray| stray.file == *file);
        match survey::log(&file.path, member.max_record, progress)? {
            Some(survey) => reads.push(Read { file, survey, stray }),
            // What was purged meanwhile takes those before it along.
            None => reads.clear(),
        }
    }
    let proper = reads.iter().filter(|read| !read.stray);
    if member.single && proper.clone().any(|read| read.survey.damage.iter().any(is_magic)) {
        let Fault::Magic(bytes) = reads[0].survey.damage[0].fault else { return Ok(None) };
        let what = Fault::Magic(bytes).to_string();
        return Err(CannotLook::OtherFile { path: reads[0].file.path.clone(), what });
    }
    for read in proper.clone() {
        count(report, read)?;
    }
    for (at, read) in reads.iter().enumerate() {
        if read.stray {
            stray(report, read, at + 1 == reads.len(), judge);
        } else {
            one(report, &reads, at, judge);
        }
    }
    let with_records: Vec<&Read<'_>> = proper.filter(|read| read.survey.records > 0).collect();
    for pair in with_records.windows(2) {
        between(report, pair[0], pair[1], judge);
    }
    let read_at_start = reads.iter().filter(|read| judge.start.reads(read.file.zxid));
    Ok(read_at_start.filter_map(|read| judge.start.reaches(&read.survey.damage, read.survey.last)).max())
}

fn is_magic(damage: &Damage) -> bool {
    matches!(damage.fault, Fault::Magic(_))
}

fn count(report: &mut Report, read: &Read<'_>) -> Result<(), CannotLook> {
    let survey = &read.survey;
    report.logs += 1;
    report.records += survey.records;
    report.bytes += survey.bytes;
    report.first = report.first.or(survey.first);
    report.last = report.last.max(survey.last);
    report.begins = report.begins.or(survey.begins(read.file.zxid));
    survey.strand.epochs.values().for_each(|&range| report.strand.add_all(range));
    for &(zxid, sample) in &survey.samples {
        report.sample(&read.file.path, zxid, sample)?;
    }
    Ok(())
}

fn around(reads: &[Read<'_>], at: usize, damage: &Damage) -> Around {
    let earlier = reads[..at].iter().filter_map(|read| read.survey.last).max();
    let later = reads[at + 1..].iter().find_map(|read| read.survey.first);
    Around {
        name: reads[at].file.zxid,
        before: damage.after.or(earlier),
        last: reads[at].survey.last,
        next: later,
        newest: at + 1 == reads.len(),
    }
}

fn one(report: &mut Report, reads: &[Read<'_>], at: usize, judge: &Judge) {
    let Read { file, survey, .. } = &reads[at];
    for damage in &survey.damage {
        let covered = judge.cover.of_damage(damage);
        let severity = if covered.is_some() { Severity::Notice } else { Severity::Damage };
        let because = covered.map(|why| format!("; {why}")).unwrap_or_default();
        let finding = report.add(&file.path, severity, damage.fault.name(), format!("{damage}{because}"));
        (finding.offset, finding.zxid) = (Some(damage.offset), damage.zxid.or(damage.after));
        // What a server makes of a single log depends on what else is in its folder.
        let at_start = judge.start.damage(damage, &around(reads, at, damage));
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

/// A copy beside the logs is no harm as long as a server does not read it.
fn stray(report: &mut Report, read: &Read<'_>, newest: bool, judge: &Judge) {
    let path = &read.file.path;
    if !judge.start.reads(read.file.zxid) || (read.survey.records == 0 && read.survey.damage.is_empty()) {
        let text = "it is named like a log, and older than what a server reads when it starts".to_owned();
        report.add(path, Severity::Notice, "stray", text).at_start = Some(AtStart::Harmless);
        return;
    }
    let around = Around { name: read.file.zxid, before: None, last: read.survey.last, next: None, newest };
    let damage = read.survey.damage.iter().map(|damage| judge.start.damage(damage, &around));
    let refuses = damage.into_iter().any(|at_start| at_start == AtStart::Refuses);
    let text = "a server takes it for one of its logs, by its name".to_owned();
    let at_start = match read.survey.last {
        _ if refuses => AtStart::Refuses,
        None => AtStart::Harmless,
        last => judge.start.again(last),
    };
    let severity = if at_start == AtStart::Harmless { Severity::Notice } else { Severity::Damage };
    report.add(path, severity, "stray", text).at_start = Some(at_start);
}

fn between(report: &mut Report, before: &Read<'_>, after: &Read<'_>, judge: &Judge) {
    let (Some(last), Some(first)) = (before.survey.last, after.survey.begins(after.file.zxid)) else { return };
    let (path, next_name) = (&before.file.path, after.file.short());
    match crate::log::jump(last, first) {
        None => {}
        Some(Fault::Gap { .. }) => match judge.cover.of_gap(last, first) {
            Some(why) => {
                let text = format!("transactions are missing between its {last:#} and {first:#} of {next_name}: {why}");
                let name = if why == Covered::FromLeader { "synced" } else { "missing" };
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

fn missing(report: &mut Report, before: &Read<'_>, (last, first): (Zxid, Zxid), next_name: &str, judge: &Judge) {
    let cut = if before.survey.ends_bare() { "it was cut at the end of a transaction, or " } else { "" };
    let text = format!(
        "transactions are missing between its {last:#} and {first:#} of {next_name}: {cut}a log between is gone"
    );
    let finding = report.add(&before.file.path, Severity::Damage, "missing", text);
    (finding.zxid, finding.at_start) = (Some(last), Some(judge.start.gap(last, first)));
}
