//! `menagerie index`: what happened to a znode, when, and by whom.

use std::io::ErrorKind;
use std::ops::ControlFlow::{Break, Continue};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::range::{RangeOptions, path};
use crate::cli::verify::print_note;
use crate::cli::{
    CommandError, Exit, LimitOptions, Meter, Output, Printer, Source, SourceOptions, finish, is_archive, print_message,
};
use crate::view::entry;
use crate::view::time::{Clock, iso_text};
use zookeeper_files::ids::Zxid;
use zookeeper_files::index::{BuildInput, Built, EntryKind, Index, IndexError, Query, build_of};
use zookeeper_files::log::SessionId;

/// Index ZooKeeper's transaction logs, search them, and show the history of a path.
///
/// The index is a file of its own: you can delete it and build it again. It points into the logs, so the logs must stay where
/// they are. The commands never change them. Logs do not contain the client addresses of sessions.
/// Exit codes: 0 sound, 1 damage found, 2 the files could not be read.
#[derive(Args, Debug)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build an index of a member's logs, or update it to their ends
    #[command(after_help = "Examples:\n  menagerie index build /data\n  \
        menagerie index build /data,/datalog --index /var/tmp/zk.index   # again, to update it\n  \
        menagerie index build /member0 --others /member1 /member2   # and mark what was never committed\n  \
        menagerie index build s3://backups/zookeeper   # an archive; again, to fetch and index what is new")]
    Build(BuildOptions),
    /// Find changes by path, subtree, session, kind, zxid and time, newest first
    #[command(after_help = "Examples:\n  menagerie index search --subtree /app --since 2026-11-23T19:00:00Z\n  \
        menagerie index search --kind deleted,expired,ended --session 0x10000bba8fd0000\n  \
        menagerie index search --subtree /app --limit 1000 --output json")]
    Search(SearchOptions),
    /// Show the history of a path: when, who, what, before → after
    #[command(after_help = "Examples:\n  menagerie index history /app/config\n  \
        menagerie index history /app/config --until 2026-11-23T19:00:00Z --limit 5 --output json")]
    History(HistoryOptions),
}

#[derive(Args, Debug)]
struct IndexOptions {
    /// The index file
    #[arg(long, default_value = "menagerie.index", value_name = "FILE")]
    index: PathBuf,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Args, Debug)]
struct BuildOptions {
    /// A member's data folder, DATA,LOG, or single logs, or an archive
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// The folders of the other members. They are not indexed; they show which indexed transactions were never committed
    #[arg(long, value_name = "PATH", num_args = 1..)]
    others: Vec<String>,
    #[command(flatten)]
    common: IndexOptions,
    #[command(flatten)]
    limit: LimitOptions,
    #[command(flatten)]
    source: SourceOptions,
}

#[derive(Args, Debug)]
struct EntryFilter {
    #[command(flatten)]
    range: RangeOptions,
    /// Show only these kinds: created, deleted (by a client), expired (containers, TTLs), ended (with its session), set,
    /// acl-set, reconfigured, checked, opened, closed (sessions), failed
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kind)]
    kind: Vec<EntryKind>,
    /// Show only operations of multis
    #[arg(long)]
    multi: bool,
    /// Show at most N entries
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: usize,
    /// Show at most N bytes of data in human output
    #[arg(long, default_value_t = 200, value_name = "N")]
    data: usize,
}

#[derive(Args, Debug)]
struct SearchOptions {
    /// Show only changes of this path
    #[arg(long, value_name = "PATH", value_parser = path)]
    path: Option<String>,
    /// Show only changes of this path and of those below it
    #[arg(long, value_name = "PATH", value_parser = path)]
    subtree: Option<String>,
    /// Show the oldest first
    #[arg(long)]
    oldest_first: bool,
    #[command(flatten)]
    filter: EntryFilter,
    #[command(flatten)]
    common: IndexOptions,
}

#[derive(Args, Debug)]
struct HistoryOptions {
    /// The path
    #[arg(value_parser = path, required_unless_present = "named", conflicts_with = "named")]
    path: Option<String>,
    /// The path, as the other commands take it
    #[arg(long = "path", id = "named", value_name = "PATH", value_parser = path)]
    named: Option<String>,
    #[command(flatten)]
    filter: EntryFilter,
    #[command(flatten)]
    common: IndexOptions,
}

fn kind(text: &str) -> Result<EntryKind, String> {
    let known = || EntryKind::ALL.map(EntryKind::name).join(", ");
    EntryKind::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| format!("one of {}", known()))
}

impl EntryFilter {
    fn query(&self) -> Query {
        let RangeOptions { from: _, to: _, since, until, session } = self.range;
        let times = (since.map_or(i64::MIN, |time| time.0), until.map_or(i64::MAX, |time| time.0.saturating_sub(1)));
        Query {
            session: session.map(SessionId),
            kinds: self.kind.clone(),
            multi: self.multi,
            zxids: self.range.zxids(),
            times: times.0..=times.1,
            limit: self.limit,
            ..Query::default()
        }
    }
}

/// Runs the command and returns its exit code.
pub fn main(options: Options) -> i32 {
    match options.command {
        Command::Build(args) => finish("index build", run_build(&args)),
        Command::Search(args) => finish("index search", search(args)),
        Command::History(args) => finish("index history", history(&args)),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BuiltLine<'a> {
    index: String,
    logs: usize,
    transactions: u64,
    entries: u64,
    bytes: u64,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    anew: Option<&'a str>,
    gone: Vec<String>,
}

#[derive(Serialize)]
struct DamageLine<'a> {
    file: String,
    severity: &'static str,
    finding: &'a str,
    text: &'a str,
}

/// A place that cannot be written to is no place for an index, and the folder of a member often is one.
fn elsewhere(error: IndexError, index: &Path) -> CommandError {
    let beside = |path: &Path| path.parent() == index.parent();
    match error {
        IndexError::Io { path, source }
            if matches!(source.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied)
                && beside(&path) =>
        {
            CommandError::Usage(format!(
                "{}: {source}: the index cannot be written here; put it elsewhere with --index FILE, and name that file in `index search` and `index history` too",
                index.display()
            ))
        }
        error => error.into(),
    }
}

/// The logs that are indexed. Those of an archive stay beside the index, which points into them.
fn fetched(args: &BuildOptions) -> Result<Source, CommandError> {
    if !args.paths.iter().any(|path| is_archive(path)) {
        return Ok(Source::of(&args.paths));
    }
    if !args.others.is_empty() {
        return Err(CommandError::Usage("an archive has only what was committed: leave --others out".to_owned()));
    }
    let source = args.source.kept(&args.paths, &args.common.index)?;
    let text = format!("the logs are in {}: the index points into them", source.paths.join(" "));
    print_message("notice", &text);
    Ok(source)
}

fn run_build(args: &BuildOptions) -> Result<Exit, CommandError> {
    let source = fetched(args)?;
    let mut meter = Meter::new();
    let sources = BuildInput { paths: &source.paths, others: &args.others, max_record: args.limit.max_record };
    let built = build_of(sources, &args.common.index, &mut |progress| meter.show(progress));
    let built = built.map_err(|error| elsewhere(error, &args.common.index))?;
    drop(meter);
    let mut printer = Printer::new();
    let Built { logs, transactions, entries, bytes, ref anew, ref gone, ref damage, .. } = built;
    for found in damage {
        let file = found.path.display().to_string();
        match args.common.output {
            Output::Json => {
                printer.json(&DamageLine { file, severity: "damage", finding: &found.name, text: &found.words })?;
            }
            Output::Human => printer.buffer.extend_from_slice(format!("damage: {file}: {}\n", found.words).as_bytes()),
        }
    }
    print_commits(&built, args, &mut printer)?;
    let size = std::fs::metadata(&args.common.index).map_or(0, |found| found.len());
    let index = args.common.index.display().to_string();
    match args.common.output {
        Output::Json => {
            let gone = gone.iter().map(|path| path.display().to_string()).collect();
            let anew = anew.as_deref();
            printer.json(&BuiltLine { index, logs, transactions, entries, bytes, size, anew, gone })?;
        }
        Output::Human => {
            let mut say = |line: &str| printer.buffer.extend_from_slice(line.as_bytes());
            if let Some(why) = anew {
                say(&format!("rebuilt: {why}\n"));
            }
            for path in gone {
                say(&format!("{}: gone, and no longer in the index\n", path.display()));
            }
            say(&format!(
                "{index}: {entries} entries added from {transactions} transactions ({bytes} bytes) of {logs} logs; {size} bytes\n"
            ));
        }
    }
    printer.flush()?;
    Ok(if damage.is_empty() { Exit::Sound } else { Exit::Damage })
}

fn print_commits(built: &Built, args: &BuildOptions, printer: &mut Printer) -> Result<(), CommandError> {
    let (output, member) = (args.common.output, args.paths.join(" "));
    for range in &built.never_committed {
        let text = format!("its transactions {range} were never committed");
        print_note(&member, "never-committed", &text, output, printer)?;
    }
    for range in &built.unknown {
        let text = format!("whether {range} were committed, these files do not tell");
        print_note("history", "unknown", &text, output, printer)?;
    }
    if built.unasked && (built.anew.is_some() || built.transactions > 0) {
        let text =
            "whether the added transactions were committed is unknown: name the other members again with --others";
        print_note(&member, "unknown", text, output, printer)?;
    }
    Ok(())
}

fn search(args: SearchOptions) -> Result<Exit, CommandError> {
    let SearchOptions { path, subtree, oldest_first, filter, common } = args;
    let index = Index::open(&common.index)?;
    let asked = Query { path, under: subtree, oldest_first, ..filter.query() };
    let (mut printer, mut clock) = (Printer::new(), Clock::iso());
    let (mut shown, mut more, mut last) = (0, false, Zxid(0));
    index.search_each(&asked, &mut |entry| {
        if shown == asked.limit {
            more = true;
            return Ok::<_, CommandError>(Break(()));
        }
        (shown, last) = (shown + 1, entry.header.zxid);
        match common.output {
            Output::Json => printer.json(&entry::EntryLine::of(&entry))?,
            Output::Human => {
                entry::push_entry(&entry, filter.data, &mut clock, &mut printer.buffer);
                printer.line_done()?;
            }
        }
        Ok(Continue(()))
    })?;
    printer.flush()?;
    if more && common.output == Output::Human {
        eprintln!("there are more: {} {last:#}, or a higher --limit", if oldest_first { "--from" } else { "--to" });
    }
    Ok(Exit::Sound)
}

fn history(args: &HistoryOptions) -> Result<Exit, CommandError> {
    let index = Index::open(&args.common.index)?;
    let path = args.path.as_ref().or(args.named.as_ref()).map_or("/", String::as_str);
    let history = index.history(path, &args.filter.query())?;
    let mut printer = Printer::new();
    match args.common.output {
        Output::Json => {
            for change in &history.changes {
                printer.json(&entry::HistoryLine::of(change, &history))?;
            }
        }
        Output::Human => {
            let covers = index.covers().map(|(zxids, times)| (zxids, iso_text(times.0), iso_text(times.1)));
            entry::push_history(path, &history, args.filter.data, &mut printer.buffer);
            if let (true, Some((zxids, from, to))) = (history.changes.is_empty(), covers) {
                let text = format!("the logs reach from {from} ({:#}) to {to} ({:#})\n", zxids.first, zxids.last);
                printer.buffer.extend_from_slice(text.as_bytes());
            }
        }
    }
    printer.flush()?;
    Ok(Exit::Sound)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn where_no_index_can_be_written_it_is_said_how_to_put_it_elsewhere() {
        let index = Path::new("/data/menagerie.index");
        let fails = |path: &str, kind: ErrorKind| {
            elsewhere(IndexError::Io { path: PathBuf::from(path), source: io::Error::from(kind) }, index).to_string()
        };
        for kind in [ErrorKind::ReadOnlyFilesystem, ErrorKind::PermissionDenied] {
            let told = fails("/data/menagerie.index.partial", kind);
            assert!(told.starts_with("/data/menagerie.index: ") && told.contains("--index FILE"), "{told}");
            // A log that cannot be read is another matter.
            assert!(!fails("/logs/version-2/log.1", kind).contains("--index"));
        }
        assert!(!fails("/data/menagerie.index.partial", ErrorKind::StorageFull).contains("--index FILE"));
    }
}
