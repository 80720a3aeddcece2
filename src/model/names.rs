//! The names of everything that an ensemble owns, in one place.

use super::desired::MAX_REPLICAS;
use super::ids::{Pool, Seat, ServerId};
use super::membership::{CLIENT_PORT, Membership, Server};

/// Label that selects everything of one ensemble.
pub const ENSEMBLE_LABEL: &str = "menagerie.dev/ensemble";
/// Label that selects everything of one restore.
pub const RESTORE_LABEL: &str = "menagerie.dev/restore";
/// Label of the Jobs that change znodes of an ensemble: its name.
pub const CHANGES_LABEL: &str = "menagerie.dev/changes";
/// Label that selects everything of one backup.
pub const BACKUP_LABEL: &str = "menagerie.dev/backup";
/// Label on a backup: the schedule that made it.
pub const SCHEDULE_LABEL: &str = "menagerie.dev/backup-schedule";
/// Annotation on a backup: the uid of the schedule that made it. Another one may have had its name.
pub const SCHEDULED_BY_ANNOTATION: &str = "menagerie.dev/scheduled-by";
/// Label of the Jobs and pods that delete from the archive of an ensemble: its name. They have no other label of it, so that neither its
/// Services select them nor each of their changes is a reason to look at it.
pub const PRUNE_LABEL: &str = "menagerie.dev/prune";
/// Label on a volume claim: the identity of the ensemble whose data it holds.
pub const IDENTITY_LABEL: &str = "menagerie.dev/identity";
/// Label on a volume claim whose ensemble was born.
pub const BORN_LABEL: &str = "menagerie.dev/born";
/// Label on a Service of one member: its server id.
pub const MEMBER_LABEL: &str = "menagerie.dev/server-id";
/// Annotation on an ensemble or on a pod: a new value requests a restart.
pub const RESTART_ANNOTATION: &str = "menagerie.dev/restart";
/// Annotation on the pod template: the restart request that the pods were created for.
pub const RESTARTED_ANNOTATION: &str = "menagerie.dev/restarted-for";
/// Annotation on a pod: `volume` requests a new, empty volume.
pub const REPLACE_ANNOTATION: &str = "menagerie.dev/replace";
/// Annotation on an ensemble with a supervised update policy: the approved revision.
pub const APPROVE_ANNOTATION: &str = "menagerie.dev/approve";
/// Annotation on an ensemble that lost a majority of its volumes: the loss that somebody accepts.
pub const ACCEPT_LOSS_ANNOTATION: &str = "menagerie.dev/accept-loss";
/// What a person can ask for by an annotation on an ensemble. The operator's store keeps these annotations and no others.
pub const REQUEST_ANNOTATIONS: [&str; 3] = [RESTART_ANNOTATION, APPROVE_ANNOTATION, ACCEPT_LOSS_ANNOTATION];
/// Annotation on pods: their version of ZooKeeper. On a claim: the version that last ran on it.
pub const VERSION_ANNOTATION: &str = "menagerie.dev/version";
/// Annotation on pods: the configuration that ZooKeeper's own scripts find.
pub const SCRIPTS_ANNOTATION: &str = "menagerie.dev/scripts";
/// Name of the volume by which they find it.
pub const SCRIPTS_VOLUME: &str = "script-config";
/// The volume of the Secret with the archive's credentials.
pub const ARCHIVE_VOLUME: &str = "menagerie-archive";
/// The volume of the Secret with the credentials of the archive that an ensemble is made from.
pub const PARENT_VOLUME: &str = "menagerie-parent";
/// The volume of the CAs of the archive's store.
pub const ARCHIVE_CA_VOLUME: &str = "menagerie-archive-ca";
/// The volume of the CAs of the store of the archive that an ensemble is made from.
pub const PARENT_CA_VOLUME: &str = "menagerie-parent-ca";
/// The volume with the keys with which we encrypt.
pub const ARCHIVE_KEYS_VOLUME: &str = "menagerie-archive-keys";
/// The volume with those of the archive that an ensemble is made from.
pub const PARENT_KEYS_VOLUME: &str = "menagerie-parent-keys";
/// Label by which Argo CD takes an object for a part of its application, and deletes it if it is not in the manifests.
pub const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";
/// Label on everything rendered: who looks after it.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY_LABEL`] on everything rendered.
pub const MANAGED_BY: &str = "menagerie";
/// Name of the volume that holds a member's data.
pub const DATA_VOLUME: &str = "data";

/// The controller of `CronJobs` adds a number to the name, and names of Jobs are labels.
const LONGEST_CRON_JOB: usize = 52;

/// The longest name of an object.
const LONGEST_NAME: usize = 253;

/// Whether an object of Kubernetes can have this name, and so a pin of an archive.
pub fn is_name(text: &str) -> bool {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    (1..=LONGEST_NAME).contains(&bytes.len())
        && bytes.iter().all(|b| letter(*b) || matches!(b, b'-' | b'.'))
        && bytes.first().is_some_and(|b| letter(*b))
        && bytes.last().is_some_and(|b| letter(*b))
}

/// Names derived from an ensemble's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Name of the ensemble, of its `StatefulSet`, `ServiceAccount` and `PodDisruptionBudget`.
    pub ensemble: String,
    /// Its namespace.
    pub namespace: String,
    /// The cluster's DNS domain.
    pub domain: String,
}

impl Names {
    /// What distinguishes it from ensembles in other namespaces.
    pub fn key(&self) -> (String, String) {
        (self.namespace.clone(), self.ensemble.clone())
    }

    /// The pod of that seat; its member Service has the same name.
    pub fn pod(&self, Seat { pool, ordinal }: Seat) -> String {
        match pool {
            Pool::Voters => format!("{}-{ordinal}", self.ensemble),
            Pool::Observers => format!("{}-observer-{ordinal}", self.ensemble),
        }
    }

    /// The seat of a pod of this ensemble. Only voters have pods so far.
    pub fn seat_of_pod(&self, pod: &str) -> Option<Seat> {
        let text = pod.strip_prefix(&self.ensemble)?.strip_prefix('-')?;
        let ordinal: u32 = text.parse().ok()?;
        // Anybody can create a claim with any name: `data-zk-4000000000` must not decide how much is looked for, and
        // `data-zk-00` is not the claim of the first member.
        (ordinal < MAX_REPLICAS && ordinal.to_string() == text).then_some(Seat::voter(ordinal))
    }

    /// The claim of that seat, as the `StatefulSet` controller names it.
    pub fn claim(&self, seat: Seat) -> String {
        format!("{DATA_VOLUME}-{}", self.pod(seat))
    }

    /// The seat of a claim of this ensemble.
    pub fn seat_of_claim(&self, claim: &str) -> Option<Seat> {
        self.seat_of_pod(claim.strip_prefix(DATA_VOLUME)?.strip_prefix('-')?)
    }

    /// The `ConfigMap`.
    pub fn config(&self) -> String {
        format!("{}-config", self.ensemble)
    }

    /// The Secret with the super user's password.
    pub fn super_secret(&self) -> String {
        format!("{}-super", self.ensemble)
    }

    /// The Service for clients.
    pub fn client(&self) -> String {
        format!("{}-client", self.ensemble)
    }

    /// The `CronJob` that deletes from its archive. Of a long name the end is a number, since a `CronJob` may have 52 characters.
    pub fn prune(&self) -> String {
        let whole = format!("{}-prune", self.ensemble);
        if whole.len() <= LONGEST_CRON_JOB {
            return whole;
        }
        let sum = self.ensemble.bytes().fold(0_u16, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let cut: String = self.ensemble.chars().take(LONGEST_CRON_JOB - "-0000-prune".len()).collect();
        format!("{}-{sum:04x}-prune", cut.trim_end_matches('-'))
    }

    /// The headless Service that governs the `StatefulSet`.
    pub fn headless(&self) -> String {
        format!("{}-headless", self.ensemble)
    }

    /// The DNS name of a Service of this ensemble.
    pub fn dns(&self, service: &str) -> String {
        format!("{service}.{}.svc.{}", self.namespace, self.domain)
    }

    /// The server entry of a member: the name of its own Service, which never changes.
    pub fn server(&self, id: ServerId) -> Server {
        Server::voter(&self.dns(&self.pod(id.seat())))
    }

    /// Whether a server of a membership is the member with that id: it has this ensemble's own address.
    pub fn owns(&self, id: ServerId, server: &Server) -> bool {
        let (seat, ids) = (id.seat(), Pool::Voters.ids());
        ids.contains(&id.0) && seat.ordinal < MAX_REPLICAS && server.host() == self.dns(&self.pod(seat))
    }

    /// The server entry of any member, with `{ordinal}` to fill in: with it an agent adds itself to a list.
    pub fn joiner(&self) -> String {
        Server::voter(&self.dns(&format!("{}-{{ordinal}}", self.ensemble))).spec().to_owned()
    }

    /// The first `count` members, as nobody has agreed on them yet.
    pub fn seed(&self, count: u32) -> Membership {
        Membership {
            servers: (1..=count).map(|id| (ServerId(id), self.server(ServerId(id)))).collect(),
            ..Membership::default()
        }
    }

    /// `host:port` of the client Service.
    pub fn client_endpoint(&self) -> String {
        format!("{}:{CLIENT_PORT}", self.dns(&self.client()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_an_object_of_kubernetes_may_have() {
        for name in ["before-upgrade", "a", "3.9.5", "0b5c7e0c-6f3e-4a53-9d0e-2f7b4f0f2a11"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "-a", "a-", "A", "a/b", "..", "a b", "a?x=1", "a%2e", &"a".repeat(254)] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn the_name_of_a_cron_job_is_never_longer_than_kubernetes_allows() {
        let prune = |ensemble: &str| {
            Names { ensemble: ensemble.into(), namespace: "ns".into(), domain: "cluster.local".into() }.prune()
        };
        assert_eq!(prune("zk"), "zk-prune");
        assert_eq!(prune(&"a".repeat(46)), "a".repeat(46) + "-prune");
        let (one, other) = (prune(&("a".repeat(49) + "b")), prune(&("a".repeat(49) + "c")));
        assert!(one != other && one.len() == 52 && one.ends_with("-prune"), "{one} {other}");
    }

    #[test]
    fn names_lead_back_to_their_seat() {
        let names = Names { ensemble: "a-1".into(), namespace: "ns".into(), domain: "cluster.local".into() };
        for seat in [Seat::voter(0), Seat::voter(14)] {
            assert_eq!(names.seat_of_pod(&names.pod(seat)), Some(seat));
            assert_eq!(names.seat_of_claim(&names.claim(seat)), Some(seat));
        }
        assert_eq!(names.seat_of_pod("a-1-client"), None);
        assert_eq!(names.seat_of_pod("a-10"), None);
        assert_eq!(names.seat_of_claim("data-a-1"), None);
        for stranger in ["a-1-15", "a-1-4294967295", "a-1-99999999999", "a-1-00", "a-1-+1", "a-1-"] {
            assert_eq!(names.seat_of_pod(stranger), None, "{stranger}");
        }
    }
}
