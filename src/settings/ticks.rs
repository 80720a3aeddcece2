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

/// Why no server would start with these times, or none would keep a connection. Of what was asked for, only what was accepted is
/// held against the others.
pub fn faults(asked: &BTreeMap<String, String>, accepted: &BTreeMap<String, String>) -> Vec<String> {
    let ours = |key: &str| ticks(asked).iter().find(|(name, _)| *name == key).and_then(|(_, value)| value.parse().ok());
    let refused = |key: &str| asked.contains_key(key) && !accepted.contains_key(key);
    let given = |key: &str| accepted.get(key).and_then(|value| value.parse::<i64>().ok());
    let holds = |key: &str| given(key).or_else(|| ours(key)).filter(|_| !refused(key));
    let tick = holds("tickTime");
    // -1 stands for ZooKeeper's own: 2 and 20 ticks.
    let said = |key: &str| holds(key).filter(|time| *time != -1);
    let session = |key: &str, ticks: i64| said(key).or_else(|| Some(ticks * tick?).filter(|_| !refused(key)));
    let limits = ["initLimit", "syncLimit", "connectToLearnerMasterLimit"];
    let limits = limits.into_iter().filter_map(|key| Some((key.to_owned(), holds(key)?)));
    let most = (said("maxSessionTimeout").is_none() && !refused("maxSessionTimeout"))
        .then(|| (format!("{LONGEST}, for maxSessionTimeout,"), LONGEST));
    let products = limits.chain(most).filter_map(|limit| product_fault(tick?, limit));
    let mut faults: Vec<String> = products.collect();
    // What cannot be counted is no session's length either.
    if let (true, Some(least), Some(most)) =
        (faults.is_empty(), session("minSessionTimeout", 2), session("maxSessionTimeout", LONGEST))
    {
        faults.extend(sessions_fault(least, most));
    }
    faults
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
