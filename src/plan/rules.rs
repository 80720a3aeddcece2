//! The planner on one page: the order of the rules.
//!
//! The first rule that has a step decides; the rules after it are not asked. The rules themselves are in the other
//! files. This page says only their order, and what holds if a rule has no step.
//!
//! After both lists, four things can replace the result: a rest becomes a refusal if something is held back or rights
//! could not be taken away, a changed password waits for the kubelets, and taking rights away from everybody comes
//! before anything that only waits. Last of all comes a write for the archive's sake, where there is nothing else to do but wait.

use super::guard;
use super::step::{Reason, Step};
use super::view::View;
use super::{
    departure, drain, failed, heal, held, hindered, membership, mute, objects, origin, password, quorum_view, replace,
    rolling, spec, strangers, version,
};

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// What holds if it has no step.
    pub otherwise: &'static str,
    /// Whether its step changes who votes, or restarts somebody who serves: that waits while znodes are restored.
    held: bool,
    step: fn(&View<'_>) -> Option<Step>,
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

const fn rule(name: &'static str, step: fn(&View<'_>) -> Option<Step>, otherwise: &'static str) -> Rule {
    Rule { name, otherwise, held: false, step }
}

/// A rule whose step waits while znodes are restored.
const fn held(name: &'static str, step: fn(&View<'_>) -> Option<Step>, otherwise: &'static str) -> Rule {
    Rule { held: true, ..rule(name, step, otherwise) }
}

/// What must hold before the membership is considered. A step of one of these rules is taken as it is.
pub const PRECONDITION_RULES: &[Rule] = &[
    rule("spec", spec::invalid, "the spec is valid"),
    rule("names", objects::collision, "no object of others has a name that the ensemble needs"),
    rule("empty-claims", origin::give_up_empty, "no empty claim of an ensemble that was never born can be deleted"),
    rule("claims-that-stay", hindered::claims_that_stay, "no such claim prevents the creation of the StatefulSet"),
    rule("origin", origin::unknown, "all evidence agrees whether the ensemble was born, and who it is"),
    rule("version", version::refusal, "the version may follow the one that ran last"),
    rule("objects", objects::apply, "every object is as it should be, or others prevent it"),
    rule("pruning", objects::give_up_pruning, "nothing deletes from an archive that is to keep all"),
    rule("unread", quorum_view::unread, "the membership of whoever leads can be read"),
    rule("stuck-leader", mute::commits_nothing, "no leader has committed nothing in its epoch"),
    rule(
        "heal",
        heal::heal,
        "no member that does not serve has to be restarted, or it would start from a false charter",
    ),
    rule("charter", hindered::charter_not_written, "members that start find the right charter"),
    rule("first-objects", hindered::unfounded, "no refused object prevents the creation of the StatefulSet"),
    rule("foreign-leader", strangers::led_elsewhere, "no member leads another ensemble"),
    rule("mute-leader", mute::alone, "no leader is alone and accepts no session"),
    rule("tell", objects::tell, "the charter has the membership that a quorum confirmed"),
    rule(
        "untold",
        hindered::membership_not_written,
        "nobody prevents the new membership in the charter, or the old one is good enough",
    ),
    rule("birth", origin::founding, "the ensemble was born"),
];

/// From the current membership to the wanted members. A wait of one of these rules says where it was going.
pub const MEMBERSHIP_RULES: &[Rule] = &[
    rule("set", membership::no_set, "there is a StatefulSet"),
    rule("quorum", membership::without_quorum, "somebody leads, with a majority behind it"),
    rule("foreign-server", strangers::in_the_way, "no server that somebody added is in the way"),
    rule("pods", membership::missing_pods, "every member has its pod"),
    rule("leader-going", drain::relieve, "the leader's pod is not being deleted"),
    rule("denied", rolling::while_denied, "the members let the super user in, or no restart would change that"),
    rule("replace", replace::next, "no member needs a new volume"),
    held("grow", membership::grow, "every wanted member votes, or has to wait for one that leaves"),
    held("last-pod", membership::lower_now, "every pod is a member's, or the last one has to wait"),
    held("leave", membership::leave, "no member is too many, and none is in the way of another"),
    held("last-pod-waits", membership::remove_pod, "every pod is a member's, or the last one cannot be deleted"),
    rule("unused", objects::give_up_unused, "every object is used"),
    rule("controller", objects::taken_in, "the StatefulSet controller has observed the last change"),
    rule("cordoned-leader", drain::hand_over, "the leader's node is not about to be drained"),
    held("roll", rolling::roll, "no member that serves is to be restarted now"),
    rule("synced", quorum_view::everybody, "every voter serves and is synced"),
    rule("kept-pod", membership::kept, "no pod is left that cannot be deleted"),
];

/// A decision, and what the conditions say besides it.
pub struct Decision {
    /// The step.
    pub step: Step,
    /// The rules that were asked before, and had no step.
    pub considered: Vec<&'static Rule>,
    /// Why rights could not be taken away.
    pub unguarded: Option<Reason>,
    /// The step that there would be if no rights were taken away and nothing was written for the archive now.
    pub otherwise: Option<Step>,
}

/// Asks the rules one after the other.
pub fn decide(view: &View<'_>) -> Decision {
    let mut decision = Decision { step: Step::Rest, considered: Vec::new(), unguarded: None, otherwise: None };
    if let Some(step) = ask(PRECONDITION_RULES, view, &mut decision.considered) {
        return Decision { step, ..decision };
    }
    let asked = ask(MEMBERSHIP_RULES, view, &mut decision.considered).unwrap_or(Step::Rest);
    let step = going_where(view, asked);
    let (Some(desired), Ok(origin)) = (view.desired, view.origin()) else { return Decision { step, ..decision } };
    decision.unguarded = guard::refused(view.seen, desired, &origin.identity);
    let lacking = || hindered::lacking(&view.held()).or_else(|| decision.unguarded.clone());
    let step = match step {
        Step::Rest => lacking().map_or_else(|| password::instead(Step::Rest, view), Step::Refuse),
        step => step,
    };
    match guard::instead(&step, view, desired, &origin.identity) {
        Some(guard) => Decision { step: Step::Guard(guard), otherwise: Some(step), ..decision },
        None => match held::instead(&step, view) {
            Some(prove) => Decision { step: Step::Prove(prove), otherwise: Some(step), ..decision },
            None => Decision { step, ..decision },
        },
    }
}

fn ask(rules: &'static [Rule], view: &View<'_>, considered: &mut Vec<&'static Rule>) -> Option<Step> {
    for rule in rules {
        if let Some(step) = (rule.step)(view) {
            // Whoever joins is a copy more: a leader that gave up its seat is not left without it.
            let passes = matches!(step, Step::Wait(_) | Step::Join { .. });
            let instead = view.seen.restoring.as_ref().filter(|_| rule.held && !passes);
            return Some(instead.map_or(step, |restore| Step::Wait(restoring(view, restore))));
        }
        considered.push(rule);
    }
    None
}

/// One thing at a time: a restore ends by itself, within its `deadlineSeconds`.
fn restoring(view: &View<'_>, restore: &str) -> Reason {
    let namespace = &view.seen.names.namespace;
    Reason::new(
        "Restoring",
        format!(
            "members stay as they are while ZooKeeperRestore {restore} changes znodes; to give that up: kubectl -n {namespace} delete zkr {restore}"
        ),
    )
}

/// A wait on the way to another number of voters says which way that is, and what would help.
fn going_where(view: &View<'_>, step: Step) -> Step {
    let (Step::Wait(reason), Some(desired)) = (&step, view.desired) else { return step };
    let wanted = desired.replicas;
    let Reason { code, message } = failed::failed(view).unwrap_or_else(|| reason.clone());
    let way_out = departure::way_out(view, wanted).map(|out| format!("; {out}")).unwrap_or_default();
    let membership = view.committed().cloned().or_else(|| view.seen.noted_membership());
    let voters = membership.map(|membership| u32::try_from(membership.voters().count()).unwrap_or(u32::MAX));
    let way = match voters {
        Some(voters) if voters != wanted => format!("going from {voters} to {wanted} voters: "),
        _ => String::new(),
    };
    Step::Wait(Reason::new(code, format!("{way}{message}{way_out}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_a_name_of_its_own_and_a_sentence() {
        let rules: Vec<&Rule> = PRECONDITION_RULES.iter().chain(MEMBERSHIP_RULES).collect();
        for (at, rule) in rules.iter().enumerate() {
            assert!(rules[..at].iter().all(|other| other.name != rule.name), "{} stands twice", rule.name);
            assert!(rule.otherwise.contains(' ') && !rule.otherwise.ends_with('.'), "{}", rule.otherwise);
        }
    }
}
