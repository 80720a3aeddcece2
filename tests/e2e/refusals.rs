//! What the API server refuses before the operator ever sees it, and with which sentence.

use serde_json::{Value, json};

use super::cluster::in_namespace;

#[tokio::test]
async fn each_refusal_comes_back_from_the_api_server_with_its_sentence() {
    in_namespace("refusals", |space| async move {
        let long = "a".repeat(51);
        let cases: Vec<(&str, Value, &str)> = vec![
            ("zk", json!({"replicas": 0}), "replicas must be between 1 and 15"),
            ("zk", json!({"replicas": 16}), "replicas must be between 1 and 15"),
            ("zk", json!({"replicas": 3, "version": "latest"}), "version must be a ZooKeeper version"),
            ("zk", json!({"replicas": 3, "version": "3.7.2"}), "version must be 3.8.0 or later"),
            ("zk", json!({"replicas": 3, "config": {"dataDir": "/x"}}), "config must not set dataDir"),
            ("zk", json!({"replicas": 3, "config": {"server.1": "h"}}), "config must not name servers"),
            ("zk", json!({"replicas": 3, "config": {"clientPort": "1"}}), "config must not set ports"),
            (
                "zk",
                json!({"replicas": 3, "config": {"standaloneEnabled": "true"}}),
                "config must not set standaloneEnabled",
            ),
            (
                "zk",
                json!({"replicas": 3, "config": {"skipACL": "yes"}}),
                "config must not set standaloneEnabled, reconfigEnabled, skipACL",
            ),
            ("zk", json!({"replicas": 3, "config": {"db.autocreate": "true"}}), "config must not set db.autocreate"),
            ("zk", json!({"replicas": 3, "config": {"admin.enableServer": "false"}}), "config must not set admin.*"),
            ("zk", json!({"replicas": 3, "config": {"a b": "c"}}), "config keys may hold only"),
            ("zk", json!({"replicas": 3, "config": {"a": "b\nserver.9=x"}}), "config values must be one line"),
            ("zk", json!({"replicas": 3, "config": {"datum": "x\\"}}), "config values must not hold a backslash"),
            ("zk", json!({"replicas": 3, "config": {"forceSync": "no"}}), "snapshot.trust.empty or forceSync"),
            ("zk", json!({"replicas": 3, "config": {"zookeeper.snapCount": "5"}}), "must not begin with 'zookeeper.'"),
            (
                "zk",
                json!({"replicas": 3, "config": {"DigestAuthenticationProvider.digestAlg": "SHA-256"}}),
                "DigestAuthenticationProvider.*, enforce.auth.*",
            ),
            (
                "zk",
                json!({"replicas": 3, "jvm": {"flags": ["-Dzookeeper.snapshot.trust.empty=true"]}}),
                "jvm.flags must not set",
            ),
            (
                "zk",
                json!({"replicas": 3, "jvm": {"heap": "1Gi"}, "resources": {"limits": {"memory": "1Gi"}}}),
                "jvm.heap must be smaller than resources.limits.memory",
            ),
            ("zk", json!({"replicas": 3, "jvm": {"flags": ["-Xmx1g"]}}), "jvm.heap and -Xmx"),
            ("zk", json!({"replicas": 3, "jvm": {"heap": "lots"}}), "jvm.heap must be a quantity"),
            (
                "zk",
                json!({"replicas": 3, "jvm": {"flags": ["-XX:MaxRAMPercentage=75"]}}),
                "jvm.flags must not set RAM percentages",
            ),
            (
                "zk",
                json!({"replicas": 3, "storage": {"ephemeral": true, "class": "fast"}}),
                "storage.ephemeral contradicts",
            ),
            ("zk", json!({"replicas": 3, "storage": {"size": "huge"}}), "storage.size must be a quantity"),
            (
                "zk",
                json!({"replicas": 3, "image": {"repository": "zookeeper:3.9"}}),
                "image.repository must not hold a tag",
            ),
            (
                "zk",
                json!({"replicas": 3, "podTemplate": {"spec": {"containers": [{"name": "zookeeper", "image": "x"}]}}}),
                "podTemplate must not set image",
            ),
            (
                "zk",
                json!({"replicas": 3, "podTemplate": {"spec": {"containers": [{"name": "zookeeper", "readinessProbe": {}}]}}}),
                "podTemplate must not set probes",
            ),
            (
                "zk",
                json!({"replicas": 3, "podTemplate": {"metadata": {"labels": {"menagerie.dev/ensemble": "x"}}}}),
                "podTemplate.metadata.labels must not set",
            ),
            (
                "zk",
                json!({"replicas": 3, "podTemplate": {"spec": {"volumes": [{"name": "data"}]}}}),
                "podTemplate must not change the volumes",
            ),
            // `case_15`: the two sentences about an image lead to the same place.
            (
                "zk",
                json!({"replicas": 3, "image": {"repository": "zookeeper@sha256:12"}}),
                "put them into image.tag, as 3.9.5 or 3.9.5@sha256:",
            ),
            ("zk", json!({"replicas": 3, "image": {"tag": "3.9.5@sha256:12"}}), "with or without a digest behind it"),
            ("zk", json!({"replicas": 3, "storage": {"class": "the fast one"}}), "storage.class must be the name"),
            (&long, json!({"replicas": 3}), "metadata.name must be at most 50 characters"),
            ("z.k", json!({"replicas": 3}), "metadata.name must start with a letter"),
            ("3zk", json!({"replicas": 3}), "metadata.name must start with a letter"),
        ];
        for (name, spec, sentence) in cases.into_iter().chain(of_archives()) {
            let error = space.apply(name, spec.clone()).await.expect_err(&format!("{spec} was accepted")).to_string();
            assert!(error.contains(sentence), "{spec}\n  is refused with: {error}\n  and not with:    {sentence}");
        }
    })
    .await;
}

fn of_archives() -> Vec<(&'static str, Value, &'static str)> {
    let of = |archive: Value| json!({"replicas": 3, "archive": archive});
    let retained =
        |schedule: &str| of(json!({"s3": {"bucket": "backups"}, "retention": {"keepDays": 3, "schedule": schedule}}));
    let at = |endpoint: &str| of(json!({"s3": {"bucket": "b-1", "endpoint": endpoint}}));
    vec![
        ("zk", at("https://b-1.s3.eu-central-1.amazonaws.com"), "s3.endpoint begins with the bucket's name"),
        ("zk", at("https://b-1.fra1.digitaloceanspaces.com/"), "s3.endpoint begins with the bucket's name"),
        ("zk", retained("0 25 * * *"), "retention.schedule must be a cron expression of five fields"),
        ("zk", retained("0 3 * * 7"), "Sunday is 0"),
        ("zk", of(json!({})), "s3, gcs"),
        ("zk", of(json!({"s3": {"bucket": "backups"}, "gcs": {"bucket": "backups"}})), "s3, gcs"),
    ]
}

#[tokio::test]
async fn regression_540_what_cannot_change_later_is_refused_with_the_reason() {
    in_namespace("immutable", |space| async move {
        space.apply("zk", json!({"replicas": 1, "storage": {"class": "standard"}})).await.unwrap();
        for (storage, sentence) in [
            (json!({"class": "other"}), "storage.class cannot be changed"),
            (json!({"class": ""}), "storage.class cannot be changed"),
            (json!({}), "storage.class cannot be changed"),
            (json!({"size": "2Gi"}), "storage.size cannot be changed yet"),
        ] {
            let spec = json!({"replicas": 1, "storage": storage});
            let error = space.apply("zk", spec).await.expect_err("it was accepted").to_string();
            assert!(error.contains(sentence), "{error}");
        }
        space.apply("volatile", json!({"replicas": 1, "storage": {"ephemeral": true}})).await.unwrap();
        let error = space
            .apply("volatile", json!({"replicas": 1, "storage": {"ephemeral": false}}))
            .await
            .expect_err("it was accepted");
        assert!(error.to_string().contains("storage.ephemeral cannot be changed"), "{error}");
    })
    .await;
}
