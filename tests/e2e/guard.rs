//! What any client may do from birth, and not in an ensemble of ours. What it costs one that is not guarded, real servers
//! show on loopback (`tests/files/guard.rs`).

use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use menagerie::api::Guarded;
use menagerie::model::acl::NARROW;
use serde_json::json;
use zookeeper_client::{Acl, Acls, Client, CreateMode, Error, Permission};

use super::cluster::{Ensemble, PATIENCE, eventually, in_namespace};
use super::writers::connect;

const QUOTA: &str = "/zookeeper/quota/mine";
const LIMITS: &str = "/zookeeper/quota/mine/zookeeper_limits";
const STATS: &str = "/zookeeper/quota/mine/zookeeper_stats";

async fn superuser(zk: &Ensemble) -> Client {
    let secrets: Api<Secret> = Api::namespaced(zk.space.client.clone(), &zk.space.name);
    let data = secrets.get("zk-super").await.unwrap().data.unwrap();
    let auth = format!("super:{}", String::from_utf8(data["password"].0.clone()).unwrap());
    let connector = Client::connector().with_auth("digest", auth.as_bytes());
    connector.connect(&zk.address("client").await).await.unwrap()
}

async fn make(client: &Client, path: &str, data: &str) -> Result<(), Error> {
    let open = CreateMode::Persistent.with_acls(Acls::anyone_all());
    client.create(path, data.as_bytes(), &open).await.map(drop)
}

async fn give(client: &Client, path: &str, acl: Acls<'_>) -> Result<(), Error> {
    client.set_acl(path, &acl, None).await.map(drop)
}

/// A quota, as `setquota` makes it: open to everybody, whoever makes it.
async fn set_quota(client: &Client) -> Result<(), Error> {
    make(client, QUOTA, "").await?;
    make(client, LIMITS, "count=9,bytes=-1").await?;
    make(client, STATS, "count=-1,bytes=-1").await
}

async fn text(client: &Client, path: &str) -> String {
    client.sync(path).await.unwrap();
    String::from_utf8(client.get_data(path).await.unwrap().0).unwrap()
}

/// How often somebody was told that rights were taken away.
fn told(zk: &Ensemble) -> usize {
    let notes =
        zk.space.kubectl(&["get", "events.events.k8s.io", "-o", r"jsonpath={range .items[*]}{.action}{'\n'}{end}"]);
    notes.lines().filter(|action| *action == "Guard").count()
}

#[tokio::test]
async fn regression_stranger_no_client_can_break_a_quota_and_super_sets_one_that_counts() {
    in_namespace("guard", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        let status = zk.ready(3).await;
        let identity = status.identity.clone().unwrap();
        assert_eq!(status.guarded, Some(Guarded { identity, zookeeper: "world:anyone:r".into(), root: None }));

        let stranger = connect(&zk.address("client").await).await;
        make(&stranger, "/mine", "").await.unwrap();
        assert_eq!(set_quota(&stranger).await, Err(Error::NoAuth));
        for path in ["/zookeeper/quota/zookeeper_limits", "/zookeeper/zookeeper_limits", "/zookeeper/quota2"] {
            assert_eq!(make(&stranger, path, "x").await, Err(Error::NoAuth), "{path}");
        }
        for path in ["/", "/zookeeper", "/zookeeper/quota"] {
            assert_eq!(give(&stranger, path, Acls::anyone_all()).await, Err(Error::NoAuth), "{path}");
        }
        let owner = superuser(&zk).await;
        set_quota(&owner).await.unwrap();
        for path in [QUOTA, LIMITS, STATS] {
            give(&owner, path, Acls::anyone_read()).await.unwrap();
        }
        assert_eq!(stranger.set_data(STATS, b"x", None).await.map(drop), Err(Error::NoAuth));
        make(&stranger, "/mine/child", "12345").await.unwrap();
        assert_eq!(text(&stranger, STATS).await, "count=2,bytes=5");
        assert_eq!(told(&zk), 1);
        // The same session all along: no server has ended.
        stranger.delete("/mine/child", None).await.unwrap();
        stranger.delete("/mine", None).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn regression_stranger_one_that_ran_before_is_guarded_once_and_its_root_is_as_the_spec_says() {
    in_namespace("guard-old", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 1})).await;
        zk.ready(1).await;
        // As an ensemble is that ran under an operator that knew of none of this, with a quota of somebody's own.
        let owner = superuser(&zk).await;
        for path in ["/", "/zookeeper", "/zookeeper/quota"] {
            give(&owner, path, Acls::anyone_all()).await.unwrap();
        }
        let stranger = connect(&zk.address("client").await).await;
        make(&stranger, "/mine", "").await.unwrap();
        set_quota(&stranger).await.unwrap();
        space.kubectl(&[
            "patch",
            "zke",
            "zk",
            "--subresource=status",
            "--type=merge",
            "-p",
            r#"{"status":{"guarded":null}}"#,
        ]);
        eventually(PATIENCE, "it to be guarded", async || zk.status().await.guarded.is_some()).await;
        zk.ready(1).await;
        make(&stranger, "/mine/child", "").await.unwrap();
        assert_eq!(stranger.set_data(STATS, b"x", None).await.map(drop), Err(Error::NoAuth));
        assert_eq!(
            root(&owner).await,
            [Acl::new(Permission::CREATE | Permission::DELETE | Permission::READ, anyone())]
        );
        assert_eq!(NARROW, "world:anyone:cdr");

        let closed = json!([{"scheme": "world", "id": "anyone", "perms": "r"}]);
        space.apply("zk", json!({"replicas": 1, "rootAcl": closed})).await.unwrap();
        let said = async || zk.status().await.guarded.and_then(|guarded| guarded.root);
        eventually(PATIENCE, "the root to be closed", async || said().await == Some(vec!["world:anyone:r".into()]))
            .await;
        assert_eq!(make(&stranger, "/zookeeper-x", "").await, Err(Error::NoAuth));
        let message =
            space.apply("zk", json!({"replicas": 1, "rootAcl": [{"scheme": "auth", "id": "x", "perms": "r"}]})).await;
        assert!(message.unwrap_err().to_string().contains("stands for whoever asks"));
        // An unknown scheme is for the servers to refuse.
        let unknown = json!([{"scheme": "nosuch", "id": "x", "perms": "r"}]);
        space.apply("zk", json!({"replicas": 1, "rootAcl": unknown})).await.unwrap();
        let message = zk.condition("Degraded", "True", "GuardRefused").await;
        assert!(message.contains("nosuch:x"), "{message}");
        space.apply("zk", json!({"replicas": 1})).await.unwrap();
        zk.ready(1).await;
    })
    .await;
}

fn anyone() -> zookeeper_client::AuthId {
    zookeeper_client::AuthId::anyone()
}

async fn root(client: &Client) -> Vec<Acl> {
    client.sync("/").await.unwrap();
    client.get_acl("/").await.unwrap().0
}
