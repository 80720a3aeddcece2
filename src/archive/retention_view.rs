//! How `menagerie archive stat` and `prune` show what is stored, what is kept and why, and what goes.

use std::fmt::Write as _;

use serde::Serialize;

use crate::archive::about::About;
use crate::archive::doubt::Doubt;
use crate::archive::key::BaseKey;
use crate::archive::reach;
use crate::archive::retention::{Base, BaseState, Catalogue, ChainLog, Cut, Fate, Pin, Plan, Reason, Wish};
use crate::archive::segment::Facts;
use crate::cli::{CommandError, Output, Printer};
use crate::view::time::iso_text;
use zookeeper_files::ids::Zxid;

/// So many pins are named beside a base.
const NAMED: usize = 3;

/// What there is of an ensemble, and what becomes of it.
pub(super) struct View<'a> {
    pub(super) identity: &'a str,
    /// Whose it is, if the archive says so and it is to be told.
    pub(super) about: Option<&'a About>,
    pub(super) catalogue: &'a Catalogue,
    pub(super) plan: &'a Plan,
    pub(super) wish: &'a Wish,
    /// The pins as they were given.
    pub(super) pins: &'a [String],
    /// From which base on the links were followed, and to where they lead, if they were.
    pub(super) followed: Option<Followed>,
}

/// How far links were followed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Followed {
    /// The name of the base from which on; the beginning of the log where there is none.
    pub(super) from: Zxid,
    /// A tree of there can be built from here on.
    pub(super) whole: Zxid,
    /// The last point.
    pub(super) last: Zxid,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChainLine<'a> {
    identity: &'a str,
    member: u32,
    disk: String,
    /// Whether these are the roll-ups of that disk.
    rolled: bool,
    segments: usize,
    bytes: u64,
    first: String,
    /// None where the segment cannot be read.
    last: Option<String>,
    earliest: Option<String>,
    latest: Option<String>,
    #[serde(skip)]
    ends: [Option<Facts>; 2],
}

impl<'a> ChainLine<'a> {
    pub(super) fn of(identity: &'a str, log: &ChainLog, first: Option<Facts>, last: Option<Facts>) -> Self {
        Self {
            identity,
            member: log.chain.member.0,
            disk: log.chain.disk.to_string(),
            rolled: log.chain.rolled,
            segments: log.segments.len(),
            bytes: log.segments.iter().map(|segment| u64::from(segment.bytes)).sum(),
            first: format!("{:#}", log.segments.first().map(|segment| segment.first).unwrap_or_default()),
            last: last.as_ref().map(|facts| format!("{:#}", facts.last)),
            earliest: first.as_ref().map(|facts| iso_text(facts.earliest)),
            latest: last.as_ref().map(|facts| iso_text(facts.latest)),
            ends: [first, last],
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PointLine {
    zxid: String,
    time: String,
}

impl PointLine {
    fn of(zxid: Zxid, time: i64) -> Self {
        Self { zxid: format!("{zxid:#}"), time: iso_text(time) }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EnsembleLine<'a> {
    identity: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ensemble: Option<&'a str>,
    objects: usize,
    bytes: u64,
    /// By the names of what is stored. Whether the log is whole up to `proved_from`, a list does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_recoverability_point: Option<PointLine>,
    /// From here on the links were followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    proved_from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_recoverability_point: Option<PointLine>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BaseLine<'a> {
    identity: &'a str,
    member: u32,
    disk: String,
    base: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stored: Option<String>,
    parts: usize,
    bytes: u64,
    /// Why it is not relied on, though it is whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    doubt: Option<&'static str>,
    fate: &'static str,
    reasons: Vec<String>,
    /// As far as it is known by now.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PinLine<'a> {
    identity: &'a str,
    /// Its name, and the point.
    pin: &'a str,
    /// From which base its point is built. Without one, all log up to it stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CutLine<'a> {
    identity: &'a str,
    member: u32,
    disk: String,
    segments: usize,
    bytes: u64,
    first: String,
    before: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SumLine<'a> {
    identity: &'a str,
    would_delete: usize,
    bytes: u64,
}

impl View<'_> {
    /// The chains, and from where to where the tree can be built.
    pub(super) fn ensemble(
        &self,
        chains: &[ChainLine<'_>],
        last: Option<(Zxid, i64)>,
        output: Output,
        to: &mut Printer,
    ) -> Result<(), CommandError> {
        let bases = &self.catalogue.bases;
        let first = self.first_point(chains).filter(|_| last.is_some());
        let whole = self.followed.map(|followed| followed.whole);
        let later = whole.filter(|whole| first.as_ref().is_some_and(|(first, _)| first < whole));
        let line = EnsembleLine {
            identity: self.identity,
            namespace: self.about.map(|about| about.namespace.as_str()),
            ensemble: self.about.map(|about| about.ensemble.as_str()),
            objects: chains.iter().map(|chain| chain.segments).sum::<usize>() + objects_of(bases),
            bytes: chains.iter().map(|chain| chain.bytes).sum::<u64>()
                + bases.iter().map(|base| base.bytes).sum::<u64>(),
            first_recoverability_point: first.map(|(_, point)| point),
            proved_from: later.map(|zxid| format!("{zxid:#}")),
            last_recoverability_point: last.map(|(zxid, time)| PointLine::of(zxid, time)),
        };
        if output == Output::Json {
            to.json(&line)?;
            for chain in chains {
                to.json(chain)?;
            }
            return Ok(());
        }
        let called = self.about.map(|about| format!(" ({about})")).unwrap_or_default();
        let mut text = format!("ensemble {}{called}: {} objects, {} bytes; ", self.identity, line.objects, line.bytes);
        let said = match (&line.first_recoverability_point, &line.last_recoverability_point) {
            (Some(first), Some(last)) => match &line.proved_from {
                None => {
                    format!("can be built from {} (by {}) to {} ({})", first.zxid, first.time, last.zxid, last.time)
                }
                Some(proved) => format!(
                    "can be built from {proved} to {} ({}), and from {} (by {}) on if no log is missing before {proved}, which `menagerie archive verify` tells",
                    last.zxid, last.time, first.zxid, first.time
                ),
            },
            _ => "cannot be built: no whole base leads to the log, and it does not begin with the ensemble".to_owned(),
        };
        text.push_str(&said);
        let end = chains.iter().filter_map(|chain| Some(chain.ends[1].as_ref()?.last)).max();
        if let Some(end) = end.filter(|end| last.is_some_and(|(last, _)| last < *end)) {
            // Writing to a String cannot fail.
            let _ = write!(text, "; not what the log has behind a gap, up to {end:#}");
        }
        text.push('\n');
        for ChainLine { member, disk, segments, bytes, first, last, earliest, latest, .. } in chains {
            let told = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
            let (last, earliest, latest) = (told(last), told(earliest), told(latest));
            let line = format!(
                "  {member}.{disk}: {segments} segments, {bytes} bytes, {first} {earliest}  to  {last} {latest}\n"
            );
            text.push_str(&line);
        }
        to.buffer.extend_from_slice(text.as_bytes());
        Ok(())
    }

    /// The oldest point: of the log that began with the ensemble, or of the oldest base.
    fn first_point(&self, chains: &[ChainLine<'_>]) -> Option<(Zxid, PointLine)> {
        let firsts = chains.iter().filter_map(|chain| chain.ends[0].as_ref());
        let founding = firsts.filter(|facts| reach::is_founding(facts.first));
        if let Some(facts) = founding.min_by_key(|facts| facts.first) {
            return Some((facts.first, PointLine::of(facts.first, facts.earliest)));
        }
        match self.catalogue.oldest_whole()?.state {
            BaseState::Complete { stored, end, .. } => Some((end, PointLine::of(end, stored))),
            _ => None,
        }
    }

    /// What becomes of each base.
    pub(super) fn bases(&self, output: Output, to: &mut Printer) -> Result<(), CommandError> {
        for (base, (key, fate)) in self.catalogue.bases.iter().zip(&self.plan.bases) {
            let line = self.base(base, key, fate);
            if output == Output::Json {
                to.json(&line)?;
                continue;
            }
            let BaseLine { base, state, parts, bytes, end, stored, reasons, until, .. } = &line;
            let mut text = format!("  base {base} of {}: {state}, {bytes} bytes in {parts} parts", key.chain);
            // Writing to a String cannot fail.
            if let (Some(end), Some(stored)) = (end, stored) {
                let _ = write!(text, ", a whole tree from {end} on, stored {stored}");
            }
            if let Some(doubt) = line.doubt {
                let _ = write!(text, ", not relied on: {doubt}");
            }
            let _ = write!(text, ": {}", line.fate);
            if let Some(until) = until {
                let _ = write!(text, " until {until}");
            }
            if !reasons.is_empty() {
                let _ = write!(text, ": {}", reasons.join("; "));
            }
            text.push('\n');
            to.buffer.extend_from_slice(text.as_bytes());
        }
        Ok(())
    }

    fn base(&self, base: &Base, key: &BaseKey, fate: &Fate) -> BaseLine<'_> {
        let (state, end, stored) = match base.state {
            BaseState::Complete { sound: true, end, stored, .. } => ("complete", Some(end), Some(stored)),
            BaseState::Complete { .. } => ("damaged", None, None),
            BaseState::Retired { .. } => ("retired", None, None),
            BaseState::Begun { .. } => ("begun", None, None),
            BaseState::Unread => ("unread", None, None),
        };
        let (fate, reasons, until) = match fate {
            Fate::Keep(reasons) => {
                let pinned = reasons.iter().any(|reason| matches!(reason, Reason::Pin(_)));
                let until = reasons.iter().find_map(|reason| match reason {
                    Reason::Window(until) | Reason::Younger(until) => *until,
                    _ => None,
                });
                ("kept", self.reasons(reasons), until.filter(|_| !pinned))
            }
            Fate::Retire => ("goes", vec!["its manifest now, the rest an hour later".to_owned()], None),
            Fate::Waits(until) => ("waits", vec!["it is retired, and goes then".to_owned()], Some(*until)),
            Fate::Clear => ("goes", vec!["its parts now".to_owned()], None),
        };
        BaseLine {
            identity: self.identity,
            member: key.chain.member.0,
            disk: key.chain.disk.to_string(),
            base: format!("{:#}", key.zxid),
            state,
            end: end.map(|end| format!("{end:#}")),
            stored: stored.map(iso_text),
            parts: base.parts.len(),
            bytes: base.bytes,
            doubt: base.doubt.filter(|_| state == "complete").map(said),
            fate,
            reasons,
            until: until.map(iso_text),
        }
    }

    /// Its pins have lines of their own: a few are enough here.
    fn reasons(&self, reasons: &[Reason]) -> Vec<String> {
        let is_pin = |reason: &&Reason| matches!(reason, Reason::Pin(_));
        let (pins, others): (Vec<&Reason>, Vec<&Reason>) = reasons.iter().partition(is_pin);
        let more = pins.len().saturating_sub(NAMED);
        let named = others.into_iter().chain(pins.into_iter().take(NAMED)).map(|reason| self.reason(*reason));
        named.chain((more > 0).then(|| format!("{more} more pins"))).collect()
    }

    fn reason(&self, reason: Reason) -> String {
        match reason {
            Reason::Newest => "it is the newest one that is whole".to_owned(),
            Reason::Window(_) => format!("all of the last {} is built from it", span(self.wish.window)),
            Reason::Younger(_) => format!("it is of the last {}", span(self.wish.window)),
            Reason::NoneOlder => format!("none that is whole is older than {} yet", span(self.wish.window)),
            Reason::Pin(pin) => {
                format!("pin {}", self.pins.get(pin).map_or("?", String::as_str))
            }
            Reason::Begun => "it may be on its way".to_owned(),
            Reason::Unread => "nobody knows what it is".to_owned(),
        }
    }

    /// The points that are kept by name, each on a line of its own: there may be a thousand, of backups.
    pub(super) fn pins(&self, output: Output, to: &mut Printer) -> Result<(), CommandError> {
        for ((pin, point), base) in self.pins.iter().zip(&self.wish.pins).zip(&self.plan.pinned) {
            let from = self.built(*point, base.as_ref().map(|base| base.zxid));
            let base = base.as_ref().map(|base| format!("{:#}", base.zxid));
            match output {
                Output::Json => to.json(&PinLine { identity: self.identity, pin, base })?,
                Output::Human => {
                    to.buffer.extend_from_slice(format!("  pin {pin}: {from}\n").as_bytes());
                    to.line_done()?;
                }
            }
        }
        Ok(())
    }

    /// From what a point is built, as far as that is known.
    fn built(&self, point: Pin, base: Option<Zxid>) -> String {
        let Some(base) = base else { return "there is no base before it, so all log up to it stays".to_owned() };
        match self.followed {
            Some(Followed { last, .. }) if point.from > last => {
                format!("CANNOT be built: the log leads no further than {last:#}")
            }
            Some(Followed { from, .. }) if from <= base => format!("built from base {base:#}"),
            _ => format!(
                "built from base {base:#} if no log is missing between the two, which `menagerie archive verify` tells"
            ),
        }
    }

    /// The log that goes.
    pub(super) fn cuts(&self, output: Output, to: &mut Printer) -> Result<(), CommandError> {
        if self.catalogue.oldest_whole().is_none() && output == Output::Human {
            let text = "  there is no whole base: every point is built from the log alone, so all of it stays\n";
            to.buffer.extend_from_slice(text.as_bytes());
        }
        for cut in &self.plan.cuts {
            let Some(log) = self.catalogue.chains.get(cut.chain) else { continue };
            let line = CutLine {
                identity: self.identity,
                member: log.chain.member.0,
                disk: log.chain.disk.to_string(),
                segments: cut.to - cut.from,
                bytes: bytes_of(log, cut),
                first: format!("{:#}", log.segments[cut.from].first),
                before: format!("{:#}", log.segments[cut.to].first),
            };
            if output == Output::Json {
                to.json(&line)?;
                continue;
            }
            let CutLine { segments, bytes, first, before, .. } = line;
            let text = format!(
                "  log of {}: {segments} segments go, {bytes} bytes, from {first} to before {before}\n",
                log.chain
            );
            to.buffer.extend_from_slice(text.as_bytes());
        }
        Ok(())
    }

    /// How much would go.
    pub(super) fn sum(&self, output: Output, to: &mut Printer) -> Result<(), CommandError> {
        let (mut objects, mut bytes) = (0, 0);
        for (base, (_, fate)) in self.catalogue.bases.iter().zip(&self.plan.bases) {
            match fate {
                Fate::Retire => objects += 1,
                Fate::Clear => {
                    objects += base.parts.len() + usize::from(matches!(base.state, BaseState::Retired { .. }));
                    bytes += base.bytes;
                }
                Fate::Keep(_) | Fate::Waits(_) => {}
            }
        }
        for cut in &self.plan.cuts {
            objects += cut.to - cut.from;
            bytes += self.catalogue.chains.get(cut.chain).map_or(0, |log| bytes_of(log, cut));
        }
        if output == Output::Json {
            return Ok(to.json(&SumLine { identity: self.identity, would_delete: objects, bytes })?);
        }
        let how = if objects > 0 { "; --delete does it" } else { "" };
        let text = format!("{}: would delete {objects} objects, {bytes} bytes{how}\n", self.identity);
        to.buffer.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

fn said(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::Unproved => "its chain lacks the transaction that proves it",
        Doubt::NotContinued => "no log that others stored since begins above it",
        Doubt::LeftBehind => "log below it is stored still",
    }
}

fn objects_of(bases: &[Base]) -> usize {
    let more = |base: &Base| usize::from(!matches!(base.state, BaseState::Begun { .. }));
    bases.iter().map(|base| base.parts.len() + more(base)).sum()
}

fn bytes_of(log: &ChainLog, cut: &Cut) -> u64 {
    log.segments[cut.from..cut.to].iter().map(|segment| u64::from(segment.bytes)).sum()
}

/// A span of time as it is given.
fn span(window: i64) -> String {
    const UNITS: [(i64, char); 4] = [(86_400_000, 'd'), (3_600_000, 'h'), (60_000, 'm'), (1000, 's')];
    let mut left = window;
    let mut text = String::new();
    for (length, unit) in UNITS {
        if left >= length {
            let _ = write!(text, "{}{unit}", left / length);
            left %= length;
        }
    }
    text
}
