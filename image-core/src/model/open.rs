//! A model folder that has been looked into, before anything large is read.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cap_std::fs::{Dir, MetadataExt as _, OpenOptions, OpenOptionsExt as _};
use nephrite_nnunet::{ModelDescription, ModelOptions, NetworkRuntime, describe};
use nephrite_nnunet_folder::ModelFolder;
use nephrite_root::{PathError, Root};
use nephrite_types::{CancelToken, FileIdentity, Limits};
use nephrite_volume::Reader;
use rustix::fs::OFlags;

use super::{FileRecord, ModelChoice, ModelKey, ModelReport};
use crate::error::CoreError;
use crate::memory::changed;

/// A model folder whose JSON files and checkpoint headers have been read, but no weights.
#[derive(Debug)]
pub(crate) struct OpenModel {
    pub(crate) folder: ModelFolder,
    pub(crate) description: ModelDescription,
    pub(crate) choice: ModelChoice,
    key: ModelKey,
    /// The folder again, to look at its files.
    dir: Dir,
}

impl OpenModel {
    /// What its networks take is said for `runtime`.
    ///
    /// # Errors
    /// [`CoreError::FileChanged`] if somebody changes one of its files meanwhile; what reading says; [`CoreError::Cancelled`].
    pub(super) fn open(
        root: &Root,
        choice: &ModelChoice,
        runtime: NetworkRuntime,
        limits: &Limits,
        cancel: &CancelToken,
    ) -> Result<Self, CoreError> {
        let failed = |source| PathError::Io {
            path: choice.folder.clone(),
            source,
        };
        let dir = root.open_folder(&choice.folder)?;
        let metadata = dir.dir_metadata().map_err(failed)?;
        let same_dir = dir.try_clone().map_err(failed)?;
        let json = identities(&same_dir, &JSON_FILES.map(str::to_owned));
        let folder = ModelFolder::open(dir, &choice.folder.to_string_lossy(), limits)?;
        let folds = folder.select_folds(&choice.folds, choice.checkpoint)?;
        let folds: Vec<String> = folds.into_iter().map(|fold| fold.directory()).collect();
        let names = file_names(&folds, choice.checkpoint.file_name());
        let before = identities(&same_dir, &names);
        check_same(&choice.folder, &names, &json, &before[..JSON_FILES.len()])?;
        let description = describe(&folder, &options(choice), runtime, limits, cancel)?;
        let files = identities(&same_dir, &names);
        check_same(&choice.folder, &names, &before, &files)?;
        let key = ModelKey {
            folder: (metadata.dev(), metadata.ino()),
            files,
            folds: description.folds.clone(),
            checkpoint: choice.checkpoint,
        };
        Ok(OpenModel {
            folder,
            description,
            choice: choice.clone(),
            key,
            dir: same_dir,
        })
    }

    /// Whether opening it again would give the same: the path leads to the same folder, the same folds are chosen, and no file
    /// has changed, nor can have changed without showing it.
    pub(super) fn is_still(&self, root: &Root, now: SystemTime) -> bool {
        let leads_here = root
            .open_folder(&self.choice.folder)
            .and_then(|dir| {
                dir.dir_metadata().map_err(|source| PathError::Io {
                    path: self.choice.folder.clone(),
                    source,
                })
            })
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.key.folder);
        let folds = self
            .folder
            .select_folds(&self.choice.folds, self.choice.checkpoint);
        let same_folds = folds.is_ok_and(|folds| {
            folds
                .iter()
                .map(|fold| fold.directory())
                .eq(self.description.folds.iter().cloned())
        });
        leads_here && same_folds && self.is_settled(now) && self.check_unchanged().is_ok()
    }

    /// As it stands in reports.
    pub(crate) fn report(&self) -> ModelReport {
        ModelReport {
            folder: self.choice.folder.display().to_string(),
            folds: self.description.folds.clone(),
            checkpoint: self.choice.checkpoint.file_name().to_owned(),
            configuration: self.description.configuration.clone(),
        }
    }

    /// Where the previous stage of a cascade is looked for: beside this model, with the same trainer and plans.
    pub(super) fn beside(&self, stage: &str) -> ModelChoice {
        ModelChoice {
            folder: previous_stage_folder(&self.choice.folder, stage),
            ..self.choice.clone()
        }
    }

    /// nnU-Net's reader that the plans name.
    pub(crate) fn reader(&self) -> Result<Reader, CoreError> {
        Reader::from_name(&self.description.reader).map_err(|source| CoreError::Reader {
            model: self.choice.folder.clone(),
            source,
        })
    }

    /// # Errors
    /// [`CoreError::ChannelCount`]
    pub(crate) fn check_n_channels(&self, found: usize) -> Result<(), CoreError> {
        let expected = self.description.channels.len();
        if found == expected {
            return Ok(());
        }
        Err(CoreError::ChannelCount {
            expected,
            found,
            model: self.choice.folder.clone(),
        })
    }

    /// True if a later change of any of its files would show in its key.
    pub(crate) fn is_settled(&self, now: SystemTime) -> bool {
        let mut files = self.key.files.iter().flatten();
        files.all(|file| file.is_settled(now))
    }

    /// # Errors
    /// [`CoreError::FileChanged`] if a file is no longer the one that the key says.
    pub(crate) fn check_unchanged(&self) -> Result<(), CoreError> {
        let names = self.files();
        check_same(
            &self.choice.folder,
            &names,
            &self.key.files,
            &identities(&self.dir, &names),
        )
    }

    /// Hashes of its files, with their paths below its folder, as they are now; those of the key, or an error.
    ///
    /// # Errors
    /// As [`OpenModel::check_unchanged`]; what reading says.
    pub(crate) fn hash_files(&self, cancel: &CancelToken) -> Result<Vec<FileRecord>, CoreError> {
        let mut records = Vec::new();
        for (path, known) in self.files().into_iter().zip(&self.key.files) {
            if known.is_none() {
                continue; // `network.onnx` is there only where it is needed
            }
            let whole = self.choice.folder.join(&path);
            let file = open(&self.dir, &path).ok_or_else(|| changed(&whole))?;
            if FileIdentity::of(&file).ok() != *known {
                return Err(changed(&whole));
            }
            let hash = nephrite_volume::hash_file(file, &whole.to_string_lossy(), cancel)?;
            records.push(FileRecord {
                path,
                sha256: hash.to_string(),
                bytes: hash.bytes,
            });
        }
        Ok(records)
    }

    /// The files that it may be made of, below its folder; those that are not there are not needed.
    pub(crate) fn files(&self) -> Vec<String> {
        file_names(&self.description.folds, self.choice.checkpoint.file_name())
    }

    /// What tells this model from all others, in this state of its files.
    pub(crate) fn key(&self) -> &ModelKey {
        &self.key
    }
}

/// As the network's crate takes it.
pub(super) fn options(choice: &ModelChoice) -> ModelOptions {
    ModelOptions {
        folds: choice.folds.clone(),
        checkpoint: choice.checkpoint,
    }
}

/// The files that every model has, first among its files.
const JSON_FILES: [&str; 2] = ["plans.json", "dataset.json"];

/// The files that a model may be made of, below its folder.
fn file_names(folds: &[String], checkpoint: &str) -> Vec<String> {
    let of_fold = |fold: &String| [format!("{fold}/{checkpoint}"), format!("{fold}/network.onnx")];
    let json = JSON_FILES.map(str::to_owned);
    json.into_iter().chain(folds.iter().flat_map(of_fold)).collect()
}

/// Files as they are now, by their open handles. One that is not there has none: that is for the reader to say. Looked at
/// before and after a reading, they are what was read: a file that was taken away and put back has another time of change.
fn identities(dir: &Dir, files: &[String]) -> Vec<Option<FileIdentity>> {
    let identity = |file: &String| FileIdentity::of(&open(dir, file)?).ok();
    files.iter().map(identity).collect()
}

/// A regular file; without waiting for the writer of a pipe.
fn open(dir: &Dir, file: &str) -> Option<std::fs::File> {
    let mut options = OpenOptions::new();
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = dir.open_with(file, options.read(true).custom_flags(flags.bits() as i32));
    let file = file.ok()?.into_std();
    file.metadata()
        .is_ok_and(|metadata| metadata.is_file())
        .then_some(file)
}

fn check_same(
    folder: &Path,
    names: &[String],
    before: &[Option<FileIdentity>],
    after: &[Option<FileIdentity>],
) -> Result<(), CoreError> {
    let mut files = names.iter().zip(before.iter().zip(after));
    match files.find(|(_, (before, after))| before != after) {
        Some((name, _)) => Err(changed(&folder.join(name))),
        None => Ok(()),
    }
}

/// `<Trainer>__<Plans>__<stage>` beside `<Trainer>__<Plans>__<Configuration>`.
fn previous_stage_folder(folder: &std::path::Path, stage: &str) -> PathBuf {
    // `with_file_name` alone would read `models/x/.` or `..` wrongly; the name is taken as the caller wrote it.
    let name = folder
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let prefix = name.rsplit_once("__").map_or(name, |(prefix, _)| prefix);
    folder.with_file_name(format!("{prefix}__{stage}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_previous_stage_lies_beside_the_model() {
        let folder = previous_stage_folder("m/D/T__P__3d_cascade_fullres/".as_ref(), "3d_lowres");
        assert_eq!(folder, PathBuf::from("m/D/T__P__3d_lowres"));
    }
}
