//! The super user's password: whether there is one, and whether the members can know it yet.
//!
//! Once its kubelet has updated the mounted Secret, an agent reports that its server was started with another password.
//! A user who changes the password and waits for `Ready` must not get it before that.

use super::view::{MemberView, View};
use super::{Reason, Step};

/// Seconds within which a kubelet updates a changed Secret in a pod: it checks each at least once in a minute and a
/// half.
const HEARD: u64 = 120;

/// Replaces a step that would say that all is well.
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
            "the super user's password was changed: waiting for the kubelets to bring it to {}, which are then restarted",
            late.join(", ")
        ),
    ))
}

/// What to do about a Secret without a password.
pub fn lacking(secret: &str) -> String {
    format!(
        "the Secret {secret} has no key 'password', or an empty one: delete the Secret; the operator creates another, and restarts the members one at a time"
    )
}

/// Pods that were started before the change, and whose agents have not noticed it yet.
fn unheard<'a>(view: &View<'a>) -> Vec<&'a str> {
    let seen = view.seen;
    let Some(changed) = seen.password.changed.filter(|changed| seen.now.saturating_sub(*changed) < HEARD) else {
        return Vec::new();
    };
    let silent = |member: &MemberView<'_>| member.report.is_none_or(|truth| truth.disk.outdated.is_none());
    let late = view.pods().filter(|(_, member, pod)| pod.since <= changed && silent(member));
    late.map(|(.., pod)| pod.name.as_str()).collect()
}
