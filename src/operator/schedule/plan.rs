//! What to do next about a schedule: pure, from one observation to one step.
//!
//! - What became of the last backup is no input of when the next one is due: schedules elsewhere stood still for ever after one failure
//!   (cloudnative-pg #10385, velero #6193).
//! - Only one of a schedule's backups is unfinished at a time, and each has an end. What comes due meanwhile, or while the operator is
//!   down, is made up for by one: elsewhere a store that came back met hundreds (cloudnative-pg #7623).
//! - A time counts only if the schedule was what it is at that time: neither an edit nor the end of a suspension makes one due
//!   (velero #6517).
//! - A backup is named after its time, in UTC, so that it is made once.

use jiff::{SignedDuration, Timestamp};

use super::facts::{BackupFacts, Seen};
use crate::api::{BackupPhase, BackupTemplate, ScheduleStatus, Time, ZooKeeperBackupScheduleSpec, ZooKeeperBackupSpec};
use crate::model::backup_end::failed;
use crate::model::cron::Cron;
use crate::operator::kit::step::Step;
use crate::plan::{ConditionStatus, UntimedCondition};
use crate::render::backup::DEADLINE;
use crate::render::schedule::{Scheduler, backup};

/// So far two clocks may be apart.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// So many backups a schedule may keep at once. Each is a pin, which every run of `prune` reads.
const MOST: usize = 1_000;
const SUSPENDED: &str = "suspended";

/// What was decided.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The step.
    pub step: Step,
    /// The status, but for its conditions.
    pub status: ScheduleStatus,
    /// Scheduled, and `LastBackupSucceeded`.
    pub conditions: [UntimedCondition; 2],
}

/// A time for which a backup is due, and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The time.
    pub at: Timestamp,
    /// The name.
    pub name: String,
}

/// Reads the schedule.
fn cron(spec: &ZooKeeperBackupScheduleSpec, now: Timestamp) -> Result<Cron, String> {
    let cron = Cron::parse(&spec.schedule, spec.time_zone.as_deref())?;
    let days = spec.backup.keep_days.max(1);
    let end = now.as_second().saturating_add(i64::from(days).saturating_mul(24 * 60 * 60));
    let mut at = now.as_second();
    for _ in 0..MOST {
        match cron.after(at).map(|next| next.timestamp().as_second()) {
            Some(next) if next <= end => at = next,
            _ => return Ok(cron),
        }
    }
    Err(format!(
        "{:?} makes more than {MOST} backups in the {days} days for which each is kept: the archive has every point of its window without them; name fewer times or fewer keepDays",
        spec.schedule
    ))
}

/// The schedule in one line, to tell an edited one.
fn text(spec: &ZooKeeperBackupScheduleSpec) -> String {
    if spec.suspend.unwrap_or_default() {
        return SUSPENDED.to_owned();
    }
    format!("{} {}", spec.schedule, spec.time_zone.as_deref().unwrap_or("UTC"))
}

/// Since when it is what it is.
fn since(seen: &Seen) -> Timestamp {
    let same = seen.status.observed_schedule.as_ref().is_none_or(|before| *before == text(&seen.spec));
    match &seen.status.since {
        // One of the future is of a clock that was wrong.
        Some(Time(since)) if same => (*since).min(seen.now),
        _ if same => seen.created,
        _ => seen.now,
    }
}

/// The backup that is due now.
pub fn due(seen: &Seen) -> Option<Due> {
    let Seen { name, spec, status, created, now, .. } = seen;
    if spec.suspend.unwrap_or_default() {
        return None;
    }
    let cron = cron(spec, *now).ok()?;
    // One of the future is of a clock that was wrong.
    let last = status.last_schedule_time.as_ref().map(|last| last.0).filter(|last| *last <= *now + SKEW);
    let latest = cron.last(now.as_second()).and_then(|second| Timestamp::from_second(second).ok());
    let base = since(seen).max(last.unwrap_or(Timestamp::MIN));
    let first = spec.immediate.unwrap_or_default() && status.last_schedule_time.is_none();
    let at = if first { Some(*created) } else { latest.filter(|latest| *latest > base) };
    at.map(|at| Due { at, name: format!("{name}-{}", at.strftime("%Y%m%d%H%M")) })
}

/// Decides.
pub fn plan(seen: &Seen) -> Decision {
    let cron = cron(&seen.spec, seen.now);
    let suspended = seen.spec.suspend.unwrap_or_default();
    let next = cron.as_ref().ok().filter(|_| !suspended).and_then(|cron| cron.after(seen.now.as_second()));
    let next = next.map(|next| next.timestamp());
    let status = ScheduleStatus {
        observed_generation: seen.generation,
        conditions: Vec::new(),
        observed_schedule: Some(text(&seen.spec)),
        since: Some(Time(since(seen))),
        next_schedule_time: next.map(Time),
        ..succeeded(seen)
    };
    let rest = |step, status, scheduled| Decision { step, status, conditions: [scheduled, last_succeeded(seen)] };
    if let Err(error) = cron {
        return rest(Step::Rest, status, scheduled(ConditionStatus::False, "InvalidSchedule", error));
    }
    if suspended {
        let text = "spec.suspend is true: no backups are made, and none will be made up for".to_owned();
        return rest(Step::Rest, status, scheduled(ConditionStatus::False, "Suspended", text));
    }
    let follows = next.map_or("there is no next time".to_owned(), |next| format!("the next is due at {next}"));
    // It is made all the same when it is due: what is missing may be there by then, and one that waits shows that none was made.
    let yes = |reason, text| match &seen.obstacle {
        Some((hindered, words)) if reason == "Scheduled" => {
            scheduled(ConditionStatus::False, hindered, format!("{text}, and would wait: {words}"))
        }
        _ => scheduled(ConditionStatus::True, reason, text),
    };
    let Some(due) = due(seen) else { return rest(Step::Rest, status, yes("Scheduled", follows)) };
    let made = ScheduleStatus {
        last_schedule_time: Some(Time(due.at)),
        last_backup: Some(due.name.clone()),
        ..status.clone()
    };
    match &seen.taken {
        Some(there) if there.ours && there.created + SKEW >= due.at => {
            return rest(Step::Wait("Made"), made, yes("Scheduled", follows));
        }
        Some(there) => {
            let passed = ScheduleStatus { last_schedule_time: Some(Time(due.at)), ..status };
            let text = format!(
                "there is a ZooKeeperBackup {} that this schedule did not make for {}: none is made for that time; {follows}",
                there.name, due.at
            );
            return rest(Step::Wait("NameTaken"), passed, yes("NameTaken", text));
        }
        None => {}
    }
    let most = i64::from(seen.spec.backup.deadline_seconds.unwrap_or(DEADLINE)) + 25 * 60 * 60;
    // One that no operator looks after never ends.
    let waits = |last: &&BackupFacts| !last.phase.is_over() && seen.now.duration_since(last.created).as_secs() < most;
    if let Some(last) = seen.last.as_ref().filter(waits) {
        let text = format!("the one of {} is due, and waits for {}: {}", due.at, last.name, last.message);
        return rest(Step::Wait("Unfinished"), status, yes("Unfinished", text));
    }
    if let Some(words) = &seen.refused {
        let text = format!("the API server does not take the backup of {}: {words}", due.at);
        return rest(Step::Wait("BackupRefused"), status, scheduled(ConditionStatus::False, "BackupRefused", text));
    }
    let BackupTemplate { ensemble, to, keep_days, level, resources, scratch_size, deadline_seconds } =
        seen.spec.backup.clone();
    let spec = ZooKeeperBackupSpec {
        ensemble,
        at: None,
        to,
        keep_days: Some(keep_days),
        level,
        resources,
        scratch_size,
        deadline_seconds,
    };
    let by = Scheduler { namespace: &seen.namespace, name: &seen.name, uid: &seen.uid, selected: &seen.selected };
    let backup = backup(&by, &due.name, &spec);
    rest(Step::Create(Box::new(backup)), made, yes("Scheduled", follows))
}

fn scheduled(status: ConditionStatus, reason: &'static str, message: String) -> UntimedCondition {
    UntimedCondition { name: "Scheduled", status, reason, message }
}

/// The status, with the last backup if that was completed.
fn succeeded(seen: &Seen) -> ScheduleStatus {
    match &seen.last {
        Some(BackupFacts { phase: BackupPhase::Completed, name, ended, .. }) => ScheduleStatus {
            last_successful_backup: Some(name.clone()),
            last_successful_time: ended.map(Time),
            ..seen.status.clone()
        },
        _ => seen.status.clone(),
    }
}

/// What became of the newest backup that is over.
fn last_succeeded(seen: &Seen) -> UntimedCondition {
    let name = "LastBackupSucceeded";
    let said = |status, reason, message| UntimedCondition { name, status, reason, message };
    match &seen.last {
        Some(BackupFacts { phase: BackupPhase::Completed, name, message, .. }) => {
            said(ConditionStatus::True, "Completed", format!("{name}: {message}"))
        }
        Some(BackupFacts { phase: BackupPhase::Failed, name, reason, message, .. }) => {
            said(ConditionStatus::False, failed(reason), format!("{name}: {message}"))
        }
        // It goes on, or is gone: what is known stays.
        _ => match seen.status.conditions.iter().find(|condition| condition.type_ == name) {
            Some(before) if before.status == "True" => said(ConditionStatus::True, "Completed", before.message.clone()),
            Some(before) if before.status == "False" => {
                said(ConditionStatus::False, failed(&before.reason), before.message.clone())
            }
            _ => said(ConditionStatus::Unknown, "NoneYet", "no backup of this schedule has ended yet".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests;
