//! `menagerie snapshot`: snapshots, and the tree at any point of the history.

use std::collections::HashMap;
use std::path::Path;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::diff::{DiffOptions, diff};
use crate::cli::point::PointArg;
use crate::cli::{
    CommandError, Exit, LimitOptions, Meter, Output, Printer, SourceOptions, finish, is_archive, look, print_message,
    report, save,
};
use crate::view::escape::{push_data, push_escaped};
use crate::view::time::iso_text;
use crate::view::znode::{ZnodeLine, ZnodeView};
use zookeeper_files::disk::{
    DiskError, MemberFiles, Point, Progress, RebuiltTree, open_snapshot, rebuild, rebuild_around, verify_snapshots,
};
use zookeeper_files::ids::Zxid;
use zookeeper_files::replay::{Tree, Znode};
use zookeeper_files::snapshot::{SnapshotError, SnapshotItem};

/// Read ZooKeeper's snapshots, and rebuild the tree at any point from snapshots and logs.
///
/// PATH is a snapshot, a member's data folder, or DATA,LOG if its logs have a folder of their own. Name several members of
/// one ensemble to get their committed history.
/// Exit codes: 0 sound, 1 damage found, 2 the files could not be read.
#[derive(Args, Debug)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the content of a snapshot, in the order of the file
    #[command(after_help = "Examples:\n  menagerie snapshot dump /data/version-2/snapshot.100000000 --output json")]
    Dump(SnapshotDumpOptions),
    /// Print the tree at a point
    #[command(after_help = "Examples:\n  menagerie snapshot tree /data --path /app\n  \
        menagerie snapshot tree /member0 /member1 /member2 --at 0x10000002a\n  \
        menagerie snapshot tree /data,/datalog --at 2026-11-23T19:52:00Z --output json\n  \
        menagerie snapshot tree s3://backups/zookeeper --at 2026-11-23T19:52:00Z --path /app   # of an archive")]
    Tree(TreeOptions),
    /// Print one znode's data at a point, byte for byte
    #[command(
        after_help = "Examples:\n  menagerie snapshot cat /data --path /app/config --at 0x10000002a > config.json\n  \
        menagerie snapshot cat /member0 /member1 /member2 --path /app/config --at 1h --to config.json"
    )]
    Cat(save::CatOptions),
    /// Print the differences between two points, or between two snapshots or folders
    #[command(after_help = "Examples:\n  menagerie snapshot diff /data --from 0x10000002a\n  \
        menagerie snapshot diff /data --from 2026-11-23T19:00:00Z --to 2026-11-23T20:00:00Z --path /app\n  \
        menagerie snapshot diff snapshot.100000000 snapshot.200000000")]
    Diff(DiffOptions),
    /// Verify snapshots: every checksum, and the digest if it covers the content
    #[command(after_help = "Examples:\n  menagerie snapshot verify /data/version-2/snapshot.100000000")]
    Verify(SnapshotVerifyOptions),
    /// Write the tree at a point as a snapshot that a server starts from
    #[command(
        after_help = "Examples:\n  menagerie snapshot write /member0 /member1 /member2 --at 0x10000002a --to /restored\n\n\
        DIR gets version-2 with snapshot.ZXID, currentEpoch and acceptedEpoch. Use it as the dataDir of a new ensemble, with the same content for every member."
    )]
    Write(save::WriteOptions),
}

#[derive(Args, Debug)]
struct SnapshotDumpOptions {
    /// A snapshot
    path: String,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Show at most N bytes of data in human output
    #[arg(long, default_value_t = 200, value_name = "N")]
    data: usize,
    #[command(flatten)]
    limit: LimitOptions,
}

#[derive(Args, Debug)]
struct TreeOptions {
    /// A snapshot, or the folders of members, or an archive
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// The point: after this transaction, or at this time
    #[arg(long, default_value = "end", value_name = "ZXID|TIME")]
    at: PointArg,
    /// Show only this znode and those below it
    #[arg(long, visible_alias = "subtree", default_value = "/", value_name = "PATH")]
    path: String,
    /// Show at most N levels below it
    #[arg(long, value_name = "N")]
    depth: Option<usize>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Show at most N bytes of data in human output
    #[arg(long, default_value_t = 200, value_name = "N")]
    data: usize,
    #[command(flatten)]
    limit: LimitOptions,
    #[command(flatten)]
    source: SourceOptions,
}

#[derive(Args, Debug)]
struct SnapshotVerifyOptions {
    /// Snapshots, or the folders of members
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    limit: LimitOptions,
}

/// Runs the command and returns its exit code.
pub fn main(options: Options) -> i32 {
    match options.command {
        Command::Dump(options) => finish("snapshot dump", dump(&options)),
        Command::Tree(options) => finish("snapshot tree", tree(&options)),
        Command::Cat(options) => finish("snapshot cat", save::cat(&options)),
        Command::Diff(options) => finish("snapshot diff", diff(&options)),
        Command::Verify(options) => finish("snapshot verify", verify_all(&options)),
        Command::Write(options) => finish("snapshot write", save::write(&options)),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "item")]
enum ItemLine<'a> {
    Session {
        session: String,
        timeout: i32,
    },
    Acl {
        key: i64,
        acl: Vec<String>,
    },
    Znode(Box<ZnodeLine<'a>>),
    Trailer {
        #[serde(skip_serializing_if = "Option::is_none")]
        digest: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        digest_zxid: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        last_zxid: Option<String>,
    },
}

fn dump(options: &SnapshotDumpOptions) -> Result<Exit, CommandError> {
    let path = Path::new(&options.path);
    if is_archive(&options.path) {
        return Err(CommandError::Usage(format!(
            "{}: this command reads one snapshot; `snapshot tree` shows the tree of an archive at any point, and `archive fetch` writes its snapshots",
            options.path
        )));
    }
    if path.is_dir() {
        return Err(CommandError::Usage(format!(
            "{}: a folder; name one snapshot, or use `snapshot tree`",
            path.display()
        )));
    }
    let reader = open_snapshot(path, options.limit.max_record)?;
    let mut to = Printer::new();
    let judged = reader.map_err(DumpError::from).and_then(|mut reader| {
        while let Some(item) = reader.next()? {
            print_item(item, options, &mut to)?;
        }
        let trailer = reader.trailer();
        match options.output {
            Output::Json => to.json(&ItemLine::Trailer {
                digest: trailer.digest.map(|digest| format!("{:x}", digest.tree)),
                digest_zxid: trailer.digest.map(|digest| format!("{:#}", digest.zxid)),
                last_zxid: trailer.last.map(|last| format!("{last:#}")),
            })?,
            Output::Human => {
                if let Some(digest) = trailer.digest {
                    let line = format!("digest {:x} at {:#}\n", digest.tree, digest.zxid);
                    to.buffer.extend_from_slice(line.as_bytes());
                }
                if let Some(last) = trailer.last {
                    to.buffer.extend_from_slice(format!("last {last:#}\n").as_bytes());
                }
            }
        }
        Ok(())
    });
    to.flush()?;
    match judged {
        Ok(()) => Ok(Exit::Sound),
        Err(DumpError::Snapshot(SnapshotError::Io(source))) => {
            Err(DiskError::Io { path: path.to_owned(), source }.into())
        }
        Err(DumpError::Snapshot(unsound)) => {
            print_message("damage", &format!("{}: {unsound}", path.display()));
            Ok(Exit::Damage)
        }
        Err(DumpError::Output(error)) => Err(error.into()),
    }
}

enum DumpError {
    Snapshot(SnapshotError),
    Output(std::io::Error),
}

impl From<SnapshotError> for DumpError {
    fn from(unsound: SnapshotError) -> Self {
        Self::Snapshot(unsound)
    }
}

impl From<std::io::Error> for DumpError {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}

fn print_item(item: SnapshotItem<'_>, options: &SnapshotDumpOptions, to: &mut Printer) -> Result<(), std::io::Error> {
    let human = options.output == Output::Human;
    match item {
        SnapshotItem::Session(session) if human => {
            let line = format!("session {} timeout {} ms\n", session.id, session.timeout);
            to.buffer.extend_from_slice(line.as_bytes());
        }
        SnapshotItem::Session(session) => {
            to.json(&ItemLine::Session { session: session.id.to_string(), timeout: session.timeout })?;
        }
        SnapshotItem::Acl(entry) if human => {
            to.buffer.extend_from_slice(format!("acl {} ", entry.key).as_bytes());
            crate::view::txn::push_acls(entry.acls, &mut to.buffer);
            to.buffer.push(b'\n');
        }
        SnapshotItem::Acl(entry) => {
            to.json(&ItemLine::Acl { key: entry.key, acl: crate::view::txn::acl_texts(entry.acls) })?;
        }
        SnapshotItem::Znode(node) => {
            let shown = ZnodeView {
                path: node.path.0,
                data: node.data,
                acl: node.acl,
                acls: None,
                stat: &node.stat,
                children: None,
            };
            if human {
                push_escaped(node.shown_path().0, &mut to.buffer);
                let acl = format!("  v{}  {:#}  acl {}  ", node.stat.version, node.stat.mzxid, node.acl);
                to.buffer.extend_from_slice(acl.as_bytes());
                push_data(node.data, options.data, &mut to.buffer);
                to.buffer.push(b'\n');
            } else {
                to.json(&ItemLine::Znode(Box::new(shown.line())))?;
            }
        }
    }
    to.line_done()
}

/// Rebuilds the tree, and prints what is not certain to standard error.
pub(crate) fn rebuilt(
    members: &[MemberFiles],
    at: Point,
    meter: &mut Meter,
) -> Result<(RebuiltTree, Exit), CommandError> {
    let rebuilt = rebuild_retrying(members, at, meter)?;
    let exit = print_doubts(&rebuilt);
    Ok((rebuilt, exit))
}

/// The same for the tree after one transaction, with the znodes that it changed as they were before it.
pub(crate) fn rebuilt_around(
    members: &[MemberFiles],
    zxid: Zxid,
    meter: &mut Meter,
) -> Result<(RebuiltTree, Exit), CommandError> {
    let mut build = |members: &[MemberFiles]| rebuild_around(members, zxid, &mut |at: Progress<'_>| meter.show(at));
    let rebuilt = retrying(members, &mut build)?;
    let exit = print_doubts(&rebuilt);
    Ok((rebuilt, exit))
}

/// Prints what is not certain about a tree to standard error.
pub(super) fn print_doubts(rebuilt: &RebuiltTree) -> Exit {
    for doubt in &rebuilt.doubts {
        print_message("notice", doubt);
    }
    if rebuilt.dropped > 0 {
        print_message("notice", &format!("{} transactions that were never committed are left out", rebuilt.dropped));
    }
    if rebuilt.beyond {
        print_message("notice", &format!("{}: what belongs before the wanted time may be missing", files_end(rebuilt)));
    }
    if let Some(fatal) = rebuilt.replay.fatal() {
        print_message("notice", &fatal.to_string());
    }
    if rebuilt.differs.is_some() { Exit::Damage } else { Exit::Sound }
}

/// Where the files end, in words.
pub(crate) fn files_end(rebuilt: &RebuiltTree) -> String {
    let time = rebuilt.time.map(|time| format!(" ({})", iso_text(time))).unwrap_or_default();
    format!("the files end with {:#}{time}", rebuilt.replay.tree().last())
}

/// Rebuilds the tree. If a server purged files in the meantime, it lists the files again and retries.
pub(super) fn rebuild_retrying(
    members: &[MemberFiles],
    at: Point,
    meter: &mut Meter,
) -> Result<RebuiltTree, DiskError> {
    retrying(members, &mut |members| rebuild(members, at, &mut |progress: Progress<'_>| meter.show(progress)))
}

fn retrying(
    members: &[MemberFiles],
    build: &mut dyn FnMut(&[MemberFiles]) -> Result<RebuiltTree, DiskError>,
) -> Result<RebuiltTree, DiskError> {
    let mut looked: Vec<MemberFiles> = members.to_vec();
    for _ in 0..5 {
        match build(&looked) {
            Err(DiskError::NoTree(why)) => {
                let mut again = false;
                for member in &mut looked {
                    if let Some(now) = member.refreshed()? {
                        (*member, again) = (now, true);
                    }
                }
                if !again {
                    return Err(DiskError::NoTree(why));
                }
            }
            other => return other,
        }
    }
    build(&looked)
}

pub(super) fn shown<'a>(
    tree: &'a Tree,
    path: &'a [u8],
    node: &'a Znode,
    children: &HashMap<&[u8], usize>,
) -> ZnodeView<'a> {
    ZnodeView {
        path,
        data: node.data(),
        acl: node.acl(),
        acls: tree.acls().get(node.acl()),
        stat: node.stat(),
        children: Some(children.get(path).copied().unwrap_or(0)),
    }
}

fn tree(options: &TreeOptions) -> Result<Exit, CommandError> {
    let source = options.source.tree(&options.paths, options.at.0, options.at.0)?;
    let (mut meter, mut to) = (Meter::new(), Printer::new());
    let (rebuilt, exit) = rebuilt(&source.members(options.limit)?, options.at.0, &mut meter)?;
    let tree = rebuilt.replay.tree();
    let top = options.path.trim_end_matches('/').as_bytes();
    if tree.get(top).is_none() {
        return Err(CommandError::Usage(format!("{}: no such znode at {:#}", options.path, tree.last())));
    }
    let (children, level) = (tree.children(), |path: &[u8]| path.split(|&byte| byte == b'/').count());
    for (path, node) in tree.walk(top) {
        if options.depth.is_some_and(|depth| level(path) > level(top) + depth) {
            continue;
        }
        let shown = shown(tree, path, node, &children);
        match options.output {
            Output::Json => to.json(&shown.line())?,
            Output::Human => shown.push_columns(options.data, &mut to.buffer),
        }
        to.line_done()?;
    }
    to.flush()?;
    print_message("notice", &format!("the tree at {:#}, {} digests compared", tree.last(), rebuilt.checked));
    Ok(exit)
}

fn verify_all(options: &SnapshotVerifyOptions) -> Result<Exit, CommandError> {
    let (mut to, mut meter, mut exit) = (Printer::new(), Meter::new(), Exit::Sound);
    for member in look(&options.paths, options.limit)? {
        if member.snapshots.is_empty() {
            return Err(CommandError::Usage(format!("{}: no snapshot here", member.name)));
        }
        let report = verify_snapshots(&member, &mut |progress: Progress<'_>| meter.show(progress))?;
        if report::print(&member.name, &report, options.output, &mut to)? == Exit::Damage {
            exit = Exit::Damage;
        }
    }
    to.flush()?;
    Ok(exit)
}
