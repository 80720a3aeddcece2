//! The archive in Azure Blob Storage.

use std::fs;

use bytes::Bytes;
use menagerie::archive::backlog::Backlog;
use menagerie::archive::probe::{CreateOnly, probed};
use menagerie::archive::shipper::{Outcome, Shipper};
use menagerie::archive::store::StoreErrorKind;
use menagerie::model::truth::ArchiveReason;
use serde_json::json;

use super::agent::{Agent, until};
use super::azurite::{ACCOUNT, Azurite, KEY};
use super::bases::{History, upload};
use super::gateway::{BUCKET, PREFIX};
use super::own_ca::command;
use super::proxy::{Fault, Rule};
use super::prune::text;
use super::shipping::{IDENTITY, Place, archived, at, chain, keeps_what_is_put};

/// `wrong-secret`.
const WRONG: &str = "d3Jvbmctc2VjcmV0";

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn what_is_shipped_to_azure_is_read_back_as_it_was_and_nothing_is_overwritten() {
    let azure = Azurite::start().await;
    let (place, history) = (Place::new(), History::of(9, 10));
    history.log(&place.data(), 1..=9);
    history.snapshot(&place.data(), 9);
    for _ in 0..2 {
        assert_eq!(probed(azure.store(), IDENTITY, &chain()).await.unwrap().1, CreateOnly::Obeyed);
    }
    let store = azure.store();
    let backlog = Backlog::of(&place.data());
    let mut shipper = Shipper::resume(store.clone(), IDENTITY, chain(), backlog).await.unwrap();
    // Stored, and then the answer is lost.
    azure.proxy.next(&[Fault::StoredButCut]);
    while !matches!(shipper.ship(at(1, 9), 1).await, Ok(Outcome::Shipped { .. })) {}
    let segments = archived(&store).await;
    assert_eq!((segments.len(), segments[0].facts.count), (1, 9));
    upload(&place, store.clone()).step().await.unwrap();
    keeps_what_is_put(&store).await;
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn a_wrong_key_each_missing_right_and_a_missing_container_are_said_in_one_sentence() {
    let azure = Azurite::start().await;
    let wrong = azure.open(BUCKET, WRONG).unwrap();
    for _ in 0..2 {
        let error = wrong.put("a", Bytes::from_static(b"a")).await.unwrap_err();
        // The same each time: a condition would turn with the number of the request.
        let want = format!(
            "cannot store az://{ACCOUNT}/{BUCKET}/{PREFIX}/a: the store says AuthorizationFailure: Server failed to authenticate the request. Make sure the value of the Authorization header is formed correctly including the signature."
        );
        assert_eq!((error.kind, error.to_string()), (StoreErrorKind::Denied, want));
    }
    for (words, doing) in [("PUT", "store"), ("GET /probe/2", "read"), ("GET comp=list", "list")] {
        let identity = format!("denied-{doing}");
        azure.proxy.rule(&[(words, Rule::Deny)]);
        let error = probed(azure.store(), &identity, &chain()).await.unwrap_err();
        let said = error.to_string();
        assert_eq!(error.kind, StoreErrorKind::Denied, "{said}");
        let begins = format!("cannot {doing} az://{ACCOUNT}/{BUCKET}/{PREFIX}/{identity}/probe");
        assert!(said.starts_with(&begins) && said.ends_with(": the store says AccessDenied: AccessDenied"), "{said}");
    }
    azure.proxy.rule(&[("POST comp=batch", Rule::Deny)]);
    let error = azure.store().delete("a").await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Denied, "{error}");
    azure.proxy.rule(&[]);
    let nowhere = azure.open("nowhere", KEY).unwrap();
    let error = nowhere.put("a", Bytes::from_static(b"a")).await.unwrap_err();
    let want = "cannot store az://menagerie/nowhere/zookeeper/a/a: the store says ContainerNotFound: The specified container does not exist.";
    assert_eq!((error.kind, error.to_string().as_str()), (StoreErrorKind::NoBucket, want));
    let error = azure.open(BUCKET, "hunter2!").unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::NoCredentials);
    assert!(error.to_string().ends_with("accountKey is no access key of a storage account (base64)"), "{error}");
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn an_agent_ships_to_azure_once_its_key_is_there_and_right() {
    let azure = Azurite::start().await;
    let place = Place::new();
    place.log(1, 1..=9, "a");
    let says = json!({"target": format!("az://{ACCOUNT}/{BUCKET}/{PREFIX}"), "endpoint": azure.endpoint()});
    let agent = Agent::start_at(&place, &says).await;
    agent.applies(at(1, 9));
    let said = |reason: ArchiveReason, words: &str| {
        agent.says().is_some_and(|state| {
            state.reason == reason && (words.is_empty() || state.words.is_some_and(|text| text.contains(words)))
        })
    };
    let missing = "the Secret of credentialsSecret is missing or has no key accountKey";
    until("a missing key", async || said(ArchiveReason::NoCredentials, missing)).await;
    agent.mounts("keys/accountKey", "hunter2!");
    until("no key", async || said(ArchiveReason::NoCredentials, "accountKey is no access key")).await;
    agent.mounts("keys/accountKey", WRONG);
    until("a wrong key", async || said(ArchiveReason::AccessDenied, "the store says AuthorizationFailure")).await;
    agent.mounts("keys/accountKey", KEY);
    until("the key", async || said(ArchiveReason::Shipping, "")).await;
    let segments = archived(&azure.store()).await;
    assert_eq!(segments.iter().map(|segment| segment.facts.count).sum::<u64>(), 9);
}

// The proxy answers while this waits for the command.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a store: `dev/test archive`"]
async fn a_person_lists_a_container_by_the_environment_and_a_job_by_its_arguments() {
    let azure = Azurite::start().await;
    let place = Place::new();
    place.log(1, 1..=9, "a");
    let backlog = Backlog::of(&place.data());
    let mut shipper = Shipper::resume(azure.store(), IDENTITY, chain(), backlog).await.unwrap();
    shipper.ship(at(1, 9), 1).await.unwrap();
    let target = format!("az://{ACCOUNT}/{BUCKET}/{PREFIX}");
    let (endpoint, keys) = (azure.endpoint(), tempfile::tempdir().unwrap());
    let list = |environment: &[(&str, &str)]| {
        let environment = [&[("AZURE_STORAGE_ENDPOINT", &*endpoint)], environment].concat();
        text(&command(&["archive", "list", &target], &environment))
    };
    let listed = list(&[("AZURE_STORAGE_ACCOUNT_KEY", KEY), ("AZURE_ALLOW_HTTP", "true")]);
    assert!(listed.contains("1 segments  0x100000001"), "{listed}");
    let refused = list(&[("AZURE_STORAGE_ACCOUNT_KEY", WRONG), ("AZURE_ALLOW_HTTP", "true")]);
    assert!(refused.contains(". Is AZURE_STORAGE_ACCOUNT_KEY right?") && !refused.contains(".. "), "{refused}");
    let refused = list(&[("AZURE_STORAGE_ACCOUNT_KEY", KEY)]);
    assert!(refused.contains("AZURE_STORAGE_ENDPOINT is http://"), "{refused}");

    fs::write(keys.path().join("accountKey"), KEY).unwrap();
    let asked = ["job", "prune", "--archive", &target, "--identity", IDENTITY, "--keep-days", "30"];
    let reached = ["--endpoint", &endpoint, "--credentials", keys.path().to_str().unwrap()];
    let pruned = command(&[&asked[..], &reached[..]].concat(), &[]);
    assert!(pruned.status.success(), "{}", text(&pruned));
}
