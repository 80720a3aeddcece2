//! The epoch files that a member keeps beside its snapshots, and what its server does with them when it starts.
//!
//! After it has read its snapshot and logs, a server of 3.9 compares the epoch of the last transaction with `currentEpoch`, and
//! `currentEpoch` with `acceptedEpoch` (`QuorumPeer.loadDataBase`). It stops if one is too old or not a number. It creates a
//! missing one from the last transaction. A standalone server keeps none, and does not need them.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use crate::atomic::Part;
use crate::disk::error::DiskError;
use crate::disk::verify::{Finding, Severity};
use crate::ids::Zxid;
use crate::log::AtStart;

const CURRENT: &str = "currentEpoch";
const ACCEPTED: &str = "acceptedEpoch";
/// What remains if a server dies before it renames the file.
const UNFINISHED: &str = "currentEpoch.tmp";
/// No number is longer: the rest of a file is not read.
const LONGEST: u64 = 256;

/// The content of one of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
enum EpochFile {
    Missing,
    Epoch(i64),
    /// Not a number; a sentence says what it is.
    Garbage(String),
}

/// The epoch files of a member.
#[derive(Clone, Debug)]
pub struct EpochFiles {
    folder: PathBuf,
    current: EpochFile,
    unfinished: EpochFile,
    accepted: EpochFile,
}

impl EpochFiles {
    /// Reads the files of a folder version-2.
    pub fn read(folder: &Path) -> Result<Self, DiskError> {
        // A running server raises acceptedEpoch first, so read it last: it is then not too low.
        let unfinished = read_file(&folder.join(UNFINISHED))?;
        let current = read_file(&folder.join(CURRENT))?;
        let accepted = read_file(&folder.join(ACCEPTED))?;
        Ok(Self { folder: folder.to_owned(), current, unfinished, accepted })
    }

    /// Writes both: a server of this folder is in the first epoch, and the next leader's is later than the second. `acceptedEpoch`
    /// comes first, as a server has it.
    pub fn write(folder: &Path, current: u64, accepted: u64) -> std::io::Result<()> {
        for (name, epoch) in [(ACCEPTED, accepted), (CURRENT, current)] {
            let mut part = Part::begin(&folder.join(name), None)?;
            part.write_all(epoch.to_string().as_bytes())?;
            part.keep()?;
        }
        Ok(())
    }

    /// Removes both.
    pub fn remove(folder: &Path) -> std::io::Result<()> {
        [CURRENT, ACCEPTED].into_iter().try_for_each(|name| fs::remove_file(folder.join(name)))
    }

    /// Whether there is neither of them.
    pub fn are_missing(&self) -> bool {
        (&self.current, &self.accepted) == (&EpochFile::Missing, &EpochFile::Missing)
    }

    /// The highest epoch in any of them; 0 without one.
    pub(crate) fn highest(&self) -> u64 {
        let epochs = [&self.current, &self.unfinished, &self.accepted].into_iter().filter_map(|file| match file {
            EpochFile::Epoch(epoch) => u64::try_from(*epoch).ok(),
            EpochFile::Missing | EpochFile::Garbage(_) => None,
        });
        epochs.max().unwrap_or(0)
    }

    /// The epoch that its server is in: it has synced with the leader of this one, and accepted no later one.
    pub(crate) fn is_in(&self) -> Option<u64> {
        match (&self.current, &self.accepted) {
            (EpochFile::Epoch(current), EpochFile::Epoch(accepted)) if current == accepted => {
                (*current).try_into().ok()
            }
            _ => None,
        }
    }

    /// What a server with this last transaction does with them. Without a finding, it starts.
    pub fn findings(&self, last: Zxid) -> Vec<Finding> {
        if self.are_missing() {
            return Vec::new();
        }
        let mut findings = Vec::new();
        let of_last = last.0.cast_signed() >> 32;
        let current = self.judge_current(last, of_last, &mut findings);
        let accepted = match &self.accepted {
            EpochFile::Garbage(what) => {
                findings.push(self.finding(
                    ACCEPTED,
                    Severity::Damage,
                    "epoch-garbage",
                    what.clone(),
                    AtStart::Refuses,
                ));
                return findings;
            }
            EpochFile::Missing => of_last,
            EpochFile::Epoch(epoch) => *epoch,
        };
        let missing = self.accepted == EpochFile::Missing;
        let name = if missing { "epoch-missing" } else { "epoch-behind" };
        let says = if missing { made(last, of_last) } else { format!("it says {accepted}") };
        if let Some(current) = current.filter(|&current| accepted < current) {
            let text = format!("{says}, and the current epoch is {current}");
            findings.push(self.finding(ACCEPTED, Severity::Damage, name, text, AtStart::Refuses));
        } else if missing {
            findings.push(self.finding(ACCEPTED, Severity::Notice, name, says, AtStart::Harmless));
        }
        findings
    }

    /// The current epoch that a server continues with.
    fn judge_current(&self, last: Zxid, of_last: i64, findings: &mut Vec<Finding>) -> Option<i64> {
        let mut add = |file, severity, name, text, at_start| {
            findings.push(self.finding(file, severity, name, text, at_start));
        };
        let epoch = match &self.current {
            EpochFile::Missing => {
                add(CURRENT, Severity::Notice, "epoch-missing", made(last, of_last), AtStart::Harmless);
                return Some(of_last);
            }
            EpochFile::Garbage(what) => {
                add(CURRENT, Severity::Damage, "epoch-garbage", what.clone(), AtStart::Refuses);
                return None;
            }
            EpochFile::Epoch(epoch) => *epoch,
        };
        if of_last <= epoch {
            return Some(epoch);
        }
        let behind = format!("says {epoch}, and the last transaction, {last:#}, is of epoch {of_last}");
        match &self.unfinished {
            EpochFile::Missing => {
                add(CURRENT, Severity::Damage, "epoch-behind", format!("it {behind}"), AtStart::Refuses);
                None
            }
            EpochFile::Garbage(what) => {
                let text = format!("{CURRENT} {behind}; so this one is read, and {what}");
                add(UNFINISHED, Severity::Damage, "epoch-garbage", text, AtStart::Refuses);
                None
            }
            EpochFile::Epoch(unfinished) => {
                // The server renames it. If it is too old as well, the server stops at its next start.
                let (severity, once) = if *unfinished < of_last {
                    (Severity::Damage, ", which is older, too: so it does not start a second time")
                } else {
                    (Severity::Notice, "")
                };
                let text = format!("{CURRENT} {behind}; a server takes {unfinished} from this one{once}");
                add(UNFINISHED, severity, "epoch-unfinished", text, AtStart::Harmless);
                Some(*unfinished)
            }
        }
    }

    fn finding(&self, file: &str, severity: Severity, name: &'static str, text: String, at_start: AtStart) -> Finding {
        let path = self.folder.join(file);
        Finding { path, severity, name, offset: None, zxid: None, text, at_start: Some(at_start) }
    }
}

fn made(last: Zxid, of_last: i64) -> String {
    format!("it is missing: a server makes it from the last transaction, {last:#}: {of_last}")
}

fn read_file(path: &Path) -> Result<EpochFile, DiskError> {
    let failed = |error| DiskError::io(path, error);
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes)) {
        Ok(_) => Ok(parse(&bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(EpochFile::Missing),
        // Java finds no file there, and puts one in the place of an empty folder.
        Err(error) if error.kind() == ErrorKind::IsADirectory => match fs::read_dir(path).map_err(failed)?.next() {
            None => Ok(EpochFile::Missing),
            Some(_) => Ok(EpochFile::Garbage("it is a folder".to_owned())),
        },
        Err(error) => Err(failed(error)),
    }
}

/// Parses the first line like Java's `Long.parseLong`: with or without a sign, without blanks.
fn parse(bytes: &[u8]) -> EpochFile {
    let line = bytes.split(|&byte| byte == b'\n' || byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    match line.parse() {
        Ok(epoch) => EpochFile::Epoch(epoch),
        Err(_) if bytes.is_empty() => EpochFile::Garbage("it is empty".to_owned()),
        Err(_) => EpochFile::Garbage(format!("it begins with {line:?}, which is no epoch")),
    }
}
