//! The reads and writes of a step, in their order. Both the operator and the simulation carry them out; the simulation
//! can stop between any two.
//!
//! Invariants:
//! - whatever takes something away, or changes who votes, is done only if a second observation leads to the same step:
//!   meanwhile a member may have died, or an operator on a lost node may have resumed an old decision;
//! - and only after a fresh quorum read. If nothing is committed, there is nobody to ask.

use std::collections::BTreeSet;

use super::{Guard, Reason, Resize, Step, Target, Write};
use crate::model::{Change, Membership, Names, Server, ServerId};

/// One read or write. The first that fails ends the step.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Observe and plan again, and go on only if the step is still the same.
    LookAgain,
    /// Create an object, or change it to what it should be.
    Write(Write),
    /// Delete an object.
    Delete(Target),
    /// Change the number of pods.
    Resize(Resize),
    /// Open a session, which is a committed write, then read the membership, and go on only if it is as expected.
    Confirm {
        /// What it has to be.
        expected: Expected,
        /// Members to ask.
        via: Vec<ServerId>,
    },
    /// Change the membership by `reconfig`.
    Reconfig {
        /// The change, with the membership that it was decided on.
        change: Change,
        /// Members to ask.
        via: Vec<ServerId>,
    },
    /// Set ACLs as super user, from the top down.
    Guard(Guard),
}

/// What a fresh quorum read has to find.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The membership is still this one. The decision rests on what an agent said about it over HTTP, and whoever can answer
    /// in an agent's place knows the version as well.
    pub membership: Option<Membership>,
    /// This one of our members is not in it.
    pub without: Option<ServerId>,
}

impl Expected {
    /// Whether the membership is as expected; else what differs.
    pub fn met(&self, membership: &Membership, names: &Names) -> Result<(), String> {
        // Two ensembles may have the same version, and another pod may have got the address.
        if membership.highest(names) == 0 {
            return Err("the answer is another ensemble's membership".to_owned());
        }
        if let Some(told) = &self.membership {
            if told.version != membership.version {
                return Err(format!("the membership is at {} by now, not at {}", membership.version, told.version));
            }
            if let Some(lie) = otherwise(told, membership, names) {
                return Err(lie);
            }
        }
        // A server that somebody added at the id of a pod that goes is no member.
        let ours = |id: &ServerId| membership.servers.get(id).is_some_and(|server| names.owns(*id, server));
        match self.without.filter(ours) {
            Some(id) => Err(format!("member {id} is in the membership again")),
            None => Ok(()),
        }
    }
}

impl Step {
    /// The operations of the step.
    pub fn operations(&self) -> Vec<Operation> {
        match self {
            Self::Apply(writes) => writes.iter().cloned().map(Operation::Write).collect(),
            // For servers that only an agent speaks of, no pods are started.
            Self::AddPod(resize) => {
                let confirm = |from| Operation::Confirm { expected: still(from), via: resize.via.clone() };
                let confirm = resize.from.clone().map(confirm);
                confirm.into_iter().chain([Operation::Resize(resize.clone())]).collect()
            }
            Self::Delete(targets) => behind(None, targets.iter().cloned().map(Operation::Delete)),
            Self::RemovePod(resize) => {
                let expected = Expected { membership: None, without: Some(resize.id) };
                behind(Some((expected, &resize.via[..])), [Operation::Resize(resize.clone())])
            }
            Self::Join { id, to, from, via } | Self::Leave { id, to, from, via, why: _ } => {
                change(Change { id: *id, from: from.clone(), to: to.clone() }, via)
            }
            Self::Restart(restart) => {
                let expected = restart.from.clone().map(still);
                behind(expected.map(|expected| (expected, &restart.via[..])), [Operation::Delete(restart.pod.clone())])
            }
            Self::ReplaceVolume(replacement) => {
                let expected = Expected { without: Some(replacement.id), ..still(replacement.from.clone()) };
                let targets = [&replacement.claim].into_iter().chain(&replacement.pod).cloned();
                behind(Some((expected, &replacement.via[..])), targets.map(Operation::Delete))
            }
            // Another ensemble's member may have got the address, with the same super user's password.
            Self::Guard(guard) => {
                behind(Some((still(guard.from.clone()), &guard.via[..])), [Operation::Guard(guard.clone())])
            }
            // Opening the session is the write. It adds nothing that anybody sees, and so needs no second look; whose session it was, the
            // membership says.
            Self::Prove(prove) => {
                vec![Operation::Confirm { expected: still(prove.from.clone()), via: prove.via.clone() }]
            }
            // The membership that members start from changes only if a quorum confirms it: a leader that was cut off
            // still believes in its own.
            Self::Tell(tell) => {
                let confirm = Operation::Confirm { expected: still(tell.membership.clone()), via: tell.via.clone() };
                vec![confirm, Operation::Write(tell.write.clone())]
            }
            Self::Wait(_) | Self::Refuse(_) | Self::Rest => Vec::new(),
        }
    }
}

impl Step {
    /// A step that nobody can confirm would fail on every pass, while the conditions say that all is well. So it
    /// becomes a wait that says why.
    pub(super) fn or_nobody(self, names: &Names) -> Self {
        let asks = self.operations().into_iter().any(|operation| match operation {
            Operation::Confirm { via, .. } | Operation::Reconfig { via, .. } => via.is_empty(),
            Operation::Guard(guard) => guard.via.is_empty(),
            Operation::LookAgain | Operation::Write(_) | Operation::Delete(_) | Operation::Resize(_) => false,
        });
        if !asks {
            return self;
        }
        let about = self.member().map_or(String::new(), |id| format!(" member {id} (pod {})", names.pod(id.seat())));
        Self::Wait(Reason::new(
            "NobodyToAsk",
            format!("waiting for a synced member that can be asked before this is done: {}{about}", self.word()),
        ))
    }
}

fn change(change: Change, via: &[ServerId]) -> Vec<Operation> {
    behind(Some((still(change.from.clone()), via)), [Operation::Reconfig { change, via: via.to_vec() }])
}

fn still(membership: Membership) -> Expected {
    Expected { membership: Some(membership), without: None }
}

/// A file that somebody edited is the other way to two texts of one version, and `ZooKeeper` never levels those.
const WAY_OUT: &str = "nothing is done on its word; if somebody edited the file of a member, a reconfig as super user with the line that is right gives all of them one text under a new version";

/// Whether two texts of a server say the same, as far as a decision rests on it. One that was added without a client port, and got it
/// by hand in its own file, has it there and nowhere else.
fn same(told: &Server, confirmed: &Server, ours: bool) -> bool {
    let usual = || told.usual_clients() && confirmed.usual_clients();
    told == confirmed || (ours && told.peers() == confirmed.peers() && usual())
}

/// Where an agent's words of a membership are not what a quorum has. Both are what servers print, so that all else is the same to the
/// letter.
fn otherwise(told: &Membership, confirmed: &Membership, names: &Names) -> Option<String> {
    let spec = |membership: &Membership, id: &ServerId| {
        membership.servers.get(id).map_or_else(|| "nothing".to_owned(), |server| server.spec().to_owned())
    };
    let ids: BTreeSet<&ServerId> = told.servers.keys().chain(confirmed.servers.keys()).collect();
    let version = told.version;
    let differs = |id: &&ServerId| match (told.servers.get(id), confirmed.servers.get(id)) {
        (Some(told), Some(confirmed)) => !same(told, confirmed, names.owns(**id, told)),
        (told, confirmed) => told != confirmed,
    };
    if let Some(id) = ids.into_iter().find(differs) {
        let (told, confirmed) = (spec(told, id), spec(confirmed, id));
        return Some(format!(
            "in membership {version} server {id} is {confirmed}, and the leader's agent says that it is {told}: {WAY_OUT}"
        ));
    }
    (told.votes != confirmed.votes).then(|| {
        format!(
            "the leader's agent says otherwise of the groups and weights in membership {version} than a quorum does: {WAY_OUT}"
        )
    })
}

/// The quorum is asked last, so its answer is as fresh as possible.
fn behind(confirm: Option<(Expected, &[ServerId])>, operations: impl IntoIterator<Item = Operation>) -> Vec<Operation> {
    let confirm = confirm.map(|(expected, via)| Operation::Confirm { expected, via: via.to_vec() });
    [Operation::LookAgain].into_iter().chain(confirm).chain(operations).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixtures::names;
    use crate::model::observed::{Kind, ObjectKey};
    use crate::model::{ConfigVersion, Votes};
    use crate::plan::{Purpose, ReplaceVolume, Restart, Tell};
    use crate::render::Rendered;

    const ID: ServerId = ServerId(3);

    fn from() -> Membership {
        Membership { version: ConfigVersion(7), ..names().seed(3) }
    }

    fn target(kind: Kind) -> Target {
        Target { key: ObjectKey { kind, name: "zk".into() }, uid: "u".into(), resource_version: "1".into() }
    }

    fn via() -> Vec<ServerId> {
        vec![ServerId(1)]
    }

    fn restart(from: Option<Membership>) -> Step {
        Step::Restart(Restart { id: ID, pod: target(Kind::Pod), from, via: via(), why: String::new() })
    }

    #[test]
    fn what_takes_something_away_stands_behind_a_second_look_and_then_a_fresh_quorum_read() {
        let (claim, pod) = (target(Kind::PersistentVolumeClaim), target(Kind::Pod));
        let key = ObjectKey { kind: Kind::StatefulSet, name: "zk".into() };
        let object = Rendered { key, json: serde_json::Value::Null };
        let write = Write::Apply { object: object.clone(), uid: None };
        let resize = Resize { id: ID, object, uid: "u".into(), resource_version: "1".into(), from: None, via: via() };
        let replacement = ReplaceVolume {
            id: ID,
            claim: claim.clone(),
            pod: Some(pod),
            from: from(),
            via: via(),
            why: String::new(),
        };
        let to = Membership::default();
        let steps = [
            (Step::RemovePod(resize.clone()), (None, Some(ID)), 1),
            (Step::Join { id: ID, to: to.clone(), from: from(), via: via() }, (Some(from()), None), 1),
            (Step::Leave { id: ID, to, from: from(), via: via(), why: Purpose::Shrink }, (Some(from()), None), 1),
            (restart(Some(from())), (Some(from()), None), 1),
            (Step::ReplaceVolume(replacement), (Some(from()), Some(ID)), 2),
        ];
        for (step, (membership, without), writes) in steps {
            let operations = step.operations();
            let confirm = Operation::Confirm { expected: Expected { membership, without }, via: via() };
            assert_eq!(operations[..2], [Operation::LookAgain, confirm], "{}", step.word());
            assert_eq!(operations.len(), 2 + writes, "{}", step.word());
        }
        let add = Step::AddPod(Resize { from: Some(from()), ..resize.clone() });
        let confirm = Operation::Confirm { expected: still(from()), via: via() };
        assert_eq!((add.operations().len(), &add.operations()[0]), (2, &confirm));
        assert_eq!(Step::AddPod(resize.clone()).operations().len(), 1, "nobody leads, so that nobody can be asked");
        let tell = Step::Tell(Tell { write, membership: from(), via: via() });
        assert_eq!((tell.operations().len(), &tell.operations()[0]), (2, &confirm));
        // There is nobody to ask: nothing is committed, or a quorum would not know of it.
        for step in [restart(None), Step::Delete(vec![claim])] {
            assert!(matches!(step.operations()[..], [Operation::LookAgain, Operation::Delete(_)]), "{}", step.word());
        }
    }

    #[test]
    fn a_membership_of_another_version_or_with_the_member_in_it_is_not_what_was_expected() {
        let before = Membership { version: ConfigVersion(6), ..from() };
        let met = |membership, without| Expected { membership, without }.met(&from(), &names());
        assert_eq!(met(Some(from()), Some(ServerId(4))), Ok(()));
        assert_eq!(met(Some(before), None).unwrap_err(), "the membership is at 7 by now, not at 6");
        assert_eq!(met(None, Some(ID)).unwrap_err(), "member 3 is in the membership again");
    }

    #[test]
    fn a_server_of_somebody_else_with_the_id_of_a_member_is_not_that_member() {
        let (names, mut membership) = (names(), names().seed(3));
        let met =
            |membership: &Membership| Expected { membership: None, without: Some(ServerId(4)) }.met(membership, &names);
        membership.servers.insert(ServerId(4), Server::voter("zk.elsewhere.example"));
        assert_eq!(met(&membership), Ok(()));
        membership.servers.insert(ServerId(4), names.server(ServerId(4)));
        assert!(met(&membership).is_err());
    }

    #[test]
    fn other_servers_roles_or_votes_under_the_true_version_are_not_what_was_expected_and_are_named() {
        let observer = Server::parse(&from().servers[&ID].spec().replace(":participant", ":observer"));
        let votes = Votes { groups: [(ID, 1)].into(), ..Votes::default() };
        for (lie, words) in [
            (from().with(ServerId(9), Server::voter("h")), "server 9 is nothing"),
            (from().without(ID), "server 3 is zk-2.ns"),
            (from().with(ID, observer), ":observer"),
            (Membership { votes, ..from() }, "groups and weights"),
        ] {
            let lie = Membership { version: from().version, ..lie };
            let told = still(lie).met(&from(), &names()).unwrap_err();
            assert!(told.contains(words), "{words}: {told}");
            assert!(told.contains("a reconfig as super user"), "{told}");
        }
    }

    #[test]
    fn the_same_version_with_a_members_client_port_in_one_text_alone_is_what_was_expected() {
        let text = |client: &str| {
            let peers = from().servers[&ID].spec().split(';').next().unwrap().to_owned();
            Membership { version: from().version, ..from().with(ID, Server::parse(&format!("{peers}{client}"))) }
        };
        let met = |told: &str, confirmed: &str| still(text(told)).met(&text(confirmed), &names());
        for ours in [";0.0.0.0:2181", ";2181", ";[::]:2181", ";[0:0:0:0:0:0:0:0]:2181"] {
            assert_eq!((met(ours, ""), met("", ours), met(ours, ";0.0.0.0:2181")), (Ok(()), Ok(()), Ok(())), "{ours}");
        }
        for lie in [";0.0.0.0:2999", ";10.9.9.9:2181", ";0.0.0.0:2181;0.0.0.0:2281", ";"] {
            assert!(met(lie, "").is_err() && met("", lie).is_err() && met(lie, ";0.0.0.0:2181").is_err(), "{lie}");
        }
        let foreign =
            |client| Membership { version: from().version, ..from().with(ServerId(9), Server::parse(client)) };
        let (with, without) = (foreign("h:1:2:participant;2181"), foreign("h:1:2:participant"));
        assert!(still(with).met(&without, &names()).is_err(), "what somebody added by hand has to be the same");
    }
}
