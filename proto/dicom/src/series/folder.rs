//! The files of a folder: counted, sorted by name, no links.

use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, File};
use nephrite_types::CancelToken;

use crate::error::DicomError;
use crate::file_error::FileError;
use crate::limits::DicomLimits;

/// Paths beneath a folder.
pub(super) struct Files {
    /// Regular files, sorted.
    pub(super) paths: Vec<PathBuf>,
    /// Links, pipes and devices: not opened.
    pub(super) skipped: Vec<PathBuf>,
}

/// All files beneath `dir`. `name` stands in messages.
pub(super) fn files(
    dir: &Dir,
    name: &str,
    limits: &DicomLimits,
    cancel: &CancelToken,
) -> Result<Files, DicomError> {
    let failed = |source| DicomError::Folder {
        name: name.to_owned(),
        source,
    };
    let too_large = |what, limit| DicomError::FolderTooLarge {
        name: name.to_owned(),
        what,
        limit,
    };
    let mut found = Files {
        paths: Vec::new(),
        skipped: Vec::new(),
    };
    let mut bytes = 0u64;
    let mut waiting = vec![(PathBuf::new(), 0)];
    while let Some((folder, depth)) = waiting.pop() {
        cancel.check()?;
        let here: &Path = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            &folder
        };
        for entry in dir.read_dir(here).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = folder.join(entry.file_name());
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                if depth >= limits.max_folder_depth {
                    return Err(too_large(
                        "folders within folders",
                        limits.max_folder_depth as u64,
                    ));
                }
                waiting.push((path, depth + 1));
                continue;
            }
            if found.paths.len() + found.skipped.len() >= limits.max_files {
                return Err(too_large("files", limits.max_files as u64));
            }
            if !kind.is_file() {
                found.skipped.push(path);
                continue;
            }
            bytes = bytes.saturating_add(entry.metadata().map_err(failed)?.len());
            if bytes > limits.max_folder_bytes {
                return Err(too_large("bytes", limits.max_folder_bytes));
            }
            found.paths.push(path);
        }
    }
    found.paths.sort();
    found.skipped.sort();
    Ok(found)
}

/// Opens a file beneath the folder.
pub(super) fn open(dir: &Dir, path: &Path) -> Result<std::fs::File, FileError> {
    dir.open(path)
        .map(File::into_std)
        .map_err(|source| FileError::Read {
            name: path.to_string_lossy().into_owned(),
            source,
        })
}
