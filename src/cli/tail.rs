//! `menagerie log tail`: the last transactions, and those to come.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::log::{Form, Typesetter, is_unfinished};
use crate::cli::{Exit, Printer, Stop};
use crate::files::{CannotLook, Member, open_log};
use crate::log::{Event, HEADER_LENGTH, LogReader};
use crate::model::ids::Zxid;

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
}

struct Place {
    path: PathBuf,
    offset: u64,
    last: Option<Zxid>,
}

pub(crate) fn tail(options: &Tail) -> Result<Exit, Stop> {
    let member = Member::look(&options.path)?;
    let Some(newest) = member.logs.last() else { return Err(Stop::Usage(format!("{}: no log here", options.path))) };
    let (mut form, mut to) = (Typesetter::new(options.output, options.data), Printer::new());
    let mut place = Place { path: newest.path.clone(), offset: 0, last: None };
    let exit = last_lines(options.lines, &mut place, &mut form, &mut to)?;
    if !options.follow {
        return Ok(exit);
    }
    loop {
        std::thread::sleep(Duration::from_millis(200));
        more(&mut place, &mut form, &mut to)?;
        let logs = Member::look(&options.path)?.logs;
        let at = logs.iter().position(|file| file.path == place.path);
        if let Some(next) = at.and_then(|at| logs.get(at + 1)) {
            // All of the old one was read before the new one is.
            more(&mut place, &mut form, &mut to)?;
            place = Place { path: next.path.clone(), offset: 0, last: place.last };
        }
    }
}

fn last_lines(count: usize, place: &mut Place, form: &mut Typesetter, to: &mut Printer) -> Result<Exit, Stop> {
    let (mut reader, _) = open_log(&place.path)?;
    let failed = |source| CannotLook::Io { path: place.path.clone(), source };
    let mut lines: VecDeque<Vec<u8>> = VecDeque::new();
    let (mut exit, mut line) = (Exit::Sound, Printer::new());
    while let Some(event) = reader.next().map_err(failed)? {
        match event {
            Event::Record(record) if count > 0 => {
                form.print(&record, &mut line)?;
                let mut kept = if lines.len() == count { lines.pop_front().unwrap_or_default() } else { Vec::new() };
                kept.clear();
                kept.append(&mut line.buffer);
                lines.push_back(kept);
            }
            Event::Record(_) => {}
            Event::Damage(damage) if is_unfinished(&damage.fault) => {}
            Event::Damage(damage) => {
                exit = Exit::Damage;
                eprintln!("damage: {}: {damage}", place.path.display());
            }
        }
    }
    place.last = reader.last();
    place.offset = reader.end().unwrap_or_default().offset;
    for line in &lines {
        to.buffer.extend_from_slice(line);
    }
    to.flush()?;
    Ok(exit)
}

fn more(place: &mut Place, form: &mut Typesetter, to: &mut Printer) -> Result<(), Stop> {
    let failed = |source| CannotLook::Io { path: place.path.clone(), source };
    let mut file = File::open(&place.path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    if length < place.offset {
        return Err(CannotLook::Changed(place.path.clone()).into());
    }
    let begin = place.offset.max(HEADER_LENGTH as u64);
    file.seek(SeekFrom::Start(begin)).map_err(failed)?;
    let mut reader = LogReader::resume(file, begin, place.last);
    let mut offset = begin;
    loop {
        match reader.next().map_err(failed)? {
            Some(Event::Record(record)) => {
                form.print(&record, to)?;
                offset = record.end();
            }
            // Half of a record is there: the other half comes.
            Some(Event::Damage(damage)) if damage.resumes.is_none() => break,
            Some(Event::Damage(damage)) => eprintln!("damage: {}: {damage}", place.path.display()),
            None => break,
        }
    }
    place.last = reader.last();
    place.offset = offset;
    to.flush()?;
    Ok(())
}
