//! Whether the Secret of the super user holds a password, and when it last changed. Kubelets bring it to the members
//! within about a minute, and until then only the Secret shows it.
//!
//! The operator reads it once for each version of the Secret, and keeps a hash with a key that this process generated:
//! enough to see a change, and useless to anybody else. After a restart of the operator, a change shows once the
//! members notice it.

use std::hash::{BuildHasher as _, RandomState};

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::Api;
use tracing::debug;

use super::Context;
use crate::model::Observation;
use crate::model::observed::{Kind, Live, ObjectKey, PasswordFacts};
use crate::model::password::PASSWORD_KEY;
use crate::operator::kit::timeout::within;
use crate::zk::ensemble::Password;

/// What is known about one ensemble's Secret.
#[derive(Default)]
pub struct PasswordMemory {
    key: RandomState,
    secret: Option<SecretVersion>,
}

struct SecretVersion {
    version: String,
    hash: Option<u64>,
    changed: Option<u64>,
}

/// Adds it to the observation. If it cannot be read it is unknown, and whoever needs it says so.
pub async fn look(context: &Context, seen: &mut Observation) {
    let name = seen.names.super_secret();
    let key = ObjectKey { kind: Kind::Secret, name: name.clone() };
    let live = seen.objects.get(&key).and_then(Live::held);
    let Some(version) = live.and_then(|live| live["metadata"]["resourceVersion"].as_str()) else { return };
    if let Some(known) = context.memory(&seen.names, |memory| memory.password.of(version)) {
        seen.password = known;
        return;
    }
    let api: Api<Secret> = Api::namespaced(context.kit.client.clone(), &seen.names.namespace);
    match within(format!("read Secret {name}"), api.get(&name)).await {
        Ok(secret) => {
            let version = secret.resource_version().unwrap_or_default();
            let (password, now) = (password_in(secret), seen.now);
            seen.password =
                context.memory(&seen.names, |memory| memory.password.learn(version, password.as_ref(), now));
        }
        Err(error) => debug!(%error, "nothing is known about the super user's password"),
    }
}

/// The password in a Secret, if there is one.
pub fn password_in(secret: Secret) -> Option<Password> {
    Password::of(std::str::from_utf8(&secret.data?.get(PASSWORD_KEY)?.0).ok()?)
}

impl PasswordMemory {
    fn of(&self, version: &str) -> Option<PasswordFacts> {
        self.secret.as_ref().filter(|secret| secret.version == version).map(facts)
    }

    fn learn(&mut self, version: String, password: Option<&Password>, now: u64) -> PasswordFacts {
        let hash = password.map(|password| self.key.hash_one(password.text()));
        let changed = match &self.secret {
            Some(before) if hash.is_some() && before.hash != hash => Some(now),
            Some(before) => before.changed,
            None => None,
        };
        facts(self.secret.insert(SecretVersion { version, hash, changed }))
    }
}

fn facts(secret: &SecretVersion) -> PasswordFacts {
    PasswordFacts { lacking: secret.hash.is_none(), changed: secret.changed }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn learn(known: &mut PasswordMemory, version: &str, password: &str, now: u64) -> PasswordFacts {
        known.learn(version.to_owned(), Password::of(password).as_ref(), now)
    }

    #[test]
    fn a_changed_password_is_known_by_its_time_and_another_label_on_the_secret_is_none() {
        let mut known = PasswordMemory::default();
        assert_eq!(learn(&mut known, "1", "old", 10), PasswordFacts { lacking: false, changed: None });
        assert_eq!(known.of("1"), Some(PasswordFacts::default()));
        assert_eq!(known.of("2"), None, "it has to be read again");
        assert_eq!(learn(&mut known, "2", "old\n", 20).changed, None, "only a label, or the end of a line");
        assert_eq!(learn(&mut known, "3", "new", 30).changed, Some(30));
        assert_eq!(learn(&mut known, "4", "new", 40).changed, Some(30));
    }

    #[test]
    fn an_emptied_password_is_none_and_filled_again_it_is_a_change() {
        let mut known = PasswordMemory::default();
        learn(&mut known, "1", "old", 10);
        assert_eq!(learn(&mut known, "2", "", 20), PasswordFacts { lacking: true, changed: None });
        assert_eq!(learn(&mut known, "3", "new", 30), PasswordFacts { lacking: false, changed: Some(30) });
        let secret = |data: serde_json::Value| {
            let secret = serde_json::from_value(json!({"metadata": {"name": "s"}, "data": data})).unwrap();
            password_in(secret).map(|password| password.text().to_owned())
        };
        assert_eq!(secret(json!({"password": "cHcK"})).as_deref(), Some("pw"));
        for none in [json!({"password": ""}), json!({"other": "cHcK"}), json!({"password": "/w=="}), json!(null)] {
            assert_eq!(secret(none), None);
        }
    }
}
