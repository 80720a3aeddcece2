//! What is wanted of an archive's retention: how long, when, and with whose rights.

use serde_json::Value;

use super::cron::Cron;
use super::invalid::Invalid;
use crate::api::RetentionSpec;

/// More than anybody keeps.
const MOST_DAYS: i32 = 36_500;
const MINUTES_OF_A_DAY: u32 = 24 * 60;

/// A retention that is wanted, with its defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Retention {
    /// Every point of so many days can be built.
    pub keep_days: u32,
    /// The Secret whose keys may delete; without it, the pod's own identity counts.
    pub secret: Option<String>,
    /// When it runs, if the spec says so.
    schedule: Option<String>,
    /// Whether no run begins for now.
    pub suspend: bool,
    /// `resources` of the container, to be merged.
    pub resources: Value,
}

impl Retention {
    /// The retention of an archive whose members have the keys of this Secret.
    pub fn of(spec: &RetentionSpec, members: Option<&str>) -> Result<Self, Vec<Invalid>> {
        let RetentionSpec { keep_days, credentials_secret, schedule, suspend, resources } = spec;
        let mut faults = Vec::new();
        if !(1..=MOST_DAYS).contains(keep_days) {
            let reason = format!("{keep_days} is not between 1 and {MOST_DAYS}");
            faults.push(Invalid { field: "archive.retention.keepDays", reason });
        }
        if let Some(Err(reason)) = schedule.as_deref().map(runs) {
            faults.push(Invalid { field: "archive.retention.schedule", reason });
        }
        let resources = serde_json::to_value(resources)
            .map_err(|error| Invalid { field: "archive.retention.resources", reason: error.to_string() });
        match (resources, faults.is_empty()) {
            (Ok(resources), true) => Ok(Self {
                keep_days: u32::try_from(*keep_days).unwrap_or(1),
                secret: credentials_secret.clone().or_else(|| members.map(str::to_owned)),
                schedule: schedule.clone(),
                suspend: suspend.unwrap_or_default(),
                resources,
            }),
            (resources, _) => {
                faults.extend(resources.err());
                Err(faults)
            }
        }
    }

    /// When it runs, in UTC. Without a word of it once a day, at a minute of its own, so that not all ensembles ask one store at once.
    pub fn schedule(&self, identity: &str) -> String {
        self.schedule.clone().unwrap_or_else(|| {
            let sum = identity.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
            let minute = sum % MINUTES_OF_A_DAY;
            format!("{} {} * * *", minute % 60, minute / 60)
        })
    }
}

/// Whether Kubernetes runs something at these times: it knows less than [`Cron`].
fn runs(schedule: &str) -> Result<(), String> {
    Cron::parse(schedule, None)?;
    let named = |word: &str| word.len() == 3 && word.bytes().all(|b| b.is_ascii_alphabetic());
    let numbered = |word: &str| word.bytes().all(|b| b.is_ascii_digit());
    let mut words = schedule.split(|c: char| !c.is_ascii_alphanumeric());
    let known = words.all(|word| named(word) || numbered(word)) && !schedule.contains(['#', '+']);
    let days = schedule.split_whitespace().nth(4).unwrap_or_default();
    let days = days.split(',').filter_map(|item| item.split('/').next()).flat_map(|item| item.split('-'));
    let sunday = days.filter_map(|day| day.parse::<u32>().ok()).any(|day| day > 6);
    if known && !sunday {
        return Ok(());
    }
    Err(format!(
        "{schedule:?} is no schedule of a CronJob such as \"30 3 * * *\": Kubernetes knows no L, W, # and +, and calls Sunday 0 or SUN"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn retention(spec: Value) -> Result<Retention, Vec<Invalid>> {
        Retention::of(&serde_json::from_value(spec).unwrap(), Some("members"))
    }

    #[test]
    fn without_a_word_of_it_it_runs_once_a_day_at_a_minute_that_stays_and_with_the_members_keys() {
        let plain = retention(json!({"keepDays": 30})).unwrap();
        assert_eq!((plain.keep_days, plain.secret.as_deref(), plain.suspend), (30, Some("members"), false));
        let identities = (0..200).map(|n| format!("0b5c7e0c-6f3e-4a53-9d0e-2f7b4f0f{n:04x}"));
        let schedules: std::collections::BTreeSet<String> = identities
            .map(|identity| {
                let schedule = plain.schedule(&identity);
                assert_eq!(schedule, plain.schedule(&identity));
                assert!(runs(&schedule).is_ok() && schedule.ends_with(" * * *"), "{schedule}");
                schedule
            })
            .collect();
        assert!(schedules.len() > 100, "{}", schedules.len());
        let own =
            retention(json!({"keepDays": 1, "credentialsSecret": "pruner", "schedule": "*/5 3 * * MON-FRI"})).unwrap();
        assert_eq!((own.secret.as_deref(), own.schedule("any").as_str()), (Some("pruner"), "*/5 3 * * MON-FRI"));
    }

    #[test]
    fn a_schedule_that_kubernetes_would_not_run_is_refused_with_what_it_would() {
        for (schedule, says) in [
            ("0 0 3 * * *", "of five fields"),
            ("@daily", "of five fields"),
            ("61 3 * * *", "its minute \"61\""),
            ("0 0 30 2 *", "never comes"),
            ("0 3 L * *", "knows no L"),
            ("0 3 15W * *", "knows no L"),
            ("0 3 * * MON#2", "knows no L"),
            ("0 3 * * +MON", "knows no L"),
            ("0 3 * * MONL", "knows no L"),
            ("0 3 * * 7", "calls Sunday 0"),
            ("0 3 * * 1-07", "calls Sunday 0"),
        ] {
            let refused = retention(json!({"keepDays": 30, "schedule": schedule})).unwrap_err();
            assert!(refused.len() == 1 && refused[0].field == "archive.retention.schedule", "{refused:?}");
            assert!(refused[0].reason.contains(says), "{}", refused[0].reason);
        }
        for schedule in ["30 3 * * *", "5/15 * * * *", "0 3 1,15 JAN-MAR sun", "0 */7 * * 0-6/2", "* * * * ?"] {
            assert_eq!(runs(schedule), Ok(()), "{schedule}");
        }
        let both = retention(json!({"keepDays": 0, "schedule": "x"})).unwrap_err();
        assert_eq!(both.len(), 2, "{both:?}");
    }
}
