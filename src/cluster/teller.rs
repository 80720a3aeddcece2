//! How far something is, said to people: one line that is written anew on a terminal, and elsewhere a line for each change, and from
//! time to time one without: a CI system ends what says nothing for long.

use std::io::{self, Write};
use std::time::Duration;

use crate::cli::is_redrawn;
use crate::view::escape::push_message;

/// What is known of an object that is waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Now {
    /// Its phase.
    pub(super) phase: String,
    /// Why; empty where nothing is said.
    pub(super) reason: String,
    /// The operator's words.
    pub(super) message: String,
    /// Whether anything more comes of it.
    pub(super) stands: Stands,
}

/// Whether it is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stands {
    /// It goes on by itself.
    #[default]
    Going,
    /// It has come to what was wanted.
    Well,
    /// It has not, and does not by itself.
    Badly,
}

/// Says how far it is.
pub(super) struct Teller {
    to: Box<dyn Write>,
    terminal: bool,
    /// How the object is called.
    what: String,
    said: Option<(String, String)>,
    /// When the last line was ended, from the beginning on.
    at: Duration,
    /// Whether the line at hand is not ended.
    open: bool,
}

/// So long nothing is said at most.
const QUIET: Duration = Duration::from_secs(30);
/// Back to the beginning of the line, which is emptied.
const ANEW: &str = "\r\x1b[K";
/// What is too long for the line is cut, and not wrapped: a wrapped line could not be taken back.
const UNWRAPPED: [&str; 2] = ["\x1b[?7l", "\x1b[?7h"];

impl Teller {
    /// To standard output, or to standard error where the output is for others.
    pub(super) fn new(what: String, aside: bool) -> Self {
        let (to, terminal): (Box<dyn Write>, bool) = if aside {
            (Box::new(io::stderr()), is_redrawn(&io::stderr()))
        } else {
            (Box::new(io::stdout()), is_redrawn(&io::stdout()))
        };
        Self { to, terminal, what, said: None, at: Duration::ZERO, open: false }
    }

    pub(super) fn tell(&mut self, now: &Now, since: Duration) -> io::Result<()> {
        let line = self.line(now);
        let news = Some((now.phase.clone(), now.reason.clone()));
        let over = now.stands != Stands::Going;
        let changed = over || self.said != news;
        let long = format!("{}:{:02}", since.as_secs() / 60, since.as_secs() % 60);
        if self.terminal && !over {
            let [cut, wrap] = UNWRAPPED;
            write!(self.to, "{ANEW}{cut}{long} {line}{wrap}")?;
            self.open = true;
        } else if changed || since.saturating_sub(self.at) >= QUIET {
            let anew = if self.open { ANEW } else { "" };
            let long = if changed { String::new() } else { format!("{long} ") };
            writeln!(self.to, "{anew}{long}{line}")?;
            (self.open, self.at) = (false, since);
        }
        self.said = news;
        self.to.flush()
    }

    /// Says something more.
    pub(super) fn add(&mut self, text: &str) -> io::Result<()> {
        self.end();
        writeln!(self.to, "{}", safe(text))
    }

    /// Leaves the line as it is.
    fn end(&mut self) {
        if std::mem::take(&mut self.open) {
            let _nobody_reads = writeln!(self.to);
        }
    }

    fn line(&self, Now { phase, reason, message, stands: _ }: &Now) -> String {
        let why = if reason.is_empty() || reason == phase { String::new() } else { format!(" ({reason})") };
        let words = if message.is_empty() { String::new() } else { format!(": {message}") };
        safe(&format!("{} {phase}{why}{words}", self.what))
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.end();
    }
}

/// Prints a line.
pub(super) fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{}", safe(text))?;
    out.flush()
}

/// Prints a line on standard error. Where nobody can read it, nothing else is the worse for it.
pub(super) fn say_aside(text: &str) {
    let _nobody_reads = writeln!(io::stderr(), "{}", safe(text));
}

/// One line without control characters: a message may name znodes, which clients choose.
pub(super) fn safe(text: &str) -> String {
    let mut shown = Vec::with_capacity(text.len());
    push_message(text, &mut shown);
    String::from_utf8_lossy(&shown).into_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn told(terminal: bool, all: &[(&str, &str, &str, Stands)]) -> String {
        let shared = Shared::default();
        let (to, what) = (Box::new(shared.clone()), "backup b".to_owned());
        let mut teller = Teller { to, terminal, what, said: None, at: Duration::ZERO, open: false };
        for (second, (phase, reason, message, stands)) in (0..).zip(all) {
            let [phase, reason, message] = [phase, reason, message].map(|text| (*text).to_owned());
            teller.tell(&Now { phase, reason, message, stands: *stands }, Duration::from_secs(59 + second)).unwrap();
        }
        drop(teller);
        let bytes = shared.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_pipe_gets_a_line_for_each_change_and_a_terminal_one_line_that_is_written_anew() {
        let all = [
            ("Running", "Running", "a Job", Stands::Going),
            ("Running", "Running", "a Job, again", Stands::Going),
            ("Failed", "NotProved", "no way", Stands::Badly),
        ];
        assert_eq!(told(false, &all), "backup b Running: a Job\nbackup b Failed (NotProved): no way\n");
        assert_eq!(
            told(true, &all),
            "\r\x1b[K\x1b[?7l0:59 backup b Running: a Job\x1b[?7h\r\x1b[K\x1b[?7l1:00 backup b Running: a Job, again\x1b[?7h\
             \r\x1b[Kbackup b Failed (NotProved): no way\n"
        );
    }

    #[test]
    fn where_nothing_changes_for_long_a_pipe_hears_from_time_to_time_how_long_it_has_been() {
        let all: Vec<String> = (0..70).map(|second| format!("{second} of 100")).collect();
        let all: Vec<_> = all.iter().map(|message| ("Running", "", message.as_str(), Stands::Going)).collect();
        let expected =
            "backup b Running: 0 of 100\n1:29 backup b Running: 30 of 100\n1:59 backup b Running: 60 of 100\n";
        assert_eq!(told(false, &all), expected);
    }

    #[test]
    fn a_message_that_clients_have_a_part_in_stays_on_its_line_and_tells_the_terminal_nothing() {
        let told = told(true, &[("Running", "", "znode /a\n\x1b[31m", Stands::Going)]);
        assert!(told.contains("znode /a\\n\\u{1b}[31m") && told.ends_with("\x1b[?7h\n"), "{told:?}");
    }
}
