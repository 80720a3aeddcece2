//! `menagerie log`: transaction logs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use crate::cli::line::{RecordLine, push_columns};
use crate::cli::range::{Range, path};
use crate::cli::time::{Clock, iso_text};
use crate::cli::toolkit::push_toolkit;
use crate::cli::{Exit, Meter, Output, Printer, Stop, finish, look, report, tail};
use crate::files::is_packing;
use crate::files::{CannotLook, Chain, Member, Merge, Progress, open_log, replay_all, survey, verify};
use crate::log::{Event, Fault, Record};
use crate::model::ids::Zxid;
use crate::replay::Verdict;

/// Read ZooKeeper's transaction logs; nothing is ever changed.
///
/// PATH is a log, or a member's data folder, or DATA,LOG where its logs have a folder of their own.
/// Exit codes: 0 sound, 1 damage was found, 2 could not look.
#[derive(Args, Debug)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print every transaction
    #[command(after_help = "Examples:\n  menagerie log dump /data/version-2/log.100000001\n  \
        menagerie log dump /data --subtree /app --since 2026-11-23T19:00:00Z\n  \
        menagerie log dump /member0 /member1 /member2 --output json   # the one committed history")]
    Dump(Dump),
    /// Count transactions by type, and say from when to when they are
    #[command(after_help = "Examples:\n  menagerie log stat /data")]
    Stat(Plain),
    /// Find damage, and say what a server would make of it
    #[command(
        after_help = "Examples:\n  menagerie log verify /data\n  menagerie log verify /data,/datalog --replay\n  \
        menagerie log verify /member0 /member1 /member2   # and what was never committed"
    )]
    Verify(Verify),
    /// Print the last transactions, and with --follow those to come
    #[command(after_help = "Examples:\n  menagerie log tail /data --follow\n  menagerie log tail /data -n 100")]
    Tail(tail::Tail),
}

/// How transactions are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// Columns: time, zxid, session, cxid, type, what it does.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
    /// As ZooKeeper's `TxnLogToolkit` prints them, in UTC.
    Toolkit,
}

#[derive(Args, Debug)]
struct Dump {
    /// Logs or members' folders; of several members the one committed history is printed
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
    /// Print so many bytes of data for people, 0 for none
    #[arg(long, default_value_t = 200, value_name = "BYTES")]
    data: usize,
}

#[derive(Args, Debug, Default)]
struct Filter {
    #[command(flatten)]
    range: Range,
    /// Only what changes this path or one below it
    #[arg(long, value_name = "PATH", value_parser = path)]
    subtree: Option<String>,
}

#[derive(Args, Debug)]
struct Plain {
    /// Logs or members' folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Args, Debug)]
struct Verify {
    #[command(flatten)]
    plain: Plain,
    /// Replay all of it too, and compare every digest; memory grows with the tree
    #[arg(long)]
    replay: bool,
}

impl Filter {
    fn is_open(&self) -> bool {
        self.range.is_open() && self.subtree.is_none()
    }

    fn lets(&self, record: &Record<'_>) -> bool {
        self.range.lets(&record.header)
            && self.subtree.as_ref().is_none_or(|top| {
                let top = top.trim_end_matches('/').as_bytes();
                record.changes().any(|change| {
                    change.path.0.strip_prefix(top).is_some_and(|below| below.is_empty() || below[0] == b'/')
                })
            })
    }
}

/// Runs the command, and says with what to exit.
pub fn main(options: Options) -> i32 {
    match options.command {
        Command::Dump(options) => finish("log dump", dump(&options)),
        Command::Stat(options) => finish("log stat", stat(&options)),
        Command::Verify(options) => finish("log verify", verify_all(&options)),
        Command::Tail(options) => finish("log tail", tail::tail(&options)),
    }
}

/// Prints transactions in one form.
pub(crate) struct Typesetter {
    form: Form,
    data: usize,
    clock: Clock,
}

impl Typesetter {
    pub(crate) fn new(form: Form, data: usize) -> Self {
        let clock = if form == Form::Toolkit { Clock::java() } else { Clock::iso() };
        Self { form, data, clock }
    }

    pub(crate) fn print(&mut self, record: &Record<'_>, to: &mut Printer) -> Result<(), Stop> {
        match self.form {
            Form::Human => push_columns(record, self.data, &mut self.clock, &mut to.buffer),
            Form::Toolkit => push_toolkit(record, &mut self.clock, &mut to.buffer),
            Form::Json => to.json(&RecordLine::of(record))?,
        }
        Ok(to.line_done()?)
    }
}

/// The members, each of which must have a log.
fn with_logs(paths: &[String]) -> Result<Vec<Member>, Stop> {
    let members = look(paths)?;
    match members.iter().find(|member| member.logs.is_empty()) {
        Some(member) => Err(Stop::Usage(format!("{}: no transaction log here", member.name))),
        None => Ok(members),
    }
}

fn dump(options: &Dump) -> Result<Exit, Stop> {
    let members = with_logs(&options.paths)?;
    let (mut to, mut form, mut meter) = (Printer::new(), Typesetter::new(options.output, options.data), Meter::new());
    let filter = &options.filter;
    let open = filter.is_open();
    let mut print = |record: &Record<'_>, to: &mut Printer| -> Result<(), Stop> {
        if open || filter.lets(record) { form.print(record, to) } else { Ok(()) }
    };
    if members.len() > 1 && members.iter().all(|member| !member.single) {
        return dump_history(&members, &mut to, &mut print, &mut meter);
    }
    let mut exit = Exit::Sound;
    for file in members.iter().flat_map(|member| &member.logs) {
        if each(&file.path, &mut meter, &mut |record| print(record, &mut to))? {
            exit = Exit::Damage;
        }
    }
    to.flush()?;
    Ok(exit)
}

/// Walks a log, tells of damage, and says whether there was any.
fn each(path: &Path, meter: &mut Meter, take: &mut dyn FnMut(&Record<'_>) -> Result<(), Stop>) -> Result<bool, Stop> {
    let (mut reader, steady) = open_log(path)?;
    let (mut damaged, mut records) = (false, 0_u64);
    loop {
        match reader.next() {
            // What is packed is damaged, and not the disk.
            Err(error) if is_packing(&error) => {
                damaged = true;
                eprintln!("damage: {}: it cannot be unpacked to its end ({error})", path.display());
                break;
            }
            Err(source) => return Err(CannotLook::Io { path: path.to_owned(), source }.into()),
            Ok(None) => break,
            Ok(Some(Event::Record(record))) => {
                take(&record)?;
                records += 1;
                if records.is_multiple_of(1 << 14) {
                    meter.show(Progress { path, done: record.offset, of: steady.length() });
                }
            }
            Ok(Some(Event::Damage(damage))) => {
                damaged = true;
                eprintln!("damage: {}: {damage}", path.display());
            }
        }
    }
    if steady.shrank() { Err(CannotLook::Changed(path.to_owned()).into()) } else { Ok(damaged) }
}

fn dump_history(
    members: &[Member],
    to: &mut Printer,
    print: &mut dyn FnMut(&Record<'_>, &mut Printer) -> Result<(), Stop>,
    meter: &mut Meter,
) -> Result<Exit, Stop> {
    let mut progress = |at: Progress<'_>| meter.show(at);
    let surveyed = survey(members, None, &mut progress)?;
    let chains: Result<Vec<Chain>, CannotLook> =
        members.iter().map(|member| Chain::new(&member.logs, &mut progress)).collect();
    let mut merge = Merge::new(chains?, Some(&surveyed.history));
    while merge.advance(&mut progress)?.is_some() {
        if let Some(record) = merge.record() {
            print(&record, to)?;
        }
    }
    to.flush()?;
    if merge.dropped() > 0 {
        eprintln!("notice: {} transactions that were never committed are left out", merge.dropped());
    }
    for (first, last) in surveyed.history.unknown() {
        eprintln!("notice: whether 0x{first} to 0x{last} were committed, these files do not tell");
    }
    let damage: Vec<_> = merge.damage().collect();
    for (path, damage) in &damage {
        eprintln!("damage: {}: {damage}", path.display());
    }
    Ok(if damage.is_empty() { Exit::Sound } else { Exit::Damage })
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    member: String,
    transactions: u64,
    bytes: u64,
    first: Option<String>,
    last: Option<String>,
    from: Option<String>,
    until: Option<String>,
    epochs: u64,
    largest_bytes: u32,
    largest: Option<String>,
    by_type: BTreeMap<&'static str, (u64, u64)>,
}

fn stat(options: &Plain) -> Result<Exit, Stop> {
    let (mut to, mut meter, mut exit) = (Printer::new(), Meter::new(), Exit::Sound);
    for member in with_logs(&options.paths)? {
        let mut counts = Counts { member: member.name.clone(), ..Counts::default() };
        let (mut epoch, mut times) = (None, None::<(i64, i64)>);
        let mut ends = None::<(Zxid, Zxid)>;
        for file in &member.logs {
            let damaged = each(&file.path, &mut meter, &mut |record| {
                let header = &record.header;
                counts.transactions += 1;
                counts.bytes += u64::from(record.length);
                let of_type = counts.by_type.entry(record.txn.kind().name()).or_default();
                *of_type = (of_type.0 + 1, of_type.1 + u64::from(record.length));
                if epoch.replace(header.zxid.epoch()) != Some(header.zxid.epoch()) {
                    counts.epochs += 1;
                }
                times = Some(times.map_or((header.time, header.time), |(first, last)| {
                    (first.min(header.time), last.max(header.time))
                }));
                ends = Some((ends.map_or(header.zxid, |(first, _)| first), header.zxid));
                if record.length > counts.largest_bytes {
                    counts.largest_bytes = record.length;
                    let path = record.txn.path().map(|path| format!(" {path}")).unwrap_or_default();
                    counts.largest = Some(format!("0x{} {}{path}", header.zxid, record.txn.kind()));
                }
                Ok(())
            })?;
            if damaged {
                exit = Exit::Damage;
            }
        }
        if let (Some((first, last)), Some((from, until))) = (ends, times) {
            (counts.first, counts.last) = (Some(format!("0x{first}")), Some(format!("0x{last}")));
            (counts.from, counts.until) = (Some(iso_text(from)), Some(iso_text(until)));
        }
        match options.output {
            Output::Json => to.json(&counts)?,
            Output::Human => to.buffer.extend_from_slice(columns(&counts).as_bytes()),
        }
    }
    to.flush()?;
    Ok(exit)
}

fn columns(counts: &Counts) -> String {
    let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let Counts { member, transactions, bytes, first, last, from, until, epochs, largest_bytes, largest, by_type } =
        counts;
    let mut text = format!(
        "{member}\n  transactions  {transactions}, {} to {}\n  time          {} to {}\n  epochs        {epochs}\n  \
         bytes         {bytes}\n  largest       {largest_bytes} bytes: {}\n",
        shown(first),
        shown(last),
        shown(from),
        shown(until),
        shown(largest)
    );
    for (name, (count, bytes)) in by_type {
        // Writing to a string cannot fail.
        let _written = writeln!(text, "  {name:<16} {count:>12} {bytes:>14} bytes");
    }
    text
}

fn verify_all(options: &Verify) -> Result<Exit, Stop> {
    let members = look(&options.plain.paths)?;
    let output = options.plain.output;
    let (mut to, mut meter, mut exit) = (Printer::new(), Meter::new(), Exit::Sound);
    let mut progress = |at: Progress<'_>| meter.show(at);
    for member in &members {
        let report = verify(member, &mut progress)?;
        if report::print(&member.name, &report, output, &mut to)? == Exit::Damage {
            exit = Exit::Damage;
        }
    }
    if members.len() > 1 && members.iter().all(|member| !member.single) {
        let surveyed = survey(&members, None, &mut progress)?;
        for (member, strand) in members.iter().zip(&surveyed.strands) {
            for (&epoch, &(_, last)) in &strand.epochs {
                if surveyed.history.verdict(last) == Verdict::NeverCommitted {
                    let after = surveyed.history.epochs.get(&epoch).map_or(Zxid(0), |epoch| epoch.possible);
                    let text = format!("its transactions after 0x{after} up to 0x{last} were never committed");
                    note(&member.name, "never-committed", &text, output, &mut to)?;
                }
            }
        }
        for (first, last) in surveyed.history.unknown() {
            let text = format!("whether 0x{first} to 0x{last} were committed, these files do not tell");
            note("history", "unknown", &text, output, &mut to)?;
        }
    }
    if options.replay && exit == Exit::Sound {
        let rebuilt = replay_all(&members, &mut progress)?;
        let text = match rebuilt.replay.mismatch() {
            None => format!("{} digests were compared, and all agree", rebuilt.replay.checked()),
            Some(mismatch) => {
                exit = Exit::Damage;
                format!("after 0x{} the replayed tree is not the one that the server had", mismatch.zxid)
            }
        };
        note("replay", if exit == Exit::Sound { "digests-agree" } else { "digest-differs" }, &text, output, &mut to)?;
    }
    to.flush()?;
    Ok(exit)
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
        Output::Human => to.buffer.extend_from_slice(format!("{severity}: {member}: {text}\n").as_bytes()),
    }
    Ok(to.line_done()?)
}

/// A tail that is torn belongs to a server that writes.
pub(crate) fn is_unfinished(fault: &Fault) -> bool {
    matches!(fault, Fault::TornTail | Fault::Empty | Fault::HeaderCut)
}
