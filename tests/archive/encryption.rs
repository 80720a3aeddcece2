//! What a store is told of how to encrypt.

use std::fs;
use std::net::Ipv4Addr;

use axum::http::HeaderMap;
use bytes::Bytes;
use menagerie::api::{EncryptionSpec, EncryptionType};
use menagerie::archive::access::s3::S3Access;
use menagerie::archive::access::{Access, Network};
use menagerie::archive::backlog::Backlog;
use menagerie::archive::probe::probed;
use menagerie::archive::shipper::{Outcome, Shipper};
use menagerie::archive::store::{Store, StoreErrorKind};
use menagerie::archive::target::Target;

use super::bases::{History, upload};
use super::gateway::{BUCKET, Gateway, KEY, PREFIX, SECRET};
use super::own_ca::command;
use super::proxy::{Proxy, Trouble};
use super::prune::text;
use super::shipping::{IDENTITY, Place, at, chain};

fn store(proxy: &Proxy, type_: EncryptionType, key: Option<&str>) -> Store {
    let encryption = Some(EncryptionSpec { type_, kms_key: key.map(str::to_owned) });
    let keys = Some((KEY.to_owned(), SECRET.to_owned()));
    let access =
        S3Access { keys, encryption, ..S3Access::at(&format!("http://{}", proxy.address), Network::default()) };
    let target = Target::S3 { bucket: BUCKET.to_owned(), prefix: PREFIX.to_owned() };
    Store::open_with(&target, &Access::S3(access)).unwrap()
}

/// What a put says of encryption.
fn said(headers: &HeaderMap) -> [Option<&str>; 3] {
    let of =
        |name: &str| headers.get(format!("x-amz-server-side-encryption{name}")).map(|value| value.to_str().unwrap());
    [of(""), of("-aws-kms-key-id"), of("-bucket-key-enabled")]
}

/// versitygw takes the headers, and encrypts nothing.
#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn each_put_of_an_agent_says_how_to_encrypt_and_without_a_word_of_it_none_does() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    for (type_, key, want) in [
        (EncryptionType::Aes256, None, [Some("AES256"), None, None]),
        (EncryptionType::Kms, None, [Some("aws:kms"), None, Some("true")]),
        (EncryptionType::Kms, Some("alias/zk"), [Some("aws:kms"), Some("alias/zk"), Some("true")]),
    ] {
        let proxy = Proxy::before(gateway.address).await;
        let identity = format!("{type_:?}-{}", key.is_some()).to_lowercase();
        let (place, history) = (Place::of(&identity), History::of(9, 10));
        history.log(&place.data(), 1..=9);
        history.snapshot(&place.data(), 9);
        let (store, _) = probed(store(&proxy, type_, key), &identity, &chain()).await.unwrap();
        let backlog = Backlog::of(&place.data());
        let mut shipper = Shipper::resume(store.clone(), &identity, chain(), backlog).await.unwrap();
        assert!(matches!(shipper.ship(at(1, 9), 1).await.unwrap(), Outcome::Shipped { .. }));
        upload(&place, store).step().await.unwrap();
        let puts = proxy.puts();
        assert!(puts.len() >= 4 && puts.iter().all(|headers| said(headers) == want), "{puts:?}");
    }
    let proxy = Proxy::before(gateway.address).await;
    let plain = super::gateway::store_at(proxy.address, SECRET, BUCKET).unwrap();
    plain.put("plain", Bytes::from_static(b"a")).await.unwrap();
    assert_eq!(said(&proxy.puts()[0]), [None, None, None]);
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn a_store_that_does_not_encrypt_as_it_is_told_is_no_store_without_conditions() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let proxy = Proxy::before(gateway.address).await;
    for (trouble, words) in [
        // As MinIO says it without a key management, as Amazon does without the right, and a store that knows no such header.
        (
            Trouble::Unencrypted(501, "NotImplemented", "Server side encryption specified but KMS is not configured"),
            "NotImplemented: Server side encryption specified but KMS is not configured",
        ),
        (
            Trouble::Unencrypted(403, "AccessDenied", "is not authorized to perform: kms:GenerateDataKey"),
            "AccessDenied: is not authorized to perform: kms:GenerateDataKey",
        ),
        (Trouble::Unencrypted(501, "NotImplemented", "a header"), "NotImplemented: a header"),
    ] {
        proxy.trouble(Some(trouble));
        let store = store(&proxy, EncryptionType::Kms, None);
        let error = probed(store, IDENTITY, &chain()).await.unwrap_err();
        let want = format!(
            "cannot store s3://backups/zookeeper/a/{IDENTITY}/probe/{}: the store does not encrypt as `encryption` says: the store says {words}",
            chain()
        );
        assert_eq!((error.kind, error.to_string()), (StoreErrorKind::Denied, want));
    }
    // What has nothing to do with it is said as it is.
    proxy.trouble(Some(Trouble::Unencrypted(403, "AccessDenied", "Access Denied.")));
    let error = store(&proxy, EncryptionType::Kms, None).put("a", Bytes::from_static(b"a")).await.unwrap_err();
    assert!(error.to_string().ends_with("/a: the store says AccessDenied: Access Denied."), "{error}");
}

// The proxy answers while this waits for the command.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a store: `dev/test archive`"]
async fn a_job_says_it_by_its_arguments_and_a_person_by_the_environment() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let proxy = Proxy::before(gateway.address).await;
    let (endpoint, target) = (format!("http://{}", proxy.address), format!("s3://{BUCKET}/{PREFIX}"));
    let place = Place::of(IDENTITY);
    place.log(1, 1..=9, "a");
    let backlog = Backlog::of(&place.data());
    let mut shipper = Shipper::resume(gateway.store(), IDENTITY, chain(), backlog).await.unwrap();
    shipper.ship(at(1, 9), 1).await.unwrap();

    let pin = ["archive", "pin", &target, "--at", "0x100000009", "--name", "a"];
    let environment = [
        ("AWS_ENDPOINT_URL", &*endpoint),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_SERVER_SIDE_ENCRYPTION", "aws:kms"),
        ("AWS_SSE_KMS_KEY_ID", "alias/mine"),
    ];
    let pinned = command(&pin, &environment);
    assert!(pinned.status.success(), "{}", text(&pinned));
    assert_eq!(said(&proxy.puts()[0])[..2], [Some("aws:kms"), Some("alias/mine")]);

    let keys = tempfile::tempdir().unwrap();
    fs::write(keys.path().join("accessKeyId"), KEY).unwrap();
    fs::write(keys.path().join("secretAccessKey"), SECRET).unwrap();
    let keys = keys.path().to_str().unwrap();
    let asked = ["job", "prune", "--archive", &target, "--identity", IDENTITY, "--keep-days", "30"];
    let reached = ["--endpoint", &endpoint, "--credentials", keys, "--encryption", "AES256"];
    let pruned = command(&[&asked[..], &reached[..]].concat(), &[]);
    assert!(pruned.status.success(), "{}", text(&pruned));
    assert_eq!(said(proxy.puts().last().unwrap()), [Some("AES256"), None, None]);
    let refused = command(&[&asked[..], &["--encryption", "rot13"]].concat(), &[]);
    assert!(text(&refused).contains("AES256 or aws:kms"), "{}", text(&refused));
}
