//! Findings about the epoch files of a member.

use std::path::Path;
use std::time::{Instant, SystemTime};

use crate::disk::epoch_files::EpochFiles;
use crate::disk::error::DiskError;
use crate::disk::live::{PATIENCE, SETTLED};
use crate::disk::member_files::MemberFiles;
use crate::disk::verify::{Report, Severity};
use crate::ids::Zxid;

/// Compares them with the last transaction that a server of these files has when it starts.
pub(super) fn take(report: &mut Report, member: &MemberFiles, last: Zxid) -> Result<(), DiskError> {
    let Some(folder) = &member.data else { return Ok(()) };
    let began = Instant::now();
    loop {
        let findings = EpochFiles::read(folder)?.findings(last);
        let sound = findings.iter().all(|finding| finding.severity == Severity::Notice);
        // A server writes a snapshot of its new epoch, or a log, a moment before the epoch itself.
        if sound || !is_busy(folder, member) || began.elapsed() >= PATIENCE {
            report.findings.extend(findings);
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

fn is_busy(folder: &Path, member: &MemberFiles) -> bool {
    let newest = [member.logs.last(), member.snapshots.last()].into_iter().flatten().map(|file| file.path.as_path());
    let ages = newest.chain([folder]).filter_map(|path| {
        let modified = path.metadata().and_then(|found| found.modified()).ok()?;
        SystemTime::now().duration_since(modified).ok()
    });
    ages.min().is_some_and(|age| age < SETTLED)
}
