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

/// Why no server would start with these times, or none would keep a connection.
pub fn fault(user: &BTreeMap<String, String>) -> Option<String> {
    let given = |key: &str| user.get(key).and_then(|value| value.parse::<i64>().ok());
    let ours = |key: &str| ticks(user).iter().find(|(name, _)| *name == key).and_then(|(_, value)| value.parse().ok());
    let holds = |key: &str| given(key).or_else(|| ours(key));
    let tick = holds("tickTime")?;
    // -1 stands for ZooKeeper's own: 2 and 20 ticks.
    let said = |key: &str| holds(key).filter(|time| *time != -1);
    let (least, most) = (said("minSessionTimeout"), said("maxSessionTimeout"));
    let limits = ["initLimit", "syncLimit", "connectToLearnerMasterLimit"];
    let limits = limits.into_iter().filter_map(|key| Some((key.to_owned(), holds(key)?)));
    let sessions = most.is_none().then(|| (format!("{LONGEST}, for maxSessionTimeout,"), LONGEST));
    limits
        .chain(sessions)
        .find_map(|limit| product_fault(tick, limit))
        .or_else(|| sessions_fault(least.unwrap_or(2 * tick), most.unwrap_or(LONGEST * tick)))
}

/// The longest session, in ticks, where nobody says it.
const LONGEST: i64 = 20;

/// ZooKeeper multiplies in 32 bits: what does not fit comes out as another number, or below 0, and no socket takes that.
fn product_fault(tick: i64, (name, ticks): (String, i64)) -> Option<String> {
    let shown = if name.starts_with(char::is_numeric) { name } else { format!("{name} {ticks}") };
    (tick.saturating_mul(ticks) > i32::MAX.into())
        .then(|| format!("tickTime {tick} times {shown} is more than {} ms, which ZooKeeper cannot count", i32::MAX))
}

/// A server does not start when its shortest session is longer than its longest, and serves nobody when sessions end at once.
fn sessions_fault(least: i64, most: i64) -> Option<String> {
    if most < 1 {
        return Some(format!("maxSessionTimeout {most} would end every session at once"));
    }
    (least > most).then(|| {
        format!(
            "minSessionTimeout {least} is larger than maxSessionTimeout {most}, and no server would start: set both"
        )
    })
}
