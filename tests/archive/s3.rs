//! The archive in a real S3 store, with a proxy before it that lets requests go wrong.

use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use axum::http::Method;
use bytes::Bytes;
use menagerie::agent::bases::{Bases, Pace};
use menagerie::archive::access::s3::S3Access;
use menagerie::archive::access::{Access, Network};
use menagerie::archive::backlog::Backlog;
use menagerie::archive::bases;
use menagerie::archive::collect::Collection;
use menagerie::archive::key::{BaseKey, Chain, DiskId};
use menagerie::archive::probe::{CreateOnly as Found, probed};
use menagerie::archive::shipper::{Outcome, ShipError, Shipper};
use menagerie::archive::store::{Put, Store, StoreErrorKind};
use menagerie::archive::target::Target;
use menagerie::archive::tree::{may_pass, tree_at};
use menagerie::archive::upload::Step;
use tokio::time::timeout;
use zookeeper_files::disk::Point;

use super::bases::{History, agent, rounds, upload};
use super::gateway::{BUCKET, Gateway, KEY, PREFIX, SECRET, store_at};
use super::proxy::{CreateOnly, Fault, Proxy, Rule, Trouble};
use super::shipping::{IDENTITY, Place, archived, at, chain, range, shipped};

async fn shipper(place: &Place, store: Store) -> Result<Shipper, ShipError> {
    Shipper::resume(store, IDENTITY, chain(), Backlog::of(&place.data())).await
}

/// Ships like the agent, which tries again after an error.
async fn ship(shipper: &mut Shipper) -> Outcome {
    for _ in 0..3 {
        match shipper.ship(at(1, 9), 1).await {
            Ok(outcome) => return outcome,
            Err(error @ ShipError::Conflict { .. }) => panic!("{error}"),
            Err(error) => eprintln!("again: {error}"),
        }
    }
    panic!("not shipped in three tries");
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn what_is_shipped_to_s3_is_read_back_as_it_was() {
    let (gateway, place) = (Gateway::start(Ipv4Addr::LOCALHOST.into()).await, Place::new());
    place.log(1, 1..=9, "a");
    let mut shipper = shipper(&place, gateway.store()).await.unwrap();
    assert_eq!(ship(&mut shipper).await, shipped(range(1, 1, 9)));
    let segments = archived(&gateway.store()).await;
    assert_eq!((segments.len(), segments[0].facts.count), (1, 9));
    assert_eq!(gateway.store().get("nothing", None).await.unwrap(), None);
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn a_store_says_what_is_wrong_with_it() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let denied = store_at(gateway.address, "wrong", "backups").unwrap();
    let error = denied.put("a", Bytes::from_static(b"a")).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Denied, "{error}");
    assert!(!error.to_string().contains("wrong"), "a secret is in {error}");
    let missing = store_at(gateway.address, SECRET, "nowhere").unwrap();
    let error = missing.put("a", Bytes::from_static(b"a")).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::NoBucket, "{error}");
    assert!(error.to_string().contains("NoSuchBucket"), "{error}");
}

/// It says so with HTTP 404, and was said to have no such bucket: then nothing is purged on the members' disks.
#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn a_key_that_a_store_does_not_know_is_no_missing_bucket() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let access = S3Access {
        keys: Some(("nobody".to_owned(), SECRET.to_owned())),
        ..S3Access::at(&format!("http://{}", gateway.address), Network::default())
    };
    let target = Target::S3 { bucket: BUCKET.to_owned(), prefix: PREFIX.to_owned() };
    let store = Store::open_with(&target, &Access::S3(access)).unwrap();
    let put = store.put("a", Bytes::from_static(b"a")).await.unwrap_err();
    let list = store.folders("").await.unwrap_err();
    for error in [put, list] {
        assert_eq!(error.kind, StoreErrorKind::Denied, "{error}");
        assert!(error.to_string().contains("the store does not know this access key"), "{error}");
    }
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn puts_have_a_checksum_once_a_bucket_with_object_lock_wants_one_and_none_where_it_may_not_be_known() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let proxy = Proxy::before(gateway.address).await;
    let store = store_at(proxy.address, SECRET, "backups").unwrap();
    proxy.trouble(Some(Trouble::NoChecksums));
    assert_eq!(store.put("a", Bytes::from_static(b"a")).await.unwrap(), Put::Stored);
    proxy.trouble(Some(Trouble::Locks));
    proxy.requests();
    assert_eq!(store.put("b", Bytes::from_static(b"b")).await.unwrap(), Put::Stored);
    assert_eq!(store.put("b", Bytes::from_static(b"c")).await.unwrap(), Put::Taken);
    // It is asked once for what it wants, for all that share the store.
    assert_eq!(proxy.requests().len(), 3);
    assert_eq!(store.beside().get("b", None).await.unwrap().unwrap(), "b");
    store.beside().put("c", Bytes::from_static(b"c")).await.unwrap();
    assert!(proxy.puts().last().unwrap().contains_key("x-amz-checksum-sha256"));
    assert_eq!(proxy.requests().len(), 2);
}

/// It was said to have no archive.
#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn a_page_of_a_console_is_no_empty_list() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let proxy = Proxy::before(gateway.address).await;
    let store = store_at(proxy.address, SECRET, "backups").unwrap();
    proxy.trouble(Some(Trouble::Console));
    let folders = store.folders("").await.unwrap_err();
    let names = store.names("").await.unwrap_err();
    for error in [folders, names] {
        assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("no list of a store but text/html"), "{error}");
    }
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn tests_1_to_3_whatever_becomes_of_a_put_each_transaction_is_stored_once() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let proxy = Proxy::before(gateway.address).await;
    for fault in [Fault::StoredButError, Fault::StoredButCut, Fault::Race, Fault::SlowDown] {
        let place = Place::of(&format!("fault-{fault:?}").to_lowercase());
        place.log(1, 1..=9, "a");
        let store = store_at(proxy.address, SECRET, "backups").unwrap();
        let mut shipper = Shipper::resume(store, &place.identity, chain(), Backlog::of(&place.data())).await.unwrap();
        proxy.next(&[fault]);
        assert_eq!(ship(&mut shipper).await, shipped(range(1, 1, 9)), "{fault:?}");
        let segments = super::shipping::archived_of(&gateway.store(), &place.identity).await;
        assert_eq!(segments.iter().map(|segment| segment.facts.count).sum::<u64>(), 9, "{fault:?}");
        assert_eq!(shipper.ship(at(1, 9), 1).await.unwrap(), Outcome::Idle);
    }
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn a_store_that_is_away_costs_an_error_and_nothing_is_lost_or_stored_twice() {
    let (mut gateway, place) = (Gateway::start(Ipv4Addr::LOCALHOST.into()).await, Place::new());
    place.log(1, 1..=5, "a");
    let mut shipper = shipper(&place, gateway.store()).await.unwrap();
    assert_eq!(shipper.ship(at(1, 5), 1).await.unwrap(), shipped(range(1, 1, 5)));
    gateway.stop();
    place.log(1, 6..=9, "a");
    let error = timeout(Duration::from_secs(100), shipper.ship(at(1, 9), 1)).await.unwrap().unwrap_err();
    assert!(matches!(&error, ShipError::Store(error) if error.kind == StoreErrorKind::Unavailable), "{error}");
    gateway.run().await;
    assert_eq!(ship(&mut shipper).await, shipped(range(1, 6, 9)));
    assert_eq!(archived(&gateway.store()).await.len(), 2);
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn test_45_nothing_is_asked_of_the_store_while_the_log_does_not_grow() {
    let (gateway, place) = (Gateway::start(Ipv4Addr::LOCALHOST.into()).await, Place::new());
    let proxy = Proxy::before(gateway.address).await;
    place.log(1, 1..=9, "a");
    let mut shipper = shipper(&place, store_at(proxy.address, SECRET, "backups").unwrap()).await.unwrap();
    proxy.requests();
    assert_eq!(ship(&mut shipper).await, shipped(range(1, 1, 9)));
    assert_eq!(proxy.requests(), [Method::PUT]);
    for _ in 0..100 {
        assert!(!shipper.has_more().unwrap());
        assert_eq!(shipper.ship(at(1, 9), 1).await.unwrap(), Outcome::Idle);
    }
    assert!(proxy.requests().is_empty());
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn nothing_in_a_bucket_is_overwritten() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let store = gateway.store();
    assert_eq!(store.put("a", Bytes::from_static(b"one")).await.unwrap(), Put::Stored);
    assert_eq!(store.put("a", Bytes::from_static(b"two")).await.unwrap(), Put::Taken);
    assert_eq!(store.get("a", None).await.unwrap().unwrap(), "one");
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn tests_6_and_7_a_store_that_would_overwrite_is_found_out_and_looked_at_before_each_put() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    for (create_only, keeps) in [
        (CreateOnly::Obeyed, Found::Obeyed),
        (CreateOnly::Ignored, Found::Ignored),
        (CreateOnly::NotImplemented, Found::NotImplemented),
    ] {
        let proxy = Proxy::of_a_store(gateway.address, create_only).await;
        let identity = format!("{create_only:?}").to_lowercase();
        for _ in 0..2 {
            let store = store_at(proxy.address, SECRET, "backups").unwrap();
            let (store, says) = probed(store, &identity, &chain()).await.unwrap();
            assert_eq!(says, keeps, "{create_only:?}");
            assert_eq!(says.words().is_some_and(|words| words.contains("HTTP 501")), says == Found::NotImplemented);
            let name = format!("{identity}/a");
            store.put(&name, Bytes::from_static(b"one")).await.unwrap();
            assert_eq!(store.put(&name, Bytes::from_static(b"two")).await.unwrap(), Put::Taken, "{create_only:?}");
            assert_eq!(store.get(&name, None).await.unwrap().unwrap(), "one", "{create_only:?}");
        }
    }
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn test_22_a_base_is_stored_once_whatever_becomes_of_each_put_and_read_back_as_it_was() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let proxy = Proxy::before(gateway.address).await;
    let (place, history) = (Place::new(), History::of(9, 500_000));
    history.log(&place.data(), 1..=9);
    let path = history.snapshot(&place.data(), 9);
    let mut shipper = shipper(&place, gateway.store()).await.unwrap();
    while !matches!(shipper.ship(at(1, 9), 1).await.unwrap(), Outcome::Idle) {}

    let mut upload = upload(&place, store_at(proxy.address, SECRET, "backups").unwrap());
    // Three parts and a manifest.
    for fault in [Fault::StoredButError, Fault::StoredButCut, Fault::Race, Fault::StoredButCut] {
        assert_eq!(bases::newest(&gateway.store(), IDENTITY).await.unwrap(), None);
        proxy.next(&[fault]);
        while let Err(error) = upload.step().await {
            assert!(error.can_be_tried_again(), "{fault:?}: {error}");
        }
    }
    let manifest = bases::newest(&gateway.store(), IDENTITY).await.unwrap().unwrap();
    assert_eq!((manifest.zxid, manifest.parts.len()), (at(1, 9), 3));
    let mut bytes = Vec::new();
    let mut take = |more: &[u8]| {
        bytes.extend_from_slice(more);
        Ok(())
    };
    bases::read(&gateway.store(), &manifest, &mut take).await.unwrap();
    assert_eq!(bytes, fs::read(path).unwrap());
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn a_base_costs_a_put_for_each_part_and_nothing_is_asked_of_the_store_while_none_is_wanted() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let proxy = Proxy::before(gateway.address).await;
    let (place, history) = (Place::new(), History::of(9, 10));
    history.log(&place.data(), 1..=9);
    history.snapshot(&place.data(), 5);
    let store = store_at(proxy.address, SECRET, "backups").unwrap();
    let mut shipper = shipper(&place, store.clone()).await.unwrap();
    assert_eq!(ship(&mut shipper).await, shipped(range(1, 1, 9)));
    let mut agent = agent(&place, store, chain());
    proxy.requests();
    assert_eq!(rounds(&mut agent, at(1, 9)).await, Some(at(1, 5)));
    let requests = proxy.requests();
    let puts = requests.iter().filter(|method| **method == Method::PUT).count();
    // Among them what the archive leads to, which is asked anew around each base.
    assert!(puts == 2 && requests.len() <= 17, "{requests:?}");
    // A later one that is not due yet, and one that is none.
    history.snapshot(&place.data(), 8);
    history.snapshot_as(&place.data(), 3, at(1, 7));
    assert_eq!(rounds(&mut agent, at(1, 9)).await, Some(at(1, 5)));
    assert!(proxy.requests().is_empty());
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn an_agent_that_was_killed_asks_for_a_part_before_it_sends_it() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let proxy = Proxy::before(gateway.address).await;
    let (place, history) = (Place::new(), History::of(9, 500_000));
    history.log(&place.data(), 1..=9);
    history.snapshot(&place.data(), 9);
    let mut life = upload(&place, store_at(proxy.address, SECRET, "backups").unwrap());
    for _ in 0..2 {
        life.step().await.unwrap();
    }
    let mut life = upload(&place, store_at(proxy.address, SECRET, "backups").unwrap());
    while !matches!(life.step().await.unwrap(), Step::Done(_)) {}
    // Three parts and a manifest.
    let puts = proxy.requests().into_iter().filter(|method| *method == Method::PUT);
    assert_eq!(puts.count(), 4);
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn one_object_of_a_store_is_on_its_way_at_a_time_and_who_asked_first_is_first() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let proxy = Proxy::before(gateway.address).await;
    proxy.rule(&[("PUT /part", Rule::Hold)]);
    let store = store_at(proxy.address, SECRET, "backups").unwrap();
    let put = |names: &'static [&'static str]| {
        let store = store.clone();
        tokio::spawn(async move {
            for name in names {
                store.put(name, Bytes::from_static(b"x")).await.unwrap();
            }
        })
    };
    let parts = put(&["part-0", "part-1"]);
    while proxy.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    let segment = put(&["segment"]);
    // A list takes no turn: segments would wait for all of its pages.
    for _ in 0..3 {
        store.folders("").await.unwrap();
    }
    assert!(!proxy.asked().iter().any(|asked| asked.contains("segment")), "{:?}", proxy.asked());
    proxy.rule(&[]);
    segment.await.unwrap();
    parts.await.unwrap();
    let puts: Vec<_> = proxy.asked().into_iter().filter(|asked| asked.starts_with("PUT")).collect();
    assert!(puts[1].ends_with("/segment") && puts[2].ends_with("/part-1"), "{puts:?}");
}

/// It was asked once a minute for ever, and the bill of an idle ensemble grew.
#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn a_newest_base_that_cannot_be_read_is_asked_for_more_and_more_seldom() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let proxy = Proxy::before(gateway.address).await;
    let (place, history) = (Place::new(), History::of(9, 10));
    history.log(&place.data(), 1..=9);
    history.snapshot(&place.data(), 5);
    let store = store_at(proxy.address, SECRET, "backups").unwrap();
    let mut shipper = shipper(&place, store.clone()).await.unwrap();
    ship(&mut shipper).await;
    let key = BaseKey { zxid: at(1, 9), chain: Chain { disk: DiskId::from_bits(9), ..chain() } };
    store.put(&key.manifest(IDENTITY), Bytes::from_static(b"x")).await.unwrap();
    proxy.rule(&[("GET /manifest", Rule::Deny)]);
    let seldom = Pace {
        look: Duration::ZERO,
        soon: Duration::ZERO,
        pause: Duration::from_millis(1),
        longest: Duration::from_hours(1),
    };
    let mut agent = Bases::new(store, IDENTITY, chain(), &place.data(), seldom);
    proxy.requests();
    assert_eq!(rounds(&mut agent, at(1, 9)).await, None);
    // Each time twice as late: in an hour some twenty times.
    let asked = proxy.requests().len() / 2;
    assert!((2..=22).contains(&asked), "{asked}");
    assert!(agent.trouble().is_some());
}

/// One object that lay in a colder storage class made points unbuildable that another disk's log had.
#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn an_object_that_the_store_refuses_to_give_is_missing_in_its_own_log_only_and_may_be_given_later() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let proxy = Proxy::before(gateway.address).await;
    let (place, history) = (Place::new(), History::of(9, 10));
    history.log(&place.data(), 1..=9);
    for disk in [7, 8] {
        let chain = Chain { disk: DiskId::from_bits(disk), ..chain() };
        let backlog = Backlog::of(&place.data());
        let mut shipper = Shipper::resume(gateway.store(), IDENTITY, chain, backlog).await.unwrap();
        for applied in [3, 6, 9] {
            shipper.ship(at(1, applied), 1).await.unwrap();
        }
    }
    let store = store_at(proxy.address, SECRET, "backups").unwrap();
    let work = tempfile::tempdir().unwrap();
    let tree = async || {
        let collection = Collection::of(&store, IDENTITY).await?;
        let built = tree_at(&collection, Point::Zxid(at(1, 9)), &work.path().join("archive"), &|_| ()).await;
        built.map(|built| built.tree)
    };
    for number in ["0100000001", "0100000004", "0100000007"] {
        proxy.rule(&[(&format!("GET 0000000000000007 {number}"), Rule::Deny)]);
        assert_eq!(tree().await.unwrap().digest(), history.trees[9].digest(), "{number}");
    }
    for number in ["0100000001", "0100000004", "0100000007"] {
        proxy.rule(&[(&format!("GET 0000000000000007 {number}"), Rule::Gone)]);
        assert_eq!(tree().await.unwrap().digest(), history.trees[9].digest(), "{number}");
    }
    proxy.rule(&[("GET /0000000100000004", Rule::Gone)]);
    let refused = tree().await.unwrap_err();
    assert!(format!("{refused:#}").contains("/0000000100000004 was deleted meanwhile"), "{refused:#}");
    // Who lists again does not meet it again.
    assert!(may_pass(&refused), "{refused:#}");
    proxy.rule(&[("GET /0000000100000004", Rule::Deny)]);
    let refused = tree().await.unwrap_err();
    assert!(may_pass(&refused), "{refused:#}");
    assert!(format!("{refused:#}").contains("/0000000100000004: the store says AccessDenied"), "{refused:#}");
    // What is wrong with all of the store is no gap.
    proxy.rule(&[("GET /0000000100000004", Rule::Refuse)]);
    let refused = tree().await.unwrap_err();
    assert!(may_pass(&refused) && !format!("{refused:#}").contains("no unbroken log"), "{refused:#}");
}

/// One object in a colder class ended all of it, and nobody was told whether the rest is whole.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a store: `dev/test archive`"]
async fn what_the_store_refuses_to_give_is_damage_of_one_object_and_the_rest_is_verified_and_fetched() {
    let (gateway, place, history) =
        (Gateway::start(Ipv4Addr::LOCALHOST.into()).await, Place::new(), History::of(9, 10));
    history.log(&place.data(), 1..=9);
    let mut shipper = shipper(&place, gateway.store()).await.unwrap();
    for applied in [3, 6, 9] {
        shipper.ship(at(1, applied), 1).await.unwrap();
    }
    let proxy = Proxy::before(gateway.address).await;
    proxy.rule(&[("GET /0000000100000004", Rule::Deny)]);
    let (target, folder) = (gateway.store().target().to_string(), tempfile::tempdir().unwrap());
    let to = folder.path().join("fetched");
    for arguments in [&["archive", "verify", &target][..], &["archive", "fetch", &target, "--to", to.to_str().unwrap()]]
    {
        let output = commanded(&proxy.address.to_string(), arguments);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {told}");
        assert_eq!(told.matches("damage: ").count(), 1, "{told}");
        assert!(told.contains("/0000000100000004: the store says AccessDenied"), "{told}");
    }
    assert_eq!(std::fs::read_dir(to.join(chain().to_string())).unwrap().count(), 2);
}

/// A command with the keys of the store.
fn commanded(address: &str, arguments: &[&str]) -> std::process::Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_menagerie"))
        .args(arguments)
        .env("AWS_ENDPOINT_URL", format!("http://{address}"))
        .envs([("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", SECRET), ("AWS_ALLOW_HTTP", "true")])
        .output()
        .unwrap()
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn the_commands_on_files_read_an_archive_in_a_store() {
    let (gateway, place, history) =
        (Gateway::start(Ipv4Addr::LOCALHOST.into()).await, Place::new(), History::of(40, 10));
    history.log(&place.data(), 1..=40);
    let mut shipper = shipper(&place, gateway.store()).await.unwrap();
    for applied in 1..=40 {
        shipper.ship(at(1, applied), 1).await.unwrap();
    }
    let target = gateway.store().target().to_string();
    let run = |arguments: &[&str]| {
        let output = commanded(&gateway.address.to_string(), arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(run(&["log", "dump", &target, "--from", "0x10000000b", "--output", "json"]).lines().count(), 30);
    let tree = run(&["snapshot", "tree", &target, "--at", "0x100000014", "--output", "json"]);
    assert_eq!(tree.lines().count(), history.trees[20].len());
}
