//! `menagerie archive pin` and `menagerie archive unpin`.

use std::io::{self, Write as _};

use clap::Args;
use serde::Serialize;

use super::chain_check::facts;
use super::chains;
use super::command::ArchiveOptions;
use super::key::SegmentKey;
use super::pins::{self, NamedPin, PinError};
use super::prune;
use super::retention::{self, Catalogue, Wish};
use super::retention_command::{one, pins as points, read};
use super::store::Store;
use crate::cli::point::{PointArg, span};
use crate::cli::{CommandError, Exit, Output, Printer, print_message};
use crate::model::names::is_name;
use crate::view::time::iso_text;
use zookeeper_files::disk::Point;
use zookeeper_files::ids::Zxid;

/// So many names are named in the place of one that there is not.
const NEAR: usize = 5;

#[derive(Args, Debug)]
pub(super) struct PinOptions {
    #[command(flatten)]
    archive: ArchiveOptions,
    /// The point: a zxid, a time, or `end`, the last transaction that is archived now
    #[arg(long, value_name = "POINT")]
    at: PointArg,
    /// Its name: small letters, digits, '-' and '.'
    #[arg(long, value_parser = name)]
    name: String,
    /// How long it keeps its point, like 30d, 12h or 1h30m; without it, until it is taken back
    #[arg(long = "for", value_name = "TIME", value_parser = long)]
    time: Option<i64>,
}

#[derive(Args, Debug)]
pub(super) struct UnpinOptions {
    #[command(flatten)]
    archive: ArchiveOptions,
    /// The name of the pin
    #[arg(long, value_parser = name)]
    name: String,
}

fn long(text: &str) -> Result<i64, String> {
    match span(text)? {
        0 => Err(format!("{text}: it would end at once")),
        time => Ok(time),
    }
}

fn name(text: &str) -> Result<String, String> {
    let known = is_name(text);
    known.then(|| text.to_owned()).ok_or_else(|| {
        "a name has small letters, digits, '-' and '.', and begins and ends with none of the last two".to_owned()
    })
}

impl From<PinError> for CommandError {
    fn from(error: PinError) -> Self {
        Self::Usage(error.to_string())
    }
}

/// Names a point.
pub(super) async fn pin(options: &PinOptions) -> Result<Exit, CommandError> {
    let store = Store::open(&options.archive.target)?;
    let identity = one(&store, &options.archive).await?;
    let end = chains::end(&store, &identity, &mut |what| print_message("damage", what)).await?;
    let nothing = || CommandError::Usage(format!("{} has no archived log of {identity}", store.target()));
    let (end, latest) = end.ok_or_else(nothing)?;
    let at = match options.at.0 {
        Point::End => PointArg(Point::Zxid(end)),
        Point::Zxid(zxid) if zxid > end => {
            return Err(CommandError::Usage(format!("{zxid:#} is not archived: the archive ends at {end:#}")));
        }
        // What belongs before it may still come.
        Point::Time(time) if time >= latest => {
            let text = format!(
                "nothing later is archived: the archive ends at {end:#} ({}); name that zxid",
                iso_text(latest)
            );
            return Err(CommandError::Usage(text));
        }
        _ => options.at,
    };
    let (catalogue, _told) = read(&store, &identity).await?;
    if let Point::Zxid(zxid) = at.0 {
        let begin = catalogue.chains.iter().filter_map(|log| Some(log.segments.first()?.first)).min();
        let whole = catalogue.oldest_whole().map(|base| base.key.zxid);
        // An exact base is a point of its own, without any log.
        let begin = begin.into_iter().chain(whole).min().unwrap_or(end);
        if zxid < begin {
            return Err(CommandError::Usage(format!("{zxid:#} is not archived: the archive begins at {begin:#}")));
        }
        if !is_in_a_chain(&store, &identity, &catalogue, zxid).await? {
            return Err(CommandError::Usage(format!(
                "{zxid:#} is not archived: no log has it, and no base is of it (the archive begins at {begin:#} and ends at {end:#})"
            )));
        }
    }
    let mut damaged = |what: &str| print_message("damage", what);
    let found = points(&store, &identity, &catalogue, &[at], &mut damaged).await?;
    let Some(&found) = found.first() else { return Err(CommandError::Usage("no point was found".to_owned())) };
    let now = prune::now();
    let pin = NamedPin::new(&options.name, found, now).until(options.time.map(|time| now.saturating_add(time)));
    pins::keep(&store, &identity, &pin).await?;
    let wish = Wish { window: 0, pins: vec![found] };
    if retention::plan(&catalogue, &wish, prune::now()).pinned.iter().all(Option::is_none) {
        let text = "no base that is relied on is before it: all log up to it stays, and it can be built if that begins with the ensemble (menagerie archive stat)";
        print_message("note", text);
    }
    match options.archive.output {
        Output::Human => writeln!(io::stdout(), "{identity}: pinned {}", pin.text())?,
        Output::Json => {
            let (name, pinned) = (pin.name.as_str(), true);
            let [from, to] = [pin.from, pin.to].map(|zxid| Some(format!("{zxid:#}")));
            let until = pin.until.map(iso_text);
            print(&PinLine { identity: &identity, name, pinned, from, to, until })?;
        }
    }
    Ok(Exit::Sound)
}

/// A point that has its name, or has it no longer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PinLine<'a> {
    identity: &'a str,
    name: &'a str,
    pinned: bool,
    /// The first zxid that it may mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// The last one: the same, unless a time was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

fn print(line: &PinLine<'_>) -> io::Result<()> {
    let mut to = Printer::new();
    to.json(line)?;
    to.flush()
}

/// Whether the segment of any chain that may have a zxid goes as far, or a base is of it. Of a segment that cannot be read that is not known.
async fn is_in_a_chain(store: &Store, identity: &str, catalogue: &Catalogue, zxid: Zxid) -> Result<bool, CommandError> {
    if catalogue.bases.iter().any(|base| base.key.zxid == zxid) {
        return Ok(true);
    }
    for log in &catalogue.chains {
        let behind = log.segments.partition_point(|segment| segment.first <= zxid);
        let Some(segment) = behind.checked_sub(1).and_then(|number| log.segments.get(number)) else { continue };
        let key = SegmentKey { chain: log.chain.clone(), first: segment.first };
        match facts(store, identity, &key).await? {
            Ok(facts) if facts.last < zxid => {}
            Ok(_) | Err(_) => return Ok(true),
        }
    }
    Ok(false)
}

/// Takes a name back.
pub(super) async fn unpin(options: &UnpinOptions) -> Result<Exit, CommandError> {
    let store = Store::open(&options.archive.target)?;
    let identity = one(&store, &options.archive).await?;
    match pins::take_back(&store, &identity, &options.name).await {
        // Those of backups have a uid behind the name that people know.
        Err(error @ PinError::Missing(_)) => {
            let near = |pin: &NamedPin| pin.name.starts_with(&options.name).then(|| pin.name.clone());
            let near: Vec<String> = pins::all(&store, &identity).await?.iter().filter_map(near).take(NEAR).collect();
            let near = if near.is_empty() { String::new() } else { format!("; it has {}", near.join(", ")) };
            return Err(CommandError::Usage(format!("{error}{near}")));
        }
        taken => taken?,
    }
    let name = &options.name;
    match options.archive.output {
        Output::Human => {
            writeln!(io::stdout(), "{identity}: {name} is no longer pinned; prune may delete what only it kept")?;
        }
        Output::Json => {
            print(&PinLine { identity: &identity, name, pinned: false, from: None, to: None, until: None })?;
        }
    }
    Ok(Exit::Sound)
}
