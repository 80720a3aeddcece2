//! From a manifest to an archive from which the tree can be built again.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use menagerie::archive::bases;
use menagerie::archive::chains;
use menagerie::archive::store::Store;
use serde_json::json;
use zookeeper_client::{Acls, CreateMode};
use zookeeper_files::disk::{MemberFiles, Point, rebuild};
use zookeeper_files::ids::Zxid;
use zookeeper_files::replay::Tree;

use super::cluster::{BRIDGE, PATIENCE, condition, eventually, in_namespace, kill_operator, s3};
use super::gateway::{BUCKET, Gateway, KEY, SECRET, store_at};
use super::writers::{Writers, connect};

/// By disk: the last transaction that is archived.
async fn archived(store: &Store, identity: &str) -> Vec<Zxid> {
    let mut lasts = Vec::new();
    for chain in chains::chains(store, identity).await.unwrap() {
        lasts.extend(chains::last(store, identity, &chain).await.unwrap().map(|facts| facts.last));
    }
    lasts
}

/// Waits until one disk's log has this transaction in the archive.
pub async fn shipped(store: &Store, identity: &str, zxid: Zxid) {
    eventually(PATIENCE, "the last write in the archive", async || {
        archived(store, identity).await.into_iter().any(|last| last >= zxid)
    })
    .await;
}

#[tokio::test]
async fn what_was_acknowledged_is_in_the_archive_soon_and_the_tree_can_be_built_from_it() {
    in_namespace("archive", |space| async move {
        let gateway = Gateway::start(BRIDGE).await;
        space.keys(KEY, "wrong");
        let s3 = s3(gateway.address);
        let zk = space.ensemble("zk", json!({"replicas": 3, "archive": {"s3": s3}})).await;
        let identity = zk.ready(3).await.identity.unwrap();
        let message = zk.condition("ContinuousArchiving", "False", "AccessDenied").await;
        assert!(message.contains("the store says SignatureDoesNotMatch") && !message.contains("wrong"), "{message}");
        assert!(gateway.store().folders("").await.unwrap().is_empty());

        // Right keys need no restart.
        let pods = || space.kubectl(&["get", "pods", "-o", "jsonpath={.items[*].metadata.uid}"]);
        let before = pods();
        space.keys(KEY, SECRET);
        zk.condition("ContinuousArchiving", "True", "Shipping").await;
        assert_eq!(pods(), before);

        let writers = Writers::start(&zk.address("client").await, 2).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        kill_operator(&space.client).await;
        let leader = zk.status().await.leader.unwrap();
        zk.delete_pod(&leader).await;
        zk.ready(3).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        writers.stop().await;
        let client = connect(&zk.address("client").await).await;
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        let (stat, _) = client.create("/last", b"data", &options).await.unwrap();
        let last = Zxid(stat.czxid.cast_unsigned());

        let store = gateway.store();
        eventually(PATIENCE, "the last write in both chains", async || {
            let lasts = archived(&store, &identity).await;
            lasts.len() == 2 && lasts.iter().all(|zxid| *zxid >= last)
        })
        .await;
        // A member whose log was cut lacks what it was synced with, which only its snapshot has: then the other chain has it. Together
        // they give the tree, and each digest of the leader's is met on the way.
        let folder = tempfile::tempdir().unwrap();
        let mut members = Vec::new();
        for chain in chains::chains(&store, &identity).await.unwrap() {
            let logs = folder.path().join(chain.to_string());
            fs::create_dir(&logs).unwrap();
            fs::write(logs.join("snapshot.0"), Tree::initial().write(Vec::new()).unwrap()).unwrap();
            for key in chains::segments(&store, &identity, &chain).await.unwrap() {
                let segment = chains::segment(&store, &identity, &key).await.unwrap().unwrap();
                fs::write(logs.join(format!("log.{}", key.first)), &segment.log).unwrap();
            }
            members.push(MemberFiles::find(logs.to_str().unwrap()).unwrap());
        }
        let rebuilt = rebuild(&members, Point::Zxid(last), &mut |_| ()).unwrap();
        assert_eq!(rebuilt.replay.mismatch(), None);
        assert!(rebuilt.replay.checked() > 100, "{}", rebuilt.replay.checked());
        assert_eq!(rebuilt.replay.tree().get(b"/last").unwrap().data(), Some(&b"data"[..]));
        // The keys are in no log and no object that others read.
        let seen = space.kubectl(&["get", "pods,sts,cm,zke,events", "-o", "yaml"]);
        let logs = space.kubectl(&["logs", "zk-0", "-c", "agent"]);
        assert!(!seen.contains(SECRET) && !logs.contains(SECRET));
        assert_eq!(condition(&zk.status().await, "ContinuousArchiving").0, "True");
        // With another secret the same store refuses: the gateway checks.
        assert!(store_at(gateway.address, "wrong", BUCKET).unwrap().folders("").await.is_err());
    })
    .await;
}

#[tokio::test]
async fn an_archive_that_is_switched_on_late_is_enough_to_build_the_tree() {
    in_namespace("archive-late", |space| async move {
        let gateway = Gateway::start(BRIDGE).await;
        space.keys(KEY, SECRET);
        let zk = space.ensemble("zk", json!({"replicas": 3, "config": {"snapCount": "200"}})).await;
        let identity = zk.ready(3).await.identity.unwrap();
        let writers = Writers::start(&zk.address("client").await, 2).await;
        let client = connect(&zk.address("client").await).await;
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        client.create("/early", b"data", &options).await.unwrap();
        // So much that the logs with the beginning are purged or will be: servers keep three snapshots.
        tokio::time::sleep(Duration::from_secs(20)).await;
        let s3 = s3(gateway.address);
        let patch = json!({"spec": {"archive": {"s3": s3}}}).to_string();
        space.kubectl(&["patch", "zke", "zk", "--type", "merge", "-p", &patch]);
        zk.condition("ContinuousArchiving", "True", "Shipping").await;
        zk.ready(3).await;
        let store = gateway.store();
        eventually(PATIENCE, "a base", async || bases::newest(&store, &identity).await.unwrap().is_some()).await;
        writers.stop().await;
        let client = connect(&zk.address("client").await).await;
        let (stat, _) = client.create("/last", b"data", &options).await.unwrap();
        let last = Zxid(stat.czxid.cast_unsigned());
        eventually(PATIENCE, "the last write in both chains", async || {
            let lasts = archived(&store, &identity).await;
            lasts.len() == 2 && lasts.iter().all(|zxid| *zxid >= last)
        })
        .await;
        eventually(PATIENCE, "the base in the message", async || {
            condition(&zk.status().await, "ContinuousArchiving").2.contains("its newest base is of 0x")
        })
        .await;

        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("fetched");
        let fetched = Command::new(env!("CARGO_BIN_EXE_menagerie"))
            .args(["archive", "fetch", &format!("s3://{BUCKET}/zookeeper/a"), "--to", to.to_str().unwrap()])
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("AWS_ENDPOINT_URL", format!("http://{}", gateway.address))
            .env("AWS_ALLOW_HTTP", "true")
            .output()
            .unwrap();
        assert!(fetched.status.success(), "{}", String::from_utf8_lossy(&fetched.stderr));
        let folders = fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().path());
        let members: Vec<_> = folders.map(|path| MemberFiles::find(path.to_str().unwrap()).unwrap()).collect();
        let rebuilt = rebuild(&members, Point::Zxid(last), &mut |_| ()).unwrap();
        assert_eq!(rebuilt.replay.mismatch(), None);
        assert!(rebuilt.base.is_some() && rebuilt.replay.checked() > 0, "{:?}", rebuilt.base);
        for path in [&b"/early"[..], b"/last"] {
            assert_eq!(rebuilt.replay.tree().get(path).unwrap().data(), Some(&b"data"[..]));
        }
    })
    .await;
}

/// Switching it on restarts the members, and before the next write nothing of what was there could be archived: half an hour later the
/// archive was empty, and the condition said that all was in it.
#[tokio::test]
async fn an_archive_that_is_switched_on_where_nobody_writes_has_everything_soon_and_does_not_say_so_before() {
    in_namespace("archive-idle", |space| async move {
        let gateway = Gateway::start(BRIDGE).await;
        space.keys(KEY, SECRET);
        let zk = space.ensemble("zk", json!({"replicas": 1})).await;
        let identity = zk.ready(1).await.identity.unwrap();
        let client = connect(&zk.address("client").await).await;
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        let mut last = Zxid(0);
        for name in ["/a", "/b", "/important"] {
            let (stat, _) = client.create(name, b"data", &options).await.unwrap();
            last = Zxid(stat.czxid.cast_unsigned());
        }
        // A client that stays would come back, and its session is a write, too.
        drop(client);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let s3 = s3(gateway.address);
        let patch = json!({"spec": {"archive": {"s3": s3}}}).to_string();
        space.kubectl(&["patch", "zke", "zk", "--type", "merge", "-p", &patch]);
        let store = gateway.store();
        let mut early = None::<Instant>;
        eventually(2 * PATIENCE, "what was written before, in the archive", async || {
            // The status first: what it says has to be so by now, or as soon as what has just become provable is stored.
            let (status, _, message) = condition(&zk.status().await, "ContinuousArchiving");
            let there = archived(&store, &identity).await.into_iter().any(|shipped| shipped >= last);
            let says = status == "True" && !message.contains("holds back its log");
            early = early.filter(|_| says && !there).or((says && !there).then(Instant::now));
            assert!(early.is_none_or(|since| since.elapsed() < Duration::from_secs(20)), "{message}");
            there
        })
        .await;
        zk.condition("ContinuousArchiving", "True", "Shipping").await;
        zk.ready(1).await;
        let events = space.kubectl(&["get", "events", "-o", "jsonpath={.items[*].reason}"]);
        assert_eq!(events.matches("Proving").count(), 1, "one write is enough: {events}");
    })
    .await;
}

#[tokio::test]
async fn a_store_that_goes_away_and_comes_back_is_said_with_the_lag_and_what_can_be_built_is_in_the_status() {
    in_namespace("archive-lag", |space| async move {
        let mut gateway = Gateway::start(BRIDGE).await;
        space.keys(KEY, SECRET);
        let s3 = s3(gateway.address);
        let zk = space.ensemble("zk", json!({"replicas": 3, "archive": {"s3": s3}})).await;
        zk.ready(3).await;
        zk.condition("ContinuousArchiving", "True", "Shipping").await;
        let client = connect(&zk.address("client").await).await;
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        client.create("/before", b"data", &options).await.unwrap();
        let points = async || {
            let archive = zk.status().await.archive?;
            Some((archive.first_recoverability_point?.zxid, archive.last_recoverability_point?.zxid))
        };
        eventually(PATIENCE, "both points", async || points().await.is_some()).await;
        assert!(points().await.unwrap().0.starts_with("0x"));

        gateway.stop();
        let (stat, _) = client.create("/meanwhile", b"data", &options).await.unwrap();
        zk.condition("ContinuousArchiving", "False", "TargetUnreachable").await;
        let (_, before) = points().await.unwrap();
        eventually(2 * PATIENCE, "the lag", async || {
            condition(&zk.status().await, "ContinuousArchiving").2.contains("behind by more than 1 min")
        })
        .await;
        assert_eq!(points().await.unwrap().1, before, "nothing was archived");

        gateway.run().await;
        zk.condition("ContinuousArchiving", "True", "Shipping").await;
        let message = condition(&zk.status().await, "ContinuousArchiving").2;
        assert!(!message.contains("behind"), "{message}");
        eventually(PATIENCE, "the write in both chains", async || {
            let identity = zk.status().await.identity.unwrap();
            let lasts = archived(&gateway.store(), &identity).await;
            lasts.len() == 2 && lasts.iter().all(|zxid| *zxid >= Zxid(stat.czxid.cast_unsigned()))
        })
        .await;
        // The point is written when it turns, with what was archived by then.
        let zxid = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
        let last = points().await.unwrap().1;
        assert!(zxid(&last) > zxid(&before), "{last}");
    })
    .await;
}
