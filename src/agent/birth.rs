//! Asks the other founders whether the birth is over, before an empty disk gets the right to vote.
//!
//! The charter says `birth` until the operator has seen the first quorum and the kubelet has the new `ConfigMap`. A
//! member that loses its disk in those seconds must not vote: together with one that lags behind it could elect a
//! leader without the writes acknowledged since. Silence proves nothing: at a birth nobody answers yet.

use futures::future::join_all;

use crate::model::truth::ServerState;
use crate::model::{MemberTruth, ServerId};

use super::client::{self, PATIENCE_AT_BIRTH};
use super::seed::Seed;

/// A founder that has seen the ensemble live, if one says so.
pub async fn witness(seed: &Seed, own: ServerId) -> Option<ServerId> {
    let others = seed.membership.servers.iter().filter(|(id, _)| **id != own);
    let asked = others.map(|(id, server)| async move {
        let truth = client::member(server.host(), PATIENCE_AT_BIRTH).await.ok()?;
        has_lived(&truth, seed).then_some(*id)
    });
    join_all(asked).await.into_iter().flatten().next()
}

/// Whether one with data says that it is still where it was when somebody accepted the loss of a majority, and nobody that there
/// was a quorum since. Other than at a birth, somebody is there who can say it: silence is no consent.
pub async fn still_lost(seed: &Seed, own: ServerId, last: u64) -> bool {
    let others = seed.membership.servers.iter().filter(|(id, _)| **id != own);
    let asked = others.map(|(_, server)| client::member(server.host(), PATIENCE_AT_BIRTH));
    let truths: Vec<MemberTruth> = join_all(asked).await.into_iter().filter_map(Result::ok).collect();
    nobody_lived_since(&truths, seed, last)
}

fn nobody_lived_since(truths: &[MemberTruth], seed: &Seed, last: u64) -> bool {
    let ours = |truth: &&MemberTruth| truth.disk.identity.as_ref() == Some(&seed.identity);
    let epoch = |truth: &MemberTruth| truth.disk.epoch.unwrap_or_default();
    let since = |truth: &MemberTruth| epoch(truth) > last || matches!(truth.server, ServerState::Serving(_));
    let mut heard = truths.iter().filter(ours);
    let holds = heard.clone().any(|truth| truth.disk.database && epoch(truth) == last);
    holds && !heard.any(since)
}

fn has_lived(truth: &MemberTruth, seed: &Seed) -> bool {
    let ours = truth.disk.identity.as_ref() == Some(&seed.identity);
    let agreed = truth.disk.record.is_some_and(|record| record.0 > 0);
    // It has acknowledged a leader, which may have acknowledged a write before it lost its disk.
    let joined = truth.disk.epoch.is_some_and(|epoch| epoch > 0);
    ours && (agreed || joined || matches!(truth.server, ServerState::Serving(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::fixtures;
    use crate::model::fixtures::charter;
    use crate::model::truth::DiskState;
    use crate::model::{Beginning, ConfigVersion};

    fn seed() -> Seed {
        let founder = "server.1=127.0.0.1:2888:3888:participant;2181";
        fixtures::seed(&charter(Beginning::Birth, founder, 0))
    }

    fn truth(identity: &str, record: u64) -> MemberTruth {
        MemberTruth {
            id: ServerId(1),
            disk: DiskState {
                identity: Some(identity.into()),
                database: true,
                record: Some(ConfigVersion(record)),
                ..DiskState::default()
            },
            server: ServerState::Silent { reason: String::new() },
            stalled: None,
            still: None,
            archive: None,
            unpurged: None,
        }
    }

    #[test]
    fn a_founder_with_an_agreed_membership_has_lived() {
        assert!(has_lived(&truth("one", 7), &seed()));
        assert!(!has_lived(&truth("one", 0), &seed()), "it may be starting like this one");
        assert!(!has_lived(&truth("another", 7), &seed()), "it speaks for another ensemble");
        let epoch = |epoch| {
            let starting = truth("one", 0);
            MemberTruth { disk: DiskState { epoch: Some(epoch), ..starting.disk }, ..starting }
        };
        assert!(has_lived(&epoch(1), &seed()), "its leader may have acknowledged a write");
        assert!(!has_lived(&epoch(0), &seed()), "so it is before the first election");
    }

    #[test]
    fn where_a_loss_was_accepted_a_quorum_since_then_is_what_counts() {
        let seed = fixtures::seed(&charter(Beginning::TakenUp, "server.1=127.0.0.1:2888:3888:participant;2181", 7));
        let epoch = |epoch| {
            let holder = truth("one", 7);
            MemberTruth { disk: DiskState { epoch: Some(epoch), ..holder.disk }, ..holder }
        };
        assert!(nobody_lived_since(&[epoch(3)], &seed, 3), "its data is what is left");
        assert!(
            !nobody_lived_since(&[epoch(3), epoch(4)], &seed, 3),
            "there was a quorum since: an empty volume must not vote any more"
        );
        assert!(
            !nobody_lived_since(&[], &seed, 3) && !nobody_lived_since(&[epoch(2)], &seed, 3),
            "silence is no consent"
        );
    }

    #[tokio::test]
    async fn silence_is_no_witness() {
        assert_eq!(witness(&seed(), ServerId(2)).await, None);
    }
}
