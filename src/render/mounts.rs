//! What a pod mounts to reach an archive.
//!
//! Invariant: all of it is optional. The pod starts without it as well, and says what is missing: a kubelet says it in an Event alone.

use serde_json::{Value, json};

use crate::model::archive::{ArchiveMounts, CA_FILE, CaObject, CaSource};

/// A volume and where a container has it.
pub(super) struct Mount {
    pub volume: Value,
    pub mount: Value,
}

/// Where a pod has what it mounts: the names of its volumes, and its folders.
pub(super) struct At {
    /// For the credentials.
    pub secret: (&'static str, &'static str),
    /// For the certificates of CAs.
    pub ca: (&'static str, &'static str),
    /// For the keys with which we encrypt: in it each Secret has a folder of its name. What runs with an older one has none of the newer
    /// one's, and takes no key for another.
    pub keys: (&'static str, &'static str),
}

impl At {
    /// What a pod mounts.
    pub fn mounts(&self, mounts: &ArchiveMounts) -> Vec<Mount> {
        let ArchiveMounts { secret, ca, keys } = mounts;
        let whole = |name: &str, folder: &str, secret: &String| {
            let volume =
                json!({"name": name, "secret": {"secretName": secret, "defaultMode": 0o440, "optional": true}});
            Mount { volume, mount: json!({"name": name, "mountPath": folder, "readOnly": true}) }
        };
        let secret = secret.as_ref().map(|secret| whole(self.secret.0, self.secret.1, secret));
        let keys = keys.as_ref().map(|keys| whole(self.keys.0, &format!("{}/{keys}", self.keys.1), keys));
        let ca = ca.as_ref().map(|ca| {
            let mut volume = json!({"name": self.ca.0});
            let (kind, source) = source(ca);
            volume[kind] = source;
            Mount { volume, mount: json!({"name": self.ca.0, "mountPath": self.ca.1, "readOnly": true}) }
        });
        secret.into_iter().chain(ca).chain(keys).collect()
    }
}

/// The one key alone: the rest of the object is none of the pod's business.
fn source(ca: &CaSource) -> (&'static str, Value) {
    let items = json!([{"key": ca.key, "path": CA_FILE}]);
    match &ca.object {
        CaObject::ConfigMap(name) => ("configMap", json!({"name": name, "items": items, "optional": true})),
        CaObject::Secret(name) => {
            ("secret", json!({"secretName": name, "items": items, "defaultMode": 0o440, "optional": true}))
        }
    }
}
