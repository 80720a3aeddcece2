//! What can be wrong with a log, and what ZooKeeper makes of it.

use std::fmt;

use crate::model::ids::Zxid;

/// Something wrong at a place of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where it begins.
    pub offset: u64,
    /// The bytes that are lost by it, up to the next good record or to the end.
    pub length: u64,
    /// The zxid that the damaged record claims, where one can be read.
    pub zxid: Option<Zxid>,
    /// The last good record before it.
    pub after: Option<Zxid>,
    /// The next good record after it.
    pub resumes: Option<Zxid>,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The file has no byte: a server died as it made it.
    Empty,
    /// The file ends within its header.
    HeaderCut,
    /// The header's version is not 2.
    Version(i32),
    /// The last record was never finished: a server died, or the file was cut.
    TornTail,
    /// A record is whole, and its bytes are not those that were written.
    Checksum {
        /// What the file says.
        stored: u64,
        /// What its bytes give.
        computed: u32,
    },
    /// The length of a record is negative or beyond the limit.
    Length(i32),
    /// A record does not end with its end mark.
    EndMark(u8),
    /// Zeros where records should be, with good records after them.
    Hole,
    /// Bytes after the end of the log that are no record.
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

/// What a server of 3.9 does with such a log when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtStart {
    /// Starts, and drops nothing that could be read.
    Harmless,
    /// Starts, and drops what follows without a word.
    DropsInSilence,
    /// Does not start.
    Refuses,
}

impl Fault {
    /// Its name for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::HeaderCut => "header-cut",
            Self::Version(_) => "version",
            Self::TornTail => "torn-tail",
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

impl Fault {
    /// What a server of 3.9 does with a log that has it. `newest`: no log of the folder is newer.
    pub fn at_start(&self, newest: bool) -> AtStart {
        match self {
            Self::Version(_) | Self::TornTail | Self::Garbage => AtStart::Harmless,
            Self::Empty if newest => AtStart::Harmless,
            // It takes them for the end of the log, and then misses what the next log goes on from.
            Self::EndMark(_) | Self::Hole if newest => AtStart::DropsInSilence,
            Self::EndMark(_)
            | Self::Hole
            | Self::Empty
            | Self::HeaderCut
            | Self::Checksum { .. }
            | Self::Length(_)
            | Self::Malformed(_)
            | Self::Gap { .. }
            | Self::Backwards { .. } => AtStart::Refuses,
        }
    }
}

impl AtStart {
    /// Its name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Harmless => "harmless",
            Self::DropsInSilence => "drops-in-silence",
            Self::Refuses => "refuses",
        }
    }

    /// In a sentence about the server.
    pub fn says(self) -> &'static str {
        match self {
            Self::Harmless => "a server starts and misses nothing that it reads",
            Self::DropsInSilence => "a server starts and drops what follows in silence",
            Self::Refuses => "a server does not start",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the file is empty"),
            Self::HeaderCut => f.write_str("the file ends within its header"),
            Self::Version(version) => write!(f, "the header says version {version} where 2 is known"),
            Self::TornTail => f.write_str("the last record is torn"),
            Self::Checksum { stored, computed } => {
                write!(f, "the checksum is {stored:08x} in the file and {computed:08x} by its bytes")
            }
            Self::Length(length) => write!(f, "a record claims an absurd length of {length} bytes"),
            Self::EndMark(byte) => write!(f, "a record ends with byte {byte:02x} and not with its end mark"),
            Self::Hole => f.write_str("zeros where records should be"),
            Self::Garbage => f.write_str("bytes after the end that are no record"),
            Self::Malformed(what) => write!(f, "a record with a right checksum is no transaction: {what}"),
            Self::Gap { before } => write!(f, "transactions are missing after 0x{before}"),
            Self::Backwards { before } => write!(f, "the zxid is not above the one before, 0x{before}"),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.fault, self.offset)?;
        if let Some(zxid) = self.zxid {
            write!(f, ", zxid 0x{zxid}")?;
        }
        if self.length > 0 {
            write!(f, ", {} bytes lost", self.length)?;
        }
        match (self.after, self.resumes) {
            (Some(after), Some(resumes)) => write!(f, ", between 0x{after} and 0x{resumes}"),
            (Some(after), None) => write!(f, ", after 0x{after}"),
            (None, Some(resumes)) => write!(f, ", before 0x{resumes}"),
            (None, None) => Ok(()),
        }
    }
}
