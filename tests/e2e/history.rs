//! The history of an ensemble's membership, recorded from outside: what `/zookeeper/config` said, and what every member
//! said of itself shortly before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use menagerie::model::truth::ServerState;
use menagerie::model::{MemberTruth, Membership, ServerId};
use tokio::task::JoinHandle;

use super::cluster::Ensemble;
use super::writers::connect;

const SAMPLE: Duration = Duration::from_millis(150);
/// Without an answer for so long, another connection: a client whose server has ended keeps a read until that one is back,
/// and a leader that gave up its seat has it again after some four seconds.
const ANSWER: Duration = Duration::from_millis(500);
const CONNECT: Duration = Duration::from_secs(2);
/// A sample older than this says nothing about the moment of a change.
const FRESH: u128 = 5_000;

/// A recorder at work.
pub struct Recorder {
    stop: Arc<AtomicBool>,
    changes: [JoinHandle<BTreeMap<u64, (u128, Membership)>>; 2],
    samples: JoinHandle<Vec<Sample>>,
}

/// What all members said, and when that was: between these two times.
struct Sample {
    asked: u128,
    answered: u128,
    truths: Vec<MemberTruth>,
}

/// What was recorded.
pub struct History {
    /// Each membership with the time at which it was committed.
    pub changes: Vec<(u128, Membership)>,
    samples: Vec<Sample>,
}

fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()
}

impl Recorder {
    pub async fn start(ensemble: &Ensemble) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        // The first member stays through every change, but a test may restart it. Beside it whoever serves is asked: a change that
        // came while the first was away was missed, and two steps were taken for one (seen in CI).
        let addresses = [ensemble.address("0").await, ensemble.address("client").await];
        let changes = addresses.map(|address| tokio::spawn(record_changes(address, stop.clone())));
        let samples = tokio::spawn(record_samples(ensemble.clone(), stop.clone()));
        Self { stop, changes, samples }
    }

    pub async fn stop(self) -> History {
        self.stop.store(true, Ordering::Relaxed);
        let mut changes = BTreeMap::new();
        for seen in self.changes {
            changes.extend(seen.await.unwrap());
        }
        History { changes: changes.into_values().collect(), samples: self.samples.await.unwrap() }
    }
}

async fn record_changes(address: String, stop: Arc<AtomicBool>) -> BTreeMap<u64, (u128, Membership)> {
    let mut changes: BTreeMap<u64, (u128, Membership)> = BTreeMap::new();
    let mut client = None;
    while !stop.load(Ordering::Relaxed) {
        client = match client {
            // An address whose pod is gone answers nothing at all: a connection to it would hang for half a minute.
            None => tokio::time::timeout(CONNECT, connect(&address)).await.ok(),
            some => some,
        };
        let answer = match &client {
            Some(client) => tokio::time::timeout(ANSWER, client.get_config()).await.ok().and_then(Result::ok),
            None => None,
        };
        match answer {
            Some((text, stat)) => {
                let membership = Membership::parse(&String::from_utf8_lossy(&text)).unwrap();
                let at = u128::try_from(stat.mtime).unwrap_or_default();
                changes.entry(membership.version.0).or_insert((at, membership));
            }
            None => client = None,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    changes
}

async fn record_samples(ensemble: Ensemble, stop: Arc<AtomicBool>) -> Vec<Sample> {
    let mut samples = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let asked = now();
        let truths = ensemble.truths().await;
        samples.push(Sample { asked, answered: now(), truths });
        tokio::time::sleep(SAMPLE).await;
    }
    samples
}

impl History {
    /// The voters of each membership, in order.
    pub fn voters(&self) -> Vec<Vec<u32>> {
        self.changes.iter().map(|(_, membership)| membership.voters().map(|id| id.0).collect()).collect()
    }

    /// No two changes at once: each membership differs from the one before by one server. Where it does not differ, a leader gave
    /// up its seat and had it back between two samples.
    pub fn assert_one_at_a_time(&self) {
        for pair in self.changes.windows(2) {
            let ids = |membership: &Membership| membership.servers.keys().copied().collect::<Vec<ServerId>>();
            let (before, after) = (ids(&pair[0].1), ids(&pair[1].1));
            let gone = before.iter().filter(|id| !after.contains(id)).count();
            let new = after.iter().filter(|id| !before.contains(id)).count();
            assert!(gone + new <= 1, "{before:?} -> {after:?}");
        }
    }

    /// At each change every voter of the membership before had just said that it serves and is synced.
    pub fn assert_all_synced_before_each(&self) {
        for pair in self.changes.windows(2) {
            let ((_, before), (at, after)) = (&pair[0], &pair[1]);
            for voter in before.voters() {
                // The last that it said: a busy machine does not answer every time. What came after the change may speak of it: a
                // member between two memberships was taken for one that was not synced before.
                let before = |sample: &&Sample| sample.answered < *at && at - sample.asked < FRESH;
                let recent = self.samples.iter().rev().filter(before);
                let said = recent.flat_map(|sample| &sample.truths).find(|truth| truth.id == voter);
                let said = said.map(|truth| &truth.server);
                assert!(
                    matches!(said, Some(ServerState::Serving(_))),
                    "member {voter} was not synced when {:?} came: {said:?}",
                    after.lines()
                );
            }
        }
    }
}
