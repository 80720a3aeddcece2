//! The parts of a multi.

use crate::jute::{Decoder, Encode, Malformed};
use crate::log::txn::{Txn, TxnType};

/// The parts of a multi: checked when they are read, decoded when they are iterated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ops<'a> {
    /// The vector as it is on disk, its count included.
    encoded: &'a [u8],
    failed: bool,
}

impl<'a> Ops<'a> {
    /// Checks and takes the parts.
    pub fn decode(from: &mut Decoder<'a>) -> Result<Self, Malformed> {
        let start = from.position();
        let mut failed = false;
        for _ in 0..from.count(8)?.unwrap_or(0) {
            failed |= op(from)?.0.txn_type() == TxnType::Error;
        }
        Ok(Self { encoded: from.since(start), failed })
    }

    /// The parts as they are on disk.
    pub(crate) fn encoded(self) -> &'a [u8] {
        self.encoded
    }

    /// Whether one of the parts failed: then none of them took effect.
    pub fn failed(self) -> bool {
        self.failed
    }

    /// The parts, in order.
    pub fn iter(self) -> impl Iterator<Item = Txn<'a>> {
        self.raw().map(|(txn, _)| txn)
    }

    /// The parts, each with its bytes.
    pub fn raw(self) -> impl Iterator<Item = (Txn<'a>, &'a [u8])> {
        let mut decoder = Decoder::new(self.encoded);
        let count = decoder.count(8).ok().flatten().unwrap_or(0);
        (0..count).map_while(move |_| op(&mut decoder).ok())
    }
}

fn op<'a>(from: &mut Decoder<'a>) -> Result<(Txn<'a>, &'a [u8]), Malformed> {
    let code = from.i32()?;
    let start = from.position();
    let bytes = from.buffer()?.unwrap_or_default();
    let placed = |e: Malformed| Malformed { at: start + 4 + e.at, ..e };
    match TxnType::from_code(code) {
        // What servers refuse too. A multi in a multi would also let a file choose the depth of our stack.
        None
        | Some(TxnType::Multi | TxnType::CreateSession | TxnType::CloseSession | TxnType::SetAcl | TxnType::Reconfig) => {
            Err(Malformed { what: "a multi has a part of a type that cannot be in one", at: start })
        }
        Some(txn_type) => Txn::decode(txn_type, &mut Decoder::new(bytes)).map(|txn| (txn, bytes)).map_err(placed),
    }
}

/// Writes parts as they are on disk.
pub fn encode_ops(ops: &[Txn<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.put_count(ops.len());
    for txn in ops {
        bytes.put_i32(txn.txn_type().code());
        let mut part = Vec::new();
        txn.encode(&mut part);
        bytes.put_buffer(Some(&part));
    }
    bytes
}
