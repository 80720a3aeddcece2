//! The archive in Google Cloud Storage.

use std::fs;

use bytes::Bytes;
use menagerie::archive::backlog::Backlog;
use menagerie::archive::probe::{CreateOnly as Found, probed};
use menagerie::archive::shipper::{Outcome, Shipper};
use menagerie::archive::store::{Put, StoreErrorKind};
use menagerie::model::truth::ArchiveReason;
use serde_json::json;

use super::agent::{Agent, until};
use super::bases::{History, upload};
use super::fake_gcs::{FakeGcs, KEY};
use super::gateway::{BUCKET, PREFIX};
use super::own_ca::command;
use super::proxy::{CreateOnly, Rule};
use super::prune::text;
use super::shipping::{IDENTITY, Place, archived, at, chain, keeps_what_is_put};
use super::tunnel::Tunnel;

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn what_is_shipped_to_gcs_is_read_back_as_it_was_and_nothing_is_overwritten() {
    let gcs = FakeGcs::start(CreateOnly::Gcs).await;
    let (place, history) = (Place::new(), History::of(9, 10));
    history.log(&place.data(), 1..=9);
    history.snapshot(&place.data(), 9);
    let (store, found) = probed(gcs.store(), IDENTITY, &chain()).await.unwrap();
    assert_eq!(found, Found::Obeyed);
    let backlog = Backlog::of(&place.data());
    let mut shipper = Shipper::resume(store.clone(), IDENTITY, chain(), backlog).await.unwrap();
    assert!(matches!(shipper.ship(at(1, 9), 1).await.unwrap(), Outcome::Shipped { .. }));
    let segments = archived(&store).await;
    assert_eq!((segments.len(), segments[0].facts.count), (1, 9));
    upload(&place, store.clone()).step().await.unwrap();
    keeps_what_is_put(&store).await;
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn a_gcs_that_would_overwrite_is_found_out_and_looked_at_before_each_put() {
    let gcs = FakeGcs::start(CreateOnly::FakeGcs).await;
    let (store, found) = probed(gcs.store(), IDENTITY, &chain()).await.unwrap();
    assert!(found == Found::Ignored && found.words().unwrap().contains("x-goog-if-generation-match"));
    assert_eq!(store.put("a", Bytes::from_static(b"one")).await.unwrap(), Put::Stored);
    assert_eq!(store.put("a", Bytes::from_static(b"two")).await.unwrap(), Put::Taken);
    assert_eq!(store.get("a", None).await.unwrap().unwrap(), "one");
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn each_right_that_is_missing_and_a_bucket_that_is_not_there_are_said_by_what_was_tried() {
    let gcs = FakeGcs::start(CreateOnly::Gcs).await;
    for (words, doing) in [("PUT", "store"), ("GET probe%2F2", "read"), ("GET list-type", "list")] {
        let identity = format!("denied-{doing}");
        gcs.proxy.rule(&[(words, Rule::Deny)]);
        let error = probed(gcs.store(), &identity, &chain()).await.unwrap_err();
        let said = error.to_string();
        assert_eq!(error.kind, StoreErrorKind::Denied, "{said}");
        let begins = format!("cannot {doing} gs://{BUCKET}/{PREFIX}/{identity}/probe");
        assert!(said.starts_with(&begins) && said.ends_with(": the store says AccessDenied: AccessDenied"), "{said}");
    }
    gcs.proxy.rule(&[]);
    let nowhere = gcs.bucket("nowhere").unwrap();
    let error = nowhere.put("a", Bytes::from_static(b"a")).await.unwrap_err();
    // Google's own says NoSuchBucket; this fake says 404 and nothing else, as any web server does.
    assert_eq!(error.kind, StoreErrorKind::Missing, "{error}");
    assert!(
        error.to_string().starts_with("cannot store gs://nowhere/zookeeper/a/a: nothing is there to store it in"),
        "{error}"
    );
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn an_agent_ships_to_gcs_once_its_key_is_there_and_says_what_is_wrong_with_it_before() {
    let gcs = FakeGcs::start(CreateOnly::Gcs).await;
    let place = Place::new();
    place.log(1, 1..=9, "a");
    let says = json!({"target": format!("gs://{BUCKET}/{PREFIX}"), "endpoint": gcs.endpoint()});
    let agent = Agent::start_at(&place, &says).await;
    agent.applies(at(1, 9));
    let said = |reason: ArchiveReason, words: &str| {
        agent.says().is_some_and(|state| {
            state.reason == reason && (words.is_empty() || state.words.is_some_and(|text| text.contains(words)))
        })
    };
    let missing = "the Secret of credentialsSecret is missing or has no key serviceAccountKey";
    until("a missing key", async || said(ArchiveReason::NoCredentials, missing)).await;
    agent.mounts("keys/serviceAccountKey", r#"{"type": "external_account", "secret": "hunter2"}"#);
    let odd = "serviceAccountKey of the Secret of credentialsSecret is no JSON key of a service account";
    until("an odd key", async || said(ArchiveReason::NoCredentials, odd)).await;
    agent.mounts("keys/serviceAccountKey", &KEY.replace(", \"disable_oauth\": true", ""));
    until("no RSA key", async || said(ArchiveReason::NoCredentials, "private_key in serviceAccountKey is no RSA"))
        .await;
    agent.mounts("keys/serviceAccountKey", KEY);
    until("the key", async || said(ArchiveReason::Shipping, "")).await;
    let segments = archived(&gcs.store()).await;
    assert_eq!(segments.iter().map(|segment| segment.facts.count).sum::<u64>(), 9);
}

// The proxy answers while this waits for the command.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a store: `dev/test archive`"]
async fn a_person_lists_a_bucket_of_gcs_by_the_environment_and_a_job_by_its_arguments() {
    let gcs = FakeGcs::start(CreateOnly::Gcs).await;
    let place = Place::new();
    place.log(1, 1..=9, "a");
    let backlog = Backlog::of(&place.data());
    let mut shipper = Shipper::resume(gcs.store(), IDENTITY, chain(), backlog).await.unwrap();
    shipper.ship(at(1, 9), 1).await.unwrap();
    let (target, endpoint, keys) = (format!("gs://{BUCKET}/{PREFIX}"), gcs.endpoint(), tempfile::tempdir().unwrap());
    let key = keys.path().join("serviceAccountKey");
    fs::write(&key, KEY).unwrap();
    let said = |name: &str, value: &str| {
        let environment = [("GOOGLE_BASE_URL", &*endpoint), ("GOOGLE_ALLOW_HTTP", "true"), (name, value)];
        text(&command(&["archive", "list", &target], &environment))
    };
    let listed = said("GOOGLE_SERVICE_ACCOUNT", key.to_str().unwrap());
    assert!(listed.contains("1 segments  0x100000001"), "{listed}");
    let refused = text(&command(&["archive", "list", &target], &[("GOOGLE_BASE_URL", &endpoint)]));
    assert!(refused.contains("GOOGLE_BASE_URL is http://") && refused.contains("GOOGLE_ALLOW_HTTP=true"), "{refused}");

    let asked = ["job", "prune", "--archive", &target, "--identity", IDENTITY, "--keep-days", "30"];
    let keys = keys.path().to_str().unwrap();
    let pruned = command(&[&asked[..], &["--endpoint", &endpoint, "--credentials", keys]].concat(), &[]);
    assert!(pruned.status.success(), "{}", text(&pruned));
    let odd = command(&[&asked[..], &["--endpoint", &endpoint, "--credentials", "/nowhere"]].concat(), &[]);
    assert!(text(&odd).contains("has no key serviceAccountKey"), "{}", text(&odd));
}

// The proxy answers while this waits for the command.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a store: `dev/test archive`"]
async fn an_address_in_a_key_does_not_count() {
    let (gcs, proxy) = (FakeGcs::start(CreateOnly::Gcs).await, Tunnel::closed().await);
    let (target, keys) = (format!("gs://{BUCKET}/{PREFIX}"), tempfile::tempdir().unwrap());
    let key = keys.path().join("serviceAccountKey");
    fs::write(&key, KEY.replace("https://store.invalid", &gcs.endpoint())).unwrap();
    command(
        &["archive", "list", &target],
        &[("GOOGLE_SERVICE_ACCOUNT", key.to_str().unwrap()), ("HTTPS_PROXY", &proxy.url())],
    );
    let asked = ["job", "prune", "--archive", &target, "--identity", IDENTITY, "--keep-days", "30"];
    let reached = ["--credentials", keys.path().to_str().unwrap(), "--proxy", &proxy.url()];
    command(&[&asked[..], &reached[..]].concat(), &[]);
    assert_eq!(gcs.proxy.asked(), Vec::<String>::new());
    let google = "CONNECT storage.googleapis.com:443";
    assert!(proxy.asked().len() >= 2 && proxy.asked().iter().all(|asked| asked == google), "{:?}", proxy.asked());
}
