//! Checks with the logs whether the content of a snapshot is what its server had.
//!
//! A server applies a transaction before it updates the digest, so the content of a snapshot can already contain the next
//! transaction. The content may not show it: setting an ACL, or deleting a znode after its parent was written, leaves no zxid.
//! But the log has that transaction, and the digest of the tree after it.

use crate::disk::cursor::LogCursor;
use crate::disk::error::DiskError;
use crate::disk::live::unless_purged;
use crate::disk::member_files::{DataFile, MemberFiles};
use crate::disk::open::{OnProgress, open_snapshot};
use crate::ids::Zxid;
use crate::replay::Replay;

/// What the logs show about a snapshot whose digest does not match its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DigestProof {
    /// It is sound: it contains the next transaction.
    Ahead,
    /// It is not what the server had.
    Wrong,
    /// The logs are missing or have no digests.
    Unknown,
}

pub(crate) fn proof(member: &MemberFiles, file: &DataFile, progress: OnProgress<'_>) -> Result<DigestProof, DiskError> {
    let Some(name) = file.zxid else { return Ok(DigestProof::Unknown) };
    let Some(reader) = unless_purged(open_snapshot(&file.path, member.max_record))? else {
        return Ok(DigestProof::Unknown);
    };
    let Ok(mut replay) = reader.and_then(|mut reader| Replay::of_snapshot(&mut reader, name)) else {
        return Ok(DigestProof::Wrong);
    };
    let before = replay.checked();
    let mut cursor = LogCursor::new(member.logs_after(name), member.max_record, progress)?;
    let mut last: Option<Zxid> = None;
    while let Some(zxid) = cursor.zxid() {
        if let Some(Ok(record)) = cursor.record() {
            if zxid > name && crate::log::jump(replay.tree().last(), zxid).is_some() {
                return Ok(DigestProof::Unknown);
            }
            replay.apply(&record);
        }
        last = Some(zxid);
        if zxid > replay.fuzzy_until() || (zxid == replay.fuzzy_until() && replay.checked() > before) {
            break;
        }
        cursor.advance(progress)?;
    }
    Ok(match (replay.mismatch(), last) {
        (None, Some(last)) if last > name => DigestProof::Ahead,
        // Servers log before they apply: a next transaction would be in the log.
        (_, Some(last)) if last == name => DigestProof::Wrong,
        (Some(_), Some(last)) if last > name && replay.checked() > before => DigestProof::Wrong,
        _ => DigestProof::Unknown,
    })
}
