//! Keeps a point of an archive by name, and proves that the tree can be built there.
//!
//! Killed anywhere, it goes on: the pin says which point was meant. It is there before the point is proved, so that nothing that the point
//! needs is pruned meanwhile.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};
use zookeeper_files::disk::Point;
use zookeeper_files::ids::Zxid;
use zookeeper_files::jute::Text;
use zookeeper_files::path::shown;
use zookeeper_files::replay::{Sums, Tree};

use super::archive_options::ArchiveOptions;
use super::copy::{Copy, CopyOptions};
use super::trial::{self, TrialOptions};
use super::{Ended, Work, for_good};
use crate::agent::client;
use crate::api::WantedLevel;
use crate::archive::collect::Collection;
use crate::archive::key::BaseKey;
use crate::archive::pins::{self, NamedPin, PinError};
use crate::archive::prune;
use crate::archive::pruner::HEARD;
use crate::archive::retention::Pin;
use crate::archive::segment::Hash;
use crate::archive::store::{Store, StoreErrorKind};
use crate::archive::tree::{Built, Second, second_tree, tree_at};
use crate::archive::tree_hash::{is_config, is_statistics, tree_hash};
use crate::archive::{bases, chains, tree};
use crate::model::names::is_name;
use crate::model::parent::At;
use crate::model::report::{BackupReport, Report};
use crate::model::truth::ServerState;
use crate::model::words::NAMED;
use crate::model::{ServerId, address};
use crate::restore::arguments::server;
use crate::restore::znodes::{Failure, Znodes as _};
use crate::view::time::iso_text;
use crate::zk::znodes::Session;

/// An agent's answer may be of a round of questions that began so long before: 2.5 s for its questions, and 0.2 s for which an answer
/// counts.
const ROUND: Duration = Duration::from_secs(3);
/// So long a pod waits for the archive to have a point. The next one goes on waiting.
const PATIENCE: Duration = Duration::from_mins(5);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

#[derive(Args, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    archive: ArchiveOptions,
    /// The name of the pin
    #[arg(long, value_parser = pin_name)]
    pin: String,
    /// From when on it keeps nothing
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// The point: a zxid such as 0x10000002a or a time with its zone; without it, now
    #[arg(long, value_name = "POINT", required_unless_present = "server")]
    at: Option<At>,
    /// The ensemble's servers, to learn which transaction now is
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', value_parser = server)]
    server: Vec<String>,
    /// How well it is to be proved
    #[arg(long, value_name = "LEVEL", default_value = WantedLevel::Replay.as_str(), value_parser = level)]
    level: WantedLevel,
    #[command(flatten)]
    copy: CopyOptions,
    #[command(flatten)]
    trial: TrialOptions,
    /// A folder for what is fetched. What is in its folder `work` is deleted
    #[arg(long, value_name = "DIR")]
    scratch: PathBuf,
}

fn pin_name(text: &str) -> Result<String, String> {
    is_name(text).then(|| text.to_owned()).ok_or_else(|| format!("{text:?} is no name of a pin"))
}

fn level(text: &str) -> Result<WantedLevel, String> {
    let known = WantedLevel::ALL.into_iter().find(|level| level.as_str() == text);
    known.ok_or_else(|| WantedLevel::ALL.map(WantedLevel::as_str).join(" or "))
}

fn unpinned(error: PinError) -> Ended {
    match error {
        PinError::Store(error) => Ended::ForNow(error.to_string()),
        // By another pod of this backup, which was believed to be lost: the next one goes on with what that one has named.
        taken @ PinError::Taken(_) => Ended::ForNow(taken.to_string()),
        other => for_good(other),
    }
}

/// Keeps the point, and proves it.
pub(super) async fn backup(options: &Options) -> Result<Report, Ended> {
    let work = Work::empty(&options.scratch)?;
    let store = options.archive.open()?;
    let identity = &options.archive.identity;
    // An earlier pod may have chosen it.
    let there = pins::read(&store, identity, &options.pin).await.map_err(unpinned)?;
    let proved = match (there, options.copy.whose()) {
        (Some(pin), _) => {
            keep(options, &store, (pin.to, pin.made)).await?;
            prove(options, &store, pin.to, &work).await
        }
        (None, Some(whose)) => copied(options, whose, &store, &work).await,
        (None, None) => {
            let zxid = chosen(options, &store, &work).await?;
            keep(options, &store, (zxid, prune::now())).await?;
            prove(options, &store, zxid, &work).await
        }
    };
    match proved {
        Ok(proved) => Ok(Report { backup: Some(proved), ..Report::default() }),
        Err(Ended::ForGood(why)) => Err(Ended::ForGood(format!("{why}{}", taken_back(&store, options).await))),
        // What is in doubt stays: somebody may want to look at it.
        Err(ended) => Err(ended),
    }
}

/// Keeps the point.
async fn keep(options: &Options, store: &Store, (zxid, made): (Zxid, i64)) -> Result<(), Ended> {
    let until = options.until.map(Timestamp::as_millisecond);
    let pin = NamedPin::new(&options.pin, Pin { from: zxid, to: zxid }, made).until(until);
    pins::keep(store, &options.archive.identity, &pin).await.map_err(unpinned)?;
    if options.at.is_some() {
        // A run of prune that deletes just now may not have seen the pin: what it takes is gone before the point is proved.
        let since = u64::try_from(prune::now().saturating_sub(made)).unwrap_or_default();
        sleep(HEARD.saturating_sub(Duration::from_millis(since))).await;
    }
    info!(zxid = %format!("{zxid:#}"), pin = options.pin, "the point is kept");
    Ok(())
}

/// Copies a member's files, and another one's where that is not enough. The point is named once it is proved: of what one member had, the next
/// pod could not tell that it needs more.
async fn copied(
    options: &Options,
    whose: &(String, String),
    store: &Store,
    work: &Work,
) -> Result<BackupReport, Ended> {
    let copy = Copy { whose, identity: &options.archive.identity, pin: &options.pin, servers: &options.server, store };
    let mut copied = Vec::new();
    let mut zxid = copy.of_another(work, &mut copied).await?;
    let proved = loop {
        match prove(options, store, zxid, work).await {
            Err(Ended::NotProved { why, again: true }) if copied.len() < options.server.len() => {
                warn!(%why, "not proved by what is there of the members: another one is asked");
                zxid = match copy.of_another(work, &mut copied).await {
                    Ok(later) => later.max(zxid),
                    // Who could not be asked may have what is missing.
                    Err(Ended::ForNow(others)) => return Err(Ended::ForNow(format!("{why}; {others}"))),
                    Err(ended) => return Err(ended),
                };
            }
            proved => break proved?,
        }
    };
    keep(options, store, (zxid, prune::now())).await?;
    Ok(proved)
}

/// Builds the tree, a second time where that is wanted, and says what was proved.
async fn prove(options: &Options, store: &Store, zxid: Zxid, work: &Work) -> Result<BackupReport, Ended> {
    let (identity, point) = (&options.archive.identity, Point::Zxid(zxid));
    let Built { mut tree, time, checked, base, .. } = build(options, store, point, work).await?;
    stays(store, identity, base.as_ref()).await?;
    let hash = tree_hash(&tree);
    let mut proved = BackupReport {
        zxid: format!("{zxid:#}"),
        time: time.map(iso_text),
        znodes: i64::try_from(tree.len()).unwrap_or(i64::MAX),
        digests: i64::try_from(checked).unwrap_or(i64::MAX),
        tree_hash: Some(hash.text().to_owned()),
        ..BackupReport::default()
    };
    info!(znodes = proved.znodes, digests = proved.digests, hash = proved.tree_hash, "the tree is built");
    if options.level >= WantedLevel::TwoWays {
        // One tree is in memory at a time.
        let first = First { hash, sums: Sums::of(&tree), base };
        if options.level >= WantedLevel::Server {
            proved.server = Some(trial::starts(&options.trial, &mut tree).await?);
        }
        drop(tree);
        match second(options, store, point, first, work).await? {
            Ok(way) => proved.second = Some(way),
            Err(why) => proved.no_second = Some(why),
        }
    }
    Ok(proved)
}

/// What is kept of the tree that was built first.
struct First {
    hash: Hash,
    sums: Sums,
    base: Option<BaseKey>,
}

/// Builds the tree by another way. That it is the same tree, and by which way; or why there is no other.
async fn second(
    options: &Options,
    store: &Store,
    point: Point,
    First { hash: expected, sums, base }: First,
    work: &Work,
) -> Result<Result<String, String>, Ended> {
    let failed = |error: anyhow::Error| Ended::ForNow(format!("while the tree was built a second time: {error:#}"));
    let collection = Collection::of(store, &options.archive.identity).await.map_err(|error| failed(error.into()))?;
    let told = |far: &str| info!(%far, "reading the archive a second time");
    let by = (point, base.as_ref());
    let (built, way) = match second_tree(&collection, by, &work.path("archive"), &told).await.map_err(failed)? {
        Second::Built(built, way) => (built, way),
        Second::None(why) => return Ok(Err(why)),
    };
    let hash = tree_hash(&built.tree);
    if hash == expected {
        info!(%way, "the tree is the same");
        return Ok(Ok(way));
    }
    let from = base.as_ref().map_or("the beginning of the log".to_owned(), |base| format!("base {:#}", base.zxid));
    let why = format!(
        "built {way}, the tree is another one (hash {}) than from {from} by all logs (hash {}), and no digest of the servers tells which is theirs: {}",
        hash.text(),
        expected.text(),
        differing(sums, built.tree)
    );
    Err(Ended::NotProved { why, again: false })
}

/// The first znodes that are not the same in both trees.
fn differing(mut first: Sums, mut second: Tree) -> String {
    first.sift(&mut second);
    // Each server has those of its own.
    let ours = |path: &[u8]| !is_config(path) && !is_statistics(path);
    let left = second.walk(b"").into_iter().map(|(path, _)| path).filter(|path| ours(path));
    let paths: Vec<String> = left.take(NAMED).map(|path| Text(shown(path)).to_string()).collect();
    if paths.is_empty() {
        "a znode or a session is missing in the second".to_owned()
    } else {
        format!("they differ in {}", paths.join(", "))
    }
}

/// A run of `prune` that began before the pin was there may have retired the base: what it was built from goes within the hour then.
async fn stays(store: &Store, identity: &str, base: Option<&BaseKey>) -> Result<(), Ended> {
    let Some(base) = base else { return Ok(()) };
    match bases::manifest(store, identity, base).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(Ended::ForNow(format!("base {:#} was retired meanwhile", base.zxid))),
        Err(error) => Err(Ended::ForNow(error.to_string())),
    }
}

/// A pin of what cannot be built keeps log for nobody. Credentials of members may not delete it.
async fn taken_back(store: &Store, options: &Options) -> String {
    let Options { archive, pin, .. } = options;
    match pins::take_back(store, &archive.identity, pin).await {
        Ok(()) => String::new(),
        Err(PinError::Store(error)) if error.kind == StoreErrorKind::Denied => format!(
            "; its pin stays, which these credentials may not delete: menagerie archive unpin {} --identity {} --name {pin}",
            store.target(),
            archive.identity
        ),
        Err(error) => format!("; its pin may still be there: {error}"),
    }
}

async fn build(options: &Options, store: &Store, point: Point, work: &Work) -> Result<Built, Ended> {
    let failed = |error: anyhow::Error| unbuilt(&error, options.at.is_none());
    let collection = Collection::of(store, &options.archive.identity).await.map_err(|error| failed(error.into()))?;
    let told = |far: &str| info!(%far, "reading the archive");
    tree_at(&collection, point, &work.path("archive"), &told).await.map_err(failed)
}

/// Why the tree is not there. Somebody may name a point that the archive never had, which says nothing against it; `now` it has to have.
fn unbuilt(error: &anyhow::Error, now: bool) -> Ended {
    let why = format!("{error:#}");
    if tree::may_pass(error) {
        return Ended::ForNow(why);
    }
    if tree::differs(error) || (now && tree::is_of_content(error)) {
        // What is committed is there or on its way: another disk's log may close the gap, or a base be made.
        return Ended::NotProved { why, again: now };
    }
    if now { Ended::ForNow(why) } else { Ended::ForGood(why) }
}

/// The zxid that is meant, once the archive has it.
async fn chosen(options: &Options, store: &Store, work: &Work) -> Result<Zxid, Ended> {
    let identity = &options.archive.identity;
    let point = match options.at {
        Some(At::Zxid(zxid)) => Point::Zxid(zxid),
        Some(At::Time(time)) => Point::Time(time.as_millisecond()),
        None => Point::Zxid(now(&options.server, identity).await?),
    };
    archived(store, identity, point).await?;
    match point {
        Point::Zxid(zxid) if options.at.is_none() => Ok(zxid),
        // Nothing is pinned that cannot be built: who may pin may not take it back. Of a time, only the tree tells which zxid it is.
        Point::Zxid(_) | Point::Time(_) => Ok(build(options, store, point, work).await?.tree.last()),
        Point::End => Err(for_good("the end is no point")),
    }
}

/// A transaction with which everything is committed that was acknowledged to clients before: what a server has applied once it has taken
/// a session of ours, which is a transaction as well.
async fn now(servers: &[String], identity: &str) -> Result<Zxid, Ended> {
    let mut silent = Vec::new();
    for server in servers {
        match asked(server, identity).await {
            Ok(asked) => return Ok(asked.zxid),
            Err(why) => silent.push(why),
        }
    }
    Err(Ended::ForNow(format!("which transaction now is, no member says: {}", silent.join("; "))))
}

/// What a server that serves has said.
pub(super) struct Asked {
    /// Which member it is.
    pub id: ServerId,
    /// The last transaction that it has applied.
    pub zxid: Zxid,
    /// In which epoch it serves.
    pub epoch: u64,
}

/// Asks a server for what it has applied, once it has taken a session of ours.
pub(super) async fn asked(server: &str, identity: &str) -> Result<Asked, String> {
    let (host, _) = address::split(server).ok_or_else(|| format!("{server} is no HOST:PORT"))?;
    let session = Session::with(&[server.to_owned()], None);
    session.refresh().await.map_err(|failure| match failure {
        Failure::Unknown(why) | Failure::Changed(why) | Failure::Refused(why) => why,
    })?;
    sleep(ROUND).await;
    let truth = client::member(host, client::PATIENCE).await.map_err(|error| format!("{host}: {error}"))?;
    if truth.disk.identity.as_deref() != Some(identity) {
        return Err(format!("{host} is a member of another ensemble"));
    }
    match truth.server {
        ServerState::Serving(serving) => Ok(Asked { id: truth.id, zxid: serving.zxid, epoch: serving.epoch }),
        _ => Err(format!("{host} does not serve")),
    }
}

/// Waits until a disk's log in the archive has what is at the point, and for a time something that is later.
async fn archived(store: &Store, identity: &str, point: Point) -> Result<(), Ended> {
    let (began, mut pause) = (Instant::now(), FIRST_PAUSE);
    loop {
        let end = chains::end(store, identity, &mut |what| warn!("{what}")).await;
        let end = end.map_err(|error| Ended::ForNow(error.to_string()))?;
        let there = end.is_some_and(|(last, latest)| match point {
            Point::Zxid(zxid) => last >= zxid,
            Point::Time(time) => latest > time,
            Point::End => true,
        });
        if there {
            return Ok(());
        }
        let end = end.map_or("is empty".to_owned(), |(last, time)| format!("ends at {last:#} ({})", iso_text(time)));
        let wanted = match point {
            Point::Zxid(zxid) => format!("{zxid:#}"),
            Point::Time(time) => format!("all before {}", iso_text(time)),
            Point::End => "anything".to_owned(),
        };
        let text = format!("the archive {end}, and does not have {wanted} yet");
        if began.elapsed() > PATIENCE {
            return Err(Ended::ForNow(format!("{text}: the ensemble's condition ContinuousArchiving says why")));
        }
        info!("{text}");
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;
    use crate::archive::collect::CollectError;

    #[test]
    fn a_point_that_an_archive_does_not_lead_to_counts_against_it_only_where_it_has_to() {
        let full = || CollectError::TooMuch { path: "/scratch".into() }.into();
        for (error, now, expected) in [
            (anyhow!("nothing shows that the snapshot is that tree"), true, "NotProved again"),
            (anyhow!("the files end before 0x5"), false, "ForGood"),
            (full(), true, "ForNow"),
            (full(), false, "ForGood"),
        ] {
            let ended = match unbuilt(&error, now) {
                Ended::ForGood(_) => "ForGood",
                Ended::ForNow(_) => "ForNow",
                Ended::NotProved { again: true, .. } => "NotProved again",
                Ended::NotProved { again: false, .. } => "NotProved",
            };
            assert_eq!(ended, expected, "{error}");
        }
    }
}
