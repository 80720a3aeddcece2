//! The planner on one page: which rule comes before which.
//!
//! The first rule that asks for a step decides; those behind it are not asked. Each rule stands with its kind: this page says
//! only in which order, and what is so when one asks for nothing.

use super::guard::{self, Guard};
use super::step::{Reason, Step};
use super::view::View;
use super::{
    departure, drain, failed, heal, hindered, membership, mute, objects, origin, password, replace, rolling, strangers,
    version,
};

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// What is so when it asks for nothing.
    pub otherwise: &'static str,
    step: fn(&View<'_>) -> Option<Step>,
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

const fn rule(name: &'static str, step: fn(&View<'_>) -> Option<Step>, otherwise: &'static str) -> Rule {
    Rule { name, otherwise, step }
}

/// What has to be so before the membership is looked at. A step of one of these is taken as it is.
pub const GROUND: &[Rule] = &[
    rule("spec", invalid_spec, "the spec is valid"),
    rule("names", names_taken, "no object of somebody else bears a name that is needed"),
    rule("empty-claims", empty_claims, "no empty claim of an ensemble that was never born can go"),
    rule("claims-that-stay", claims_that_stay, "no such claim keeps the StatefulSet from being made"),
    rule("origin", origin_unknown, "all evidence agrees whether the ensemble was born, and who it is"),
    rule("version", version_refused, "the version may follow the one that ran last"),
    rule("objects", apply, "every object is as it should be, or is held back by somebody else"),
    rule(
        "heal",
        heal_members,
        "no member that does not serve is to be restarted, or what it would start from is false",
    ),
    rule("charter", charter_untold, "members find what they should when they start"),
    rule("first-objects", unfounded, "nothing that is refused keeps the StatefulSet from being made"),
    rule("foreign-leader", led_elsewhere, "no member leads another ensemble"),
    rule("mute-leader", mute_alone, "nobody leads alone and takes no session"),
    rule("tell", tell, "members have been told the membership that a quorum confirmed"),
    rule("untold", news_untold, "nobody keeps the new membership out of the charter, or what members find will do"),
    rule("birth", founding, "the ensemble was born"),
];

/// From the membership as it is to the members that are wanted. A wait of one of these says where it was going.
pub const COURSE: &[Rule] = &[
    rule("set", membership::no_set, "there is a StatefulSet"),
    rule("quorum", membership::without_quorum, "somebody leads, with a majority behind it"),
    rule("foreign-server", foreign_server, "no server that somebody added is in the way"),
    rule("pods", membership::missing_pods, "every member has its pod"),
    rule("leader-going", leader_going, "the leader's pod is not being deleted"),
    rule("denied", restart_while_denied, "the members let the super user in, or no restart would change that"),
    rule("replace", replace_volume, "no member needs a new volume"),
    rule("grow", membership::grow, "every wanted member votes, or has to wait for one that leaves"),
    rule("last-pod", membership::lower_now, "no pod but the members' is there, or it has to wait"),
    rule("leave", membership::leave, "no member is too many, and none is in the way of another"),
    rule("last-pod-waits", membership::lower, "no pod but the members' is there, or it may not go"),
    rule("unused", unused, "no object is left that nobody uses"),
    rule("controller", controller, "the StatefulSet's controller has taken in what it should be"),
    rule("cordoned-leader", hand_over, "the leader's node is not about to be drained"),
    rule("roll", roll, "no member that serves is to be restarted now"),
    rule("synced", unsynced, "every voter serves and is synced"),
    rule("kept-pod", membership::kept, "no pod is there that may not go"),
];

/// A decision, and what is to be said beside it.
pub struct Decision {
    /// The step.
    pub step: Step,
    /// The rules that were asked before, and asked for nothing.
    pub considered: Vec<&'static Rule>,
    /// Why rights could not be taken away.
    pub unguarded: Option<Reason>,
    /// What there would be to do, if they were not taken away now.
    pub otherwise: Option<Step>,
}

/// Asks the rules one after the other.
pub fn decide(view: &View<'_>) -> Decision {
    let mut decision = Decision { step: Step::Rest, considered: Vec::new(), unguarded: None, otherwise: None };
    if let Some(step) = ask(GROUND, view, &mut decision.considered) {
        return Decision { step, ..decision };
    }
    let asked = ask(COURSE, view, &mut decision.considered).unwrap_or(Step::Rest);
    let step = going_where(view, asked);
    let (Some(desired), Ok(origin)) = (view.desired, view.origin) else { return Decision { step, ..decision } };
    decision.unguarded = guard::refused(view.seen, desired, &origin.identity);
    let lacking = || hindered::lacking(&view.held()).or_else(|| decision.unguarded.clone());
    let step = match step {
        Step::Rest => lacking().map_or_else(|| password::instead(Step::Rest, view.seen), Step::Refuse),
        step => step,
    };
    match guard::instead(&step, view, desired, &origin.identity) {
        Some(guard) => guarding(guard, step, decision),
        None => Decision { step, ..decision },
    }
}

fn guarding(guard: Guard, otherwise: Step, decision: Decision) -> Decision {
    Decision { step: Step::Guard(guard), otherwise: Some(otherwise), ..decision }
}

fn ask(rules: &'static [Rule], view: &View<'_>, considered: &mut Vec<&'static Rule>) -> Option<Step> {
    for rule in rules {
        if let Some(step) = (rule.step)(view) {
            return Some(step);
        }
        considered.push(rule);
    }
    None
}

/// A wait on the way to another number of voters says which way that was, and what would help.
fn going_where(view: &View<'_>, step: Step) -> Step {
    let (Step::Wait(reason), Some(desired)) = (&step, view.desired) else { return step };
    let (seen, standing, wanted) = (view.seen, view.standing, desired.replicas);
    let Reason { code, message } = failed::failed(seen, standing).unwrap_or_else(|| reason.clone());
    let way_out = departure::way_out(seen, standing, wanted).map(|out| format!("; {out}")).unwrap_or_default();
    let membership = standing.committed.clone().or_else(|| seen.noted_membership());
    let voters = membership.map(|membership| u32::try_from(membership.voters().count()).unwrap_or(u32::MAX));
    let way = match voters {
        Some(voters) if voters != wanted => format!("going from {voters} to {wanted} voters: "),
        _ => String::new(),
    };
    Step::Wait(Reason::new(code, format!("{way}{message}{way_out}")))
}

fn invalid_spec(view: &View<'_>) -> Option<Step> {
    let invalid = view.seen.desired.as_ref().err()?;
    Some(Step::Refuse(Reason::new("InvalidSpec", invalid.to_string())))
}

fn names_taken(view: &View<'_>) -> Option<Step> {
    objects::collision(view.seen)
}

fn empty_claims(view: &View<'_>) -> Option<Step> {
    let mut empty = origin::empty_claims(view.seen);
    empty.retain(|claim| !hindered::stays(view.seen, claim));
    (!empty.is_empty()).then_some(Step::Delete(empty))
}

fn claims_that_stay(view: &View<'_>) -> Option<Step> {
    hindered::in_the_way(view.seen, &origin::empty_claims(view.seen)).map(Step::Refuse)
}

fn origin_unknown(view: &View<'_>) -> Option<Step> {
    view.origin.err().map(|obstacle| obstacle.clone().into())
}

fn version_refused(view: &View<'_>) -> Option<Step> {
    version::refusal(view.seen, view.desired?, view.origin.ok()?).map(Step::Refuse)
}

fn apply(view: &View<'_>) -> Option<Step> {
    let draft = view.draft.as_ref()?;
    (!draft.writes.is_empty()).then(|| Step::Apply(draft.writes.clone()))
}

/// What a member finds when it starts may be old; it may not be false.
fn heal_members(view: &View<'_>) -> Option<Step> {
    let draft = view.draft.as_ref()?;
    let untold = hindered::untold(view.seen, &draft.held, &draft.told);
    let may = untold.is_none() || hindered::may_start(view.seen, &draft.told);
    heal::heal(view.seen, view.standing, view.desired?, view.origin.ok()?.beginning).filter(|_| may)
}

fn charter_untold(view: &View<'_>) -> Option<Step> {
    let draft = view.draft.as_ref()?;
    hindered::untold(view.seen, &draft.held, &draft.told).map(Step::Refuse)
}

fn unfounded(view: &View<'_>) -> Option<Step> {
    hindered::unfounded(view.seen, &view.draft.as_ref()?.held).map(Step::Refuse)
}

fn led_elsewhere(view: &View<'_>) -> Option<Step> {
    strangers::leads_elsewhere(view.seen, view.standing).map(Step::Refuse)
}

fn mute_alone(view: &View<'_>) -> Option<Step> {
    mute::alone(view.seen, view.standing, view.desired?)
}

fn tell(view: &View<'_>) -> Option<Step> {
    view.draft.as_ref()?.news.as_ref()?.as_ref().ok().cloned().map(Step::Tell)
}

fn news_untold(view: &View<'_>) -> Option<Step> {
    let draft = view.draft.as_ref()?;
    let held = draft.news.as_ref()?.as_ref().err()?;
    hindered::untold(view.seen, held, &draft.blueprint.charter).map(Step::Refuse)
}

fn founding(view: &View<'_>) -> Option<Step> {
    let origin = view.origin.ok().filter(|origin| origin.beginning.is_birth())?;
    Some(Step::Wait(origin::founding(view.seen, view.standing, origin)))
}

fn foreign_server(view: &View<'_>) -> Option<Step> {
    let course = view.course.as_ref()?;
    strangers::in_the_way(view.seen, course.committed, course.wanted).map(Step::Refuse)
}

fn leader_going(view: &View<'_>) -> Option<Step> {
    drain::relieve(view.seen, view.standing)
}

/// A change of the membership would be refused again; a restart asks nobody's leave.
fn restart_while_denied(view: &View<'_>) -> Option<Step> {
    let step = view.seen.hindrances.denied.then(|| roll(view)).flatten();
    step.filter(|step| matches!(step, Step::Restart(_)))
}

fn replace_volume(view: &View<'_>) -> Option<Step> {
    replace::next(view.seen, view.standing, view.desired?)
}

fn unused(view: &View<'_>) -> Option<Step> {
    let unused = objects::unused(view.seen, &view.draft.as_ref()?.blueprint);
    (!unused.is_empty()).then_some(Step::Delete(unused))
}

fn controller(view: &View<'_>) -> Option<Step> {
    let taken = view.course.as_ref()?.set.update_revision.is_some();
    (!taken)
        .then(|| Step::Wait(Reason::new("Applying", "waiting for the StatefulSet's controller to take the change in")))
}

fn hand_over(view: &View<'_>) -> Option<Step> {
    drain::hand_over(view.seen, view.standing)
}

fn roll(view: &View<'_>) -> Option<Step> {
    rolling::roll(view.seen, view.standing, view.desired?)
}

fn unsynced(view: &View<'_>) -> Option<Step> {
    view.standing.blocker(view.seen).map(Step::Wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_a_name_of_its_own_and_a_sentence() {
        let rules: Vec<&Rule> = GROUND.iter().chain(COURSE).collect();
        for (at, rule) in rules.iter().enumerate() {
            assert!(rules[..at].iter().all(|other| other.name != rule.name), "{} stands twice", rule.name);
            assert!(rule.otherwise.contains(' ') && !rule.otherwise.ends_with('.'), "{}", rule.otherwise);
        }
    }
}
