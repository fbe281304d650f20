//! Whether a file is still the one that was opened, and small files that are read whole.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use nephrite_root::{PathError, Root};
use nephrite_types::FileIdentity;

use crate::error::CoreError;

/// Of an open file; `path` stands in messages only.
fn identity(file: &File, path: &Path) -> Result<FileIdentity, CoreError> {
    FileIdentity::of(file).map_err(|source| io_error(path, source))
}

pub(crate) fn io_error(path: &Path, source: std::io::Error) -> CoreError {
    let path = path.to_owned();
    PathError::Io { path, source }.into()
}

pub(crate) fn changed(path: &Path) -> CoreError {
    CoreError::FileChanged {
        path: path.to_owned(),
    }
}

/// Reads a whole file that a request names, of at most `limit` bytes.
///
/// # Errors
/// [`CoreError::Path`], [`CoreError::FileTooLarge`]; [`CoreError::FileChanged`] if somebody writes to it meanwhile.
pub fn read_small_file(root: &Root, path: &Path, limit: u64) -> Result<Vec<u8>, CoreError> {
    let file = root.open_file(path)?;
    let before = identity(&file, path)?;
    let mut bytes = Vec::new();
    (&file)
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|source| io_error(path, source))?;
    if identity(&file, path)? != before {
        return Err(changed(path));
    }
    if bytes.len() as u64 > limit {
        return Err(CoreError::FileTooLarge {
            limit,
            path: path.to_owned(),
        });
    }
    Ok(bytes)
}
