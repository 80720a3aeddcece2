//! `menagerie backup`: `ZooKeeperBackup`s, by command.

use std::io;

use clap::{Args, Subcommand};
use kube::core::DynamicObject;
use serde::Serialize;

use super::connection::{Cluster, connect, run};
use super::created::{NewOptions, point};
use super::followed::{Followed, WatchOptions, of_status, watch};
use super::listed::{DeleteOptions, ListOptions, Listed, created, delete, list};
use super::objects::name_of;
use super::paste::word;
use super::teller::Now;
use crate::api::{WantedLevel, ZooKeeperBackup, ZooKeeperBackupSpec};
use crate::archive::key::is_identity;
use crate::archive::target::Target;
use crate::cli::point::PointArg;
use crate::cli::{CommandError, Exit, Printer, finish};
use crate::model::names::is_name;

/// Keep points of an ensemble's archive, and prove them: `ZooKeeperBackup`s.
///
/// They are made by the operator, in the cluster of the kubeconfig. Exit codes: 0 done, of `watch` and `--wait` completed; 1 it has
/// failed; 2 an error, also if it has not come to its end while it was watched.
#[derive(Args, Debug)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a backup in the ensemble's own archive, and print its name
    ///
    /// One with a store of its own (spec.to) takes a manifest.
    #[command(after_help = "Examples:\n  menagerie backup create example --namespace prod --wait\n  \
        menagerie backup create example --name before-upgrade --keep-days 90 --level Server --wait --timeout 30m\n  \
        menagerie backup create example --at 2026-11-23T19:52:00Z")]
    Create(CreateOptions),
    /// List the backups of a namespace, the oldest first
    #[command(after_help = "Examples:\n  menagerie backup list --namespace prod\n  \
        menagerie backup list example --output json")]
    List(ListOptions),
    /// Follow a backup until it is completed or has failed
    ///
    /// On a terminal one line is written anew; elsewhere there is a line for each change.
    #[command(after_help = "Examples:\n  menagerie backup watch before-upgrade --namespace prod")]
    Watch(WatchOptions),
    /// Delete backups. Their points stay in the archive until they expire or their pins are taken back
    #[command(after_help = "Examples:\n  menagerie backup delete before-upgrade --namespace prod")]
    Delete(DeleteOptions),
}

#[derive(Args, Debug)]
struct CreateOptions {
    #[command(flatten)]
    new: NewOptions,
    /// The point: after the transaction with this zxid, like 0x10000002a, or at this time: 2026-11-23T19:52:00Z, or 90m (ago). Without it,
    /// now, with all that was acknowledged before
    #[arg(long, value_name = "POINT")]
    at: Option<PointArg>,
    /// How well it is to be proved. Replay: the tree is built; `TwoWays`: in two ways; Server: and a real server starts from it
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    level: Option<WantedLevel>,
    /// Days after which it expires; without it, it is kept until somebody takes it back
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(i32).range(1..=36_500))]
    keep_days: Option<i32>,
}

/// In small letters too, and with a '-' between words.
fn level(text: &str) -> Result<WantedLevel, String> {
    let plain = |text: &str| text.replace('-', "").to_ascii_lowercase();
    let found = WantedLevel::ALL.into_iter().find(|level| plain(level.as_str()) == plain(text));
    found.ok_or_else(|| format!("write {}", WantedLevel::ALL.map(WantedLevel::as_str).join(", ")))
}

impl Followed for ZooKeeperBackup {
    const COMMAND: &'static str = "backup";

    fn now(object: &DynamicObject) -> Now {
        of_status(object, "Completed")
    }

    fn next(_: &Cluster, object: &DynamicObject) -> Vec<String> {
        let failed = object.data["status"]["phase"] == "Failed";
        kept(object).filter(|_| failed).map(|kept| format!("what is left of it: {kept}")).into_iter().collect()
    }
}

/// Runs the command and returns the exit code.
pub fn main(options: Options) -> i32 {
    match options.command {
        Command::Create(options) => finish("backup create", run(create(&options))),
        Command::List(options) => finish("backup list", run(list::<ZooKeeperBackup, 9>(&options))),
        Command::Watch(options) => finish("backup watch", run(watch::<ZooKeeperBackup>(&options))),
        Command::Delete(options) => finish("backup delete", run(delete::<ZooKeeperBackup, 9>(&options))),
    }
}

async fn create(options: &CreateOptions) -> Result<Exit, CommandError> {
    let CreateOptions { new, at, level, keep_days } = options;
    let now = jiff::Timestamp::now().as_millisecond();
    let at = at.map(|at| point(at, now)).transpose().map_err(CommandError::Usage)?.flatten();
    let cluster = connect(&new.cluster).await?;
    let otherwise = "apply a ZooKeeperBackup with a store of its own (spec.to, docs/backup.md#without-an-archive)";
    cluster.archiving(&new.ensemble, otherwise).await?;
    let ensemble = new.ensemble.clone();
    let spec = ZooKeeperBackupSpec { ensemble, at, keep_days: *keep_days, level: *level, ..Default::default() };
    let backup = ZooKeeperBackup { metadata: new.metadata(), spec, status: None };
    let made = cluster.create(&backup).await?;
    new.created::<ZooKeeperBackup>(&cluster, &made).await
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BackupLine<'a> {
    name: &'a str,
    ensemble: &'a str,
    phase: String,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zxid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<&'a str>,
    created: String,
    message: String,
}

impl<'a> BackupLine<'a> {
    fn of(object: &'a DynamicObject) -> Self {
        let Now { phase, reason, message, stands: _ } = ZooKeeperBackup::now(object);
        let status = &object.data["status"];
        Self {
            name: name_of(object),
            ensemble: object.data["spec"]["ensemble"].as_str().unwrap_or_default(),
            phase,
            reason,
            level: status["verified"]["level"].as_str(),
            zxid: status["zxid"].as_str(),
            time: status["time"].as_str(),
            expires: status["expires"].as_str(),
            created: created(object),
            message,
        }
    }

    fn row(&self) -> [String; 9] {
        let Self { name, ensemble, phase, reason, level, zxid, time, expires, created, message: _ } = self;
        let [level, zxid, time, expires] = [level, zxid, time, expires].map(|text| text.unwrap_or_default());
        [*name, *ensemble, phase, reason, level, zxid, time, expires, created].map(str::to_owned)
    }
}

impl Listed<9> for ZooKeeperBackup {
    const HEADS: [&'static str; 9] =
        ["NAME", "ENSEMBLE", "PHASE", "REASON", "LEVEL", "ZXID", "TIME", "EXPIRES", "CREATED"];

    fn row(object: &DynamicObject) -> [String; 9] {
        BackupLine::of(object).row()
    }

    fn json(object: &DynamicObject, to: &mut Printer) -> io::Result<()> {
        to.json(&BackupLine::of(object))
    }

    fn what_stays(object: &DynamicObject) -> String {
        kept(object).map(|kept| format!("; {kept}")).unwrap_or_default()
    }
}

/// What of it is in a store, for how long, and how it is taken away sooner.
fn kept(backup: &DynamicObject) -> Option<String> {
    let status = &backup.data["status"];
    let [pin, archive, identity] =
        ["pin", "archive", "identity"].map(|field| status[field].as_str().unwrap_or_default());
    if pin.is_empty() || archive.is_empty() {
        return None;
    }
    // Behind the address it is said how the store is reached.
    let target = archive.split(' ').next().and_then(|target| target.parse::<Target>().ok());
    // It is a command to paste: whoever may write a status has no words in it.
    let Some(target) = target.filter(|_| is_identity(identity) && is_name(pin)) else {
        return Some(format!(
            "the archive {archive} keeps its point {pin}, and its status has no identity and name for unpin"
        ));
    };
    if !backup.data["spec"]["to"].is_null() {
        return Some(format!(
            "what it has stays in {target}, which is its own folder, until somebody deletes that: {}",
            deletion(&target, archive)
        ));
    }
    // One that has failed may have come as far as that: then prune keeps what is in doubt.
    let keeps = if status["phase"] == "Failed" { "may keep" } else { "keeps" };
    let target = word(&target.to_string());
    let until = status["expires"].as_str().map(|until| format!(" until {until}, or")).unwrap_or_default();
    Some(format!(
        "the archive {keeps} its point{until} until menagerie archive unpin {target} --identity {identity} --name {pin}"
    ))
}

/// How a folder is deleted. Nothing of ours does that: it is all that a backup has.
fn deletion(folder: &Target, archive: &str) -> String {
    match folder {
        Target::S3 { .. } => {
            let endpoint = archive.split_once(" at ").and_then(|(_, rest)| rest.split(' ').next());
            let endpoint = endpoint.map(|url| format!(" --endpoint-url {}", word(url))).unwrap_or_default();
            format!("aws s3 rm --recursive {}{endpoint}", word(&format!("{folder}/")))
        }
        _ => "with the store's own tools".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_taken_however_people_write_it() {
        for (text, expected) in
            [("Replay", WantedLevel::Replay), ("two-ways", WantedLevel::TwoWays), ("server", WantedLevel::Server)]
        {
            assert_eq!(level(text), Ok(expected));
        }
        assert_eq!(level("log").unwrap_err(), "write Replay, TwoWays, Server");
    }
}
