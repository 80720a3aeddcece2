//! An archive that we encrypt: what its store has, who reads it, and what is said where a key is missing.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Output;

use bytes::Bytes;
use menagerie::archive::about::About;
use menagerie::archive::access::Access;
use menagerie::archive::backlog::Backlog;
use menagerie::archive::collect::Collection;
use menagerie::archive::seal::Keys;
use menagerie::archive::shipper::{Outcome, Shipper};
use menagerie::archive::store::{Store, StoreErrorKind};
use menagerie::archive::target::Target;
use menagerie::archive::tree::tree_at;
use menagerie::archive::{bases, chains, pins};
use menagerie::model::truth::ArchiveReason;
use serde_json::json;
use tempfile::TempDir;
use zookeeper_files::disk::Point;

use super::agent::{Agent, until};
use super::bases::{History, finish, upload};
use super::gateway::{Gateway, KEY, SECRET};
use super::own_ca::command;
use super::prune::text;
use super::shipping::{IDENTITY, Place, at, chain};

const OLD: &str = "5f0c17f7b9f3a1be27d6bde7a7e0a9d8c3f6e5b4a39281706f5e4d3c2b1a0918";
const NEW: &str = "9a5b3c1d7e2f4a6b8c0d1e3f5a7b9c2d4e6f8091a2b3c4d5e6f7089a1b2c3d4e";
/// What every sealed object begins with.
const MAGIC: &[u8] = b"MNGRSEA\x01";

fn keys(names: &[(&str, &str)], seals: &str) -> Keys {
    let folder = tempfile::tempdir().unwrap();
    for (name, key) in names {
        fs::write(folder.path().join(name), key).unwrap();
    }
    Keys::of_folder(folder.path(), "Secret zk-keys of encryptionKeys".to_owned(), Some(seals)).unwrap()
}

fn old() -> Keys {
    keys(&[("old", OLD)], "old")
}

/// The place's archive, opened with these keys.
fn store(place: &Place, keys: Option<Keys>) -> Store {
    let target = Target::File { folder: place.archive() };
    Store::open_with(&target, &Access::File).unwrap().sealing(keys)
}

/// Ships so much of the place's log.
async fn ship(place: &Place, store: &Store, counter: u64) {
    let mut shipper = Shipper::resume(store.clone(), IDENTITY, chain(), Backlog::of(&place.data())).await.unwrap();
    assert!(matches!(shipper.ship(at(1, counter), 1).await.unwrap(), Outcome::Shipped { .. }));
}

fn objects(folder: &Path) -> Vec<PathBuf> {
    let below = |path: PathBuf| if path.is_dir() { objects(&path) } else { vec![path] };
    fs::read_dir(folder).unwrap().flat_map(|entry| below(entry.unwrap().path())).collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// A file with keys as a person has it.
fn file(keys: &[&str]) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    fs::write(&path, keys.join("\n")).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

fn run(keys: Option<&str>, arguments: &[&str]) -> Output {
    let environment: Vec<_> = keys.iter().map(|keys| ("MENAGERIE_ARCHIVE_KEYS", *keys)).collect();
    command(&[&["archive"], arguments].concat(), &environment)
}

/// A sealed archive with two segments and a base between them.
async fn begun() -> (Place, Store) {
    let (place, history) = (Place::new(), History::of(12, 100));
    fs::remove_file(place.data().join("snapshot.0")).unwrap();
    history.log(&place.data(), 1..=12);
    history.snapshot(&place.data(), 5);
    let store = store(&place, Some(old()));
    About::new("ns", "zk", store.key().unwrap()).tell(&store, IDENTITY).await.unwrap();
    ship(&place, &store, 6).await;
    finish(upload(&place, store.clone())).await.unwrap();
    ship(&place, &store, 12).await;
    (place, store)
}

#[tokio::test]
async fn all_that_is_stored_is_sealed_but_whose_it_is_and_the_tree_is_built_from_it() {
    let (place, store) = begun().await;
    let all = objects(&place.archive());
    assert!(all.len() >= 5, "{all:?}");
    for path in all {
        let bytes = fs::read(&path).unwrap();
        let clear = path.ends_with(format!("{IDENTITY}/ensemble"));
        assert_eq!(bytes.starts_with(MAGIC), !clear, "{}", path.display());
        assert!(!contains(&bytes, IDENTITY.as_bytes()), "{}: heads of segments and manifests name it", path.display());
    }
    let about = About::read(&store, IDENTITY).await.unwrap().unwrap();
    assert_eq!(about.encrypted_with, old().id().ok().map(|id| id.to_string()));
    assert!(bases::newest(&store, IDENTITY).await.unwrap().is_some());
    let collection = Collection::of(&store, IDENTITY).await.unwrap();
    let work = tempfile::tempdir().unwrap();
    let built = tree_at(&collection, Point::Zxid(at(1, 11)), work.path(), &|_| ()).await.unwrap();
    assert_eq!((built.tree.last(), built.base.is_some()), (at(1, 11), true));
}

#[tokio::test]
async fn another_key_seals_what_comes_after_it_and_both_read_until_one_is_gone() {
    let (place, history) = (Place::new(), History::of(9, 100));
    history.log(&place.data(), 1..=9);
    ship(&place, &store(&place, Some(old())), 4).await;
    let both = keys(&[("new", NEW), ("old", OLD)], "new");
    ship(&place, &store(&place, Some(both.clone())), 9).await;
    let last = |keys| {
        let store = store(&place, Some(keys));
        async move { chains::last(&store, IDENTITY, &chain()).await }
    };
    assert_eq!(last(both).await.unwrap().unwrap().last, at(1, 9));
    let words = last(old()).await.unwrap_err().to_string();
    let id = keys(&[("new", NEW)], "new").id().unwrap();
    let want = format!("it is encrypted with the key {id}, and Secret zk-keys of encryptionKeys has old (");
    assert!(words.contains(&want), "{words}");
}

#[tokio::test]
async fn without_its_key_nothing_is_read_and_nothing_plain_is_believed_where_there_is_one() {
    let (place, sealed) = begun().await;
    let plain = store(&place, None);
    let first = chains::segments(&sealed, IDENTITY, &chain()).await.unwrap().remove(0).path(IDENTITY);
    let error = plain.get(&first, None).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::NoKey);
    assert!(error.to_string().ends_with(", and no keys are given (encryptionKeys)"), "{error}");
    // Whoever may write to the bucket puts a history of his own there.
    let other = Place::new();
    History::of(9, 100).log(&other.data(), 1..=9);
    ship(&other, &other.store(), 6).await;
    fs::copy(other.archive().join(&first), place.archive().join(&first)).unwrap();
    let error = sealed.get(&first, None).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::NotSealed);
    assert!(error.to_string().contains("it is not encrypted, and what is stored here has to be"), "{error}");
}

/// A key that is gone is no shorter history: what it encrypted is there, and nobody knows what it is.
#[tokio::test]
async fn what_cannot_be_opened_is_never_taken_for_what_is_not_there() {
    let (place, history) = (Place::new(), History::of(12, 100));
    fs::remove_file(place.data().join("snapshot.0")).unwrap();
    history.log(&place.data(), 1..=12);
    history.snapshot(&place.data(), 5);
    let (first, both) = (store(&place, Some(old())), store(&place, Some(keys(&[("new", NEW), ("old", OLD)], "new"))));
    ship(&place, &first, 6).await;
    finish(upload(&place, first.clone())).await.unwrap();
    ship(&place, &both, 12).await;
    let before = objects(&place.archive());
    for point in [Point::Zxid(at(1, 9)), Point::Time(i64::MAX)] {
        let collection = Collection::of(&first, IDENTITY).await.unwrap();
        let work = tempfile::tempdir().unwrap();
        let error = tree_at(&collection, point, work.path(), &|_| ()).await.err().map(|error| format!("{error:#}"));
        let error = error.expect("a point behind what nobody can open");
        assert!(error.contains("it is encrypted with the key"), "{error}");
    }
    // The key of the base is gone.
    let (_folder, file) = file(&[NEW]);
    let pruned = run(Some(&file), &["prune", &first.target().to_string(), "--keep", "1h", "--delete"]);
    assert!(text(&pruned).contains("it is encrypted with the key"), "{}", text(&pruned));
    assert_ne!(pruned.status.code(), Some(0));
    assert_eq!(objects(&place.archive()), before);
}

/// Whoever may put an object, and delete none, could name a base that no other is newer than, or the end of a log.
#[tokio::test]
async fn what_somebody_else_puts_there_stops_no_base_no_backup_and_no_pin() {
    let (place, sealed) = begun().await;
    let base = bases::newest(&sealed, IDENTITY).await.unwrap().unwrap();
    let plain = store(&place, None);
    let forged = format!("{IDENTITY}/snap/7fffffffffffffff.2.0000000000000007/manifest");
    plain.put(&forged, Bytes::from_static(b"{}")).await.unwrap();
    for (key, other) in [(None, plain.clone()), (Some(()), store(&place, Some(keys(&[("new", NEW)], "new"))))] {
        let name = format!("{IDENTITY}/log/3.0000000000000008/7fffffff/0000/7fffffff0000000{}", key.map_or(1, |()| 2));
        other.put(&name, Bytes::from_static(b"{}")).await.unwrap();
    }
    assert_eq!(bases::newest(&sealed, IDENTITY).await.unwrap().as_ref(), Some(&base));
    assert_eq!(bases::believed(&sealed, IDENTITY, Some(at(1, 12))).await.unwrap(), Some(base));
    let mut damaged = Vec::new();
    let end = chains::end(&sealed, IDENTITY, &mut |words| damaged.push(words.to_owned())).await.unwrap();
    assert_eq!(end.map(|(last, _)| last), Some(at(1, 12)));
    assert!(damaged.len() == 1 && damaged[0].contains("it is encrypted with the key"), "{damaged:?}");
    // A pin under a key that is gone holds all that it names for ever, unless it can be taken back.
    let pin = format!("{IDENTITY}/pin/lost");
    plain.put(&pin, Bytes::from_static(b"{}")).await.unwrap();
    pins::take_back(&sealed, IDENTITY, "lost").await.unwrap();
    assert_eq!(sealed.look(&pin).await.unwrap(), None);
}

#[tokio::test]
async fn an_archive_stays_as_it_was_begun_encrypted_or_not() {
    let agreed = async |begun: Option<Keys>, now: Option<Keys>| {
        let place = Place::new();
        let (before, now) = (store(&place, begun), store(&place, now));
        let about = |store: &Store| About::new("ns", "zk", store.key().unwrap());
        about(&before).tell(&before, IDENTITY).await.unwrap();
        about(&now).agrees(&now, IDENTITY).await.map_err(|error| (error.kind, error.to_string()))
    };
    assert_eq!(agreed(Some(old()), Some(keys(&[("new", NEW)], "new"))).await, Ok(()), "the first key may be gone");
    assert_eq!(agreed(None, None).await, Ok(()));
    let (kind, words) = agreed(Some(old()), None).await.unwrap_err();
    assert!(
        kind == StoreErrorKind::NoKey && words.contains("name the Secret with its keys (encryptionKeys)"),
        "{words}"
    );
    let (kind, words) = agreed(None, Some(old())).await.unwrap_err();
    assert!(kind == StoreErrorKind::NotSealed && words.contains("was begun without encryptionKeys"), "{words}");
}

#[tokio::test]
async fn a_persons_commands_read_and_write_it_with_a_file_of_keys_and_say_which_key_they_need() {
    let (_place, store) = begun().await;
    let target = store.target().to_string();
    let (_folder, right) = file(&[OLD]);
    let (_other, wrong) = file(&[NEW]);
    let right = Some(right.as_str());
    for arguments in [
        &["list", &target][..],
        &["verify", &target],
        &["stat", &target],
        &["pin", &target, "--at", "0x100000009", "--name", "a"],
        &["prune", &target, "--keep", "30d", "--delete"],
    ] {
        let done = run(right, arguments);
        assert_eq!(done.status.code(), Some(0), "{arguments:?}: {}", text(&done));
    }
    let id = old().id().unwrap();
    for (keys, words) in [
        (
            None,
            format!("it is encrypted with the key {id}, and no keys are given: MENAGERIE_ARCHIVE_KEYS names the file"),
        ),
        (Some(wrong.as_str()), format!("it is encrypted with the key {id}, and {wrong} has line 1 (")),
        (Some("/nowhere"), "/nowhere: No such file or directory (os error 2) (MENAGERIE_ARCHIVE_KEYS)".to_owned()),
    ] {
        let refused = run(keys, &["verify", &target]);
        assert!(!refused.status.success() && text(&refused).contains(&words), "{}", text(&refused));
    }
}

#[tokio::test]
async fn an_object_in_anothers_place_is_damage_that_is_named() {
    let (place, store) = begun().await;
    let names = chains::segments(&store, IDENTITY, &chain()).await.unwrap();
    let [first, second] = [&names[0], &names[1]].map(|key| key.path(IDENTITY));
    fs::copy(place.archive().join(&second), place.archive().join(&first)).unwrap();
    let (_folder, keys) = file(&[OLD]);
    let verified = run(Some(&keys), &["verify", &store.target().to_string()]);
    let said = text(&verified);
    assert_eq!(verified.status.code(), Some(1), "{said}");
    assert!(said.contains(&first) && said.contains("it was not encrypted under this name"), "{said}");
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn an_agent_encrypts_with_the_keys_that_are_mounted_and_ships_nothing_without_them() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let (place, history) = (Place::new(), History::of(9, 100));
    fs::remove_file(place.data().join("snapshot.0")).unwrap();
    history.log(&place.data(), 1..=9);
    history.snapshot(&place.data(), 5);
    let endpoint = format!("http://{}", gateway.address);
    let says = json!({"endpoint": endpoint, "encryptionKeys": {"secret": "zk-keys", "writeWith": "old"}});
    let agent = Agent::start_at(&place, &says).await;
    agent.applies(at(1, 6));
    let said = |reason: ArchiveReason, words: &str| {
        agent.says().is_some_and(|state| {
            state.reason == reason && (words.is_empty() || state.words.is_some_and(|text| text.contains(words)))
        })
    };
    let missing = "Secret zk-keys of encryptionKeys is missing or has no key";
    until("a missing Secret", async || said(ArchiveReason::NoKey, missing)).await;
    agent.mounts("sealing/zk-keys/old", "hunter2");
    until("no key", async || said(ArchiveReason::NoKey, "old of Secret zk-keys of encryptionKeys is no key")).await;
    assert!(gateway.store().names(IDENTITY).await.unwrap().is_empty(), "nothing was stored in clear");
    // What was mounted before is another Secret's.
    agent.mounts("sealing/old-keys/old", NEW);
    agent.mounts("sealing/zk-keys/old", OLD);
    let sealed = gateway.store().sealing(Some(old()));
    let last = async || chains::last(&sealed, IDENTITY, &chain()).await.unwrap().map(|facts| facts.last);
    until("the segment", async || last().await == Some(at(1, 6))).await;
    until("the base", async || bases::newest(&sealed, IDENTITY).await.unwrap().is_some()).await;
    let about = About::read(&gateway.store(), IDENTITY).await.unwrap().unwrap();
    assert_eq!(about.encrypted_with, old().id().ok().map(|id| id.to_string()));

    let folder = tempfile::tempdir().unwrap();
    let mounted = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    mounted("accessKeyId", KEY);
    mounted("secretAccessKey", SECRET);
    let (mounts, target) = (folder.path().to_str().unwrap(), sealed.target().to_string());
    let asked = ["job", "prune", "--archive", &target, "--identity", IDENTITY, "--keep-days", "30"];
    let reached = ["--endpoint", &endpoint, "--credentials", mounts];
    let pruned = command(&[&asked[..], &reached].concat(), &[]);
    assert!(!pruned.status.success() && text(&pruned).contains("(encryptionKeys)"), "{}", text(&pruned));
    let keys = tempfile::tempdir().unwrap();
    fs::create_dir(keys.path().join("zk-keys")).unwrap();
    fs::write(keys.path().join("zk-keys/old"), OLD).unwrap();
    let keyed = ["--encryption-keys", keys.path().to_str().unwrap(), "--encryption-keys-secret", "zk-keys"];
    let pruned = command(&[&asked[..], &reached, &keyed].concat(), &[]);
    assert!(pruned.status.success(), "{}", text(&pruned));
}
