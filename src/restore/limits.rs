//! The limits of a quota, as servers read and write them. Pure.
//!
//! What no server can read is never written: with `enforceQuota` it refuses every write below the quota's path.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::restore::hash::Sum;

/// How much there may be at and below a path. More than a soft limit is only logged. A limit that is not set is `None`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QuotaLimits {
    /// Soft: the most znodes, the quota's own path included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub znodes: Option<i64>,
    /// Soft: the most bytes of data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
    /// Hard: the most znodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hard_znodes: Option<i64>,
    /// Hard: the most bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hard_bytes: Option<i64>,
}

impl QuotaLimits {
    /// As a server reads `count=4,bytes=5=;byteHardLimit=6;countHardLimit=7`: pairs separated by `,` or `;`, each a name and a number, or
    /// nothing, or more after another `=`. `None` if it cannot. Other names mean nothing, and what is negative is no limit.
    pub fn read(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let mut limits = Self::default();
        if text.is_empty() {
            return Some(limits);
        }
        let text = text.trim_end_matches([',', ';']);
        for (at, pair) in text.split([',', ';']).enumerate() {
            // Adjacent separators count as one, but not at the beginning.
            if pair.is_empty() && at > 0 {
                continue;
            }
            let mut parts = pair.trim_end_matches('=').split('=');
            let (name, value) = (parts.next()?, parts.next()?);
            let value = if value.is_empty() { -1 } else { value.parse::<i64>().ok()? };
            let limit = Some(value).filter(|value| *value >= 0);
            match name {
                "count" => limits.znodes = limit,
                "bytes" => limits.bytes = limit,
                "countHardLimit" => limits.hard_znodes = limit,
                "byteHardLimit" => limits.hard_bytes = limit,
                _ => {}
            }
        }
        Some(limits)
    }

    /// As servers write it: those without hard limits read the first two numbers, and go on to no other thanks to the odd `=`.
    pub fn text(&self) -> String {
        let Self { znodes, bytes, hard_znodes, hard_bytes } = self;
        let [znodes, bytes, hard_znodes, hard_bytes] =
            [znodes, bytes, hard_znodes, hard_bytes].map(|limit| limit.unwrap_or(-1));
        let soft = format!("count={znodes},bytes={bytes}");
        match (hard_znodes, hard_bytes) {
            (-1, -1) => soft,
            _ => format!("{soft}=;byteHardLimit={hard_bytes};countHardLimit={hard_znodes}"),
        }
    }

    /// Whether it may refuse what those before would not; of `None`, which no server can read or which say nothing, nobody knows.
    pub(super) fn lowers(&self, before: Option<&Self>) -> bool {
        let before = before.copied().unwrap_or_default();
        let both = [(self.hard_znodes, before.hard_znodes), (self.hard_bytes, before.hard_bytes)];
        both.into_iter().any(|(then, now)| then.is_some_and(|then| now.is_none_or(|now| then < now)))
    }

    pub(super) fn sum(&self, sum: &mut Sum) {
        sum.text(&self.text());
    }
}

impl fmt::Display for QuotaLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { znodes, bytes, hard_znodes, hard_bytes } = self;
        let all = [(hard_znodes, "znodes"), (hard_bytes, "bytes"), (znodes, "znodes (soft)"), (bytes, "bytes (soft)")];
        let set = all.into_iter().filter_map(|(limit, what)| Some(format!("{} {what}", limit.as_ref()?)));
        let set: Vec<String> = set.collect();
        if set.is_empty() { f.write_str("no limit") } else { f.write_str(&set.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_limits_refuse_nothing_and_hard_ones_less_the_higher_they_are() {
        let hard = |hard_znodes, hard_bytes| QuotaLimits { hard_znodes, hard_bytes, ..QuotaLimits::default() };
        let (none, five) = (QuotaLimits::default(), hard(Some(5), None));
        for (then, now, lower) in [
            (five, Some(five), false),
            (hard(Some(6), None), Some(five), false),
            (none, Some(five), false),
            (none, None, false),
            (QuotaLimits { znodes: Some(1), bytes: Some(1), ..five }, Some(five), false),
            (hard(Some(4), None), Some(five), true),
            (hard(Some(9), Some(1)), Some(five), true),
            (five, Some(none), true),
            (five, None, true),
        ] {
            assert_eq!(then.lowers(now.as_ref()), lower, "{now:?} to {then}");
        }
    }

    #[test]
    fn limits_are_read_and_written_as_servers_do() {
        let read = |text: &str| QuotaLimits::read(text.as_bytes());
        let all = QuotaLimits { znodes: Some(4), bytes: Some(5), hard_znodes: Some(7), hard_bytes: Some(6) };
        assert_eq!(read("count=4,bytes=5=;byteHardLimit=6;countHardLimit=7"), Some(all));
        assert_eq!(all.text(), "count=4,bytes=5=;byteHardLimit=6;countHardLimit=7");
        assert_eq!(all.to_string(), "7 znodes, 6 bytes, 4 znodes (soft), 5 bytes (soft)");
        let soft = QuotaLimits { znodes: Some(4), ..QuotaLimits::default() };
        assert_eq!((read("count=4,bytes=-1"), soft.text()), (Some(soft), "count=4,bytes=-1".to_owned()));
        for none in ["", "count=-1,bytes=-1", "count=-7;bytes=-1,", "other=3"] {
            assert_eq!(read(none), Some(QuotaLimits::default()), "{none}");
        }
        assert_eq!(
            (QuotaLimits::default().to_string(), QuotaLimits::default().text()),
            ("no limit".to_owned(), "count=-1,bytes=-1".to_owned())
        );
        for broken in ["x", "count=", "count=1 ", "count=1,x", ",count=1", "count=99999999999999999999"] {
            assert_eq!(read(broken), None, "{broken}");
        }
    }
}
