//! The commands on files: `menagerie log`, `menagerie snapshot` and `menagerie index`.
//!
//! They exit with 0 where all is sound, 1 where damage was found, 2 where they could not look.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::files::{CannotLook, Member, Progress};

mod diff;
mod escape;
pub mod index;
mod line;
pub mod log;
mod point;
mod range;
mod report;
pub mod snapshot;
mod story;
mod tail;
mod time;
mod toolkit;
mod znode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is sound.
    Sound = 0,
    /// Damage was found.
    Damage = 1,
    /// It could not look.
    CouldNotLook = 2,
}

/// Why a command ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    #[error(transparent)]
    CannotLook(#[from] CannotLook),
    #[error(transparent)]
    Index(#[from] crate::index::IndexError),
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
    #[error("{0}")]
    Usage(String),
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// Columns for people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Runs a command, prints why it could not look, and says with what to exit.
pub(crate) fn finish(command: &str, result: Result<Exit, Stop>) -> i32 {
    match result {
        Ok(exit) => exit as i32,
        // `menagerie log dump … | head` is no failure.
        Err(Stop::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Exit::Sound as i32,
        Err(stop) => {
            eprintln!("menagerie {command}: {stop}");
            Exit::CouldNotLook as i32
        }
    }
}

pub(crate) fn look(paths: &[String]) -> Result<Vec<Member>, CannotLook> {
    paths.iter().map(|path| Member::look(path)).collect()
}

/// Says on the terminal how far long work has come; nothing where standard error is no terminal.
pub(crate) struct Meter {
    shown: Option<Instant>,
    terminal: bool,
    dirty: bool,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self { shown: None, terminal: io::stderr().is_terminal(), dirty: false }
    }

    pub(crate) fn show(&mut self, progress: Progress<'_>) {
        let pause = Duration::from_millis(if self.dirty { 200 } else { 1000 });
        let begun = *self.shown.get_or_insert_with(Instant::now);
        if !self.terminal || begun.elapsed() < pause {
            return;
        }
        let percent = (progress.done.min(progress.of) * 100).checked_div(progress.of).unwrap_or(100);
        let name = progress.path.file_name().unwrap_or_default().to_string_lossy();
        eprint!("\r\x1b[K{name} {percent} %");
        (self.shown, self.dirty) = (Some(Instant::now()), true);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if self.dirty {
            eprint!("\r\x1b[K");
        }
    }
}

/// Standard output, in large pieces.
pub(crate) struct Printer {
    pub(crate) buffer: Vec<u8>,
}

/// Large enough that writing costs little, small enough to stay in the processor's cache.
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
        out.write_all(&self.buffer)?;
        self.buffer.clear();
        out.flush()
    }
}
