//! What users may change about the members' pods. `render::merge` merges these changes over the rendered pod, as
//! Kubernetes does with a strategic merge patch.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, Container, HostAlias, PodDNSConfig, PodSecurityContext, Toleration, TopologySpreadConstraint, Volume,
};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Changes to the members' pods: what is named here is merged over what the operator renders.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodTemplate {
    /// Labels and annotations to add.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<PodTemplateMetadata>,
    /// Scheduling, security, further containers and volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<PodTemplateSpec>,
}

/// Labels and annotations to add to each pod.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodTemplateMetadata {
    /// Labels. Those of the operator cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = kube::core::Rule::new("self.all(k, !k.startsWith('menagerie.dev/') && !(k in ['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/managed-by']))")
        .message("podTemplate.metadata.labels must not set the operator's own labels: the pods are selected by them"))]
    pub labels: Option<BTreeMap<String, String>>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = kube::core::Rule::new("self.all(k, !k.startsWith('menagerie.dev/'))")
        .message("podTemplate.metadata.annotations must not set menagerie.dev/ annotations"))]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// The part of a pod's spec that users may change, in Kubernetes' own words.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodTemplateSpec {
    /// To nodes and pods. To or away from pods, it replaces the default spreading over nodes and zones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Further containers; `zookeeper` names the server's own, to which env, mounts and the like are added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    #[x_kube(
        validation = kube::core::Rule::new("self.all(c, c.name != 'zookeeper' || !(has(c.image) || has(c.command) || has(c.args) || has(c.resources)))")
            .message("podTemplate must not set image, command, args or resources of the zookeeper container: use image, jvm and resources of the ensemble"),
        validation = kube::core::Rule::new("self.all(c, c.name != 'zookeeper' || !(has(c.startupProbe) || has(c.livenessProbe) || has(c.readinessProbe) || has(c.lifecycle)))")
            .message("podTemplate must not set probes or lifecycle hooks of the zookeeper container: the agent answers for it"),
        validation = kube::core::Rule::new("self.all(c, !(c.name in ['prepare', 'agent']))")
            .message("podTemplate must not name a container 'prepare' or 'agent': these are the operator's own, and agent.resources sets their resources")
    )]
    pub containers: Option<Vec<Container>>,
    /// DNS settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_config: Option<PodDNSConfig>,
    /// Further lines of /etc/hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_aliases: Option<Vec<HostAlias>>,
    /// Further init containers; they run before the operator's own, which is the last before the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = kube::core::Rule::new("self.all(c, !(c.name in ['prepare', 'agent']))")
        .message("podTemplate must not name an init container 'prepare' or 'agent': these are the operator's own, and agent.resources sets their resources"))]
    pub init_containers: Option<Vec<Container>>,
    /// Node labels to require.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<BTreeMap<String, String>>,
    /// Priority class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
    /// Runtime class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_class_name: Option<String>,
    /// Scheduler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler_name: Option<String>,
    /// Security settings of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<PodSecurityContext>,
    /// Seconds that a member has to stop. Default: 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub termination_grace_period_seconds: Option<i64>,
    /// Tolerations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerations: Option<Vec<Toleration>>,
    /// Replaces the default spreading over nodes and zones, unless it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology_spread_constraints: Option<Vec<TopologySpreadConstraint>>,
    /// Further volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = kube::core::Rule::new("self.all(v, !(v.name in ['data', 'seed', 'super', 'logs', 'tmp', 'script-config']))")
        .message("podTemplate must not change the volumes data, seed, super, logs, tmp and script-config: these are the operator's own"))]
    pub volumes: Option<Vec<Volume>>,
}
