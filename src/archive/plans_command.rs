//! `menagerie archive plans`: the stored plans of restores.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::about::called;
use super::chains;
use super::command::ArchiveOptions;
use super::plans::{self, PlanKey, Plans, StoredPlan};
use super::prune::{self, PruneError};
use super::store::Store;
use super::which::{nothing, resolved, several};
use crate::cli::point::span;
use crate::cli::{CommandError, Exit, Output, Printer, print_message};
use crate::model::names::is_name;
use crate::view::time::iso_text;

/// A plan that is younger may be one that somebody looks at.
const LEAST_AGE: i64 = 3_600_000;

#[derive(Args, Debug)]
pub(super) struct PlansOptions {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the stored plans, the oldest first
    #[command(after_help = "Examples:\n  menagerie archive plans list s3://backups/zookeeper")]
    List(ArchiveOptions),
    /// Delete stored plans. A restore that is to be carried out from one fails: it takes another `ZooKeeperRestore`
    #[command(after_help = "Examples:\n  \
        menagerie archive plans delete s3://backups/zookeeper --identity 7b1c9a0e-3d52-4c11-9f7a-0f4be2a6d1c3 --older-than 30d\n  \
        menagerie archive plans delete s3://backups/zookeeper --identity 7b1c9a0e-3d52-4c11-9f7a-0f4be2a6d1c3 --restore 0f3a5c7e-9b1d-4f40-8c21-6f2f0c1d7e55")]
    Delete(DeleteOptions),
}

#[derive(Args, Debug)]
struct DeleteOptions {
    #[command(flatten)]
    archive: ArchiveOptions,
    /// Those that were stored so long ago, like 30d or 12h; an hour at least
    #[arg(long, value_name = "TIME", value_parser = age, required_unless_present = "restore")]
    older_than: Option<i64>,
    /// Those of the `ZooKeeperRestore` with this uid
    #[arg(long, value_name = "UID", value_parser = uid)]
    restore: Option<String>,
}

fn age(text: &str) -> Result<i64, String> {
    match span(text)? {
        age if age >= LEAST_AGE => Ok(age),
        _ => Err(format!("{text}: an hour at least (m is minutes)")),
    }
}

fn uid(text: &str) -> Result<String, String> {
    is_name(text).then(|| text.to_owned()).ok_or_else(|| "a uid has small letters, digits and '-'".to_owned())
}

impl PlansOptions {
    pub(super) fn name(&self) -> &'static str {
        match self.command {
            Command::List(_) => "archive plans list",
            Command::Delete(_) => "archive plans delete",
        }
    }
}

pub(super) async fn plans(PlansOptions { command }: &PlansOptions) -> Result<Exit, CommandError> {
    match command {
        Command::List(options) => list(options).await,
        Command::Delete(options) => delete(options).await,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlanLine<'a> {
    identity: &'a str,
    restore: &'a str,
    hash: &'a str,
    whole: bool,
    bytes: u64,
    stored: String,
}

fn print(plan: &StoredPlan, output: Output, to: &mut Printer) -> Result<(), CommandError> {
    let StoredPlan { key: PlanKey { identity, restore, hash }, whole, bytes, stored, .. } = plan;
    let (whole, bytes, stored) = (*whole, *bytes, iso_text(*stored));
    if output == Output::Json {
        return Ok(to.json(&PlanLine { identity, restore, hash, whole, bytes, stored })?);
    }
    let part = if whole { "" } else { "  NOT WHOLE" };
    to.buffer
        .extend_from_slice(format!("  {stored}  restore {restore}  plan {hash}  {bytes} bytes{part}\n").as_bytes());
    Ok(to.line_done()?)
}

async fn list(options: &ArchiveOptions) -> Result<Exit, CommandError> {
    let store = Store::open(&options.target)?;
    let mut to = Printer::new();
    // The log of an ensemble may be deleted, and its plans be there.
    for identity in resolved(&store, options).await? {
        let Plans { all, strange } = plans::listed(&store, &identity).await?;
        tell_strange(&identity, strange);
        if options.output == Output::Human && !all.is_empty() {
            let bytes: u64 = all.iter().map(|plan| plan.bytes).sum();
            let called = called(&store, &identity).await?;
            let text = format!("ensemble {called}: {} plans, {bytes} bytes\n", all.len());
            to.buffer.extend_from_slice(text.as_bytes());
        }
        all.iter().try_for_each(|plan| print(plan, options.output, &mut to))?;
    }
    to.flush()?;
    Ok(Exit::Sound)
}

fn tell_strange(identity: &str, strange: usize) {
    if strange > 0 {
        print_message("note", &format!("{identity}: {strange} strange objects among the plans, which are left alone"));
    }
}

/// The ensemble whose plans are meant. Its log may be deleted.
async fn whose(store: &Store, options: &ArchiveOptions) -> Result<String, CommandError> {
    if chains::is_below_an_archive(store).await? {
        return Err(nothing(store, options).await?);
    }
    let mut there = resolved(store, options).await?;
    if there.is_empty() {
        return Err(nothing(store, options).await?);
    }
    if there.len() > 1 {
        let mut with = Vec::new();
        for identity in there {
            if plans::has_any(store, &identity).await? {
                with.push(identity);
            }
        }
        there = with;
    }
    match there.pop() {
        Some(identity) if there.is_empty() => Ok(identity),
        None => Err(CommandError::Usage(format!("{} has no stored plans", options.target))),
        last => {
            there.extend(last);
            Err(CommandError::Usage(several(store, options, &there).await?))
        }
    }
}

async fn delete(DeleteOptions { archive, older_than, restore }: &DeleteOptions) -> Result<Exit, CommandError> {
    let store = Store::open(&archive.target)?;
    let identity = whose(&store, archive).await?;
    // A name may be another ensemble's tomorrow: what is deleted is named by what never is.
    if archive.identity.as_ref().is_some_and(|asked| *asked != identity) {
        return Err(CommandError::Usage(format!("nothing is deleted by a name: give --identity {identity}")));
    }
    let (store, now) = match older_than {
        // Ours may be wrong, and the ages are by the store's.
        Some(_) => {
            let (store, time) = prune::time(store, &identity).await?;
            (store, time.map_err(PruneError::Skew)?)
        }
        None => (store, 0),
    };
    let Plans { mut all, strange } = plans::listed(&store, &identity).await?;
    tell_strange(&identity, strange);
    all.retain(|plan| {
        older_than.is_none_or(|age| plan.stored <= now.saturating_sub(age))
            && restore.as_ref().is_none_or(|restore| plan.key.restore == *restore)
    });
    if let (Some(restore), true) = (restore, all.is_empty()) {
        let old = if older_than.is_some() { " that is so old" } else { "" };
        return Err(CommandError::Usage(format!("{identity} has no stored plan of restore {restore}{old}")));
    }
    let (mut to, mut bytes, mut written) = (Printer::new(), 0_u64, Ok(()));
    for plan in &all {
        plans::delete(&store, plan).await?;
        bytes = bytes.saturating_add(plan.bytes);
        // Whoever reads no further has asked for the others to be deleted all the same.
        written = written.and_then(|()| print(plan, archive.output, &mut to)).and_then(|()| Ok(to.flush()?));
    }
    written?;
    if archive.output == Output::Human {
        to.buffer.extend_from_slice(format!("{identity}: {} plans deleted, {bytes} bytes\n", all.len()).as_bytes());
    }
    to.flush()?;
    Ok(Exit::Sound)
}
