//! Whether the Secret of the super user holds a password, and when another one came into it. Kubelets bring it to the members
//! within a minute or so, and until then nobody but the Secret knows.
//!
//! It is read once for each version of the Secret, and what stays of it is a hash under a key that this process made up: enough
//! to see a change, and nothing to anybody. After a restart of the operator a change shows when the members hear of it.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::Api;
use tracing::debug;

use super::Context;
use crate::model::observed::{Kind, Live, ObjectKey, PasswordFacts};
use crate::model::password::PASSWORD_KEY;
use crate::model::{Names, Observation};
use crate::operator::kit::timeout::within;
use crate::zk::ensemble::Password;

#[derive(Clone, Debug)]
struct Known {
    version: String,
    hash: Option<u64>,
    changed: Option<u64>,
}

/// What is known of the Secrets of all ensembles.
#[derive(Default)]
pub struct Passwords {
    key: RandomState,
    known: Mutex<HashMap<(String, String), Known>>,
}

/// Adds it to what was seen. What cannot be read is not known, and said by whatever needs it.
pub async fn look(context: &Context, seen: &mut Observation) {
    let name = seen.names.super_secret();
    let key = ObjectKey { kind: Kind::Secret, name: name.clone() };
    let live = seen.objects.get(&key).and_then(Live::held);
    let Some(version) = live.and_then(|live| live["metadata"]["resourceVersion"].as_str()) else { return };
    let known = context.passwords.of(&seen.names, version);
    if let Some(known) = known {
        seen.password = known;
        return;
    }
    let api: Api<Secret> = Api::namespaced(context.client.clone(), &seen.names.namespace);
    match within(format!("read Secret {name}"), api.get(&name)).await {
        Ok(secret) => {
            let version = secret.resource_version().unwrap_or_default();
            seen.password = context.passwords.learn(&seen.names, version, password_in(secret).as_ref(), seen.now);
        }
        Err(error) => debug!(%error, "nothing is known of the super user's password"),
    }
}

/// The password in a Secret, if there is one.
pub fn password_in(secret: Secret) -> Option<Password> {
    Password::of(std::str::from_utf8(&secret.data?.get(PASSWORD_KEY)?.0).ok()?)
}

impl Passwords {
    fn of(&self, names: &Names, version: &str) -> Option<PasswordFacts> {
        self.known().get(&names.key()).filter(|known| known.version == version).map(facts)
    }

    fn learn(&self, names: &Names, version: String, password: Option<&Password>, now: u64) -> PasswordFacts {
        let hash = password.map(|password| self.key.hash_one(password.text()));
        let mut all = self.known();
        let changed = match all.get(&names.key()) {
            Some(before) if hash.is_some() && before.hash != hash => Some(now),
            Some(before) => before.changed,
            None => None,
        };
        let known = Known { version, hash, changed };
        let facts = facts(&known);
        all.insert(names.key(), known);
        facts
    }

    /// The ensemble is gone.
    pub fn forget(&self, namespace: &str, ensemble: &str) {
        self.known().remove(&(namespace.to_owned(), ensemble.to_owned()));
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(String, String), Known>> {
        // A panic while the lock was held costs at worst one more look.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn facts(known: &Known) -> PasswordFacts {
    PasswordFacts { lacking: known.hash.is_none(), changed: known.changed }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names() -> Names {
        Names { ensemble: "zk".into(), namespace: "ns".into(), domain: "cluster.local".into() }
    }

    fn learn(passwords: &Passwords, version: &str, password: &str, now: u64) -> PasswordFacts {
        passwords.learn(&names(), version.to_owned(), Password::of(password).as_ref(), now)
    }

    #[test]
    fn a_changed_password_is_known_by_its_time_and_another_label_on_the_secret_is_none() {
        let passwords = Passwords::default();
        assert_eq!(learn(&passwords, "1", "old", 10), PasswordFacts { lacking: false, changed: None });
        assert_eq!(passwords.of(&names(), "1"), Some(PasswordFacts::default()));
        assert_eq!(passwords.of(&names(), "2"), None, "it has to be read again");
        assert_eq!(learn(&passwords, "2", "old\n", 20).changed, None, "only a label, or the end of a line");
        assert_eq!(learn(&passwords, "3", "new", 30).changed, Some(30));
        assert_eq!(learn(&passwords, "4", "new", 40).changed, Some(30));
        passwords.forget("ns", "zk");
        assert_eq!(passwords.of(&names(), "4"), None);
    }

    #[test]
    fn an_emptied_password_is_none_and_filled_again_it_is_a_change() {
        let passwords = Passwords::default();
        learn(&passwords, "1", "old", 10);
        assert_eq!(learn(&passwords, "2", "", 20), PasswordFacts { lacking: true, changed: None });
        assert_eq!(learn(&passwords, "3", "new", 30), PasswordFacts { lacking: false, changed: Some(30) });
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
