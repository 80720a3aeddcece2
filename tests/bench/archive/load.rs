//! Clients that write: at a fixed rate, whatever the answers take, or as fast as they come.

use std::time::{Duration, Instant};

use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};
use zookeeper_client::{Acls, Client, CreateMode, CreateOptions};
use zookeeper_files::ids::Zxid;

/// Bytes of data, as few as most znodes have.
pub const BYTES: usize = 100;
/// Operations of one multi: far below `jute.maxbuffer`.
const MULTI: usize = 100;
/// Multis on their way in one session.
const WINDOW: usize = 8;
/// However slow the machine is.
const PATIENCE: Duration = Duration::from_mins(2);
const SESSION: Duration = Duration::from_secs(40);

/// Random hexadecimal digits: what repeats itself would be packed to nothing.
pub fn data() -> [u8; BYTES] {
    rand::random::<[u8; BYTES]>().map(|byte| b"0123456789abcdef"[usize::from(byte & 0xf)])
}

/// An acknowledged write.
#[derive(Clone, Copy)]
pub struct Ack {
    pub zxid: Zxid,
    /// When the answer was here.
    pub at: Instant,
    /// Since it was due.
    pub took: Duration,
}

pub async fn connect(server: &str, password: &str) -> Client {
    let auth = format!("super:{password}");
    let connector = Client::connector().with_session_timeout(SESSION).with_auth("digest", auth.as_bytes());
    timeout(PATIENCE, connector.connect(server)).await.unwrap().unwrap()
}

pub fn open() -> CreateOptions<'static> {
    CreateMode::Persistent.with_acls(Acls::anyone_all())
}

/// Sets data so many times a second for so long, spread over the sessions. A write that is due is sent, whether or not those before it were
/// answered, and its time counts from when it was due: servers that pause do not make fewer writes wait.
pub async fn paced(clients: &[Client], paths: &[String], rate: u32, time: Duration) -> Vec<Ack> {
    let count = u32::try_from(clients.len()).unwrap();
    let every = Duration::from_secs(1) * count / rate;
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for (number, client) in (0..count).zip(clients) {
        let own: Vec<String> = paths.iter().skip(number as usize).step_by(clients.len()).cloned().collect();
        let (client, first) = (client.clone(), begun + every * number / count);
        tasks.spawn(async move { one(&client, &own, first, every, begun + time).await });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

async fn one(client: &Client, paths: &[String], first: Instant, every: Duration, end: Instant) -> Vec<Ack> {
    let (mut acks, mut answers) = (Vec::new(), FuturesUnordered::new());
    let (mut due, mut paths) = (first, paths.iter().cycle());
    let set = |path: String, due: Instant| async move {
        let stat = timeout(PATIENCE, client.set_data(&path, &data(), None)).await.unwrap().unwrap();
        let at = Instant::now();
        Ack { zxid: Zxid(stat.mzxid.cast_unsigned()), at, took: at - due }
    };
    loop {
        tokio::select! {
            biased;
            () = sleep_until(due.into()), if due < end => {
                while due <= Instant::now() && due < end {
                    answers.push(set(paths.next().unwrap().clone(), due));
                    due += every;
                }
            }
            Some(ack) = answers.next() => acks.push(ack),
            else => return acks,
        }
    }
}

/// What one multi does to its paths.
#[derive(Clone, Copy)]
pub enum Change {
    Create,
    Delete,
}

/// Changes all of these znodes as fast as it goes, many at a time.
pub async fn many(clients: &[Client], paths: Vec<String>, change: Change) {
    let mut tasks = JoinSet::new();
    let share = paths.len().div_ceil(clients.len());
    for (client, own) in clients.iter().zip(paths.chunks(share)) {
        let (client, own) = (client.clone(), own.to_vec());
        tasks.spawn(async move {
            let parts: Vec<Vec<String>> = own.chunks(MULTI).map(<[String]>::to_vec).collect();
            let multis = parts.into_iter().map(|paths| multi(client.clone(), paths, change));
            futures::stream::iter(multis).buffer_unordered(WINDOW).for_each(async |()| ()).await;
        });
    }
    tasks.join_all().await;
}

async fn multi(client: Client, paths: Vec<String>, change: Change) {
    let mut writer = client.new_multi_writer();
    for path in &paths {
        match change {
            Change::Create => writer.add_create(path, &data(), &open()),
            Change::Delete => writer.add_delete(path, None),
        }
        .unwrap();
    }
    timeout(PATIENCE, writer.commit()).await.unwrap().unwrap();
}

/// Sets data as fast as the answers come, a hundred at a time in each session; how long that took.
pub async fn set(clients: &[Client], paths: &[String], count: usize) -> Duration {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for (number, client) in clients.iter().enumerate() {
        let (client, paths) = (client.clone(), paths.to_vec());
        let own = (number..count).step_by(clients.len());
        tasks.spawn(async move {
            let sets = own.map(|n| client.set_data(&paths[n % paths.len()], &data(), None));
            futures::stream::iter(sets)
                .buffer_unordered(MULTI)
                .for_each(async |answer| {
                    answer.unwrap();
                })
                .await;
        });
    }
    tasks.join_all().await;
    begun.elapsed()
}
