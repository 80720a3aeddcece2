//! `menagerie restore`: `ZooKeeperRestore`s, by command, beside the commands that need no cluster.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::connection::{Cluster, ClusterOptions, connect, name, run};
use super::created::{NewOptions, point};
use super::followed::{Followed, WaitOptions, WatchOptions, follow, of_status, watch};
use super::listed::{DeleteOptions, ListOptions, delete, list};
use super::objects::name_of;
use super::shown::show;
use super::teller::{Now, Stands, say};
use crate::api::{ChangedPolicy, ExistingPolicy, ZooKeeperRestore, ZooKeeperRestoreSpec};
use crate::cli::point::{PointArg, zxid};
use crate::cli::{CommandError, Exit, Output, finish, print_message};
use crate::restore::arguments::{BesideOptions, ExistingArg, ScopeOptions};
use crate::restore::command::{self, ChangedArg};
use crate::restore::hash::Digest;
use zookeeper_files::ids::Zxid;

/// Bring znodes of a running ensemble back to how they were.
///
/// `plan` and `apply` read files or an archive, and speak with the ensemble themselves. The environment variable
/// `MENAGERIE_SUPER_PASSWORD` gives the password of ZooKeeper's super user. Without it, the ensemble is read and changed with the rights
/// that everybody has. The others let the operator do it in the cluster of the kubeconfig, from the ensemble's own archive: `create` makes
/// a `ZooKeeperRestore`, which plans, `show` shows the plan, and `approve` has it carried out.
#[derive(Args, Debug)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Alone(command::Command),
    /// Create a `ZooKeeperRestore`, which makes a plan and changes nothing, and print its name
    ///
    /// Exit codes: 0 created, with --wait planned or completed; 1 it has failed; 2 an error, also if it has not come to its end.
    #[command(after_help = "Examples:\n  \
        menagerie restore create example --at 2026-11-23T19:52:00Z --path /app --existing overwrite --wait\n  \
        menagerie restore create example --backup before-upgrade --path /app --namespace prod --wait\n  \
        menagerie restore create example --undo 0x10000002a --name undo --wait")]
    Create(Box<CreateOptions>),
    /// Follow a `ZooKeeperRestore` until it is planned and waits for an approval, is completed, or has failed
    ///
    /// Exit codes: 0 planned or completed; 1 it has failed; 2 an error, also if it has not come to its end.
    #[command(after_help = "Examples:\n  menagerie restore watch undo --namespace prod")]
    Watch(WatchOptions),
    /// List the `ZooKeeperRestore`s of a namespace, the oldest first
    #[command(after_help = "Examples:\n  menagerie restore list --namespace prod\n  \
        menagerie restore list example --output json")]
    List(ListOptions),
    /// Show the plan of a `ZooKeeperRestore`: what it would change, what it leaves as it is, and why
    ///
    /// The plan is read from the archive where the environment gives the rights to (as for `menagerie archive`), else from the log of the
    /// pod that made it, which has up to a thousand lines.
    #[command(
        after_help = "Examples:\n  menagerie restore show undo --namespace prod\n  menagerie restore show undo --output json"
    )]
    Show(ShowOptions),
    /// Have the plan that was shown carried out, and no other
    ///
    /// Exit codes: as of `create`.
    #[command(after_help = "Examples:\n  menagerie restore approve undo --hash 3c1f… --namespace prod --wait")]
    Approve(ApproveOptions),
    /// Delete `ZooKeeperRestore`s. What they have changed stays changed, and their plans stay in the archive
    #[command(after_help = "Examples:\n  menagerie restore delete undo --namespace prod")]
    Delete(DeleteOptions),
}

#[derive(Args, Debug)]
struct CreateOptions {
    #[command(flatten)]
    new: NewOptions,
    /// The point: after the transaction with this zxid, like 0x10000002a, or at this time: 2026-11-23T19:52:00Z, or 90m (ago). menagerie log
    /// dump of the archive shows the zxid and the time of each transaction
    #[arg(long, value_name = "POINT", required_unless_present_any = ["undo", "backup"])]
    at: Option<PointArg>,
    /// The point is that of this `ZooKeeperBackup`
    #[arg(long, value_name = "NAME", value_parser = name, conflicts_with_all = ["at", "undo", "exclusive"])]
    backup: Option<String>,
    /// The point is just before that transaction or time
    #[arg(long)]
    exclusive: bool,
    #[command(flatten)]
    scope: ScopeOptions,
    /// What happens to znodes that exist and differ; without it, they stay
    #[arg(long, value_enum)]
    existing: Option<ExistingArg>,
    /// With keep-newer: up to the transaction with this zxid, like 0x10000002a, znodes are overwritten; without it, up to the point
    #[arg(long, value_name = "ZXID", value_parser = zxid)]
    newer_than: Option<Zxid>,
    /// Delete what was not there at the point; only with --existing overwrite
    #[arg(long)]
    delete_extra: bool,
    #[command(flatten)]
    beside: BesideOptions,
    /// What happens if others have changed the same znodes since the plan was made; without it, it stops
    #[arg(long, value_enum)]
    changed: Option<ChangedArg>,
}

#[derive(Args, Debug)]
struct ShowOptions {
    /// The `ZooKeeperRestore`
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    #[command(flatten)]
    cluster: ClusterOptions,
    /// Output format. As JSON: a line for the restore as of list, and one for its plan as of plan, or with the lines of the pod's log
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Args, Debug)]
struct ApproveOptions {
    /// The `ZooKeeperRestore`
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    /// The hash of the plan, which `show` and `watch` print
    #[arg(long, value_name = "HASH")]
    hash: Digest,
    #[command(flatten)]
    cluster: ClusterOptions,
    #[command(flatten)]
    wait: WaitOptions,
}

impl Followed for ZooKeeperRestore {
    const COMMAND: &'static str = "restore";

    fn now(object: &DynamicObject) -> Now {
        let now = of_status(object, "Completed");
        // After a change of the spec the status speaks of the one before.
        let current = object.metadata.generation == object.data["status"]["observedGeneration"].as_i64();
        match (now.phase.as_str(), now.reason.as_str()) {
            ("Planned", "DryRun") if current => Now { stands: Stands::Well, ..of_status(object, "Planned") },
            ("Planned", "NotApproved") if current => Now { stands: Stands::Badly, ..now },
            ("Planned", "DryRun" | "NotApproved") => {
                Now { reason: String::new(), message: "the operator has not seen the approval yet".to_owned(), ..now }
            }
            _ => now,
        }
    }

    fn next(cluster: &Cluster, object: &DynamicObject) -> Vec<String> {
        let (name, arguments) = (name_of(object), cluster.arguments());
        match (object.data["status"]["phase"].as_str(), hash(object)) {
            (Some("Planned"), Some(hash)) => vec![
                format!("what it would do:   menagerie restore show {name} {arguments}"),
                format!("to have that done:  menagerie restore approve {name} {arguments} --hash {hash}"),
            ],
            _ => Vec::new(),
        }
    }
}

/// The hash of its plan, if it is one: it becomes a part of commands to paste.
pub(super) fn hash(object: &DynamicObject) -> Option<&str> {
    object.data["status"]["plan"]["hash"].as_str().filter(|hash| hash.parse::<Digest>().is_ok())
}

/// Runs the command and returns the exit code.
pub fn main(options: Options) -> i32 {
    match options.command {
        Command::Alone(command) => command::main(command),
        Command::Create(options) => finish("restore create", run(create(&options))),
        Command::Watch(options) => finish("restore watch", run(watch::<ZooKeeperRestore>(&options))),
        Command::List(options) => finish("restore list", run(list::<ZooKeeperRestore, 7>(&options))),
        Command::Delete(options) => finish("restore delete", run(delete::<ZooKeeperRestore, 7>(&options))),
        Command::Show(options) => finish("restore show", run(shown(&options))),
        Command::Approve(options) => finish("restore approve", run(approve(&options))),
    }
}

fn spec(options: &CreateOptions, now: i64) -> Result<ZooKeeperRestoreSpec, String> {
    let CreateOptions { new, at, backup, exclusive, scope, existing, newer_than, delete_extra, beside, changed } =
        options;
    let at = match at.map(|at| point(at, now)).transpose()? {
        Some(None) => return Err("--at end is how it is now: name a zxid, a time, or --backup".to_owned()),
        at => at.flatten(),
    };
    if scope.undo.is_none() {
        scope.scope().map_err(|error| error.to_string())?;
    }
    let some = |paths: &[String]| (!paths.is_empty()).then(|| paths.to_vec());
    Ok(ZooKeeperRestoreSpec {
        ensemble: new.ensemble.clone(),
        at,
        backup: backup.clone(),
        undo: scope.undo.map(|zxid| format!("{zxid:#}")),
        exclusive: exclusive.then_some(true),
        paths: some(&scope.path),
        znodes: some(&scope.znode),
        to: scope.to.clone(),
        existing: existing.map(|existing| match existing {
            ExistingArg::Keep => ExistingPolicy::Keep,
            ExistingArg::KeepNewer => ExistingPolicy::KeepNewer,
            ExistingArg::Overwrite => ExistingPolicy::Overwrite,
        }),
        newer_than: newer_than.map(|zxid| format!("{zxid:#}")),
        delete_extra: delete_extra.then_some(true),
        raise_counters: beside.raise_counters.then_some(true),
        quotas: beside.quotas.then_some(true),
        changed_since_plan: changed.map(|changed| match changed {
            ChangedArg::Fail => ChangedPolicy::Fail,
            ChangedArg::Replan => ChangedPolicy::Replan,
        }),
        ..ZooKeeperRestoreSpec::default()
    })
}

async fn create(options: &CreateOptions) -> Result<Exit, CommandError> {
    let spec = spec(options, jiff::Timestamp::now().as_millisecond()).map_err(CommandError::Usage)?;
    let new = &options.new;
    let cluster = connect(&new.cluster).await?;
    // A backup may have a store of its own: the operator reads which.
    let otherwise = match &spec.backup {
        Some(_) => "",
        None => "name a backup that has a store of its own (--backup NAME), or apply a ZooKeeperRestore with spec.from",
    };
    cluster.archiving(&new.ensemble, otherwise).await?;
    let made = cluster.create(&ZooKeeperRestore { metadata: new.metadata(), spec, status: None }).await?;
    new.created::<ZooKeeperRestore>(&cluster, &made).await
}

async fn shown(ShowOptions { name, cluster, output }: &ShowOptions) -> Result<Exit, CommandError> {
    let cluster = connect(cluster).await?;
    let restore = cluster.read::<ZooKeeperRestore>(name).await?;
    show(&cluster, &restore, *output).await
}

async fn approve(options: &ApproveOptions) -> Result<Exit, CommandError> {
    let ApproveOptions { name, hash: approved, cluster, wait } = options;
    let cluster = connect(cluster).await?;
    let restore = cluster.read::<ZooKeeperRestore>(name).await?;
    may_be_approved(&cluster, &restore, *approved).map_err(CommandError::Usage)?;
    // Whatever became of the object since it was read: the operator carries out the plan of this hash, or none.
    let fields = json!({"spec": {"dryRun": false, "approvedPlan": approved.to_string()}});
    let restore = cluster.change::<ZooKeeperRestore>(name, &fields).await?;
    if let Some(tool) = applied_by(&restore) {
        let text = format!(
            "{tool} applies this restore, and takes the approval back if its manifest has dryRun or approvedPlan: commit dryRun: false and this hash there (docs/restore.md#with-gitops)"
        );
        print_message("note", &text);
    }
    if let Some(patience) = wait.patience() {
        let exit = follow::<ZooKeeperRestore>(&cluster, &restore, patience, false).await?;
        // Planned is an end of all that is followed but of this.
        if exit == Exit::Sound && cluster.read::<ZooKeeperRestore>(name).await?.data["status"]["phase"] == "Planned" {
            return Err(CommandError::Usage(format!(
                "{name} is not carried out: somebody has taken the approval back, such as a tool that applies its manifest again (docs/restore.md#with-gitops)"
            )));
        }
        return Ok(exit);
    }
    say(&format!("plan {approved} is approved: menagerie restore watch {name} {} follows it", cluster.arguments()))
        .map_err(|error| CommandError::Usage(format!("plan {approved} is approved; cannot write: {error}")))?;
    Ok(Exit::Sound)
}

/// The tool that brings an object from a repository, by the marks that it leaves.
fn applied_by(object: &DynamicObject) -> Option<&'static str> {
    let of = |marks: &Option<BTreeMap<String, String>>, begin: &str| {
        marks.iter().flatten().any(|(mark, _)| mark.starts_with(begin))
    };
    let metadata = &object.metadata;
    let marked = |begin: &str| of(&metadata.labels, begin) || of(&metadata.annotations, begin);
    [("argocd.argoproj.io/", "Argo CD"), ("kustomize.toolkit.fluxcd.io/", "Flux"), ("helm.toolkit.fluxcd.io/", "Flux")]
        .into_iter()
        .find_map(|(begin, tool)| marked(begin).then_some(tool))
}

fn may_be_approved(cluster: &Cluster, restore: &DynamicObject, approved: Digest) -> Result<(), String> {
    let (name, arguments) = (name_of(restore), cluster.arguments());
    let Now { phase, message, .. } = ZooKeeperRestore::now(restore);
    if matches!(phase.as_str(), "Completed" | "Failed") {
        return Err(format!("{name} is {} already ({message}): create another one", phase.to_lowercase()));
    }
    match hash(restore) {
        None => Err(format!("{name} has no plan yet ({message}): menagerie restore watch {name} {arguments}")),
        Some(hash) if hash == approved.to_string() => Ok(()),
        Some(hash) => Err(format!(
            "the plan of {name} is {hash}, and not {approved}: nothing is approved. Look at it: menagerie restore show {name} {arguments}"
        )),
    }
}

/// A field of a status that is text.
pub(super) fn text<'a>(status: &'a Value, field: &str) -> &'a str {
    status[field].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Given {
        #[command(flatten)]
        options: CreateOptions,
    }

    fn asked(arguments: &[&str]) -> Result<Value, String> {
        let given =
            Given::try_parse_from([&["create", "zk"], arguments].concat()).map_err(|error| error.to_string())?;
        let spec = spec(&given.options, 1_795_463_520_000)?;
        Ok(serde_json::to_value(spec).unwrap())
    }

    #[test]
    fn a_restore_is_asked_for_as_on_files_and_changes_nothing_by_itself() {
        let at = asked(&["--at", "2026-11-23T19:52:00Z", "--path", "/app/", "--existing", "keep-newer"]).unwrap();
        let expected = json!({
            "ensemble": "zk", "at": "2026-11-23T19:52:00.000Z", "paths": ["/app"], "existing": "KeepNewer",
        });
        assert_eq!(at, expected, "no dryRun: it is true without");
        assert_eq!(asked(&["--undo", "0x10000002a"]).unwrap(), json!({"ensemble": "zk", "undo": "0x10000002a"}));
        let backup = [
            "--backup",
            "before",
            "--znode",
            "/a",
            "--to",
            "/b",
            "--raise-counters",
            "--quotas",
            "--changed",
            "replan",
        ];
        let expected = json!({
            "ensemble": "zk", "backup": "before", "znodes": ["/a"], "to": "/b", "raiseCounters": true,
            "quotas": true, "changedSincePlan": "Replan",
        });
        assert_eq!(asked(&backup).unwrap(), expected);
    }

    #[test]
    fn what_does_not_go_together_is_said_before_a_cluster_is_asked() {
        for (arguments, words) in [
            (&["--path", "/a"][..], "--at"),
            (&["--undo", "0x10000002a", "--path", "/a"], "cannot be used with"),
            (&["--backup", "b", "--at", "0x1", "--path", "/a"], "cannot be used with"),
            (&["--at", "end", "--path", "/a"], "is how it is now"),
            (&["--at", "0x1"], "no path is named"),
            (&["--at", "0x1", "--path", "/zookeeper/quota"], "ZooKeeper's own"),
            (&["--at", "2026-11-23T19:52:00", "--path", "/a"], "without its zone"),
            (&["--at", "2026-11-23T20:52:00Z", "--path", "/a"], "still to come"),
        ] {
            let told = asked(arguments).unwrap_err();
            assert!(told.contains(words), "{arguments:?}: {told}");
        }
    }

    fn restore(generation: i64, phase: &str, reason: &str) -> DynamicObject {
        let condition =
            |name: &str, reason: &str| json!({"type": name, "reason": reason, "message": format!("{name}!")});
        serde_json::from_value(json!({
            "apiVersion": "menagerie.dev/v1alpha1", "kind": "ZooKeeperRestore",
            "metadata": {"name": "undo", "generation": generation},
            "status": {
                "observedGeneration": 1, "phase": phase,
                "conditions": [condition("Planned", "Planned"), condition("Completed", reason)],
            },
        }))
        .unwrap()
    }

    #[test]
    fn a_plan_that_waits_for_its_approval_is_an_end_and_one_that_was_just_approved_is_none() {
        let stands = |generation, phase, reason| ZooKeeperRestore::now(&restore(generation, phase, reason)).stands;
        assert_eq!(stands(1, "Planned", "DryRun"), Stands::Well);
        assert_eq!(stands(2, "Planned", "DryRun"), Stands::Going);
        assert_eq!(stands(1, "Planned", "NotApproved"), Stands::Badly);
        assert_eq!(stands(2, "Planned", "NotApproved"), Stands::Going);
        assert_eq!(stands(1, "Planned", "AnotherRestore"), Stands::Going);
        assert_eq!(stands(1, "Applying", "Applying"), Stands::Going);
        assert_eq!(stands(1, "Completed", "Completed"), Stands::Well);
        assert_eq!(stands(1, "Failed", "ApplyFailed"), Stands::Badly);
        assert_eq!(ZooKeeperRestore::now(&restore(1, "Planned", "DryRun")).message, "Planned!", "its counts");
    }
}
