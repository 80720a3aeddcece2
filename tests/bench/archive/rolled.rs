//! What roll-ups spare who reads an archive, and what they cost who prunes: `dev/bench archive rolled`.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use menagerie::archive::key::{Chain, DiskId};
use menagerie::archive::segment::{Link, SegmentWriter};
use menagerie::archive::store::Store;
use menagerie::model::ServerId;
use zookeeper_files::ids::Zxid;
use zookeeper_files::jute::Text;
use zookeeper_files::log::{Header, LogItem, LogReader, LogWriter, SessionId, Txn};

use super::gateway::{Gateway, KEY, SECRET};
use super::meter::Meter;
use super::world::{IDENTITY, TARGET, menagerie};
use crate::process::{Ran, run};

/// A day of a segment a second.
const SEGMENTS: u64 = 86_400;
/// Transactions in each.
const IN_EACH: u64 = 10;
const AT_ONCE: usize = 8;
const BEGUN: i64 = 1_700_000_000_000;

/// A day of log in a real store on loopback, read before and after it is rolled up.
pub async fn rolled() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let meter = Meter::before(gateway.address).await;
    let names = put(&gateway.store()).await;
    for (name, left) in names.iter().zip((0..SEGMENTS).rev()) {
        gateway.age(name, Duration::from_hours(2) + Duration::from_secs(left));
    }
    println!(
        "\n### A day of a segment a second, {IN_EACH} transactions in each, read before and after it is rolled up\n"
    );
    println!("| | requests: lists, gets | s | peak, MiB |\n|---|---|---|---|");
    read(&meter, "segments").await;
    let prune = ["archive", "prune", TARGET, "--keep", "30d", "--delete"];
    line("`archive prune` makes roll-ups", &meter, &prune).await;
    for name in gateway.store().names(&format!("{IDENTITY}/log/{}", chain().rolled())).await.unwrap() {
        gateway.age(&name, Duration::from_hours(2));
    }
    line("`archive prune`, an hour later, deletes what they have", &meter, &prune).await;
    read(&meter, "roll-ups").await;
}

async fn read(meter: &Meter, of: &str) {
    let middle = format!("{:#}", Zxid(1 << 32 | (SEGMENTS * IN_EACH / 2)));
    line(&format!("{of}: `archive list`"), meter, &["archive", "list", TARGET]).await;
    let dump = ["log", "dump", TARGET, "--from", &middle, "--to", &middle];
    line(&format!("{of}: `log dump` of one transaction"), meter, &dump).await;
    let tree = ["snapshot", "tree", TARGET, "--at", &middle, "--path", "/zookeeper"];
    line(&format!("{of}: `snapshot tree` at noon, without a base"), meter, &tree).await;
    line(&format!("{of}: `archive stat`"), meter, &["archive", "stat", TARGET]).await;
}

async fn line(what: &str, meter: &Meter, words: &[&str]) {
    let _ = meter.take();
    let Ran { took, peak } = run(command(meter).args(words)).await;
    let (requests, _) = meter.take();
    let of = |kind| requests.get(kind).copied().unwrap_or_default();
    println!("| {what} | {}, {} | {:.2} | {peak:.0} |", of("list"), of("get"), took.as_secs_f64());
}

fn command(meter: &Meter) -> Command {
    let mut command = menagerie();
    command.env("AWS_ACCESS_KEY_ID", KEY).env("AWS_SECRET_ACCESS_KEY", SECRET).env("AWS_REGION", "us-east-1");
    command.env("AWS_ENDPOINT_URL", format!("http://{}", meter.address)).env("AWS_ALLOW_HTTP", "true");
    command.env("RUST_LOG", "warn");
    command
}

fn chain() -> Chain {
    Chain::of(ServerId(1), DiskId::from_bits(1))
}

/// Stores the segments, and returns their names.
async fn put(store: &Store) -> Vec<String> {
    let mut previous = None;
    let objects = (0..SEGMENTS).map(|number| {
        let (name, object, link) = segment(number, previous.take());
        previous = Some(link);
        (name, object)
    });
    let stores: Vec<Store> = (0..AT_ONCE).map(|_| store.beside()).collect();
    let put = |(number, (name, object)): (usize, (String, Bytes))| {
        let store = stores[number % AT_ONCE].clone();
        async move {
            store.put(&name, object).await.unwrap();
            name
        }
    };
    stream::iter(objects.enumerate()).map(put).buffered(AT_ONCE).collect().await
}

/// One of a chain that begins with the ensemble: each second's transactions write to one znode.
fn segment(number: u64, previous: Option<Link>) -> (String, Bytes, Link) {
    let mut log = LogWriter::new(Vec::new(), 0).unwrap();
    for counter in number * IN_EACH + 1..=(number + 1) * IN_EACH {
        let time = BEGUN + i64::try_from(number).unwrap() * 1000;
        let header = Header { session: SessionId(0x1001), cxid: 1, zxid: Zxid(1 << 32 | counter), time };
        let (path, data) = (Text(b"/zookeeper"), Some(&b"a value of thirty bytes or so."[..]));
        let version = i32::try_from(counter).unwrap();
        log.append(header, &Txn::SetData { path, data, version, reconfig: false }, None).unwrap();
    }
    let log = log.into_inner();
    let (mut writer, mut reader) = (SegmentWriter::new().unwrap(), LogReader::new(&log[..]).unwrap());
    while let Some(LogItem::Record(record)) = reader.next().unwrap() {
        writer.append(&record).unwrap();
    }
    let follows = previous.is_some();
    let facts = writer.facts(IDENTITY, &chain(), 1, previous, follows).unwrap();
    let object = writer.pack(&facts).unwrap();
    (facts.key().path(IDENTITY), object.into(), facts.link())
}
