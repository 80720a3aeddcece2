//! Asks the other founders whether the birth is over, before an empty disk gets the right to vote.
//!
//! The charter says `birth` until the operator has seen the first quorum and the kubelet has the new `ConfigMap`. A
//! member whose disk is lost in those seconds must not vote: with one that lags behind it could elect a leader without
//! the writes that were acknowledged meanwhile. Silence proves nothing either way: at a birth nobody answers yet.

use futures::future::join_all;

use crate::model::truth::ServerState;
use crate::model::{MemberTruth, ServerId};

use super::client::{self, PATIENCE_AT_BIRTH};
use super::seed::Seed;

/// A founder who has seen the ensemble live, if one says so.
pub async fn witness(seed: &Seed, own: ServerId) -> Option<ServerId> {
    let others = seed.membership.servers.iter().filter(|(id, _)| **id != own);
    let asked = others.map(|(id, server)| async move {
        let truth = client::member(server.host(), PATIENCE_AT_BIRTH).await.ok()?;
        has_lived(&truth, seed).then_some(*id)
    });
    join_all(asked).await.into_iter().flatten().next()
}

fn has_lived(truth: &MemberTruth, seed: &Seed) -> bool {
    let ours = truth.disk.identity.as_ref() == Some(&seed.identity);
    let agreed = truth.disk.record.is_some_and(|record| record.0 > 0);
    // It has acknowledged a leader, who may have acknowledged a write before the leader's disk was lost.
    let joined = truth.disk.epoch.is_some_and(|epoch| epoch > 0);
    ours && (agreed || joined || matches!(truth.server, ServerState::Serving(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::fixtures;
    use crate::model::fixtures::charter;
    use crate::model::truth::Disk;
    use crate::model::{Beginning, ConfigVersion};

    fn seed() -> Seed {
        let founder = "server.1=127.0.0.1:2888:3888:participant;2181";
        fixtures::seed(&charter(Beginning::Birth, founder, 0))
    }

    fn truth(identity: &str, record: u64) -> MemberTruth {
        MemberTruth {
            id: ServerId(1),
            disk: Disk {
                identity: Some(identity.into()),
                database: true,
                record: Some(ConfigVersion(record)),
                epoch: None,
                outdated: None,
                leader_serves: None,
            },
            server: ServerState::Silent { reason: String::new() },
            stalled: None,
            still: None,
        }
    }

    #[test]
    fn a_founder_with_an_agreed_membership_has_lived() {
        assert!(has_lived(&truth("one", 7), &seed()));
        assert!(!has_lived(&truth("one", 0), &seed()), "it may be starting like this one");
        assert!(!has_lived(&truth("another", 7), &seed()), "it speaks for another ensemble");
        let epoch = |epoch| {
            let starting = truth("one", 0);
            MemberTruth { disk: Disk { epoch: Some(epoch), ..starting.disk }, ..starting }
        };
        assert!(has_lived(&epoch(1), &seed()), "its leader may have acknowledged a write");
        assert!(!has_lived(&epoch(0), &seed()), "so it is before the first election");
    }

    #[tokio::test]
    async fn silence_is_no_witness() {
        assert_eq!(witness(&seed(), ServerId(2)).await, None);
    }
}
