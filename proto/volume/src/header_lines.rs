//! The lines of a text header, bounded before any of it is looked at.

use std::io::Read;

use crate::VolumeError;
use crate::input::Input;

/// The longest header. That of a segmentation with a hundred segments has a tenth of it.
pub(crate) const MAX_TEXT_HEADER_BYTES: u64 = 1 << 20;

/// Characters of a header that a message repeats.
const MAX_QUOTED: usize = 80;

/// Takes the lines of a header off a file, one after the other.
pub(crate) struct HeaderLines<'i, 'n, R: Read> {
    input: &'i mut Input<'n, R>,
    /// What was read of the first line before.
    begun: Vec<u8>,
    n_bytes: u64,
    n_lines: usize,
}

impl<'i, 'n, R: Read> HeaderLines<'i, 'n, R> {
    /// `first` are the bytes that were read already.
    pub(crate) fn new(input: &'i mut Input<'n, R>, first: &[u8]) -> Self {
        HeaderLines {
            input,
            begun: first.to_vec(),
            n_bytes: first.len() as u64,
            n_lines: 0,
        }
    }

    /// The next line without its end, `\n` or `\r\n`; and whether it had an end, or the file ends there.
    ///
    /// # Errors
    /// [`VolumeError::HeaderTooLong`], [`VolumeError::HeaderLine`] for bytes that are no text.
    fn take(&mut self) -> Result<(String, bool), VolumeError> {
        let mut line = std::mem::take(&mut self.begun);
        let begun = line.len();
        let whole = self
            .input
            .read_line(&mut line, MAX_TEXT_HEADER_BYTES - self.n_bytes)?;
        self.n_bytes += (line.len() - begun) as u64;
        self.n_lines += 1;
        if whole {
            line.pop();
        } else if self.n_bytes >= MAX_TEXT_HEADER_BYTES {
            return Err(VolumeError::HeaderTooLong {
                name: self.input.name().to_owned(),
                limit: MAX_TEXT_HEADER_BYTES,
            });
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        match String::from_utf8(line) {
            Ok(line) => Ok((line, whole)),
            Err(broken) => Err(self.refused(&String::from_utf8_lossy(broken.as_bytes()), "text in UTF-8")),
        }
    }

    /// The next line of a header that cannot end here.
    ///
    /// # Errors
    /// [`VolumeError::TruncatedHeader`]; [`VolumeError::HeaderTooLong`], [`VolumeError::HeaderLine`] for bytes that are no text.
    pub(crate) fn wanted(&mut self) -> Result<String, VolumeError> {
        match self.take()? {
            (line, true) => Ok(line),
            _ => Err(self.truncated()),
        }
    }

    /// The next line of a header that can end between two lines; `None` if it ends here.
    ///
    /// # Errors
    /// As [`HeaderLines::wanted`].
    pub(crate) fn wanted_or_end(&mut self) -> Result<Option<String>, VolumeError> {
        match self.take()? {
            (line, true) => Ok(Some(line)),
            (line, false) if line.is_empty() => Ok(None),
            _ => Err(self.truncated()),
        }
    }

    /// The next line of a header whose last line may lack its end.
    ///
    /// # Errors
    /// As [`HeaderLines::wanted`].
    pub(crate) fn wanted_or_rest(&mut self) -> Result<String, VolumeError> {
        match self.take()? {
            (line, false) if line.is_empty() => Err(self.truncated()),
            (line, _) => Ok(line),
        }
    }

    fn truncated(&self) -> VolumeError {
        VolumeError::TruncatedHeader {
            name: self.input.name().to_owned(),
            expected: self.n_bytes + 1,
            found: self.n_bytes,
        }
    }

    /// Why the line that was read last is refused.
    pub(crate) fn refused(&self, line: &str, expected: &'static str) -> VolumeError {
        VolumeError::HeaderLine {
            name: self.input.name().to_owned(),
            line: self.n_lines,
            found: shown(line),
            expected,
        }
    }

    /// Bytes up to here.
    pub(crate) fn n_bytes(&self) -> u64 {
        self.n_bytes
    }
}

/// Text of a file as a message may repeat it: its beginning, without control characters.
pub(crate) fn shown(text: &str) -> String {
    let mut characters = text.chars();
    let shown: String = characters
        .by_ref()
        .take(MAX_QUOTED)
        .flat_map(char::escape_debug)
        .collect();
    if characters.next().is_some() {
        format!("{shown}…")
    } else {
        shown
    }
}

/// The values of one field of a header, read strictly.
#[derive(Clone, Copy)]
pub(crate) struct FieldText<'a> {
    /// Of the file.
    pub(crate) name: &'a str,
    pub(crate) field: &'static str,
    pub(crate) text: &'a str,
}

impl FieldText<'_> {
    /// Why it is refused.
    pub(crate) fn refused(self, expected: &'static str) -> VolumeError {
        VolumeError::HeaderField {
            name: self.name.to_owned(),
            field: self.field,
            found: shown(self.text),
            expected,
        }
    }

    /// One integer.
    pub(crate) fn integer(self, expected: &'static str) -> Result<i64, VolumeError> {
        self.text.trim().parse().map_err(|_| self.refused(expected))
    }

    /// So many integers, blanks between them.
    pub(crate) fn integers(self, n: usize, expected: &'static str) -> Result<Vec<i64>, VolumeError> {
        let values: Option<Vec<i64>> = self
            .text
            .split_ascii_whitespace()
            .map(|v| v.parse().ok())
            .collect();
        values
            .filter(|values| values.len() == n)
            .ok_or_else(|| self.refused(expected))
    }

    /// So many finite numbers, blanks between them.
    pub(crate) fn numbers(self, n: usize, expected: &'static str) -> Result<Vec<f64>, VolumeError> {
        let values: Option<Vec<f64>> = self.text.split_ascii_whitespace().map(finite).collect();
        values
            .filter(|values| values.len() == n)
            .ok_or_else(|| self.refused(expected))
    }
}

/// A finite number.
pub(crate) fn finite(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|v: &f64| v.is_finite())
}
