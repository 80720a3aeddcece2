//! Damage of a log, and what ZooKeeper does with it.

use std::fmt;

use crate::ids::Zxid;
use crate::log::RECORD_LIMIT;

/// Damage at an offset of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where it begins.
    pub offset: u64,
    /// The number of lost bytes, up to the next good record or the end.
    pub length: u64,
    /// The zxid of the damaged record, if it can be read.
    pub zxid: Option<Zxid>,
    /// The last good record before it.
    pub after: Option<Zxid>,
    /// The next good record after it.
    pub resumes: Option<Zxid>,
    /// What is wrong.
    pub fault: LogFault,
}

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogFault {
    /// The file is empty: the server died when it created it.
    Empty,
    /// The file ends within its header.
    HeaderCut,
    /// The header's version is not 2.
    Version(i32),
    /// The last record is incomplete: a server died, or the file was cut.
    TornTail,
    /// A record is complete, but its bytes are not those that were written.
    Checksum {
        /// What the file says.
        stored: u64,
        /// The checksum of its bytes.
        computed: u32,
    },
    /// The file begins with other bytes.
    Magic([u8; 4]),
    /// The length of a record is negative, beyond the limit, or reaches past the end with good records in between.
    Length(i32),
    /// A record does not end with its end mark.
    EndMark(u8),
    /// Zeros in the place of records, with good records after them.
    Hole,
    /// Bytes after the end of the log that are not a record.
    Garbage,
    /// The checksum is right and the content is not a transaction.
    Malformed(&'static str),
    /// Transactions are missing before this one: a zxid does not follow from the one before.
    Gap {
        /// The zxid before.
        before: Zxid,
    },
    /// The zxid is not above the one before.
    Backwards {
        /// The zxid before.
        before: Zxid,
    },
}

/// What a server of 3.9 does when it starts on this folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtStart {
    /// Starts, and loses nothing that can be read.
    Harmless,
    /// Starts, and applies transactions again.
    Repeats,
    /// Starts, and silently drops what follows.
    DropsInSilence,
    /// Does not start.
    Refuses,
}

/// What a server of 3.9 does when it reads a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Does not notice it.
    GoesOn,
    /// Treats it as the end of the log, and continues with the next log.
    TakesForEnd,
    /// Stops.
    Stops,
}

impl LogFault {
    /// Its name for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::HeaderCut => "header-cut",
            Self::Version(_) => "version",
            Self::TornTail => "torn-tail",
            Self::Magic(_) => "magic",
            Self::Checksum { .. } => "checksum",
            Self::Length(_) => "length",
            Self::EndMark(_) => "end-mark",
            Self::Hole => "hole",
            Self::Garbage => "garbage",
            Self::Malformed(_) => "malformed",
            Self::Gap { .. } => "gap",
            Self::Backwards { .. } => "backwards",
        }
    }
}

impl LogFault {
    /// What a server of 3.9 that reads records of up to `limit` bytes does with it.
    pub(crate) fn reading(&self, limit: usize) -> Reading {
        match self {
            Self::Version(_) | Self::Gap { .. } | Self::Backwards { .. } => Reading::GoesOn,
            Self::TornTail | Self::Garbage | Self::EndMark(_) | Self::Hole => Reading::TakesForEnd,
            // It trusts the length, and the file ends earlier.
            Self::Length(length) if usize::try_from(*length).is_ok_and(|length| length <= limit) => {
                Reading::TakesForEnd
            }
            // The end of a record that is cut looks to it like the end of the file.
            Self::Malformed(what) if crate::jute::is_cut(what) => Reading::TakesForEnd,
            Self::Empty
            | Self::HeaderCut
            | Self::Magic(_)
            | Self::Checksum { .. }
            | Self::Length(_)
            | Self::Malformed(_) => Reading::Stops,
        }
    }

    /// Whether the file is unfinished: a server died while writing it, or is writing it now.
    pub fn is_unfinished(&self) -> bool {
        matches!(self, Self::TornTail | Self::Empty | Self::HeaderCut)
    }
}

impl AtStart {
    /// Its name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Harmless => "harmless",
            Self::Repeats => "repeats",
            Self::DropsInSilence => "drops-in-silence",
            Self::Refuses => "refuses",
        }
    }

    /// As a sentence about the server.
    pub(crate) fn says(self) -> &'static str {
        match self {
            Self::Harmless => "a server starts and misses nothing",
            Self::Repeats => "a server starts and applies what it has once more",
            Self::DropsInSilence => "a server starts and drops what follows in silence",
            Self::Refuses => "a server does not start",
        }
    }
}

impl fmt::Display for LogFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the file is empty"),
            Self::HeaderCut => f.write_str("the file ends within its header"),
            Self::Magic(bytes) => {
                write!(f, "not a transaction log: it begins with {} and not with ZKLG", bytes.escape_ascii())
            }
            Self::Version(version) => write!(f, "the header says version {version} where 2 is known"),
            Self::TornTail => f.write_str("the last record is torn"),
            Self::Checksum { stored, computed } => {
                write!(f, "the checksum is {stored:08x} in the file and {computed:08x} by its bytes")
            }
            // A server with a higher limit may have written it.
            Self::Length(length) if usize::try_from(*length).is_ok_and(|length| length > RECORD_LIMIT) => {
                write!(f, "a record has the impossible length of {length} bytes (or --max-record is too low for it)")
            }
            Self::Length(length) => write!(f, "a record has the impossible length of {length} bytes"),
            Self::EndMark(byte) => write!(f, "a record ends with byte {byte:02x} and not with its end mark"),
            Self::Hole => f.write_str("zeros where records should be"),
            Self::Garbage => f.write_str("bytes after the end that are no record"),
            Self::Malformed(what) => write!(f, "a record with a right checksum is no transaction: {what}"),
            Self::Gap { before } => write!(f, "transactions are missing after {before:#}"),
            Self::Backwards { before } => write!(f, "the zxid is not above the one before, {before:#}"),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.fault, self.offset)?;
        if let Some(zxid) = self.zxid {
            write!(f, ", zxid {zxid:#}")?;
        }
        if self.length > 0 {
            write!(f, ", {} bytes lost", self.length)?;
        }
        match (self.after, self.resumes) {
            (Some(after), Some(resumes)) => write!(f, ", between {after:#} and {resumes:#}"),
            (Some(after), None) => write!(f, ", after {after:#}"),
            (None, Some(resumes)) => write!(f, ", before {resumes:#}"),
            (None, None) => Ok(()),
        }
    }
}
