//! `menagerie log verify`: whether a disk lost something, and what a server would make of it.

use clap::Args;
use serde::Serialize;

use crate::cli::log::Plain;
use crate::cli::{Exit, Meter, Output, Printer, Stop, look, report};
use crate::view::escape::push_message;
use zookeeper_files::disk::CannotLook;
use zookeeper_files::disk::{
    Finding, Member, Point, Progress, Rebuilt, Report, Severity, rebuild, replay_all, survey, verify,
};
use zookeeper_files::ids::{Zxid, ZxidRange};
use zookeeper_files::log::AtStart;
use zookeeper_files::replay::Verdict;

#[derive(Args, Debug)]
pub(crate) struct Verify {
    #[command(flatten)]
    plain: Plain,
    /// Replay all of it too: compare every digest, and find what ends a server. Memory grows with the tree
    #[arg(long)]
    replay: bool,
}

pub(crate) fn verify_all(options: &Verify) -> Result<Exit, Stop> {
    let members = look(&options.plain.paths, options.plain.limit)?;
    let output = options.plain.output;
    let (mut to, mut meter, mut exit) = (Printer::new(), Meter::new(), Exit::Sound);
    let mut progress = |at: Progress<'_>| meter.show(at);
    let mut reports = Vec::new();
    for member in &members {
        with_its_logs(member)?;
        reports.push(unless_purging(member, &mut progress)?);
    }
    // Nothing is called sound before it was replayed. What is damaged is not replayed.
    let mut notes = Vec::new();
    if options.replay && reports.iter().all(Report::is_sound) {
        let replayed = replay_all(&members, &mut progress)?;
        for (member, report) in members.iter().zip(&mut reports) {
            let own = own_start(member, &mut progress)?;
            let found = [replayed.differs.map(differing), ending(&replayed, own.as_ref())];
            let of_member = |finding| Finding { path: member.name.clone().into(), ..finding };
            report.findings.extend(found.into_iter().flatten().map(of_member));
        }
        notes.push(compared(&replayed));
    }
    for (member, report) in members.iter().zip(&reports) {
        if report::print(&member.name, report, output, &mut to)? == Exit::Damage {
            exit = Exit::Damage;
        }
    }
    if members.len() > 1 && members.iter().all(|member| !member.single) {
        commits(&members, output, &mut progress, &mut to)?;
    }
    for (finding, text) in notes {
        note("replay", finding, &text, output, &mut to)?;
    }
    to.flush()?;
    Ok(exit)
}

/// What a server purged between two looks may seem to be missing: then it is looked at again.
fn unless_purging(member: &Member, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Report, CannotLook> {
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

/// A dataDir whose logs are elsewhere has only the old half of what there is.
fn with_its_logs(member: &Member) -> Result<(), Stop> {
    let newest = member.snapshots.last().and_then(|file| file.zxid).unwrap_or_default();
    if member.single || !member.logs.is_empty() || newest.0 == 0 {
        return Ok(());
    }
    Err(Stop::Usage(format!(
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

/// What a server of these files alone does when it starts: it begins from its own newest snapshot, and applies what was never
/// committed, too. `None` if they lead nowhere, which is told elsewhere.
fn own_start(member: &Member, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Option<Rebuilt>, CannotLook> {
    match rebuild(std::slice::from_ref(member), Point::End, progress) {
        Err(CannotLook::NoTree(_)) => Ok(None),
        other => other.map(Some),
    }
}

/// Whether something ends this member's server: at its start, or, by the files of all, whenever it applies it.
fn ending(replayed: &Rebuilt, own: Option<&Rebuilt>) -> Option<Finding> {
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

fn compared(replayed: &Rebuilt) -> (&'static str, String) {
    match (replayed.differs, replayed.checked) {
        (Some(_), count) => ("digest-differs", format!("{count} digests were compared, and not all agree")),
        (None, 0) => {
            ("no-digests", "the files carry no digests to compare (servers before 3.6, or with digests off)".to_owned())
        }
        (None, count) => ("digests-agree", format!("{count} digests were compared, and all agree")),
    }
}

/// What was never committed, as several members' files tell.
fn commits(
    members: &[Member],
    output: Output,
    progress: &mut dyn FnMut(Progress<'_>),
    to: &mut Printer,
) -> Result<(), Stop> {
    let surveyed = survey(members, None, progress)?;
    for (member, strand) in members.iter().zip(&surveyed.strands) {
        for (&epoch, &ZxidRange { last, .. }) in &strand.epochs {
            if surveyed.history.verdict(last) == Verdict::NeverCommitted {
                let after = surveyed.history.epochs.get(&epoch).map_or(Zxid(0), |epoch| epoch.possible);
                let text = format!("its transactions after {after:#} up to {last:#} were never committed");
                note(&member.name, "never-committed", &text, output, to)?;
            }
        }
    }
    for range in surveyed.history.unknown() {
        let text = format!("whether {range} were committed, these files do not tell");
        note("history", "unknown", &text, output, to)?;
    }
    Ok(())
}

/// Says what is worth to know of a member.
pub(crate) fn note(member: &str, finding: &str, text: &str, output: Output, to: &mut Printer) -> Result<(), Stop> {
    #[derive(Serialize)]
    struct Note<'a> {
        member: &'a str,
        severity: &'static str,
        finding: &'a str,
        text: &'a str,
    }
    let severity = if finding == "digest-differs" { "damage" } else { "notice" };
    match output {
        Output::Json => to.json(&Note { member, severity, finding, text })?,
        Output::Human => {
            push_message(&format!("{severity}: {member}: {text}"), &mut to.buffer);
            to.buffer.push(b'\n');
        }
    }
    Ok(to.line_done()?)
}
