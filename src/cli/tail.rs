//! `menagerie log tail`: the last transactions, and those to come.

use std::collections::VecDeque;
use std::time::Duration;

use clap::Args;

use crate::cli::log::{Form, Typesetter, judged};
use crate::cli::{Exit, Limit, Printer, Stop, look, tell};
use zookeeper_files::disk::{CannotLook, Follow, Member, Met, Place, Severity};
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

pub(crate) fn tail(options: &Tail) -> Result<Exit, Stop> {
    let member = look(std::slice::from_ref(&options.path), options.limit)?.remove(0);
    if member.logs.is_empty() {
        return Err(Stop::Usage(format!("{}: no log here", options.path)));
    }
    let (mut form, mut to) = (Typesetter::new(options.output, options.data), Printer::new());
    let (place, exit) = last_lines(options, &member, &mut form, &mut to)?;
    if !options.follow {
        return Ok(exit);
    }
    let mut follow = Follow::new(&member, place);
    loop {
        std::thread::sleep(Duration::from_millis(200));
        follow.more(&mut |path, event| match event {
            Event::Record(record) => form.print(&record, &mut to),
            Event::Damage(damage) => {
                tell(Severity::Damage.name(), &format!("{}: {damage}", path.display()));
                Ok(())
            }
        })?;
        to.flush()?;
    }
}

/// The last transactions: of the newest log, and of those before it as long as there are too few.
fn last_lines(options: &Tail, member: &Member, form: &mut Typesetter, to: &mut Printer) -> Result<(Place, Exit), Stop> {
    let (mut exit, cover) = (Exit::Sound, member.cover());
    let mut lines: VecDeque<Vec<u8>> = VecDeque::new();
    let mut place: Option<Place> = None;
    for file in member.logs.iter().rev() {
        let mut walk = member.walk(std::slice::from_ref(file));
        let missing = options.lines - lines.len();
        let mut earlier: VecDeque<Vec<u8>> = VecDeque::new();
        let (mut line, mut ended) = (Printer::new(), None);
        while let Some(met) = walk.next(&mut |_| ())? {
            match met {
                Met::Record(record) if missing > 0 => {
                    form.print(&record, &mut line)?;
                    let full = earlier.len() == missing;
                    let mut kept = if full { earlier.pop_front().unwrap_or_default() } else { Vec::new() };
                    kept.clear();
                    kept.append(&mut line.buffer);
                    earlier.push_back(kept);
                }
                Met::Record(_) | Met::Purged => {}
                Met::Damage(damage) if damage.fault.is_unfinished() => {}
                Met::Damage(damage) => {
                    let (severity, text) = judged(&cover, &damage);
                    exit = if severity == Severity::Damage { Exit::Damage } else { exit };
                    tell(severity.name(), &format!("{}: {text}", file.path.display()));
                }
                Met::Unpackable(source) => return Err(CannotLook::Io { path: file.path.clone(), source }.into()),
                Met::End { end, last, .. } => ended = Some((end.offset, last)),
            }
        }
        let Some((offset, last)) = ended else { continue };
        earlier.append(&mut lines);
        lines = earlier;
        let at = place.get_or_insert_with(|| Place { log: file.clone(), offset, last });
        at.last = at.last.or(last);
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
