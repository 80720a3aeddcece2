//! What the Jobs of the operator run: heavy work that belongs neither into a member's pod nor into the operator.
//!
//! A Job's pod reports what came of it through its termination message, and its exit code says whether trying again may help.

mod archive_options;
mod backup;
mod copy;
mod fenced;
mod prune;
pub(crate) mod restore;
mod trial;

use std::fmt::Display;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::cli::print_message;
use crate::model::report::Report;

/// Run what a Job of the operator is for.
///
/// Exit codes: 0 done; 1 trying again does not help, nor after 2, with wrong arguments; 3 it may help.
#[derive(Args, Debug)]
pub struct Options {
    /// The file that gets the report, as JSON
    #[arg(long, value_name = "FILE", default_value = "/dev/termination-log", global = true)]
    report: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Keep a point of an archive by name, and prove that the tree can be built there
    Backup(Box<backup::Options>),
    /// Plan a restore from an archive, and store the plan there
    RestorePlan(Box<restore::PlanOptions>),
    /// Carry out a plan of a restore that is stored in an archive
    RestoreApply(Box<restore::ApplyOptions>),
    /// Delete from an archive what is older than is to be kept
    Prune(Box<prune::PruneOptions>),
}

/// The exit code that says that trying again may help: wrong arguments and panics have others.
const AGAIN: i32 = 3;

/// Why a Job's pod did not come to its end.
#[derive(Debug)]
enum Ended {
    /// Trying again does not help.
    ForGood(String),
    /// Another pod may come further.
    ForNow(String),
    /// What the archive holds is not whole, or not what the servers had; and whether it may be so only now.
    NotProved {
        /// What is wrong.
        why: String,
        /// Whether trying again may help.
        again: bool,
    },
}

fn for_good(error: impl Display) -> Ended {
    Ended::ForGood(error.to_string())
}

fn scratch(path: &Path, error: &io::Error) -> Ended {
    Ended::ForNow(format!("{}: {error}", path.display()))
}

/// An empty folder.
struct Work(PathBuf);

impl Work {
    fn empty(scratch_folder: &Path) -> Result<Self, Ended> {
        let path = scratch_folder.join("work");
        if path.exists() {
            fs::remove_dir_all(&path).map_err(|error| scratch(&path, &error))?;
        }
        fs::create_dir_all(&path).map_err(|error| scratch(&path, &error))?;
        Ok(Self(path))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// Runs the command and returns the exit code.
pub fn main(options: Options) -> i32 {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        // Its log is read with kubectl, and kept by whoever collects logs.
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let Options { report: file, command } = options;
    let ended = runtime::Builder::new_current_thread().enable_all().build();
    let ended = ended.map_err(|error| Ended::ForNow(error.to_string())).and_then(|runtime| {
        runtime.block_on(async {
            let work = async {
                match command {
                    Command::Backup(options) => backup::backup(&options).await,
                    Command::RestorePlan(options) => restore::plan(&options).await,
                    Command::RestoreApply(options) => restore::apply(&options).await,
                    Command::Prune(options) => prune::prune(&options).await,
                }
            };
            // Process 1 of a container is not ended by a signal that it does not handle. It may stop anywhere.
            tokio::select! {
                ended = work => ended,
                () = stopped() => Err(Ended::ForNow("it was asked to stop".to_owned())),
            }
        })
    });
    let (report, code) = match ended {
        Ok(report) => (report, 0),
        Err(Ended::ForGood(why)) => (failed(&why), 1),
        Err(Ended::ForNow(why)) => (failed(&why), AGAIN),
        Err(Ended::NotProved { why, again }) => {
            (Report { not_proved: true, ..failed(&why) }, if again { AGAIN } else { 1 })
        }
    };
    let text = serde_json::to_string(&report).map_err(std::io::Error::from);
    if let Err(error) = text.and_then(|text| fs::write(&file, text)) {
        print_message("error", &format!("the report cannot be written to {}: {error}", file.display()));
        return AGAIN;
    }
    code
}

async fn stopped() {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => _ = terminate.recv().await,
        Err(_) => std::future::pending().await,
    }
}

fn failed(why: &str) -> Report {
    print_message("error", why);
    Report::of_error(why)
}
