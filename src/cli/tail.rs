//! `menagerie log tail`: the last transactions, and new ones.

use std::collections::VecDeque;
use std::time::Duration;

use clap::Args;

use crate::cli::log::{TxnFormat, TxnPrinter, severity_of};
use crate::cli::{CommandError, Exit, LimitOptions, Printer, look, print_message};
use zookeeper_files::disk::{DiskError, LogFollower, LogPosition, MemberFiles, ScanItem, Severity};
use zookeeper_files::log::LogItem;

/// Options of `menagerie log tail`.
#[derive(Args, Debug)]
pub(crate) struct TailOptions {
    /// A log or a member's folder
    #[arg(value_name = "PATH")]
    path: String,
    /// Start with the last N transactions
    #[arg(short = 'n', long, default_value_t = 10, value_name = "N")]
    lines: usize,
    /// Print new transactions while the server writes, also from the next logs, until interrupted
    #[arg(short, long)]
    follow: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: TxnFormat,
    /// Show at most N bytes of data in human output
    #[arg(long, default_value_t = 200, value_name = "N")]
    data: usize,
    #[command(flatten)]
    limit: LimitOptions,
}

pub(crate) fn tail(options: &TailOptions) -> Result<Exit, CommandError> {
    let member = look(std::slice::from_ref(&options.path), options.limit)?.remove(0);
    if member.logs.is_empty() {
        return Err(CommandError::Usage(format!("{}: no log here", options.path)));
    }
    let (mut form, mut to) = (TxnPrinter::new(options.output, options.data), Printer::new());
    let (position, exit) = last_lines(options, &member, &mut form, &mut to)?;
    if !options.follow {
        return Ok(exit);
    }
    let mut follow = LogFollower::new(&member, position);
    loop {
        std::thread::sleep(Duration::from_millis(200));
        follow.poll(&mut |path, item| match item {
            LogItem::Record(record) => form.print(&record, &mut to),
            LogItem::Damage(damage) => {
                print_message(Severity::Damage.name(), &format!("{}: {damage}", path.display()));
                Ok(())
            }
        })?;
        to.flush()?;
    }
}

/// Prints the last transactions: from the newest log, and from earlier logs as long as there are too few.
fn last_lines(
    options: &TailOptions,
    member: &MemberFiles,
    form: &mut TxnPrinter,
    to: &mut Printer,
) -> Result<(LogPosition, Exit), CommandError> {
    let (mut exit, cover) = (Exit::Sound, member.cover());
    let mut lines: VecDeque<Vec<u8>> = VecDeque::new();
    let mut position: Option<LogPosition> = None;
    for file in member.logs.iter().rev() {
        let mut scan = member.scan(std::slice::from_ref(file));
        let missing = options.lines - lines.len();
        let mut earlier: VecDeque<Vec<u8>> = VecDeque::new();
        let (mut line, mut ended) = (Printer::new(), None);
        while let Some(item) = scan.next(&mut |_| ())? {
            match item {
                ScanItem::Record(record) if missing > 0 => {
                    form.print(&record, &mut line)?;
                    let full = earlier.len() == missing;
                    let mut kept = if full { earlier.pop_front().unwrap_or_default() } else { Vec::new() };
                    kept.clear();
                    kept.append(&mut line.buffer);
                    earlier.push_back(kept);
                }
                ScanItem::Record(_) | ScanItem::Purged => {}
                ScanItem::Damage(damage) if damage.fault.is_unfinished() => {}
                ScanItem::Damage(damage) => {
                    let (severity, text) = severity_of(&cover, &damage);
                    exit = if severity == Severity::Damage { Exit::Damage } else { exit };
                    print_message(severity.name(), &format!("{}: {text}", file.path.display()));
                }
                ScanItem::Unpackable(source) => return Err(DiskError::Io { path: file.path.clone(), source }.into()),
                ScanItem::End { end, last, .. } => ended = Some((end.offset, last)),
            }
        }
        let Some((offset, last)) = ended else { continue };
        earlier.append(&mut lines);
        lines = earlier;
        let at = position.get_or_insert_with(|| LogPosition { log: file.clone(), offset, last });
        at.last = at.last.or(last);
        if lines.len() >= options.lines && at.last.is_some() {
            break;
        }
    }
    for line in &lines {
        to.buffer.extend_from_slice(line);
    }
    to.flush()?;
    match (position, member.refreshed()?) {
        (Some(position), _) => Ok((position, exit)),
        (None, Some(now)) if !now.logs.is_empty() => last_lines(options, &now, form, to),
        (None, _) => {
            Err(CommandError::Usage(format!("{}: its logs were purged before they could be read", options.path)))
        }
    }
}
