//! The server that starts from a backup, beside the Job's own container: the ensemble's image, on loopback, with the memory of a member.

use serde_json::{Value, json};

use super::pod::restricted;
use crate::api::PullPolicy;
use crate::model::layout::{TRIAL_CONFIG, TRIAL_DIR, TRIAL_FLAGS, TRIAL_OUTPUT};

/// A member's server.
#[derive(Clone, Debug, Default)]
pub struct TrialServer {
    /// The image.
    pub image: String,
    /// Its pull policy.
    pub pull_policy: Option<PullPolicy>,
    /// Its resources.
    pub resources: Value,
    /// Its heap, in MiB.
    pub heap_mib: u64,
}

/// The container. It is a sidecar: it runs beside the Job's own, and ends with that, however that ends.
pub(super) fn container(server: &TrialServer) -> Value {
    let TrialServer { image, pull_policy, resources, heap_mib } = server;
    let flags = format!("-Xmx{heap_mib}m {}", TRIAL_FLAGS.join(" "));
    // Process 1 is not ended by a signal that it does not handle.
    let wait = format!(
        "trap 'exit 0' TERM; until [ -e {TRIAL_DIR}/{TRIAL_CONFIG} ]; do sleep 1 & wait $!; done; exec zkServer.sh start-foreground {TRIAL_DIR}/{TRIAL_CONFIG} >> {TRIAL_DIR}/{TRIAL_OUTPUT} 2>&1"
    );
    let mut container = json!({
        "name": "zookeeper",
        "image": image,
        "restartPolicy": "Always",
        "command": ["sh", "-c", wait],
        "env": [
            {"name": "JMXDISABLE", "value": "true"},
            {"name": "ZOO_LOG_DIR", "value": "/tmp"},
            {"name": "SERVER_JVMFLAGS", "value": flags},
        ],
        "securityContext": restricted(),
        "volumeMounts": [{"name": "trial", "mountPath": TRIAL_DIR}, {"name": "tmp", "mountPath": "/tmp"}],
    });
    if !resources.is_null() {
        container["resources"] = resources.clone();
    }
    if let Some(policy) = pull_policy {
        container["imagePullPolicy"] = json!(policy.as_str());
    }
    container
}
