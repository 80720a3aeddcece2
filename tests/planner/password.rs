//! The super user's password, changed or emptied by somebody: said before the members can have heard of it.

use menagerie::model::observed::PasswordFacts;
use menagerie::model::truth::PASSWORD_CHANGED;
use menagerie::model::{Fact, Observation, ServerId};
use menagerie::plan::{ConditionStatus, Plan, Step, plan};

use super::scenarios::settled;

fn ready(plan: &Plan) -> (ConditionStatus, &str) {
    let condition = plan.conditions.iter().find(|condition| condition.name == "Ready").unwrap();
    (condition.status, condition.reason)
}

fn with(password: PasswordFacts) -> Observation {
    Observation { password, ..settled(3).seen() }
}

#[test]
fn an_ensemble_is_not_ready_from_a_change_of_the_password_until_its_members_have_heard_of_it() {
    let now = settled(3).seen().now;
    let changed = |seconds: u64| with(PasswordFacts { lacking: false, changed: Some(now - seconds) });
    let mut seen = changed(1);
    let told = plan(&seen);
    let Step::Wait(reason) = &told.step else { panic!("{:?}", told.step) };
    assert!(
        reason.message.contains("password was changed") && reason.message.contains("zk-0, zk-1, zk-2"),
        "{reason:?}"
    );
    assert_eq!(ready(&told), (ConditionStatus::False, "Applying"));
    // Whoever was started since knows the new one.
    for pod in seen.pods.values_mut() {
        pod.since = now;
    }
    assert_eq!(ready(&plan(&seen)), (ConditionStatus::True, "Ready"));
    // The agents say that it is the old one after all, or a kubelet never brought another: somebody put it back.
    assert_eq!(ready(&plan(&changed(120))), (ConditionStatus::True, "Ready"));
}

#[test]
fn members_that_have_heard_of_the_new_password_are_restarted_and_not_waited_for() {
    let now = settled(3).seen().now;
    let mut seen = with(PasswordFacts { lacking: false, changed: Some(now - 31) });
    for id in 1..=3 {
        let Some(Fact::Known(truth)) = seen.members.get_mut(&ServerId(id)) else { panic!("it does not answer") };
        truth.disk.outdated = Some(PASSWORD_CHANGED.to_owned());
    }
    assert!(matches!(plan(&seen).step, Step::Restart(_) | Step::Leave { .. }));
}

#[test]
fn an_emptied_password_is_said_and_stops_nobody() {
    let told = plan(&with(PasswordFacts { lacking: true, changed: None }));
    assert!(matches!(&told.step, Step::Refuse(reason) if reason.message.contains("zk-super")), "{:?}", told.step);
    assert_eq!(ready(&told), (ConditionStatus::False, "StepNotTaken"));
    let degraded = told.conditions.iter().find(|condition| condition.name == "Degraded").unwrap();
    assert_eq!((degraded.status, degraded.reason), (ConditionStatus::True, "StepNotTaken"));
}
