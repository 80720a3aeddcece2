//! The super user's password: whether there is one, and whether the members can have heard of it.
//!
//! An agent tells that its server knows another one than the Secret holds, once its kubelet has brought that to it. Who
//! changes the password and waits for `Ready` must not be answered in between.

use super::view::{Row, View};
use super::{Reason, Step};

/// Seconds within which a kubelet brings a changed Secret to a pod: it looks at each once a minute and a half at most.
const HEARD: u64 = 120;

/// In the place of a step that would call everything well.
pub fn instead(step: Step, view: &View<'_>) -> Step {
    let seen = view.seen;
    if step != Step::Rest {
        return step;
    }
    if seen.password.lacking {
        return Step::Refuse(Reason::new("StepNotTaken", lacking(&seen.names.super_secret())));
    }
    let late = unheard(view);
    if late.is_empty() {
        return step;
    }
    Step::Wait(Reason::new(
        "Applying",
        format!(
            "the super user's password was changed: waiting for the kubelets to bring it to {}, which are restarted then",
            late.join(", ")
        ),
    ))
}

/// What to do about a Secret without a password.
pub fn lacking(secret: &str) -> String {
    format!(
        "the Secret {secret} has no key 'password', or nothing in it: delete it; another is made, and the members are restarted in turn"
    )
}

/// Pods that were started before the change, and whose agents do not know of it yet.
fn unheard<'a>(view: &View<'a>) -> Vec<&'a str> {
    let seen = view.seen;
    let Some(changed) = seen.password.changed.filter(|changed| seen.now.saturating_sub(*changed) < HEARD) else {
        return Vec::new();
    };
    let silent = |row: &Row<'_>| row.report.is_none_or(|truth| truth.disk.outdated.is_none());
    let late = view.pods().filter(|(_, row, pod)| pod.since <= changed && silent(row));
    late.map(|(.., pod)| pod.name.as_str()).collect()
}
