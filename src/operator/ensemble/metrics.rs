//! What Prometheus can read of each ensemble.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::api::{EndedBackup, ProofLevel};
use crate::model::truth::ArchiveState;
use crate::operator::kit::metrics::{Of, OfLevel, of, of_level};

/// The voters of all ensembles.
#[derive(Default)]
pub struct Voters {
    wanted: Family<Of, Gauge>,
    synced: Family<Of, Gauge>,
}

impl Voters {
    /// Registers them with the others.
    pub fn registered(registry: &mut Registry) -> Self {
        let voters = Self::default();
        registry.register("ensemble_voters_wanted", "Voters asked for", voters.wanted.clone());
        registry.register("ensemble_voters_synced", "Voters that serve and are synced", voters.synced.clone());
        voters
    }

    /// Voters asked for, by the spec as it is: an invalid one switches no alarm off.
    pub fn wanted(&self, namespace: &str, name: &str, wanted: i64) {
        self.wanted.get_or_create(&of(namespace, name)).set(wanted);
    }

    /// Voters that serve and are synced.
    pub fn synced(&self, namespace: &str, name: &str, synced: i64) {
        self.synced.get_or_create(&of(namespace, name)).set(synced);
    }

    /// An ensemble is gone.
    pub fn forget(&self, namespace: &str, name: &str) {
        let of = of(namespace, name);
        self.wanted.remove(&of);
        self.synced.remove(&of);
    }
}

/// The archives of all ensembles: of each its newest copy, and nothing while that is unknown.
#[derive(Default)]
pub struct Archives {
    seconds: Family<Of, Gauge>,
    bytes: Family<Of, Gauge>,
    last: Family<Of, Gauge>,
}

impl Archives {
    /// Registers them with the others.
    pub fn registered(registry: &mut Registry) -> Self {
        let archives = Self::default();
        let mut register = |name, help, family: &Family<Of, Gauge>| registry.register(name, help, family.clone());
        register("ensemble_archive_lag_seconds", "Age of what is committed and not archived", &archives.seconds);
        register("ensemble_archive_lag_bytes", "Bytes of log that are not archived", &archives.bytes);
        register("ensemble_archive_last_zxid", "The last transaction that is archived", &archives.last);
        archives
    }

    /// What the members say now, each with whether it serves: whoever does not proves no commit, and so knows no lag.
    pub fn said<'a>(&self, namespace: &str, name: &str, says: impl Iterator<Item = (bool, &'a ArchiveState)>) {
        let (mut lag, mut last) = (None, None);
        for (serves, state) in says {
            last = last.max(state.last.map(|zxid| number(zxid.0)));
            let this = state.lag.as_ref().filter(|_| serves).map(|lag| (number(lag.seconds), number(lag.bytes)));
            lag = [lag, this].into_iter().flatten().min();
        }
        let of = of(namespace, name);
        for (family, value) in
            [(&self.seconds, lag.map(|lag| lag.0)), (&self.bytes, lag.map(|lag| lag.1)), (&self.last, last)]
        {
            match value {
                Some(value) => {
                    family.get_or_create(&of).set(value);
                }
                None => {
                    family.remove(&of);
                }
            }
        }
    }
}

/// How well the archives of all ensembles are proved: of each level the last time, and nothing while there was none.
#[derive(Default)]
pub struct Proofs {
    verified: Family<OfLevel, Gauge>,
}

impl Proofs {
    /// Registers them with the others.
    pub fn registered(registry: &mut Registry) -> Self {
        let proofs = Self::default();
        registry.register(
            "ensemble_archive_verified_timestamp_seconds",
            "When a backup last proved the archive at this level or a higher one",
            proofs.verified.clone(),
        );
        proofs
    }

    /// What is known of an ensemble's archive now.
    pub fn said(&self, namespace: &str, name: &str, proofs: &[EndedBackup]) {
        for level in ProofLevel::ALL {
            let of = of_level(namespace, name, level.as_str());
            let reached = proofs.iter().filter(|proof| proof.level.is_some_and(|reached| reached >= level));
            match reached.map(|proof| proof.ended.0.as_second()).max() {
                Some(last) => drop(self.verified.get_or_create(&of).set(last)),
                None => drop(self.verified.remove(&of)),
            }
        }
    }
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::kit::metrics::text;

    #[test]
    fn the_lag_of_an_archive_is_that_of_its_newest_copy_and_nothing_while_it_is_unknown() {
        let mut registry = Registry::with_prefix("menagerie");
        let archives = Archives::registered(&mut registry);
        let state = |seconds: u64, last: &str| {
            let lag = format!(r#"{{"seconds":{seconds},"bytes":{}}}"#, seconds * 10);
            let text = format!(r#"{{"reason":"shipping","last":"{last}","lag":{lag}}}"#);
            serde_json::from_str::<ArchiveState>(&text).unwrap()
        };
        let (one, other) = (state(70, "100000005"), state(7, "100000009"));
        archives.said("ns", "zk", [(true, &one), (true, &other)].into_iter());
        for line in ["lag_seconds{namespace=\"ns\",name=\"zk\"} 7\n", "lag_bytes{namespace=\"ns\",name=\"zk\"} 70\n"] {
            assert!(text(&registry).contains(&format!("menagerie_ensemble_archive_{line}")), "{}", text(&registry));
        }
        assert!(text(&registry).contains(r#"archive_last_zxid{namespace="ns",name="zk"} 4294967305"#));
        // It ends where the log of its disk does, however old that is.
        archives.said("ns", "zk", [(true, &one), (false, &other)].into_iter());
        assert!(text(&registry).contains("lag_seconds{namespace=\"ns\",name=\"zk\"} 70\n"), "{}", text(&registry));
        assert!(text(&registry).contains(r#"archive_last_zxid{namespace="ns",name="zk"} 4294967305"#));
        archives.said("ns", "zk", std::iter::empty());
        assert!(!text(&registry).contains(r#"name="zk""#));
    }

    #[test]
    fn a_backup_proves_its_level_and_those_below_it_and_what_was_never_proved_has_no_line() {
        let mut registry = Registry::with_prefix("menagerie");
        let proofs = Proofs::registered(&mut registry);
        let proof = |seconds: i64, level: Option<ProofLevel>| EndedBackup {
            name: "b".to_owned(),
            ended: crate::api::Time(jiff::Timestamp::from_second(seconds).unwrap()),
            zxid: None,
            level,
            reason: None,
            message: String::new(),
        };
        let line = |level: &str| {
            let start = "menagerie_ensemble_archive_verified_timestamp_seconds{namespace=\"ns\",name=\"zk\",level=";
            format!("{start}\"{level}\"}}")
        };
        proofs.said("ns", "zk", &[proof(60, Some(ProofLevel::Log)), proof(90, None)]);
        assert!(text(&registry).contains(&format!("{} 60\n", line("Log"))), "{}", text(&registry));
        assert!(!text(&registry).contains(&line("Replay")));
        proofs.said("ns", "zk", &[proof(60, Some(ProofLevel::Log)), proof(70, Some(ProofLevel::Replay))]);
        assert!(text(&registry).contains(&format!("{} 70\n", line("Log"))), "{}", text(&registry));
        assert!(text(&registry).contains(&format!("{} 70\n", line("Replay"))), "{}", text(&registry));
        proofs.said("ns", "zk", &[]);
        assert!(!text(&registry).contains(r#"name="zk""#));
    }

    #[test]
    fn an_ensemble_that_is_gone_leaves_no_line_behind() {
        let mut registry = Registry::with_prefix("menagerie");
        let voters = Voters::registered(&mut registry);
        voters.wanted("ns", "zk", 3);
        assert!(text(&registry).contains(r#"menagerie_ensemble_voters_wanted{namespace="ns",name="zk"} 3"#));
        voters.forget("ns", "zk");
        assert!(!text(&registry).contains(r#"name="zk""#));
    }
}
