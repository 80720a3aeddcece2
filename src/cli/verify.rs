//! `menagerie log verify`: finds what is lost, and what a server does with the files when it starts.

use std::path::Path;

use clap::Args;
use serde::Serialize;

use crate::cli::log::InputOptions;
use crate::cli::{CommandError, Exit, Meter, Output, Printer, look, report};
use crate::view::escape::push_message;
use zookeeper_files::disk::DiskError;
use zookeeper_files::disk::{
    Finding, HistorySurvey, MemberFiles, Progress, RebuiltTree, Report, Severity, dirty_snapshots, replay_all, started,
    survey, verify,
};
use zookeeper_files::ids::{Zxid, ZxidRange};
use zookeeper_files::log::AtStart;
use zookeeper_files::replay::CommitStatus;

#[derive(Args, Debug)]
pub(crate) struct LogVerifyOptions {
    #[command(flatten)]
    plain: InputOptions,
    /// Also replay everything: compare every digest, and find what stops a server. Memory grows with the tree
    #[arg(long)]
    replay: bool,
}

pub(crate) fn verify_all(options: &LogVerifyOptions) -> Result<Exit, CommandError> {
    let members = look(&options.plain.paths, options.plain.limit)?;
    let output = options.plain.output;
    let (mut to, mut meter, mut exit) = (Printer::new(), Meter::new(), Exit::Sound);
    let mut progress = |at: Progress<'_>| meter.show(at);
    let mut reports = Vec::new();
    for member in &members {
        with_its_logs(member)?;
        reports.push(unless_purging(member, &mut progress)?);
    }
    // With --replay, members are reported as sound only after the replay. Damaged files are not replayed.
    let mut notes = Vec::new();
    if options.replay && reports.iter().all(Report::is_sound) {
        let replayed = replay_all(&members, &mut progress)?;
        for (member, report) in members.iter().zip(&mut reports) {
            let own = own_start(member, &mut progress)?;
            report.findings.extend(wrong_snapshots(member, &replayed, own.as_ref()));
            let found = [replayed.differs.map(differing), ending(&replayed, own.as_ref())];
            let of_member = |finding| Finding { path: member.name.clone().into(), ..finding };
            report.findings.extend(found.into_iter().flatten().map(of_member));
        }
        notes.push(compared(&replayed));
    }
    let several = members.len() > 1 && members.iter().all(|member| !member.single);
    let surveyed = if several { Some(survey(&members, None, &mut progress)?) } else { None };
    for (member, report) in members.iter().zip(&mut reports) {
        let found = surveyed.as_ref().map(|surveyed| dirty_snapshots(member, &surveyed.history));
        report.findings.extend(found.into_iter().flatten());
    }
    for (member, report) in members.iter().zip(&reports) {
        if report::print(&member.name, report, output, &mut to)? == Exit::Damage {
            exit = Exit::Damage;
        }
    }
    if let Some(surveyed) = surveyed {
        commits(&members, &surveyed, output, &mut to)?;
    }
    for (finding, text) in notes {
        print_note("replay", finding, &text, output, &mut to)?;
    }
    to.flush()?;
    Ok(exit)
}

/// Verifies a member. Files that its server purged in the meantime seem to be missing: then it verifies the member
/// again.
fn unless_purging(member: &MemberFiles, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Report, DiskError> {
    let (mut report, mut looked) = (verify(member, progress)?, member.clone());
    for _ in 0..5 {
        if report.is_sound() {
            break;
        }
        let Some(now) = looked.refreshed()? else { break };
        report = verify(&now, progress)?;
        looked = now;
    }
    Ok(report)
}

/// Checks that a member has logs, if it has written any: a dataDir without them contains only the older part of the
/// history.
fn with_its_logs(member: &MemberFiles) -> Result<(), CommandError> {
    let newest = member.snapshots.last().and_then(|file| file.zxid).unwrap_or_default();
    if member.single || !member.logs.is_empty() || newest.0 == 0 {
        return Ok(());
    }
    Err(CommandError::Usage(format!(
        "{}: no transaction log here, and its newest snapshot is of {newest:#}: if logs have a folder of their own \
         (dataLogDir), name it too: DATA,LOG; `snapshot verify` looks at snapshots alone",
        member.name
    )))
}

fn finding(name: &'static str, severity: Severity, zxid: Zxid, text: String, at_start: AtStart) -> Finding {
    let (zxid, at_start) = (Some(zxid), Some(at_start));
    Finding { path: "".into(), severity, name, offset: None, zxid, text, at_start }
}

fn differing(zxid: Zxid) -> Finding {
    let text = format!("after {zxid:#} the replayed tree is not the one that the server had");
    finding("digest-differs", Severity::Damage, zxid, text, AtStart::Harmless)
}

/// The tree that a server has after it started with only these files: it loads its own newest snapshot, and also
/// applies transactions that were never committed. `None` if the tree cannot be rebuilt, which is reported elsewhere.
fn own_start(member: &MemberFiles, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Option<RebuiltTree>, DiskError> {
    match started(member, progress) {
        Err(DiskError::NoTree(_)) => Ok(None),
        other => other.map(Some),
    }
}

/// Findings about a member's snapshots that differ from what the servers had, as the first digest after each shows: the
/// snapshots that the replay left out, and the one from which a server with only these files starts.
fn wrong_snapshots(member: &MemberFiles, replayed: &RebuiltTree, own: Option<&RebuiltTree>) -> Vec<Finding> {
    let wrong = |path: &Path, zxid, then: &str| {
        let text =
            format!("the first digest after it differs: it holds what was never committed, or it is damaged{then}");
        Finding { path: path.to_owned(), ..finding("digest", Severity::Damage, zxid, text, AtStart::Harmless) }
    };
    let of_member = member.snapshots.iter().filter(|file| replayed.passed_over.contains(&file.path));
    let mut found: Vec<Finding> = of_member.map(|file| wrong(&file.path, file.zxid.unwrap_or_default(), "")).collect();
    // If the logs themselves differ, the replay of all members has already reported it.
    let own = own.filter(|_| replayed.differs.is_none());
    if let Some((zxid, base)) = own.and_then(|own| Some((own.differs?, own.base.as_ref()?)))
        && !replayed.passed_over.contains(base)
    {
        let then = format!("; a server that starts from it has at {zxid:#} what the others have not");
        found.push(wrong(base, zxid, &then));
    }
    found
}

/// The finding about a transaction that stops this member's server: when it starts, or, by the files of all members,
/// when it applies that transaction.
fn ending(replayed: &RebuiltTree, own: Option<&RebuiltTree>) -> Option<Finding> {
    let here = own.and_then(|own| own.replay.fatal());
    let fatal = here.or(replayed.replay.fatal())?;
    if here.is_some() || own.is_none() {
        let text = format!("{fatal} (the way out: docs/files.md, \"A log on which no server starts\")");
        return Some(finding("fatal", Severity::Damage, fatal.zxid, text, AtStart::Refuses));
    }
    let beyond = own.is_some_and(|own| own.replay.tree().last() >= fatal.zxid);
    let why = if beyond { "the newest snapshot is beyond it" } else { "the files of this member end before it" };
    Some(finding("fatal", Severity::Notice, fatal.zxid, format!("{fatal}; {why}"), AtStart::Harmless))
}

fn compared(replayed: &RebuiltTree) -> (&'static str, String) {
    match (replayed.differs, replayed.checked) {
        (Some(_), count) => ("digest-differs", format!("{count} digests were compared, and not all agree")),
        (None, 0) => {
            ("no-digests", "the files carry no digests to compare (servers before 3.6, or with digests off)".to_owned())
        }
        (None, count) => ("digests-agree", format!("{count} digests were compared, and all agree")),
    }
}

/// Prints which transactions were never committed, and of which that is unknown, by the files of several members.
fn commits(
    members: &[MemberFiles],
    surveyed: &HistorySurvey,
    output: Output,
    to: &mut Printer,
) -> Result<(), CommandError> {
    for (member, member_history) in members.iter().zip(&surveyed.member_histories) {
        for (&epoch, &ZxidRange { last, .. }) in &member_history.epochs {
            if surveyed.history.commit_status(last) == CommitStatus::NeverCommitted {
                let after = surveyed.history.epochs.get(&epoch).map_or(Zxid(0), |epoch| epoch.possible);
                let text = format!("its transactions after {after:#} up to {last:#} were never committed");
                print_note(&member.name, "never-committed", &text, output, to)?;
            }
        }
    }
    for range in surveyed.history.unknown() {
        let text = format!("whether {range} were committed, these files do not tell");
        print_note("history", "unknown", &text, output, to)?;
    }
    Ok(())
}

/// Prints a notice about a member.
pub(crate) fn print_note(
    member: &str,
    finding: &str,
    text: &str,
    output: Output,
    to: &mut Printer,
) -> Result<(), CommandError> {
    #[derive(Serialize)]
    struct NoteLine<'a> {
        member: &'a str,
        severity: &'static str,
        finding: &'a str,
        text: &'a str,
    }
    let severity = if finding == "digest-differs" { "damage" } else { "notice" };
    match output {
        Output::Json => to.json(&NoteLine { member, severity, finding, text })?,
        Output::Human => {
            push_message(&format!("{severity}: {member}: {text}"), &mut to.buffer);
            to.buffer.push(b'\n');
        }
    }
    Ok(to.line_done()?)
}
