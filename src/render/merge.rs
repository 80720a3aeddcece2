//! Strategic merge, as `kubectl` and the API server do it for pods: objects by field, lists of named items by name.

use serde_json::Value;

/// Lists that are merged by a key, and the key. Every other list is replaced.
const MERGE_KEYS: &[(&str, &str)] = &[
    ("containers", "name"),
    ("initContainers", "name"),
    ("volumes", "name"),
    ("env", "name"),
    ("imagePullSecrets", "name"),
    ("ports", "containerPort"),
    ("volumeMounts", "mountPath"),
    ("volumeDevices", "devicePath"),
    ("hostAliases", "ip"),
    // Of `dnsConfig`. Kubernetes replaces them: one option of the user's would drop `ndots`, and nobody would see it.
    ("options", "name"),
];

/// Adds the fields of `patch` to `base`; objects are merged, everything else is replaced.
pub fn fold(base: &mut Value, patch: Value) {
    match (base, patch) {
        (Value::Object(base), Value::Object(patch)) => {
            for (key, value) in patch {
                fold(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, patch) => *base = patch,
    }
}

/// Merges `patch` over `base` strategically. Fields that the patch does not name, or that are null in it, stay.
pub fn strategic(base: &mut Value, patch: &Value) {
    if !patch.is_null() {
        merge(base, patch, None);
    }
}

fn merge(base: &mut Value, patch: &Value, key: Option<&str>) {
    match (base, patch) {
        (Value::Object(base), Value::Object(patch)) => {
            for (field, value) in patch.iter().filter(|(_, value)| !value.is_null()) {
                let slot = base.entry(field.clone()).or_insert(Value::Null);
                // The members of a map of strings are data, not fields: a label named `ports` is no list.
                merge(slot, value, MERGE_KEYS.iter().find(|(list, _)| list == field).map(|(_, key)| *key));
            }
        }
        (Value::Array(base), Value::Array(patch)) if key.is_some() => {
            for item in patch {
                merge_item(base, item, key.unwrap_or_default());
            }
        }
        (base, patch) => *base = patch.clone(),
    }
}

fn merge_item(base: &mut Vec<Value>, item: &Value, key: &str) {
    match base.iter_mut().find(|other| !item[key].is_null() && other[key] == item[key]) {
        Some(other) => merge(other, item, None),
        None => base.push(item.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn merged(mut base: Value, patch: &Value) -> Value {
        strategic(&mut base, patch);
        base
    }

    #[test]
    fn containers_are_merged_by_name_and_new_ones_come_after() {
        let base = json!({"containers": [{"name": "zookeeper", "image": "z", "env": [{"name": "A", "value": "1"}]}]});
        let patch = json!({"containers": [
            {"name": "exporter", "image": "e"},
            {"name": "zookeeper", "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "3"}]},
        ]});
        assert_eq!(
            merged(base, &patch),
            json!({"containers": [
                {"name": "zookeeper", "image": "z", "env": [{"name": "A", "value": "3"}, {"name": "B", "value": "2"}]},
                {"name": "exporter", "image": "e"},
            ]})
        );
    }

    #[test]
    fn an_option_of_dns_is_added_to_those_that_are_there_and_one_of_the_same_name_takes_its_place() {
        let options = |options: &Value| json!({"dnsConfig": {"options": options}});
        let base = options(&json!([{"name": "ndots", "value": "4"}]));
        let (timeout, ndots) = (json!({"name": "timeout", "value": "1"}), json!({"name": "ndots", "value": "2"}));
        assert_eq!(
            merged(base.clone(), &options(&json!([timeout, {"name": "use-vc"}]))),
            options(&json!([{"name": "ndots", "value": "4"}, timeout, {"name": "use-vc"}]))
        );
        assert_eq!(merged(base, &options(&json!([ndots]))), options(&json!([ndots])));
    }

    #[test]
    fn lists_without_names_are_replaced_and_nothing_unnamed_is_lost() {
        let base = json!({"tolerations": [{"key": "a"}], "securityContext": {"runAsUser": 1000, "fsGroup": 1000}});
        let patch = json!({"tolerations": [{"key": "b"}], "securityContext": {"runAsUser": 7}, "nodeSelector": null});
        assert_eq!(
            merged(base, &patch),
            json!({"tolerations": [{"key": "b"}], "securityContext": {"runAsUser": 7, "fsGroup": 1000}})
        );
    }

    #[test]
    fn merging_nothing_changes_nothing() {
        let base = json!({"containers": [{"name": "zookeeper"}]});
        assert_eq!(merged(base.clone(), &Value::Null), base);
        assert_eq!(merged(base.clone(), &json!({})), base);
    }
}
