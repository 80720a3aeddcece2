//! Whether the content of a snapshot is what its server had, where the snapshot alone does not tell.
//!
//! Servers write the digest of the last transaction that they count, while the next one may be in the content already: a
//! transaction is in the tree before it is counted. It need not show: an ACL that was set, or a znode deleted after its
//! parent was written, leaves no zxid. The log has that transaction, and what the tree was after it.

use crate::disk::chain::Chain;
use crate::disk::error::CannotLook;
use crate::disk::live::unless_purged;
use crate::disk::member::{File, Member};
use crate::disk::open::{OnProgress, open_snapshot};
use crate::ids::Zxid;
use crate::replay::Replay;

/// What the logs say of a snapshot whose digest is not that of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// It is sound: with the next transaction it is what the server had then.
    Ahead,
    /// It is not what the server had.
    Wrong,
    /// The logs that would tell are not here, or carry no digests.
    Unknown,
}

pub(crate) fn proof(member: &Member, file: &File, progress: OnProgress<'_>) -> Result<Proof, CannotLook> {
    let Some(name) = file.zxid else { return Ok(Proof::Unknown) };
    let Some(reader) = unless_purged(open_snapshot(&file.path, member.max_record))? else {
        return Ok(Proof::Unknown);
    };
    let Ok(mut replay) = reader.and_then(|mut reader| Replay::of_snapshot(&mut reader, name)) else {
        return Ok(Proof::Wrong);
    };
    let before = replay.checked();
    let mut chain = Chain::new(member.logs_after(name), member.max_record, progress)?;
    let mut last: Option<Zxid> = None;
    while let Some(zxid) = chain.zxid() {
        if let Some(Ok(record)) = chain.record() {
            if zxid > name && crate::log::jump(replay.tree().last(), zxid).is_some() {
                return Ok(Proof::Unknown);
            }
            replay.apply(&record);
        }
        last = Some(zxid);
        if zxid > replay.fuzzy_until() || (zxid == replay.fuzzy_until() && replay.checked() > before) {
            break;
        }
        chain.advance(progress)?;
    }
    Ok(match (replay.mismatch(), last) {
        (None, Some(last)) if last > name => Proof::Ahead,
        // It is logged before it is applied: had there been a next one, the log would have it.
        (_, Some(last)) if last == name => Proof::Wrong,
        (Some(_), Some(last)) if last > name && replay.checked() > before => Proof::Wrong,
        _ => Proof::Unknown,
    })
}
