//! What anybody may do from birth is taken away, once.

use menagerie::api::{AclEntry, Guarded};
use menagerie::model::acl::{NARROW, RootAcl};
use menagerie::model::{Acl, ServerId};
use menagerie::plan::{Deed, Step, Truth, plan};

use super::world::{UID, World, zk};

fn entry(scheme: &str, id: &str, perms: &str) -> AclEntry {
    AclEntry { scheme: scheme.into(), id: id.into(), perms: perms.into() }
}

fn ready(world: &World) -> Truth {
    let conditions = plan(&world.seen()).conditions;
    conditions.into_iter().find(|verdict| verdict.name == "Ready").unwrap().truth
}

/// Until rights are taken away; what becomes of the root's ACL.
fn guarded(world: &mut World) -> RootAcl {
    for _ in 0..20 {
        if let Step::Guard(guard) = world.pass().step {
            return guard.root;
        }
    }
    panic!("nothing is guarded: {:?}", world.trace);
}

#[test]
fn a_new_ensemble_is_guarded_before_it_is_called_ready_and_once() {
    let mut world = zk(3);
    while world.guarded == 0 {
        assert_eq!(ready(&world), Truth::False, "{:?}", world.trace);
        world.pass();
    }
    assert_eq!(world.settle().step, Step::Rest);
    assert_eq!(ready(&world), Truth::True);
    world.scale(5).settle();
    world.scale(1).settle();
    assert_eq!(world.guarded, 1);
    let guarded = world.status.guarded.unwrap();
    assert_eq!(guarded, Guarded { identity: UID.into(), zookeeper: "world:anyone:r".into(), root: None });
}

#[test]
fn an_ensemble_that_runs_is_guarded_once_and_so_is_one_whose_status_was_lost_or_is_another_ones() {
    let mut world = zk(3);
    world.settle();
    world.status.guarded = None;
    world.settle();
    assert_eq!(world.guarded, 2);
    world.status.guarded.as_mut().unwrap().identity = "another".into();
    assert_eq!(world.settle().step, Step::Rest);
    assert_eq!((world.guarded, world.status.guarded.unwrap().identity.as_str()), (3, UID));
}

#[test]
fn it_waits_for_a_quorum_and_not_for_a_member_that_is_missing() {
    let mut world = zk(3);
    world.down = [ServerId(1), ServerId(2)].into();
    world.settle();
    assert_eq!(world.guarded, 0, "there was nobody to ask");
    world.down = [ServerId(1)].into();
    assert!(matches!(world.settle().step, Step::Wait(_)));
    assert_eq!(world.guarded, 1, "a quorum is enough");
}

#[test]
fn a_second_look_stands_before_it_and_what_is_more_urgent_too() {
    let mut world = zk(3);
    world.settle();
    world.status.guarded = None;
    assert!(matches!(plan(&world.seen()).step.deeds()[..], [Deed::LookAgain, Deed::Guard(_)]));
    world.scale(5);
    world.pass();
    assert_eq!(world.guarded, 1, "growth waits for nothing here: {:?}", world.trace);
}

#[test]
fn an_acl_of_the_root_that_somebody_else_set_is_left_to_them_unless_the_spec_says_one() {
    let mut world = zk(1);
    assert_eq!(guarded(&mut world), RootAcl::Narrow { ours: Vec::new() });
    world.settle();
    world.spec.root_acl = Some(vec![entry("world", "anyone", "r"), entry("sasl", "solr", "adcrw")]);
    let texts: Vec<String> = match guarded(&mut world) {
        RootAcl::Set(acl) => acl.iter().map(Acl::to_string).collect(),
        narrow @ RootAcl::Narrow { .. } => panic!("{narrow:?}"),
    };
    assert_eq!(texts, ["world:anyone:r", "sasl:solr:cdrwa"]);
    assert_eq!(world.settle().step, Step::Rest);
    // The same again, written otherwise, is nothing new.
    world.spec.root_acl.as_mut().unwrap()[1].perms = "cdrwaa".into();
    assert_eq!(world.settle().step, Step::Rest);
    assert_eq!(world.guarded, 2);
    // Taken out of the spec: what this operator set is known as its own, and gives way to the default.
    world.spec.root_acl = None;
    assert_eq!(guarded(&mut world), RootAcl::Narrow { ours: texts });
    assert_eq!(NARROW, "world:anyone:cdr");
}

#[test]
fn an_acl_that_names_nobody_is_refused_before_anything_is_done() {
    let mut world = zk(1);
    world.settle();
    world.spec.root_acl = Some(vec![entry("auth", "x", "r")]);
    let Step::Refuse(reason) = world.settle().step else { panic!("it is not refused") };
    assert!(reason.code == "InvalidSpec" && reason.message.contains("rootAcl"), "{}", reason.message);
}
