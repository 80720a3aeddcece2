//! Checks every quantity in a spec. The API server accepts any text as a quantity in a custom resource, and then
//! refuses the object that gets it: the `StatefulSet` could not be written any more.
//!
//! Memory also has a minimum: `512` is 512 bytes and `768m` is three quarters of one, and pods with such a limit never
//! start.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, DownwardAPIVolumeFile, ResourceRequirements, Volume};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::invalid::Invalid;
use super::quantity;
use crate::api::{PodTemplate, ZooKeeperEnsembleSpec};

const MIB: u64 = 1 << 20;
/// The smallest limit with which a JVM with a server in it starts at all. Whether it bears load, `TightMemory` says.
const LEAST_SERVER_MIB: u64 = 64;
/// An agent at rest has some 10 MiB.
const LEAST_AGENT_MIB: u64 = 16;
/// What deletes from an archive holds its list.
const LEAST_PRUNE_MIB: u64 = 64;

type Amounts = BTreeMap<String, Quantity>;

/// What is wrong with any of them, except those of `jvm` and `storage`, which have rules of their own.
pub fn faults(spec: &ZooKeeperEnsembleSpec) -> Vec<Invalid> {
    let mut faults = Vec::new();
    let own = [
        ("resources", spec.resources.as_ref(), "a server", LEAST_SERVER_MIB),
        (
            "agent.resources",
            spec.agent.as_ref().and_then(|agent| agent.resources.as_ref()),
            "an agent",
            LEAST_AGENT_MIB,
        ),
        ("archive.retention.resources", retention(spec), "what deletes from an archive", LEAST_PRUNE_MIB),
    ];
    for (field, resources, who, least) in own {
        let invalid = |reason| Invalid { field, reason };
        let Some(resources) = resources else { continue };
        faults.extend(of_resources(resources).filter_map(|(place, text)| unsound(&place, text)).map(invalid));
        let limit = resources.limits.as_ref().and_then(|limits| limits.get("memory"));
        let limit = limit.filter(|Quantity(limit)| unsound("", limit).is_none());
        faults.extend(limit.and_then(|Quantity(limit)| too_little(limit, who, least)).map(invalid));
    }
    let template = spec.pod_template.iter().flat_map(of_template);
    let unsound = template.filter_map(|(place, text)| unsound(&place, &text));
    faults.extend(unsound.map(|reason| Invalid { field: "podTemplate", reason }));
    faults
}

fn retention(spec: &ZooKeeperEnsembleSpec) -> Option<&ResourceRequirements> {
    spec.archive.as_ref()?.retention.as_ref()?.resources.as_ref()
}

fn unsound(place: &str, text: &str) -> Option<String> {
    match quantity::milli(text) {
        Some(0..) => None,
        Some(_) => Some(format!("{place} {text:?} is negative")),
        None => Some(format!("{place} {text:?} is not a quantity such as 500m, 2 or 512Mi")),
    }
}

/// Why nothing can run with a memory limit, and what was probably meant.
fn too_little(limit: &str, who: &str, least: u64) -> Option<String> {
    let bytes = quantity::bytes(limit).unwrap_or_default();
    if bytes >= least * MIB {
        return None;
    }
    let number = limit.trim_end_matches('m');
    let small = number.bytes().all(|byte| byte.is_ascii_digit()) && number.bytes().any(|byte| byte != b'0');
    let unit = match limit.len() - number.len() {
        0 if small => format!(", since a number without a unit is bytes (did you mean {number}Mi?)"),
        1 if small => format!(", since m is a thousandth of a byte (did you mean {number}Mi?)"),
        _ => String::new(),
    };
    Some(format!("limits.memory {limit:?} is {bytes} bytes{unit}: {who} needs at least {least}Mi to run"))
}

fn of_resources(resources: &ResourceRequirements) -> impl Iterator<Item = (String, &str)> {
    both(resources.limits.as_ref(), resources.requests.as_ref())
}

fn both<'a>(limits: Option<&'a Amounts>, requests: Option<&'a Amounts>) -> impl Iterator<Item = (String, &'a str)> {
    let listed = |part: &'static str, amounts: Option<&'a Amounts>| {
        amounts.into_iter().flatten().map(move |(name, amount)| (format!("{part}.{name}"), amount.0.as_str()))
    };
    listed("limits", limits).chain(listed("requests", requests))
}

/// Where in the template, and the text.
fn of_template(template: &PodTemplate) -> Vec<(String, String)> {
    let Some(spec) = &template.spec else { return Vec::new() };
    let containers = spec.containers.iter().flatten().map(|container| ("containers", container));
    let first = spec.init_containers.iter().flatten().map(|container| ("initContainers", container));
    let mut found = Vec::new();
    for (list, container) in containers.chain(first) {
        of_container(&format!("{list}.{}", container.name), container, &mut found);
    }
    for volume in spec.volumes.iter().flatten() {
        of_volume(&format!("volumes.{}", volume.name), volume, &mut found);
    }
    found
}

fn of_container(at: &str, container: &Container, found: &mut Vec<(String, String)>) {
    let resources = container.resources.iter().flat_map(of_resources);
    found.extend(resources.map(|(place, text)| (format!("{at}.resources.{place}"), text.to_owned())));
    for variable in container.env.iter().flatten() {
        let source = variable.value_from.as_ref().and_then(|from| from.resource_field_ref.as_ref());
        if let Some(Quantity(divisor)) = source.and_then(|source| source.divisor.as_ref()) {
            found.push((format!("{at}.env.{}", variable.name), divisor.clone()));
        }
    }
}

fn of_volume(at: &str, volume: &Volume, found: &mut Vec<(String, String)>) {
    if let Some(Quantity(limit)) = volume.empty_dir.as_ref().and_then(|folder| folder.size_limit.as_ref()) {
        found.push((format!("{at}.emptyDir.sizeLimit"), limit.clone()));
    }
    let claim = volume.ephemeral.as_ref().and_then(|ephemeral| ephemeral.volume_claim_template.as_ref());
    if let Some(resources) = claim.and_then(|claim| claim.spec.resources.as_ref()) {
        let amounts = both(resources.limits.as_ref(), resources.requests.as_ref());
        found.extend(amounts.map(|(place, text)| (format!("{at}.ephemeral.{place}"), text.to_owned())));
    }
    let projected = volume.projected.iter().flat_map(|volume| volume.sources.iter().flatten());
    let projected = projected.filter_map(|source| source.downward_api.as_ref()?.items.as_ref());
    let items = volume.downward_api.iter().filter_map(|volume| volume.items.as_ref()).chain(projected);
    let divisor = |item: &DownwardAPIVolumeFile| item.resource_field_ref.as_ref()?.divisor.clone();
    let divisors = items.flatten().filter_map(divisor);
    found.extend(divisors.map(|Quantity(divisor)| (format!("{at}.downwardAPI"), divisor)));
}
