//! A majority of the volumes is lost, and what keeps a person from accepting that.

use menagerie::model::observed::{Kind, ObjectKey};
use menagerie::model::truth::DiskState;
use menagerie::model::{ConfigVersion, Fact, Live, MemberTruth, Observation, Seat, ServerId};
use menagerie::plan::{Step, plan};

use super::world::{World, zk};

fn settled(members: i32) -> World {
    let mut world = zk(members);
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    world.trace.clear();
    world
}

fn emptied(members: i32, ids: &[u32]) -> World {
    let mut world = settled(members);
    world.empty = ids.iter().copied().map(ServerId).collect();
    world
}

/// Pods that wait for volumes that are gone with their nodes.
fn without_nodes(ids: &[u32]) -> World {
    let mut world = settled(3);
    for id in ids.iter().copied().map(ServerId) {
        world.unplaced.insert(id);
        let lost = format!("its volume can be reached only from node-{}, which is gone", id.seat().ordinal);
        world.claims.get_mut(&id.seat()).unwrap().lost = Some(lost);
    }
    world
}

fn told(seen: &Observation) -> String {
    let told = plan(seen);
    let Step::Refuse(reason) = told.step else { panic!("{:?}", told.step) };
    assert_eq!(reason.code, "MajorityLost", "{}", reason.message);
    for name in ["Degraded", "Ready"] {
        let condition = told.conditions.iter().find(|condition| condition.name == name).unwrap();
        assert_eq!((condition.reason, &condition.message), ("MajorityLost", &reason.message));
    }
    reason.message
}

fn says(message: &str, words: &[&str]) {
    for words in words {
        assert!(message.contains(words), "{words}: {message}");
    }
    assert!(!message.contains("accept-loss="), "nothing is offered: {message}");
}

fn truth(seen: &mut Observation, id: u32) -> &mut MemberTruth {
    let Some(Fact::Known(truth)) = seen.members.get_mut(&ServerId(id)) else { panic!("member {id} says nothing") };
    truth
}

#[test]
fn volumes_that_are_gone_with_their_nodes_are_a_lost_majority_though_their_members_say_nothing() {
    let mut world = without_nodes(&[1, 3]);
    let message = told(&world.settle_seen());
    says(
        &message,
        &[
            "member 1: its volume can be reached only from node-0, which is gone",
            "data is on 2",
            "kubectl -n ns delete pvc data-zk-0 --wait=false && kubectl -n ns delete pod zk-0",
            "delete pvc data-zk-2",
        ],
    );
    // They come back empty: their claims are new, and have no volume before a node has room for their pods.
    for seat in [0, 2].map(Seat::voter) {
        let claim = world.claims.get_mut(&seat).unwrap();
        (claim.lost, claim.volume) = (None, None);
    }
    says(
        &told(&world.settle_seen()),
        &["its claim data-zk-0 is new", "has to run before it can be counted", "0/3 nodes"],
    );
    // They run, and answer: now the loss can be accepted.
    world.empty = [1, 3].map(ServerId).into();
    world.unplaced.clear();
    let message = told(&world.settle_seen());
    world.requests.accept_loss = Some(message.split_once("accept-loss=").unwrap().1.to_owned());
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
}

#[test]
fn a_silent_member_may_have_all_of_the_data_and_nobody_is_asked_to_accept_anything() {
    let mut world = emptied(3, &[1, 3]);
    world.silent.insert(ServerId(2));
    let message = told(&world.settle_seen());
    says(&message, &["silent, and data may be on 2", "member 2 (pod zk-1) does not answer", "delete pvc data-zk-1"]);
    assert!(world.trace.is_empty(), "{:?}", world.trace);
}

#[test]
fn where_those_that_may_have_data_could_be_a_quorum_no_majority_is_lost() {
    let mut world = without_nodes(&[1]);
    world.silent = [2, 3].map(ServerId).into();
    let waits = world.settle().step;
    assert!(matches!(&waits, Step::Wait(reason) if reason.code == "NoQuorum"), "{waits:?}");
    // A claim that says lost while its server answers from the volume is no lost volume.
    let mut world = settled(3);
    world.down = [1, 2].map(ServerId).into();
    world.claims.values_mut().for_each(|claim| claim.lost = Some("gone".into()));
    let waits = plan(&world.seen()).step;
    assert!(matches!(&waits, Step::Wait(_)), "{waits:?}");
}

#[test]
fn of_a_loss_of_everything_it_is_said_that_nobody_is_left_who_may_have_data() {
    says(
        &told(&without_nodes(&[1, 2, 3]).settle_seen()),
        &["no voter is left that may have data", "delete pvc data-zk-1"],
    );
}

/// Another membership in what members start from, and in no server that leads.
fn noted(world: &mut World, line: &str, other: &str) {
    let key = ObjectKey { kind: Kind::ConfigMap, name: "zk-config".into() };
    let Some(Live::Ours(json)) = world.objects.get_mut(&key) else { panic!() };
    let text = json["data"]["charter.json"].as_str().unwrap();
    assert!(text.contains(line), "{text}");
    json["data"]["charter.json"] = text.replace(line, other).into();
}

#[test]
fn what_a_member_says_may_keep_a_loss_from_being_accepted_and_is_named_with_what_to_do() {
    type Case = (u32, fn(&mut DiskState), &'static [&'static str]);
    let cases: [Case; 3] = [
        (
            2,
            // An agent of an older version does not say who is in it.
            |disk| (disk.record, disk.recorded) = (Some(ConfigVersion(9 << 32)), None),
            &["member 2 has membership 900000000 on record", "once every pod answers"],
        ),
        (2, |disk| disk.epoch = None, &["the agent of member 2 is of an older version", "delete pod zk-1"]),
        (
            1,
            |disk| disk.epoch = Some(1),
            &["the volume of member 1 has joined epoch 1 and has no data any more", "delete pvc data-zk-0"],
        ),
    ];
    for (id, change, words) in cases {
        let mut seen = emptied(3, &[1, 3]).settle_seen();
        change(&mut truth(&mut seen, id).disk);
        says(&told(&seen), words);
    }
}

#[test]
fn a_stranger_that_votes_is_asked_for_and_an_observer_that_has_later_writes_is_named() {
    let mut world = emptied(3, &[1, 3]);
    let stranger = "server.9=zk.elsewhere.example:2888:3888;2181";
    noted(&mut world, r#"2181\n","#, &format!(r#"2181\n{stranger}\n","#));
    says(&told(&world.settle_seen()), &["server 9 at zk.elsewhere.example is not one of this", "start it again"]);
    let mut world = emptied(4, &[1, 2]);
    noted(
        &mut world,
        "zk-3.ns.svc.cluster.local:2888:3888:participant",
        "zk-3.ns.svc.cluster.local:2888:3888:observer",
    );
    let mut seen = world.settle_seen();
    truth(&mut seen, 4).disk.epoch = Some(7);
    says(&told(&seen), &["member 4 has no vote, and has joined epoch 7", "delete pvc data-zk-3"]);
}

trait Settled {
    fn settle_seen(&mut self) -> Observation;
}

impl Settled for World {
    fn settle_seen(&mut self) -> Observation {
        self.settle();
        self.seen()
    }
}
