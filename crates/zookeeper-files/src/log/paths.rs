//! The paths that are deleted with a session.

use crate::jute::{Decoder, Encode, Malformed, Text};

/// A list of paths: checked when it is read, decoded when it is iterated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Paths<'a> {
    /// The vector as it is on disk, its count included.
    encoded: &'a [u8],
}

impl<'a> Paths<'a> {
    /// Checks and takes a list.
    pub fn decode(from: &mut Decoder<'a>) -> Result<Self, Malformed> {
        let start = from.position();
        for _ in 0..from.count(4)?.unwrap_or(0) {
            from.text()?;
        }
        Ok(Self { encoded: from.since(start) })
    }

    /// The list as it is on disk.
    pub(crate) fn encoded(self) -> &'a [u8] {
        self.encoded
    }

    /// The paths.
    pub fn iter(self) -> impl Iterator<Item = Text<'a>> {
        let mut decoder = Decoder::new(self.encoded);
        let count = decoder.count(4).ok().flatten().unwrap_or(0);
        (0..count).map_while(move |_| decoder.text().ok())
    }
}

/// Writes a list as it is on disk.
pub fn encode_paths<'p>(paths: impl ExactSizeIterator<Item = &'p [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.put_count(paths.len());
    paths.for_each(|path| bytes.put_buffer(Some(path)));
    bytes
}
