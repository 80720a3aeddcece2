//! What a Job's pod reports at its end, through its termination message.
//!
//! The kubelet keeps 4096 bytes of it, and whoever may exec into a pod can write it: it is read like any stranger's text.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::words::cut;
use crate::api::{RestoreApplied, RestorePlan};

/// The longest report that is read: what a kubelet keeps.
pub const LONGEST: usize = 4096;
/// The most of an error that is reported, so that the rest has room.
const ERROR: usize = 1024;
const VERSION: usize = 32;

/// What a Job's pod reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What was planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<RestorePlan>,
    /// What was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<RestoreApplied>,
    /// What is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupReport>,
    /// What was deleted of an archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned: Option<Pruned>,
    /// Why it ended before its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether that is what the archive holds, and not that it could not be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_proved: bool,
}

/// A point that is kept and proved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupReport {
    /// The last transaction that is in it.
    pub zxid: String,
    /// When that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// How many znodes are in it.
    pub znodes: i64,
    /// How many of the servers' digests were compared on the way.
    pub digests: i64,
    /// Hash of the tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree_hash: Option<String>,
    /// By which other way the tree was built as well, with the same hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<String>,
    /// Why it was not built by another way, where that was wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_second: Option<String>,
    /// The version of the server that started from it, and served the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
}

/// What a run deleted of an archive, in objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pruned {
    /// Those that are gone.
    pub deleted: u64,
    /// Those that the store refused to delete.
    pub refused: u64,
    /// Those of which it is not known.
    pub failed: u64,
    /// Those that were not tried any more.
    pub left: u64,
    /// Bases that stay, since they have changed meanwhile.
    pub changed: u64,
    /// Segments that were rolled up.
    #[serde(default)]
    pub rolled_up: u64,
}

impl Report {
    /// One of an error.
    pub fn of_error(text: &str) -> Self {
        Self { error: Some(cut(text, ERROR)), ..Self::default() }
    }

    /// Reads one; `None` for anything else.
    pub fn read(text: &str) -> Option<Self> {
        let report: Self = serde_json::from_str(&text[..text.floor_char_boundary(LONGEST)]).ok()?;
        let error = report.error.map(|error| cut(&error, ERROR));
        let hex = |text: &str, most: usize| {
            text.len() <= most && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let zxid = |text: &str| text.strip_prefix("0x").is_some_and(|zxid| hex(zxid, 16));
        let whole = |plan: &RestorePlan| plan.hash.len() == 64 && hex(&plan.hash, 64) && zxid(&plan.zxid);
        let timed = |time: &String| time.len() <= 40 && time.parse::<Timestamp>().is_ok();
        let point = |backup: &BackupReport| zxid(&backup.zxid) && backup.time.as_ref().is_none_or(timed);
        let backup = report.backup.filter(point).map(|backup| BackupReport {
            tree_hash: backup.tree_hash.filter(|hash| hash.len() == 64 && hex(hash, 64)),
            second: backup.second.map(|way| cut(&way, ERROR)),
            no_second: backup.no_second.map(|why| cut(&why, ERROR)),
            server: backup.server.map(|version| cut(&version, VERSION)),
            ..backup
        });
        Some(Self { plan: report.plan.filter(whole), backup, error, ..report })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_report_is_read_as_it_was_written_and_a_strangers_is_none() {
        let plan =
            RestorePlan { hash: "ab".repeat(32), zxid: "0x10000002a".to_owned(), changes: 3, ..RestorePlan::default() };
        let report = Report { plan: Some(plan), ..Report::default() };
        let text = serde_json::to_string(&report).unwrap();
        assert!(text.len() < LONGEST);
        assert_eq!(Report::read(&text), Some(report));
        assert_eq!(Report::read("sh: not found"), None);
        let long = Report::read(&format!(r#"{{"error": "{}", "plan": null}}"#, "x".repeat(3000))).unwrap();
        assert!(long.error.unwrap().len() <= ERROR + 8);
        let backup = |zxid: &str, time: &str| {
            let text = json!({"backup": {"zxid": zxid, "time": time, "znodes": 4, "digests": 2}}).to_string();
            Report::read(&text).unwrap().backup
        };
        assert!(backup("0x10000002a", "2026-11-23T19:52:00Z").is_some());
        assert_eq!((backup("0x1$(A)", "2026-11-23T19:52:00Z"), backup("0x1", "yesterday")), (None, None));
        let hashed = |hash: &str| {
            let text = json!({"backup": {"zxid": "0x1", "znodes": 4, "digests": 2, "treeHash": hash}}).to_string();
            Report::read(&text).unwrap().backup.unwrap().tree_hash
        };
        assert_eq!((hashed(&"0a".repeat(32)).is_some(), hashed("$(A)")), (true, None));
        let odd = text.replace("ab", "zz");
        assert_eq!(Report::read(&odd).unwrap().plan, None);
    }
}
