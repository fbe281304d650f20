//! The result folder: made new, filled file by file, kept only if the case succeeds.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cap_std::fs::Dir;
use nephrite_kernel::{Artefacts, Mask, write_mask};
use nephrite_types::{CancelToken, Geometry, Limits};
use nephrite_volume::{SourceGeometry, VolumeError, hash_file, write_atomically, write_label_map};

use super::CaseFault;
use crate::{CoreError, FileRecord, Root};

/// The name of the file that is written last.
pub(super) const RECORD: &str = "record.json";

/// A folder that goes away unless it is kept.
#[derive(Debug)]
pub(super) struct ResultFolder {
    parent: Dir,
    name: String,
    dir: Dir,
    /// As the request named it.
    path: PathBuf,
    files: Mutex<Vec<FileRecord>>,
    keep: bool,
}

impl ResultFolder {
    /// Makes it. Other processes that write into it have the rights that they have in the folder above.
    ///
    /// # Errors
    /// [`CaseFault::OutputExists`], [`CaseFault::OutputName`]; what is wrong with the folder above.
    pub(super) fn create(root: &Root, path: &Path) -> Result<ResultFolder, CoreError> {
        let unnamed = || CaseFault::OutputName {
            path: path.to_owned(),
        };
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or_else(unnamed)?;
        let above = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let parent = root.open_writable_folder(above)?;
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => CaseFault::OutputExists {
                path: path.to_owned(),
            },
            _ => CaseFault::Output {
                path: path.to_owned(),
                reason: error.to_string(),
            },
        };
        parent.create_dir(name).map_err(failed)?;
        let opened = parent.dir_metadata().and_then(|metadata| {
            let _ = parent.set_permissions(name, metadata.permissions()); // refused by some file systems
            parent.open_dir(name)
        });
        let dir = opened.map_err(|error| {
            let _ = parent.remove_dir(name); // the error at hand says more
            failed(error)
        })?;
        Ok(ResultFolder {
            parent,
            name: name.to_owned(),
            dir,
            path: path.to_owned(),
            files: Mutex::default(),
            keep: false,
        })
    }

    /// As the request named it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a mask, on the grid of the reference as a mask of its scan; gives its path.
    pub(super) fn write_mask(
        &self,
        file: &str,
        mask: &Mask,
        reference: (&Geometry, &SourceGeometry),
        limits: &Limits,
        cancel: &CancelToken,
    ) -> Result<String, CoreError> {
        if mask.runs().geometry() == reference.0 {
            write_label_map(&self.dir, file, &mask.runs().to_labels(), reference.1)?;
        } else {
            write_mask(&self.dir, file, mask, limits)?;
        }
        self.note(file, cancel)?;
        Ok(self.path.join(file).display().to_string())
    }

    /// A new folder inside, for the files of a step.
    pub(super) fn folder(&self, step: &str) -> Result<Artefacts, CoreError> {
        let path = self.path.join(step);
        let failed = |error: std::io::Error| CaseFault::Output {
            path: path.clone(),
            reason: error.to_string(),
        };
        self.dir.create_dir(step).map_err(failed)?;
        if let Ok(metadata) = self.dir.dir_metadata() {
            let _ = self.dir.set_permissions(step, metadata.permissions()); // refused by some file systems
        }
        let folder = self.dir.open_dir(step).map_err(failed)?;
        Ok(Artefacts::new(folder, &path))
    }

    /// Takes a file into the record; its path is below the folder.
    pub(super) fn note(&self, file: &str, cancel: &CancelToken) -> Result<(), CoreError> {
        let path = self.path.join(file);
        let opened = self.dir.open(file).map_err(|source| CaseFault::Output {
            path: path.clone(),
            reason: source.to_string(),
        })?;
        let hash = hash_file(opened.into_std(), &path.to_string_lossy(), cancel)?;
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.push(FileRecord {
            path: file.to_owned(),
            sha256: hash.to_string(),
            bytes: hash.bytes,
        });
        Ok(())
    }

    /// What was written so far, by path.
    pub(super) fn files(&self) -> Vec<FileRecord> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner).clone();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    }

    /// Writes the record and keeps everything.
    pub(super) fn finish(mut self, record: &str) -> Result<(), VolumeError> {
        write_atomically(&self.dir, RECORD, |out| out.write_all(record.as_bytes()))?;
        self.keep = true;
        Ok(())
    }
}

impl Drop for ResultFolder {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        if let Err(error) = self.parent.remove_dir_all(&self.name) {
            tracing::warn!(folder = %self.path.display(), %error, "the folder of a failed case could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use nephrite_types::ErrorCode;

    use super::*;

    #[test]
    fn a_folder_is_new_and_goes_away_unless_it_is_kept() {
        let temp = tempfile::tempdir().unwrap();
        let root = Root::beneath(temp.path()).unwrap();
        let code = |path: &str| {
            ResultFolder::create(&root, path.as_ref())
                .map(|_| ())
                .unwrap_err()
                .code()
        };
        let folder = ResultFolder::create(&root, "out".as_ref()).unwrap();
        assert_eq!(code("out"), ErrorCode::InvalidArgument, "there already");
        folder.folder("sample").unwrap();
        drop(folder);
        assert!(!temp.path().join("out").exists());
        ResultFolder::create(&root, "out".as_ref())
            .unwrap()
            .finish("{}")
            .unwrap();
        assert_eq!(
            std::fs::read_to_string(temp.path().join("out/record.json")).unwrap(),
            "{}"
        );
        assert_eq!(code("../out"), ErrorCode::PermissionDenied);
        assert_eq!(code("a/b"), ErrorCode::NotFound);
        assert_eq!(code(".."), ErrorCode::InvalidArgument);
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 1);
    }
}
