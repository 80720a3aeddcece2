//! An ensemble that is made from another one's archive.

use std::time::Duration;

use menagerie::archive::bases;
use menagerie::archive::collect::Collection;
use menagerie::archive::tree::tree_at;
use serde_json::{Value, json};
use zookeeper_client::{Acls, CreateMode};
use zookeeper_files::disk::Point;
use zookeeper_files::ids::Zxid;

use super::archive::shipped;
use super::cluster::{
    BRIDGE, Ensemble, PATIENCE, condition, eventually, in_namespace, kill_operator, s3, sealed, sealing,
};
use super::gateway::{Gateway, KEY, SECRET};
use super::lost;
use super::replacing::claim;
use super::writers::connect;

#[tokio::test]
async fn a_new_ensemble_begins_with_the_tree_of_anothers_archive_and_clients_that_saw_more_of_it_come_back() {
    in_namespace("parent", |space| async move {
        let gateway = Gateway::start(BRIDGE).await;
        space.keys(KEY, SECRET);
        space.sealing_key();
        let s3 = sealed(s3(gateway.address));
        let old = space.ensemble("old", json!({"replicas": 1, "archive": {"s3": s3}})).await;
        let identity = old.ready(1).await.identity.unwrap();
        let client = connect(&old.address("client").await).await;
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        client.create("/kept", b"data", &options).await.unwrap();
        client.create("/lock", b"", &CreateMode::Ephemeral.with_acls(Acls::anyone_all())).await.unwrap();
        let (stat, _) = client.create("/kept/below", b"more", &options).await.unwrap();
        let point = Zxid(stat.czxid.cast_unsigned());
        client.delete("/kept/below", None).await.unwrap();
        let (stat, _) = client.create("/later", b"", &options).await.unwrap();
        let last = Zxid(stat.czxid.cast_unsigned());
        shipped(&gateway.store().sealing(Some(sealing())), &identity, last).await;

        let from = |at: &str| json!({"s3": s3, "identity": identity, "at": at});
        let never = space.ensemble("never", json!({"replicas": 1, "from": from("0xfff00000001")})).await;
        let new = space.ensemble("new", json!({"replicas": 3, "from": from(&format!("{point:#}"))})).await;
        kill_operator(&space.client).await;
        let status = new.ready(3).await;
        assert_ne!(status.identity.as_ref(), Some(&identity));
        let again = connect(&new.address("client").await).await;
        assert_eq!(again.get_data("/kept").await.unwrap().0, b"data");
        assert_eq!(again.get_data("/kept/below").await.unwrap().0, b"more", "it was deleted after the point");
        for gone in ["/lock", "/later"] {
            assert!(again.check_stat(gone).await.unwrap().is_none(), "{gone}");
        }
        let (stat, _) = again.create("/new", b"", &options).await.unwrap();
        assert!(Zxid(stat.czxid.cast_unsigned()).epoch() > last.epoch() + 60_000, "clients have seen {last:#}");

        // A member that loses its volume has its data from the others.
        let volume = claim(&new, "data-new-0").await;
        space.kubectl(&["annotate", "pod", "new-0", "menagerie.dev/replace=volume"]);
        eventually(PATIENCE, "another claim", async || {
            let now = claim(&new, "data-new-0").await;
            now.is_some() && now != volume
        })
        .await;
        new.ready(3).await;
        let first = connect(&new.address("1").await).await;
        first.sync("/new").await.unwrap();
        assert!(first.check_stat("/new").await.unwrap().is_some());

        // What cannot be built is said, and changed nothing.
        eventually(PATIENCE, "why it does not begin", async || {
            condition(&never.status().await, "Ready").2.contains("the files end with")
        })
        .await;
        let refused = space.fails(&[
            "patch",
            "zke",
            "new",
            "--type",
            "merge",
            "-p",
            &json!({"spec": {"from": Value::Null}}).to_string(),
        ]);
        assert!(refused.is_some_and(|words| words.contains("from cannot be changed")));
    })
    .await;
}

#[tokio::test]
async fn of_an_ensemble_that_is_lost_with_its_volumes_the_last_seconds_are_missing_and_nothing_before_them() {
    in_namespace("lost", |space| async move {
        let mut gateway = Gateway::start(BRIDGE).await;
        let loss = lost::everything(&space, &mut gateway, Duration::from_secs(12)).await;
        assert!(loss.acknowledged > 20 && loss.missing < loss.acknowledged, "{loss:?}");
        println!("{loss:?}");

        // What was made of the archive has one of its own at once, from which it can be made again: its log alone says nothing of before.
        let zk = Ensemble { space: space.clone(), name: "zk".to_owned() };
        eventually(PATIENCE, "a base of the new ensemble", async || {
            condition(&zk.status().await, "ContinuousArchiving").2.contains("its newest base is of 0x")
        })
        .await;
        let identity = zk.status().await.identity.unwrap();
        let store = gateway.store();
        let base = bases::newest(&store, &identity).await.unwrap().unwrap();
        assert_eq!(base.zxid.counter(), 0, "the tree with which its first epoch began");
        let collection = Collection::of(&store, &identity).await.unwrap();
        let work = tempfile::tempdir().unwrap();
        let point = Point::Zxid(Zxid(base.proved_by.0 + 9));
        let built = tree_at(&collection, point, work.path(), &|_| ()).await.unwrap();
        assert!(built.tree.children()[&b"/writes"[..]] >= loss.acknowledged - loss.missing);
    })
    .await;
}
