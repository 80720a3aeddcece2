//! The chart on a cluster: a second operator for one namespace is installed, upgraded and uninstalled.
//!
//! The operator that the other tests use watches that namespace as well. An admission policy keeps it from writing there:
//! what is done in it was done by the release under test, and nobody is left to do anything once that is uninstalled.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::process::Command;
use std::time::Duration;

use futures::FutureExt as _;
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::cluster::{PATIENCE, Space, condition, eventually, in_namespace};
use super::writers::{Writers, connect};

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/menagerie");
const OTHER_OPERATOR: &str = "system:serviceaccount:menagerie-system:menagerie";
const DENIED: &str = "another operator looks after this namespace";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_for_one_namespace_installs_upgrades_and_leaves_ensembles_running_when_it_goes() {
    in_namespace("helm", |space| async move { without_the_other_operator(&space, life_of_a_release).await }).await;
}

async fn life_of_a_release(space: Space) {
    let release = Release::of(&space);
    release.helm(&["lint", CHART, "--strict"]);
    let rendered = release.with_values(&["template", &space.name, CHART, "--validate"]);
    assert!(rendered.contains("kind: Deployment") && !rendered.contains("kind: ClusterRole"), "{rendered}");

    let reclaim = json!({"onScaleDown": "Delete", "onDelete": "Delete"});
    let zk = space.ensemble("zk", json!({"replicas": 1, "storage": {"reclaim": reclaim}})).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(space.kubectl(&["get", "sts,cm,secrets", "-l", "menagerie.dev/ensemble=zk", "-o", "name"]), "");

    release.with_values(&["install", &space.name, CHART, "--wait", "--timeout=120s"]);
    zk.ready(1).await;
    let writers = Writers::start(&zk.address("client").await, 1).await;
    // Every verb that it needs: it creates, patches, and deletes a Service and a claim.
    zk.scale(2);
    zk.ready(2).await;
    zk.scale(1);
    zk.ready(1).await;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(space.client.clone(), &space.name);
    eventually(PATIENCE, "the second member's claim to be gone", async || {
        claims.get_opt("data-zk-1").await.unwrap().is_none()
    })
    .await;
    assert_eq!(claims.get("data-zk-0").await.unwrap().owner_references().len(), 1);
    let installed = release.operator().await;
    for kind in ["apply", "add-pod", "remove-pod", "delete"] {
        assert!(installed.steps(kind).await > 0, "the release took no step of the kind {kind}");
    }
    installed.assert_nothing_was_forbidden(&space);

    let before = (members(&space).await, revision(&space).await);
    release.helm(&[
        "upgrade",
        &space.name,
        CHART,
        "--reset-then-reuse-values",
        "--set=logLevel=info",
        "--set-string=podAnnotations.upgraded=yes",
        "--wait",
        "--timeout=120s",
    ]);
    let upgraded = release.operator().await;
    assert_ne!(upgraded.pod.uid(), installed.pod.uid());
    assert_eq!(upgraded.pod.annotations()["upgraded"], "yes");
    eventually(PATIENCE, "the upgraded operator to find nothing to do", async || upgraded.steps("rest").await > 0)
        .await;
    for kind in ["apply", "add-pod", "remove-pod", "join", "leave", "delete"] {
        assert_eq!(upgraded.steps(kind).await, 0, "the upgrade made the operator take a step of the kind {kind}");
    }
    upgraded.assert_nothing_was_forbidden(&space);
    assert_eq!(condition(&zk.status().await, "Ready").0, "True");

    release.helm(&["uninstall", &space.name, "--wait", "--timeout=120s"]);
    assert_eq!(release.helm(&["list", "--all", "--short"]).trim(), "");
    release.assert_nothing_is_left();
    assert_eq!(space.ensembles().list(&ListParams::default()).await.unwrap().items.len(), 1);
    assert_eq!((members(&space).await, revision(&space).await), before, "members were replaced, restarted or changed");

    // Nobody looks after it any more: clients are served, and Kubernetes replaces a pod that is lost.
    let address = zk.address("client").await;
    connect(&address).await;
    zk.delete_pod("zk-0").await;
    connect(&address).await;
    writers.stop().await.assert_all_there(&address).await;
}

#[tokio::test]
async fn case_25_a_wrong_cluster_domain_is_named_and_put_right_it_heals_an_ensemble_that_was_not_born() {
    in_namespace("domain", |space| async move {
        without_the_other_operator(&space, |space| async move {
            let mut release = Release::of(&space);
            release.values.push("--set=clusterDomain=k8s.example".to_owned());
            release.with_values(&["install", &space.name, CHART, "--wait", "--timeout=120s"]);
            let zk = space.ensemble("zk", json!({"replicas": 3})).await;
            eventually(PATIENCE, "a condition that names clusterDomain", async || {
                let said = condition(&zk.status().await, "Ready");
                said.0 == "False" && said.2.contains("clusterDomain")
            })
            .await;
            let warning = condition(&zk.status().await, "Warning");
            assert!(warning.1 == "ClusterDomain" && warning.2.contains("clusterDomain=cluster.local"), "{warning:?}");
            release.helm(&[
                "upgrade",
                &space.name,
                CHART,
                "--reset-then-reuse-values",
                "--set=clusterDomain=cluster.local",
                "--wait",
                "--timeout=120s",
            ]);
            zk.ready(3).await;
            connect(&zk.address("client").await).await;
            release.helm(&["uninstall", &space.name, "--wait", "--timeout=120s"]);
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn case_r11_a_namespace_whose_role_binding_is_gone_keeps_the_operator_from_no_other() {
    in_namespace("list-a", |a| async move {
        in_namespace("list-b", |b| async move {
            let mut release = Release::of(&a);
            release.values.push(format!("--set=watch.namespaces={{{},{}}}", a.name, b.name));
            release.with_values(&["install", &a.name, CHART, "--wait", "--timeout=120s"]);
            assert_eq!(release.operator().await.watched(&b.name).await, Some(1));
            let binding = b.kubectl(&["get", "rolebinding", "-o", "name"]);
            b.kubectl(&["delete", binding.trim()]);
            let deployment = a.kubectl(&["get", "deployment", "-o", "name"]);
            a.kubectl(&["rollout", "restart", deployment.trim()]);
            a.kubectl(&["rollout", "status", deployment.trim(), "--timeout=120s"]);
            eventually(PATIENCE, "one operator that does without the second namespace", async || {
                let found = release.operators().await;
                let [operator] = &found[..] else { return false };
                operator.watched(&a.name).await == Some(1) && operator.watched(&b.name).await == Some(0)
            })
            .await;
            release.with_values(&["upgrade", &a.name, CHART, "--wait", "--timeout=120s"]);
            eventually(PATIENCE, "the namespace to be taken up again", async || {
                release.operator().await.watched(&b.name).await == Some(1)
            })
            .await;
            release.helm(&["uninstall", &a.name, "--wait", "--timeout=120s"]);
        })
        .await;
    })
    .await;
}

/// Runs `test` while the cluster's own operator may not write in this namespace.
async fn without_the_other_operator<F: Future<Output = ()>>(space: &Space, test: impl FnOnce(Space) -> F) {
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(space.client.clone());
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(space.client.clone());
    let (name, own) = (&space.name, json!({"matchLabels": {"kubernetes.io/metadata.name": space.name}}));
    let all = json!({"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]});
    let policy = json!({
        "matchConstraints": {"namespaceSelector": own, "resourceRules": [all]},
        "matchConditions": [{"name": "other", "expression": format!("request.userInfo.username == '{OTHER_OPERATOR}'")}],
        "validations": [{"expression": "false", "message": DENIED}],
    });
    apply(&policies, name, &policy).await;
    apply(&bindings, name, &json!({"policyName": name, "validationActions": ["Deny"]})).await;
    eventually(PATIENCE, "the other operator to be kept out", async || {
        let _ = run("kubectl", &["-n", name, "delete", "configmap", "probe", "--ignore-not-found"]);
        let probe = ["-n", name, "create", "configmap", "probe", "--dry-run=server", "--as", OTHER_OPERATOR];
        run("kubectl", &probe).is_err_and(|error| error.contains(DENIED))
    })
    .await;
    let result = AssertUnwindSafe(test(space.clone())).catch_unwind().await;
    bindings.delete(name, &DeleteParams::default()).await.unwrap();
    policies.delete(name, &DeleteParams::default()).await.unwrap();
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

async fn apply<K>(api: &Api<K>, name: &str, spec: &Value)
where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + std::fmt::Debug,
{
    let manifest =
        json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name}, "spec": spec});
    api.patch(name, &PatchParams::apply("e2e").force(), &Patch::Apply(&manifest)).await.unwrap();
}

/// Uid and restarts of each member's pod.
async fn members(space: &Space) -> BTreeMap<String, (Option<String>, i32)> {
    let pods = space.pods().list(&ListParams::default().labels("menagerie.dev/ensemble=zk")).await.unwrap();
    let restarts = |pod: &Pod| {
        let status = pod.status.clone().unwrap_or_default();
        let containers = status.init_container_statuses.into_iter().chain(status.container_statuses).flatten();
        containers.map(|container| container.restart_count).sum()
    };
    pods.iter().map(|pod| (pod.name_any(), (pod.uid(), restarts(pod)))).collect()
}

/// What the members are made from.
async fn revision(space: &Space) -> (Option<i64>, Option<String>) {
    let sets: Api<StatefulSet> = Api::namespaced(space.client.clone(), &space.name);
    let set = sets.get("zk").await.unwrap();
    (set.metadata.generation, set.status.and_then(|status| status.update_revision))
}

/// A release of the chart in its own namespace, of the same name.
struct Release<'a> {
    space: &'a Space,
    values: Vec<String>,
}

impl<'a> Release<'a> {
    /// With the image of the operator that is there already: it is on the nodes.
    fn of(space: &'a Space) -> Self {
        let path = "-o=jsonpath={.spec.template.spec.containers[0].image}";
        let image = run("kubectl", &["-n", "menagerie-system", "get", "deployment", "menagerie", path]).unwrap();
        // A registry may have a port, and a tag a digest behind it.
        let name = image.rfind('/').map_or(0, |slash| slash + 1);
        let (repository, tag) = image.split_at(name + image[name..].find(':').expect("an image with a tag"));
        let values = vec![
            format!("--set=image.repository={repository},image.tag={},image.pullPolicy=IfNotPresent", &tag[1..]),
            format!("--set=watch.namespaces={{{}}}", space.name),
            "--set=crds.install=false,rbac.userRoles=false,rbac.nodes=false".to_owned(),
        ];
        Self { space, values }
    }

    /// `helm` in the namespace; its output, or a panic with its error.
    fn helm(&self, arguments: &[&str]) -> String {
        run("helm", &[arguments, &["-n", &self.space.name]].concat()).unwrap()
    }

    /// The same for a chart that has to be told what to install.
    fn with_values(&self, arguments: &[&str]) -> String {
        let values: Vec<&str> = self.values.iter().map(String::as_str).collect();
        self.helm(&[arguments, &values].concat())
    }

    async fn operator(&self) -> Operator {
        let mut operators = self.operators().await;
        assert_eq!(operators.len(), 1, "there is one operator");
        operators.remove(0)
    }

    async fn operators(&self) -> Vec<Operator> {
        let labels = format!("app.kubernetes.io/name=menagerie,app.kubernetes.io/instance={}", self.space.name);
        let pods = self.space.pods().list(&ListParams::default().labels(&labels)).await.unwrap().items;
        pods.into_iter().map(|pod| Operator { pod }).collect()
    }

    fn assert_nothing_is_left(&self) {
        let ours = format!("app.kubernetes.io/instance={}", self.space.name);
        let kinds = "deploy,rs,svc,sa,cm,secrets,roles,rolebindings,clusterroles,clusterrolebindings";
        assert_eq!(self.space.kubectl(&["get", kinds, "-l", &ours, "-o", "name"]), "");
        assert_eq!(self.space.kubectl(&["get", "secrets,cm", "-l", "owner=helm", "-o", "name"]), "");
    }
}

/// The pod of a release.
struct Operator {
    pod: Pod,
}

impl Operator {
    /// How many steps of a kind it has taken.
    async fn steps(&self, kind: &str) -> u64 {
        self.metric(&format!("menagerie_steps_total{{kind=\"{kind}\"}} ")).await.unwrap_or(0)
    }

    /// Whether it looks after a namespace.
    async fn watched(&self, namespace: &str) -> Option<u64> {
        self.metric(&format!("menagerie_namespace_watched{{namespace=\"{namespace}\"}} ")).await
    }

    async fn metric(&self, line: &str) -> Option<u64> {
        let ip = self.pod.status.as_ref().and_then(|status| status.pod_ip.clone()).expect("the operator's address");
        let url = format!("http://{ip}:8080/metrics");
        let metrics = menagerie::http::get(&url, Duration::from_secs(5)).await.unwrap();
        let metrics = String::from_utf8(metrics).unwrap();
        metrics.lines().find_map(|text| text.strip_prefix(line)).map(|count| count.parse().unwrap())
    }

    fn assert_nothing_was_forbidden(&self, space: &Space) {
        let log = space.kubectl(&["logs", &self.pod.name_any()]);
        // A release for one namespace has no right to nodes, and says once what it does without.
        let lines = log.lines().filter(|line| !line.contains("nothing is known about nodes"));
        let bad = lines.into_iter().find(|line| ["orbidden", "panic"].iter().any(|word| line.contains(word)));
        assert!(log.contains("watching") && bad.is_none(), "{}", bad.unwrap_or("the log is empty"));
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr)))
}
