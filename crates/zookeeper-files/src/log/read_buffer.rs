//! The part of a file that is in memory. It moves forward, and grows only as bytes arrive.

use std::io::{self, ErrorKind, Read};

/// Large enough that reads cost little, small enough to stay in the processor's cache.
const SIZE: usize = 256 << 10;

pub(crate) struct ReadBuffer<R> {
    source: R,
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
    offset: u64,
}

impl<R: Read> ReadBuffer<R> {
    /// A buffer of `source`, whose next byte is at `offset` of the file.
    pub(crate) fn new(source: R, offset: u64) -> Self {
        Self { source, buffer: vec![0; SIZE], start: 0, filled: 0, offset }
    }

    /// Where in the file [`bytes`](Self::bytes) begin.
    #[inline]
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.filled]
    }

    /// Skips bytes, and returns where they are in the buffer: they stay there until the next fill.
    #[inline]
    pub(crate) fn skip(&mut self, bytes: usize) -> usize {
        let start = self.start;
        self.start += bytes.min(self.filled - start);
        self.offset += (self.start - start) as u64;
        start
    }

    /// Bytes that [`skip`](Self::skip) skipped.
    #[inline]
    pub(crate) fn past(&self, start: usize, length: usize) -> &[u8] {
        &self.buffer[start..start + length]
    }

    /// Reads until at least `needed` bytes are there; `false` if the file ends before.
    pub(crate) fn fill(&mut self, needed: usize) -> io::Result<bool> {
        if self.filled - self.start >= needed {
            return Ok(true);
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.filled, 0);
            self.filled -= self.start;
            self.start = 0;
        }
        while self.filled - self.start < needed {
            if self.filled == self.buffer.len() {
                let doubled = self.buffer.len() * 2;
                self.buffer.resize(doubled, 0);
            }
            match self.source.read(&mut self.buffer[self.filled..]) {
                Ok(0) => return Ok(false),
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
