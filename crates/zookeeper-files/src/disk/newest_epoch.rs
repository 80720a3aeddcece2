//! The highest epoch that members know of.

use crate::disk::epoch_files::EpochFiles;
use crate::disk::error::DiskError;
use crate::disk::member_files::MemberFiles;
use crate::disk::open::OnProgress;
use crate::disk::scan::{Scan, ScanItem};
use crate::ids::Zxid;

/// The highest epoch of any transaction or snapshot of these members, and of what their epoch files say.
pub fn newest_epoch(members: &[MemberFiles], progress: OnProgress<'_>) -> Result<u64, DiskError> {
    let mut newest = 0;
    for member in members {
        let files = member.logs.iter().chain(&member.snapshots).filter_map(|file| file.zxid);
        newest = files.map(Zxid::epoch).fold(newest, u64::max);
        if let Some(folder) = &member.data {
            newest = newest.max(EpochFiles::read(folder)?.highest());
        }
        // A log can go on in later epochs than the one in its name.
        let Some(log) = member.logs.last() else { continue };
        let mut scan = Scan::one(&log.path, member.max_record);
        while let Some(item) = scan.next(progress)? {
            if let ScanItem::Record(record) = item {
                newest = newest.max(record.header.zxid.epoch());
            }
        }
    }
    Ok(newest)
}
