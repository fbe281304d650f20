//! The first bytes of a file or of what it inflates to, as many as are asked for.

use std::io::{self, Read};

use crate::file_error::FileFault;

/// Bytes of a reader, taken on demand.
pub(super) struct Stream<R> {
    reader: R,
    pub(super) bytes: Vec<u8>,
    /// The reader has no more.
    pub(super) is_whole: bool,
}

/// Why no more came.
#[derive(Debug)]
pub(crate) enum StreamError {
    Io(io::Error),
    Fault(FileFault),
}

impl<R: Read> Stream<R> {
    pub(super) fn new(reader: R) -> Self {
        Stream {
            reader,
            bytes: Vec::new(),
            is_whole: false,
        }
    }

    /// Takes bytes until there are `n`, or no more.
    pub(super) fn fill(&mut self, n: usize) -> Result<(), StreamError> {
        let want = n.saturating_sub(self.bytes.len());
        if self.is_whole || want == 0 {
            return Ok(());
        }
        let no_memory = |_| StreamError::Fault(FileFault::NoMemory { bytes: n as u64 });
        // Memory follows what comes, not what is promised.
        const STEP: usize = 4 << 20;
        let mut left = want;
        while left > 0 {
            let step = left.min(STEP);
            self.bytes.try_reserve(step).map_err(no_memory)?;
            let came = self
                .reader
                .by_ref()
                .take(step as u64)
                .read_to_end(&mut self.bytes);
            let came = came.map_err(StreamError::Io)?;
            if came < step {
                self.is_whole = true;
                break;
            }
            left -= step;
        }
        Ok(())
    }

    pub(super) fn into_parts(self) -> (Vec<u8>, R) {
        (self.bytes, self.reader)
    }
}
