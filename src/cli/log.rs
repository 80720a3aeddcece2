//! `menagerie log`: transaction logs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use crate::cli::range::{RangeOptions, path};
use crate::cli::toolkit::push_toolkit;
use crate::cli::{
    CommandError, Exit, LimitOptions, Meter, Output, Printer, SourceOptions, finish, is_archive, look, print_message,
    tail, verify,
};
use crate::view::escape::push_escaped;
use crate::view::time::{Clock, iso_text};
use crate::view::txn::{RecordLine, push_columns};
use zookeeper_files::disk::{MemberFiles, Merge, Progress, ScanItem, Severity, SnapshotCover, survey};
use zookeeper_files::ids::ZxidRange;
use zookeeper_files::log::{Damage, Record};
use zookeeper_files::path::{is_at_or_under, key};

/// Read ZooKeeper's transaction logs. The commands never change them.
///
/// PATH is a log, a member's data folder, or DATA,LOG if its logs have a folder of their own.
/// Exit codes: 0 sound, 1 damage found, 2 the files could not be read.
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
        menagerie log dump /member0 /member1 /member2 --output json   # the committed history\n  \
        menagerie log dump s3://backups/zookeeper --since 1h   # of an archive")]
    Dump(LogDumpOptions),
    /// Count transactions by type, and show their range of zxids and times
    #[command(after_help = "Examples:\n  menagerie log stat /data")]
    Stat(InputOptions),
    /// Find damage, and show what a server does with it when it starts
    #[command(
        after_help = "Examples:\n  menagerie log verify /data\n  menagerie log verify /data,/datalog --replay\n  \
        menagerie log verify /member0 /member1 /member2   # and what was never committed"
    )]
    Verify(verify::LogVerifyOptions),
    /// Print the last transactions, and with --follow also new ones
    #[command(after_help = "Examples:\n  menagerie log tail /data --follow\n  menagerie log tail /data -n 100")]
    Tail(tail::TailOptions),
}

/// The output format of transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TxnFormat {
    /// Columns: time, zxid, session, cxid, type, what it does.
    #[default]
    Human,
    /// One JSON object per line.
    Json,
    /// As ZooKeeper's `TxnLogToolkit` prints them, in UTC.
    Toolkit,
}

#[derive(Args, Debug)]
struct LogDumpOptions {
    /// Logs, or the folders of members, or an archive. With several members, print their committed history
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    #[command(flatten)]
    filter: RecordFilter,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: TxnFormat,
    /// Show at most N bytes of data in human output, 0 for none
    #[arg(long, default_value_t = 200, value_name = "N")]
    data: usize,
    #[command(flatten)]
    limit: LimitOptions,
    #[command(flatten)]
    source: SourceOptions,
}

#[derive(Args, Debug, Default)]
struct RecordFilter {
    #[command(flatten)]
    range: RangeOptions,
    /// Show only changes of this path
    #[arg(long, value_name = "PATH", value_parser = path)]
    path: Option<String>,
    /// Show only changes of this path and of those below it
    #[arg(long, value_name = "PATH", value_parser = path)]
    subtree: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct InputOptions {
    /// Logs, or the folders of members
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) limit: LimitOptions,
}

impl RecordFilter {
    fn is_open(&self) -> bool {
        self.range.is_open() && self.path.is_none() && self.subtree.is_none()
    }

    fn lets(&self, record: &Record<'_>) -> bool {
        self.range.lets(&record.header)
            && self.path.as_ref().is_none_or(|path| record.changes().any(|change| change.path.0 == path.as_bytes()))
            && self.subtree.as_ref().is_none_or(|top| {
                let top = key(top.as_bytes());
                record.changes().any(|change| is_at_or_under(change.path.0, top))
            })
    }
}

const PURGED: &str = "it was purged before it could be read";

/// Runs the command and returns its exit code.
pub fn main(options: Options) -> i32 {
    match options.command {
        Command::Dump(options) => finish("log dump", dump(&options)),
        Command::Stat(options) => finish("log stat", stat(&options)),
        Command::Verify(options) => finish("log verify", verify::verify_all(&options)),
        Command::Tail(options) => finish("log tail", tail::tail(&options)),
    }
}

/// Prints transactions in one format.
pub(crate) struct TxnPrinter {
    form: TxnFormat,
    data: usize,
    clock: Clock,
}

impl TxnPrinter {
    pub(crate) fn new(form: TxnFormat, data: usize) -> Self {
        let clock = if form == TxnFormat::Toolkit { Clock::java() } else { Clock::iso() };
        Self { form, data, clock }
    }

    pub(crate) fn print(&mut self, record: &Record<'_>, to: &mut Printer) -> Result<(), CommandError> {
        match self.form {
            TxnFormat::Human => push_columns(record, self.data, &mut self.clock, &mut to.buffer),
            TxnFormat::Toolkit => push_toolkit(record, &mut self.clock, &mut to.buffer),
            TxnFormat::Json => to.json(&RecordLine::of(record))?,
        }
        Ok(to.line_done()?)
    }
}

/// Finds the files of the members, each of which must have a log.
fn with_logs(paths: &[String], limit: LimitOptions) -> Result<Vec<MemberFiles>, CommandError> {
    let members = look(paths, limit)?;
    match members.iter().find(|member| member.logs.is_empty()) {
        Some(member) => Err(CommandError::Usage(format!(
            "{}: no transaction log here (if logs have a folder of their own, dataLogDir, name it too: DATA,LOG)",
            member.name
        ))),
        None => Ok(members),
    }
}

fn dump(options: &LogDumpOptions) -> Result<Exit, CommandError> {
    let source = options.source.logs(&options.paths, &options.filter.range)?;
    let members = with_logs(&source.paths, options.limit)?;
    let (mut to, mut form, mut meter) = (Printer::new(), TxnPrinter::new(options.output, options.data), Meter::new());
    let filter = &options.filter;
    let open = filter.is_open();
    let (mut all, mut shown) = (0_u64, 0_u64);
    let mut print = |record: &Record<'_>, to: &mut Printer| -> Result<(), CommandError> {
        all += 1;
        if open || filter.lets(record) {
            shown += 1;
            form.print(record, to)?;
        }
        Ok(())
    };
    let mut exit = Exit::Sound;
    if members.len() > 1 && members.iter().all(|member| !member.single) {
        exit = dump_history(&members, &mut to, &mut print, &mut meter)?;
    } else {
        for member in &members {
            let from = source.archive.as_deref();
            let damaged = each(member, from, &mut meter, &mut |record| print(record, &mut to))?;
            exit = if damaged { Exit::Damage } else { exit };
        }
        to.flush()?;
    }
    if shown == 0 && !open {
        print_message("notice", &format!("0 of {all} transactions match"));
    }
    Ok(exit)
}

/// Passes every transaction of a member's logs to `take`, and prints what is wrong with the logs, or with the archive that they are of.
/// Returns whether anything is.
fn each(
    member: &MemberFiles,
    archive: Option<&str>,
    meter: &mut Meter,
    take: &mut dyn FnMut(&Record<'_>) -> Result<(), CommandError>,
) -> Result<bool, CommandError> {
    let (cover, mut damaged) = (member.cover(), false);
    let mut scan = member.scan(&member.logs);
    while let Some(item) = scan.next(&mut |at| meter.show(at))? {
        let (severity, text) = match item {
            ScanItem::Record(record) => {
                take(&record)?;
                continue;
            }
            ScanItem::Damage(damage) => severity_of(&cover, &damage),
            ScanItem::Unpackable(error) => (Severity::Damage, format!("it cannot be unpacked to its end ({error})")),
            ScanItem::Purged => (Severity::Notice, PURGED.to_owned()),
            ScanItem::End { .. } => continue,
        };
        damaged |= severity == Severity::Damage;
        let path = scan.path().unwrap_or(Path::new(""));
        match archive {
            // The folder that it was fetched into is gone when somebody reads this.
            Some(archive) => print_message(severity.name(), &format!("{archive}: {text}")),
            None => print_message(severity.name(), &format!("{}: {text}", path.display())),
        }
    }
    Ok(damaged)
}

/// The severity of damage in a log, and its text: it is only a notice if a snapshot contains what is missing.
pub(crate) fn severity_of(cover: &SnapshotCover, damage: &Damage) -> (Severity, String) {
    match cover.of_damage(damage) {
        Some(why) => (Severity::Notice, format!("{damage}; {why}")),
        None => (Severity::Damage, damage.to_string()),
    }
}

fn dump_history(
    members: &[MemberFiles],
    to: &mut Printer,
    print: &mut dyn FnMut(&Record<'_>, &mut Printer) -> Result<(), CommandError>,
    meter: &mut Meter,
) -> Result<Exit, CommandError> {
    let mut progress = |at: Progress<'_>| meter.show(at);
    let surveyed = survey(members, None, &mut progress)?;
    let mut merge = Merge::new(members, Some(&surveyed.history), &mut progress)?;
    while merge.advance(&mut progress)?.is_some() {
        if let Some(record) = merge.record() {
            print(&record, to)?;
        }
    }
    to.flush()?;
    if merge.dropped() > 0 {
        print_message("notice", &format!("{} transactions that were never committed are left out", merge.dropped()));
    }
    for range in surveyed.history.unknown() {
        print_message("notice", &format!("whether {range} were committed, these files do not tell"));
    }
    for path in merge.purged() {
        print_message("notice", &format!("{}: {PURGED}", path.display()));
    }
    let damage: Vec<_> = merge.damage().collect();
    for (path, damage) in &damage {
        print_message("damage", &format!("{}: {damage}", path.display()));
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

fn stat(options: &InputOptions) -> Result<Exit, CommandError> {
    if let Some(path) = options.paths.iter().find(|path| is_archive(path)) {
        let other = "this command reads files; `menagerie archive stat` shows what an archive has";
        return Err(CommandError::Usage(format!("{path}: {other}")));
    }
    let (mut to, mut meter, mut exit) = (Printer::new(), Meter::new(), Exit::Sound);
    for member in with_logs(&options.paths, options.limit)? {
        let mut counts = Counts { member: member.name.clone(), ..Counts::default() };
        let (mut epoch, mut times) = (None, None::<(i64, i64)>);
        let mut ends = None::<ZxidRange>;
        let damaged = each(&member, None, &mut meter, &mut |record| {
            let header = &record.header;
            counts.transactions += 1;
            counts.bytes += u64::from(record.length);
            let of_type = counts.by_type.entry(record.txn.txn_type().name()).or_default();
            *of_type = (of_type.0 + 1, of_type.1 + u64::from(record.length));
            if epoch.replace(header.zxid.epoch()) != Some(header.zxid.epoch()) {
                counts.epochs += 1;
            }
            times =
                Some(times.map_or((header.time, header.time), |(first, last)| {
                    (first.min(header.time), last.max(header.time))
                }));
            let first = ends.map_or(header.zxid, |ends| ends.first);
            ends = Some(ZxidRange { first, last: header.zxid });
            if record.length > counts.largest_bytes {
                counts.largest_bytes = record.length;
                let mut path = Vec::new();
                if let Some(text) = record.txn.path() {
                    path.push(b' ');
                    push_escaped(text.0, &mut path);
                }
                let path = String::from_utf8_lossy(&path);
                counts.largest = Some(format!("{:#} {}{path}", header.zxid, record.txn.txn_type()));
            }
            Ok(())
        })?;
        exit = if damaged { Exit::Damage } else { exit };
        if let (Some(ZxidRange { first, last }), Some((from, until))) = (ends, times) {
            (counts.first, counts.last) = (Some(format!("{first:#}")), Some(format!("{last:#}")));
            (counts.from, counts.until) = (Some(iso_text(from)), Some(iso_text(until)));
        }
        match options.output {
            Output::Json => to.json(&counts)?,
            Output::Human => to.buffer.extend_from_slice(columns(&counts).as_bytes()),
        }
        to.line_done()?;
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
