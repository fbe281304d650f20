//! An open checkpoint whose reading a cancel token can stop between two chunks.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use nephrite_types::{CancelToken, Cancelled};

use crate::FolderError;
use crate::archive::ArchiveFault;

/// Bytes that are read between two looks at the token.
const CHUNK: usize = 4 << 20;

/// A file whose reading stops when its token says so.
#[derive(Debug)]
pub struct CheckpointFile {
    file: File,
    cancel: CancelToken,
}

impl CheckpointFile {
    /// Reads `file` until `cancel` asks to stop.
    pub fn new(file: File, cancel: &CancelToken) -> Self {
        CheckpointFile {
            file,
            cancel: cancel.clone(),
        }
    }
}

impl Read for CheckpointFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.cancel.check().map_err(io::Error::other)?;
        let len = buffer.len().min(CHUNK);
        self.file.read(&mut buffer[..len])
    }
}

impl Seek for CheckpointFile {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}

/// The error of a read that failed or was stopped.
pub(crate) fn read_error(file: &str, cause: io::Error) -> FolderError {
    match cause
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Cancelled>())
    {
        Some(cancelled) => FolderError::Cancelled(*cancelled),
        None => FolderError::Io {
            file: file.to_owned(),
            cause,
        },
    }
}

/// The error of an archive that is broken, or whose reading failed or was stopped.
pub(crate) fn archive_error(file: &str, fault: ArchiveFault) -> FolderError {
    match fault {
        ArchiveFault::Io(cause) => read_error(file, cause),
        fault => FolderError::Archive {
            file: file.to_owned(),
            fault,
        },
    }
}
