//! `menagerie archive stat` and `menagerie archive prune`.

use clap::Args;
use serde::Serialize;

use crate::archive::bases::BaseError;
use crate::archive::catalogue;
use crate::archive::chain_check::{ends, facts};
use crate::archive::chains;
use crate::archive::command::{ArchiveOptions, about_it};
use crate::archive::key::SegmentKey;
use crate::archive::pins::{self, NamedPin};
use crate::archive::prune::{self, Decision, PruneError};
use crate::archive::pruner::{News, Pruner, Tally};
use crate::archive::reach::{self, Told};
use crate::archive::retention::{self, Catalogue, ChainLog, Pin, Wish};
use crate::archive::retention_view::{ChainLine, Followed, View};
use crate::archive::rolling::{self, Rolled};
use crate::archive::store::Store;
use crate::archive::which::{nothing, resolved, several};
use crate::cli::point::{PointArg, span};
use crate::cli::{CommandError, Exit, Meter, Output, Printer, print_message};
use crate::view::time::iso_text;
use zookeeper_files::disk::Point;
use zookeeper_files::ids::Zxid;

/// In milliseconds: nobody means to keep less.
const LEAST_WINDOW: i64 = 60 * 60 * 1000;

/// So many segments are read at once: each store reads one object after the other. A day of one a second takes a minute.
const READERS: usize = 16;

/// So many segments before and behind a time have to be in its order, or one roll-up.
const NEIGHBOURS: usize = 8;

#[derive(Args, Debug)]
pub(super) struct StatOptions {
    #[command(flatten)]
    archive: ArchiveOptions,
    /// How far back every point is to be kept, like 30d or 12h: why a base is kept and until when depends on it
    #[arg(long, value_name = "TIME", value_parser = window, default_value = "30d")]
    keep: i64,
}

#[derive(Args, Debug)]
pub(super) struct PruneOptions {
    #[command(flatten)]
    archive: ArchiveOptions,
    /// How far back every point is kept, like 30d or 12h
    #[arg(long, value_name = "TIME", value_parser = window)]
    keep: i64,
    /// A point that is kept in this run, whatever its age: a zxid or a time. `menagerie archive pin` names one for good
    #[arg(long, value_name = "POINT")]
    pin: Vec<PointArg>,
    /// Delete. Without it, the plan is only shown
    #[arg(long)]
    delete: bool,
}

fn window(text: &str) -> Result<i64, String> {
    match span(text)? {
        window if window >= LEAST_WINDOW => Ok(window),
        _ => Err(format!("{text}: keep an hour at least (m is minutes)")),
    }
}

async fn identities(store: &Store, options: &ArchiveOptions) -> Result<Vec<String>, CommandError> {
    let there = resolved(store, options).await?;
    // A folder without logs is none of an ensemble: the archive may be in it.
    let mut found = Vec::new();
    for identity in there {
        if !chains::chains(store, &identity).await?.is_empty() {
            found.push(identity);
        }
    }
    if found.is_empty() || chains::is_below_an_archive(store).await? {
        return Err(nothing(store, options).await?);
    }
    Ok(found)
}

/// The ensemble that is asked for, where only one can be meant.
pub(in crate::archive) async fn one(store: &Store, options: &ArchiveOptions) -> Result<String, CommandError> {
    let mut identities = identities(store, options).await?;
    match identities.pop() {
        Some(identity) if identities.is_empty() => Ok(identity),
        last => {
            identities.extend(last);
            let text = several(store, options, &identities).await?;
            Err(CommandError::Usage(text))
        }
    }
}

/// What is stored, and whether all of its bases can be read and are whole.
pub(super) async fn read(store: &Store, identity: &str) -> Result<(Catalogue, Exit), CommandError> {
    let (mut meter, mut exit) = (Meter::new(), Exit::Sound);
    let mut told = |told: catalogue::Told<'_>| match told {
        catalogue::Told::Listed(chain, count) => meter.draw(|| format!("{chain}: {count} segments listed")),
        catalogue::Told::Damaged(what) | catalogue::Told::Unread(what) => {
            print_message("damage", what);
            exit = Exit::Damage;
        }
    };
    let catalogue = catalogue::read(store, identity, &mut told).await?;
    drop(meter);
    Ok((catalogue, exit))
}

/// The last point to which the links lead, and whether anything on the way is damaged.
async fn last_point(
    stores: &[Store],
    identity: &str,
    catalogue: &Catalogue,
) -> Result<(Option<(Zxid, i64)>, bool), CommandError> {
    let starts = reach::starts(catalogue);
    let from = starts.iter().map(|start| start.zxid).min().unwrap_or_default();
    let (mut meter, mut damaged, mut runs) = (Meter::new(), false, Vec::new());
    for log in &catalogue.chains {
        let mut told = |told: Told<'_>| match told {
            Told::Read(count) => meter.draw(|| format!("{}: {count} segments read", log.chain)),
            Told::Damage(what) => {
                print_message("damage", what);
                damaged = true;
            }
        };
        runs.extend(reach::runs(stores, identity, log, from, &mut told).await?);
    }
    Ok((reach::last(&starts, &runs), damaged))
}

/// From which base on [`last_point`] has followed the links. Without any base, from the beginning on.
fn followed(catalogue: &Catalogue, last: Zxid) -> Followed {
    let starts = reach::starts(catalogue);
    let from = starts.iter().map(|start| start.zxid).min().unwrap_or_default();
    let whole = starts.iter().map(|start| start.end).filter(|end| *end <= last).min().unwrap_or_default();
    Followed { from, whole, last }
}

/// What is stored, and why.
pub(super) async fn stat(options: &StatOptions) -> Result<Exit, CommandError> {
    let store = Store::open(&options.archive.target)?;
    let stores = (0..READERS).map(|_| Store::open(&options.archive.target)).collect::<Result<Vec<_>, _>>()?;
    let mut to = Printer::new();
    let (mut exit, mut whole) = (Exit::Sound, Exit::Sound);
    for identity in identities(&store, &options.archive).await? {
        let mut damaged = |what: &str| {
            print_message("damage", what);
            exit = Exit::Damage;
        };
        let mut pins = pins::readable(&store, &identity, &mut damaged).await?;
        pins.retain(|pin| pin.counts(prune::now()));
        let names: Vec<String> = pins.iter().map(NamedPin::text).collect();
        let wish = Wish { window: options.keep, pins: pins.iter().map(NamedPin::pin).collect() };
        let about = about_it(&store, &identity, &mut damaged).await?;
        let (catalogue, read) = read(&store, &identity).await?;
        whole = whole.worse(read);
        let plan = retention::plan(&catalogue, &wish, prune::now());
        let mut lines = Vec::new();
        for log in &catalogue.chains {
            let [first, last] = [log.segments.first(), log.segments.last()];
            let (Some(first), Some(last)) = (first, last) else { continue };
            let key = |first| SegmentKey { chain: log.chain.clone(), first };
            let keys = [&key(first.first), &key(last.first)];
            let mut damaged = |what: &str| {
                print_message("damage", what);
                exit = Exit::Damage;
            };
            let [begin, end] = ends(&store, &identity, keys, &mut damaged).await?;
            lines.push(ChainLine::of(&identity, log, begin, end));
        }
        let (last, damaged) = last_point(&stores, &identity, &catalogue).await?;
        if last.is_none() || damaged {
            exit = Exit::Damage;
        }
        let followed = last.map(|(last, _)| followed(&catalogue, last));
        let view = View {
            identity: &identity,
            about: about.as_ref(),
            catalogue: &catalogue,
            plan: &plan,
            wish: &wish,
            pins: &names,
            followed,
        };
        view.ensemble(&lines, last, options.archive.output, &mut to)?;
        view.bases(options.archive.output, &mut to)?;
        view.pins(options.archive.output, &mut to)?;
        to.flush()?;
    }
    Ok(exit.worse(whole))
}

/// Shows what goes, or deletes it.
pub(super) async fn prune(options: &PruneOptions) -> Result<Exit, CommandError> {
    let store = Store::open(&options.archive.target)?;
    let identity = &one(&store, &options.archive).await?;
    // A name may be another ensemble's tomorrow: what is deleted is named by what never is.
    if options.delete && options.archive.identity.as_ref().is_some_and(|asked| asked != identity) {
        return Err(CommandError::Usage(format!("nothing is deleted by a name: give --identity {identity}")));
    }
    let mut to = Printer::new();
    let (store, now) = if options.delete {
        let (store, time) = prune::time(store, identity).await?;
        (store, time.map_err(PruneError::Skew)?)
    } else {
        (store, prune::now())
    };
    let (catalogue, mut exit) = read(&store, identity).await?;
    let mut damaged = |what: &str| {
        print_message("damage", what);
        exit = Exit::Damage;
    };
    let pins = pins(&store, identity, &catalogue, &options.pin, &mut damaged).await?;
    let wanted = (options.keep, pins, now);
    let decided = prune::decide(&store, identity, catalogue, wanted, options.delete, &mut damaged).await?;
    let Decision { catalogue, wish, named, over, plan, known: _, floor: _ } = &decided;
    let given = options.pin.iter().map(|pin| point_text(pin.0));
    let names: Vec<String> = given.chain(named.iter().map(NamedPin::text)).collect();
    let view = View { identity, about: None, catalogue, plan, wish, pins: &names, followed: None };
    view.bases(options.archive.output, &mut to)?;
    view.pins(options.archive.output, &mut to)?;
    view.cuts(options.archive.output, &mut to)?;
    for pin in over {
        print_message("note", &format!("pin {} is over: it keeps nothing", pin.text()));
    }
    if !options.delete {
        view.sum(options.archive.output, &mut to)?;
        to.flush()?;
        return Ok(exit);
    }
    to.flush()?;
    let mut meter = Meter::new();
    let mut tell = |news: News<'_>| match news {
        News::Progress(tally) => meter.draw(|| format!("{} objects deleted", tally.deleted)),
        News::Error(error) => print_message("error", &error.to_string()),
        News::Note(note) => print_message("note", &note),
    };
    let tally = Pruner::new(&store, identity, &mut tell).carry_out(&decided).await;
    let mut rolled = Rolled::default();
    // What cannot be deleted would only be there twice.
    if tally.is_complete() {
        let (what, when) = ((catalogue, plan), (now, rolling::LONGEST));
        rolled = rolling::roll_up(&store, identity, what, when, &mut tell).await?;
    }
    drop(meter);
    print_tally(identity, &tally, &rolled, options.archive.output, &mut to)?;
    to.flush()?;
    Ok(if tally.is_complete() { exit } else { Exit::Damage })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TallyLine<'a> {
    identity: &'a str,
    deleted: u64,
    refused: u64,
    failed: u64,
    left: u64,
    changed: u64,
    /// Segments that were rolled up.
    rolled_up: u64,
    /// Roll-ups that were made of them.
    roll_ups: u64,
    /// Segments that were deleted, since older roll-ups have them.
    rolled_deleted: u64,
    /// The same, which the store refused to delete.
    rolled_locked: u64,
    /// Disks of which no more was rolled up.
    halted: u64,
    /// Segments that are not rolled up or stay beside their roll-up, since they cannot be read or proved.
    unproved: u64,
}

fn print_tally(
    identity: &str,
    tally: &Tally,
    rolled: &Rolled,
    output: Output,
    to: &mut Printer,
) -> Result<(), CommandError> {
    let Tally { deleted, refused, failed, left, changed } = *tally;
    if output == Output::Json {
        let Rolled {
            made: roll_ups,
            segments: rolled_up,
            deleted: rolled_deleted,
            locked: rolled_locked,
            halted,
            unproved,
        } = *rolled;
        return Ok(to.json(&TallyLine {
            identity,
            deleted,
            refused,
            failed,
            left,
            changed,
            rolled_up,
            roll_ups,
            rolled_deleted,
            rolled_locked,
            halted,
            unproved,
        })?);
    }
    let rolled = if *rolled == Rolled::default() { String::new() } else { format!("{identity}: {rolled}\n") };
    let text = format!("{identity}: {tally}\n{rolled}");
    to.buffer.extend_from_slice(text.as_bytes());
    Ok(())
}

fn point_text(point: Point) -> String {
    match point {
        Point::Zxid(zxid) => format!("{zxid:#}"),
        Point::Time(time) => iso_text(time),
        Point::End => "end".to_owned(),
    }
}

/// What the pins are in zxids.
pub(super) async fn pins(
    store: &Store,
    identity: &str,
    catalogue: &Catalogue,
    points: &[PointArg],
    damaged: &mut dyn FnMut(&str),
) -> Result<Vec<Pin>, CommandError> {
    let mut pins = Vec::new();
    for point in points {
        pins.push(match point.0 {
            Point::Zxid(zxid) => Pin { from: zxid, to: zxid },
            Point::Time(time) => pin_at(store, identity, catalogue, time, damaged).await?,
            Point::End => {
                return Err(CommandError::Usage(
                    "end is no pin: the newest base and all log after it stay anyway".to_owned(),
                ));
            }
        });
    }
    Ok(pins)
}

/// All zxids that the last one of a time may be. A log that cannot be read where the time is says nothing: without it they are more.
async fn pin_at(
    store: &Store,
    identity: &str,
    catalogue: &Catalogue,
    time: i64,
    damaged: &mut dyn FnMut(&str),
) -> Result<Pin, CommandError> {
    let (mut from, mut to, mut unread) = (None::<Zxid>, Zxid(u64::MAX), String::new());
    for log in &catalogue.chains {
        match bounds(store, identity, log, time).await? {
            Ok((low, high)) => (from, to) = (from.max(low), to.min(high)),
            Err(what) => {
                damaged(&what);
                unread = format!("; the log of {} cannot be read there", log.chain);
            }
        }
    }
    let nothing = || CommandError::Usage(format!("{}: nothing is archived of before that{unread}", iso_text(time)));
    Ok(Pin { from: from.ok_or_else(nothing)?, to })
}

/// Between which zxids the last one of a time is in a log, as far as it tells; an error names what cannot be read.
async fn bounds(
    store: &Store,
    identity: &str,
    log: &ChainLog,
    time: i64,
) -> Result<Result<(Option<Zxid>, Zxid), String>, CommandError> {
    let facts = async |number: usize| {
        let key = SegmentKey { chain: log.chain.clone(), first: log.segments[number].first };
        facts(store, identity, &key).await
    };
    // All before `low` end before the time, and what begins at `high` or behind it does not.
    let (mut low, mut high) = (0, log.segments.len());
    while low < high {
        let middle = low + (high - low) / 2;
        match facts(middle).await? {
            Ok(facts) if facts.latest <= time => low = middle + 1,
            Ok(_) => high = middle,
            Err(what) => return Ok(Err(what)),
        }
    }
    let mut to = Zxid(u64::MAX);
    // It is only the place if time went on there: the clocks of leaders may differ.
    let neighbours = if log.chain.rolled { 1 } else { NEIGHBOURS };
    for number in low.saturating_sub(neighbours)..log.segments.len().min(low + neighbours) {
        let facts = match facts(number).await? {
            Ok(facts) => facts,
            Err(what) => return Ok(Err(what)),
        };
        if (facts.latest <= time) != (number < low) {
            let text = format!("{}: time goes back in the log of {} there; name a zxid", iso_text(time), log.chain);
            return Err(CommandError::Usage(text));
        }
        if number == low {
            to = facts.last;
        }
    }
    Ok(Ok((low.checked_sub(1).map(|before| log.segments[before].first), to)))
}

impl From<PruneError> for CommandError {
    fn from(error: PruneError) -> Self {
        match error {
            PruneError::Store(error) => error.into(),
            PruneError::Base(error) => error.into(),
            error => Self::Usage(error.to_string()),
        }
    }
}

impl From<BaseError> for CommandError {
    fn from(error: BaseError) -> Self {
        match error {
            BaseError::Store(error) => error.into(),
            BaseError::Io(error) => error.into(),
            damaged @ BaseError::Damaged { .. } => Self::Usage(damaged.to_string()),
        }
    }
}
