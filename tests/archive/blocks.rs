//! A part of an archive is found without a list of all of it.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;

use menagerie::archive::backlog::Backlog;
use menagerie::archive::blocks::Blocks;
use menagerie::archive::key::SegmentKey;
use menagerie::archive::shipper::Shipper;
use proptest::prelude::{Just, Strategy, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use zookeeper_files::ids::{Zxid, ZxidRange};

use super::build::other;
use super::gateway::{Gateway, KEY, SECRET};
use super::proxy::Proxy;
use super::shipping::{BEGUN, IDENTITY, Place, at, chain};
use super::source::{dumped, told};

/// Zxids in a few folders, and on both sides of where one ends.
fn zxids() -> impl Strategy<Value = Zxid> {
    let counter = prop_oneof![Just(0_u64), Just(1), Just(0xffff)];
    (1_u64..4, 0_u64..6, counter)
        .prop_map(|(epoch, block, counter)| at(epoch, (block << 16) + counter.max(u64::from(block == 0))))
}

proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 64, ..Default::default() })]

    #[test]
    fn all_that_a_range_touches_and_its_neighbours_are_listed_in_their_order(
        firsts in prop::collection::btree_set(zxids(), 1..12), first in zxids(), last in zxids()
    ) {
        let (first, last) = (first.min(last), first.max(last));
        let place = Place::new();
        for first in &firsts {
            let name = place.archive().join(SegmentKey { chain: chain(), first: *first }.path(IDENTITY));
            fs::create_dir_all(name.parent().unwrap()).unwrap();
            fs::write(name, "").unwrap();
        }
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listed = runtime.block_on(async {
            let blocks = Blocks::of(&place.store(), IDENTITY, &chain()).await.unwrap();
            blocks.within(ZxidRange { first, last }).segments(&place.store(), IDENTITY).await.unwrap()
        });
        let listed: Vec<Zxid> = listed.into_iter().map(|key| key.first).collect();
        prop_assert!(listed.is_sorted());
        let listed: BTreeSet<Zxid> = listed.into_iter().collect();
        // The last one that begins before the range may reach into it; the first one behind shows where it ends.
        let before = firsts.range(..=first).next_back();
        let behind = firsts.iter().find(|begins| **begins > last);
        let needed: BTreeSet<Zxid> = firsts.range(first..=last).chain(before).chain(behind).copied().collect();
        prop_assert!(needed.is_subset(&listed), "{needed:?} of {listed:?}");
        // And no more than the folders that these are in, and one on each side.
        let folder = |zxid: &Zxid| zxid.0 >> 16;
        let folders = |of: &BTreeSet<Zxid>| of.iter().map(folder).collect::<BTreeSet<_>>();
        prop_assert!(folders(&listed).len() <= folders(&needed).len() + 2, "{needed:?} of {listed:?}");
        prop_assert_eq!(listed.difference(&firsts).count(), 0);
    }
}

#[tokio::test]
async fn a_part_by_zxids_or_by_time_is_the_same_out_of_many_folders() {
    const EPOCHS: u64 = 14;
    let place = Place::new();
    for epoch in 1..=EPOCHS {
        // A second each.
        place.log_of(BEGUN + i64::try_from(epoch - 1).unwrap() * 1_000, epoch, 1..=3, "a");
    }
    let mut shipper = place.shipper().await.unwrap();
    for epoch in 1..=EPOCHS {
        shipper.ship(at(epoch, 3), epoch).await.unwrap();
    }
    let target = place.store().target().to_string();
    let all = |epochs: std::ops::RangeInclusive<u64>| -> Vec<String> {
        epochs.flat_map(|epoch| (1..=3).map(move |counter| format!("{:#}", at(epoch, counter)))).collect()
    };
    for (first, last) in [(1, 1), (1, EPOCHS), (5, 9), (EPOCHS, EPOCHS)] {
        let (from, to) = (format!("{:#}", at(first, 1)), format!("{:#}", at(last, 3)));
        let (found, output) = dumped(&[&target, "--from", &from, "--to", &to]);
        assert_eq!((found, told(&output)), (all(first..=last), String::new()), "{from} to {to}");
        let time = |epoch: u64| format!("2023-11-14T22:13:{}Z", 19 + epoch);
        let (found, output) = dumped(&[&target, "--since", &time(first), "--until", &time(last + 1)]);
        assert_eq!((found, told(&output)), (all(first..=last), String::new()), "{first} to {last}, by time");
    }
}

/// A disk that was replaced long ago had all log since fetched, of all disks.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a store: `dev/test archive`"]
async fn of_a_chain_that_ended_long_before_a_time_nothing_is_fetched_and_of_the_others_no_more_for_its_sake() {
    const EPOCHS: u64 = 60;
    const DAY: i64 = 24 * 60 * 60 * 1000;
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let proxy = Proxy::before(gateway.address).await;
    let place = Place::new();
    for epoch in 1..=EPOCHS {
        place.log_of(BEGUN + i64::try_from(epoch).unwrap() * DAY, epoch, 1..=3, "a");
    }
    for (chain, last) in [(chain(), EPOCHS), (other(), EPOCHS / 2)] {
        let backlog = Backlog::of(&place.data());
        let mut shipper = Shipper::resume(gateway.store(), IDENTITY, chain, backlog).await.unwrap();
        for epoch in 1..=last {
            shipper.ship(at(epoch, 3), epoch).await.unwrap();
        }
    }
    let target = gateway.store().target().to_string();
    // Since the last three days; since all is over; since the day before one has ended.
    for (since, first) in [(EPOCHS - 2, EPOCHS - 2), (EPOCHS + 9, EPOCHS + 1), (EPOCHS / 2 - 1, EPOCHS / 2 - 1)] {
        proxy.requests();
        let before = proxy.asked().len();
        let output = Command::new(env!("CARGO_BIN_EXE_menagerie"))
            .args(["log", "dump", &target, "--output", "json", "--since"])
            .arg(format!("@{}", BEGUN + i64::try_from(since).unwrap() * DAY))
            .env("AWS_ENDPOINT_URL", format!("http://{}", proxy.address))
            .envs([("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", SECRET), ("AWS_ALLOW_HTTP", "true")])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        assert!(told(&output).is_empty() || first > EPOCHS, "{}", told(&output));
        let found: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        assert_eq!(found.len() as u64, (EPOCHS + 1 - first) * 3, "{found:?}");
        let asked = proxy.asked().split_off(before);
        let of_ended = asked.iter().filter(|asked| asked.contains(&other().to_string())).count();
        let segments = asked.iter().filter(|asked| !asked.contains("list-type=2")).count();
        if since < EPOCHS / 2 {
            continue;
        }
        assert!(of_ended <= 12, "{of_ended} requests for the chain that has ended: {asked:#?}");
        // Those of the time, eight before them, eight read ahead; and to find them.
        assert!(segments <= 50, "{segments} segments read: {asked:#?}");
    }
}
