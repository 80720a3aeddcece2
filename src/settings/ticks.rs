//! Times that ZooKeeper counts in ticks, where the user does not say them.

use std::collections::BTreeMap;

/// ZooKeeper's sample ticks every 2 s and counts the limits in ticks: 20 s for a first sync, 10 s for a later one, sessions
/// of 4 to 40 s. These are the same times in shorter ticks: a leader that was taken out of the membership looks around
/// twice a tick (`Leader.lead`), and its clients wait until then: up to 1 s, and here an eighth of one.
const SHORT_TICKS: &[(&str, &str)] = &[
    ("tickTime", "250"),
    ("initLimit", "80"),
    ("syncLimit", "40"),
    ("minSessionTimeout", "4000"),
    ("maxSessionTimeout", "40000"),
];

/// The sample's, when the user sets one of them: who counts in ticks means those of 2 s.
const SAMPLE_TICKS: &[(&str, &str)] = &[("tickTime", "2000"), ("initLimit", "10"), ("syncLimit", "5")];

/// What holds of them beside what the user says.
pub fn ticks(user: &BTreeMap<String, String>) -> &'static [(&'static str, &'static str)] {
    let counted = SAMPLE_TICKS.iter().any(|(key, _)| user.contains_key(*key));
    if counted { SAMPLE_TICKS } else { SHORT_TICKS }
}

/// A server does not start when its shortest session is longer than its longest.
pub fn sessions_fault(user: &BTreeMap<String, String>) -> Option<String> {
    let given = |key: &str| user.get(key).and_then(|value| value.parse::<i64>().ok());
    let ours = |key: &str| ticks(user).iter().find(|(name, _)| *name == key).and_then(|(_, value)| value.parse().ok());
    let tick = given("tickTime").or_else(|| ours("tickTime"))?;
    // -1 stands for ZooKeeper's own: 2 and 20 ticks.
    let said = |key: &str| given(key).or_else(|| ours(key)).filter(|time| *time != -1);
    let (least, most) = (said("minSessionTimeout").unwrap_or(2 * tick), said("maxSessionTimeout").unwrap_or(20 * tick));
    (least > most).then(|| {
        format!(
            "minSessionTimeout {least} is larger than maxSessionTimeout {most}, and no server would start: set both"
        )
    })
}
