//! Whether what is older than is to be kept is deleted: an archive that only grows is noticed when it is paid for, or full.

use jiff::Timestamp;
use serde_json::Value;

use super::step::Reason;
use super::view::View;
use crate::model::cron::Cron;
use crate::model::names::PRUNE_LABEL;
use crate::model::observed::{Kind, Live, ObjectKey};

/// In seconds: sooner nothing is said, however often a run begins. One may take hours.
const DAY: u64 = 24 * 3600;

/// What is said of runs that do not succeed.
pub fn warning(view: &View<'_>) -> Option<Reason> {
    let wanted = view.desired?.archive.as_ref()?.retention.as_ref()?;
    let names = &view.seen.names;
    let key = ObjectKey { kind: Kind::CronJob, name: names.prune() };
    let live = view.seen.objects.get(&key).and_then(Live::held)?;
    if wanted.suspend || live["spec"]["suspend"] == true {
        return None;
    }
    let (created, begun, succeeded) = (
        time(&live["metadata"]["creationTimestamp"])?,
        time(&live["status"]["lastScheduleTime"]),
        time(&live["status"]["lastSuccessfulTime"]),
    );
    let since = succeeded.map_or(created, |succeeded| succeeded.max(created));
    let schedule = live["spec"]["schedule"].as_str()?;
    if !overdue(&Cron::parse(schedule, None).ok()?, u64::try_from(since.as_second()).ok()?, view.seen.now) {
        return None;
    }
    let what = if begun.is_some_and(|begun| begun >= since) { "has succeeded" } else { "has begun by its schedule" };
    let (kind, name, namespace) = (key.kind.as_str(), &key.name, &names.namespace);
    let label = format!("{PRUNE_LABEL}={}", names.ensemble);
    Some(Reason::new(
        "NotPruned",
        format!(
            "nothing has been pruned from the archive since {since}: no run of {kind} {name} ({schedule}, UTC) {what} since then; see kubectl -n {namespace} get jobs,pods -l {label} and kubectl -n {namespace} logs -l {label} --tail=50"
        ),
    ))
}

fn time(text: &Value) -> Option<Timestamp> {
    text.as_str()?.parse().ok()
}

/// Whether the time of two runs and half of that to a third have passed without a success, and a day.
fn overdue(times: &Cron, since: u64, now: u64) -> bool {
    let after = || {
        let second = times.next(times.next(since)?)?;
        Some(second + times.next(second)?.saturating_sub(second) / 2)
    };
    after().is_some_and(|after| now > after.max(since.saturating_add(DAY)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-23 12:00 UTC, a Monday.
    const NOON: u64 = 1_795_435_200;

    #[test]
    fn two_missed_runs_and_a_half_are_too_late_whatever_the_schedule() {
        for (schedule, half_hours) in [
            // From Monday noon on: Tuesday and Wednesday at half past three, and half a day.
            ("30 3 * * *", 31 + 48 + 24),
            ("0 12 * * 1", 2 * 24 * 7 * 5 / 2),
            // Tuesday, Wednesday, and half of the way to Thursday.
            ("0 12 * * 2-5", 2 * 60),
            // Wednesday, Thursday, and half of the way to the next Wednesday.
            ("0 12 * * 3,4", 2 * (72 + 72)),
            ("*/5 * * * *", 48),
            ("0 * * * *", 48),
        ] {
            let times = Cron::parse(schedule, None).unwrap();
            let late = NOON + half_hours * 1800;
            assert!(!overdue(&times, NOON, late) && overdue(&times, NOON, late + 1), "{schedule}");
        }
    }
}
