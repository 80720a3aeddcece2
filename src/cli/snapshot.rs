//! `menagerie snapshot`: snapshots, and the tree at any point of the history.

use std::collections::HashMap;
use std::path::Path;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::diff::{Diff, diff};
use crate::cli::point::PointArg;
use crate::cli::{Exit, Limit, Meter, Output, Printer, Stop, finish, look, report, save, tell};
use crate::view::escape::{push_data, push_escaped};
use crate::view::znode::{Shown, ZnodeLine};
use zookeeper_files::disk::{CannotLook, Member, Point, Progress, Rebuilt, open_snapshot, rebuild, verify_snapshots};
use zookeeper_files::replay::{Tree, Znode};
use zookeeper_files::snapshot::{Item, Unsound};

/// Read ZooKeeper's snapshots, and rebuild the tree at any point from snapshots and logs.
///
/// PATH is a snapshot, or a member's data folder, or DATA,LOG where its logs have a folder of their own. Several members of
/// one ensemble together give the one history that was committed.
/// Exit codes: 0 sound, 1 damage was found, 2 could not look.
#[derive(Args, Debug)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print what is in a snapshot, in the order of the file
    #[command(after_help = "Examples:\n  menagerie snapshot dump /data/version-2/snapshot.100000000 --output json")]
    Dump(Dump),
    /// Print the tree at a point
    #[command(after_help = "Examples:\n  menagerie snapshot tree /data --path /app\n  \
        menagerie snapshot tree /member0 /member1 /member2 --at 0x10000002a\n  \
        menagerie snapshot tree /data,/datalog --at 2026-11-23T19:52:00Z --output json")]
    Tree(TreeOptions),
    /// Print one znode's data at a point, byte for byte
    #[command(
        after_help = "Examples:\n  menagerie snapshot cat /data --path /app/config --at 0x10000002a > config.json\n  \
        menagerie snapshot cat /member0 /member1 /member2 --path /app/config --at 1h --to config.json"
    )]
    Cat(save::Cat),
    /// Print what is different between two points, or between two snapshots or folders
    #[command(after_help = "Examples:\n  menagerie snapshot diff /data --from 0x10000002a\n  \
        menagerie snapshot diff /data --from 2026-11-23T19:00:00Z --to 2026-11-23T20:00:00Z --path /app\n  \
        menagerie snapshot diff snapshot.100000000 snapshot.200000000")]
    Diff(Diff),
    /// Verify snapshots: every checksum, and the digest where it is that of the content
    #[command(after_help = "Examples:\n  menagerie snapshot verify /data/version-2/snapshot.100000000")]
    Verify(Verify),
    /// Write the tree at a point as a snapshot that a server starts from
    #[command(
        after_help = "Examples:\n  menagerie snapshot write /member0 /member1 /member2 --at 0x10000002a --to /restored\n\n\
        DIR gets version-2/snapshot.ZXID and can be the dataDir of a new ensemble. Give every member the same."
    )]
    Write(save::Save),
}

#[derive(Args, Debug)]
struct Dump {
    /// A snapshot
    path: String,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Print so many bytes of data for people
    #[arg(long, default_value_t = 200, value_name = "BYTES")]
    data: usize,
    #[command(flatten)]
    limit: Limit,
}

#[derive(Args, Debug)]
struct TreeOptions {
    /// A snapshot, or members' folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// After this transaction, or at this time
    #[arg(long, default_value = "end", value_name = "ZXID|TIME")]
    at: PointArg,
    /// Only this znode and those below it
    #[arg(long, visible_alias = "subtree", default_value = "/", value_name = "PATH")]
    path: String,
    /// Only so many levels below it
    #[arg(long, value_name = "LEVELS")]
    depth: Option<usize>,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Print so many bytes of data for people
    #[arg(long, default_value_t = 200, value_name = "BYTES")]
    data: usize,
    #[command(flatten)]
    limit: Limit,
}

#[derive(Args, Debug)]
struct Verify {
    /// Snapshots or members' folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    limit: Limit,
}

/// Runs the command, and says with what to exit.
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

fn dump(options: &Dump) -> Result<Exit, Stop> {
    let path = Path::new(&options.path);
    if path.is_dir() {
        return Err(Stop::Usage(format!("{}: a folder; name one snapshot, or use `snapshot tree`", path.display())));
    }
    let reader = open_snapshot(path, options.limit.max_record)?;
    let mut to = Printer::new();
    let judged = reader.map_err(Damaged::from).and_then(|mut reader| {
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
        Err(Damaged::Unsound(Unsound::Io(source))) => Err(CannotLook::Io { path: path.to_owned(), source }.into()),
        Err(Damaged::Unsound(unsound)) => {
            tell("damage", &format!("{}: {unsound}", path.display()));
            Ok(Exit::Damage)
        }
        Err(Damaged::Output(error)) => Err(error.into()),
    }
}

enum Damaged {
    Unsound(Unsound),
    Output(std::io::Error),
}

impl From<Unsound> for Damaged {
    fn from(unsound: Unsound) -> Self {
        Self::Unsound(unsound)
    }
}

impl From<std::io::Error> for Damaged {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}

fn print_item(item: Item<'_>, options: &Dump, to: &mut Printer) -> Result<(), std::io::Error> {
    let human = options.output == Output::Human;
    match item {
        Item::Session(session) if human => {
            let line = format!("session {} timeout {} ms\n", session.id, session.timeout);
            to.buffer.extend_from_slice(line.as_bytes());
        }
        Item::Session(session) => {
            to.json(&ItemLine::Session { session: session.id.to_string(), timeout: session.timeout })?;
        }
        Item::Acl(entry) if human => {
            to.buffer.extend_from_slice(format!("acl {} ", entry.key).as_bytes());
            crate::view::txn::push_acls(entry.acls, &mut to.buffer);
            to.buffer.push(b'\n');
        }
        Item::Acl(entry) => {
            to.json(&ItemLine::Acl { key: entry.key, acl: crate::view::txn::acl_texts(entry.acls) })?;
        }
        Item::Node(node) => {
            let shown = Shown {
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

/// Rebuilds, and says on standard error what cannot be known for sure.
pub(super) fn rebuilt(members: &[Member], at: Point, meter: &mut Meter) -> Result<(Rebuilt, Exit), Stop> {
    let rebuilt = while_purged(members, at, meter)?;
    let exit = said(&rebuilt);
    Ok((rebuilt, exit))
}

/// Says on standard error what cannot be known for sure of a tree.
pub(super) fn said(rebuilt: &Rebuilt) -> Exit {
    for doubt in &rebuilt.doubts {
        tell("notice", doubt);
    }
    if rebuilt.dropped > 0 {
        tell("notice", &format!("{} transactions that were never committed are left out", rebuilt.dropped));
    }
    if let Some(fatal) = rebuilt.replay.fatal() {
        tell("notice", &fatal.to_string());
    }
    if rebuilt.differs.is_some() { Exit::Damage } else { Exit::Sound }
}

/// A server may purge what was listed a moment ago: then what is there now is taken.
pub(super) fn while_purged(members: &[Member], at: Point, meter: &mut Meter) -> Result<Rebuilt, CannotLook> {
    let mut looked: Vec<Member> = members.to_vec();
    for _ in 0..5 {
        match rebuild(&looked, at, &mut |progress: Progress<'_>| meter.show(progress)) {
            Err(CannotLook::NoTree(why)) => {
                let mut again = false;
                for member in &mut looked {
                    if let Some(now) = member.refreshed()? {
                        (*member, again) = (now, true);
                    }
                }
                if !again {
                    return Err(CannotLook::NoTree(why));
                }
            }
            other => return other,
        }
    }
    rebuild(&looked, at, &mut |progress: Progress<'_>| meter.show(progress))
}

pub(super) fn shown<'a>(
    tree: &'a Tree,
    path: &'a [u8],
    node: &'a Znode,
    children: &HashMap<&[u8], usize>,
) -> Shown<'a> {
    Shown {
        path,
        data: node.data(),
        acl: node.acl(),
        acls: tree.acls().get(node.acl()),
        stat: node.stat(),
        children: Some(children.get(path).copied().unwrap_or(0)),
    }
}

fn tree(options: &TreeOptions) -> Result<Exit, Stop> {
    let (mut meter, mut to) = (Meter::new(), Printer::new());
    let (rebuilt, exit) = rebuilt(&look(&options.paths, options.limit)?, options.at.0, &mut meter)?;
    let tree = rebuilt.replay.tree();
    let top = options.path.trim_end_matches('/').as_bytes();
    if tree.get(top).is_none() {
        return Err(Stop::Usage(format!("{}: no such znode at {:#}", options.path, tree.last())));
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
    tell("notice", &format!("the tree at {:#}, {} digests compared", tree.last(), rebuilt.checked));
    Ok(exit)
}

fn verify_all(options: &Verify) -> Result<Exit, Stop> {
    let (mut to, mut meter, mut exit) = (Printer::new(), Meter::new(), Exit::Sound);
    for member in look(&options.paths, options.limit)? {
        if member.snapshots.is_empty() {
            return Err(Stop::Usage(format!("{}: no snapshot here", member.name)));
        }
        let report = verify_snapshots(&member, &mut |progress: Progress<'_>| meter.show(progress))?;
        if report::print(&member.name, &report, options.output, &mut to)? == Exit::Damage {
            exit = Exit::Damage;
        }
    }
    to.flush()?;
    Ok(exit)
}
