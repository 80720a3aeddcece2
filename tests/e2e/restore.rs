//! Znodes brought back by a `ZooKeeperRestore`.

use k8s_openapi::api::batch::v1::Job;
use kube::api::{Api, ListParams, Patch, PatchParams};
use menagerie::api::{RestorePhase, RestoreStatus, ZooKeeperRestore};
use serde_json::{Value, json};
use zookeeper_client::{Acls, Client, CreateMode};
use zookeeper_files::ids::Zxid;

use super::archive::shipped;
use super::cluster::{BRIDGE, PATIENCE, Space, eventually, in_namespace, kill_operator, s3};
use super::gateway::{Gateway, KEY, SECRET};
use super::writers::connect;

pub struct Restore<'a> {
    space: &'a Space,
    name: &'a str,
}

impl<'a> Restore<'a> {
    pub async fn create(space: &'a Space, name: &'a str, spec: Value) -> Self {
        let manifest = json!({
            "apiVersion": "menagerie.dev/v1alpha1", "kind": "ZooKeeperRestore", "metadata": {"name": name}, "spec": spec,
        });
        let restore = Self { space, name };
        restore.api().patch(name, &PatchParams::apply("e2e"), &Patch::Apply(&manifest)).await.unwrap();
        restore
    }

    fn api(&self) -> Api<ZooKeeperRestore> {
        Api::namespaced(self.space.client.clone(), &self.space.name)
    }

    pub fn set(&self, spec: &Value) {
        let patch = json!({ "spec": spec }).to_string();
        self.space.kubectl(&["patch", "zkr", self.name, "--type=merge", "-p", &patch]);
    }

    pub async fn status(&self) -> RestoreStatus {
        self.api().get(self.name).await.unwrap().status.unwrap_or_default()
    }

    /// Waits for a condition to have this status and reason, and gives its message.
    pub async fn condition(&self, name: &str, status: &str, reason: &str) -> String {
        let what = format!("{} to have {name}={status} for {reason}", self.name);
        let mut message = String::new();
        eventually(PATIENCE, &what, async || {
            let now = self.status().await;
            let found = now.conditions.into_iter().find(|condition| condition.type_ == name);
            found.is_some_and(|condition| {
                message = condition.message;
                condition.status == status && condition.reason == reason
            })
        })
        .await;
        message
    }
}

pub async fn data(client: &Client, path: &str) -> Option<Vec<u8>> {
    client.get_data(path).await.ok().map(|(data, _)| data)
}

/// A Job that is not taken is said, and is not one that was deleted. Approves the plan.
async fn refused_by_a_quota(undo: &Restore<'_>, hash: &str) {
    let space = undo.space;
    let jobs = space.kubectl(&["get", "jobs", "-o", "name"]).lines().count();
    space.kubectl(&["create", "quota", "jobs", &format!("--hard=count/jobs.batch={jobs}")]);
    eventually(PATIENCE, "the quota to count", async || {
        space.kubectl(&["get", "quota", "jobs", "-o", "jsonpath={.status.used}"]).contains("jobs.batch")
    })
    .await;
    undo.set(&json!({"approvedPlan": hash}));
    let message = undo.condition("Completed", "False", "JobRefused").await;
    assert!(message.contains("exceeded quota"), "{message}");
    space.kubectl(&["delete", "quota", "jobs"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_subtree_comes_back_as_its_approved_plan_says_and_a_second_restore_changes_nothing() {
    in_namespace("restore", |space| async move {
        let gateway = Gateway::start(BRIDGE).await;
        space.keys(KEY, SECRET);
        let s3 = s3(gateway.address);
        // Made before its ensemble, it waits.
        let early = json!({"ensemble": "zk", "at": "0x100000001", "paths": ["/nothing"]});
        let early = Restore::create(&space, "early", early).await;
        early.condition("Planned", "False", "EnsembleNotFound").await;
        let zk = space.ensemble("zk", json!({"replicas": 3, "archive": {"s3": s3}})).await;
        let identity = zk.ready(3).await.identity.unwrap();

        let client = connect(&zk.address("client").await).await;
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        client.create("/app", b"top", &options).await.unwrap();
        let mut point = Zxid(0);
        for n in 0..200 {
            let (stat, _) = client.create(&format!("/app/{n}"), format!("data {n}").as_bytes(), &options).await.unwrap();
            point = Zxid(stat.czxid.cast_unsigned());
        }
        for n in 0..200 {
            client.delete(&format!("/app/{n}"), None).await.unwrap();
        }
        client.set_data("/app", b"changed", None).await.unwrap();
        let (stat, _) = client.create("/later", b"", &options).await.unwrap();
        let last = Zxid(stat.czxid.cast_unsigned());
        shipped(&gateway.store(), &identity, last).await;

        // A path that was never there is an error, for good.
        let message = early.condition("Completed", "False", "PlanFailed").await;
        assert!(message.contains("/nothing: no such znode at"), "{message}");

        let spec = json!({"ensemble": "zk", "at": format!("{point:#}"), "paths": ["/app"], "existing": "Overwrite"});
        let undo = Restore::create(&space, "undo", spec.clone()).await;
        let message = undo.condition("Planned", "True", "Planned").await;
        let plan = undo.status().await.plan.unwrap();
        assert_eq!((plan.create, plan.set, plan.delete, plan.changes), (200, 1, 0, 201), "{message}");
        assert!(message.contains("200 to create, 1 to set") && message.contains(&plan.hash), "{message}");
        let log = space.kubectl(&["logs", "job/undo-plan"]);
        assert!(log.contains("create /app/17") && log.contains(&plan.hash), "{log}");
        let message = undo.condition("Completed", "False", "DryRun").await;
        assert!(message.contains("kubectl -n e2e-restore patch zkr undo"), "{message}");
        assert_eq!(data(&client, "/app/17").await, None, "a plan changes nothing");
        assert_eq!(undo.status().await.phase, Some(RestorePhase::Planned));
        let row = space.kubectl(&["get", "zkr", "undo", "--no-headers"]);
        assert!(row.contains("Planned") && row.contains("201"), "{row}");

        undo.set(&json!({"dryRun": false, "approvedPlan": "0".repeat(64)}));
        let message = undo.condition("Completed", "False", "NotApproved").await;
        assert!(message.contains(&plan.hash), "{message}");
        let refused = space.fails(&["patch", "zkr", "undo", "--type=merge", "-p", r#"{"spec":{"at":"0x100000002"}}"#]);
        assert!(refused.unwrap().contains("cannot be changed: create another ZooKeeperRestore"));
        refused_by_a_quota(&undo, &plan.hash).await;
        kill_operator(&space.client).await;
        // Whatever the first pod of the Job has done, the next one goes on with the same plan.
        eventually(PATIENCE, "the Job's pod", async || {
            let pods = ListParams::default().labels("batch.kubernetes.io/job-name=undo-apply");
            !space.pods().list(&pods).await.unwrap().items.is_empty()
        })
        .await;
        space.kubectl(&["delete", "pod", "-l", "batch.kubernetes.io/job-name=undo-apply", "--wait=false"]);
        undo.condition("Completed", "True", "Completed").await;
        for n in 0..200 {
            assert_eq!(data(&client, &format!("/app/{n}")).await.unwrap(), format!("data {n}").as_bytes());
        }
        assert_eq!(data(&client, "/app").await.unwrap(), b"top");
        assert!(data(&client, "/later").await.is_some(), "it is not in the paths");

        // At once, without a look at the plan: only what is missing would be created, and nothing is.
        let mut spec = spec;
        spec["dryRun"] = json!(false);
        let manifest = json!({
            "apiVersion": "menagerie.dev/v1alpha1", "kind": "ZooKeeperRestore", "metadata": {"name": "again"}, "spec": spec,
        });
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), manifest.to_string()).unwrap();
        let refused = space.fails(&["apply", "-f", file.path().to_str().unwrap()]).unwrap();
        assert!(refused.contains("dryRun: false needs approvedPlan"), "{refused}");
        spec.as_object_mut().unwrap().remove("existing");
        // A limit that comes back could refuse the next write.
        let mut limited = manifest.clone();
        limited["spec"] = spec.clone();
        limited["spec"]["quotas"] = json!(true);
        std::fs::write(file.path(), limited.to_string()).unwrap();
        let refused = space.fails(&["apply", "-f", file.path().to_str().unwrap()]).unwrap();
        assert!(refused.contains("dryRun: false needs approvedPlan"), "{refused}");
        let again = Restore::create(&space, "again", spec).await;
        again.condition("Completed", "True", "Completed").await;
        let status = again.status().await;
        assert_eq!((status.plan.unwrap().changes, status.applied.unwrap().changes), (0, 0));

        // A path is no variable of the container's environment, in which the password is.
        let odd = json!({"ensemble": "zk", "at": format!("{point:#}"), "paths": ["/$(MENAGERIE_SUPER_PASSWORD)"]});
        let odd = Restore::create(&space, "odd", odd).await;
        let message = odd.condition("Completed", "False", "PlanFailed").await;
        assert!(message.starts_with("/$(MENAGERIE_SUPER_PASSWORD): no such znode at"), "{message}");

        // What was completed stays so, also where its Jobs are gone.
        let jobs: Api<Job> = Api::namespaced(space.client.clone(), &space.name);
        space.kubectl(&["delete", "jobs", "--all"]);
        client.delete("/app/17", None).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        assert_eq!(data(&client, "/app/17").await, None);
        assert!(jobs.list(&ListParams::default()).await.unwrap().items.is_empty());
    })
    .await;
}
