//! `menagerie archive pin` and `menagerie archive unpin`.

use clap::Args;

use super::chains;
use super::command::ArchiveOptions;
use super::pins::{self, NamedPin, PinError};
use super::prune;
use super::retention::{self, Wish};
use super::retention_command::{one, pins as points, read};
use super::store::Store;
use crate::cli::point::{PointArg, ago};
use crate::cli::{CommandError, Exit, print_message};
use crate::model::names::is_name;
use crate::view::time::iso_text;
use zookeeper_files::disk::Point;

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
    /// How long it keeps its point, like 30d or 12h; without it, until it is taken back
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
    ago(text).filter(|time| *time > 0).ok_or_else(|| format!("{text}: not a time like 30d, 12h or 1d12h"))
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
    let catalogue = read(&store, &identity).await?;
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
    println!("{identity}: pinned {}", pin.text());
    Ok(Exit::Sound)
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
    println!("{identity}: {} is no longer pinned; prune may delete what only it kept", options.name);
    Ok(Exit::Sound)
}
