//! The nodes of the members, and volumes that were lost with a node.
//!
//! Invariant: what may not or could not be read is unknown. Only an answer says that a node or a volume is gone.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use futures::future::join_all;
use futures::stream::{self, BoxStream, StreamExt as _};
use k8s_openapi::api::core::v1::{Node, PersistentVolume};
use kube::api::{Api, ListParams};
use kube::runtime::{PredicateConfig, WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use tracing::{debug, info};

use super::Context;
use crate::model::{Fact, NodeFacts, Observation, Seat};
use crate::operator::kit::timeout::within;

/// The taint by which Kubernetes says that a node is shut down and will not come back as it was.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";
const HOSTNAME: &str = "kubernetes.io/hostname";

/// Adds what is known about nodes, and about the volumes of pods that do not run.
pub async fn look(context: &Context, seen: &mut Observation) {
    let names: BTreeSet<String> = seen.pods.values().filter_map(|pod| pod.node.clone()).collect();
    seen.nodes = join_all(names.into_iter().map(|name| node(context, name))).await.into_iter().collect();
    let stopped: Vec<(Seat, String)> = seen
        .pods
        .iter()
        .filter(|(_, pod)| pod.running != Some(true))
        .filter_map(|(seat, _)| Some((*seat, seen.claims.get(seat)?.volume.clone()?)))
        .collect();
    for (seat, volume) in stopped {
        let lost = lost_with_its_node(context, &volume).await;
        if let (Some(claim), Some(lost)) = (seen.claims.get_mut(&seat), lost) {
            claim.lost.get_or_insert(lost);
        }
    }
}

/// Reports when a node is cordoned or tainted, or comes and goes: a drain does not wait for the next regular look. It
/// reports nothing if the operator may not read nodes.
pub async fn changes(client: &Client) -> BoxStream<'static, ()> {
    let nodes: Api<Node> = Api::all(client.clone());
    if let Err(error) = within("list nodes", nodes.list(&ListParams::default().limit(1))).await {
        info!(%error, "nothing is known about nodes: leaders stay on drained nodes, and members of lost nodes are not replaced");
        return stream::pending().boxed();
    }
    let seen = watcher(nodes, watcher::Config::default()).default_backoff().touched_objects();
    // A node's status changes all the time.
    let places = seen.predicate_filter(places, PredicateConfig::default());
    places
        .filter_map(|node| async move {
            node.inspect_err(|error| debug!(%error, "the nodes are not watched")).ok().map(|_| ())
        })
        .boxed()
}

/// What decides whether pods can run on a node.
fn places(node: &Node) -> Option<u64> {
    let spec = node.spec.as_ref()?;
    let taints: Vec<(&str, &str)> =
        spec.taints.iter().flatten().map(|taint| (taint.key.as_str(), taint.effect.as_str())).collect();
    let mut hasher = DefaultHasher::new();
    (spec.unschedulable, taints, node.metadata.deletion_timestamp.is_some()).hash(&mut hasher);
    Some(hasher.finish())
}

async fn node(context: &Context, name: String) -> (String, Fact<NodeFacts>) {
    let api: Api<Node> = Api::all(context.kit.client.clone());
    let fact = match within(format!("read node {name}"), api.get_opt(&name)).await {
        Ok(Some(node)) => Fact::Known(facts(&node)),
        Ok(None) => Fact::Known(NodeFacts { cordoned: false, lost: Some(format!("node {name} was deleted")) }),
        Err(error) => Fact::Unknown(error.to_string()),
    };
    (name, fact)
}

fn facts(node: &Node) -> NodeFacts {
    let spec = node.spec.clone().unwrap_or_default();
    let out = spec.taints.iter().flatten().any(|taint| taint.key == OUT_OF_SERVICE);
    NodeFacts {
        cordoned: spec.unschedulable == Some(true),
        lost: out.then(|| format!("node {} is marked out of service", node.name_any())),
    }
}

/// A volume that only certain nodes can reach, all of which are gone.
async fn lost_with_its_node(context: &Context, volume: &str) -> Option<String> {
    let volumes: Api<PersistentVolume> = Api::all(context.kit.client.clone());
    let found = within(format!("read volume {volume}"), volumes.get_opt(volume)).await;
    let found = found.inspect_err(|error| debug!(%error, "nothing is known about the volume")).ok()??;
    let hosts = hosts(&found)?;
    let nodes: Api<Node> = Api::all(context.kit.client.clone());
    let listed = ListParams::default().labels(&format!("{HOSTNAME} in ({})", hosts.join(",")));
    let left = within("list nodes", nodes.list(&listed)).await;
    let left = left.inspect_err(|error| debug!(%error, "nothing is known about the volume's nodes")).ok()?;
    let gone = left.items.iter().all(|node| facts(node).lost.is_some());
    gone.then(|| format!("its volume {volume} can be reached only from {}, which is gone", hosts.join(", ")))
}

/// The hosts that a volume is bound to, if it is bound to hosts and to nothing else.
fn hosts(volume: &PersistentVolume) -> Option<Vec<String>> {
    let terms = &volume.spec.as_ref()?.node_affinity.as_ref()?.required.as_ref()?.node_selector_terms;
    let mut hosts = BTreeSet::new();
    for term in terms {
        let [expression] = term.match_expressions.as_deref()? else { return None };
        if expression.key != HOSTNAME || expression.operator != "In" {
            return None;
        }
        hosts.extend(expression.values.iter().flatten().cloned());
    }
    (!hosts.is_empty()).then(|| hosts.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn volume(terms: &serde_json::Value) -> PersistentVolume {
        serde_json::from_value(json!({
            "metadata": {"name": "pv"},
            "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}},
        }))
        .unwrap()
    }

    fn on(key: &str, values: &[&str]) -> serde_json::Value {
        json!({"matchExpressions": [{"key": key, "operator": "In", "values": values}]})
    }

    #[test]
    fn only_a_volume_of_certain_hosts_can_be_lost_with_them() {
        assert_eq!(hosts(&volume(&json!([on(HOSTNAME, &["a"])]))), Some(vec!["a".into()]));
        assert_eq!(hosts(&volume(&json!([on(HOSTNAME, &["a"]), on("topology.kubernetes.io/zone", &["z"])]))), None);
        assert_eq!(hosts(&volume(&json!([]))), None);
        assert_eq!(hosts(&PersistentVolume::default()), None);
    }

    #[test]
    fn a_node_is_lost_when_somebody_said_so_and_not_when_it_is_silent() {
        let node = |spec| serde_json::from_value::<Node>(json!({"metadata": {"name": "n"}, "spec": spec})).unwrap();
        let silent = json!({"taints": [{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]});
        assert_eq!(facts(&node(silent)).lost, None);
        let out = json!({"taints": [{"key": OUT_OF_SERVICE, "effect": "NoExecute"}]});
        assert!(facts(&node(out)).lost.is_some());
        assert!(facts(&node(json!({"unschedulable": true}))).cordoned);
    }
}
