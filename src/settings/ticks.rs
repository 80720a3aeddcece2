//! Times that ZooKeeper counts in ticks: their defaults, and checks of how they fit together.

use std::collections::BTreeMap;

/// The times of ZooKeeper's sample configuration, in shorter ticks. The sample has ticks of 2 s and counts its limits
/// in them: 20 s for a first sync, 10 s for a later one, sessions of 4 to 40 s. Shorter ticks help clients of a leader
/// that was removed from the membership: it notices that only twice a tick (`Leader.lead`), and its clients wait until
/// then, up to 1 s with the sample and an eighth of that here.
const SHORT_TICKS: &[(&str, &str)] = &[
    ("tickTime", "250"),
    ("initLimit", "80"),
    ("syncLimit", "40"),
    ("minSessionTimeout", "4000"),
    ("maxSessionTimeout", "40000"),
];

/// The sample's own times. They apply if the user sets one of them: whoever counts in ticks expects ticks of 2 s.
const SAMPLE_TICKS: &[(&str, &str)] = &[("tickTime", "2000"), ("initLimit", "10"), ("syncLimit", "5")];

/// The defaults for the times that the user does not set.
pub fn ticks(user: &BTreeMap<String, String>) -> &'static [(&'static str, &'static str)] {
    let counted = SAMPLE_TICKS.iter().any(|(key, _)| user.contains_key(*key));
    if counted { SAMPLE_TICKS } else { SHORT_TICKS }
}

/// In seconds: after so long without an answer, a leader takes a follower for gone.
pub fn sync_limit(user: &BTreeMap<String, String>) -> u64 {
    let ours = |key: &str| ticks(user).iter().find(|(name, _)| *name == key).map_or("0", |(_, value)| value);
    let number = |key: &str| user.get(key).map_or(ours(key), String::as_str).trim().parse::<u64>().unwrap_or(0);
    number("tickTime").saturating_mul(number("syncLimit")) / 1000
}

/// Why no server would start with these times, or none would keep a connection. `asked` is the user's `config`; a time
/// in it that was refused is missing in `accepted`, and is not compared with the others.
pub fn faults(asked: &BTreeMap<String, String>, accepted: &BTreeMap<String, String>) -> Vec<String> {
    let ours = |key: &str| ticks(asked).iter().find(|(name, _)| *name == key).and_then(|(_, value)| value.parse().ok());
    let refused = |key: &str| asked.contains_key(key) && !accepted.contains_key(key);
    let given = |key: &str| accepted.get(key).and_then(|value| value.parse::<i64>().ok());
    let holds = |key: &str| given(key).or_else(|| ours(key)).filter(|_| !refused(key));
    let tick = holds("tickTime");
    // -1 stands for ZooKeeper's defaults: sessions of 2 to 20 ticks.
    let said = |key: &str| holds(key).filter(|time| *time != -1);
    let session = |key: &str, ticks: i64| said(key).or_else(|| Some(ticks * tick?).filter(|_| !refused(key)));
    let limits = ["initLimit", "syncLimit", "connectToLearnerMasterLimit"];
    let limits = limits.into_iter().filter_map(|key| Some((key.to_owned(), holds(key)?)));
    let most = (said("maxSessionTimeout").is_none() && !refused("maxSessionTimeout"))
        .then(|| (format!("{LONGEST}, for maxSessionTimeout,"), LONGEST));
    let products = limits.chain(most).filter_map(|limit| product_fault(tick?, limit));
    let mut faults: Vec<String> = products.collect();
    // A product that ZooKeeper cannot count is not compared as the length of a session either.
    if let (true, Some(least), Some(most)) =
        (faults.is_empty(), session("minSessionTimeout", 2), session("maxSessionTimeout", LONGEST))
    {
        faults.extend(sessions_fault(least, most));
    }
    faults
}

/// ZooKeeper's default for the longest session, in ticks.
const LONGEST: i64 = 20;

/// ZooKeeper multiplies in 32 bits: a product that does not fit becomes another number, or a negative one, which no
/// socket accepts.
fn product_fault(tick: i64, (name, ticks): (String, i64)) -> Option<String> {
    let shown = if name.starts_with(char::is_numeric) { name } else { format!("{name} {ticks}") };
    (tick.saturating_mul(ticks) > i32::MAX.into())
        .then(|| format!("tickTime {tick} times {shown} is more than {} ms, which ZooKeeper cannot count", i32::MAX))
}

/// A server does not start if its shortest session is longer than its longest, and serves nobody if sessions end at
/// once.
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
