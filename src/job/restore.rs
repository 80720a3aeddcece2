//! Plans a restore from an archive, and carries it out.
//!
//! The plan is stored in the archive, so that whoever is killed or moved to another node goes on with the plan that was approved.

use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _};
use std::path::{Path, PathBuf};

use clap::Args;
use tracing::info;
use zookeeper_files::disk::Point;
use zookeeper_files::ids::Zxid;

use super::archive_options::{ArchiveOptions, read_error};
use super::fenced::Fenced;
use super::{Ended, Work, for_good, scratch};
use crate::api::{RestoreApplied, RestorePlan};
use crate::archive::collect::{CollectError, Collection};
use crate::archive::plans::{self, PlanKey, PlanStoreError};
use crate::archive::tree::{tree_around, tree_at};
use crate::archive::tree_hash;
use crate::archive::turns::Turn;
use crate::cli::Output;
use crate::model::parent::At;
use crate::model::report::Report;
use crate::restore::apply::{ApplyError, ChangedSincePlan, Progress, apply as carry_out};
use crate::restore::arguments::{Asked, ScopeOptions, ServerOptions, WhatOptions, password};
use crate::restore::command::print_plan;
use crate::restore::hash::Digest;
use crate::restore::moved::{Brief, znodes};
use crate::restore::options::{Access, Lineage};
use crate::restore::plan::{Counts, plan as planned};
use crate::restore::plan_file::{LONGEST, PlanFile};
use crate::restore::reader::{ReadError, read};
use crate::restore::undo::undone;
use crate::restore::wanted::{Limits, Wanted};
use crate::zk::znodes::Session;

/// Lines of a plan that go to the log.
const SHOWN: usize = 1000;
/// Progress is logged each time that so much more is done.
const STEP: usize = 10_000;
const LEVEL: i32 = 3;

/// What both commands need.
#[derive(Args, Debug)]
struct Common {
    #[command(flatten)]
    archive: ArchiveOptions,
    /// The uid of the `ZooKeeperRestore`, which stands in the plan's name
    #[arg(long, value_name = "UID")]
    restore: String,
    #[command(flatten)]
    servers: ServerOptions,
    /// A folder for what is fetched. What is in its folder `work` is deleted
    #[arg(long, value_name = "DIR")]
    scratch: PathBuf,
}

#[derive(Args, Debug)]
pub(super) struct PlanOptions {
    #[command(flatten)]
    common: Common,
    /// The point: a zxid such as 0x10000002a or a time with its zone
    #[arg(long, value_name = "POINT", required_unless_present = "undo")]
    at: Option<At>,
    /// The hash that the tree has there
    #[arg(long, value_name = "HASH")]
    tree_hash: Option<Digest>,
    /// The point is just before
    #[arg(long)]
    exclusive: bool,
    #[command(flatten)]
    scope: ScopeOptions,
    #[command(flatten)]
    what: WhatOptions,
}

#[derive(Args, Debug)]
pub(super) struct ApplyOptions {
    #[command(flatten)]
    common: Common,
    /// The hash of the plan
    #[arg(long, value_name = "HASH")]
    plan: Digest,
    /// Go on with a new plan where others have changed the same znodes
    #[arg(long)]
    replan: bool,
}

impl Common {
    fn key(&self, hash: Digest) -> PlanKey {
        PlanKey { identity: self.archive.identity.clone(), restore: self.restore.clone(), hash: hash.to_string() }
    }
}

fn unread(error: ReadError) -> Ended {
    match error {
        ReadError::Unknown { .. } => Ended::ForNow(error.to_string()),
        other => Ended::ForGood(other.to_string()),
    }
}

fn unstored(error: &PlanStoreError) -> Ended {
    let text = error.to_string();
    if error.may_pass() { Ended::ForNow(text) } else { Ended::ForGood(text) }
}

/// Plans, and stores the plan.
pub(super) async fn plan(options: &PlanOptions) -> Result<Report, Ended> {
    let at = options.at.map(|at| match at {
        At::Zxid(zxid) => Point::Zxid(zxid),
        At::Time(time) => Point::Time(time.as_millisecond()),
    });
    let asked = options.scope.asked(at, options.exclusive).map_err(Ended::ForGood)?;
    let password = Some(password().ok_or_else(|| for_good("there is no password of the super user"))?);
    let (limits, work) = (Limits::default(), Work::empty(&options.common.scratch)?);
    let store = options.common.archive.open()?;
    let collected = Collection::of(&store, &options.common.archive.identity).await;
    let collection = collected.map_err(|error| match error {
        // Its members may just have begun to archive.
        CollectError::Nobody { .. } if options.what.same_ensemble() => Ended::ForNow(format!(
            "{error}; nothing of it may be archived yet: its condition ContinuousArchiving says more"
        )),
        error => read_error(&error.into()),
    })?;
    let told = |far: &str| info!(%far, "reading the archive");
    let folder = work.path("archive");
    let wanted = match &asked {
        Asked::Point(point, scope) => {
            let built = tree_at(&collection, *point, &folder, &told).await.map_err(|error| read_error(&error))?;
            if let Some(hash) = options.tree_hash {
                tree_hash::is_still(&built.tree, &hash.to_string())
                    .map_err(|why| Ended::NotProved { why, again: false })?;
            }
            Wanted::of(&built.tree, scope, limits).map_err(for_good)?
        }
        Asked::Undo(zxid) => {
            let built = tree_around(&collection, *zxid, &folder, &told).await.map_err(|error| read_error(&error))?;
            undone(*zxid, built.body.as_deref(), &built.before, &built.tree, limits).map_err(for_good)?
        }
    };
    let decided = options.what.decided(&asked, wanted.zxid, Lineage::Other, Access::Super).map_err(Ended::ForGood)?;
    let session = Session::with(&options.common.servers.server, password);
    let mut at = 0;
    let mut heard = |count: usize| progress(&mut at, count, "znodes of the ensemble read");
    let live = read(&session, &wanted.scope, limits, &mut heard).await.map_err(unread)?;
    let made = planned(&wanted, &live, &decided).map_err(for_good)?;
    let (counts, zxid) = (made.counts, wanted.zxid);
    let file = PlanFile::of(wanted, decided, made);
    print_plan(&file, None, Output::Human, SHOWN).map_err(|error| Ended::ForNow(error.to_string()))?;
    let path = work.path("plan");
    let mut packed = pack(&file, &path).map_err(|error| scratch(&path, &error))?;
    let key = options.common.key(file.plan.hash);
    plans::store(&store, &key, &mut packed).await.map_err(|error| unstored(&error))?;
    info!(hash = %file.plan.hash, folder = key.folder(), "the plan is stored");
    Ok(Report { plan: Some(numbers(file.plan.hash, zxid, &counts)), ..Report::default() })
}

/// Logs a count now and then.
fn progress(at: &mut usize, count: usize, what: &str) {
    if count >= *at + STEP {
        *at = count;
        info!(count, "{what}");
    }
}

fn numbers(hash: Digest, zxid: Zxid, counts: &Counts) -> RestorePlan {
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let &Counts { create, set, set_acl, delete, equal, skipped, extra, counters, raise, quotas, set_quota } = counts;
    RestorePlan {
        pod: None,
        hash: hash.to_string(),
        zxid: format!("{zxid:#}"),
        changes: number(create + set + set_acl + delete + raise + set_quota),
        create: number(create),
        set: number(set),
        set_acl: number(set_acl),
        delete: number(delete),
        equal: number(equal),
        skipped: number(skipped),
        extra: number(extra),
        counters: number(counters),
        raise: number(raise),
        quotas: number(quotas),
        set_quota: number(set_quota),
    }
}

fn pack(file: &PlanFile, path: &Path) -> std::io::Result<File> {
    let mut to = File::options().read(true).write(true).create_new(true).open(path)?;
    let mut encoder = zstd::Encoder::new(&to, LEVEL)?;
    file.write(BufWriter::with_capacity(1 << 20, &mut encoder), LONGEST)?;
    encoder.finish()?;
    to.rewind()?;
    Ok(to)
}

/// The plan that was fetched of that hash.
pub(crate) fn unpack(packed: &mut File, hash: Digest) -> Result<PlanFile, String> {
    let text = (|| {
        packed.rewind()?;
        let mut text = Vec::new();
        zstd::Decoder::new(packed)?.take(LONGEST + 1).read_to_end(&mut text)?;
        Ok::<_, std::io::Error>(text)
    })();
    let text = text.map_err(|error| format!("the stored plan cannot be unpacked: {error}"))?;
    let file = PlanFile::read(&text, Limits::default()).map_err(|error| error.to_string())?;
    if file.plan.hash != hash {
        return Err(format!("under the name of plan {hash} is plan {}", file.plan.hash));
    }
    Ok(file)
}

/// Carries out a stored plan.
pub(super) async fn apply(options: &ApplyOptions) -> Result<Report, Ended> {
    let password = Some(password().ok_or_else(|| for_good("there is no password of the super user"))?);
    let (limits, work) = (Limits::default(), Work::empty(&options.common.scratch)?);
    let store = options.common.archive.open()?;
    let path = work.path("plan");
    let opened = File::options().read(true).write(true).create_new(true).open(&path);
    let mut packed = opened.map_err(|error| scratch(&path, &error))?;
    let key = options.common.key(options.plan);
    plans::fetch(&store, &key, &mut packed).await.map_err(|error| unstored(&error))?;
    let file = unpack(&mut packed, options.plan).map_err(Ended::ForGood)?;
    let turn = Turn::take(&store, &key).await.map_err(|error| Ended::ForNow(error.to_string()))?;
    let session = Fenced { znodes: Session::with(&options.common.servers.server, password), turn };
    let changed = if options.replan { ChangedSincePlan::Replan } else { ChangedSincePlan::Fail };
    let (mut read, mut done, mut last) = (0, 0, 0);
    let mut heard = |far: Progress| match far {
        Progress::Read(count) => progress(&mut read, count, "znodes of the ensemble read"),
        Progress::Done(count, of) => {
            last = count;
            progress(&mut done, count, &format!("of {of} changes done"));
        }
    };
    let applied = carry_out(&session, &file, changed, limits, &mut heard).await;
    let applied = applied.map_err(|error| with(stopped(error, file.options.delete_extra), last))?;
    for moved in applied.moved.iter().take(SHOWN) {
        info!(moved = %Brief(moved), "changed by others since the plan was made");
    }
    for path in applied.gone.iter().take(SHOWN) {
        info!(path, "created by this run and deleted by others: not created again");
    }
    for note in applied.low.iter().take(SHOWN) {
        info!(%note, "written by others since the plan was made");
    }
    info!(changes = applied.done, "the plan is carried out");
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let applied = RestoreApplied { changes: number(applied.done), changed_by_others: number(znodes(&applied.moved)) };
    Ok(Report { applied: Some(applied), ..Report::default() })
}

/// With how much this pod has done.
fn with(ended: Ended, done: usize) -> Ended {
    let told = |text: String| match done {
        0 => format!("{text} (this pod has changed nothing)"),
        some => format!("{text} (this pod has done {some} changes before)"),
    };
    match ended {
        Ended::ForGood(text) => Ended::ForGood(told(text)),
        Ended::ForNow(text) => Ended::ForNow(told(text)),
        Ended::NotProved { why, again } => Ended::NotProved { why: told(why), again },
    }
}

/// `extra` says that the plan deletes what was not there, which only a plan that nobody has overtaken may.
fn stopped(error: ApplyError, extra: bool) -> Ended {
    match error {
        ApplyError::Moved { first, moved } => Ended::ForGood(format!(
            "others have changed {} znodes since the plan was made, the first: {}; nothing was done about them. Create another ZooKeeperRestore{}",
            znodes(&moved),
            Brief(&first),
            if extra { "" } else { "; with changedSincePlan: Replan it goes on where others have changed something" }
        )),
        ApplyError::Read(error) => unread(error),
        error @ ApplyError::Unsettled { .. } => Ended::ForNow(error.to_string()),
        ApplyError::Refused { operation, reason } => {
            Ended::ForGood(format!("failed to {}: {reason}", operation.brief()))
        }
        error @ ApplyError::QuotasUnknown => for_good(error),
        ApplyError::Options(error) => for_good(error),
    }
}
