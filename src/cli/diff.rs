//! `menagerie snapshot diff`: the differences between two points, or between two snapshots.

use std::collections::HashMap;

use clap::Args;
use serde::Serialize;

use crate::cli::point::PointArg;
use crate::cli::snapshot::{print_doubts, rebuild_retrying, rebuilt, shown};
use crate::cli::{CommandError, Exit, LimitOptions, Meter, Output, Printer, SourceOptions, is_archive};
use crate::view::escape::push_escaped;
use crate::view::time::iso_text;
use crate::view::znode::{ZnodeLine, ZnodeView};
use zookeeper_files::disk::{DiskError, MemberFiles, Point, Progress, RebuiltTree, rebuild_on};
use zookeeper_files::path::{self, parent};
use zookeeper_files::replay::{Difference, Sums, Tree, changes_since, differences};

#[derive(Args, Debug)]
pub struct DiffOptions {
    /// With --from, the folders of members or an archive; without it, two snapshots or folders to compare
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// The first point
    #[arg(long, value_name = "ZXID|TIME")]
    from: Option<PointArg>,
    /// The second point
    #[arg(long, default_value = "end", value_name = "ZXID|TIME")]
    to: PointArg,
    /// Show only this znode and those below it
    #[arg(long, visible_alias = "subtree", default_value = "/", value_name = "PATH")]
    path: String,
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

#[derive(Serialize)]
struct DifferenceLine<'a> {
    difference: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<ZnodeLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<ZnodeLine<'a>>,
}

/// Prints the differences.
pub fn diff(options: &DiffOptions) -> Result<Exit, CommandError> {
    let mut meter = Meter::new();
    if options.from.is_none() && options.paths.iter().any(|path| is_archive(path)) {
        return Err(CommandError::Usage("of an archive, two points are compared: give --from".to_owned()));
    }
    let from = options.from.map_or(options.to.0, |from| from.0);
    let source = options.source.tree(&options.paths, from, options.to.0)?;
    let members = source.members(options.limit)?;
    let (before, after) = match (options.from, &members[..]) {
        (Some(from), members) => {
            // One tree and a journal of its changes are enough: two trees of a million znodes each would be mostly the
            // same.
            let mut progress = |at: Progress<'_>| meter.show(at);
            if let Some(led) = rebuild_on(members, (from.0, options.to.0), &mut progress)? {
                return changed(led, options);
            }
            ((members, from.0), (members, options.to.0))
        }
        (None, [one, other]) => ((std::slice::from_ref(one), Point::End), (std::slice::from_ref(other), Point::End)),
        (None, _) => return Err(CommandError::Usage("give --from, or name two snapshots or folders".to_owned())),
    };
    apart(before, after, options, &mut meter)
}

/// Compares two trees with only one of them whole in memory. It rebuilds the first tree and keeps only hashes of its
/// znodes; it rebuilds the second and keeps only the znodes that differ; then it rebuilds the first again and does the
/// same.
fn apart(
    before: (&[MemberFiles], Point),
    after: (&[MemberFiles], Point),
    options: &DiffOptions,
    meter: &mut Meter,
) -> Result<Exit, CommandError> {
    let (first, one) = rebuilt(before.0, before.1, meter)?;
    let (mut sums, last) = (Sums::of(first.replay.tree()), first.replay.tree().last());
    drop(first);
    let (second, other) = rebuilt(after.0, after.1, meter)?;
    let mut new = second.replay.into_tree();
    let new_children = owned(&new);
    sums.sift(&mut new);
    // The server may have written more since: rebuild up to the same zxid, unless the files end within a snapshot.
    let pinned = rebuild_retrying(before.0, Point::Zxid(last), meter);
    let again = match pinned {
        Err(DiskError::NoTree(_)) => rebuild_retrying(before.0, before.1, meter),
        other => other,
    };
    let mut old = again?.replay.into_tree();
    let old_children = owned(&old);
    sums.keep_left(&mut old);
    let found = differences(&old, &new, options.path.trim_end_matches('/').as_bytes());
    let (old_children, new_children) = (borrowed(&old_children), borrowed(&new_children));
    print(&found, (&old, &old_children), (&new, &new_children), options)?;
    Ok(if one == Exit::Sound { other } else { one })
}

/// The number of children of each znode, with copies of the paths, so that the tree can change afterwards.
fn owned(tree: &Tree) -> HashMap<Box<[u8]>, usize> {
    tree.children().into_iter().map(|(path, count)| (path.into(), count)).collect()
}

fn borrowed(counts: &HashMap<Box<[u8]>, usize>) -> HashMap<&[u8], usize> {
    counts.iter().map(|(path, count)| (&**path, *count)).collect()
}

fn changed(mut led: RebuiltTree, options: &DiffOptions) -> Result<Exit, CommandError> {
    let journal = led.replay.take_journal();
    let exit = print_doubts(&led);
    let tree = led.replay.tree();
    let after = tree.children();
    let mut before = after.clone();
    for (path, old) in journal.iter().filter(|(path, _)| !path.is_empty()) {
        let count = before.entry(parent(path).unwrap_or_default()).or_insert(0);
        match (old.is_some(), tree.get(path).is_some()) {
            (false, true) => *count = count.saturating_sub(1),
            (true, false) => *count += 1,
            _ => {}
        }
    }
    let found = changes_since(&journal, tree, options.path.trim_end_matches('/').as_bytes());
    print(&found, (tree, &before), (tree, &after), options)?;
    Ok(exit)
}

type Side<'a> = (&'a Tree, &'a HashMap<&'a [u8], usize>);

fn print(
    found: &[Difference<'_>],
    before: Side<'_>,
    after: Side<'_>,
    options: &DiffOptions,
) -> Result<(), CommandError> {
    let mut to = Printer::new();
    for difference in found {
        let kind = kind(difference);
        let Difference { path, before: old, after: new, .. } = *difference;
        let old = old.map(|node| shown(before.0, path, node, before.1));
        let new = new.map(|node| shown(after.0, path, node, after.1));
        match options.output {
            Output::Json => to.json(&DifferenceLine {
                difference: kind,
                before: old.map(|shown| shown.line()),
                after: new.map(|shown| shown.line()),
            })?,
            Output::Human => push_difference(kind, path, (old, new), options.data, &mut to.buffer),
        }
        to.line_done()?;
    }
    Ok(to.flush()?)
}

fn kind(difference: &Difference<'_>) -> &'static str {
    match (difference.before, difference.after) {
        (None, _) => "created",
        (_, None) => "deleted",
        (Some(before), Some(after)) if before.stat().czxid != after.stat().czxid => "recreated",
        _ if difference.data => "data",
        _ if difference.acl => "acl",
        _ => "stat",
    }
}

/// What differs between two versions of a znode of which neither the data nor the ACL does.
fn stat_changes(old: &ZnodeView<'_>, new: &ZnodeView<'_>) -> Vec<String> {
    let texts = |shown: &ZnodeView<'_>| {
        let stat = shown.stat;
        [
            ("children", shown.children.map(|count| count.to_string()).unwrap_or_default()),
            ("cversion", stat.cversion.to_string()),
            ("pzxid", format!("{:#}", stat.pzxid)),
            ("version", stat.version.to_string()),
            ("aversion", stat.aversion.to_string()),
            ("mzxid", format!("{:#}", stat.mzxid)),
            ("mtime", iso_text(stat.mtime)),
            ("ctime", iso_text(stat.ctime)),
            ("ephemeralOwner", format!("{:#x}", stat.ephemeral_owner)),
        ]
    };
    let both = texts(old).into_iter().zip(texts(new)).filter(|(old, new)| old.1 != new.1);
    both.map(|((name, old), (_, new))| format!("{name} {old} → {new}")).collect()
}

fn push_difference(
    kind: &str,
    path: &[u8],
    (old, new): (Option<ZnodeView<'_>>, Option<ZnodeView<'_>>),
    data: usize,
    to: &mut Vec<u8>,
) {
    to.extend_from_slice(format!("{kind:<10}").as_bytes());
    push_escaped(path::shown(path), to);
    to.push(b'\n');
    if let ("stat", Some(old), Some(new)) = (kind, &old, &new) {
        to.extend_from_slice(format!("    {}\n", stat_changes(old, new).join(", ")).as_bytes());
        return;
    }
    for (sign, shown) in [(b"  - ", old), (b"  + ", new)] {
        if let Some(shown) = shown {
            to.extend_from_slice(sign);
            shown.push_columns(data, to);
        }
    }
}
