//! The chart renders what it should, everything generated is up to date, and the examples are valid.
//!
//! Needs helm: from the cache that `dev/cluster build` fills, or from the PATH. Installing is `dev/test e2e`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use menagerie::api::{ZooKeeperBackup, ZooKeeperBackupSchedule, ZooKeeperEnsemble, ZooKeeperRestore};
use menagerie::model::Desired;
use menagerie::model::cron::Cron;
use serde_json::{Value, json};

const CHART: &str = "charts/menagerie";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file} cannot be read: {error}"))
}

/// The cache of `dev/lib.sh` first, then the PATH.
fn path() -> OsString {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("MENAGERIE_CACHE").or_else(|| {
        let caches = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
        Some(caches.join("menagerie"))
    });
    let folders = cache.map(|cache| cache.join("bin")).into_iter();
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(folders.chain(std::env::split_paths(&path))).unwrap_or(path)
}

fn helm(arguments: &[&str]) -> Output {
    let path = path();
    let helm = std::env::split_paths(&path).map(|folder| folder.join("helm")).find(|file| file.is_file());
    let helm = helm.unwrap_or_else(|| panic!("helm is missing: run dev/cluster build"));
    Command::new(helm).args(arguments).current_dir(root()).output().unwrap_or_else(|error| panic!("helm: {error}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn rendered(arguments: &[&str]) -> Vec<Value> {
    // The oldest Kubernetes that the chart allows, not the one that this helm was built for.
    let template =
        ["template", "menagerie", CHART, "--namespace", "system", "--kube-version", "1.33.0", "--set", IMAGE];
    let output = helm(&[&template, arguments].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    objects(&text(&output.stdout))
}

/// What has no default: an image that is somebody's.
const IMAGE: &str = "image.repository=r.example/menagerie/operator";

fn objects(yaml: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).unwrap_or_else(|error| panic!("no YAML: {error}"));
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

fn operator(objects: &[Value]) -> &Value {
    let deployments = of_kind(objects, "Deployment");
    assert_eq!(deployments.len(), 1);
    &deployments[0]["spec"]["template"]["spec"]
}

fn environment(pod: &Value) -> BTreeMap<&str, &Value> {
    let env = pod["containers"][0]["env"].as_array().into_iter().flatten();
    env.filter_map(|entry| Some((entry["name"].as_str()?, &entry["value"]))).collect()
}

fn rules(objects: &[Value]) -> Vec<&Value> {
    let roles = objects.iter().filter(|object| object["kind"] == "ClusterRole" || object["kind"] == "Role");
    roles.flat_map(|role| role["rules"].as_array().into_iter().flatten()).collect()
}

const SOME_NAMESPACES: &[&str] = &["--set", "watch.namespaces={a,b}"];

#[test]
fn helm_finds_nothing_to_complain_about() {
    for arguments in [&[], SOME_NAMESPACES] {
        let output = helm(&[&["lint", "--strict", CHART], arguments].concat());
        assert!(output.status.success(), "{}", text(&output.stdout));
    }
}

#[test]
fn chart_and_operator_have_one_version() {
    let chart: Value = serde_saphyr::from_str(&read("charts/menagerie/Chart.yaml")).unwrap();
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn what_is_generated_is_up_to_date() {
    let check = Command::new(root().join("dev/generate"))
        .arg("--check")
        .env("BINARY", env!("CARGO_BIN_EXE_menagerie"))
        .env("PATH", path())
        .output()
        .unwrap();
    assert!(check.status.success(), "{}{}", text(&check.stdout), text(&check.stderr));
}

#[test]
fn who_deletes_the_plain_yaml_deletes_no_ensemble() {
    let plain = objects(&read("deploy/menagerie.yaml"));
    assert_eq!(of_kind(&plain, "Deployment").len(), 1);
    for kind in ["CustomResourceDefinition", "Namespace"] {
        assert!(of_kind(&plain, kind).is_empty(), "{kind}");
    }
}

#[test]
fn by_default_one_role_covers_all_namespaces() {
    let objects = rendered(&[]);
    assert!(of_kind(&objects, "Role").is_empty() && of_kind(&objects, "RoleBinding").is_empty());
    let bindings = of_kind(&objects, "ClusterRoleBinding");
    let bound: Vec<&Value> = bindings.iter().map(|binding| &binding["roleRef"]["name"]).collect();
    assert_eq!(bound, ["menagerie", "menagerie-nodes"]);
    assert_eq!(
        bindings[0]["subjects"],
        json!([{"kind": "ServiceAccount", "name": "menagerie", "namespace": "system"}])
    );
    // An empty value would be the namespace of that name.
    assert!(!environment(operator(&objects)).contains_key("MENAGERIE_NAMESPACES"));
}

#[test]
fn with_namespaces_the_operator_has_the_same_rights_in_these_and_none_elsewhere() {
    let (everywhere, some) = (rendered(&[]), rendered(SOME_NAMESPACES));
    // Nodes and volumes are in no namespace; to read them can be forbidden too.
    let bindings = of_kind(&some, "ClusterRoleBinding");
    assert!(bindings.len() == 1 && bindings[0]["roleRef"]["name"] == "menagerie-nodes");
    let none = rendered(&[SOME_NAMESPACES, &["--set", "rbac.nodes=false"]].concat());
    assert!(of_kind(&none, "ClusterRoleBinding").is_empty());
    for kind in ["Role", "RoleBinding"] {
        let namespaces: Vec<&Value> = of_kind(&some, kind).iter().map(|role| &role["metadata"]["namespace"]).collect();
        assert_eq!(namespaces, ["a", "b"], "{kind}");
    }
    let cluster_role =
        of_kind(&everywhere, "ClusterRole").into_iter().find(|role| role["metadata"]["name"] == "menagerie");
    for role in of_kind(&some, "Role") {
        assert_eq!(role["rules"], cluster_role.unwrap()["rules"]);
    }
    assert_eq!(environment(operator(&some))["MENAGERIE_NAMESPACES"], "a,b");
}

#[test]
fn ensembles_are_selected_by_their_labels_when_somebody_says_so() {
    assert!(!environment(operator(&rendered(&[]))).contains_key("MENAGERIE_SELECTOR"));
    let some = rendered(&["--set-string", "watch.selector=team=a\\,tier!=test"]);
    assert_eq!(environment(operator(&some))["MENAGERIE_SELECTOR"], "team=a,tier!=test");
}

#[test]
fn no_role_grants_everything_of_anything() {
    for objects in [rendered(&[]), rendered(SOME_NAMESPACES)] {
        let rules = rules(&objects);
        assert!(rules.len() > 10);
        for rule in rules {
            assert!(!rule.to_string().contains('*'), "{rule}");
            for dangerous in ["escalate", "bind", "impersonate"] {
                assert!(!rule["verbs"].as_array().unwrap().contains(&json!(dangerous)), "{rule}");
            }
        }
    }
}

#[test]
fn the_roles_of_people_can_be_left_out() {
    let names = |objects: &[Value]| -> BTreeSet<String> {
        let roles = of_kind(objects, "ClusterRole");
        roles.iter().filter_map(|role| role["metadata"]["name"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(
        names(&rendered(&[])),
        ["menagerie", "menagerie-edit", "menagerie-nodes", "menagerie-restore", "menagerie-view"]
            .map(str::to_owned)
            .into()
    );
    let without = names(&rendered(&["--set", "rbac.userRoles=false"]));
    assert_eq!(without, ["menagerie", "menagerie-nodes"].map(str::to_owned).into());
}

#[test]
fn agents_run_the_image_that_the_operator_runs() {
    let set = "image.repository=r.example:5000/m,image.tag=v7,image.pullPolicy=Never";
    for (arguments, image) in [
        (&[][..], concat!("r.example/menagerie/operator:", env!("CARGO_PKG_VERSION"))),
        (&["--set", set][..], "r.example:5000/m:v7"),
    ] {
        let objects = rendered(arguments);
        let pod = operator(&objects);
        assert_eq!(pod["containers"][0]["image"], image);
        assert_eq!(environment(pod)["MENAGERIE_IMAGE"], image);
        let policy = &pod["containers"][0]["imagePullPolicy"];
        assert_eq!(policy, environment(pod).get("MENAGERIE_IMAGE_PULL_POLICY").copied().unwrap_or(&Value::Null));
    }
}

#[test]
fn the_operators_pod_meets_the_restricted_pod_security_standard() {
    let objects = rendered(&[]);
    let pod = operator(&objects);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let container = &pod["containers"][0]["securityContext"];
    assert_eq!(container["allowPrivilegeEscalation"], false);
    assert_eq!(container["readOnlyRootFilesystem"], true);
    assert_eq!(container["capabilities"], json!({"drop": ["ALL"]}));
    assert!(pod["volumes"].is_null() && pod["hostNetwork"].is_null());
}

#[test]
fn ids_are_left_to_the_cluster_where_it_assigns_them() {
    let plain = rendered(&[]);
    assert_eq!(operator(&plain)["securityContext"]["runAsUser"], 65532);
    assert!(!environment(operator(&plain)).contains_key("MENAGERIE_ASSIGNED_IDS"));
    let objects = rendered(&["--set", "assignedIds=true,podSecurityContext.fsGroup=7"]);
    let pod = operator(&objects);
    assert_eq!(pod["securityContext"], json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}));
    assert_eq!(environment(pod)["MENAGERIE_ASSIGNED_IDS"], "true");
    let own = rendered(&["--set", "podSecurityContext.runAsUser=null,securityContext.readOnlyRootFilesystem=false"]);
    assert!(operator(&own)["securityContext"]["runAsUser"].is_null());
    assert_eq!(operator(&own)["containers"][0]["securityContext"]["readOnlyRootFilesystem"], false);
}

#[test]
fn without_an_image_nothing_is_rendered_and_the_sentence_says_what_to_give() {
    let output = helm(&["template", "menagerie", CHART, "--kube-version", "1.33.0"]);
    assert!(!output.status.success(), "an image that is nobody's was taken for the operator's");
    assert!(text(&output.stderr).contains("--set image.repository="), "{}", text(&output.stderr));
}

#[test]
fn a_tag_or_a_digest_in_the_repository_is_refused_with_the_value_that_it_belongs_into() {
    let digest = format!("x@sha256:{}", "0".repeat(64));
    for repository in ["x:1.2", "r.example:5000/m:v7", digest.as_str()] {
        let set = format!("image.repository={repository}");
        let output = helm(&["template", "menagerie", CHART, "--kube-version", "1.33.0", "--set", &set]);
        let said = text(&output.stderr);
        assert!(!output.status.success(), "{repository} was accepted");
        assert!(said.contains("image.tag") && said.contains(repository), "{said}");
    }
}

#[test]
fn values_reach_the_pod_and_cannot_take_it_from_its_deployment() {
    let objects = rendered(&[
        "--set",
        "nodeSelector.disk=ssd,tolerations[0].operator=Exists,priorityClassName=high,podAnnotations.a=b,logLevel=debug",
        "--set",
        "podLabels.team=x,podLabels.app\\.kubernetes\\.io/name=other,resources.limits.memory=1Gi,image.pullSecrets[0].name=s",
    ]);
    let deployment = of_kind(&objects, "Deployment")[0];
    let template = &deployment["spec"]["template"];
    let (meta, pod) = (&template["metadata"], &template["spec"]);
    assert_eq!(meta["labels"]["team"], "x");
    for (key, value) in deployment["spec"]["selector"]["matchLabels"].as_object().unwrap() {
        assert_eq!(&meta["labels"][key], value);
    }
    assert_eq!(meta["annotations"]["a"], "b");
    assert_eq!(pod["nodeSelector"], json!({"disk": "ssd"}));
    assert_eq!(pod["tolerations"], json!([{"operator": "Exists"}]));
    assert_eq!(pod["priorityClassName"], "high");
    assert_eq!(pod["imagePullSecrets"], json!([{"name": "s"}]));
    assert_eq!(pod["containers"][0]["resources"]["limits"]["memory"], "1Gi");
    assert_eq!(environment(pod)["RUST_LOG"], "debug");
}

#[test]
fn the_definition_is_kept_upgraded_and_unchanged() {
    let source = objects(&read("crds/menagerie.dev.yaml"));
    let definitions = |arguments: &[&str]| -> Vec<Value> {
        of_kind(&rendered(arguments), "CustomResourceDefinition").into_iter().cloned().collect()
    };
    let mut kept = definitions(&[]);
    for definition in &mut kept {
        let annotations = definition["metadata"].as_object_mut().unwrap().remove("annotations");
        assert_eq!(annotations, Some(json!({"helm.sh/resource-policy": "keep"})));
    }
    assert!(kept == source, "the chart's definition is not that of crds/: run dev/generate");
    assert!(definitions(&["--set", "crds.keep=false"]) == source);
    assert!(definitions(&["--set", "crds.install=false"]).is_empty());
    // Helm installs what is in crds/ once and never again.
    assert!(!root().join(CHART).join("crds").exists());
}

#[test]
fn the_service_monitor_selects_the_metrics_service() {
    assert!(of_kind(&rendered(&[]), "ServiceMonitor").is_empty());
    let objects =
        rendered(&["--set", "metrics.serviceMonitor.enabled=true,metrics.serviceMonitor.labels.release=prometheus"]);
    let (monitor, service) = (of_kind(&objects, "ServiceMonitor")[0], of_kind(&objects, "Service")[0]);
    assert_eq!(monitor["metadata"]["labels"]["release"], "prometheus");
    for (key, value) in monitor["spec"]["selector"]["matchLabels"].as_object().unwrap() {
        assert_eq!(&service["metadata"]["labels"][key], value);
    }
    assert_eq!(monitor["spec"]["endpoints"][0]["port"], service["spec"]["ports"][0]["name"]);
}

#[test]
fn values_that_nobody_reads_or_understands_are_refused() {
    for wrong in [
        "replicas=2",
        "image.name=x",
        "image.pullPolicy=Sometimes",
        "watch.namespaces=a",
        "watch.namespaces={A}",
        "watch.selector=team~a",
        "watch.selector=a in b",
        "watch.selector=a=b=c",
        "watch.selector=!",
        "logLevel=shout",
        r"logLevel=info\,=5",
        r"logLevel=info\,",
        "resources.limits.memory=128MB",
        "resources.requests.cpu=ten",
        "crds.keep=maybe",
        "podLabels.a.b=c",
        "affinity.nodeAfinity=x",
        "assignedIds=maybe",
        "securityContext.readOnly=true",
        "metrics.serviceMonitor.interval=often",
    ] {
        let set = ["--set", IMAGE, "--set", wrong];
        let output = helm(&[&["template", "menagerie", CHART, "--kube-version", "1.33.0"][..], &set].concat());
        assert!(!output.status.success(), "{wrong} was accepted");
        assert!(text(&output.stderr).contains("schema"), "{wrong}: {}", text(&output.stderr));
    }
}

#[test]
fn values_that_kubernetes_understands_are_accepted() {
    for right in [
        r"watch.selector=app in (a\,b)\, !menagerie.dev/by\,tier!=x",
        "watch.selector=a == b",
        "watch.selector=a notin (b)",
        "logLevel=debug",
        r"logLevel=INFO\,kube_runtime::watcher=off",
        "resources.limits.memory=1.5Gi",
        "resources.limits.memory=134217728",
        "resources.requests.cpu=0.1",
        "resources.requests.cpu=1e3",
    ] {
        let set = ["--set", IMAGE, "--set", right];
        let output = helm(&[&["template", "menagerie", CHART, "--kube-version", "1.33.0"][..], &set].concat());
        assert!(output.status.success(), "{right}: {}", text(&output.stderr));
    }
}

#[test]
fn every_value_has_a_default_and_a_description() {
    let schema: Value = serde_json::from_str(&read("charts/menagerie/values.schema.json")).unwrap();
    let values: Value = serde_saphyr::from_str(&read("charts/menagerie/values.yaml")).unwrap();
    let mut pending = vec![(String::new(), &schema, &values)];
    while let Some((path, schema, value)) = pending.pop() {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            assert!(property["description"].is_string(), "{path} has no description");
            if property["type"] == "object" {
                assert!(
                    property["additionalProperties"] == false || path == ".global" || path.starts_with(".affinity."),
                    "{path} is open"
                );
            }
            // These are Kubernetes' own: not every part of them is set.
            let kubernetes = [".resources.", ".affinity.", ".podSecurityContext.", ".securityContext."];
            if path != ".global" && !kubernetes.iter().any(|whole| path.starts_with(whole)) {
                assert!(value.get(name).is_some(), "{path} has no default in values.yaml");
                pending.push((path, property, &value[name]));
            }
        }
    }
}

#[test]
fn the_examples_are_valid() {
    let examples = std::fs::read_dir(root().join("deploy/examples")).unwrap();
    let files: Vec<PathBuf> = examples.map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 2);
    for file in files {
        let yaml = std::fs::read_to_string(&file).unwrap();
        let wrong = |error: serde_saphyr::Error| -> String { panic!("{}: {error}", file.display()) };
        for part in yaml.split("\n---\n") {
            let json: serde_json::Value = serde_saphyr::from_str(part).map_err(wrong).unwrap_or_default();
            // Whoever applies one after the other has one ensemble.
            let about = [&json["spec"]["ensemble"], &json["spec"]["backup"]["ensemble"]];
            assert!(about.iter().all(|name| name.is_null() || **name == "example"), "{}: {about:?}", file.display());
            let read = |error: Option<serde_json::Error>| assert!(error.is_none(), "{}: {error:?}", file.display());
            match json["kind"].as_str() {
                Some("ZooKeeperBackup") => {
                    assert!(serde_saphyr::from_str::<ZooKeeperBackup>(part).map_err(wrong).is_ok());
                }
                Some("ZooKeeperBackupSchedule") => {
                    let schedule = serde_saphyr::from_str::<ZooKeeperBackupSchedule>(part).map_err(wrong);
                    assert!(schedule.is_ok_and(|schedule| Cron::parse(&schedule.spec.schedule, None).is_ok()));
                }
                Some("ZooKeeperRestore") => {
                    let restore = serde_saphyr::from_str::<ZooKeeperRestore>(part).map_err(wrong);
                    assert!(
                        restore.is_ok_and(|restore| restore.spec.dry_run.is_none()),
                        "an example changes nothing at once"
                    );
                }
                Some("Secret") => read(serde_json::from_value::<k8s_openapi::api::core::v1::Secret>(json).err()),
                Some("Pod") => {
                    let image = json["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
                    assert!(image.ends_with(concat!(":", env!("CARGO_PKG_VERSION"))), "{image}");
                    read(serde_json::from_value::<k8s_openapi::api::core::v1::Pod>(json).err());
                }
                Some("ZooKeeperEnsemble") => {
                    let ensemble: ZooKeeperEnsemble =
                        serde_saphyr::from_str(part).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
                    assert!(ensemble.metadata.name.is_some() && ensemble.metadata.namespace.is_none());
                    Desired::from_spec(&ensemble.spec)
                        .unwrap_or_else(|invalid| panic!("{}: {invalid}", file.display()));
                }
                kind => panic!("{}: {kind:?}", file.display()),
            }
        }
    }
}
