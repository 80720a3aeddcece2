//! Whether a set of servers is a quorum, as ZooKeeper counts: by majority, or by weights in groups.
//!
//! - Only voters count, however many others there are.
//! - With weights, a quorum needs more than half of the weight in more than half of the groups. Groups of weight 0 do
//!   not count.
//! - Any two quorums of a membership have a server in common.

use std::collections::{BTreeMap, BTreeSet};

use super::ids::ServerId;

/// How votes are counted: by majority where this says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Votes {
    /// The group of each server that has one. ZooKeeper counts by weights as soon as there are any groups, and then
    /// every voter has one. Servers that are gone may still be in here, and their weight counts.
    pub groups: BTreeMap<ServerId, i64>,
    /// The weight of each server that has one; others have 1.
    pub weights: BTreeMap<ServerId, i64>,
}

impl Votes {
    /// Whether any set of more than half of the voters is a quorum.
    pub fn by_majority(&self) -> bool {
        self.groups.is_empty() && self.weights.is_empty()
    }

    /// The weight of a server in its group.
    pub fn weight(&self, id: ServerId) -> i64 {
        self.weights.get(&id).copied().unwrap_or(1)
    }

    /// Whether the voters that are present are a quorum.
    pub fn quorum(&self, voters: impl Iterator<Item = ServerId>, present: impl Fn(ServerId) -> bool) -> bool {
        if self.by_majority() {
            let (all, there) = voters.fold((0, 0), |(all, there), id| (all + 1, there + usize::from(present(id))));
            return there > all / 2;
        }
        self.groups_won(&voters.filter(|id| present(*id)).collect())
    }

    /// ZooKeeper rounds halves down, of groups as of weights.
    fn groups_won(&self, there: &BTreeSet<ServerId>) -> bool {
        let mut groups: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
        for (id, group) in &self.groups {
            let (total, has) = groups.entry(*group).or_default();
            let weight = self.weight(*id);
            *total = total.saturating_add(weight);
            *has = has.saturating_add(if there.contains(id) { weight } else { 0 });
        }
        groups.retain(|_, (total, _)| *total != 0);
        groups.values().filter(|(total, has)| *has > total / 2).count() > groups.len() / 2
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, prop, prop_assert, proptest};

    use super::*;

    fn ids(ids: impl IntoIterator<Item = u32>) -> BTreeSet<ServerId> {
        ids.into_iter().map(ServerId).collect()
    }

    fn quorum(votes: &Votes, all: &BTreeSet<ServerId>, there: &BTreeSet<ServerId>) -> bool {
        votes.quorum(all.iter().copied(), |id| there.contains(&id))
    }

    #[test]
    fn a_majority_is_more_than_half_of_the_voters_whoever_else_is_there() {
        for (voters, needed) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)] {
            let all = ids(1..=voters);
            assert!(quorum(&Votes::default(), &all, &ids(1..=needed)), "{needed} of {voters}");
            assert!(!quorum(&Votes::default(), &all, &ids((1..needed).chain(100..200))), "{needed} of {voters}");
        }
        assert!(!quorum(&Votes::default(), &ids([]), &ids([])), "of nobody nobody is a quorum");
    }

    /// Three groups of three, as in ZooKeeper's own example.
    fn nine() -> Votes {
        Votes { groups: (1..=9).map(|id| (ServerId(id), i64::from((id - 1) / 3))).collect(), ..Votes::default() }
    }

    #[test]
    fn by_groups_two_of_three_in_two_of_three_are_a_quorum_and_six_in_one_way_are_none() {
        let all = ids(1..=9);
        for (there, enough) in [
            (vec![1, 2, 4, 5], true),
            (vec![1, 2, 3, 4, 7], false),
            (vec![1, 2, 3], false),
            (vec![1, 4, 7], false),
            (vec![2, 3, 8, 9], true),
        ] {
            assert_eq!(quorum(&nine(), &all, &ids(there.clone())), enough, "{there:?}");
        }
    }

    #[test]
    fn a_weight_of_0_has_no_say_and_a_server_that_is_gone_or_only_observes_keeps_its_weight_from_the_others() {
        let all = ids(1..=3);
        let votes = |weights: &[(u32, i64)]| Votes {
            groups: all.iter().map(|id| (*id, 1)).collect(),
            weights: weights.iter().map(|(id, weight)| (ServerId(*id), *weight)).collect(),
        };
        assert!(quorum(&votes(&[(3, 0)]), &all, &ids([1, 2])) && !quorum(&votes(&[(3, 0)]), &all, &ids([1, 3])));
        assert!(quorum(&votes(&[(1, 3)]), &all, &ids([1])) && !quorum(&votes(&[(1, 3)]), &all, &ids([2, 3])));
        // Server 3 has as much weight as the others together, and no vote.
        assert!(!quorum(&votes(&[(3, 2)]), &ids([1, 2]), &ids([1, 2, 3])));
        // A group without weight is none: the other one decides alone.
        let mut two = votes(&[(3, 0)]);
        two.groups.insert(ServerId(3), 2);
        assert!(quorum(&two, &all, &ids([1, 2])) && !quorum(&two, &all, &ids([1, 3])));
    }

    fn votes() -> impl Strategy<Value = (Votes, BTreeSet<ServerId>)> {
        let weighed = prop::collection::vec((0i64..4, prop::option::of(0i64..4)), 1..8).prop_map(|servers| {
            let servers = || (1..).map(ServerId).zip(&servers);
            let weights = servers().filter_map(|(id, (_, weight))| Some((id, (*weight)?))).collect();
            let groups: BTreeMap<ServerId, i64> = servers().map(|(id, (group, _))| (id, *group)).collect();
            let voters = groups.keys().copied().collect();
            (Votes { groups, weights }, voters)
        });
        let majority = (1u32..8).prop_map(|voters| (Votes::default(), ids(1..=voters)));
        prop::strategy::Union::new([weighed.boxed(), majority.boxed()])
    }

    fn subset(mask: u32) -> BTreeSet<ServerId> {
        ids((0..8).filter(|bit| mask & (1 << bit) != 0).map(|bit| bit + 1))
    }

    proptest! {
        #[test]
        fn two_quorums_always_meet((votes, all) in votes(), one in 0u32..256, other in 0u32..256) {
            let (one, other) = (subset(one), subset(other));
            let both = quorum(&votes, &all, &one) && quorum(&votes, &all, &other);
            prop_assert!(!both || one.intersection(&other).any(|id| all.contains(id)));
        }

        #[test]
        fn who_comes_along_takes_no_quorum_away((votes, all) in votes(), some in 0u32..256, more in 0u32..256) {
            prop_assert!(!quorum(&votes, &all, &subset(some)) || quorum(&votes, &all, &subset(some | more)));
        }

        #[test]
        fn one_group_of_equal_weights_is_a_majority(voters in 1u32..8, there in 0u32..256, weight in 1i64..4) {
            let all = ids(1..=voters);
            // An even weight of one keeps its half: more than half of the weight is more than half of the servers.
            let votes = Votes {
                groups: all.iter().map(|id| (*id, 5)).collect(),
                weights: all.iter().map(|id| (*id, weight)).collect(),
            };
            let by_majority = quorum(&Votes::default(), &all, &subset(there));
            prop_assert!(quorum(&votes, &all, &subset(there)) == by_majority);
        }
    }
}
