//! Follows a log while a server writes it, and then the next ones.

use std::path::Path;

use crate::disk::error::DiskError;
use crate::disk::member_files::{DataFile, MemberFiles};
use crate::disk::scan::{Scan, ScanItem};
use crate::ids::Zxid;
use crate::log::LogItem;

/// A position in a member's logs: everything before it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPosition {
    /// The log.
    pub log: DataFile,
    /// Where its next record will begin.
    pub offset: u64,
    /// The last transaction that was read, from this log or an earlier one.
    pub last: Option<Zxid>,
}

/// Follows a member's logs while its server writes them, and continues in the next log when the server starts one.
///
/// ```no_run
/// use zookeeper_files::disk::{DiskError, LogFollower, MemberFiles, LogPosition};
/// use zookeeper_files::log::LogItem;
///
/// let member = MemberFiles::find("/var/lib/zookeeper")?;
/// let Some(newest) = member.logs.last().cloned() else { return Ok(()) };
/// let mut follow = LogFollower::new(&member, LogPosition { log: newest, offset: 0, last: None });
/// loop {
///     follow.poll(&mut |path, item| {
///         match item {
///             LogItem::Record(record) => println!("{:#}", record.header.zxid),
///             LogItem::Damage(damage) => eprintln!("{}: {damage}", path.display()),
///         }
///         Ok::<_, DiskError>(())
///     })?;
///     std::thread::sleep(std::time::Duration::from_millis(200));
/// }
/// # #[expect(unreachable_code)]
/// # Ok::<(), DiskError>(())
/// ```
#[derive(Debug)]
pub struct LogFollower {
    /// The member's name, as given.
    member: String,
    limit: Option<usize>,
    position: LogPosition,
}

impl LogFollower {
    /// Continues from a position in a member's logs.
    pub fn new(member: &MemberFiles, position: LogPosition) -> Self {
        Self { member: member.name.clone(), limit: member.max_record, position }
    }

    /// How far it has read.
    pub fn position(&self) -> &LogPosition {
        &self.position
    }

    /// Passes everything new to `take`, with the log that it is in. Reports damage once.
    ///
    /// Leaves a half-written record for the next call. If `take` fails, the next call passes the same item again. The newest log ends
    /// where its zeros begin: they are tens of megabytes, and what is behind a hole in it is met once there is a next log.
    pub fn poll<E: From<DiskError>>(
        &mut self,
        take: &mut dyn FnMut(&Path, LogItem<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            self.read(true, take)?;
            // The current log may have been purged: the names show which one comes next.
            let logs = MemberFiles::find(&self.member)?.logs;
            let Some(log) = logs.into_iter().find(|log| log.zxid > self.position.log.zxid) else { return Ok(()) };
            // The old log may have grown before the server started the new one, and have records behind a hole.
            self.read(false, take)?;
            self.position = LogPosition { log, offset: 0, last: self.position.last };
        }
    }

    fn read<E: From<DiskError>>(
        &mut self,
        grows: bool,
        take: &mut dyn FnMut(&Path, LogItem<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let LogPosition { log, offset, last } = &mut self.position;
        let resume = if grows { Scan::resume_growing } else { Scan::resume };
        let Some(mut scan) = resume(&log.path, *offset, *last, self.limit)? else { return Ok(()) };
        while let Some(item) = scan.next(&mut |_| ())? {
            match item {
                ScanItem::Record(record) => {
                    let (end, zxid) = (record.end(), record.header.zxid);
                    take(&log.path, LogItem::Record(record))?;
                    (*offset, *last) = (end, Some(zxid));
                }
                // A half-written record: the rest follows.
                ScanItem::Damage(damage) if damage.fault.is_unfinished() => break,
                ScanItem::Damage(damage) => {
                    let end = damage.offset + damage.length;
                    take(&log.path, LogItem::Damage(damage))?;
                    *offset = end.max(*offset);
                }
                ScanItem::Unpackable(error) => return Err(DiskError::io(&log.path, error).into()),
                ScanItem::Purged | ScanItem::End { .. } => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::log::{Header, LogWriter, SessionId, Txn};

    fn append(log: &mut LogWriter<Vec<u8>>, zxid: u64) {
        let header = Header { session: SessionId(1), cxid: 1, zxid: Zxid(zxid), time: 0 };
        log.append(header, &Txn::CreateSession { timeout: 1 }, None).unwrap();
    }

    fn write(path: &Path, bytes: &[u8]) {
        fs::write(path, bytes).unwrap();
        // An hour old: otherwise the reader waits for the rest of a half-written record.
        let old = std::time::SystemTime::now() - std::time::Duration::from_hours(1);
        fs::File::options().append(true).open(path).unwrap().set_modified(old).unwrap();
    }

    /// The bytes of a log with these transactions, and where each record ends.
    fn log(zxids: std::ops::RangeInclusive<u64>) -> (Vec<u8>, Vec<usize>) {
        let (mut log, mut ends) = (LogWriter::new(Vec::new(), 0).unwrap().into_inner(), Vec::new());
        for zxid in zxids {
            let mut writer = LogWriter::go_on(log);
            append(&mut writer, zxid);
            log = writer.into_inner();
            ends.push(log.len());
        }
        (log, ends)
    }

    fn more(follow: &mut LogFollower) -> Vec<u64> {
        let mut zxids = Vec::new();
        let taken = follow.poll(&mut |_, item| {
            if let LogItem::Record(record) = item {
                zxids.push(record.header.zxid.0);
            }
            Ok::<_, DiskError>(())
        });
        taken.unwrap();
        zxids
    }

    #[test]
    fn a_log_is_followed_as_it_grows_and_into_the_next_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.1");
        let (bytes, ends) = log(1..=3);
        write(&path, &bytes[..ends[0]]);
        let member = MemberFiles::find(folder.path().to_str().unwrap()).unwrap();
        let mut follow = LogFollower::new(&member, LogPosition { log: member.logs[0].clone(), offset: 0, last: None });
        assert_eq!(more(&mut follow), [1]);
        assert!(more(&mut follow).is_empty());
        write(&path, &bytes[..ends[2] - 1]);
        assert_eq!(more(&mut follow), [2], "of the third a half is there");
        write(&path, &bytes);
        write(&folder.path().join("log.4"), &log(4..=4).0);
        write(&folder.path().join("log.5"), &log(5..=6).0);
        assert_eq!(more(&mut follow), [3, 4, 5, 6]);
        assert_eq!(follow.position().last, Some(Zxid(6)));
    }

    #[test]
    fn it_goes_on_from_a_place_though_that_log_is_purged_and_not_in_one_that_became_shorter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.1");
        let (bytes, ends) = log(1..=3);
        write(&path, &bytes);
        let member = MemberFiles::find(folder.path().to_str().unwrap()).unwrap();
        let position = LogPosition { log: member.logs[0].clone(), offset: ends[1] as u64, last: Some(Zxid(2)) };
        assert_eq!(more(&mut LogFollower::new(&member, position.clone())), [3]);
        write(&path, &bytes[..ends[0]]);
        let shrunk = LogFollower::new(&member, position.clone()).poll(&mut |_, _| Ok::<_, DiskError>(()));
        assert!(matches!(shrunk, Err(DiskError::Changed(_))));
        fs::remove_file(&path).unwrap();
        write(&folder.path().join("log.4"), &log(4..=4).0);
        assert_eq!(more(&mut LogFollower::new(&member, position)), [4]);
    }

    /// Bytes that this thread has read from files.
    fn bytes_read() -> u64 {
        let text = fs::read_to_string("/proc/thread-self/io").unwrap();
        text.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
    }

    /// Servers allocate 64 MiB ahead. Each look at a log under load read them, several times a second.
    #[test]
    fn what_a_server_has_allocated_ahead_is_not_read_while_the_log_grows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.1");
        let (bytes, ends) = log(1..=2);
        write(&path, &bytes[..ends[0]]);
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_len(64 << 20).unwrap();
        let member = MemberFiles::find(folder.path().to_str().unwrap()).unwrap();
        let mut follow = LogFollower::new(&member, LogPosition { log: member.logs[0].clone(), offset: 0, last: None });
        let mut looks = Vec::new();
        for (offset, more_bytes, seen) in [(0, &b""[..], &[1][..]), (0, b"", &[]), (ends[0], &bytes[ends[0]..], &[2])] {
            std::os::unix::fs::FileExt::write_all_at(&file, more_bytes, offset as u64).unwrap();
            let before = bytes_read();
            assert_eq!(more(&mut follow), seen);
            looks.push(bytes_read() - before);
        }
        assert!(looks.iter().all(|read| *read < 600 << 10), "{looks:?}");
    }

    /// `verify` reads a log to its end, and so does who follows it, once there is a next one.
    #[test]
    fn records_behind_a_hole_are_met_when_the_server_has_begun_the_next_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.1");
        let (bytes, ends) = log(1..=3);
        write(&path, &bytes[..ends[1]]);
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_len(4 << 20).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes[ends[1]..], 3 << 20).unwrap();
        let old = std::time::SystemTime::now() - std::time::Duration::from_hours(1);
        file.set_modified(old).unwrap();
        let member = MemberFiles::find(folder.path().to_str().unwrap()).unwrap();
        let report = crate::disk::verify(&member, &mut |_| ()).unwrap();
        assert!(!report.is_sound(), "{report:?}");
        let mut follow = LogFollower::new(&member, LogPosition { log: member.logs[0].clone(), offset: 0, last: None });
        assert_eq!(more(&mut follow), [1, 2]);
        write(&folder.path().join("log.4"), &log(4..=4).0);
        let mut met = Vec::new();
        follow
            .poll(&mut |_, item| {
                met.push(match item {
                    LogItem::Record(record) => record.header.zxid.to_string(),
                    LogItem::Damage(damage) => format!("{:?}", damage.fault),
                });
                Ok::<_, DiskError>(())
            })
            .unwrap();
        assert_eq!(met, ["Hole", "3", "4"]);
    }

    #[test]
    fn what_could_not_be_taken_is_given_again() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("log.1"), &log(1..=2).0);
        let member = MemberFiles::find(folder.path().to_str().unwrap()).unwrap();
        let mut follow = LogFollower::new(&member, LogPosition { log: member.logs[0].clone(), offset: 0, last: None });
        let refused = follow.poll(&mut |path, item| match item {
            LogItem::Record(record) if record.header.zxid == Zxid(2) => Err(DiskError::Changed(path.to_owned())),
            _ => Ok(()),
        });
        assert!(refused.is_err());
        assert_eq!(more(&mut follow), [2]);
    }
}
