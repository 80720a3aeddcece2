//! Compressed snapshots: gzip, and the format of snappy-java.

use std::io::{self, BufReader, Error, ErrorKind, Read};

use flate2::bufread::MultiGzDecoder;

/// How a file is compressed. Servers look at the name; this looks at the first bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not compressed.
    #[default]
    Plain,
    /// gzip, `.gz`.
    Gzip,
    /// snappy-java, `.snappy`.
    Snappy,
}

const SNAPPY_HEADER: [u8; 8] = *b"\x82SNAPPY\0";
/// snappy-java's own blocks are of 32 KiB, and of 512 MiB at most.
const BLOCK_LIMIT: usize = 16 << 20;

impl Compression {
    /// How many bytes [`sniff`](Self::sniff) looks at.
    pub(crate) const SNIFFED: usize = 8;

    /// The compression of a file with these first bytes.
    pub fn sniff(head: &[u8]) -> Self {
        if head.starts_with(&[0x1f, 0x8b]) {
            Self::Gzip
        } else if head.starts_with(&SNAPPY_HEADER) {
            Self::Snappy
        } else {
            Self::Plain
        }
    }

    /// The compression that a server expects for a file of this name.
    pub fn by_name(name: &str) -> Self {
        match name.rsplit('.').next() {
            Some("gz") => Self::Gzip,
            Some("snappy") => Self::Snappy,
            _ => Self::Plain,
        }
    }

    /// Unpacks what `source` gives.
    pub fn unpack<R: Read>(self, source: R) -> Unpacked<R> {
        match self {
            Self::Plain => Unpacked::Plain(source),
            Self::Gzip => Unpacked::Gzip(Box::new(MultiGzDecoder::new(BufReader::with_capacity(64 << 10, source)))),
            Self::Snappy => {
                Unpacked::Snappy(Snappy { source: BufReader::new(source), block: Vec::new(), at: 0, begun: false })
            }
        }
    }
}

/// The content of a file that may be compressed.
pub enum Unpacked<R> {
    /// Not compressed.
    Plain(R),
    /// From gzip.
    Gzip(Box<MultiGzDecoder<BufReader<R>>>),
    /// From snappy-java.
    Snappy(Snappy<R>),
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(source) => source.read(to),
            Self::Gzip(source) => source.read(to),
            Self::Snappy(source) => source.read(to),
        }
    }
}

/// Unpacks the stream of snappy-java: a header, then blocks with their lengths before them.
pub struct Snappy<R> {
    source: BufReader<R>,
    block: Vec<u8>,
    at: usize,
    begun: bool,
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

impl<R: Read> Snappy<R> {
    fn next_block(&mut self) -> io::Result<bool> {
        let mut head = [0; 4];
        match self.source.read(&mut head[..1])? {
            0 => return Ok(false),
            _ => self.source.read_exact(&mut head[1..])?,
        }
        // A later stream may be appended to the first, each with its own header: magic, version, least version.
        if head[..] == SNAPPY_HEADER[..4] {
            let mut rest = [0; 12];
            self.source.read_exact(&mut rest)?;
            self.begun = rest[..4] == SNAPPY_HEADER[4..];
            return if self.begun { Ok(true) } else { Err(invalid("the header of the snappy stream is damaged")) };
        }
        let length = u32::from_be_bytes(head) as usize;
        if !self.begun || length > BLOCK_LIMIT {
            return Err(invalid("a snappy block has an absurd length"));
        }
        let mut packed = Vec::new();
        (&mut self.source).take(length as u64).read_to_end(&mut packed)?;
        if packed.len() < length {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let unpacked = snap::raw::decompress_len(&packed).map_err(|error| invalid(&error.to_string()))?;
        if unpacked > BLOCK_LIMIT {
            return Err(invalid("a snappy block unpacks to an absurd length"));
        }
        self.block.resize(unpacked, 0);
        let written = snap::raw::Decoder::new().decompress(&packed, &mut self.block);
        self.block.truncate(written.map_err(|error| invalid(&error.to_string()))?);
        self.at = 0;
        Ok(true)
    }
}

impl<R: Read> Read for Snappy<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            if !self.next_block()? {
                return Ok(0);
            }
        }
        let count = to.len().min(self.block.len() - self.at);
        to[..count].copy_from_slice(&self.block[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
