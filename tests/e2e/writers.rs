//! Clients that write all the time and remember what was acknowledged.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::runtime::Builder;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use zookeeper_client::{Acls, Client, CreateMode, Error, SessionInfo, SessionState};

pub const SESSION: Duration = Duration::from_secs(20);
const ANSWER: Duration = Duration::from_secs(30);
/// How long a writer that has lost its server waits for another before it asks the next one.
const ATTACH: Duration = Duration::from_secs(1);
const NEXT: Duration = Duration::from_millis(10);
/// A write every 10 ms and writer, as an application with something to do.
const PAUSE: Duration = Duration::from_millis(10);

/// Writers at work.
pub struct Writers {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<WriterTally>>,
}

/// An acknowledged write.
pub struct Write {
    pub at: Instant,
    pub name: String,
    /// The transaction that stored it: its epoch tells whose answer it was.
    pub czxid: i64,
}

/// What one writer was told is stored.
struct WriterTally {
    acknowledged: Vec<Write>,
    ended: Instant,
    expired: usize,
}

/// What all of them were told.
pub struct Tally {
    pub acknowledged: BTreeSet<String>,
    /// The same by writer, in order.
    pub writes: Vec<Vec<Write>>,
    /// Sessions that expired.
    pub expired: usize,
    /// Longest time that one writer waited between two acknowledged writes.
    pub longest_gap_of_one: Duration,
    /// Longest time in which no writer had a write acknowledged.
    pub longest_gap_of_all: Duration,
}

pub async fn connect(address: &str) -> Client {
    let started = Instant::now();
    loop {
        let connector = Client::connector().with_session_timeout(SESSION);
        match timeout(ANSWER, connector.connect(address)).await {
            Ok(Ok(client)) => return client,
            failed => assert!(
                started.elapsed() < Duration::from_mins(2),
                "no session with {address}: {:?}",
                failed.map(Result::err)
            ),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl Writers {
    /// Starts that many, each with a session of its own. Of several addresses each begins with another one.
    pub async fn start(addresses: &str, count: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let first = connect(addresses).await;
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        match first.create("/writes", &[], &options).await {
            Ok(_) | Err(Error::NodeExists) => {}
            Err(error) => panic!("{error}"),
        }
        // Others may have written here before.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let addresses: Vec<String> = addresses.split(',').map(str::to_owned).collect();
        let writer = |n| {
            let mut own = addresses.clone();
            own.rotate_left(n % addresses.len());
            let stop = Arc::clone(&stop);
            spawn_blocking(move || write(own, &format!("{now:x}-{n}"), &stop))
        };
        let tasks = (0..count).map(writer).collect();
        Self { stop, tasks }
    }

    /// Stops them and gives what was acknowledged.
    pub async fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut acknowledged = BTreeSet::new();
        let mut writes = Vec::new();
        let mut all = Vec::new();
        let mut longest_gap_of_one = Duration::ZERO;
        let mut expired = 0;
        for task in self.tasks {
            let tally = task.await.unwrap();
            acknowledged.extend(tally.acknowledged.iter().map(|write| write.name.clone()));
            expired += tally.expired;
            // Without an answer until the end, the end ends the gap.
            let at: Vec<Instant> = tally.acknowledged.iter().map(|write| write.at).chain([tally.ended]).collect();
            longest_gap_of_one = longest_gap_of_one.max(longest_gap(&at));
            all.extend(at);
            writes.push(tally.acknowledged);
        }
        all.sort_unstable();
        Tally { acknowledged, writes, expired, longest_gap_of_one, longest_gap_of_all: longest_gap(&all) }
    }
}

fn longest_gap(at: &[Instant]) -> Duration {
    at.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}

/// Each connection has a runtime of its own, which ends with it: a client that has lost its server would go on looking for
/// one in the background, up to a second between two attempts, and take the session away from its successor. An
/// application that is in a hurry asks another server at once.
fn write(mut addresses: Vec<String>, writer: &str, stop: &AtomicBool) -> WriterTally {
    let mut tally = WriterTally { acknowledged: Vec::new(), ended: Instant::now(), expired: 0 };
    let mut session = None;
    let mut n = 0u32;
    let mut since = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let connection = Builder::new_current_thread().enable_all().build().unwrap();
        match connection.block_on(attach(&addresses[0], session.clone())) {
            Ok(client) => {
                session = Some(connection.block_on(write_on(client, writer, &mut n, stop, &mut tally)));
                since = Instant::now();
            }
            Err(Error::SessionExpired) => {
                tally.expired += 1;
                session = None;
            }
            Err(error) => {
                assert!(since.elapsed() < Duration::from_mins(2), "no session with {addresses:?}: {error}");
                sleep(NEXT);
            }
        }
        addresses.rotate_left(1);
    }
    tally.ended = Instant::now();
    tally
}

/// The same session, as long as it lives.
async fn attach(address: &str, session: Option<SessionInfo>) -> Result<Client, Error> {
    let mut connector = Client::connector().with_session_timeout(SESSION).with_detached().with_fail_eagerly();
    if let Some(session) = session {
        connector = connector.with_session(session);
    }
    timeout(ATTACH, connector.connect(address)).await.unwrap_or(Err(Error::Timeout))
}

/// Until the server is lost, or the end. A connection may end in the pause between two writes: the client would then keep
/// the next one until that very server is back, and nobody would be told.
async fn write_on(
    client: Client,
    writer: &str,
    n: &mut u32,
    stop: &AtomicBool,
    tally: &mut WriterTally,
) -> SessionInfo {
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let mut states = client.state_watcher();
    let lost = async { while states.changed().await == SessionState::SyncConnected {} };
    tokio::pin!(lost);
    while !stop.load(Ordering::Relaxed) && client.state() == SessionState::SyncConnected {
        let name = format!("{writer}-{n:06}");
        *n += 1;
        // Without an answer it is not acknowledged: it may be there or not.
        let path = format!("/writes/{name}");
        let answer = tokio::select! {
            biased;
            answer = timeout(ANSWER, client.create(&path, name.as_bytes(), &options)) => answer,
            () = &mut lost => break,
        };
        let Ok(Ok((stat, _))) = answer else { break };
        tally.acknowledged.push(Write { at: Instant::now(), name, czxid: stat.czxid });
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = &mut lost => break,
        }
    }
    client.into_session()
}

impl Tally {
    /// Every acknowledged write is there.
    pub async fn assert_all_there(&self, address: &str) {
        assert!(self.acknowledged.len() > 20, "the writers wrote next to nothing: {}", self.acknowledged.len());
        let client = connect(address).await;
        client.sync("/writes").await.unwrap();
        let there: BTreeSet<String> = client.list_children("/writes").await.unwrap().into_iter().collect();
        let lost: Vec<&String> = self.acknowledged.difference(&there).collect();
        assert!(
            lost.is_empty(),
            "{} of {} acknowledged writes are lost: {lost:?}",
            lost.len(),
            self.acknowledged.len()
        );
        println!(
            "{} acknowledged writes are all there; longest gap of one writer {:?}, of all {:?}",
            self.acknowledged.len(),
            self.longest_gap_of_one,
            self.longest_gap_of_all
        );
    }
}
