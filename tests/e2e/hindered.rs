//! What a quota, Pod Security, another controller or a person keeps from happening: it is said in their words, and holds up
//! only what depends on it.

use std::collections::BTreeMap;

use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::json;

use super::cluster::{Ensemble, PATIENCE, condition, eventually, in_namespace};

#[tokio::test]
async fn case_03_no_pod_meets_a_quota_and_the_conditions_say_so_in_its_words() {
    in_namespace("quota-of-pods", |space| async move {
        space.kubectl(&["create", "quota", "compute", "--hard=limits.cpu=4"]);
        let zk = space.ensemble("zk", json!({"replicas": 1})).await;
        let message = zk.condition("Degraded", "True", "PodRefused").await;
        assert!(message.contains("pod zk-0") && message.contains("must specify limits.cpu"), "{message}");
        space.kubectl(&["delete", "quota", "compute"]);
        zk.ready(1).await;
        zk.condition("Degraded", "False", "AsExpected").await;
    })
    .await;
}

#[tokio::test]
async fn case_06_case_r17_a_roll_halts_at_a_pod_that_pod_security_refuses_and_heals_with_the_spec() {
    in_namespace("pod-security", |space| async move {
        let policy = json!({"deadlineSeconds": 10});
        let zk = space.ensemble("zk", json!({"replicas": 3, "updatePolicy": policy})).await;
        zk.ready(3).await;
        let root =
            json!({"spec": {"podTemplate": {"spec": {"securityContext": {"runAsNonRoot": false, "runAsUser": 0}}}}});
        patch(&zk, &root).await;
        let message = zk.condition("Degraded", "True", "RollHalted").await;
        assert!(message.contains("violates PodSecurity") && message.contains("2 more keep"), "{message}");
        let status = zk.status().await;
        assert_eq!((condition(&status, "QuorumAvailable").0.as_str(), status.ready_replicas), ("True", 2));
        patch(&zk, &json!({"spec": {"podTemplate": null}})).await;
        zk.ready(3).await;
    })
    .await;
}

#[tokio::test]
async fn case_r13_a_quota_of_services_holds_growth_and_not_a_restart_that_is_asked_for() {
    in_namespace("quota-of-services", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        zk.ready(3).await;
        let services = space.kubectl(&["get", "services", "-o", "name"]).lines().count();
        space.kubectl(&["create", "quota", "services", &format!("--hard=services={services}")]);
        zk.scale(4);
        let message = zk.condition("Degraded", "True", "ApplyRefused").await;
        assert!(message.contains("Service zk-3") && message.contains("exceeded quota"), "{message}");
        let uid = space.pods().get("zk-0").await.unwrap().uid();
        space.kubectl(&["annotate", "pod", "zk-0", "menagerie.dev/restart=now"]);
        eventually(PATIENCE, "the restart that was asked for", async || {
            space.pods().get_opt("zk-0").await.unwrap().is_some_and(|pod| pod.uid() != uid)
        })
        .await;
        assert_eq!(space.kubectl(&["get", "pod", "zk-3", "--ignore-not-found", "-o", "name"]), "");
        space.kubectl(&["delete", "quota", "services"]);
        zk.scale(3);
        zk.ready(3).await;
        eventually(PATIENCE, "nothing to be hindered", async || condition(&zk.status().await, "Hindered").0.is_empty())
            .await;
    })
    .await;
}

#[tokio::test]
async fn case_r13_an_owner_that_somebody_gave_a_claim_is_told_and_stops_no_growth() {
    in_namespace("claim-owner", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 1})).await;
        zk.ready(1).await;
        let owner = json!({"apiVersion": "menagerie.dev/v1alpha1", "kind": "ZooKeeperEnsemble", "name": "zk", "uid": zk.get().await.uid()});
        let owners = json!({"metadata": {"ownerReferences": [owner]}});
        space.kubectl(&["patch", "pvc", "data-zk-0", "--type=merge", "-p", &owners.to_string()]);
        let message = zk.condition("Hindered", "True", "Overruled").await;
        assert!(message.contains("data-zk-0") && message.contains("ownerReferences"), "{message}");
        zk.scale(2);
        zk.ready(2).await;
    })
    .await;
}

#[tokio::test]
async fn case_16_a_field_that_another_controller_sets_back_is_named_with_it_and_scaling_goes_on() {
    in_namespace("set-back", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 1})).await;
        zk.ready(1).await;
        // What a cluster's policy controller does, as long as the test runs.
        let other = space.clone();
        let policy = tokio::spawn(async move {
            let sets: Api<k8s_openapi::api::apps::v1::StatefulSet> = Api::namespaced(other.client.clone(), &other.name);
            let grace = json!({"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 45}}}});
            let params = PatchParams { field_manager: Some("team-policy".into()), ..PatchParams::default() };
            loop {
                let _ = sets.patch("zk", &params, &Patch::Merge(&grace)).await;
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        });
        let message = zk.condition("Hindered", "True", "Overruled").await;
        for words in ["StatefulSet zk", "terminationGracePeriodSeconds should be 30, but is 45", "team-policy"] {
            assert!(message.contains(words), "{message}");
        }
        zk.scale(2);
        zk.ready(2).await;
        // Whoever is of the policy's template is not restarted for it again.
        let pods = uids(&zk).await;
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        assert_eq!(uids(&zk).await, pods);
        policy.abort();
    })
    .await;
}

#[tokio::test]
async fn an_object_that_cannot_be_decoded_does_not_keep_its_ready_and_its_field_is_named() {
    in_namespace("undecodable", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 1})).await;
        zk.ready(1).await;
        let pods = uids(&zk).await;
        // The API server's schema has no bound for it, and a port has 32 bits.
        let probe = json!({"httpGet": {"port": 99_999_999_999_u64}});
        let side = json!([{"name": "side", "image": "x", "livenessProbe": probe}]);
        space.kubectl(&[
            "patch",
            "zke",
            "zk",
            "--type=merge",
            "-p",
            &json!({"spec": {"podTemplate": {"spec": {"containers": side}}}}).to_string(),
        ]);
        let said = || {
            space.kubectl(&[
                "get",
                "zke",
                "zk",
                "-o",
                "jsonpath={range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{\"\\n\"}{end}",
            ])
        };
        eventually(PATIENCE, "the conditions to say it", async || said().contains("Ready=False InvalidSpec")).await;
        assert!(said().contains("spec.podTemplate.spec.containers[0].livenessProbe.httpGet.port"), "{}", said());
        assert!(said().contains("Degraded=True InvalidSpec"), "{}", said());
        space.kubectl(&["patch", "zke", "zk", "--type=merge", "-p", r#"{"spec":{"podTemplate":null}}"#]);
        zk.ready(1).await;
        assert_eq!(uids(&zk).await, pods);
    })
    .await;
}

#[tokio::test]
async fn case_r08_a_password_with_a_newline_behind_it_is_the_one_before_the_newline() {
    in_namespace("newline", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        zk.ready(3).await;
        let before = uids(&zk).await;
        space.kubectl(&["patch", "secret", "zk-super", "-p", r#"{"stringData":{"password":"another-one\n"}}"#]);
        eventually(PATIENCE, "every member to know it", async || {
            let now = uids(&zk).await;
            now.len() == 3 && before.iter().all(|(pod, uid)| now.get(pod).is_some_and(|now| now != uid))
        })
        .await;
        // The super user is let in: a `reconfig` is his alone.
        zk.scale(1);
        zk.ready(1).await;
    })
    .await;
}

async fn uids(zk: &Ensemble) -> BTreeMap<String, Option<String>> {
    let labelled = kube::api::ListParams::default().labels(&format!("menagerie.dev/ensemble={}", zk.name));
    let pods = zk.space.pods().list(&labelled).await.unwrap();
    pods.iter().map(|pod| (pod.name_any(), pod.uid())).collect()
}

async fn patch(zk: &Ensemble, change: &serde_json::Value) {
    zk.space.ensembles().patch(&zk.name, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
}

/// The API server has such policies itself: it takes no webhook.
#[tokio::test]
async fn a_pod_that_a_policy_protects_from_deletion_holds_up_neither_the_others_restarts_nor_growth() {
    in_namespace("protected", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        zk.ready(3).await;
        let name = format!("{}-protected", space.name);
        let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": space.name}});
        let policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {
                "matchConstraints": {"resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": ["pods"]},
                ]},
                "validations": [{"expression": "oldObject.metadata.name != 'zk-2'", "message": "zk-2 is protected"}],
            },
        });
        let binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": selector}},
        });
        let (client, mut made) = (space.client.clone(), Vec::new());
        for object in [policy, binding] {
            let object: DynamicObject = serde_json::from_value(object).unwrap();
            let kind = object.types.as_ref().unwrap().kind.clone();
            let group = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", &kind);
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::from_gvk(&group));
            api.create(&PostParams::default(), &object).await.unwrap();
            made.push(api);
        }
        // It is at work within seconds.
        eventually(PATIENCE, "the policy to be at work", async || {
            let failed = space.fails(&["delete", "pod", "zk-2", "--dry-run=server"]);
            failed.is_some_and(|words| words.contains("zk-2 is protected"))
        })
        .await;
        let before = uids(&zk).await;
        space.kubectl(&["annotate", "zke", "zk", "menagerie.dev/restart=now"]);
        let message = zk.condition("Hindered", "True", "ApplyRefused").await;
        assert!(message.contains("failed to delete Pod zk-2") && message.contains("zk-2 is protected"), "{message}");
        eventually(PATIENCE, "the others to be restarted", async || {
            let now = uids(&zk).await;
            now.len() == 3 && ["zk-0", "zk-1"].iter().all(|pod| now.get(*pod) != before.get(*pod))
        })
        .await;
        assert_eq!(uids(&zk).await.get("zk-2"), before.get("zk-2"));
        zk.scale(4);
        eventually(PATIENCE, "growth", async || zk.status().await.ready_replicas == 4).await;
        for api in made {
            api.delete(&name, &DeleteParams::default()).await.unwrap();
        }
        zk.scale(3);
        zk.ready(3).await;
        assert_ne!(uids(&zk).await.get("zk-2"), before.get("zk-2"));
    })
    .await;
}

#[tokio::test]
async fn a_pod_without_its_label_is_named_and_taken_up_again_with_it() {
    in_namespace("let-go", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        zk.ready(3).await;
        let uid = space.pods().get("zk-2").await.unwrap().uid();
        space.kubectl(&["label", "pod", "zk-2", "menagerie.dev/ensemble-"]);
        let message = zk.condition("Degraded", "True", "ForeignPod").await;
        assert!(message.contains("put the label menagerie.dev/ensemble=zk back"), "{message}");
        space.kubectl(&["label", "pod", "zk-2", "menagerie.dev/ensemble=zk"]);
        zk.ready(3).await;
        assert_eq!(space.pods().get("zk-2").await.unwrap().uid(), uid, "nobody deleted it");
    })
    .await;
}

#[tokio::test]
async fn a_pod_that_a_finalizer_holds_is_told_with_it() {
    in_namespace("held", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        zk.ready(3).await;
        let held = r#"{"metadata":{"finalizers":["example.com/job-tracking"]}}"#;
        space.kubectl(&["patch", "pod", "zk-1", "--type", "merge", "-p", held]);
        space.kubectl(&["delete", "pod", "zk-1", "--wait=false"]);
        eventually(PATIENCE, "the finalizer to be named", async || {
            // A leader has left the membership by then, so that nothing is degraded: it only has to come back.
            condition(&zk.status().await, "Progressing").2.contains("(example.com/job-tracking)")
        })
        .await;
        space.kubectl(&["patch", "pod", "zk-1", "--type", "merge", "-p", r#"{"metadata":{"finalizers":null}}"#]);
        zk.ready(3).await;
    })
    .await;
}

#[tokio::test]
async fn a_storage_class_that_does_not_exist_is_named_with_the_way_out() {
    in_namespace("no-class", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 1, "storage": {"class": "fast-sdd"}})).await;
        let message = zk.condition("Degraded", "True", "PodStuck").await;
        assert!(message.contains("\"fast-sdd\" not found; create that class"), "{message}");
    })
    .await;
}
