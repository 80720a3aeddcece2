//! Backups of an ensemble without an archive, made from its members' files in a store of their own.

use kube::api::{Api, ListParams, Patch, PatchParams};
use menagerie::api::{BackupStatus, ZooKeeperBackup};
use serde_json::{Value, json};
use zookeeper_client::{Acls, CreateMode};
use zookeeper_files::ids::Zxid;

use super::backup::{create, said};
use super::cluster::{BRIDGE, PATIENCE, eventually, in_namespace, kill_operator, s3, sealed};
use super::gateway::{Gateway, KEY, SECRET};
use super::restore::Restore;
use super::writers::connect;

/// A folder there, as people write it into a manifest.
fn below(mut s3: Value, folder: &str) -> Value {
    s3["prefix"] = json!(format!("{}/{folder}", s3["prefix"].as_str().unwrap()));
    s3
}

fn zxid(status: &BackupStatus) -> u64 {
    u64::from_str_radix(status.zxid.as_ref().unwrap().trim_start_matches("0x"), 16).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_archive_a_backup_has_a_store_of_its_own_and_brings_znodes_and_whole_ensembles_back() {
    in_namespace("own-store", |space| async move {
        let gateway = Gateway::start(BRIDGE).await;
        space.keys(KEY, SECRET);
        space.sealing_key();
        let to = json!({"s3": sealed(s3(gateway.address))});
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        let identity = zk.ready(3).await.identity.unwrap();
        let client = connect(&zk.address("client").await).await;
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        client.create("/app", b"kept", &options).await.unwrap();
        for n in 0..100 {
            client.create(&format!("/app/{n}"), b"data", &options).await.unwrap();
        }
        let ephemeral = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
        client.create("/lock", b"", &ephemeral).await.unwrap();
        let (stat, _) = client.create("/app/last", b"data", &options).await.unwrap();

        let api: Api<ZooKeeperBackup> = Api::namespaced(space.client.clone(), &space.name);
        let both = json!({"apiVersion": "menagerie.dev/v1alpha1", "kind": "ZooKeeperBackup", "metadata": {"name": "both"}, "spec": {"ensemble": "zk", "at": "0x100000001", "to": to}});
        let refused = api.patch("both", &PatchParams::apply("e2e"), &Patch::Apply(both)).await.unwrap_err();
        assert!(refused.to_string().contains("at and to do not go together"), "{refused}");
        create(&space, "point", json!({"ensemble": "zk", "to": to, "level": "Server"})).await;
        eventually(PATIENCE, "the Job's pod", async || {
            let pods = ListParams::default().labels("batch.kubernetes.io/job-name=point-backup");
            !space.pods().list(&pods).await.unwrap().items.is_empty()
        })
        .await;
        // What it asks is on its way: whoever dies now, it comes to its end.
        kill_operator(&space.client).await;
        space.kubectl(&["delete", "pod", "-l", "batch.kubernetes.io/job-name=point-backup", "--wait=false"]);
        space.kubectl(&["delete", "pod", "zk-0", "--wait=false"]);
        let status = said(&api, "point", "Completed").await;
        assert!(zxid(&status) >= stat.czxid.cast_unsigned(), "{status:?}");
        assert_eq!(status.identity.as_ref(), Some(&identity));
        let folder = status.archive.as_ref().unwrap().split(' ').next().unwrap().rsplit('/').next().unwrap().to_owned();
        assert_eq!(status.pin.as_ref(), Some(&folder), "a folder of its own");
        zk.condition("LastBackupSucceeded", "True", "Completed").await;
        zk.ready(3).await;

        for n in 0..100 {
            client.delete(&format!("/app/{n}"), None).await.unwrap();
        }
        let back = json!({"ensemble": "zk", "backup": "point", "paths": ["/app"], "dryRun": false});
        let back = Restore::create(&space, "back", back).await;
        back.condition("Completed", "True", "Completed").await;
        assert_eq!(client.get_data("/app/99").await.unwrap().0, b"data");

        // The ensemble is lost, with all that it had: what is in the store is enough.
        drop(client);
        space.kubectl(&["delete", "zke", "zk", "--wait=true"]);
        let from = json!({
            "s3": below(sealed(s3(gateway.address)), &folder), "identity": identity, "at": status.zxid, "treeHash": status.tree_hash
        });
        let new = space.ensemble("new", json!({"replicas": 1, "from": from})).await;
        new.ready(1).await;
        let again = connect(&new.address("client").await).await;
        assert_eq!(again.get_data("/app/99").await.unwrap().0, b"data");
        assert!(again.check_stat("/lock").await.unwrap().is_none(), "its session is not there any more");
        let (stat, _) = again.create("/new", b"", &options).await.unwrap();
        assert!(Zxid(stat.czxid.cast_unsigned()) > Zxid(zxid(&status)), "clients have seen what came before");
    })
    .await;
}
