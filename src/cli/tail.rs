//! `menagerie log tail`: the last transactions, and those to come.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::cli::log::{Form, Typesetter};
use crate::cli::{Exit, Limit, Printer, Stop, look, tell};
use zookeeper_files::disk::{CannotLook, LiveLog, Member, unless_purged};
use zookeeper_files::ids::Zxid;
use zookeeper_files::log::Event;

/// Options of `menagerie log tail`.
#[derive(Args, Debug)]
pub(crate) struct Tail {
    /// A log or a member's folder
    #[arg(value_name = "PATH")]
    path: String,
    /// Begin with the last so many transactions
    #[arg(short = 'n', long, default_value_t = 10, value_name = "COUNT")]
    lines: usize,
    /// Go on as the server writes, into the next log too, until it is interrupted
    #[arg(short, long)]
    follow: bool,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
    /// Print so many bytes of data for people
    #[arg(long, default_value_t = 200, value_name = "BYTES")]
    data: usize,
    #[command(flatten)]
    limit: Limit,
}

struct Place {
    path: PathBuf,
    /// The zxid in its name.
    name: Option<Zxid>,
    offset: u64,
    last: Option<Zxid>,
}

pub(crate) fn tail(options: &Tail) -> Result<Exit, Stop> {
    let member = look(std::slice::from_ref(&options.path), options.limit)?.remove(0);
    if member.logs.is_empty() {
        return Err(Stop::Usage(format!("{}: no log here", options.path)));
    }
    let (mut form, mut to) = (Typesetter::new(options.output, options.data), Printer::new());
    let (mut place, exit) = last_lines(options, &member, &mut form, &mut to)?;
    if !options.follow {
        return Ok(exit);
    }
    loop {
        std::thread::sleep(Duration::from_millis(200));
        more(&mut place, options.limit, &mut form, &mut to)?;
        let logs = Member::look(&options.path)?.logs;
        // The one at hand may be purged by now: what comes after it is told by the names.
        let next = logs.into_iter().find(|file| file.zxid > place.name);
        if let Some(next) = next {
            // All of the old one was read before the new one is.
            more(&mut place, options.limit, &mut form, &mut to)?;
            place = Place { path: next.path, name: next.zxid, offset: 0, last: place.last };
        }
    }
}

/// The last transactions: of the newest log, and of those before it as long as there are too few.
fn last_lines(options: &Tail, member: &Member, form: &mut Typesetter, to: &mut Printer) -> Result<(Place, Exit), Stop> {
    let mut exit = Exit::Sound;
    let mut lines: VecDeque<Vec<u8>> = VecDeque::new();
    let mut place: Option<Place> = None;
    for file in member.logs.iter().rev() {
        let Some(mut log) = member.open(&file.path)? else { continue };
        let missing = options.lines - lines.len();
        let mut earlier: VecDeque<Vec<u8>> = VecDeque::new();
        let mut line = Printer::new();
        while let Some(event) = log.next().map_err(|error| failed(&file.path, error))? {
            match event {
                Event::Record(record) if missing > 0 => {
                    form.print(&record, &mut line)?;
                    let full = earlier.len() == missing;
                    let mut kept = if full { earlier.pop_front().unwrap_or_default() } else { Vec::new() };
                    kept.clear();
                    kept.append(&mut line.buffer);
                    earlier.push_back(kept);
                }
                Event::Record(_) => {}
                Event::Damage(damage) if damage.fault.is_unfinished() => {}
                Event::Damage(damage) => {
                    let why = member.cover().of_damage(&damage);
                    let (severity, why) = why.map_or(("damage", String::new()), |why| ("notice", format!("; {why}")));
                    exit = if severity == "damage" { Exit::Damage } else { exit };
                    tell(severity, &format!("{}: {damage}{why}", file.path.display()));
                }
            }
        }
        earlier.append(&mut lines);
        lines = earlier;
        let offset = log.end().unwrap_or_default().offset;
        let at = place.get_or_insert_with(|| Place { path: file.path.clone(), name: file.zxid, offset, last: None });
        at.last = at.last.or(log.last());
        if lines.len() >= options.lines && at.last.is_some() {
            break;
        }
    }
    for line in &lines {
        to.buffer.extend_from_slice(line);
    }
    to.flush()?;
    match (place, member.refreshed()?) {
        (Some(place), _) => Ok((place, exit)),
        (None, Some(now)) if !now.logs.is_empty() => last_lines(options, &now, form, to),
        (None, _) => Err(Stop::Usage(format!("{}: its logs were purged before they could be read", options.path))),
    }
}

fn failed(path: &Path, source: std::io::Error) -> CannotLook {
    CannotLook::Io { path: path.to_owned(), source }
}

fn more(place: &mut Place, limit: Limit, form: &mut Typesetter, to: &mut Printer) -> Result<(), Stop> {
    let resumed = LiveLog::resume(&place.path, place.offset, place.last, limit.max_record);
    let Some(mut log) = unless_purged(resumed)? else { return Ok(()) };
    if log.length() < place.offset {
        return Err(CannotLook::Changed(place.path.clone()).into());
    }
    loop {
        match log.next().map_err(|error| failed(&place.path, error))? {
            Some(Event::Record(record)) => {
                form.print(&record, to)?;
                place.offset = record.end();
                place.last = Some(record.header.zxid);
            }
            // Half of a record is there: the other half comes.
            Some(Event::Damage(damage)) if damage.fault.is_unfinished() => break,
            Some(Event::Damage(damage)) => {
                tell("damage", &format!("{}: {damage}", place.path.display()));
                // Told once.
                place.offset = place.offset.max(damage.offset + damage.length);
            }
            None => break,
        }
    }
    Ok(to.flush()?)
}
