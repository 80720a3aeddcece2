//! A log that grows, and those that come after it.

use std::path::Path;

use crate::disk::error::CannotLook;
use crate::disk::member::{File, Member};
use crate::disk::walk::{Met, Walk};
use crate::ids::Zxid;
use crate::log::Event;

/// A place in a member's logs: what is before it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The log.
    pub log: File,
    /// Where its next record will begin.
    pub offset: u64,
    /// The last transaction that was read, of this log or of those before it.
    pub last: Option<Zxid>,
}

/// Follows a member's logs while its server writes them, into the next one each time that it begins one.
///
/// ```no_run
/// use zookeeper_files::disk::{CannotLook, Follow, Member, Place};
/// use zookeeper_files::log::Event;
///
/// let member = Member::look("/var/lib/zookeeper")?;
/// let Some(newest) = member.logs.last().cloned() else { return Ok(()) };
/// let mut follow = Follow::new(&member, Place { log: newest, offset: 0, last: None });
/// loop {
///     follow.more(&mut |path, event| {
///         match event {
///             Event::Record(record) => println!("{:#}", record.header.zxid),
///             Event::Damage(damage) => eprintln!("{}: {damage}", path.display()),
///         }
///         Ok::<_, CannotLook>(())
///     })?;
///     std::thread::sleep(std::time::Duration::from_millis(200));
/// }
/// # #[expect(unreachable_code)]
/// # Ok::<(), CannotLook>(())
/// ```
#[derive(Debug)]
pub struct Follow {
    /// The member, as it was named.
    member: String,
    limit: Option<usize>,
    place: Place,
}

impl Follow {
    /// Goes on from a place in a member's logs.
    pub fn new(member: &Member, place: Place) -> Self {
        Self { member: member.name.clone(), limit: member.max_record, place }
    }

    /// How far it has read.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Gives `take` all that is there by now and was not yet, with the log that it is in. Damage is told once.
    ///
    /// A record of which the server has written a half is left for the next time. If `take` fails, so is the one that it was
    /// given.
    pub fn more<E: From<CannotLook>>(
        &mut self,
        take: &mut dyn FnMut(&Path, Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            self.read(take)?;
            // The one at hand may be purged by now: what comes after it is told by the names.
            let logs = Member::look(&self.member)?.logs;
            let Some(log) = logs.into_iter().find(|log| log.zxid > self.place.log.zxid) else { return Ok(()) };
            // Before there was a new one the old one may have grown once more.
            self.read(take)?;
            self.place = Place { log, offset: 0, last: self.place.last };
        }
    }

    fn read<E: From<CannotLook>>(&mut self, take: &mut dyn FnMut(&Path, Event<'_>) -> Result<(), E>) -> Result<(), E> {
        let Place { log, offset, last } = &mut self.place;
        let Some(mut walk) = Walk::resume(&log.path, *offset, *last, self.limit)? else { return Ok(()) };
        while let Some(met) = walk.next(&mut |_| ())? {
            match met {
                Met::Record(record) => {
                    let (end, zxid) = (record.end(), record.header.zxid);
                    take(&log.path, Event::Record(record))?;
                    (*offset, *last) = (end, Some(zxid));
                }
                // Half of a record is there: the other half comes.
                Met::Damage(damage) if damage.fault.is_unfinished() => break,
                Met::Damage(damage) => {
                    let end = damage.offset + damage.length;
                    take(&log.path, Event::Damage(damage))?;
                    *offset = end.max(*offset);
                }
                Met::Unpackable(error) => return Err(CannotLook::io(&log.path, error).into()),
                Met::Purged | Met::End { .. } => {}
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
        // Left alone for an hour: half of a record is otherwise looked at for seconds.
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

    fn more(follow: &mut Follow) -> Vec<u64> {
        let mut zxids = Vec::new();
        let taken = follow.more(&mut |_, event| {
            if let Event::Record(record) = event {
                zxids.push(record.header.zxid.0);
            }
            Ok::<_, CannotLook>(())
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
        let member = Member::look(folder.path().to_str().unwrap()).unwrap();
        let mut follow = Follow::new(&member, Place { log: member.logs[0].clone(), offset: 0, last: None });
        assert_eq!(more(&mut follow), [1]);
        assert!(more(&mut follow).is_empty());
        write(&path, &bytes[..ends[2] - 1]);
        assert_eq!(more(&mut follow), [2], "of the third a half is there");
        write(&path, &bytes);
        write(&folder.path().join("log.4"), &log(4..=4).0);
        write(&folder.path().join("log.5"), &log(5..=6).0);
        assert_eq!(more(&mut follow), [3, 4, 5, 6]);
        assert_eq!(follow.place().last, Some(Zxid(6)));
    }

    #[test]
    fn it_goes_on_from_a_place_though_that_log_is_purged_and_not_in_one_that_became_shorter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.1");
        let (bytes, ends) = log(1..=3);
        write(&path, &bytes);
        let member = Member::look(folder.path().to_str().unwrap()).unwrap();
        let place = Place { log: member.logs[0].clone(), offset: ends[1] as u64, last: Some(Zxid(2)) };
        assert_eq!(more(&mut Follow::new(&member, place.clone())), [3]);
        write(&path, &bytes[..ends[0]]);
        let shrunk = Follow::new(&member, place.clone()).more(&mut |_, _| Ok::<_, CannotLook>(()));
        assert!(matches!(shrunk, Err(CannotLook::Changed(_))));
        fs::remove_file(&path).unwrap();
        write(&folder.path().join("log.4"), &log(4..=4).0);
        assert_eq!(more(&mut Follow::new(&member, place)), [4]);
    }

    #[test]
    fn what_could_not_be_taken_is_given_again() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("log.1"), &log(1..=2).0);
        let member = Member::look(folder.path().to_str().unwrap()).unwrap();
        let mut follow = Follow::new(&member, Place { log: member.logs[0].clone(), offset: 0, last: None });
        let refused = follow.more(&mut |path, event| match event {
            Event::Record(record) if record.header.zxid == Zxid(2) => Err(CannotLook::Changed(path.to_owned())),
            _ => Ok(()),
        });
        assert!(refused.is_err());
        assert_eq!(more(&mut follow), [2]);
    }
}
