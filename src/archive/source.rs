//! What the commands on files read: paths, or an archive, of which the files are fetched into a folder first.

use std::io::ErrorKind::NotFound;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use clap::Args;
use tempfile::TempDir;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use zookeeper_files::disk::{MemberFiles, Point};

use crate::archive::chains;
use crate::archive::collect::{CollectError, Collection};
use crate::archive::history::{History, Logs, Span};
use crate::archive::store::Store;
use crate::archive::target::Target;
use crate::archive::which::{ensemble, the_ensemble};
use crate::cli::range::RangeOptions;
use crate::cli::{CommandError, LimitOptions, Meter, look, print_message};
use crate::view::time::iso_text;

/// So often a folder is deleted that somebody still writes to.
const TRIES: u32 = 1000;

/// Of an archive, what is fetched, and where to.
#[derive(Args, Debug)]
pub(crate) struct SourceOptions {
    /// Of an archive with several ensembles, this one: its identity or the beginning of it, its name, or NAMESPACE/NAME
    #[arg(long, value_name = "ENSEMBLE", value_parser = ensemble)]
    identity: Option<String>,
    /// Of an archive, put its files below this folder meanwhile; without it, below that for temporary files
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Of an archive, fetch at most so many bytes of log and snapshots, unpacked, like 512M or 20G
    #[arg(long, value_name = "SIZE", value_parser = bytes, default_value = "10G")]
    scratch_limit: u64,
}

fn bytes(text: &str) -> Result<u64, String> {
    let units = [('K', 10), ('M', 20), ('G', 30), ('T', 40)];
    // People write 10G, 10GB, 10Gi and 10GiB, and mean a limit.
    let short = ["iB", "i", "B"].iter().find_map(|end| text.strip_suffix(end)).unwrap_or(text);
    let unit = units.iter().find_map(|(unit, shift)| Some((short.strip_suffix(*unit)?, *shift)));
    let (digits, shift) = unit.unwrap_or((text, 0));
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    number.filter(|number| *number > 0).ok_or_else(|| format!("{text}: not a number of bytes like 512M or 20G"))
}

/// Paths of files.
#[derive(Debug)]
pub(crate) struct Source {
    /// Where they are.
    pub(crate) paths: Vec<String>,
    /// The highest epoch that is known of the ensemble besides that of the files.
    pub(crate) epoch: u64,
    /// The archive that they are of.
    pub(crate) archive: Option<String>,
    /// It goes with this value, and its files with it.
    _scratch: Option<TempDir>,
}

impl SourceOptions {
    /// For transactions of a range.
    pub(crate) fn logs(&self, paths: &[String], range: &RangeOptions) -> Result<Source, CommandError> {
        range.check().map_err(CommandError::Usage)?;
        let Some(target) = archive(paths)? else { return Ok(Source::of(paths)) };
        let scratch = self.scratch()?;
        let since = range.since.map_or(i64::MIN, |time| time.0);
        let until = range.until.map_or(i64::MAX, |time| time.0);
        if self.history(&target, Span { zxids: range.zxids(), since, until }, scratch.path())? == 0 {
            return Err(self.nothing_there(&target)?);
        }
        let archive = Some(target.to_string());
        Ok(Source { paths: vec![text(scratch.path())], epoch: 0, archive, _scratch: Some(scratch) })
    }

    /// For an index of all transactions, as logs that stay beside it: a second time, only newer ones are fetched.
    pub(crate) fn kept(&self, paths: &[String], index: &Path) -> Result<Source, CommandError> {
        let Some(target) = archive(paths)? else { return Ok(Source::of(paths)) };
        let name = format!("{}.logs", index.file_name().unwrap_or_default().to_string_lossy());
        let folder = self.scratch.as_deref().or(index.parent()).unwrap_or(Path::new("")).join(name);
        let all = RangeOptions::default().zxids();
        self.history(&target, Span { zxids: all, since: i64::MIN, until: i64::MAX }, &folder)?;
        Ok(Source { paths: vec![text(&folder)], epoch: 0, archive: Some(target.to_string()), _scratch: None })
    }

    /// For the tree at a point, and what came after it up to another one.
    pub(crate) fn tree(&self, paths: &[String], from: Point, to: Point) -> Result<Source, CommandError> {
        let Some(target) = archive(paths)? else { return Ok(Source::of(paths)) };
        let scratch = self.scratch()?;
        let meter = Mutex::new(Meter::new());
        let told = |done: usize, of: usize| draw(&meter, || format!("{done} of {of} segments"));
        let (folders, epoch) = run(async {
            let store = Store::open(&target)?;
            let identity = the_ensemble(&store, &target, self.identity.as_ref()).await?;
            let collection = Collection::of(&store, &identity).await.map_err(usage)?.within(self.scratch_limit);
            let mut failed = String::new();
            for (number, base) in collection.bases(from).into_iter().enumerate() {
                let folder = scratch.path().join(number.to_string());
                match collection.bring((base, None), to, &folder, &told).await {
                    Ok(brought) => {
                        if !brought.lost.is_empty() {
                            print_message("notice", &format!("not all could be read{}", brought.lost));
                        }
                        return Ok((brought.folders, collection.epoch()));
                    }
                    Err(error @ CollectError::Later { .. }) => return Err(CommandError::Beyond(error.to_string())),
                    Err(error) if error.is_of_all_bases() => return Err(self.limited(&error)),
                    Err(error) if failed.is_empty() => failed = error.to_string(),
                    Err(_) => {}
                }
                std::fs::remove_dir_all(&folder)?;
                collection.begin_anew(self.scratch_limit);
            }
            Err(CommandError::Usage(format!("{target}: {failed}{}", collection.lost())))
        })?;
        let paths = folders.iter().map(|folder| text(folder)).collect();
        Ok(Source { paths, epoch, archive: Some(target.to_string()), _scratch: Some(scratch) })
    }

    /// That nothing of a range is archived, and where the archive ends.
    fn nothing_there(&self, target: &Target) -> Result<CommandError, CommandError> {
        let end = run(async {
            let store = Store::open(target)?;
            let identity = the_ensemble(&store, target, self.identity.as_ref()).await?;
            Ok(chains::end(&store, &identity, &mut |what| print_message("damage", what)).await?)
        })?;
        let end = end.map(|(zxid, time)| format!(": the archive ends at {zxid:#} ({})", iso_text(time)));
        Ok(CommandError::Usage(format!("{target} has no transaction of that range{}", end.unwrap_or_default())))
    }

    /// Returns how many transactions were written.
    fn history(&self, target: &Target, span: Span, folder: &Path) -> Result<u64, CommandError> {
        let meter = Mutex::new(Meter::new());
        let told = |read: usize| draw(&meter, || format!("{read} segments read"));
        let written = run(async {
            let store = Store::open(target)?;
            let identity = the_ensemble(&store, target, self.identity.as_ref()).await?;
            let mut to = Logs::in_folder(folder, &identity, self.scratch_limit).map_err(usage)?;
            let nothing = || CommandError::Usage(format!("{target} has no archived log of {identity}"));
            let mut history =
                History::of(&store, &identity, to.rest(span)).await.map_err(usage)?.ok_or_else(nothing)?;
            history.write(span, &mut to, &told).await.map_err(|error| self.limited(&error))
        })?;
        drop(meter);
        for (after, next) in &written.gaps {
            let text = format!(
                "between {after:#} and {next:#} transactions may be missing: no log in the archive links the two"
            );
            print_message("gap", &text);
        }
        if !written.lost.is_empty() {
            print_message("notice", &format!("not all could be read{}", written.lost));
        }
        Ok(written.transactions)
    }

    /// An error, with what raises the limit.
    fn limited(&self, error: &impl std::error::Error) -> CommandError {
        let text = error.to_string();
        let cure = if text.contains("more than may be written") {
            format!(" ({} bytes): raise --scratch-limit, or ask for less of the history", self.scratch_limit)
        } else {
            String::new()
        };
        CommandError::Usage(format!("{text}{cure}"))
    }

    fn scratch(&self) -> Result<TempDir, CommandError> {
        let below = self.scratch.clone().unwrap_or_else(std::env::temp_dir);
        let made = TempDir::with_prefix_in("menagerie-", &below);
        let made = made.map_err(|error| CommandError::Usage(format!("{}: {error}", below.display())))?;
        gone_with_a_signal(made.path().to_owned());
        Ok(made)
    }
}

impl Source {
    /// Of paths that are no archive.
    pub(crate) fn of(paths: &[String]) -> Self {
        Self { paths: paths.to_vec(), epoch: 0, archive: None, _scratch: None }
    }

    /// The files of the members there. Those of an archive were all committed.
    pub(crate) fn members(&self, limit: LimitOptions) -> Result<Vec<MemberFiles>, CommandError> {
        let mut members = look(&self.paths, limit)?;
        for member in &mut members {
            member.committed = self.archive.is_some();
        }
        Ok(members)
    }
}

/// The archive that is meant, if one is.
fn archive(paths: &[String]) -> Result<Option<Target>, CommandError> {
    match paths {
        [path] if is_archive(path) => path.parse().map(Some).map_err(CommandError::Usage),
        paths => paths.iter().find(|path| is_archive(path)).map_or(Ok(None), |path| {
            Err(CommandError::Usage(format!(
                "{path}: an archive has to stand alone; it has what all of its members have"
            )))
        }),
    }
}

/// Whether a path is an archive's.
pub(crate) fn is_archive(path: &str) -> bool {
    path.contains("://")
}

fn usage(error: impl std::error::Error) -> CommandError {
    CommandError::Usage(error.to_string())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn draw(meter: &Mutex<Meter>, line: impl FnOnce() -> String) {
    if let Ok(mut meter) = meter.try_lock() {
        meter.draw(line);
    }
}

fn run<T>(work: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// A folder with every secret of an ensemble does not outlive the command that was interrupted.
fn gone_with_a_signal(folder: PathBuf) {
    std::thread::spawn(move || {
        let waited = run(async {
            let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            // A session that is closed, and a key that some press for good measure.
            let (mut hangup, mut quit) = (signal(SignalKind::hangup())?, signal(SignalKind::quit())?);
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
                _ = quit.recv() => {}
            }
            Ok(ControlFlow::<()>::Break(()))
        });
        // Without a handler, the signal ends the process as ever.
        if waited.is_ok() {
            // The command goes on meanwhile, and may make files where some were just deleted.
            let gone = |_: &u32| matches!(std::fs::remove_dir_all(&folder), Err(error) if error.kind() == NotFound);
            if !(0..TRIES).any(|number| gone(&number)) {
                eprintln!("menagerie: {} could not be deleted, and has the ensemble's data", folder.display());
            }
            std::process::exit(130);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_stands_alone_and_other_paths_stay_what_they_are() {
        let paths = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        assert!(archive(&paths(&["/data", "/data2,/log"])).unwrap().is_none());
        assert!(archive(&paths(&["s3://b/p"])).unwrap().is_some());
        assert!(archive(&paths(&["/data", "s3://b"])).unwrap_err().to_string().contains("stand alone"));
        assert!(archive(&paths(&["ftp://b"])).unwrap_err().to_string().contains("ftp is not supported"));
    }

    #[test]
    fn a_limit_is_a_number_of_bytes() {
        assert_eq!([bytes("512M"), bytes("20G"), bytes("7")], [Ok(512 << 20), Ok(20 << 30), Ok(7)]);
        assert_eq!([bytes("10GB"), bytes("10Gi"), bytes("10GiB")], [Ok(10 << 30), Ok(10 << 30), Ok(10 << 30)]);
        for text in ["", "G", "0", "-1", "1.5G", "99999999999T", "10B", "10i", "GB", "10GBB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
