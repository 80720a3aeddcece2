//! Points of an archive that a `ZooKeeperBackup` keeps, by hand and by a schedule.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, Patch, PatchParams};
use menagerie::api::{BackupPhase, BackupStatus, ProofLevel, ZooKeeperBackup, ZooKeeperBackupSchedule};
use menagerie::archive::pins;
use serde_json::{Value, json};
use zookeeper_client::{Acls, CreateMode};
use zookeeper_files::ids::Zxid;

use super::cluster::{BRIDGE, Ensemble, PATIENCE, Space, eventually, in_namespace, kill_operator, s3, sealed, sealing};
use super::disaster::CutOff;
use super::gateway::{Gateway, KEY, SECRET};
use super::replacing::restored;
use super::restore::Restore;
use super::writers::connect;

fn manifest(kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "menagerie.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

pub(super) async fn create(space: &Space, name: &str, spec: Value) -> Api<ZooKeeperBackup> {
    let api = Api::namespaced(space.client.clone(), &space.name);
    let patch = Patch::Apply(manifest("ZooKeeperBackup", name, &spec));
    api.patch(name, &PatchParams::apply("e2e"), &patch).await.unwrap();
    api
}

/// Waits for the reason of its condition, and gives the status.
pub(super) async fn said(api: &Api<ZooKeeperBackup>, name: &str, reason: &str) -> BackupStatus {
    let mut last = BackupStatus::default();
    eventually(PATIENCE, &format!("backup {name} to say {reason}"), async || {
        last = api.get(name).await.unwrap().status.unwrap_or_default();
        last.conditions.iter().any(|condition| condition.reason == reason)
    })
    .await;
    last
}

/// A real server starts from a backup in its Job's pod, ends with it, and the ensemble says so.
async fn drill(space: &Space, zk: &Ensemble) {
    let api = create(space, "drill", json!({"ensemble": "zk", "keepDays": 1, "level": "Server"})).await;
    let status = said(&api, "drill", "Completed").await;
    assert_eq!(status.verified.as_ref().unwrap().level, ProofLevel::Server, "{status:?}");
    assert_eq!(status.tree_hash.as_ref().unwrap().len(), 64);
    eventually(PATIENCE, "the ensemble to say how well its archive is proved", async || {
        zk.condition("ArchiveVerified", "True", "Verified").await.starts_with("proved at level Server by drill")
    })
    .await;
    let pods = ListParams::default().labels("batch.kubernetes.io/job-name=drill-backup");
    eventually(PATIENCE, "the server to have ended with its Job", async || {
        let pods = space.pods().list(&pods).await.unwrap().items;
        pods.iter().all(|pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Succeeded"))
    })
    .await;
    let row = space.kubectl(&["get", "zkb", "drill", "-o", "wide", "--no-headers"]);
    assert!(row.contains("Server"), "{row}");
}

async fn scheduled(space: &Space) {
    let api: Api<ZooKeeperBackupSchedule> = Api::namespaced(space.client.clone(), &space.name);
    let spec = json!({"schedule": "30 2 29 2 *", "timeZone": "Europe/Berlin", "immediate": true, "backup": {"ensemble": "zk", "keepDays": 2, "level": "TwoWays"}});
    let patch = Patch::Apply(manifest("ZooKeeperBackupSchedule", "leap", &spec));
    api.patch("leap", &PatchParams::apply("e2e"), &patch).await.unwrap();
    eventually(PATIENCE, "the schedule's first backup to succeed", async || {
        let status = api.get("leap").await.unwrap().status.unwrap_or_default();
        let succeeded = status.conditions.iter().find(|condition| condition.type_ == "LastBackupSucceeded");
        succeeded.is_some_and(|condition| condition.status == "True")
    })
    .await;
    let status = api.get("leap").await.unwrap().status.unwrap();
    assert_eq!(status.next_schedule_time.unwrap().0.to_string(), "2028-02-29T01:30:00Z");
    let name = status.last_successful_backup.unwrap();
    assert!(name.starts_with("leap-20"), "{name}");
    // It is no part of its schedule, and expires by itself.
    space.kubectl(&["delete", "zkbs", "leap"]);
    let expires = space.kubectl(&["get", "zkb", &name, "-o", "jsonpath={.status.expires}"]);
    assert!(expires.ends_with('Z'), "{expires}");
    let backups: Api<ZooKeeperBackup> = Api::namespaced(space.client.clone(), &space.name);
    let made = backups.list(&ListParams::default().labels("menagerie.dev/backup-schedule=leap")).await.unwrap();
    assert_eq!(made.items.len(), 1, "once");
}

/// What people do by command, who have a kubeconfig and no manifest.
async fn by_command(space: Space) {
    // It blocks its thread while it waits.
    let ran = tokio::task::spawn_blocking(move || {
        let (code, _, told) = space.menagerie(&["backup", "create", "zkk"]);
        assert!(
            code == Some(2) && told.contains("there is no ZooKeeperEnsemble zkk") && told.contains("it has zk"),
            "{told}"
        );
        let (code, name, told) =
            space.menagerie(&["backup", "create", "zk", "--keep-days", "1", "--wait", "--timeout", "4m"]);
        let name = name.trim();
        assert!(
            code == Some(0) && name.starts_with("zk-") && told.contains(&format!("backup {name} Completed: as of 0x")),
            "{told}"
        );
        let (code, all, _) = space.menagerie(&["backup", "list", "zk"]);
        assert!(
            code == Some(0) && all.lines().any(|line| line.starts_with(name) && line.contains("Completed")),
            "{all}"
        );
        // The archive does not go so far.
        let far = ["backup", "create", "zk", "--name", "far", "--at", "0xff00000001", "--wait", "--timeout", "20s"];
        let (code, _, told) = space.menagerie(&far);
        assert!(code != Some(0) && told.contains("backup far "), "{told}");
        for name in [name, "far"] {
            let (code, told, error) = space.menagerie(&["backup", "delete", name]);
            assert!(code == Some(0) && told.contains("menagerie archive unpin s3://"), "{told}{error}");
        }
    });
    ran.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_has_all_that_was_acknowledged_before_it_is_proved_and_can_be_restored_by_its_name() {
    in_namespace("backup", |space| async move {
        let gateway = Gateway::start(BRIDGE).await;
        space.keys(KEY, SECRET);
        // Before its ensemble, and without an archive, it waits and says for what.
        let api = create(&space, "early", json!({"ensemble": "zk", "keepDays": 1})).await;
        said(&api, "early", "EnsembleNotFound").await;
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        let identity = zk.ready(3).await.identity.unwrap();
        said(&api, "early", "NoArchive").await;
        // Everything here is of an archive that members encrypt.
        let s3 = sealed(s3(gateway.address));
        let client = connect(&zk.address("client").await).await;
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        client.create("/app", b"kept", &options).await.unwrap();
        let archive = json!({"spec": {"archive": {"s3": s3}}}).to_string();
        space.kubectl(&["patch", "zke", "zk", "--type=merge", "-p", &archive]);
        let words = zk.condition("ContinuousArchiving", "False", "NoKey").await;
        assert!(words.contains("Secret sealing of encryptionKeys is missing or has no key"), "{words}");
        assert!(gateway.store().names(&identity).await.unwrap().is_empty(), "nothing was stored in clear");
        space.sealing_key();
        zk.condition("ContinuousArchiving", "True", "Shipping").await;
        // With the keys its pods are made anew, one after the other.
        zk.condition("Progressing", "False", "Steady").await;
        let early = said(&api, "early", "Completed").await;
        assert!(early.znodes.unwrap() >= 4, "{early:?}");
        let proved = zk.condition("ArchiveVerified", "True", "Verified").await;
        assert!(proved.starts_with("proved at level Replay by early, which ended at 2"), "{proved}");
        zk.condition("LastBackupSucceeded", "True", "Completed").await;

        for n in 0..100 {
            client.create(&format!("/app/{n}"), b"data", &options).await.unwrap();
        }
        let (stat, _) = client.create("/app/last", b"data", &options).await.unwrap();
        let last = Zxid(stat.czxid.cast_unsigned());
        // At once: what was acknowledged is not archived yet.
        create(&space, "point", json!({"ensemble": "zk"})).await;
        eventually(PATIENCE, "the Job's pod", async || {
            let pods = ListParams::default().labels("batch.kubernetes.io/job-name=point-backup");
            !space.pods().list(&pods).await.unwrap().items.is_empty()
        })
        .await;
        kill_operator(&space.client).await;
        space.kubectl(&["delete", "pod", "-l", "batch.kubernetes.io/job-name=point-backup", "--wait=false"]);
        let status = said(&api, "point", "Completed").await;
        assert_eq!(status.phase, Some(BackupPhase::Completed));
        let zxid = u64::from_str_radix(status.zxid.as_ref().unwrap().trim_start_matches("0x"), 16).unwrap();
        assert!(zxid >= last.0, "{status:?}");
        let kept = pins::all(&gateway.store().sealing(Some(sealing())), &identity).await.unwrap();
        let pin = kept.iter().find(|pin| Some(&pin.name) == status.pin.as_ref()).unwrap();
        assert_eq!((pin.to.0, pin.until), (zxid, None));
        assert!(kept.iter().any(|pin| Some(&pin.name) == early.pin.as_ref() && pin.until.is_some()));
        let row = space.kubectl(&["get", "zkb", "point", "--no-headers"]);
        assert!(row.contains("Completed") && row.contains(status.zxid.as_ref().unwrap()), "{row}");
        let refused = space.fails(&["patch", "zkb", "point", "--type=merge", "-p", r#"{"spec":{"keepDays":3}}"#]);
        assert!(refused.unwrap().contains("cannot be changed: create another ZooKeeperBackup"));

        for n in 0..100 {
            client.delete(&format!("/app/{n}"), None).await.unwrap();
        }
        let undo = json!({"ensemble": "zk", "backup": "point", "paths": ["/app"], "dryRun": false});
        let undo = Restore::create(&space, "undo", undo).await;
        undo.condition("Completed", "True", "Completed").await;
        assert_eq!(client.get_data("/app/99").await.unwrap().0, b"data");

        drill(&space, &zk).await;
        by_command(space.clone()).await;
        scheduled(&space).await;
        let refused = manifest(
            "ZooKeeperBackupSchedule",
            "six",
            &json!({"schedule": "0 0 3 * * *", "backup": {"ensemble": "zk", "keepDays": 2}}),
        );
        let refused = Api::<ZooKeeperBackupSchedule>::namespaced(space.client.clone(), &space.name)
            .patch("six", &PatchParams::apply("e2e"), &Patch::Apply(refused))
            .await;
        assert!(refused.unwrap_err().to_string().contains("There is none for seconds"));
    })
    .await;
}

/// The node of a pod that runs.
fn node(pod: &Pod) -> Option<String> {
    let runs = pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
    pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).filter(|_| runs)
}

/// The node of the operator, which is to live, takes no other pod.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_a_backup_whose_pods_node_is_lost_is_proved_on_another_one() {
    in_namespace("backup-node", |space| async move {
        let gateway = Gateway::start(BRIDGE).await;
        space.keys(KEY, SECRET);
        let zk = space.ensemble("zk", json!({"replicas": 3, "archive": {"s3": s3(gateway.address)}})).await;
        zk.ready(3).await;
        zk.condition("ContinuousArchiving", "True", "Shipping").await;
        let client = connect(&zk.address("client").await).await;
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        let (stat, _) = client.create("/kept", b"data", &options).await.unwrap();
        drop(client);
        let operators: Api<Pod> = Api::namespaced(space.client.clone(), "menagerie-system");
        let of_operator = ListParams::default().labels("app.kubernetes.io/name=menagerie");
        let own = operators.list(&of_operator).await.unwrap().items.iter().find_map(node).unwrap();
        let cordon = restored(&["uncordon", &own]);
        space.kubectl(&["cordon", &own]);
        let api = create(&space, "point", json!({"ensemble": "zk", "level": "Server"})).await;
        let pods = ListParams::default().labels("batch.kubernetes.io/job-name=point-backup");
        let mut lost = None;
        eventually(PATIENCE, "the Job's pod to run", async || {
            lost = space.pods().list(&pods).await.unwrap().items.iter().find_map(node);
            lost.is_some()
        })
        .await;
        let lost = lost.unwrap();
        let cut = CutOff::new(&lost);
        let status = said(&api, "point", "Completed").await;
        let zxid = u64::from_str_radix(status.zxid.as_ref().unwrap().trim_start_matches("0x"), 16).unwrap();
        assert!(zxid >= stat.czxid.cast_unsigned(), "{status:?}");
        let all = space.pods().list(&pods).await.unwrap().items;
        let nodes: Vec<_> = all.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.clone()).collect();
        assert!(nodes.contains(&lost) && nodes.iter().any(|node| *node != lost), "{nodes:?}");
        let kept = pins::all(&gateway.store(), &zk.status().await.identity.unwrap()).await.unwrap();
        assert_eq!(kept.len(), 1, "both pods were of one backup: {kept:?}");
        drop(cut);
        drop(cordon);
        zk.ready(3).await;
    })
    .await;
}
