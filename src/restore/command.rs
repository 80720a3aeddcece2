//! `menagerie restore`: shows what a restore would do, and does it.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use tokio::runtime;
use zookeeper_files::atomic::Part;
use zookeeper_files::disk::{RebuiltTree, is_at_home};
use zookeeper_files::ids::Zxid;

use crate::cli::point::PointArg;
use crate::cli::snapshot::{files_end, rebuilt, rebuilt_around};
use crate::cli::{CommandError, Exit, LimitOptions, Meter, Output, Printer, SourceOptions, finish, print_message};
use crate::restore::apply::{ApplyError, ChangedSincePlan, Progress, apply};
use crate::restore::arguments::{Asked, PASSWORD, ScopeOptions, ServerOptions, WhatOptions, password};
use crate::restore::hash::Digest;
use crate::restore::operation::Operation;
use crate::restore::options::{Access, Existing, Lineage};
use crate::restore::plan::{Counts, Plan, plan};
use crate::restore::plan_file::{LONGEST, PlanFile};
use crate::restore::reader::read;
use crate::restore::reason::{Note, Skipped};
use crate::restore::undo::undone;
use crate::restore::wanted::{Limits, Wanted};
use crate::view::escape::{push_escaped, push_message};
use crate::view::time::iso_text;
use crate::zk::znodes::Session;

/// The commands on files and archives: each speaks with the ensemble itself.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what has to be done so that znodes become as they were at a point
    ///
    /// Nothing is changed. Exit codes: 0 planned, also if there is nothing to do; 1 the tree at the point is not the one that the
    /// server had, or the wanted time is later than the files' end, and nothing is planned; 2 an error.
    #[command(after_help = "Examples:\n  \
        menagerie restore plan /data --at 0x10000002a --path /app --server zk-0:2181 --save app.plan\n  \
        menagerie restore plan /member0 /member1 /member2 --at 2026-11-23T19:52:00Z --path / --existing overwrite --server zk-0:2181\n  \
        menagerie restore plan s3://backups/zookeeper --at 2026-11-23T19:52:00Z --path /app --server zk-0:2181\n  \
        menagerie restore plan s3://backups/zookeeper --undo 0x10000002a --same-ensemble --server zk-0:2181 --save undo.plan\n  \
        menagerie restore plan /data --at 0x10000002a --exclusive --znode /app/config --to /app/config-before --server zk-0:2181")]
    Plan(Box<PlanOptions>),
    /// Carry out a plan, or go on with one that was carried out in part
    ///
    /// Exit codes: 0 done; 1 others have changed the same znodes since the plan was made, and the rest is not done; 2 an error. After
    /// 1 and 2 what was done stays done, and the same command goes on from there.
    #[command(after_help = "Examples:\n  menagerie restore apply app.plan --server zk-0:2181,zk-1:2181")]
    Apply(ApplyOptions),
}

#[derive(Args, Debug)]
pub(crate) struct PlanOptions {
    /// The folders of members, or an archive
    #[arg(required = true, value_name = "FOLDER")]
    folders: Vec<String>,
    /// The point: after the transaction with this zxid, like 0x10000002a, or at this time: 2026-11-23T19:52:00Z, or 90m (ago). menagerie log
    /// dump shows the zxid and the time of each transaction
    #[arg(long, value_name = "ZXID|TIME", required_unless_present = "undo")]
    at: Option<PointArg>,
    /// The point is before that transaction, or before that time
    #[arg(long)]
    exclusive: bool,
    #[command(flatten)]
    scope: ScopeOptions,
    #[command(flatten)]
    servers: ServerOptions,
    #[command(flatten)]
    what: WhatOptions,
    /// Plan even if no log shows whether a snapshot is damaged or holds what was never committed
    #[arg(long)]
    unproved: bool,
    /// Write the plan to this file, which must not exist. It holds the data of all znodes that are wanted
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    limit: LimitOptions,
    #[command(flatten)]
    source: SourceOptions,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum ChangedArg {
    /// Stop
    #[default]
    Fail,
    /// Go on with a new plan, and say what differs
    Replan,
}

#[derive(Args, Debug)]
pub(crate) struct ApplyOptions {
    /// What `menagerie restore plan --save` wrote
    #[arg(value_name = "PLANFILE")]
    file: PathBuf,
    #[command(flatten)]
    servers: ServerOptions,
    /// What to do if others have changed the same znodes since the plan was made
    #[arg(long, value_enum, default_value_t)]
    changed: ChangedArg,
    /// Carry out only the plan with this hash, which `menagerie restore plan` printed
    #[arg(long, value_name = "HASH")]
    hash: Option<Digest>,
}

/// Runs the command and returns the exit code.
pub(crate) fn main(command: Command) -> i32 {
    match command {
        Command::Plan(options) => finish("restore plan", plan_command(&options)),
        Command::Apply(options) => finish("restore apply", apply_command(&options)),
    }
}

fn run<T>(work: impl Future<Output = T>) -> Result<T, CommandError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(CommandError::Output)?;
    Ok(runtime.block_on(work))
}

fn usage(error: impl std::fmt::Display) -> CommandError {
    CommandError::Usage(error.to_string())
}

fn plan_command(options: &PlanOptions) -> Result<Exit, CommandError> {
    let asked = options.scope.asked(options.at.map(|at| at.0), options.exclusive).map_err(usage)?;
    let password = password();
    let access = if password.is_some() { Access::Super } else { Access::Anyone };
    let decided = |point| options.what.decided(&asked, point, Lineage::Unknown, access).map_err(usage);
    // What does not go together is said before hours are spent on files.
    decided(Zxid(0))?;
    if let Some(path) = &options.save {
        may_be_saved(path)?;
    }
    let mut meter = Meter::new();
    let limits = Limits::default();
    let (wanted, time) = match wanted(options, &asked, limits, &mut meter)? {
        Ok(wanted) => wanted,
        Err(exit) => return Ok(exit),
    };
    let decided = decided(wanted.zxid)?;
    let session = Session::with(&options.servers.server, password);
    let reading = async {
        read(&session, &wanted.scope, limits, &mut |count| meter.draw(|| format!("{count} znodes read"))).await
    };
    let live = run(reading)?.map_err(usage)?;
    drop(meter);
    let planned = plan(&wanted, &live, &decided).map_err(usage)?;
    let file = PlanFile::of(wanted, decided, planned);
    print_plan(&file, time, options.output, usize::MAX)?;
    if let Some(path) = &options.save {
        save(&file, path).map_err(|error| usage(format!("{}: {error}", path.display())))?;
    }
    Ok(Exit::Sound)
}

/// What is wanted, and when the last transaction that was read was; or, where the files do not prove it, how the command ends.
fn wanted(
    options: &PlanOptions,
    asked: &Asked,
    limits: Limits,
    meter: &mut Meter,
) -> Result<Result<(Wanted, Option<i64>), Exit>, CommandError> {
    let (from, to) = asked.points();
    let source = match options.source.tree(&options.folders, from, to) {
        Err(error @ CommandError::Beyond(_)) => {
            print_message("damage", &format!("nothing is planned: {error}"));
            return Ok(Err(Exit::Damage));
        }
        source => source?,
    };
    let members = source.members(options.limit)?;
    let (mut rebuilt, exit) = match asked {
        Asked::Point(point, _) => rebuilt(&members, *point, meter)?,
        Asked::Undo(zxid) => rebuilt_around(&members, *zxid, meter)?,
    };
    drop(source);
    if let Some(doubt) = doubt(&rebuilt, exit, options.unproved) {
        print_message("damage", &format!("nothing is planned: {doubt}"));
        return Ok(Err(Exit::Damage));
    }
    let wanted = match asked {
        Asked::Point(_, scope) => Wanted::of(rebuilt.replay.tree(), scope, limits).map_err(usage)?,
        Asked::Undo(zxid) => {
            let (journal, body) = (rebuilt.replay.take_journal(), rebuilt.body.as_deref());
            undone(*zxid, body, &journal, rebuilt.replay.tree(), limits).map_err(usage)?
        }
    };
    Ok(Ok((wanted, rebuilt.time)))
}

/// Why the tree is none to plan from.
fn doubt(rebuilt: &RebuiltTree, exit: Exit, unproved: bool) -> Option<String> {
    if exit != Exit::Sound {
        return Some("the tree is not the one that the server had; name other members' folders as well".to_owned());
    }
    if rebuilt.beyond {
        let end = files_end(rebuilt);
        return Some(format!(
            "{end}: what belongs before the wanted time may be missing; fetch again, or name that zxid"
        ));
    }
    if rebuilt.unproved.is_some() && !unproved {
        let text = "whether the snapshot is damaged or holds what was never committed, nothing here tells; name the logs, or another \
                    member's folder, or plan all the same with --unproved";
        return Some(text.to_owned());
    }
    (rebuilt.replay.fuzzy_until() > rebuilt.replay.tree().last() && !unproved).then(|| {
        "the snapshot may hold parts of transactions that no log here has, so that this was never the tree of any moment; name the \
         logs, or another member's folder, or plan all the same with --unproved"
            .to_owned()
    })
}

fn may_be_saved(path: &Path) -> Result<(), CommandError> {
    let failed = |error: io::Error| usage(format!("{}: {error}", path.display()));
    if is_at_home(path).map_err(failed)? {
        return Err(usage(format!(
            "{}: the plan does not belong in ZooKeeper's own folder: name another file",
            path.display()
        )));
    }
    if path.symlink_metadata().is_ok() {
        return Err(usage(format!("{} exists already: name another file", path.display())));
    }
    Ok(())
}

fn save(file: &PlanFile, path: &Path) -> io::Result<()> {
    let mut to = io::BufWriter::with_capacity(1 << 20, Part::begin_secret(path)?);
    file.write(&mut to, LONGEST)?;
    to.into_inner().map_err(io::IntoInnerError::into_error)?.keep()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlanLine<'a> {
    zxid: String,
    /// The transaction that is undone.
    #[serde(skip_serializing_if = "Option::is_none")]
    undo: Option<String>,
    /// When that transaction was, if a log has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    hash: Digest,
    counts: Counts,
    operations: &'a [Operation],
    skipped: &'a [Skipped],
    notes: &'a [Note],
    own: usize,
    unnameable: usize,
}

/// Prints a plan for people: at most so many changes, skipped znodes and notes, and then, for a log that others read, without the
/// entries of ACLs. As JSON it is always whole. `time` is that of the point's last transaction, if it is known.
pub(crate) fn print_plan(file: &PlanFile, time: Option<i64>, output: Output, most: usize) -> Result<(), CommandError> {
    let PlanFile { plan, wanted, options, .. } = file;
    let mut to = Printer::new();
    let Plan { hash, counts, operations, skipped, notes } = plan;
    let (zxid, own, unnameable) = (format!("{:#}", wanted.zxid), wanted.own, wanted.unnameable);
    if output == Output::Json {
        let time = time.map(iso_text);
        let undo = match options.existing {
            Existing::Undo { of } => Some(format!("{of:#}")),
            Existing::Keep | Existing::KeepNewer { .. } | Existing::Overwrite => None,
        };
        to.json(&PlanLine {
            zxid,
            undo,
            time,
            hash: *hash,
            counts: *counts,
            operations,
            skipped,
            notes,
            own,
            unnameable,
        })?;
        return Ok(to.flush()?);
    }
    for operation in operations.iter().take(most) {
        let text = if most == usize::MAX { operation.to_string() } else { operation.brief() };
        push_message(&text, &mut to.buffer);
        if let Operation::Create { path, .. } | Operation::Set { path, .. } = operation
            && let Some(znode) = wanted.znodes.get(path)
        {
            to.buffer.extend_from_slice(format!("  {} bytes", znode.data.len()).as_bytes());
        }
        to.buffer.push(b'\n');
        to.line_done()?;
    }
    for skipped in skipped.iter().take(most) {
        to.buffer.extend_from_slice(b"skip ");
        push_escaped(skipped.path.as_bytes(), &mut to.buffer);
        to.buffer.extend_from_slice(b"  ");
        push_message(&skipped.why(), &mut to.buffer);
        to.buffer.push(b'\n');
        to.line_done()?;
    }
    for note in notes.iter().take(most) {
        to.buffer.extend_from_slice(b"note ");
        push_message(&note.to_string(), &mut to.buffer);
        to.buffer.push(b'\n');
        to.line_done()?;
    }
    for (count, what) in [
        (operations.len().saturating_sub(most), "changes are not shown"),
        (skipped.len().saturating_sub(most), "skipped znodes are not shown"),
        (notes.len().saturating_sub(most), "notes are not shown"),
    ] {
        if count > 0 {
            to.buffer.extend_from_slice(format!("note {count} more {what}\n").as_bytes());
        }
    }
    for (count, what) in [
        (own, "below /zookeeper are ZooKeeper's own, and are not restored as znodes"),
        (unnameable, "have names that are no UTF-8, and are not restored"),
    ] {
        if count > 0 {
            to.buffer.extend_from_slice(format!("note {count} znodes {what}\n").as_bytes());
        }
    }
    let Counts { create, set, set_acl, delete, equal, skipped, extra, counters, raise, quotas, set_quota } = *counts;
    let time = time.map(|time| format!(" ({})", iso_text(time))).unwrap_or_default();
    let (what, left) = match options.existing {
        Existing::Undo { of } => (format!("undo of {of:#}"), String::new()),
        _ if options.delete_extra => (format!("as of {zxid}"), format!(", {extra} were not there")),
        _ => (format!("as of {zxid}"), format!(", {extra} were not there, and stay")),
    };
    let also = |count: usize, what: &str| if count == 0 { String::new() } else { format!(", {count} {what}") };
    let [raised, limited, lower, over] = [
        also(raise, "sequence counters to raise"),
        also(set_quota, "quotas to set"),
        also(counters, "sequence counters are lower than they were"),
        also(quotas, "quotas' limits are too low"),
    ];
    let text = format!(
        "{what}{time}: {create} to create, {set} to set, {set_acl} ACLs to set, {delete} to delete; {equal} equal, {skipped} skipped\
         {left}{raised}{limited}{lower}{over}\nplan {hash}\n"
    );
    to.buffer.extend_from_slice(text.as_bytes());
    Ok(to.flush()?)
}

fn load(path: &Path, limits: Limits) -> Result<PlanFile, CommandError> {
    let failed = |error: &dyn std::fmt::Display| usage(format!("{}: {error}", path.display()));
    let mut text = Vec::new();
    let file = File::open(path).map_err(|error| failed(&error))?;
    file.take(LONGEST + 1).read_to_end(&mut text).map_err(|error| failed(&error))?;
    if text.len() as u64 > LONGEST {
        return Err(failed(&format!("longer than {LONGEST} bytes, which no plan is")));
    }
    PlanFile::read(&text, limits).map_err(|error| failed(&error))
}

fn apply_command(options: &ApplyOptions) -> Result<Exit, CommandError> {
    let limits = Limits::default();
    let file = load(&options.file, limits)?;
    if let Some(approved) = options.hash.filter(|approved| *approved != file.plan.hash) {
        let text = format!(
            "{}: its hash is {}, and not {approved}: it is another plan",
            options.file.display(),
            file.plan.hash
        );
        return Err(usage(text));
    }
    let password = match file.options.access {
        Access::Super => Some(password().ok_or_else(|| {
            usage(format!("the plan was made as super user: set {PASSWORD}, or plan again without it"))
        })?),
        Access::Anyone => None,
    };
    let session = Session::with(&options.servers.server, password);
    let changed = match options.changed {
        ChangedArg::Fail => ChangedSincePlan::Fail,
        ChangedArg::Replan => ChangedSincePlan::Replan,
    };
    let mut meter = Meter::new();
    let mut show = |progress: Progress| {
        meter.draw(|| match progress {
            Progress::Read(count) => format!("{count} znodes read"),
            Progress::Done(done, of) => format!("{done} of {of} changes done"),
        });
    };
    let applied = run(apply(&session, &file, changed, limits, &mut show))?;
    drop(meter);
    match applied {
        Ok(applied) => {
            for moved in &applied.moved {
                print_message("changed", &moved.to_string());
            }
            for path in applied.gone.iter().take(SHOWN) {
                print_message("gone", &format!("{path}: created by this run and deleted by others; not created again"));
            }
            if applied.gone.len() > SHOWN {
                print_message("gone", &format!("{} more like these", applied.gone.len() - SHOWN));
            }
            for note in applied.low.iter().take(SHOWN) {
                print_message("note", &note.to_string());
            }
            writeln!(
                io::stdout(),
                "plan {}: done, {} changes in this run; {} znodes skipped",
                file.plan.hash,
                applied.done,
                applied.last.counts.skipped
            )?;
            Ok(Exit::Sound)
        }
        Err(error @ ApplyError::Moved { .. }) => {
            if let ApplyError::Moved { moved, .. } = &error {
                for moved in moved.iter().take(SHOWN) {
                    print_message("changed", &moved.to_string());
                }
            }
            print_message("stopped", &error.to_string());
            Ok(Exit::Damage)
        }
        Err(error) => Err(usage(error)),
    }
}

/// As many as fit on a screen.
const SHOWN: usize = 20;
