//! Findings about files in the wrong folder, if logs have a folder of their own.

use crate::disk::member_files::{DataFile, MemberFiles};
use crate::disk::verify::{Report, Severity};
use crate::log::AtStart;

/// With two folders, a server refuses a snapshot in that of the logs and a log in that of the snapshots, read or not: it takes
/// them for named the wrong way round (`FileTxnSnapLog.checkLogDir`).
pub(super) fn take(report: &mut Report, member: &MemberFiles) {
    let Some(data) = &member.data else { return };
    let strays = |log: bool| member.strays.iter().filter(move |stray| stray.log == log).map(|stray| &stray.file);
    let in_data = |file: &&DataFile| file.path.parent() == Some(data);
    let logs = || member.logs.iter().chain(strays(true));
    let snapshots = || member.snapshots.iter().chain(strays(false));
    if logs().chain(snapshots()).all(|file| in_data(&file)) {
        return;
    }
    let log = logs().find(in_data).map(|file| (file, "a log in the folder of the snapshots"));
    let snapshot = snapshots().find(|file| !in_data(file)).map(|file| (file, "a snapshot in the folder of the logs"));
    for (file, what) in log.into_iter().chain(snapshot) {
        let text = format!("it is {what}, which a server refuses where each has its own");
        report.add(&file.path, Severity::Damage, "misplaced", text).at_start = Some(AtStart::Refuses);
    }
}
