//! One pass over one file: what is in it and what is wrong with it.

use std::path::Path;
use std::time::Duration;

use crate::files::error::CannotLook;
use crate::files::open::{Progress, Steady, open_log, open_snapshot};
use crate::log::{Damage, End, Event, Fault, Header, Kind};
use crate::model::ids::Zxid;
use crate::replay::Strand;
use crate::snapshot::{self, Item, Trailer, Unsound};

/// Damage beyond so many places of one file is counted and not kept: memory must not grow with it.
const KEPT: usize = 1000;
/// One transaction of so many is kept to compare it with other files'.
const SAMPLED: u64 = 1 << 12;

/// What is in a log.
#[derive(Debug, Default)]
pub(crate) struct LogSurvey {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) first: Option<Zxid>,
    pub(crate) last: Option<Zxid>,
    pub(crate) end: End,
    pub(crate) damage: Vec<Damage>,
    pub(crate) more_damage: u64,
    pub(crate) unpacking: Option<String>,
    pub(crate) surplus: u64,
    pub(crate) strand: Strand,
    pub(crate) samples: Vec<(Zxid, (Header, Kind))>,
}

/// What is in a snapshot.
#[derive(Debug, Default)]
pub(crate) struct SnapshotSurvey {
    pub(crate) znodes: u64,
    pub(crate) sessions: u64,
    pub(crate) bytes: u64,
    pub(crate) digest: i64,
    pub(crate) newest: Zxid,
    pub(crate) trailer: Trailer,
    pub(crate) unsound: Option<(u64, snapshot::Fault, String)>,
}

pub(crate) type OnProgress<'a> = &'a mut dyn FnMut(Progress<'_>);

/// Reads a log to its end. One that is being written may seem torn, and is read again.
pub(crate) fn log(path: &Path, progress: OnProgress<'_>) -> Result<LogSurvey, CannotLook> {
    for attempt in 0..5 {
        let (survey, steady) = log_once(path, progress)?;
        if steady.shrank() {
            return Err(CannotLook::Changed(path.to_owned()));
        }
        if survey.damage.is_empty() || steady.holds() {
            return Ok(survey);
        }
        std::thread::sleep(Duration::from_millis(20 << attempt));
    }
    Err(CannotLook::Changed(path.to_owned()))
}

fn log_once(path: &Path, progress: OnProgress<'_>) -> Result<(LogSurvey, Steady), CannotLook> {
    let (mut reader, steady) = open_log(path)?;
    let mut survey = LogSurvey::default();
    loop {
        let event = match reader.next() {
            Ok(Some(event)) => event,
            Ok(None) => break,
            // A packed log: what is packed is damaged, the disk is not.
            Err(error) if is_packing(&error) => {
                survey.unpacking = Some(error.to_string());
                break;
            }
            Err(error) => return Err(CannotLook::io(path, error)),
        };
        match event {
            Event::Record(record) => {
                let zxid = record.header.zxid;
                survey.first.get_or_insert(zxid);
                survey.last = Some(zxid);
                survey.records += 1;
                survey.surplus += u64::from(record.surplus > 0);
                if zxid.0 % SAMPLED == 1 {
                    survey.samples.push((zxid, (record.header, record.txn.kind())));
                }
                survey.strand.add(zxid);
                if survey.records.is_multiple_of(1 << 14) {
                    progress(Progress { path, done: record.offset, of: steady.length() });
                }
            }
            Event::Damage(damage) if survey.damage.len() < KEPT => survey.damage.push(damage),
            Event::Damage(_) => survey.more_damage += 1,
        }
    }
    survey.bytes = reader.offset();
    survey.end = reader.end().unwrap_or_default();
    Ok((survey, steady))
}

pub(crate) fn is_packing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}

/// Reads a snapshot to its end, and sums its digest on the way.
pub(crate) fn snapshot(path: &Path, progress: OnProgress<'_>) -> Result<SnapshotSurvey, CannotLook> {
    let (survey, steady) = snapshot_once(path, progress)?;
    if steady.shrank() || (survey.unsound.is_some() && !steady.holds()) {
        return Err(CannotLook::Changed(path.to_owned()));
    }
    Ok(survey)
}

fn snapshot_once(path: &Path, progress: OnProgress<'_>) -> Result<(SnapshotSurvey, Steady), CannotLook> {
    let (reader, steady) = open_snapshot(path)?;
    let mut survey = SnapshotSurvey::default();
    let judged = reader.and_then(|mut reader| {
        while let Some(item) = reader.next()? {
            match item {
                Item::Node(node) => {
                    survey.znodes += 1;
                    let digest = node.stat.digest(node.path.0, node.data);
                    survey.digest = survey.digest.wrapping_add(i64::from(digest));
                }
                Item::Session(_) => survey.sessions += 1,
                Item::Acl(_) => {}
            }
            if survey.znodes % (1 << 14) == 1 {
                progress(Progress { path, done: reader.offset(), of: steady.length() });
            }
        }
        survey.trailer = reader.trailer();
        survey.newest = reader.newest();
        survey.bytes = reader.offset();
        Ok(())
    });
    match judged {
        Ok(()) => {}
        Err(Unsound::Io(error)) => return Err(CannotLook::io(path, error)),
        Err(other @ Unsound::Magic(_)) => {
            return Err(CannotLook::OtherFile { path: path.to_owned(), what: other.to_string() });
        }
        Err(Unsound::Damaged { offset, last, fault }) => {
            let text = Unsound::Damaged { offset, last, fault: fault.clone() }.to_string();
            survey.unsound = Some((offset, fault, text));
        }
    }
    Ok((survey, steady))
}

impl LogSurvey {
    /// Whether it held transactions that cannot be read. One that a server never finished was not held.
    pub(crate) fn lost_some(&self) -> bool {
        let harmless = |fault: &Fault| {
            matches!(fault, Fault::Gap { .. } | Fault::TornTail | Fault::Empty | Fault::HeaderCut | Fault::Version(_))
        };
        self.unpacking.is_some() || self.more_damage > 0 || !self.damage.iter().all(|damage| harmless(&damage.fault))
    }

    /// The transaction that it begins with. Where that one is damaged, the name of the file tells.
    pub(crate) fn begins(&self, name: Option<Zxid>) -> Option<Zxid> {
        let damaged = self.damage.iter().any(|damage| damage.after.is_none() && damage.length > 0);
        if damaged { name.or(self.first) } else { self.first }
    }

    /// Whether its end was cut off, and not left as servers leave it: with zeros allocated ahead.
    pub(crate) fn ends_bare(&self) -> bool {
        self.end.zeros == 0 && !self.damage.iter().any(|damage| damage.fault == Fault::Empty)
    }
}
