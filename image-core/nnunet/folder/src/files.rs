//! Opening files of a model folder: regular files beneath its directory handle, never more bytes than a limit.

use std::io::{ErrorKind, Read};

use cap_std::fs::{Dir, File};
use nephrite_types::Limits;

use crate::FolderError;

/// Opens a regular file; `None` if there is none of this name.
pub(crate) fn open_regular(folder: &Dir, folder_name: &str, file: &str) -> Result<Option<File>, FolderError> {
    let name = || format!("{folder_name}/{file}");
    let io = |cause| FolderError::Io { file: name(), cause };
    // Looked at before it is opened: opening a pipe would wait for a writer.
    match folder.metadata(file) {
        Ok(metadata) if metadata.is_file() => folder.open(file).map(Some).map_err(io),
        Ok(_) => Err(FolderError::NotAFile { file: name() }),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(io(error)),
    }
}

/// Reads a whole file of at most `limit` bytes; `None` if there is none of this name.
pub(crate) fn read_limited(
    folder: &Dir,
    folder_name: &str,
    file: &str,
    what: &'static str,
    limit: u64,
) -> Result<Option<Vec<u8>>, FolderError> {
    let Some(opened) = open_regular(folder, folder_name, file)? else {
        return Ok(None);
    };
    let name = format!("{folder_name}/{file}");
    let claimed = opened.metadata().map_or(0, |metadata| metadata.len());
    let mut bytes = Vec::new();
    if claimed <= limit {
        let read = opened.take(limit.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|cause| FolderError::Io {
            file: name.clone(),
            cause,
        })?;
    }
    let found = claimed.max(bytes.len() as u64);
    match found > limit {
        true => Err(FolderError::TooLarge {
            file: name,
            what,
            limit,
            found,
        }),
        false => Ok(Some(bytes)),
    }
}

/// Reads a whole JSON file; `None` if there is none of this name.
pub(crate) fn read_json_file(
    folder: &Dir,
    folder_name: &str,
    file: &str,
    limits: &Limits,
) -> Result<Option<Vec<u8>>, FolderError> {
    read_limited(folder, folder_name, file, "the file", limits.max_json_bytes)
}
