//! The commands on files: `menagerie log`, `menagerie snapshot` and `menagerie index`.
//!
//! Exit codes: 0 if all is sound, 1 if damage was found, 2 if the files could not be read.

use std::env;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::time::{Duration, Instant};

use zookeeper_files::disk::{DiskError, MemberFiles, Progress};

pub(crate) use crate::archive::source::{Source, SourceOptions, is_archive};
use crate::view::escape;

mod diff;
pub mod index;
pub mod log;
pub(crate) mod point;
pub(crate) mod range;
mod report;
mod save;
pub mod snapshot;
mod tail;
mod toolkit;
mod verify;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// All is sound.
    Sound = 0,
    /// Damage was found.
    Damage = 1,
    /// The files could not be read.
    Unreadable = 2,
}

impl Exit {
    /// How two commands ended together.
    #[must_use]
    pub(crate) fn worse(self, other: Self) -> Self {
        self.max(other)
    }
}

/// Why a command ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Index(#[from] zookeeper_files::index::IndexError),
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
    #[error("{0}")]
    Usage(String),
    /// The archive ends before the time that is asked for.
    #[error("{0}")]
    Beyond(String),
}

/// The output format of results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// Columns for people.
    #[default]
    Human,
    /// One JSON object per line.
    Json,
}

/// Prints the error of a command, if it failed, and returns its exit code.
pub(crate) fn finish(command: &str, result: Result<Exit, CommandError>) -> i32 {
    match result {
        Ok(exit) => exit as i32,
        // The reader went away, as in `menagerie log dump … | head`: that is not a failure.
        Err(CommandError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Exit::Sound as i32,
        Err(stop) => {
            print_aside(&format!("menagerie {command}: {}\n", plain(&stop.to_string())));
            Exit::Unreadable as i32
        }
    }
}

/// The longest record to read.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub(crate) struct LimitOptions {
    /// The longest record that the servers of these files read: the sum of jute.maxbuffer and jute.maxbuffer.extrasize, like
    /// 64M, or in bytes. Members of this operator have 65M
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) max_record: Option<usize>,
}

fn size(text: &str) -> Result<usize, String> {
    let units = [(['K', 'k'], 10), (['M', 'm'], 20), (['G', 'g'], 30)];
    let unit = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(*unit)?, *shift)));
    let (digits, shift) = unit.unwrap_or((text, 0));
    let number = digits.parse::<usize>().ok().and_then(|number| number.checked_mul(1 << shift));
    // ZooKeeper writes a record's length as a signed number of 32 bits.
    let fits = number.filter(|&number| number > 0 && i32::try_from(number).is_ok());
    fits.ok_or_else(|| format!("{text}: not a number of bytes below 2G, like 4194304 or 64M"))
}

pub(crate) fn look(paths: &[String], limit: LimitOptions) -> Result<Vec<MemberFiles>, CommandError> {
    if let Some(path) = paths.iter().find(|path| is_archive(path)) {
        let other = "this command reads files; `menagerie archive verify` checks an archive, and `archive fetch` writes its files";
        return Err(CommandError::Usage(format!("{path}: {other}")));
    }
    let members = paths.iter().map(|path| MemberFiles::find(path));
    members.map(|member| Ok(MemberFiles { max_record: limit.max_record, ..member? })).collect()
}

/// A message as one line without control characters: it may name paths, which clients choose.
fn plain(text: &str) -> String {
    let mut shown = Vec::with_capacity(text.len());
    escape::push_message(text, &mut shown);
    String::from_utf8_lossy(&shown).into_owned()
}

/// Prints a message to standard error.
pub(crate) fn print_message(severity: &str, text: &str) {
    print_aside(&format!("{severity}: {}\n", plain(text)));
}

/// Writes to standard error. A full disk behind it ends no work: the exit code tells how that ended.
fn print_aside(text: &str) {
    let _nobody_reads = io::stderr().write_all(text.as_bytes());
}

/// Whether a line may be written anew there: on a terminal that can, and whose user or CI has not asked for plain lines.
pub(crate) fn is_redrawn(to: &impl IsTerminal) -> bool {
    to.is_terminal() && may_redraw(|name| env::var(name).ok())
}

fn may_redraw(variable: impl Fn(&str) -> Option<String>) -> bool {
    let says = |name: &str| variable(name).is_some_and(|value| !matches!(value.as_str(), "" | "0" | "false"));
    // That of a shell in Emacs and in some CI systems, which show what would move the cursor.
    let dumb = variable("TERM").is_some_and(|term| term == "dumb");
    !dumb && !says("CI") && variable("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Shows the progress of long work, if standard error is a terminal.
pub(crate) struct Meter {
    shown: Option<Instant>,
    terminal: bool,
    dirty: bool,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self { shown: None, terminal: is_redrawn(&io::stderr()), dirty: false }
    }

    pub(crate) fn show(&mut self, progress: Progress<'_>) {
        self.draw(|| {
            let percent = (progress.done.min(progress.of) * 100).checked_div(progress.of).unwrap_or(100);
            let name = progress.path.file_name().unwrap_or_default().to_string_lossy();
            format!("{name} {percent} %")
        });
    }

    /// Shows a line, if it is time for a new one.
    pub(crate) fn draw(&mut self, line: impl FnOnce() -> String) {
        let pause = Duration::from_millis(if self.dirty { 200 } else { 1000 });
        let begun = *self.shown.get_or_insert_with(Instant::now);
        if !self.terminal || begun.elapsed() < pause {
            return;
        }
        print_aside(&format!("\r\x1b[K{}", line()));
        (self.shown, self.dirty) = (Some(Instant::now()), true);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if self.dirty {
            print_aside("\r\x1b[K");
        }
    }
}

/// Standard output, written in large pieces.
pub(crate) struct Printer {
    pub(crate) buffer: Vec<u8>,
}

/// The size of a piece: large enough that writes cost little, small enough for the processor's cache.
const PIECE: usize = 128 << 10;

impl Printer {
    pub(crate) fn new() -> Self {
        Self { buffer: Vec::with_capacity(PIECE * 2) }
    }

    pub(crate) fn line_done(&mut self) -> io::Result<()> {
        if self.buffer.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    pub(crate) fn json(&mut self, line: &impl serde::Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.buffer, line)?;
        self.buffer.push(b'\n');
        self.line_done()
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let written = out.write_all(&self.buffer);
        self.buffer.clear();
        written.and_then(|()| out.flush())
    }
}

/// After an error, the output before it is still printed. If that fails too, only the first error is reported.
impl Drop for Printer {
    fn drop(&mut self) {
        if !self.buffer.is_empty() {
            let _already_reported = self.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_written_anew_unless_the_terminal_is_dumb_or_plain_lines_are_asked_for() {
        let with = |set: &'static [(&str, &str)]| {
            may_redraw(|name| set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned()))
        };
        assert!(with(&[]) && with(&[("TERM", "xterm"), ("CI", ""), ("NO_COLOR", "")]) && with(&[("CI", "false")]));
        for plain in [&[("TERM", "dumb")][..], &[("CI", "true")], &[("CI", "woodpecker")], &[("NO_COLOR", "1")]] {
            assert!(!with(plain), "{plain:?}");
        }
    }
}
