//! `menagerie archive`: what is in an archive, whether it is whole, and its logs as files again.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Args, Subcommand};
use serde::Serialize;
use tokio::runtime;

use crate::archive::about::About;
use crate::archive::access::{self, Environment};
use crate::archive::base_command;
use crate::archive::chain_check::{Check, Kept, Place, ends};
use crate::archive::chains;
use crate::archive::fetch_command::{self, FetchOptions};
use crate::archive::key::{SegmentKey, is_identity};
use crate::archive::pin_command::{self, PinOptions, UnpinOptions};
use crate::archive::pins::{self, NamedPin};
use crate::archive::plans_command::{self, PlansOptions};
use crate::archive::retention_command::{self, PruneOptions, StatOptions};
use crate::archive::segment::Segment;
use crate::archive::shipper::ShipError;
use crate::archive::store::{Store, StoreErrorKind};
use crate::archive::target::Target;
use crate::archive::which::{ensemble, nothing, resolved};
use crate::cli::{CommandError, Exit, Output, Printer, finish, print_message};
use crate::view::time::iso_text;

/// List, verify and fetch archives.
///
/// An archive is `file:///FOLDER`, `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `az://ACCOUNT/CONTAINER/PREFIX`. For S3, the environment gives the credentials and where it is:
/// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, and `AWS_ENDPOINT_URL` and `AWS_ALLOW_HTTP=true` where it is not
/// Amazon's. `AWS_CA_BUNDLE` names CAs that are trusted as well, `HTTPS_PROXY` a proxy. For Google Cloud Storage
/// `GOOGLE_SERVICE_ACCOUNT` names a file with the JSON key of a service account; for Azure `AZURE_STORAGE_ACCOUNT_KEY` is an access key. `MENAGERIE_ARCHIVE_KEYS` names a file with the keys of an archive that members encrypt, one a line. An archive holds every secret that was ever stored in its ensemble.
/// Exit codes: 0 whole, 1 damage found, 2 the archive could not be read.
#[derive(Args, Debug)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the ensembles in an archive: for each disk from where to where its log is archived, and the bases
    #[command(after_help = "Examples:\n  menagerie archive list s3://backups/zookeeper\n  \
        menagerie archive list file:///archive --output json")]
    List(ArchiveOptions),
    /// Read every segment and base, and compare hashes, places in the chain, transactions and snapshots with what they say of
    /// themselves
    #[command(after_help = "Examples:\n  menagerie archive verify s3://backups/zookeeper")]
    Verify(ArchiveOptions),
    /// Write the archived logs and bases into two folders for each disk, for `menagerie log`, `snapshot` and `index`
    #[command(after_help = "Examples:\n  menagerie archive fetch s3://backups/zookeeper --to /var/tmp/zk\n  \
        menagerie log dump /var/tmp/zk/1.0f3a5c7e9b1d2f40")]
    Fetch(FetchOptions),
    /// Show what is stored, which points can be built from it, and why each base is kept and until when
    #[command(after_help = "Examples:\n  menagerie archive stat s3://backups/zookeeper --keep 30d")]
    Stat(StatOptions),
    /// Show what is older than is to be kept, and with --delete, delete it
    ///
    /// Every point of the window and every pin can be built before, while and after it runs. A base goes in two runs: the first deletes its
    /// manifest, one that is an hour later or more the rest and the log that nothing needs. The credentials need the rights to put, get,
    /// list and delete; those of the members are better without the last.
    /// Exit codes: 0 done, 1 something is damaged or could not be deleted, 2 the archive could not be read, or nothing may be deleted.
    #[command(after_help = "Examples:\n  menagerie archive prune s3://backups/zookeeper --keep 30d\n  \
        menagerie archive prune s3://backups/zookeeper --keep 30d --pin 2026-03-01T12:00:00Z --delete")]
    Prune(PruneOptions),
    /// Name a point, so that prune keeps what it needs until the name is taken back
    #[command(
        after_help = "Examples:\n  menagerie archive pin s3://backups/zookeeper --at end --name before-upgrade\n  \
        menagerie archive pin s3://backups/zookeeper --at 2026-03-01T12:00:00Z --name march"
    )]
    Pin(PinOptions),
    /// Take the name of a point back
    Unpin(UnpinOptions),
    /// List and delete the stored plans of restores, which nothing else deletes
    Plans(PlansOptions),
}

#[derive(Args, Debug)]
pub(super) struct ArchiveOptions {
    /// The archive: `file:///FOLDER`, `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `az://ACCOUNT/CONTAINER/PREFIX`
    #[arg(value_name = "ARCHIVE")]
    pub(super) target: Target,
    /// Only this ensemble: its identity (`status.identity` of its `ZooKeeperEnsemble`) or the beginning of it, its name, or
    /// NAMESPACE/NAME
    #[arg(long, value_name = "ENSEMBLE", value_parser = ensemble)]
    pub(super) identity: Option<String>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub(super) output: Output,
}

/// Parses an identity.
pub(crate) fn identity(text: &str) -> Result<String, String> {
    let known = is_identity(text);
    known.then(|| text.to_owned()).ok_or_else(|| "an identity has small letters, digits and '-'".to_owned())
}

/// Runs the command and returns the exit code.
pub fn main(options: Options) -> i32 {
    let (name, ran) = match options.command {
        Command::List(options) => ("archive list", run(list(&options))),
        Command::Verify(options) => ("archive verify", run(verify(&options))),
        Command::Fetch(options) => ("archive fetch", run(fetch_command::fetch(&options))),
        Command::Stat(options) => ("archive stat", run(retention_command::stat(&options))),
        Command::Prune(options) => ("archive prune", run(retention_command::prune(&options))),
        Command::Pin(options) => ("archive pin", run(pin_command::pin(&options))),
        Command::Unpin(options) => ("archive unpin", run(pin_command::unpin(&options))),
        Command::Plans(options) => (options.name(), run(plans_command::plans(&options))),
    };
    finish(name, ran)
}

fn run(work: impl Future<Output = Result<Exit, CommandError>>) -> Result<Exit, CommandError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(CommandError::Output)?;
    runtime.block_on(work)
}

/// The chains that are asked for.
pub(super) async fn places(store: &Store, options: &ArchiveOptions) -> Result<Vec<Place>, CommandError> {
    let identities = resolved(store, options).await?;
    let mut places = Vec::new();
    for identity in identities {
        for chain in chains::chains(store, &identity).await? {
            let segments = chains::segments(store, &identity, &chain).await?;
            places.push(Place { identity: identity.clone(), chain, segments });
        }
    }
    places.retain(|place| !place.segments.is_empty());
    // Roll-ups before what is left of their segments: what is missing there may be in them.
    places.sort_by_key(|place| {
        (place.identity.clone(), place.chain.member, place.chain.disk.clone(), !place.chain.rolled)
    });
    if places.is_empty() {
        return Err(nothing(store, options).await?);
    }
    Ok(places)
}

/// Whose history it is, if that can be read. `damaged` hears of it if not.
pub(super) async fn about_it(
    store: &Store,
    identity: &str,
    damaged: &mut dyn FnMut(&str),
) -> Result<Option<About>, CommandError> {
    match About::read(store, identity).await {
        Err(error) if error.is_of_one_object() => {
            damaged(&error.to_string());
            Ok(None)
        }
        read => Ok(read?),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChainLine<'a> {
    identity: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ensemble: Option<&'a str>,
    member: u32,
    disk: String,
    /// Whether these are the roll-ups of that disk.
    rolled: bool,
    segments: usize,
    first: String,
    /// None where the segment cannot be read.
    last: Option<String>,
    earliest: Option<String>,
    latest: Option<String>,
}

async fn list(options: &ArchiveOptions) -> Result<Exit, CommandError> {
    let store = Store::open(&options.target)?;
    let mut to = Printer::new();
    let mut above: Option<String> = None;
    let mut about = None;
    let (mut exit, mut bases) = (Exit::Sound, Exit::Sound);
    let mut damaged = |what: &str| {
        print_message("damage", what);
        exit = Exit::Damage;
    };
    for place in places(&store, options).await? {
        if above.as_ref().is_some_and(|above| *above != place.identity) {
            bases = bases.worse(list_bases(&store, above.take(), options.output, &mut to).await?);
        }
        let (Some(first), Some(last)) = (place.segments.first(), place.segments.last()) else { continue };
        if above.is_none() {
            about = about_it(&store, &place.identity, &mut damaged).await?;
        }
        let [begin, end] = ends(&store, &place.identity, [first, last], &mut damaged).await?;
        let line = ChainLine {
            identity: &place.identity,
            namespace: about.as_ref().map(|about| about.namespace.as_str()),
            ensemble: about.as_ref().map(|about| about.ensemble.as_str()),
            member: place.chain.member.0,
            disk: place.chain.disk.to_string(),
            rolled: place.chain.rolled,
            segments: place.segments.len(),
            first: format!("{:#}", first.first),
            last: end.as_ref().map(|facts| format!("{:#}", facts.last)),
            earliest: begin.as_ref().map(|facts| iso_text(facts.earliest)),
            latest: end.as_ref().map(|facts| iso_text(facts.latest)),
        };
        match options.output {
            Output::Json => to.json(&line)?,
            Output::Human => {
                if above.is_none() {
                    let called = about.as_ref().map(|about| format!(" ({about})")).unwrap_or_default();
                    to.buffer.extend_from_slice(format!("ensemble {}{called}\n", place.identity).as_bytes());
                }
                let ChainLine { segments, first, .. } = line;
                let told = |text: Option<String>| text.unwrap_or_else(|| "?".to_owned());
                let [last, earliest, latest] = [line.last, line.earliest, line.latest].map(told);
                let text =
                    format!("  {:<26} {segments:>7} segments  {first} {earliest}  to  {last} {latest}\n", place.chain);
                to.buffer.extend_from_slice(text.as_bytes());
            }
        }
        above = Some(place.identity);
    }
    bases = bases.worse(list_bases(&store, above, options.output, &mut to).await?);
    to.flush()?;
    Ok(exit.worse(bases))
}

async fn list_bases(
    store: &Store,
    identity: Option<String>,
    output: Output,
    to: &mut Printer,
) -> Result<Exit, CommandError> {
    match identity {
        Some(identity) => base_command::list(store, &identity, output, to).await,
        None => Ok(Exit::Sound),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerifiedLine<'a> {
    identity: &'a str,
    member: u32,
    disk: String,
    /// Whether these are the roll-ups of that disk.
    rolled: bool,
    whole: bool,
    segments: usize,
    transactions: u64,
    /// Where it cannot be proved that nothing is missing.
    gaps: Vec<String>,
    /// Where retention has deleted what a base has.
    pruned: Vec<String>,
    damage: Vec<String>,
}

async fn verify(options: &ArchiveOptions) -> Result<Exit, CommandError> {
    let store = Store::open(&options.target)?;
    let mut to = Printer::new();
    let mut exit = Exit::Sound;
    let places = places(&store, options).await?;
    let kept = kept(&store, &places).await?;
    for disk in disks(&places) {
        let mut transactions = vec![0; disk.len()];
        let mut take = |number: usize, _: &SegmentKey, segment: &Segment| {
            transactions[number] += segment.facts.count;
            Ok(())
        };
        let kept = disk.first().and_then(|place| kept.get(&place.identity));
        let checks = Check::of_disk(&store, kept, disk, &mut take).await?;
        for ((place, check), transactions) in disk.iter().zip(checks).zip(transactions) {
            let line = verified(place, check, transactions);
            if !line.whole {
                exit = Exit::Damage;
            }
            verified_line(&line, place, options.output, &mut to)?;
            to.flush()?;
        }
    }
    let identities: BTreeSet<&String> = places.iter().map(|place| &place.identity).collect();
    for identity in identities {
        if base_command::verify(&store, identity, options.output, &mut to).await? == Exit::Damage {
            exit = Exit::Damage;
        }
    }
    to.flush()?;
    Ok(exit)
}

/// The roll-ups of a disk with what is left of their segments.
pub(super) fn disks(places: &[Place]) -> impl Iterator<Item = &[Place]> {
    places.chunk_by(|one, next| one.identity == next.identity && one.chain.is_of_the_disk_of(&next.chain))
}

fn verified_line(line: &VerifiedLine<'_>, place: &Place, output: Output, to: &mut Printer) -> Result<(), CommandError> {
    match output {
        Output::Json => to.json(line)?,
        Output::Human => {
            for (kind, all) in [("damage", &line.damage), ("gap", &line.gaps), ("pruned", &line.pruned)] {
                for text in all {
                    print_message(kind, text);
                }
            }
            let state = if line.whole { "whole" } else { "DAMAGED" };
            let text = format!(
                "{}/{}: {state}: {} transactions in {} segments, {} gaps\n",
                place.identity,
                place.chain,
                line.transactions,
                line.segments,
                line.gaps.len()
            );
            to.buffer.extend_from_slice(text.as_bytes());
        }
    }
    Ok(())
}

/// For each ensemble what log is kept for.
pub(super) async fn kept(store: &Store, places: &[Place]) -> Result<BTreeMap<String, Kept>, CommandError> {
    let mut kept = BTreeMap::new();
    for Place { identity, .. } in places {
        if kept.contains_key(identity) {
            continue;
        }
        let bases = base_command::names(store, identity).await?;
        // What one keeps that cannot be read is not known: what is missing for its sake is called lost.
        let pins = pins::readable(store, identity, &mut |what| print_message("note", what)).await?;
        let pins = pins.iter().map(NamedPin::pin).collect();
        kept.insert(identity.clone(), Kept { bases, pins });
    }
    Ok(kept)
}

fn verified(place: &Place, check: Check, transactions: u64) -> VerifiedLine<'_> {
    VerifiedLine {
        identity: &place.identity,
        member: place.chain.member.0,
        disk: place.chain.disk.to_string(),
        rolled: place.chain.rolled,
        whole: check.damage.is_empty(),
        segments: place.segments.len(),
        transactions,
        gaps: check.gaps,
        pruned: check.pruned,
        damage: check.damage,
    }
}

impl From<crate::archive::store::StoreError> for CommandError {
    fn from(error: crate::archive::store::StoreError) -> Self {
        let (kind, words) = (error.kind, error.to_string());
        let hint = hint(kind, &access::environment(&words));
        // A store's own sentence may end as one.
        let words = if hint.is_empty() { words.as_str() } else { words.trim_end_matches('.') };
        Self::Usage(format!("{words}{hint}"))
    }
}

/// What may be wrong with the environment. Without keys in it, the library asks the machine that it takes itself to run on.
fn hint(kind: StoreErrorKind, environment: &Environment) -> String {
    let Environment { keyed, unset, denied, missing } = environment;
    let hint = match kind {
        StoreErrorKind::Denied | StoreErrorKind::NoCredentials | StoreErrorKind::Unavailable if keyed.is_empty() => {
            unset
        }
        StoreErrorKind::Denied => denied,
        StoreErrorKind::Missing | StoreErrorKind::NoBucket => missing,
        StoreErrorKind::NoCredentials => ". It comes from NAME of the environment",
        StoreErrorKind::NotImplemented
        | StoreErrorKind::NoKey
        | StoreErrorKind::NotSealed
        | StoreErrorKind::Changed
        | StoreErrorKind::TooLarge
        | StoreErrorKind::NoCa
        | StoreErrorKind::NoAddress
        | StoreErrorKind::Unavailable => "",
    };
    hint.replace("NAME", keyed)
}

impl From<ShipError> for CommandError {
    fn from(error: ShipError) -> Self {
        match error {
            ShipError::Store(error) => error.into(),
            error => Self::Usage(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_set_no_keys_for_s3_is_told_which_variables_there_are() {
        let unset = |words: &str| Environment { keyed: "", ..access::environment(words) };
        for kind in [StoreErrorKind::Unavailable, StoreErrorKind::Denied] {
            let told = hint(kind, &unset("cannot list s3://b"));
            for name in
                ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ALLOW_HTTP"]
            {
                assert!(told.contains(name), "{name}: {told}");
            }
            assert!(hint(kind, &unset("cannot list gs://b")).contains("GOOGLE_SERVICE_ACCOUNT"));
            assert!(
                !hint(kind, &access::environment("cannot list file:///b")).contains("AWS_REGION"),
                "a folder needs none"
            );
        }
        let keyed = Environment { keyed: "AWS_ACCESS_KEY_ID", ..access::environment("s3://b") };
        assert_eq!(hint(StoreErrorKind::Unavailable, &keyed), "", "the store's own words say it");
        let keyed = Environment { keyed: "AZURE_STORAGE_SAS_TOKEN", ..access::environment("az://a/b") };
        assert!(hint(StoreErrorKind::Denied, &keyed).contains("Is AZURE_STORAGE_SAS_TOKEN right"));
        assert!(hint(StoreErrorKind::NoCredentials, &keyed).contains("AZURE_STORAGE_SAS_TOKEN of the environment"));
    }
}
