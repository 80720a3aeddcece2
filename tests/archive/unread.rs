//! An object that cannot be read, while others can: the rest is shown and pruned, and nothing goes that it may need.

use std::net::Ipv4Addr;
use std::process::{Command, Output};

use menagerie::archive::bases;
use menagerie::archive::catalogue::{self, Told};
use menagerie::archive::key::BaseKey;
use menagerie::archive::manifest::Manifest;
use menagerie::archive::prune::decide;
use menagerie::archive::pruner::Pruner;
use menagerie::archive::retention::{BaseState, Fate, Reason};
use menagerie::archive::store::Store;

use super::gateway::{Gateway, KEY, SECRET, store_at};
use super::proxy::{Proxy, Rule};
use super::prune::{DAY, aged, archived, base, log, run, text};
use super::shipping::{IDENTITY, at, chain};

fn key(counter: u64) -> BaseKey {
    BaseKey { zxid: at(1, counter), chain: chain() }
}

/// One that a later version wrote ended all of it.
#[tokio::test]
async fn a_base_that_this_version_cannot_read_ends_no_run_and_nothing_that_it_may_need_goes() {
    let (place, target) = aged().await;
    let store = place.store();
    let later = bases::manifest(&store, IDENTITY, &key(5)).await.unwrap().unwrap();
    let later = Manifest { format: 99, ..later }.pack().unwrap();
    std::fs::write(base(&place, 5).join("manifest"), &later).unwrap();
    let stat = run(&["archive", "stat", &target]);
    let told = text(&stat);
    assert_eq!(stat.status.code(), Some(1), "{told}");
    assert!(told.contains("damage: base 0x100000005 of") && told.contains("stays, and what it may need: "), "{told}");
    assert!(told.contains("format 99") && told.contains(": kept: nobody knows what it is"), "{told}");
    assert!(told.contains("can be built from") && told.contains("base 0x100000008"), "{told}");
    for _ in 0..2 {
        let pruned = run(&["archive", "prune", &target, "--keep", "30d", "--delete"]);
        assert_eq!(pruned.status.code(), Some(1), "{}", text(&pruned));
        assert!(text(&pruned).contains("damage: base 0x100000005"), "{}", text(&pruned));
        // The window is built from the one before it, so that this one stays too.
        assert!(base(&place, 2).join("manifest").exists());
        assert_eq!(std::fs::read(base(&place, 5).join("manifest")).unwrap(), later);
        assert_eq!(log(&store).await, [2, 3, 4, 5, 6, 7, 8, 9]);
    }
}

#[tokio::test]
async fn a_base_whose_manifest_is_damaged_is_told_with_another_exit_code() {
    let (place, target) = aged().await;
    std::fs::write(base(&place, 5).join("manifest"), "{}\n").unwrap();
    for command in ["stat", "list"] {
        let shown = run(&["archive", command, &target]);
        assert_eq!(shown.status.code(), Some(1), "{command}: {}", text(&shown));
        assert!(text(&shown).contains("damage: ") && text(&shown).contains("base 0x100000008"), "{}", text(&shown));
    }
}

/// What becomes of the archive, by a clock that is so many days ahead: what was told, and what the bases are then.
async fn pruned(store: &Store, days: i64) -> (Vec<String>, Vec<BaseState>) {
    let mut told = Vec::new();
    let mut hear = |what: Told<'_>| match what {
        Told::Damaged(what) | Told::Unread(what) => told.push(what.to_owned()),
        Told::Listed(..) => {}
    };
    let catalogue = catalogue::read(store, IDENTITY, &mut hear).await.unwrap();
    let now = menagerie::archive::prune::now() + days * DAY;
    let mut damaged = |what: &str| told.push(what.to_owned());
    let decided = decide(store, IDENTITY, catalogue, (30 * DAY, Vec::new(), now), true, &mut damaged).await.unwrap();
    for (key, fate) in &decided.plan.bases {
        let left = decided.catalogue.bases.iter().any(|base| base.key == *key && base.state == BaseState::Unread);
        assert!(!left || matches!(fate, Fate::Keep(why) if why.contains(&Reason::Unread)), "{key:?}: {fate:?}");
    }
    let tally = Pruner::new(store, IDENTITY, &mut |_| {}).carry_out(&decided).await;
    assert!(tally.is_complete(), "{tally}");
    (told, decided.catalogue.bases.iter().map(|base| base.state).collect())
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn a_base_that_the_store_does_not_give_ends_no_run_and_nothing_that_it_may_need_goes() {
    for (denied, left) in [
        // Of the newest one a part is only read where others would go for its sake.
        (key(8).part(IDENTITY, 0), [2, 3, 4, 5, 6, 7, 8, 9].as_slice()),
        (key(8).manifest(IDENTITY), &[2, 3, 4, 5, 6, 7, 8, 9]),
        (key(5).manifest(IDENTITY), &[2, 3, 4, 5, 6, 7, 8, 9]),
    ] {
        let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
        let proxy = Proxy::before(gateway.address).await;
        let _place = archived(&gateway.store()).await;
        let store = store_at(proxy.address, SECRET, "backups").unwrap();
        proxy.rule(&[(&format!("GET /{denied}"), Rule::Deny)]);
        let (told, _) = pruned(&store, 32).await;
        assert!(told.len() == 1 && told[0].contains("AccessDenied"), "{denied}: {told:?}");
        assert_eq!(log(&gateway.store()).await, left, "{denied}");
        // A year later: the log before the oldest base that stays has gone, and no more.
        pruned(&store, 400).await;
        let there = |counter: u64| {
            let (store, name) = (gateway.store(), key(counter).manifest(IDENTITY));
            async move { store.get(&name, None).await.unwrap().is_some() }
        };
        assert!(!there(2).await && there(5).await && there(8).await, "{denied}");
        assert_eq!(log(&gateway.store()).await, [5, 6, 7, 8, 9], "{denied}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a store: `dev/test archive`"]
async fn what_the_store_does_not_give_is_told_by_every_command_which_goes_on() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let proxy = Proxy::before(gateway.address).await;
    let _place = archived(&gateway.store()).await;
    let target = gateway.store().target().to_string();
    let to = tempfile::tempdir().unwrap();
    let to = to.path().join("fetched");
    let said = |arguments: &[&str]| -> Output {
        Command::new(env!("CARGO_BIN_EXE_menagerie"))
            .args([&["archive", arguments[0], &target], &arguments[1..]].concat())
            .env("AWS_ENDPOINT_URL", format!("http://{}", proxy.address))
            .envs([("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", SECRET), ("AWS_ALLOW_HTTP", "true")])
            .output()
            .unwrap()
    };
    assert!(said(&["pin", "--at", "0x100000004", "--name", "kept"]).status.success());
    let (manifest, segment) = (key(5).manifest(IDENTITY), "/log/ /0000000100000009".to_owned());
    for denied in [manifest, segment, format!("{IDENTITY}/pin/kept"), format!("{IDENTITY}/ensemble")] {
        proxy.rule(&[(&format!("GET {denied}"), Rule::Deny)]);
        for arguments in [&["stat"][..], &["list"], &["verify"], &["fetch", "--to", to.to_str().unwrap()]] {
            let output = said(arguments);
            let told = text(&output);
            assert!(told.contains("0x10000000") || arguments[0] == "fetch", "{arguments:?} {denied}: {told}");
            let asks = match arguments[0] {
                "stat" => true,
                "list" => !denied.contains("/pin/"),
                _ => !denied.contains("/pin/") && !denied.ends_with("/ensemble"),
            };
            assert_eq!(output.status.code(), Some(i32::from(asks)), "{arguments:?} {denied}: {told}");
            assert_eq!(
                told.contains("AccessDenied"),
                asks || told.contains("note: "),
                "{arguments:?} {denied}: {told}"
            );
            let _was_there = std::fs::remove_dir_all(&to);
        }
    }
    // What a pin keeps that cannot be read nobody knows.
    proxy.rule(&[("GET /pin/kept", Rule::Deny)]);
    assert_eq!(said(&["prune", "--keep", "30d", "--delete"]).status.code(), Some(2));
}
