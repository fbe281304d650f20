//! A zlib stream of known length, decompressed; an end that comes too early is an error, and so is a checksum that does not match.

use std::io::{self, BufRead, Read};

use flate2::{Decompress, FlushDecompress, Status};

/// Decompresses so many bytes of a file.
pub(crate) struct Zlib<B> {
    file: B,
    /// Compressed bytes that are still to come.
    n_left: u64,
    decompress: Decompress,
    at_end: bool,
}

impl<B: BufRead> Zlib<B> {
    pub(crate) fn new(file: B, n_bytes: u64) -> Self {
        Zlib {
            file,
            n_left: n_bytes,
            decompress: Decompress::new(true),
            at_end: false,
        }
    }

    /// What it reads from.
    pub(crate) fn file(&self) -> &B {
        &self.file
    }
}

impl<B: BufRead> Read for Zlib<B> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at_end || buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let ahead = self.file.fill_buf()?;
            let n = usize::try_from(self.n_left).map_or(ahead.len(), |left| left.min(ahead.len()));
            let (before_in, before_out) = (self.decompress.total_in(), self.decompress.total_out());
            let status = self
                .decompress
                .decompress(&ahead[..n], buffer, FlushDecompress::None)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let taken = (self.decompress.total_in() - before_in) as usize; // at most n
            let made = (self.decompress.total_out() - before_out) as usize; // at most the buffer
            self.file.consume(taken);
            self.n_left -= taken as u64;
            self.at_end = status == Status::StreamEnd;
            if made > 0 || self.at_end {
                return Ok(made);
            }
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if taken == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "zlib makes no progress",
                ));
            }
        }
    }
}
