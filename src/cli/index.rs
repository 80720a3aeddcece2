//! `menagerie index`: what happened to a znode, when, and by whom.

use std::ops::ControlFlow::{Break, Continue};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::range::{Range, path};
use crate::cli::verify::note;
use crate::cli::{Exit, Limit, Meter, Output, Printer, Stop, finish};
use crate::view::story;
use crate::view::time::{Clock, iso_text};
use zookeeper_files::ids::Zxid;
use zookeeper_files::index::{Built, Deed, Index, Query, Sources, build_of};
use zookeeper_files::log::SessionId;

/// Indexes ZooKeeper's transaction logs, searches them, and tells the history of a path.
///
/// The index is a file of its own that can be thrown away and built again; it points into the logs, which must stay where
/// they are. Nothing of them is ever changed. Logs do not say from which address a session came.
/// Exit codes: 0 sound, 1 damage was found, 2 could not look.
#[derive(Args, Debug)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an index of a member's logs, or let it grow to their ends
    #[command(after_help = "Examples:\n  menagerie index build /data\n  \
        menagerie index build /data,/datalog --index /var/tmp/zk.index   # again, to let it grow\n  \
        menagerie index build /member0 --others /member1 /member2   # and know what was never committed")]
    Build(Build),
    /// Find changes by path, subtree, session, kind, zxid and time, the newest first
    #[command(after_help = "Examples:\n  menagerie index search --subtree /app --since 2026-11-23T19:00:00Z\n  \
        menagerie index search --kind deleted,expired,ended --session 0x10000bba8fd0000\n  \
        menagerie index search --subtree /app --limit 1000 --output json")]
    Search(Search),
    /// Tell what happened to a path: when, who, what, before → after
    #[command(after_help = "Examples:\n  menagerie index history /app/config\n  \
        menagerie index history /app/config --until 2026-11-23T19:00:00Z --limit 5 --output json")]
    History(Tell),
}

#[derive(Args, Debug)]
struct Place {
    /// The file of the index
    #[arg(long, default_value = "menagerie.index", value_name = "FILE")]
    index: PathBuf,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Args, Debug)]
struct Build {
    /// A member's data folder, or DATA,LOG, or single logs
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// The other members' folders: not indexed, they tell what the indexed one logged and nobody committed
    #[arg(long, value_name = "PATH", num_args = 1..)]
    others: Vec<String>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    limit: Limit,
}

#[derive(Args, Debug)]
struct Filter {
    #[command(flatten)]
    range: Range,
    /// Only these kinds: created, deleted (by a client), expired (containers, TTLs), ended (with its session), set, acl-set,
    /// reconfigured, checked, opened, closed (sessions), failed
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = deed)]
    kind: Vec<Deed>,
    /// Only operations of multis
    #[arg(long)]
    multi: bool,
    /// So many at most
    #[arg(long, default_value_t = 100, value_name = "NUMBER")]
    limit: usize,
    /// Print so many bytes of data for people
    #[arg(long, default_value_t = 200, value_name = "BYTES")]
    data: usize,
}

#[derive(Args, Debug)]
struct Search {
    /// Only this very path
    #[arg(long, value_name = "PATH", value_parser = path)]
    path: Option<String>,
    /// Only what changes this path or one below it
    #[arg(long, value_name = "PATH", value_parser = path)]
    subtree: Option<String>,
    /// The oldest first
    #[arg(long)]
    oldest_first: bool,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    place: Place,
}

#[derive(Args, Debug)]
struct Tell {
    /// The path
    #[arg(value_parser = path, required_unless_present = "named", conflicts_with = "named")]
    path: Option<String>,
    /// The path, named as for the other commands
    #[arg(long = "path", id = "named", value_name = "PATH", value_parser = path)]
    named: Option<String>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    place: Place,
}

fn deed(text: &str) -> Result<Deed, String> {
    let known = || Deed::ALL.map(Deed::name).join(", ");
    Deed::ALL.into_iter().find(|deed| deed.name() == text).ok_or_else(|| format!("one of {}", known()))
}

impl Filter {
    fn query(&self) -> Query {
        let Range { from: _, to: _, since, until, session } = self.range;
        let times = (since.map_or(i64::MIN, |time| time.0), until.map_or(i64::MAX, |time| time.0.saturating_sub(1)));
        Query {
            session: session.map(SessionId),
            deeds: self.kind.clone(),
            multi: self.multi,
            zxids: self.range.zxids(),
            times: times.0..=times.1,
            limit: self.limit,
            ..Query::default()
        }
    }
}

/// Runs it, and says with what to exit.
pub fn main(options: Options) -> i32 {
    match options.command {
        Command::Build(args) => finish("index build", run_build(&args)),
        Command::Search(args) => finish("index search", search(args)),
        Command::History(args) => finish("index history", tell(&args)),
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

fn run_build(args: &Build) -> Result<Exit, Stop> {
    let mut meter = Meter::new();
    let sources = Sources { paths: &args.paths, others: &args.others, max_record: args.limit.max_record };
    let built = build_of(sources, &args.place.index, &mut |progress| {
        meter.show(zookeeper_files::disk::Progress { path: progress.log, done: progress.bytes, of: progress.of });
    })?;
    drop(meter);
    let mut printer = Printer::new();
    let Built { logs, transactions, entries, bytes, ref anew, ref gone, ref damage, .. } = built;
    for found in damage {
        let file = found.path.display().to_string();
        match args.place.output {
            Output::Json => {
                printer.json(&DamageLine { file, severity: "damage", finding: &found.name, text: &found.words })?;
            }
            Output::Human => printer.buffer.extend_from_slice(format!("damage: {file}: {}\n", found.words).as_bytes()),
        }
    }
    tell_commits(&built, args, &mut printer)?;
    let size = std::fs::metadata(&args.place.index).map_or(0, |found| found.len());
    let index = args.place.index.display().to_string();
    match args.place.output {
        Output::Json => {
            let gone = gone.iter().map(|path| path.display().to_string()).collect();
            let anew = anew.as_deref();
            printer.json(&BuiltLine { index, logs, transactions, entries, bytes, size, anew, gone })?;
        }
        Output::Human => {
            let mut say = |line: &str| printer.buffer.extend_from_slice(line.as_bytes());
            if let Some(why) = anew {
                say(&format!("built anew: {why}\n"));
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

fn tell_commits(built: &Built, args: &Build, printer: &mut Printer) -> Result<(), Stop> {
    let (output, member) = (args.place.output, args.paths.join(" "));
    for range in &built.never_committed {
        let text = format!("its transactions {range} were never committed");
        note(&member, "never-committed", &text, output, printer)?;
    }
    for range in &built.unknown {
        let text = format!("whether {range} were committed, these files do not tell");
        note("history", "unknown", &text, output, printer)?;
    }
    if built.unasked && (built.anew.is_some() || built.transactions > 0) {
        let text = "whether what was added was committed is unknown: name the other members again with --others";
        note(&member, "unknown", text, output, printer)?;
    }
    Ok(())
}

fn search(args: Search) -> Result<Exit, Stop> {
    let Search { path, subtree, oldest_first, filter, place } = args;
    let index = Index::open(&place.index)?;
    let asked = Query { path, under: subtree, oldest_first, ..filter.query() };
    let (mut printer, mut clock) = (Printer::new(), Clock::iso());
    let (mut shown, mut more, mut last) = (0, false, Zxid(0));
    index.search_each(&asked, &mut |moment| {
        if shown == asked.limit {
            more = true;
            return Ok::<_, Stop>(Break(()));
        }
        (shown, last) = (shown + 1, moment.header.zxid);
        match place.output {
            Output::Json => printer.json(&story::MomentLine::of(&moment))?,
            Output::Human => {
                story::push_moment(&moment, filter.data, &mut clock, &mut printer.buffer);
                printer.line_done()?;
            }
        }
        Ok(Continue(()))
    })?;
    printer.flush()?;
    if more && place.output == Output::Human {
        eprintln!("there are more: {} {last:#}, or a higher --limit", if oldest_first { "--from" } else { "--to" });
    }
    Ok(Exit::Sound)
}

fn tell(args: &Tell) -> Result<Exit, Stop> {
    let index = Index::open(&args.place.index)?;
    let path = args.path.as_ref().or(args.named.as_ref()).map_or("/", String::as_str);
    let history = index.history(path, &args.filter.query())?;
    let mut printer = Printer::new();
    match args.place.output {
        Output::Json => {
            for event in &history.events {
                printer.json(&story::EventLine::of(event, &history))?;
            }
        }
        Output::Human => {
            let covers = index.covers().map(|(zxids, times)| (zxids, iso_text(times.0), iso_text(times.1)));
            story::push_history(path, &history, args.filter.data, &mut printer.buffer);
            if let (true, Some((zxids, from, to))) = (history.events.is_empty(), covers) {
                let text = format!("the logs reach from {from} ({:#}) to {to} ({:#})\n", zxids.first, zxids.last);
                printer.buffer.extend_from_slice(text.as_bytes());
            }
        }
    }
    printer.flush()?;
    Ok(Exit::Sound)
}
