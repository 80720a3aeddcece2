//! Findings about snapshots that hold what was never committed, by the files of several members.

use crate::disk::base::{cut_at, is_dirty};
use crate::disk::member_files::MemberFiles;
use crate::disk::verify::{Finding, Severity};
use crate::replay::CommittedHistory;

/// The snapshots of a member whose names are of transactions that were never committed. The newest is what its server starts
/// from, and what it loads again after its log was cut: it keeps in its tree what nobody else has.
pub fn dirty_snapshots(member: &MemberFiles, history: &CommittedHistory) -> Vec<Finding> {
    let newest = member.snapshots.last().and_then(|file| file.zxid);
    let dirty = member.snapshots.iter().filter(|file| is_dirty(history, file));
    let found = dirty.filter_map(|file| {
        let name = file.zxid?;
        let end = cut_at(history, name);
        let (severity, then) = if file.zxid == newest {
            (Severity::Damage, "a server that starts from it keeps them in its tree")
        } else {
            (Severity::Notice, "a server starts from a newer one, which may hold them, too: --replay tells")
        };
        let text = format!("it holds transactions after {end:#} up to {name:#} that were never committed: {then}");
        let (path, offset, zxid, at_start) = (file.path.clone(), None, Some(name), None);
        Some(Finding { path, severity, name: "dirty-snapshot", offset, zxid, text, at_start })
    });
    found.collect()
}
