//! A multi that was a mistake is undone by a `ZooKeeperRestore`.

use kube::api::Api;
use menagerie::api::ZooKeeperRestore;
use serde_json::{Value, json};
use zookeeper_client::{Acls, CreateMode};
use zookeeper_files::ids::Zxid;

use super::archive::shipped;
use super::cluster::{BRIDGE, in_namespace, s3};
use super::gateway::{Gateway, KEY, SECRET};
use super::restore::{Restore, data};
use super::writers::connect;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistaken_multi_is_undone_but_for_what_others_have_changed_since() {
    in_namespace("undo", |space| async move {
        let gateway = Gateway::start(BRIDGE).await;
        space.keys(KEY, SECRET);
        let s3 = s3(gateway.address);
        let zk = space.ensemble("zk", json!({"replicas": 3, "archive": {"s3": s3}})).await;
        let identity = zk.ready(3).await.identity.unwrap();
        let client = connect(&zk.address("client").await).await;
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        for path in ["/app", "/app/a", "/app/b", "/app/c"] {
            client.create(path, b"good", &options).await.unwrap();
        }
        let mut mistake = client.new_multi_writer();
        for path in ["/app/a", "/app/b"] {
            mistake.add_delete(path, None).unwrap();
        }
        mistake.add_set_data("/app/c", b"wrong", None).unwrap();
        mistake.commit().await.unwrap();
        let (_, stat) = client.get_data("/app/c").await.unwrap();
        let zxid = Zxid(stat.mzxid.cast_unsigned());
        let (stat, _) = client.create("/app/b", b"theirs", &options).await.unwrap();
        shipped(&gateway.store(), &identity, Zxid(stat.czxid.cast_unsigned())).await;

        // What does not go together is refused by the API server.
        let whole = json!({"ensemble": "zk", "undo": format!("{zxid:#}")});
        let refused = |more: Value| {
            let mut spec = whole.clone();
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let manifest = json!({
                "apiVersion": "menagerie.dev/v1alpha1", "kind": "ZooKeeperRestore", "metadata": {"name": "odd"}, "spec": spec,
            });
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), manifest.to_string()).unwrap();
            space.fails(&["apply", "-f", file.path().to_str().unwrap()]).unwrap()
        };
        for (more, words) in [
            (json!({"at": "0x100000001"}), "name one of at"),
            (json!({"paths": ["/app"]}), "do not go with it"),
            (json!({"existing": "Overwrite"}), "do not go with it"),
            (json!({"dryRun": false}), "dryRun: false needs approvedPlan"),
            (json!({"undo": "0xyz"}), "undo must be a zxid"),
        ] {
            let told = refused(more.clone());
            assert!(told.contains(words), "{more}: {told}");
        }

        let undo = Restore::create(&space, "undo", whole.clone()).await;
        let message = undo.condition("Planned", "True", "Planned").await;
        assert!(message.starts_with(&format!("a part of the undo of {zxid:#}: 1 to create, 1 to set, ")), "{message}");
        let plan = undo.status().await.plan.unwrap();
        assert_eq!((plan.create, plan.set, plan.delete, plan.skipped), (1, 1, 0, 1), "{message}");
        let log = space.kubectl(&["logs", "job/undo-plan"]);
        assert!(log.contains("skip /app/b") && log.contains("others have changed it since"), "{log}");
        undo.set(&json!({"dryRun": false, "approvedPlan": plan.hash}));
        let message = undo.condition("Completed", "True", "Completed").await;
        assert!(message.contains("it is a part of the undo: 1 znodes"), "{message}");
        for (path, expected) in [("/app/a", "good"), ("/app/b", "theirs"), ("/app/c", "good")] {
            assert_eq!(data(&client, path).await.unwrap(), expected.as_bytes(), "{path}");
        }

        // Undone twice, it changes nothing the second time. By command this time, from the plan to its approval.
        let (by, undone) = (space.clone(), format!("{zxid:#}"));
        let ran = tokio::task::spawn_blocking(move || {
            let create = ["restore", "create", "zk", "--undo", &undone, "--name", "again", "--wait", "--timeout", "4m"];
            let (code, name, told) = by.menagerie(&create);
            assert!(code == Some(0) && name == "again\n" && told.contains("restore again Planned: a part of the undo"), "{told}");
            let hash = told.split("--hash ").nth(1).unwrap().trim().to_owned();
            let (code, shown, told) = by.menagerie(&["restore", "show", "again"]);
            assert!(code == Some(0) && shown.contains("skip /app/b") && shown.contains(&format!("plan {hash}")), "{shown}{told}");
            let other = "0".repeat(64);
            let (code, _, told) = by.menagerie(&["restore", "approve", "again", "--hash", &other]);
            assert!(code == Some(2) && told.contains("nothing is approved"), "{told}");
            let (code, told, error) = by.menagerie(&["restore", "approve", "again", "--hash", &hash, "--wait", "--timeout", "4m"]);
            assert!(code == Some(0) && told.contains("restore again Completed: the plan is carried out"), "{told}{error}");
        });
        ran.await.unwrap();
        let again: Api<ZooKeeperRestore> = Api::namespaced(space.client.clone(), &space.name);
        let plan = again.get("again").await.unwrap().status.unwrap().plan.unwrap();
        assert_eq!((plan.changes, plan.equal, plan.skipped), (0, 2, 1));

        // A zxid that no transaction of the archive has.
        let none = json!({"ensemble": "zk", "undo": "0xff00000001"});
        let none = Restore::create(&space, "none", none).await;
        none.condition("Planned", "False", "PlanFailed").await;
    })
    .await;
}
