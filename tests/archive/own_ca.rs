//! A store behind a CA of our own and a proxy.

use std::fs;
use std::net::Ipv4Addr;
use std::process::{Command, Output};

use bytes::Bytes;
use menagerie::archive::access::s3::S3Access;
use menagerie::archive::access::{Access, Ca, Network};
use menagerie::archive::store::{Put, Store, StoreError};
use menagerie::archive::target::Target;
use menagerie::model::truth::ArchiveReason;
use serde_json::json;

use super::agent::{Agent, until};
use super::authority::{Authority, HOST};
use super::gateway::{BUCKET, Gateway, KEY, PREFIX, SECRET};
use super::prune::text;
use super::shipping::{IDENTITY, Place, at};
use super::tunnel::Tunnel;

async fn gateway(authority: &Authority) -> Gateway {
    Gateway::start_as(Ipv4Addr::LOCALHOST.into(), Some(authority.tls())).await
}

fn network(ca: Option<&Authority>, proxy: Option<&str>) -> Network {
    Network { ca: ca.map(|ca| Ca::of(ca.pem.as_bytes()).unwrap()), proxy: proxy.map(str::to_owned) }
}

fn store(endpoint: &str, network: Network) -> Result<Store, StoreError> {
    let keys = Some((KEY.to_owned(), SECRET.to_owned()));
    let access = S3Access { keys, ..S3Access::at(endpoint, network) };
    let target = Target::S3 { bucket: BUCKET.to_owned(), prefix: PREFIX.to_owned() };
    Store::open_with(&target, &Access::S3(access))
}

async fn put(store: &Store) -> Result<Put, StoreError> {
    store.put("a", Bytes::from_static(b"a")).await
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn a_store_is_trusted_with_the_ca_of_its_certificate_and_with_no_other() {
    let (authority, other) = (Authority::new(), Authority::new());
    let gateway = gateway(&authority).await;
    let endpoint = format!("https://{}", gateway.address);
    // The other has the same name, as a CA that was made anew.
    for stranger in [None, Some(&other)] {
        let error = put(&store(&endpoint, network(stranger, None)).unwrap()).await.unwrap_err().to_string();
        let want = format!(
            "cannot store s3://backups/zookeeper/a/a at {}: its certificate is of no CA that is trusted here: name that CA",
            gateway.address
        );
        assert!(error.starts_with(&want), "{error}");
    }
    let store = store(&endpoint, network(Some(&authority), None)).unwrap();
    assert_eq!(put(&store).await.unwrap(), Put::Stored);
    assert_eq!(store.get("a", None).await.unwrap().unwrap(), "a");
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn a_store_that_only_a_proxy_leads_to_is_reached_by_it() {
    let authority = Authority::new();
    let gateway = gateway(&authority).await;
    let proxy = Tunnel::to(gateway.address).await;
    let endpoint = format!("https://{HOST}:7070");
    let store = store(&endpoint, network(Some(&authority), Some(&proxy.url()))).unwrap();
    assert_eq!(put(&store).await.unwrap(), Put::Stored);
    assert_eq!(proxy.asked()[0], format!("CONNECT {HOST}:7070"));
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn a_proxy_that_refuses_or_is_not_there_is_said_with_its_address() {
    let proxy = Tunnel::closed().await;
    let endpoint = format!("https://{HOST}");
    let error = put(&store(&endpoint, network(None, Some(&proxy.url()))).unwrap()).await.unwrap_err().to_string();
    let at = format!("cannot store s3://backups/zookeeper/a/a at {HOST} by the proxy {}: ", proxy.address);
    assert!(error.starts_with(&at) && error.contains("proxy authorization required"), "{error}");
    let url = proxy.url();
    drop(proxy);
    let error = put(&store(&endpoint, network(None, Some(&url))).unwrap()).await.unwrap_err().to_string();
    assert!(error.starts_with(&at) && error.contains("Connection refused"), "{error}");
    let error = store(&endpoint, network(None, Some("http://u:hunter2@proxy"))).unwrap_err().to_string();
    assert!(error.ends_with("proxy must be http://HOST:PORT, without credentials, path or query"), "{error}");
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn an_agent_reads_a_ca_that_is_brought_or_changed_and_says_what_is_wrong_with_it() {
    let (authority, other) = (Authority::new(), Authority::new());
    let gateway = gateway(&authority).await;
    let proxy = Tunnel::to(gateway.address).await;
    let place = Place::new();
    place.log(1, 1..=9, "a");
    let says = json!({"endpoint": format!("https://{HOST}"), "proxy": proxy.url(), "ca": true});
    let agent = Agent::start_at(&place, &says).await;
    agent.applies(at(1, 9));
    let said = |reason: ArchiveReason, words: &str| {
        agent.says().is_some_and(|state| {
            state.reason == reason && (words.is_empty() || state.words.is_some_and(|text| text.contains(words)))
        })
    };
    let missing = "the ConfigMap or Secret of ca is missing or has no such key";
    until("a missing CA", async || said(ArchiveReason::NoCa, missing)).await;
    agent.mounts("ca/ca.crt", "hunter2");
    until("no CA", async || said(ArchiveReason::NoCa, "the key of ca has no certificate as PEM")).await;
    agent.mounts("ca/ca.crt", &other.pem);
    until("another CA", async || said(ArchiveReason::TargetUnreachable, "is of no CA that is trusted here")).await;
    agent.mounts("ca/ca.crt", &format!("{}{}", other.pem, authority.pem));
    until("the CA", async || said(ArchiveReason::Shipping, "")).await;
    let place = format!("s3://{BUCKET}/zookeeper/a at https://{HOST}");
    assert_eq!(agent.says().unwrap().place, Some(place), "how it is reached tells no place from another");
}

pub fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_menagerie"));
    command.env_clear().envs([("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", SECRET)]);
    command.envs(environment.iter().copied()).args(arguments).output().unwrap()
}

// The proxy answers while this waits for the command.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a store: `dev/test archive`"]
async fn a_person_names_the_ca_and_the_proxy_as_to_amazons_own_tools_and_a_job_by_its_arguments() {
    let authority = Authority::new();
    let gateway = gateway(&authority).await;
    let proxy = Tunnel::to(gateway.address).await;
    let (endpoint, url, target) = (format!("https://{HOST}"), proxy.url(), format!("s3://{BUCKET}/{PREFIX}"));
    let (folder, keys) = (authority.folder(), tempfile::tempdir().unwrap());
    let (ca, file) = (folder.to_str().unwrap(), folder.join("ca.crt"));
    let list = |bundle: &str| {
        let environment = [("AWS_ENDPOINT_URL", &*endpoint), ("HTTPS_PROXY", &url), ("AWS_CA_BUNDLE", bundle)];
        text(&command(&["archive", "list", &target], &environment))
    };
    let listed = list(file.to_str().unwrap());
    assert!(listed.contains("has no archived log"), "{listed}");
    assert_eq!(proxy.asked()[0], format!("CONNECT {HOST}:443"));
    let refused = list("/nowhere");
    assert!(refused.contains("the file that AWS_CA_BUNDLE names cannot be read: No such file"), "{refused}");

    fs::write(keys.path().join("accessKeyId"), KEY).unwrap();
    fs::write(keys.path().join("secretAccessKey"), SECRET).unwrap();
    let keys = keys.path().to_str().unwrap();
    let job = |ca: &str| {
        let arguments = ["job", "prune", "--archive", &target, "--identity", IDENTITY, "--keep-days", "30"];
        let reached = ["--endpoint", &endpoint, "--credentials", keys, "--ca", ca, "--proxy", &url];
        text(&command(&[&arguments[..], &reached[..]].concat(), &[]))
    };
    let (pruned, refused) = (job(ca), job(keys));
    assert!(pruned.contains("has no archived log"), "{pruned}");
    assert!(refused.contains("the ConfigMap or Secret of ca is missing or has no such key"), "{refused}");
}

// The proxy answers while this waits for the command.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a store: `dev/test archive`"]
async fn no_proxy_is_asked_for_the_metadata_of_the_machine() {
    let proxy = Tunnel::closed().await;
    let job = ["job", "prune", "--archive", "s3://backups", "--identity", IDENTITY, "--keep-days", "30"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_menagerie"));
    command.env_clear().env("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1").args(job).args(["--proxy", &proxy.url()]);
    let refused = text(&command.output().unwrap());
    assert!(refused.contains("there are no credentials: set credentialsSecret"), "{refused}");
    assert_eq!(proxy.asked(), Vec::<String>::new());
}
