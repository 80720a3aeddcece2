//! What people and nodes do to an ensemble that somebody else has changed by hand.

use menagerie::api::JvmSpec;
use menagerie::model::{Fact, NodeFacts, ServerId};
use menagerie::plan::Plan;

use super::world::World;

#[derive(Clone, Copy, Debug)]
pub enum Order {
    /// Another heap: every pod has to be restarted.
    Roll,
    /// The leader's node is cordoned.
    Cordon,
    /// The leader's pod is evicted.
    Evict,
    /// This member is to get a new volume.
    Replace(u32),
}

impl Order {
    pub fn all(members: u32) -> impl Iterator<Item = Self> {
        [Self::Roll, Self::Cordon, Self::Evict].into_iter().chain((1..=members).map(Self::Replace))
    }

    /// Gives it, lets the operator act until it has no step, takes away what was passing, and lets it act again.
    pub fn give(self, world: &mut World) -> Plan {
        let leader = world.leader();
        match (self, leader) {
            (Self::Roll, _) => {
                world.spec.jvm = Some(JvmSpec { heap: Some("300Mi".into()), ..JvmSpec::default() });
            }
            (Self::Cordon, Some(leader)) => {
                for n in 0..world.pods() {
                    let cordoned = n + 1 == leader.0;
                    let facts = NodeFacts { cordoned, ..NodeFacts::default() };
                    world.nodes.insert(format!("node-{n}"), Fact::Known(facts));
                }
            }
            (Self::Evict, Some(leader)) => drop(world.going.insert(leader.0 - 1)),
            (Self::Replace(id), _) => drop(world.replace.insert(ServerId(id))),
            (Self::Cordon | Self::Evict, None) => {}
        }
        world.settle();
        world.going.clear();
        world.down.clear();
        world.settle()
    }
}
