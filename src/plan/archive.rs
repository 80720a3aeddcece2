//! Whether what is committed is archived: what the shipping members say, as a condition.

use std::collections::BTreeSet;

use super::status::{ConditionStatus, UntimedCondition};
use super::view::View;
use crate::api::{ArchiveStatus, RecoverabilityPoint};
use crate::model::archive::{Archive, ArchiveMounts, first_voters, leads};
use crate::model::truth::{ArchiveLag, ArchiveReason, ArchiveState, GivenUp, HeldBack, Point, ServerState};
use crate::model::{ServerId, Zxid, store};

/// The condition's type.
const CONTINUOUS_ARCHIVING: &str = "ContinuousArchiving";
/// Its reason while members delete what no archive has.
pub const GIVING_UP: &str = "GivingUp";

/// In seconds: so seldom the last point is written while nothing turns.
const HOUR: i64 = 3600;
/// In seconds: a copy that is older is `Behind`. A segment goes out each second, and an election takes less.
const LATE: u64 = 60;
/// In seconds, besides a longer interval that was asked for.
const AFTER_INTERVAL: u64 = 30;
/// In bytes: what is kept until it is archived is said from here on.
const MUCH: u64 = 64 << 20;

/// True while any member that serves ships and is not far behind. `Behind` is False and not True with a word: who watches the status
/// asks whether the archive has what was committed, and it has not, whatever the cause; `None` where there is no archive.
pub fn archiving(view: &View<'_>) -> Option<UntimedCondition> {
    let archive = view.desired?.archive.as_ref()?;
    let (config, said) = (&archive.config, said(view)?);
    // Whoever does not serve proves no commit, and so ships nothing new.
    let serves = |id| view.member(id).report.is_some_and(|report| matches!(report.server, ServerState::Serving(_)));
    let shipping = |state: &ArchiveState| state.reason == ArchiveReason::Shipping;
    let late = LATE.max(u64::from(config.interval_seconds) + AFTER_INTERVAL);
    let behind = |state: &ArchiveState| state.lag.as_ref().is_some_and(|lag| lag.seconds > late);
    let able = || said.iter().filter(|(id, state)| shipping(state) && serves(*id)).map(|(_, state)| *state);
    // Who has just begun has not compared its log with the archive yet, which may lack all of it.
    let try_to = able().filter(|state| state.lag.is_some()).count();
    let ship = able().filter(|state| state.lag.is_some() && !behind(state)).count();
    let troubles: Vec<String> = said.iter().filter_map(|(id, state)| trouble(*id, state, behind(state))).collect();
    let worst = said.iter().map(|(_, state)| *state).find(|state| !shipping(state));
    let lost = lost(&said);
    let (status, reason, first) = match (ship, worst) {
        (0, _) if !lost.is_empty() => {
            let words = format!(
                "nothing is archived to {}, and a volume is nearly full: what is in no archive is deleted, {}",
                config.place.target,
                lost.join(", ")
            );
            (ConditionStatus::False, GIVING_UP, words)
        }
        (0, _) if try_to > 0 => {
            let words = format!("what was committed is archived late to {}", config.place.target);
            (ConditionStatus::False, "Behind", words)
        }
        (1.., _) => {
            let words = format!("{ship} of {} members archive to {}", config.members.len(), config.place.target);
            (ConditionStatus::True, "Shipping", words)
        }
        (0, Some(worst)) if able().next().is_none() => {
            let words = format!("nobody archives to {}{}", config.place.target, keys(view, worst));
            (ConditionStatus::False, word(worst), words)
        }
        (0, None) if !said.is_empty() && able().next().is_none() => {
            let words =
                format!("nobody archives to {}: the members that are to do it do not serve", config.place.target);
            (ConditionStatus::False, "NotServing", words)
        }
        (0, _) => {
            let words = format!(
                "no member that is to archive says whether it does to {}: it does not run, has just begun, its agent is of an older version, or it was not told of that place yet (up to two minutes)",
                config.place.target
            );
            (ConditionStatus::Unknown, "NobodyToAsk", words)
        }
    };
    let base = said.iter().filter_map(|(_, state)| state.base).max();
    let base = base.map(|zxid| format!("its newest base is of {zxid:#}"));
    let message = [first]
        .into_iter()
        .chain(unbuilt(view))
        .chain(base)
        .chain(besides(archive))
        .chain(troubles)
        .collect::<Vec<_>>()
        .join("; ");
    Some(UntimedCondition { name: CONTINUOUS_ARCHIVING, status, reason, message })
}

/// Who archives besides the first, since one of those was away.
fn besides(archive: &Archive) -> Option<String> {
    let first = first_voters(archive.copies);
    let more: Vec<_> =
        archive.config.members.difference(&first).map(|id| format!("member {id} archives as well")).collect();
    (!more.is_empty()).then(|| format!("{}, since another one was away or cannot go on", more.join(", ")))
}

/// What the members that are to archive say of the archive that is wanted: of another one, an agent may still speak after a correction.
fn said<'a>(view: &View<'a>) -> Option<Vec<(ServerId, &'a ArchiveState)>> {
    let config = &view.desired?.archive.as_ref()?.config;
    let place = config.place.described();
    let says = |id| {
        let state = view.member(id).report?.archive.as_ref()?;
        state.place.as_ref().is_none_or(|said| *said == place).then_some(state)
    };
    Some(config.members.iter().filter_map(|&id| Some((id, says(id)?))).collect())
}

/// What members deleted, and neither their archive nor that of another goes beyond.
fn lost(said: &[(ServerId, &ArchiveState)]) -> Vec<String> {
    let reached = said.iter().filter_map(|(_, state)| state.last).max();
    let lost =
        said.iter().filter_map(|(_, state)| state.given_up).filter(|lost| reached.is_none_or(|last| last < lost.last));
    let lost = lost.map(|GivenUp { first, last }| {
        // Of another member's the archive may have the first part.
        let first = reached.map_or(first, |reached| first.max(Zxid(reached.0.saturating_add(1))));
        format!("{first:#} to {last:#}")
    });
    lost.collect::<BTreeSet<_>>().into_iter().collect()
}

/// What the members that ship hold back, of those that are to archive there and serve: by member, the epoch in which it serves, and what.
pub(super) fn held_back(view: &View<'_>) -> impl Iterator<Item = (ServerId, u64, HeldBack)> {
    let said = said(view).unwrap_or_default().into_iter();
    said.filter(|(_, state)| state.reason == ArchiveReason::Shipping).filter_map(|(id, state)| {
        match &view.member(id).report?.server {
            ServerState::Serving(serving) => Some((id, serving.epoch, state.held?)),
            _ => None,
        }
    })
}

/// What cannot be built of what members ship, if all who ship know that nothing leads to it. Who knows less keeps silent about it.
pub fn unbuilt(view: &View<'_>) -> Option<String> {
    let said = said(view)?;
    // Who is silent, or has trouble of its own, may have the chain that leads there: its restart took back what could be built.
    let all = said.len() == view.desired?.archive.as_ref()?.config.members.len();
    if !all || said.iter().any(|(_, state)| state.reason != ArchiveReason::Shipping) {
        return None;
    }
    let base = said.iter().filter_map(|(_, state)| state.base).max();
    let starts = said.iter().map(|(_, state)| *state).map(|state| {
        let starts = state.starts.filter(|starts| base.is_none_or(|base| !leads(base, *starts)));
        starts.filter(|_| state.reaches.is_none())
    });
    let since = starts.collect::<Option<Vec<_>>>()?.into_iter().min()?;
    let what = if base.is_none() && said.iter().all(|(_, state)| state.first.is_none()) {
        "nothing can be built from this archive yet: it has no base".to_owned()
    } else {
        format!("nothing from {since:#} on can be built from this archive yet: no base leads there")
    };
    Some(format!(
        "{what}. The next snapshot of a member that archives is shipped as one once it is proved: its server writes one after snapCount transactions (by default 100,000), and when it comes to lead, so deleting the leader's pod can bring one at once"
    ))
}

/// What can be built from the archive. What was said of it stays while nobody says otherwise, for as long as it is the same archive. The
/// last point moves when the condition turns or the first overtakes it, and otherwise by an hour at least. It goes while what members ship
/// can be built from nothing.
pub fn recoverable(view: &View<'_>) -> Option<ArchiveStatus> {
    let config = &view.desired?.archive.as_ref()?.config;
    let place = &config.place;
    let same = |before: &&ArchiveStatus| before.target == place.target && before.endpoint == place.endpoint;
    let before = view.seen.status.archive.as_ref().filter(same);
    let said = said(view)?;
    let point = |point: Point| RecoverabilityPoint::at(point.zxid, point.time);
    let first = said.iter().filter_map(|(_, state)| state.first).min().and_then(point);
    let last = said.iter().filter_map(|(_, state)| state.reaches).max().and_then(point);
    let unbuilt = unbuilt(view).is_some();
    let first = first.or_else(|| before.filter(|_| !unbuilt)?.first_recoverability_point.clone());
    let known = before.filter(|_| !unbuilt).and_then(|before| before.last_recoverability_point.clone());
    let in_order = |last: &RecoverabilityPoint| {
        let first = first.as_ref().and_then(RecoverabilityPoint::transaction);
        first.is_none_or(|first| last.transaction().is_some_and(|last| first <= last))
    };
    let (known, last) = (known.filter(in_order), last.filter(in_order));
    let now = archiving(view);
    let conditions = &view.seen.status.conditions;
    let known_as = conditions.iter().find(|condition| condition.type_ == CONTINUOUS_ARCHIVING);
    let turned = now.is_some_and(|now| known_as.is_none_or(|said| said.status != now.status.as_str()));
    let moves = |known: &RecoverabilityPoint, last: &RecoverabilityPoint| {
        turned || (last.seconds() - known.seconds()).abs() >= HOUR
    };
    let last = match (known, last) {
        (Some(known), Some(last)) if moves(&known, &last) => Some(last),
        (known, last) => known.or(last),
    };
    Some(ArchiveStatus {
        target: place.target.clone(),
        endpoint: place.endpoint.clone(),
        first_recoverability_point: first,
        last_recoverability_point: last,
    })
}

/// What is wrong with what a member says, if anything is. Its numbers come in steps, so that the status is not written each second.
fn trouble(id: ServerId, state: &ArchiveState, behind: bool) -> Option<String> {
    let lag = state.lag.as_ref().filter(|_| behind).map(|ArchiveLag { seconds, bytes, cause }| {
        // Where it does not ship, its words are the cause already.
        let cause = cause.as_ref().filter(|_| state.reason == ArchiveReason::Shipping);
        let cause = cause.map(|cause| format!(" (last error: {cause})")).unwrap_or_default();
        format!("behind by more than {} and {} of log{cause}", time(*seconds), size(*bytes))
    });
    let held = state.held.filter(|_| state.reason == ArchiveReason::Shipping).map(|HeldBack { last, unlogged, .. }| {
        if unlogged {
            return format!(
                "its server was synced up to {last:#} by a snapshot, without its log: what that has is in no archive of this member before something else is written and a base follows"
            );
        }
        format!(
            "holds back its log up to {last:#}, which only the next write can show to be committed: its epoch has ended, and nothing was written since"
        )
    });
    let lost = state.given_up.map(|GivenUp { first, last }| {
        format!("deleted {first:#} to {last:#} of its log before that was archived, since its volume was nearly full")
    });
    let late = behind || state.reason != ArchiveReason::Shipping;
    let kept = state.unarchived.filter(|bytes| late && *bytes >= MUCH);
    let kept = kept.map(|bytes| format!("keeps more than {} only because they are not archived", size(bytes)));
    let said: Vec<_> = lag.into_iter().chain(held).chain(lost).chain(kept).chain(state.words.clone()).collect();
    (!said.is_empty()).then(|| format!("member {id}: {}", said.join("; ")))
}

/// The largest step that so many seconds reach.
fn time(seconds: u64) -> String {
    const MINUTES: [u64; 8] = [1, 2, 5, 10, 30, 60, 3 * 60, 12 * 60];
    let minutes = seconds / 60;
    match minutes / (24 * 60) {
        0 => match MINUTES.into_iter().rfind(|step| *step <= minutes).unwrap_or(1) {
            step @ 0..60 => format!("{step} min"),
            step => format!("{} h", step / 60),
        },
        days => format!("{days} d"),
    }
}

/// The largest power of four that so many bytes reach.
fn size(bytes: u64) -> String {
    let power = bytes.checked_ilog(4).unwrap_or(0).max(5);
    match power {
        5..10 => format!("{} KiB", 4_u64.pow(power - 5)),
        10..15 => format!("{} MiB", 4_u64.pow(power - 10)),
        _ => format!("{} GiB", 4_u64.pow(power - 15)),
    }
}

/// The object that is mounted, where that is what is wrong: an agent sees a missing one and one without the keys alike, and not its name.
fn keys(view: &View<'_>, worst: &ArchiveState) -> String {
    let Some(archive) = view.desired.and_then(|desired| desired.archive.as_ref()) else { return String::new() };
    let ArchiveMounts { secret, ca, keys } = &archive.mounts;
    let what = match (worst.reason, secret, ca) {
        (ArchiveReason::NoCredentials, Some(secret), _) => format!(
            "Secret {secret} in {} is missing or has no key {}",
            view.seen.names.namespace,
            store::keys(&archive.config.place).join(" or ")
        ),
        (ArchiveReason::NoCa, _, Some(ca)) => {
            format!("{ca} in {} has no certificate of a CA as PEM", view.seen.names.namespace)
        }
        (ArchiveReason::NoKey, ..) if keys.is_some() => {
            format!("the Secret is in {}, and a pod mounts it once it was made anew", view.seen.names.namespace)
        }
        _ => return String::new(),
    };
    format!(": {what}; the kubelet needs up to two minutes to bring a new one")
}

fn word(state: &ArchiveState) -> &'static str {
    match state.reason {
        ArchiveReason::Shipping => "Shipping",
        ArchiveReason::TargetUnreachable => "TargetUnreachable",
        ArchiveReason::AccessDenied => "AccessDenied",
        ArchiveReason::NoCredentials => "NoCredentials",
        ArchiveReason::NoCa => "NoCa",
        ArchiveReason::NoKey => "NoKey",
        ArchiveReason::NotEncrypted => "NotEncrypted",
        ArchiveReason::NoSuchBucket => "NoSuchBucket",
        ArchiveReason::Conflict => "Conflict",
        ArchiveReason::ArchiveDamaged => "ArchiveDamaged",
        ArchiveReason::DiskUnreadable => "DiskUnreadable",
        ArchiveReason::Unknown => "Unknown",
    }
}
