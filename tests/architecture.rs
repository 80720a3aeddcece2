//! The house keeps its shape.

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms that must stay pure, and what may not come in. `render` and `model` know Kubernetes' types; `plan` does not.
const RULES: &[(&str, &[&str])] = &[
    ("src/model", &["kube", "tokio", "zookeeper_client", "axum", "hyper", "std::fs", "std::net", "std::time", "rand"]),
    ("src/render", &["kube", "tokio", "zookeeper_client", "axum", "hyper", "std::fs", "std::net", "std::time", "rand"]),
    (
        "src/plan",
        &[
            "kube",
            "k8s_openapi",
            "tokio",
            "zookeeper_client",
            "axum",
            "hyper",
            "std::fs",
            "std::net",
            "std::time",
            "rand",
        ],
    ),
    ("src/settings", SETTINGS),
    ("src/cli", CLUSTERS),
    ("src/view", CLUSTERS),
    ("src/view", &["clap", "std::fs", "std::io", "std::time", "std::path", "crate::cli"]),
    // ZooKeeper's formats: bytes in, values out. That nothing in their crate knows a cluster, its Cargo.toml says.
    ("crates/zookeeper-files/src/ids.rs", FORMATS),
    ("crates/zookeeper-files/src/path.rs", FORMATS),
    ("crates/zookeeper-files/src/jute.rs", FORMATS),
    ("crates/zookeeper-files/src/log", FORMATS),
    ("crates/zookeeper-files/src/snapshot", FORMATS),
    ("crates/zookeeper-files/src/replay", FORMATS),
    // What is committed, and what an object of an archive is, needs no store to be decided.
    ("src/archive/base.rs", ARCHIVES),
    ("src/archive/gate.rs", ARCHIVES),
    ("src/archive/key.rs", ARCHIVES),
    ("src/archive/manifest.rs", ARCHIVES),
    ("src/archive/doubt.rs", ARCHIVES),
    ("src/archive/purge.rs", ARCHIVES),
    ("src/archive/retention.rs", ARCHIVES),
    ("src/archive/seal/key.rs", ARCHIVES),
    ("src/archive/seal/object.rs", ARCHIVES),
    ("src/archive/segment.rs", ARCHIVES),
    ("src/archive/target.rs", ARCHIVES),
    ("src/archive/tree_hash.rs", ARCHIVES),
    (
        "src/archive",
        &["kube", "zookeeper_client", "crate::operator", "crate::agent", "crate::plan", "crate::render", "crate::zk"],
    ),
    // What a restore would do is decided by values alone, and no test of it needs an ensemble.
    ("src/restore/acl.rs", RESTORES),
    ("src/restore/hash.rs", RESTORES),
    ("src/restore/limits.rs", RESTORES),
    ("src/restore/live.rs", RESTORES),
    ("src/restore/moved.rs", RESTORES),
    ("src/restore/operation.rs", RESTORES),
    ("src/restore/options.rs", RESTORES),
    ("src/restore/plan.rs", RESTORES),
    ("src/restore/counters.rs", RESTORES),
    ("src/restore/plan_file.rs", RESTORES),
    ("src/restore/plan_hash.rs", RESTORES),
    ("src/restore/plan_quotas.rs", RESTORES),
    ("src/restore/quota.rs", RESTORES),
    ("src/restore/reason.rs", RESTORES),
    ("src/restore/scope.rs", RESTORES),
    ("src/restore/undo.rs", RESTORES),
    ("src/restore/wanted.rs", RESTORES),
    (
        "src/restore",
        &[
            "kube",
            "zookeeper_client",
            "crate::operator",
            "crate::agent",
            "crate::plan",
            "crate::render",
            "crate::archive",
        ],
    ),
    // Commands of people: what is decided is the operator's, and how an ensemble is made is none of theirs.
    ("src/cluster", &["zookeeper_client", "crate::agent", "crate::plan", "crate::zk", "crate::operator::ensemble"]),
    // How an API server is reached is said once, for whoever asks one.
    ("src/kubeconfig", &["tokio", "crate::cli", "crate::cluster", "crate::operator"]),
    ("src/kubeconfig/proxy.rs", &["kube", "std::env", "std::fs"]),
    // What a restore does next is decided by values alone.
    ("src/operator/restore/facts.rs", DECISIONS),
    ("src/operator/restore/plan.rs", DECISIONS),
    ("src/operator/backup/facts.rs", DECISIONS),
    ("src/operator/backup/plan.rs", DECISIONS),
    ("src/operator/schedule/facts.rs", DECISIONS),
    ("src/operator/schedule/plan.rs", DECISIONS),
    (
        // It asks agents, as a client.
        "src/job",
        &["kube", "k8s_openapi", "zookeeper_client", "crate::operator", "crate::plan", "crate::render"],
    ),
    // Nothing pure reaches into a room that does I/O, and only `zk` speaks ZooKeeper's protocol.
    ("src/model", &["crate::operator", "crate::agent", "crate::zk", "crate::http", "crate::plan", "crate::render"]),
    ("src/render", &["crate::operator", "crate::agent", "crate::zk", "crate::http", "crate::plan"]),
    ("src/plan", &["crate::operator", "crate::agent", "crate::zk", "crate::http"]),
    ("src/operator", &["zookeeper_client"]),
    // What all kinds need knows none of them.
    ("src/operator/kit", &["super::ensemble", "crate::operator::ensemble", "crate::zk", "crate::http"]),
    ("src/agent", &["zookeeper_client", "kube", "crate::operator", "crate::plan"]),
];

/// No system, no cluster, and nothing that reads or changes one.
const DECISIONS: &[&str] = &[
    "kube",
    "k8s_openapi",
    "tokio",
    "std::time",
    "std::fs",
    "crate::zk",
    "crate::http",
    "super::observe",
    "super::report",
    "super::watch",
];

/// No system, and no store.
const ARCHIVES: &[&str] =
    &["tokio", "object_store", "std::fs", "std::net", "std::time", "crate::archive", "super::store"];

/// No system, no ensemble, and nothing that reads or changes one.
const RESTORES: &[&str] = &[
    "tokio",
    "futures",
    "zookeeper_client",
    "std::fs",
    "std::net",
    "std::time",
    "rand",
    "crate::zk",
    "crate::cli",
    "crate::restore::apply",
    "crate::restore::command",
    "crate::restore::reader",
    "crate::restore::znodes",
    "zookeeper_files::disk",
];

/// No system, and nothing of the crate that has one.
const FORMATS: &[&str] = &["std::fs", "std::net", "std::time", "std::path", "crate::disk", "crate::index"];

/// Neither a cluster, nor a system, nor any room but the nouns.
const SETTINGS: &[&str] = &[
    "kube",
    "k8s_openapi",
    "tokio",
    "zookeeper_client",
    "axum",
    "hyper",
    "std::fs",
    "std::net",
    "std::time",
    "std::path",
    "rand",
    "crate::agent",
    "crate::api",
    "crate::cli",
    "crate::http",
    "crate::operator",
    "crate::plan",
    "crate::render",
    "crate::zk",
    "crate::model::desired",
    "crate::model::observed",
];

const CLUSTERS: &[&str] = &[
    "kube",
    "k8s_openapi",
    "tokio",
    "zookeeper_client",
    "axum",
    "hyper",
    "std::net",
    "crate::agent",
    "crate::api",
    "crate::http",
    "crate::operator",
    "crate::plan",
    "crate::render",
    "crate::zk",
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    if folder.is_file() {
        return vec![folder.to_owned()];
    }
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// Whether a line uses `name` as a path: `name::…` with no identifier before it.
fn reaches(line: &str, name: &str) -> bool {
    let path = format!("{name}::");
    let code = line.split("//").next().unwrap_or_default();
    // An address is a value: it reaches nobody.
    let code = &code.replace("std::net::IpAddr", "IpAddr");
    code.match_indices(&path)
        .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
}

#[test]
fn pure_rooms_do_not_reach_outside() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for (folder, forbidden) in RULES {
        let files = sources(&root.join(folder));
        assert!(!files.is_empty(), "{folder} is gone: this test looks at nothing");
        for file in files {
            for (number, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
                for name in forbidden.iter().filter(|name| reaches(line, name)) {
                    found.push(format!("{}:{}: {name}", file.strip_prefix(root).unwrap().display(), number + 1));
                }
                if line.contains("async fn")
                    && !matches!(
                        *folder,
                        "src/operator"
                            | "src/operator/kit"
                            | "src/agent"
                            | "src/archive"
                            | "src/restore"
                            | "src/job"
                            | "src/cluster"
                    )
                {
                    found.push(format!("{}:{}: async", file.display(), number + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_guard_sees_a_path_and_not_a_name_that_ends_like_one() {
    assert!(reaches("use std::net::TcpStream;", "std::net") && !reaches("use std::net::IpAddr;", "std::net"));
    assert!(reaches("use tokio::time::timeout;", "tokio") && reaches("    kube::Client::new()", "kube"));
    assert!(
        !reaches("use my_tokio::x;", "tokio")
            && !reaches("// tokio::time", "tokio")
            && !reaches("crate::tokio::x", "tokio")
    );
}
