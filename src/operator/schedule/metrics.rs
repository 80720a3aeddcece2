//! What Prometheus can read of each schedule.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::api::ScheduleStatus;
use crate::operator::kit::metrics::{Of, of};

/// When the backups of all schedules last came right, and when the next is due: an alarm compares them with now.
#[derive(Default)]
pub struct Times {
    success: Family<Of, Gauge>,
    next: Family<Of, Gauge>,
}

impl Times {
    /// Registers them with the others.
    pub fn registered(registry: &mut Registry) -> Self {
        let times = Self::default();
        let mut register = |name, help, family: &Family<Of, Gauge>| registry.register(name, help, family.clone());
        register(
            "backup_schedule_last_success_timestamp_seconds",
            "When the last backup was completed: 0 if none was",
            &times.success,
        );
        register("backup_schedule_next_timestamp_seconds", "When the next backup is due", &times.next);
        times
    }

    /// What is said of a schedule now.
    pub fn said(&self, namespace: &str, name: &str, status: &ScheduleStatus) {
        let of = of(namespace, name);
        let seconds = |time: Option<&crate::api::Time>| time.map(|time| time.0.as_second());
        self.success.get_or_create(&of).set(seconds(status.last_successful_time.as_ref()).unwrap_or(0));
        match seconds(status.next_schedule_time.as_ref()) {
            Some(next) => drop(self.next.get_or_create(&of).set(next)),
            None => drop(self.next.remove(&of)),
        }
    }

    /// A schedule is gone.
    pub fn forget(&self, namespace: &str, name: &str) {
        let of = of(namespace, name);
        self.success.remove(&of);
        self.next.remove(&of);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Time;
    use crate::operator::kit::metrics::text;

    #[test]
    fn when_a_backup_last_came_right_is_said_and_zero_where_none_did_and_nothing_of_a_schedule_that_is_gone() {
        let mut registry = Registry::with_prefix("menagerie");
        let times = Times::registered(&mut registry);
        times.said("ns", "nightly", &ScheduleStatus::default());
        let line = "menagerie_backup_schedule_last_success_timestamp_seconds{namespace=\"ns\",name=\"nightly\"}";
        assert!(text(&registry).contains(&format!("{line} 0\n")), "{}", text(&registry));
        assert!(!text(&registry).contains("next_timestamp_seconds{"));
        let at = |text: &str| Some(Time(text.parse().unwrap()));
        let status = ScheduleStatus {
            last_successful_time: at("1970-01-02T00:00:00Z"),
            next_schedule_time: at("1970-01-03T00:00:00Z"),
            ..ScheduleStatus::default()
        };
        times.said("ns", "nightly", &status);
        assert!(text(&registry).contains(&format!("{line} 86400\n")), "{}", text(&registry));
        assert!(text(&registry).contains("next_timestamp_seconds{namespace=\"ns\",name=\"nightly\"} 172800\n"));
        times.forget("ns", "nightly");
        assert!(!text(&registry).contains("nightly"));
    }
}
