//! `menagerie snapshot cat` and `menagerie snapshot write`: write data or a tree, as of a point, to a file.

use std::fs;
use std::io::{BufWriter, IntoInnerError, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::point::PointArg;
use crate::cli::snapshot::rebuilt;
use crate::cli::{CommandError, Exit, LimitOptions, Meter, SourceOptions, print_message};
use zookeeper_files::atomic::Part;
use zookeeper_files::disk::{EpochFiles, RebuiltTree, Severity, is_at_home, log_or_snapshot, newest_epoch};
use zookeeper_files::ids::Zxid;
use zookeeper_files::replay::Tree;

#[derive(Args, Debug)]
pub(crate) struct CatOptions {
    /// A snapshot, or the folders of members, or an archive
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// The znode
    #[arg(long, value_name = "PATH", value_parser = crate::cli::range::path)]
    path: String,
    /// The point: after this transaction, or at this time
    #[arg(long, default_value = "end", value_name = "ZXID|TIME")]
    at: PointArg,
    /// Write to this file, which must not exist; without it, to standard output
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    limit: LimitOptions,
    #[command(flatten)]
    source: SourceOptions,
}

#[derive(Args, Debug)]
pub(crate) struct WriteOptions {
    /// A snapshot, or the folders of members, or an archive
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// The point: after this transaction, or at this time
    #[arg(long, default_value = "end", value_name = "ZXID|TIME")]
    at: PointArg,
    /// Write version-2/snapshot.ZXID and the epoch files into this folder, which must contain no logs and no snapshots
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Leave out this znode and those below it; can be repeated
    #[arg(long, value_name = "PATH", value_parser = crate::cli::range::path)]
    without: Vec<String>,
    /// Write the tree even if no log shows whether a snapshot is damaged or holds what was never committed
    #[arg(long)]
    unproved: bool,
    #[command(flatten)]
    limit: LimitOptions,
    #[command(flatten)]
    source: SourceOptions,
}

pub(crate) fn cat(options: &CatOptions) -> Result<Exit, CommandError> {
    if let Some(path) = &options.to
        && is_at_home(path).map_err(|error| failed(path, &error))?
    {
        let text = "the data does not belong in ZooKeeper's own folder: name another file";
        return Err(CommandError::Usage(format!("{}: {text}", path.display())));
    }
    let source = options.source.tree(&options.paths, options.at.0, options.at.0)?;
    let (rebuilt, exit) = rebuilt(&source.members(options.limit)?, options.at.0, &mut Meter::new())?;
    let tree = rebuilt.replay.tree();
    let Some(node) = tree.get(options.path.as_bytes()) else {
        return Err(CommandError::Usage(format!("{}: no such znode at {:#}", options.path, tree.last())));
    };
    let data = node.data().unwrap_or_default();
    if let Some(path) = &options.to {
        let write = || -> std::io::Result<()> {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path)?;
            file.write_all(data)?;
            file.sync_all()
        };
        write().map_err(|error| failed(path, &error))?;
    } else {
        let mut out = std::io::stdout().lock();
        out.write_all(data)?;
        // On a terminal, the prompt should start on a new line. A file or a pipe gets exactly the data.
        if out.is_terminal() && !data.is_empty() && !data.ends_with(b"\n") {
            out.write_all(b"\n")?;
        }
        out.flush()?;
    }
    let (version, zxid, bytes) = (node.stat().version, node.stat().mzxid, data.len());
    print_message("notice", &format!("{bytes} bytes, version {version} of {zxid:#}, as of {:#}", tree.last()));
    Ok(exit)
}

pub(crate) fn write(options: &WriteOptions) -> Result<Exit, CommandError> {
    let folder = options.to.join("version-2");
    is_free(&options.to, &folder)?;
    let mut meter = Meter::new();
    let source = options.source.tree(&options.paths, options.at.0, options.at.0)?;
    let members = source.members(options.limit)?;
    let (rebuilt, _) = rebuilt(&members, options.at.0, &mut meter)?;
    let proved = proof(&rebuilt, options.unproved);
    let mut tree = rebuilt.replay.into_tree();
    for path in &options.without {
        if tree.leave_out(path.as_bytes()) == 0 {
            return Err(CommandError::Usage(format!("{path}: no such znode at {:#}", tree.last())));
        }
    }
    if let Err(why) = proved.and_then(|()| bearable(&tree)) {
        print_message("damage", &format!("nothing is written: {why}"));
        return Ok(Exit::Damage);
    }
    let tree = &tree;
    // Servers and clients may have seen later epochs than the tree's. A new leader takes an epoch above the one that it
    // finds here; if that were too low, its zxids could be those of other transactions.
    let epochs = suitable_epochs(&folder, tree.last())?;
    let epoch =
        newest_epoch(&members, &mut |progress| meter.show(progress))?.max(tree.last().epoch()).max(source.epoch);
    fs::create_dir_all(&folder).map_err(|error| failed(&folder, &error))?;
    // Reading took time: check again that the folder is free.
    is_free(&options.to, &folder)?;
    let path = folder.join(format!("snapshot.{}", tree.last()));
    // The snapshot comes last: from then on, a server starts from the folder.
    let own = epochs.are_missing();
    if own {
        EpochFiles::write(&folder, epoch, epoch).map_err(|error| failed(&folder, &error))?;
    }
    if let Err(error) = write_file(tree, &path) {
        if own {
            let _reported_below = EpochFiles::remove(&folder);
        }
        return Err(failed(&path, &error));
    }
    let (count, last) = (tree.len(), tree.last());
    let above = if own { format!(", epoch {epoch}") } else { String::new() };
    println!("{}: {count} znodes at {last:#}, digest {:x}{above}", path.display(), tree.digest());
    Ok(Exit::Sound)
}

fn failed(path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::Usage(format!("{}: {error}", path.display()))
}

/// Checks that the folder has no logs and no snapshots. A server starts from the newest snapshot and applies the logs
/// beside it, so the new snapshot must be alone there. This also protects the member's folder that is being read.
fn is_free(to: &Path, version: &Path) -> Result<(), CommandError> {
    for folder in [version, to] {
        if let Some(path) = log_or_snapshot(folder).map_err(|error| failed(folder, &error))? {
            let text = "already exists, and a server would load it too: name an empty folder";
            return Err(CommandError::Usage(format!("{}: {text}", path.display())));
        }
    }
    Ok(())
}

/// Reads the epoch files in the folder. Refuses them if a server would not start with them on a snapshot of this
/// transaction.
fn suitable_epochs(version: &Path, last: Zxid) -> Result<EpochFiles, CommandError> {
    let files = EpochFiles::read(version)?;
    let damage = files.findings(last).into_iter().find(|finding| finding.severity == Severity::Damage);
    damage.map_or(Ok(files), |finding| Err(CommandError::Usage(format!("{finding}: name an empty folder"))))
}

/// Checks that the tree is proven to be the one that the server had.
fn proof(rebuilt: &RebuiltTree, unproved: bool) -> Result<(), String> {
    if rebuilt.differs.is_some() {
        return Err("the tree is not the one that the server had".to_owned());
    }
    if rebuilt.unproved.is_some() && !unproved {
        return Err(
            "whether the snapshot is damaged or holds what was never committed, nothing here tells; name the logs, or another \
             member's folder, or write it all the same with --unproved"
                .to_owned(),
        );
    }
    Ok(())
}

/// Checks that a server can start on the tree.
fn bearable(tree: &Tree) -> Result<(), String> {
    let Some(fatal) = tree.fatal_to_load() else { return Ok(()) };
    let made = tree.get(fatal.path.as_bytes()).map(|node| node.stat().czxid).unwrap_or_default();
    let before = Zxid(made.0.saturating_sub(1));
    Err(format!(
        "{fatal}; --without {path} leaves that znode out and nothing else, --at {before:#} also what came after it was made",
        path = fatal.path
    ))
}

/// Writes a snapshot. A server loads any file called snapshot.*, so the file gets its name only when it is whole.
fn write_file(tree: &Tree, path: &Path) -> std::io::Result<()> {
    let buffered = tree.write(BufWriter::with_capacity(1 << 20, Part::begin(path, None)?))?;
    buffered.into_inner().map_err(IntoInnerError::into_error)?.keep()
}
