//! What retention takes for an archive of a month of one-second segments, without a store: `dev/bench archive retention`.

use std::time::Instant;

use menagerie::archive::key::{BaseKey, Chain, DiskId};
use menagerie::archive::retention::{Base, BaseState, Catalogue, ChainLog, Pin, StoredSegment, Wish, plan};
use menagerie::model::ServerId;
use zookeeper_files::ids::Zxid;

use crate::process::memory;

const DAY: i64 = 24 * 60 * 60;
const BEGUN: i64 = 1_800_000_000;

/// Two chains of a segment a second, each of a hundred transactions, and a base a day. The run before has retired those of the first half.
fn catalogue(days: i64) -> Catalogue {
    let first = |second: i64| Zxid(1 << 32 | (second.unsigned_abs() * 100 + 1));
    let chain = |member| Chain::of(ServerId(member), DiskId::from_bits(member.into()));
    let segment = |second| {
        let stored = u32::try_from(BEGUN + second).unwrap();
        StoredSegment { first: first(second), stored, bytes: 6000 }
    };
    let chains =
        [1, 2].map(|member| ChainLog { chain: chain(member), segments: (0..days * DAY).map(segment).collect() });
    let base = |day: i64| {
        let zxid = Zxid(first(day * DAY).0 + 50);
        let stored = (BEGUN + day * DAY + 60) * 1000;
        let state = if day < days / 2 {
            BaseState::Retired { since: stored }
        } else {
            BaseState::Complete { stored, end: zxid, sound: true, marked: false }
        };
        Base {
            key: BaseKey { zxid, chain: chain(1) },
            state,
            parts: (0..100).collect(),
            bytes: 50_000_000,
            doubt: None,
        }
    };
    Catalogue { bases: (1..days).map(base).collect(), chains: chains.into() }
}

pub fn retention() {
    println!("\n### What an archive keeps, decided for a segment a second\n");
    println!(
        "| segments listed | bases | pins | catalogue in memory | deciding, s | more memory for it | segments that go |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (days, pins) in [(7, 0), (15, 0), (31, 0), (31, 3), (62, 3)] {
        let before = memory(std::process::id(), "VmRSS:");
        let catalogue = catalogue(days);
        let listed = memory(std::process::id(), "VmRSS:");
        let pins = (1..=pins).map(|pin| Zxid(1 << 32 | (pin * 20_000_000))).map(|zxid| Pin { from: zxid, to: zxid });
        let wish = Wish { window: (days / 2 - 1) * DAY * 1000, pins: pins.collect() };
        let begun = Instant::now();
        let plan = plan(&catalogue, &wish, (BEGUN + days * DAY) * 1000);
        let took = begun.elapsed();
        let peak = memory(std::process::id(), "VmHWM:");
        let count: usize = catalogue.chains.iter().map(|chain| chain.segments.len()).sum();
        let gone: usize = plan.cuts.iter().map(|cut| cut.to - cut.from).sum();
        println!(
            "| {count} | {} | {} | {:.0} MiB | {:.3} | {:.0} MiB | {gone} |",
            catalogue.bases.len(),
            wish.pins.len(),
            listed - before,
            took.as_secs_f64(),
            (peak - listed).max(0.0)
        );
    }
}
