//! Finds where a record could begin, and checks whether it follows the one before.

use crate::ids::Zxid;
use crate::jute::Decoder;
use crate::log::damage::LogFault;
use crate::log::record::{FRAME_HEAD, Header};

/// The length field of the first frame.
pub(crate) fn length(bytes: &[u8]) -> Option<i32> {
    bytes.get(8..)?.first_chunk().map(|length| i32::from_be_bytes(*length))
}

pub(crate) fn claimed(body: &[u8]) -> Option<Header> {
    Header::decode(&mut Decoder::new(body)).ok().map(|(header, _)| header)
}

/// The fault if `zxid` cannot follow `before`. Within an epoch zxids have no gaps, and a new epoch begins with 1.
pub(crate) fn jump(before: Zxid, zxid: Zxid) -> Option<LogFault> {
    let follows = zxid.0 == before.0.wrapping_add(1) || (zxid.epoch() > before.epoch() && zxid.counter() == 1);
    match zxid > before {
        _ if follows => None,
        true => Some(LogFault::Gap { before }),
        false => Some(LogFault::Backwards { before }),
    }
}

/// Where a frame could begin, and its length: four zeros, a believable length, a known type, a later zxid.
pub(crate) fn candidate(bytes: &[u8], limit: usize, last: Option<Zxid>) -> Option<(usize, usize)> {
    bytes.windows(FRAME_HEAD + Header::LENGTH).enumerate().find_map(|(at, frame)| {
        let (head, body) = frame.split_first_chunk::<FRAME_HEAD>()?;
        if head[..4] != [0; 4] {
            return None;
        }
        let length = usize::try_from(i32::from_be_bytes([head[8], head[9], head[10], head[11]])).ok()?;
        let (header, code) = Header::decode(&mut Decoder::new(body)).ok()?;
        let later = last.is_none_or(|last| header.zxid > last) && header.zxid.0 != 0;
        let known = crate::log::txn::TxnType::from_code(code).is_some();
        (length >= Header::LENGTH && length <= limit && known && later).then_some((at, FRAME_HEAD + length + 1))
    })
}

pub(crate) fn first_nonzero(bytes: &[u8]) -> Option<usize> {
    let zeros =
        bytes.chunks_exact(64).take_while(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0).count() * 64;
    bytes[zeros..].iter().position(|&byte| byte != 0).map(|at| zeros + at)
}
