//! What members hold back from the archive, and the write that shows whether it is committed.

use menagerie::model::truth::{ArchiveLag, ArchiveReason, ArchiveState, HeldBack, ServerState};
use menagerie::model::{Fact, Observation, ServerId, Unproven, Zxid};
use menagerie::plan::{ConditionStatus, Expected, Operation, Plan, Prove, Step, UntimedCondition, plan};

use super::archive::archived;
use super::world::zk;

/// The end of an epoch before all that serve here.
const END: Zxid = Zxid(7);

fn truth(seen: &mut Observation, id: u32) -> &mut menagerie::model::MemberTruth {
    match seen.members.get_mut(&ServerId(id)) {
        Some(Fact::Known(truth)) => truth,
        other => panic!("{other:?}"),
    }
}

/// A member that ships, and has held this back for so long.
fn holds(seen: &mut Observation, id: u32, last: Zxid, seconds: u64) {
    let held = Some(HeldBack { first: Zxid(5), last, seconds, unlogged: false });
    let lag = Some(ArchiveLag { seconds, bytes: 900, cause: None });
    truth(seen, id).archive = Some(ArchiveState { held, lag, ..ArchiveState::of(ArchiveReason::Shipping) });
}

fn ships(seen: &mut Observation, id: u32) {
    let lag = Some(ArchiveLag { seconds: 0, bytes: 0, cause: None });
    truth(seen, id).archive = Some(ArchiveState { lag, ..ArchiveState::of(ArchiveReason::Shipping) });
}

fn condition(plan: &Plan, name: &str) -> UntimedCondition {
    plan.conditions.iter().find(|condition| condition.name == name).unwrap().clone()
}

fn proves(seen: &Observation) -> Option<Prove> {
    match plan(seen).step {
        Step::Prove(prove) => Some(prove),
        _ => None,
    }
}

#[test]
fn what_a_member_was_synced_with_and_has_not_logged_is_said_and_something_is_written() {
    let mut seen = archived().seen();
    let Some(serving) = seen.members.values().find_map(|fact| match fact {
        Fact::Known(truth) => match &truth.server {
            ServerState::Serving(serving) => Some(serving.epoch),
            _ => None,
        },
        Fact::Unknown(_) => None,
    }) else {
        panic!("nobody serves")
    };
    ships(&mut seen, 2);
    // It is of the epoch in which the servers serve.
    let last = Zxid((serving << 32) + 20);
    holds(&mut seen, 1, last, 20);
    assert_eq!(proves(&seen), None, "what is logged may be applied in a moment");
    let archive = truth(&mut seen, 1).archive.as_mut().unwrap();
    archive.held.as_mut().unwrap().unlogged = true;
    let prove = proves(&seen).unwrap();
    assert_eq!(prove.held, [(ServerId(1), last)].into());
    let archiving = condition(&plan(&seen), "ContinuousArchiving");
    assert!(
        archiving.message.contains("synced up to") && archiving.message.contains("by a snapshot"),
        "{}",
        archiving.message
    );
}

#[test]
fn what_a_member_cannot_prove_is_said_and_after_a_minute_it_is_no_continuous_archive() {
    let mut seen = archived().seen();
    holds(&mut seen, 1, END, 30);
    holds(&mut seen, 2, END, 30);
    let archiving = condition(&plan(&seen), "ContinuousArchiving");
    assert_eq!((archiving.status, archiving.reason), (ConditionStatus::True, "Shipping"));
    let held = "member 1: holds back its log up to 0x7, which only the next write can show to be committed";
    assert!(archiving.message.contains(held), "{}", archiving.message);
    holds(&mut seen, 1, END, 31);
    assert_eq!(condition(&plan(&seen), "ContinuousArchiving"), archiving, "it is not written each second");

    holds(&mut seen, 1, END, 61);
    holds(&mut seen, 2, END, 61);
    let behind = condition(&plan(&seen), "ContinuousArchiving");
    assert_eq!((behind.status, behind.reason), (ConditionStatus::False, "Behind"));
    let late = "member 1: behind by more than 1 min and 1 KiB of log; holds back its log up to 0x7";
    assert!(behind.message.contains(late), "{}", behind.message);
}

#[test]
fn where_nobody_writes_a_session_is_opened_and_the_conditions_stay_as_they_are() {
    let mut seen = archived().seen();
    ships(&mut seen, 1);
    ships(&mut seen, 2);
    let rest = plan(&seen);
    assert_eq!(rest.step, Step::Rest, "at rest it costs nothing");
    holds(&mut seen, 2, END, 14);
    assert_eq!(proves(&seen), None, "any client may write yet");
    holds(&mut seen, 2, END, 15);
    let prove = proves(&seen).unwrap();
    assert_eq!(prove.held, [(ServerId(2), END)].into());
    let Step::Prove(_) = plan(&seen).step else { panic!() };
    let expected = Expected { membership: Some(prove.from.clone()), without: None };
    let session = Operation::Confirm { expected, via: prove.via.clone() };
    assert_eq!(plan(&seen).step.operations(), [session], "nothing else is done");
    for name in ["Ready", "Progressing", "Degraded"] {
        assert_eq!(condition(&plan(&seen), name), condition(&rest, name));
    }
}

#[test]
fn it_is_done_beside_a_member_that_is_missing_and_not_without_a_quorum() {
    let mut world = archived();
    world.down = [ServerId(3)].into();
    let mut seen = world.seen();
    holds(&mut seen, 1, END, 100);
    assert!(!proves(&seen).unwrap().via.contains(&ServerId(3)));
    let told = condition(&plan(&seen), "Progressing");
    assert_eq!((told.status, told.reason), (ConditionStatus::True, "MemberNotSynced"), "what it waits for is said");
    world.down = [ServerId(2), ServerId(3)].into();
    let mut seen = world.seen();
    holds(&mut seen, 1, END, 100);
    assert_eq!(proves(&seen), None);
}

#[test]
fn whatever_else_is_to_be_done_comes_first() {
    let mut world = archived();
    world.spec.replicas = 5;
    let mut seen = world.seen();
    holds(&mut seen, 1, END, 100);
    assert!(!plan(&seen).step.idle() && proves(&seen).is_none());
    let mut world = archived();
    world.hindrances.denied = true;
    let mut seen = world.seen();
    holds(&mut seen, 1, END, 100);
    assert_eq!(proves(&seen), None, "no session comes of a password that they do not know");
}

#[test]
fn who_does_not_serve_or_does_not_ship_or_is_not_to_is_not_written_for() {
    let world = archived();
    let with = |change: &dyn Fn(&mut Observation)| {
        let mut seen = world.seen();
        holds(&mut seen, 2, END, 100);
        change(&mut seen);
        proves(&seen)
    };
    assert!(with(&|_| ()).is_some());
    let waits = ServerState::Waiting { phase: "election".to_owned(), version: None };
    assert_eq!(with(&|seen| truth(seen, 2).server = waits.clone()), None);
    let fails = |seen: &mut Observation| truth(seen, 2).archive.as_mut().unwrap().reason = ArchiveReason::AccessDenied;
    assert_eq!(with(&fails), None);
    let elsewhere =
        |seen: &mut Observation| truth(seen, 2).archive.as_mut().unwrap().place = Some("s3://old".to_owned());
    assert_eq!(with(&elsewhere), None);
    let third = |seen: &mut Observation| {
        ships(seen, 2);
        holds(seen, 3, END, 100);
    };
    assert_eq!(with(&third), None, "two copies are asked for");
    let now = |seen: &mut Observation| {
        let ServerState::Serving(serving) = &truth(seen, 2).server else { panic!() };
        let last = Zxid(serving.epoch << 32 | 9);
        holds(seen, 2, last, 100);
    };
    assert_eq!(with(&now), None, "it was said in the epoch before");

    let mut world = zk(3);
    world.settle();
    let mut seen = world.seen();
    holds(&mut seen, 1, END, 100);
    assert_eq!(proves(&seen), None, "there is no archive");
}

#[test]
fn a_write_that_changes_nothing_is_not_repeated_for_ever_and_another_end_is_another_reason() {
    let world = archived();
    let after = |last: Zxid, times, waits| {
        let mut seen = world.seen();
        holds(&mut seen, 1, END, 100);
        seen.hindrances.unproven = Unproven { tried: [(ServerId(1), (last, times))].into(), waits };
        proves(&seen).is_some()
    };
    assert!(after(END, 4, false) && !after(END, 5, false));
    assert!(!after(END, 1, true), "it was just done");
    assert!(after(Zxid(6), 5, false), "the log has another end by now");
}
