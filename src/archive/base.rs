//! Bases: which of a member's snapshots are worth keeping in the archive, and which can be trusted.
//!
//! A snapshot proves nothing by itself (by ZooKeeper's source):
//!
//! - It is *fuzzy*: the server applies transactions while it writes. What is named `(3,100)` can hold some of what follows.
//! - It can be *dirty*. A candidate leader snapshots its whole log before anybody agrees (`Leader.lead`), and hands that to
//!   others as a snapshot. If others win, the log is cut, the server loads its newest snapshot again, whatever that holds
//!   (`ZKDatabase.truncateLog`), and from then on writes what was never committed under names that were. No name, no log and no
//!   later state of that disk shows it.
//!
//! What shows it is the digest that leaders log with each transaction, of trees of their own. A snapshot is a base if
//!
//! - it can be read to its end, and the sum over its znodes is the digest of the last transaction in its name (so it is exactly
//!   that tree); or its server, when it had written all of them, had the digest of a later transaction (so it held that tree, and
//!   with all transactions between the two replayed, the snapshot becomes it); or the sum is the digest of the first transaction
//!   of a later epoch, and that is the beginning of a session, which changes no znode (so it is exactly the tree that the epoch began
//!   with: that of an ensemble that was founded with it, of which no log says how it came to be);
//! - this archive has that transaction from this very log, so that the gate has proved it to be committed: else the digest of a
//!   candidate leader's own end would be proof of it;
//! - and this archive has all transactions from its name up to where it may be fuzzy.
//!
//! The digest covers paths, data and stats, and so the number of changes to an ACL, but no session. What has no digest (before 3.6,
//! or where digests are off) is no base.
//!
//! Invariant: what is not proved is not shipped.

use zookeeper_files::ids::Zxid;

use crate::model::archive::leads;

/// So much log is replayed rather than a base made. A snapshot that is larger waits for as much log as it is long.
pub const LEAST_LOG: u64 = 64 << 20;
/// In milliseconds: so old is the newest base at most, if anything has changed since.
pub const OLDEST: i64 = 24 * 60 * 60 * 1000;

/// What reading a snapshot to its end has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// The zxid in its name.
    pub name: Zxid,
    /// The digest of its znodes.
    pub sum: i64,
    /// The digest that its server had when it had written the last of them, and after which transaction.
    pub server: Option<(Zxid, i64)>,
    /// The last transaction that the server had applied then, if it says so.
    pub last: Option<Zxid>,
}

/// What a log says about a snapshot: fed with the transactions of the log, from its first one or any before the snapshot's name.
#[derive(Clone, Debug)]
pub struct Testimony {
    content: Content,
    /// The last transaction so far.
    last: Option<Zxid>,
    /// The digest after it, if the log has one.
    digest: Option<i64>,
    /// The last one up to the snapshot's name, with its digest.
    named: Option<(Zxid, Option<i64>)>,
    /// The digest after the transaction of which the server had one.
    ended: Option<i64>,
    /// Up to here, no transaction after the snapshot's name is missing.
    unbroken: Zxid,
    /// The first transaction after the name, if an epoch began with it and it shows which tree that began with.
    began: Option<Zxid>,
}

/// What a transaction does to the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It failed: nothing. Servers log such a one without a digest.
    Fails,
    /// A session begins, which is no znode.
    Session,
    /// It may change something.
    Changes,
}

/// Why a snapshot is a base, once the archive has these transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proved {
    /// It has everything up to here: the zxid in its name, or the 0 of an epoch that began with it.
    pub name: Zxid,
    /// The transaction whose digest shows it.
    pub by: Zxid,
    /// It may hold some transactions up to this one, but not all: a tree of before cannot be built from it.
    pub until: Zxid,
}

/// Why a snapshot is no base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproved {
    /// The log has no digest of a transaction that it should have: digests are off, or that transaction was never logged here.
    #[error("the log has no digest with which to compare it")]
    NoDigest,
    /// A digest shows that no leader had this tree.
    #[error("it is not what the leader had: its digest differs from the one in the log")]
    Differs,
    /// The log ends before what it may hold: nothing is known yet.
    #[error("the log does not reach up to the end of what it may hold yet")]
    Early,
    /// Between its name and the end of what it may hold, transactions are missing.
    #[error("the log lacks transactions that it may hold a part of")]
    Gap,
}

impl Testimony {
    /// Nothing has been said yet.
    pub fn about(content: Content) -> Self {
        Self { content, last: None, digest: None, named: None, ended: None, unbroken: content.name, began: None }
    }

    /// The next transaction of the log, with the leader's digest of the tree after it.
    pub fn hear(&mut self, zxid: Zxid, digest: Option<i64>, effect: Effect) {
        let name = self.content.name;
        // An ensemble that began with nothing needs no base for that.
        let first = name.0 > 0 && zxid > name && self.last.is_none_or(|last| last <= name);
        if first && effect == Effect::Session && begins(zxid) && digest == Some(self.content.sum) {
            self.began = Some(zxid);
        }
        let fails = effect == Effect::Fails;
        let before = self.digest.filter(|_| fails && self.last.is_some_and(|last| last.0 + 1 == zxid.0));
        self.digest = digest.or(before);
        self.last = Some(zxid);
        if zxid <= name {
            self.named = Some((zxid, self.digest));
            return;
        }
        if zxid.0 == self.unbroken.0 + 1 && zxid.epoch() == name.epoch() {
            self.unbroken = zxid;
        }
        if self.content.server.is_some_and(|(end, _)| end == zxid) {
            self.ended = self.digest;
        }
    }

    /// The last transaction that is worth hearing of.
    pub fn enough(&self) -> Zxid {
        Zxid(self.content.end().0 + 1)
    }

    /// What follows from all that was said.
    pub fn judge(&self) -> Result<Proved, Unproved> {
        self.judged().map_err(|why| match why {
            Unproved::NoDigest | Unproved::Gap if self.last < Some(self.content.end()) => Unproved::Early,
            why => why,
        })
    }

    fn judged(&self) -> Result<Proved, Unproved> {
        let Content { name, sum, server, .. } = self.content;
        // A new leader's name is its epoch's 0: no transaction.
        let named = self.named.filter(|(zxid, _)| *zxid == name || name.counter() == 0);
        if let Some((by, Some(digest))) = named
            && digest == sum
        {
            return Ok(Proved { name, by, until: name.max(by) });
        }
        if let Some(by) = self.began {
            let name = Zxid(by.epoch() << 32);
            return Ok(Proved { name, by, until: name });
        }
        let fuzzy = server.filter(|(end, _)| *end > name);
        let Some((by, had)) = fuzzy else {
            // Nothing was applied while it was written, as far as it shows.
            return Err(if named.is_some_and(|(_, digest)| digest.is_some()) {
                Unproved::Differs
            } else {
                Unproved::NoDigest
            });
        };
        match self.ended {
            Some(digest) if digest == had => {
                let end = self.content.end();
                if self.unbroken < end {
                    return Err(Unproved::Gap);
                }
                // A server counts a transaction after it has applied it, so the next one may be in it already.
                Ok(Proved { name, by, until: self.unbroken.min(self.enough()) })
            }
            Some(_) => Err(Unproved::Differs),
            None => Err(Unproved::NoDigest),
        }
    }
}

impl Content {
    /// The last transaction that it says it may hold.
    fn end(&self) -> Zxid {
        let digest = self.server.map_or(self.name, |(zxid, _)| zxid);
        self.name.max(digest).max(self.last.unwrap_or_default())
    }
}

impl Proved {
    /// Whether the archive has what makes it a base. `holds` says whether it has a transaction of this very log.
    pub fn is_archived(&self, holds: impl Fn(Zxid) -> bool) -> bool {
        self.needs().into_iter().flatten().all(holds)
    }

    /// The transactions that the archive has to have. What is between is of one epoch and without a gap in the log, and so is in the archive
    /// if the last of it is.
    pub fn needs(&self) -> [Option<Zxid>; 2] {
        [Some(self.by), Some(self.until).filter(|until| *until > self.name)]
    }
}

/// Whether an epoch begins with a transaction.
fn begins(zxid: Zxid) -> bool {
    zxid.counter() == 1
}

/// The newest base that an archive has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newest {
    /// The zxid in its name.
    pub zxid: Zxid,
    /// When it was made, in milliseconds since 1970.
    pub made: i64,
}

/// A snapshot of the member's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The zxid in its name.
    pub zxid: Zxid,
    /// Its size.
    pub bytes: u64,
    /// How many bytes of log the member has between the newest base and it.
    pub log: u64,
    /// How far it is known.
    pub state: State,
}

/// How far a snapshot is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It changed since it was looked at last: a server may be writing it.
    Changing,
    /// It was not read yet.
    Unread,
    /// It is no base, whatever comes.
    Refused,
    /// It is proved, but the archive does not have what makes it a base yet.
    Waits,
    /// It is a base.
    Base,
}

/// What to do about bases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Read the snapshot with this name.
    Read(Zxid),
    /// Ship it.
    Ship(Zxid),
    /// Look again: one that is wanted may become a base yet.
    Hold,
    /// None is wanted, or none of these can be one.
    Skip,
}

/// Decides what to do about bases. `starts` is where the member's chain is known to begin, behind its newest gap; `now` is in milliseconds
/// since 1970.
pub fn decide(seen: &[Seen], newest: Option<Newest>, starts: Option<Zxid>, now: i64) -> Decision {
    let mut wanted: Vec<&Seen> = seen.iter().filter(|seen| is_due(seen, newest, starts, now)).collect();
    wanted.sort_by_key(|seen| std::cmp::Reverse(seen.zxid));
    let mut decision = Decision::Skip;
    for seen in wanted {
        match seen.state {
            State::Refused => {}
            // An older one will do meanwhile: the newest may never be one.
            State::Changing | State::Waits => decision = Decision::Hold,
            State::Unread => return Decision::Read(seen.zxid),
            State::Base => return Decision::Ship(seen.zxid),
        }
    }
    decision
}

fn is_due(seen: &Seen, newest: Option<Newest>, starts: Option<Zxid>, now: i64) -> bool {
    let Some(Newest { zxid, made }) = newest else { return true };
    // A day old, or made in a day to come: then a clock is wrong, and a base too many does less harm than none for years.
    let late = now.saturating_sub(made).saturating_abs() >= OLDEST;
    // After an accepted loss, a new volume or a gap, what is shipped since can be built from nothing: that does not wait for a day.
    let links = starts.is_some_and(|starts| !leads(zxid, starts) && leads(seen.zxid, starts));
    seen.zxid > zxid && (links || late || seen.log >= seen.bytes.max(LEAST_LOG))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u64, counter: u64) -> Zxid {
        Zxid(epoch << 32 | counter)
    }

    /// A log with the digest 1000 + counter after each transaction.
    fn told(content: Content, counters: impl IntoIterator<Item = u64>) -> Result<Proved, Unproved> {
        let mut testimony = Testimony::about(content);
        for counter in counters {
            testimony.hear(at(3, counter), Some(1000 + counter.cast_signed()), Effect::Changes);
        }
        testimony.judge()
    }

    fn exact(counter: u64) -> Content {
        let sum = 1000 + counter.cast_signed();
        Content { name: at(3, counter), sum, server: Some((at(3, counter), sum)), last: Some(at(3, counter)) }
    }

    fn fuzzy(name: u64, end: u64) -> Content {
        Content { name: at(3, name), sum: 7, server: Some((at(3, end), 1000 + end.cast_signed())), last: None }
    }

    #[test]
    fn a_snapshot_whose_znodes_have_the_digest_of_its_name_is_exactly_that_tree() {
        assert_eq!(told(exact(5), 1..=9), Ok(Proved { name: at(3, 5), by: at(3, 5), until: at(3, 5) }));
        // Directly after a sync or a start, a server knows no digest.
        let silent = Content { server: None, last: None, ..exact(5) };
        assert_eq!(told(silent, 1..=9), Ok(Proved { name: at(3, 5), by: at(3, 5), until: at(3, 5) }));
    }

    #[test]
    fn a_fuzzy_snapshot_is_proved_by_the_digest_that_its_server_had_at_the_end_and_holds_one_more_at_most() {
        assert_eq!(told(fuzzy(5, 7), 1..=9), Ok(Proved { name: at(3, 5), by: at(3, 7), until: at(3, 8) }));
        assert_eq!(
            told(fuzzy(5, 7), 6..=7),
            Ok(Proved { name: at(3, 5), by: at(3, 7), until: at(3, 7) }),
            "the log ends there"
        );
        let later = Content { last: Some(at(3, 9)), ..fuzzy(5, 7) };
        assert_eq!(told(later, 1..=12), Ok(Proved { name: at(3, 5), by: at(3, 7), until: at(3, 10) }));
        assert_eq!(told(later, 1..=8), Err(Unproved::Early), "it says it may hold the 9th");
    }

    #[test]
    fn a_digest_that_differs_or_is_missing_proves_nothing() {
        assert_eq!(told(Content { sum: 1, ..exact(5) }, 1..=9), Err(Unproved::Differs));
        assert_eq!(told(Content { server: Some((at(3, 7), 1)), ..fuzzy(5, 7) }, 1..=9), Err(Unproved::Differs));
        assert_eq!(told(exact(5), 6..=9), Err(Unproved::NoDigest));
        assert_eq!(told(fuzzy(5, 7), [1, 2, 3, 4, 5, 6, 8, 9]), Err(Unproved::NoDigest));
        assert_eq!(told(fuzzy(5, 7), [1, 2, 3, 4, 5, 7, 8]), Err(Unproved::Gap));
        assert_eq!(told(exact(5), []), Err(Unproved::Early));
        assert_eq!(told(fuzzy(5, 7), 1..=6), Err(Unproved::Early), "the 7th may come yet");
    }

    #[test]
    fn a_transaction_that_failed_leaves_the_digest_as_it_was() {
        let content = Content { name: at(3, 3), sum: 1002, server: None, last: None };
        let mut testimony = Testimony::about(content);
        testimony.hear(at(3, 2), Some(1002), Effect::Changes);
        testimony.hear(at(3, 3), None, Effect::Fails);
        assert_eq!(testimony.judge(), Ok(Proved { name: at(3, 3), by: at(3, 3), until: at(3, 3) }));
        // Without what was before it, nothing is known.
        let mut testimony = Testimony::about(content);
        testimony.hear(at(3, 3), None, Effect::Fails);
        testimony.hear(at(3, 1), Some(1002), Effect::Changes);
        testimony.hear(at(3, 3), None, Effect::Fails);
        assert_eq!(testimony.judge(), Err(Unproved::NoDigest), "(3,2) is missing");
    }

    #[test]
    fn a_new_leaders_snapshot_is_named_after_no_transaction_and_is_the_tree_of_the_last_one_before() {
        let content = Content { name: at(4, 0), sum: 1009, server: Some((at(3, 9), 1009)), last: Some(at(4, 0)) };
        assert_eq!(told(content, 1..=9), Ok(Proved { name: at(4, 0), by: at(3, 9), until: at(4, 0) }));
        assert_eq!(told(Content { sum: 1, ..content }, 1..=9), Err(Unproved::Differs));
    }

    /// The archive of a new ensemble had no base for its first 100,000 transactions: the log begins behind the tree that it was founded with.
    #[test]
    fn the_tree_that_an_ensemble_was_founded_with_is_shown_by_the_session_that_its_first_epoch_begins_with() {
        let founding = Content { name: at(3, 9), sum: 1009, server: Some((at(3, 9), 1009)), last: Some(at(3, 9)) };
        let heard = |first: &[(Zxid, i64, Effect)]| {
            let mut testimony = Testimony::about(founding);
            for (zxid, digest, effect) in first {
                testimony.hear(*zxid, Some(*digest), *effect);
            }
            testimony.judge()
        };
        let (session, first) = (Effect::Session, at(0x10001, 1));
        let proved = Proved { name: at(0x10001, 0), by: first, until: at(0x10001, 0) };
        assert_eq!(heard(&[(first, 1009, session)]), Ok(proved));
        assert!(proved.is_archived(|zxid| zxid == first) && !proved.is_archived(|zxid| zxid < first));
        for (what, first) in [
            ("another tree", (first, 1010, session)),
            ("a transaction that may change it and back", (first, 1009, Effect::Changes)),
            ("the beginning of the epoch is missing", (at(0x10001, 2), 1009, session)),
        ] {
            assert_eq!(heard(&[first]), Err(Unproved::NoDigest), "{what}");
        }
        let behind = [(first, 1010, Effect::Changes), (at(0x10002, 1), 1009, session)];
        assert_eq!(heard(&behind), Err(Unproved::NoDigest), "an epoch is between");
    }

    #[test]
    fn what_the_archive_does_not_have_makes_no_base() {
        let proved = Proved { name: at(3, 5), by: at(3, 7), until: at(3, 8) };
        assert!(proved.is_archived(|zxid| zxid <= at(3, 8)));
        assert!(!proved.is_archived(|zxid| zxid <= at(3, 7)));
        assert!(!proved.is_archived(|zxid| zxid == at(3, 8)));
        assert!(Proved { name: at(4, 0), by: at(3, 9), until: at(4, 0) }.is_archived(|zxid| zxid == at(3, 9)));
    }

    fn seen(counter: u64, state: State) -> Seen {
        Seen { zxid: at(3, counter), bytes: 100, log: 0, state }
    }

    #[test]
    fn the_newest_snapshot_that_is_a_base_is_shipped_if_there_is_none_yet() {
        use State::{Base, Changing, Refused, Unread, Waits};
        assert_eq!(decide(&[seen(1, Base), seen(5, Base)], None, None, 0), Decision::Ship(at(3, 5)));
        assert_eq!(decide(&[seen(1, Base), seen(5, Refused)], None, None, 0), Decision::Ship(at(3, 1)));
        assert_eq!(decide(&[seen(1, Unread), seen(5, Waits)], None, None, 0), Decision::Read(at(3, 1)));
        assert_eq!(decide(&[seen(1, Refused), seen(5, Changing)], None, None, 0), Decision::Hold);
        assert_eq!(decide(&[seen(1, Refused)], None, None, 0), Decision::Skip);
        assert_eq!(decide(&[], None, None, 0), Decision::Skip);
    }

    #[test]
    fn the_next_base_comes_after_as_much_log_as_a_snapshot_has_or_after_a_day() {
        let newest = Some(Newest { zxid: at(3, 5), made: 1000 });
        let next = |log, bytes, zxid, now| {
            decide(&[Seen { zxid, bytes, log, state: State::Base }], newest, None, now) == Decision::Ship(zxid)
        };
        let small = 1 << 20;
        assert!(next(LEAST_LOG, small, at(3, 9), 0) && !next(LEAST_LOG - 1, small, at(3, 9), 0));
        assert!(!next(LEAST_LOG, LEAST_LOG + 1, at(3, 9), 0) && next(LEAST_LOG + 1, LEAST_LOG + 1, at(3, 9), 0));
        assert!(next(0, small, at(3, 9), 1000 + OLDEST) && !next(0, small, at(3, 9), 999 + OLDEST));
        assert!(!next(1 << 40, small, at(3, 5), i64::MAX), "nothing has changed since");
        assert!(!next(0, small, at(3, 9), 1000 - OLDEST + 1), "a clock that was set back a little is no reason");
    }

    /// It waited for a day or 64 MiB, and nothing of what was shipped meanwhile could be built.
    #[test]
    fn a_base_that_links_the_chain_is_due_at_once() {
        let newest = Some(Newest { zxid: at(3, 5), made: 1000 });
        let next = |starts, zxid| {
            let seen = Seen { zxid, bytes: 1 << 20, log: 0, state: State::Base };
            decide(&[seen], newest, starts, 1000) == Decision::Ship(zxid)
        };
        assert!(next(Some(at(4, 1)), at(4, 7)) && next(Some(at(4, 1)), at(4, 0)));
        assert!(!next(Some(at(4, 1)), at(3, 9)), "there is a gap behind it as well");
        assert!(!next(Some(at(3, 6)), at(4, 7)), "the newest leads there");
        assert!(!next(Some(at(3, 2)), at(4, 7)) && !next(None, at(4, 7)));
        let far = Some(Newest { zxid: at(9, 9), made: 1000 });
        let seen = Seen { zxid: at(4, 7), bytes: 1, log: 0, state: State::Base };
        assert_eq!(decide(&[seen], far, Some(at(10, 1)), 1000), Decision::Skip, "it would not be the newest");
    }

    #[test]
    fn a_base_from_a_time_to_come_stops_none() {
        let newest = Some(Newest { zxid: at(3, 5), made: i64::MAX });
        let seen = Seen { zxid: at(3, 9), bytes: 1 << 20, log: 0, state: State::Base };
        assert_eq!(decide(&[seen], newest, None, 1000), Decision::Ship(at(3, 9)));
    }
}
