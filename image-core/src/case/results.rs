//! The result folder: filled under a hidden name beside its own, which it gets when it is whole; gone if the case fails.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cap_std::fs::Dir;
use nephrite_kernel::{Artefacts, Mask, write_mask};
use nephrite_root::{ClaimError, PathError, Root, WorkFolder, sweep};
use nephrite_types::{CancelToken, Geometry, Limits, data_file_of};
use nephrite_volume::{FileHash, SourceGeometry, hash_file, write_atomically, write_label_map};

use super::CaseError;
use super::owner::CaseOwner;
use super::record::{JobRecord, Record};
use super::report::CaseReport;
use crate::model::FileRecord;

/// The name of the file that is written last.
pub(super) const RECORD: &str = "record.json";

/// A folder that goes away unless it is finished.
#[derive(Debug)]
pub(super) struct ResultFolder {
    name: String,
    /// `None` once it is finished, or gone.
    work: Option<WorkFolder>,
    dir: Dir,
    /// As the request named it.
    path: PathBuf,
    /// Where it lies until it is finished: what other processes are told that write into it.
    work_path: PathBuf,
    files: Mutex<Vec<FileRecord>>,
}

impl ResultFolder {
    /// Claims the name and makes a hidden folder for it. Other processes that write into it have the rights that they have
    /// in the folder above. What dead processes left in that folder goes. Each try of a job has a hidden name of its own: an
    /// earlier one may still hold its own, and is refused at its end.
    ///
    /// # Errors
    /// [`CaseError::OutputExists`], also if another case that runs has the name; [`CaseError::OutputName`]; what is wrong
    /// with the folder above.
    pub(super) fn create(
        root: &Root,
        path: &Path,
        job: Option<&JobRecord>,
    ) -> Result<ResultFolder, CaseError> {
        let (parent, name) = open_parent(root, path)?;
        let above = path.parent().unwrap_or(Path::new("")); // it has a name, so there is one
        let exists = |running| CaseError::OutputExists {
            path: path.to_owned(),
            running,
        };
        let failed = |error: std::io::Error| CaseError::Output {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let swept = sweep(&parent);
        if swept.removed > 0 {
            tracing::info!(folder = %above.display(), swept.removed, "what dead processes left was removed");
        }
        let work = WorkFolder::claim(&parent, claim_of(&name, job)).map_err(|error| match error {
            ClaimError::Taken => exists(true),
            ClaimError::Io(error) => failed(error),
            error => CaseError::Output {
                path: path.to_owned(),
                reason: error.to_string(),
            },
        })?;
        // Only now: a case that was just finished has given its claim up.
        match parent.symlink_metadata(&name) {
            Ok(_) => return Err(exists(false)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        Ok(ResultFolder {
            dir: work.folder().try_clone().map_err(failed)?,
            work_path: above.join(work.name()),
            name,
            work: Some(work),
            path: path.to_owned(),
            files: Mutex::default(),
        })
    }

    /// Writes a mask, on the grid of the reference as a mask of its scan, and takes its files into the record.
    pub(super) fn write_mask(
        &self,
        file: &str,
        mask: &Mask,
        reference: (&Geometry, &SourceGeometry),
        limits: &Limits,
        cancel: &CancelToken,
    ) -> Result<(), CaseError> {
        if mask.runs().geometry() == reference.0 {
            let labels = mask
                .runs()
                .try_to_labels()
                .map_err(nephrite_kernel::OperationError::from)?;
            write_label_map(&self.dir, file, &labels, reference.1)?;
        } else {
            write_mask(&self.dir, file, mask, limits)?;
        }
        self.note(file, cancel)?;
        match data_file_of(file) {
            Some(data_file) => self.note(&data_file, cancel),
            None => Ok(()),
        }
    }

    /// Where files of the result lie until it is finished.
    pub(super) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// A new folder inside, for the files of a step. Its path is the one that it has now, hidden, since services and other
    /// cores write there.
    pub(super) fn folder(&self, step: &str) -> Result<Artefacts, CaseError> {
        let path = self.work_path.join(step);
        let failed = |error: std::io::Error| CaseError::Output {
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
    pub(super) fn note(&self, file: &str, cancel: &CancelToken) -> Result<(), CaseError> {
        let path = self.path.join(file);
        let opened = self.dir.open(file).map_err(|source| CaseError::Output {
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

    /// The folder and the name of a file by its path below the result folder; folders are made.
    pub(super) fn place_of(&self, file: &str) -> Result<(Dir, String), CaseError> {
        let failed = |error: std::io::Error| CaseError::Output {
            path: self.path.join(file),
            reason: error.to_string(),
        };
        match file.rsplit_once('/') {
            None => Ok((self.dir.try_clone().map_err(failed)?, file.to_owned())),
            Some((folder, name)) => {
                self.dir.create_dir_all(folder).map_err(failed)?;
                Ok((self.dir.open_dir(folder).map_err(failed)?, name.to_owned()))
            }
        }
    }

    /// Writes the record, asks the owner, and gives the folder its name, which is never taken from anything that is there.
    ///
    /// # Errors
    /// [`CaseError::OutputExists`] if somebody made something of that name meanwhile; what the owner and the system say.
    pub(super) fn finish(self, record: Record, owner: &dyn CaseOwner) -> Result<CaseReport, CaseError> {
        let mut json = serde_json::to_string_pretty(&record).expect("a record has string keys only");
        json.push('\n');
        write_atomically(&self.dir, RECORD, |out| out.write_all(json.as_bytes()))?;
        owner.seal()?;
        self.publish()?;
        let mut files = record.files.clone();
        files.push(FileRecord {
            path: RECORD.to_owned(),
            sha256: FileHash::of(json.as_bytes()).to_string(),
            bytes: json.len() as u64,
        });
        Ok(CaseReport { record, json, files })
    }

    fn publish(mut self) -> Result<(), CaseError> {
        let Some(work) = self.work.take() else {
            return Ok(());
        };
        work.publish(&self.name).map_err(|error| {
            let path = self.path.clone();
            if error.kind() == std::io::ErrorKind::AlreadyExists {
                return CaseError::OutputExists { path, running: false };
            }
            CaseError::Output {
                path,
                reason: error.to_string(),
            }
        })?;
        Ok(())
    }
}

/// Whether a result folder could be made now; makes nothing.
///
/// # Errors
/// [`CaseError::OutputExists`], [`CaseError::OutputName`]; what is wrong with the folder above.
pub(super) fn check_output_is_free(root: &Root, path: &Path) -> Result<(), CaseError> {
    let (parent, name) = open_parent(root, path)?;
    match parent.symlink_metadata(&name) {
        Ok(_) => Err(CaseError::OutputExists {
            path: path.to_owned(),
            running: false,
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(CaseError::Output {
            path: path.to_owned(),
            reason: error.to_string(),
        }),
    }
}

fn open_parent(root: &Root, path: &Path) -> Result<(Dir, String), CaseError> {
    root.open_parent(path).map_err(|error| match error {
        PathError::FileName { path, reason } => CaseError::OutputName { path, reason },
        error => error.into(),
    })
}

/// The claim of a name within its folder, or of a try of a job.
fn claim_of(name: &str, job: Option<&JobRecord>) -> u64 {
    let claim = match job {
        None => name.to_owned(),
        Some(job) => format!("{name}/{}/{}/{}", job.id, job.number, job.lease), // no name has a slash
    };
    let [a, b, c, d, e, f, g, h, ..] = FileHash::of(claim.as_bytes()).sha256;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

impl Drop for ResultFolder {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.work.take().map(WorkFolder::discard) {
            tracing::warn!(folder = %self.work_path.display(), %error, "the folder of a failed case could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use nephrite_types::{Coded, ErrorCode};

    use super::*;

    fn names(temp: &tempfile::TempDir) -> Vec<String> {
        let entries = std::fs::read_dir(temp.path()).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_folder_is_new_and_goes_away_unless_it_is_finished() {
        let temp = tempfile::tempdir().unwrap();
        let root = Root::beneath(temp.path()).unwrap();
        let refused = |path: &str| {
            ResultFolder::create(&root, path.as_ref(), None)
                .map(|_| ())
                .unwrap_err()
        };
        let folder = ResultFolder::create(&root, "out".as_ref(), None).unwrap();
        assert!(!temp.path().join("out").exists(), "not before it is whole");
        let error = refused("out");
        assert_eq!(error.code(), ErrorCode::AlreadyExists);
        assert!(error.to_string().contains("another case"), "{error}");
        folder.folder("sample").unwrap();
        drop(folder);
        assert_eq!(names(&temp), Vec::<String>::new());
        ResultFolder::create(&root, "out".as_ref(), None)
            .unwrap()
            .publish()
            .unwrap();
        assert!(temp.path().join("out").is_dir());
        let error = refused("out");
        assert_eq!(error.code(), ErrorCode::AlreadyExists);
        assert!(error.to_string().contains("exists already"), "{error}");
        let outside = refused("../out");
        assert_eq!(outside.code(), ErrorCode::PermissionDenied);
        assert!(outside.to_string().starts_with("../out: "), "{outside}");
        assert_eq!(refused("a/b").code(), ErrorCode::NotFound);
        assert_eq!(refused("..").code(), ErrorCode::InvalidArgument);
        assert_eq!(refused("a\u{202e}b").code(), ErrorCode::InvalidArgument);
        assert_eq!(names(&temp), ["out"]);
    }

    #[test]
    fn files_of_a_step_are_named_where_they_lie_now() {
        let temp = tempfile::tempdir().unwrap();
        let root = Root::beneath(temp.path()).unwrap();
        let folder = ResultFolder::create(&root, "out".as_ref(), None).unwrap();
        let artefacts = folder.folder("sample").unwrap();
        assert!(
            temp.path().join(artefacts.path()).is_dir(),
            "other processes write there"
        );
    }
}
