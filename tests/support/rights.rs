//! What the chart lets the operator do (`deploy/menagerie.yaml` is the chart as it is rendered by default): a step that takes
//! a right which nobody gave is refused for ever, and no test without an API server would notice.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use menagerie::model::observed::Kind;
use menagerie::plan::{Operation, Write};
use serde_json::Value;

static RULES: LazyLock<BTreeSet<(String, String)>> = LazyLock::new(|| {
    let yaml = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/menagerie.yaml"));
    let objects: Vec<Value> = serde_saphyr::from_multiple(yaml).expect("the chart renders YAML");
    let role =
        objects.iter().find(|object| object["kind"] == "ClusterRole" && object["metadata"]["name"] == "menagerie");
    let rules = role.and_then(|role| role["rules"].as_array()).expect("the operator has a role");
    let words = |rule: &Value, field: &str| -> Vec<String> {
        rule[field].as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
    };
    let pairs = |rule: &Value| -> Vec<(String, String)> {
        let (resources, verbs) = (words(rule, "resources"), words(rule, "verbs"));
        resources.iter().flat_map(|of| verbs.iter().map(move |verb| (of.clone(), verb.clone()))).collect()
    };
    rules.iter().flat_map(pairs).collect()
});

pub fn may(kind: Kind, verb: &str) -> bool {
    RULES.contains(&(kind.resource().plural.to_owned(), verb.to_owned()))
}

/// What a operation asks the API server for, as `operator::ensemble::act` does it.
fn taken(operation: &Operation) -> Vec<(Kind, &'static str)> {
    match operation {
        Operation::Write(Write::Apply { object, uid: Some(_) }) => vec![(object.key.kind, "patch")],
        // Server-side apply of what is not there yet takes both.
        Operation::Write(Write::Apply { object, uid: None }) => {
            vec![(object.key.kind, "patch"), (object.key.kind, "create")]
        }
        Operation::Write(Write::CreateSecret { object, .. }) => vec![(object.key.kind, "create")],
        Operation::Delete(target) => vec![(target.key.kind, "delete")],
        Operation::Resize(resize) => vec![(resize.object.key.kind, "patch")],
        Operation::LookAgain | Operation::Confirm { .. } | Operation::Reconfig { .. } | Operation::Guard(_) => {
            Vec::new()
        }
    }
}

/// Nothing is asked for that the chart gives no right to.
pub fn granted(operations: &[Operation]) {
    for (kind, verb) in operations.iter().flat_map(taken) {
        assert!(may(kind, verb), "the chart does not let the operator {verb} {}", kind.resource().plural);
    }
}
