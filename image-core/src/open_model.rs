use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use cap_std::fs::{Dir, MetadataExt as _, OpenOptions, OpenOptionsExt as _};
use nephrite_nnunet::{Model, ModelDescription, ModelOptions, describe};
use nephrite_nnunet_folder::ModelFolder;
use nephrite_types::{CancelToken, FileIdentity};
use rustix::fs::OFlags;

use crate::memory::network_bytes;
use crate::report::ModelReport;
use crate::volumes::changed;
use crate::{Core, CoreError, FileRecord, ModelChoice, ModelKey, PathError};

/// Loads of a model that others change all the time.
const MAX_LOADS: usize = 3;

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
    /// # Errors
    /// [`CoreError::FileChanged`] if somebody changes one of its files meanwhile; what reading says.
    pub(crate) fn open(core: &Core, choice: &ModelChoice, cancel: &CancelToken) -> Result<Self, CoreError> {
        let failed = |source| PathError::Io {
            path: choice.folder.clone(),
            source,
        };
        let dir = core.root.open_folder(&choice.folder)?;
        let metadata = dir.dir_metadata().map_err(failed)?;
        let same_dir = dir.try_clone().map_err(failed)?;
        let json = identities(&same_dir, &JSON_FILES.map(str::to_owned));
        let folder = ModelFolder::open(dir, &choice.folder.to_string_lossy(), &core.limits)?;
        let folds = folder.select_folds(&choice.folds, choice.checkpoint)?;
        let folds: Vec<String> = folds.into_iter().map(|fold| fold.directory()).collect();
        let names = file_names(&folds, choice.checkpoint.file_name());
        let before = identities(&same_dir, &names);
        check_same(&choice.folder, &names, &json, &before[..JSON_FILES.len()])?;
        let description = describe(&folder, &options(choice), &core.limits, cancel)?;
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

    /// As it stands in reports.
    pub(crate) fn report(&self) -> ModelReport {
        ModelReport {
            folder: self.choice.folder.display().to_string(),
            folds: self.description.folds.clone(),
            checkpoint: self.choice.checkpoint.file_name().to_owned(),
            configuration: self.description.configuration.clone(),
        }
    }

    /// The folder of a cascade's previous stage: beside this one, with the same trainer and plans.
    pub(crate) fn open_beside(
        &self,
        core: &Core,
        stage: &str,
        cancel: &CancelToken,
    ) -> Result<Self, CoreError> {
        let folder = previous_stage_folder(&self.choice.folder, stage);
        let choice = ModelChoice {
            folder: folder.clone(),
            ..self.choice.clone()
        };
        OpenModel::open(core, &choice, cancel).map_err(|error| match error {
            CoreError::Path(PathError::NotFound { .. }) => CoreError::PreviousStageMissing {
                stage: stage.to_owned(),
                folder,
            },
            error => error,
        })
    }

    /// The model, resident or loaded now, and the weight bytes read for it now.
    ///
    /// # Errors
    /// [`CoreError::FileChanged`] if somebody changes one of its files meanwhile; what loading says.
    pub(crate) fn load(&self, core: &Core, cancel: &CancelToken) -> Result<(Arc<Model>, u64), CoreError> {
        let name = self.choice.folder.to_string_lossy();
        for _ in 0..MAX_LOADS {
            let load = || {
                core.runtime.start()?; // so that a missing library is named as such, not as a fault of the model
                core.file_hashes.around(self, cancel, || {
                    let (limits, runtime) = (&core.limits, &core.runtime);
                    let model = Model::load(&self.folder, &options(&self.choice), limits, runtime, cancel)?;
                    let bytes = model.memory_bytes();
                    Ok((model, bytes))
                })
            };
            let (model, loaded) = core.models.get_or_load(self.key.clone(), &name, cancel, load)?;
            if loaded.is_some() {
                let weight_bytes_read = model.weight_bytes_read();
                return Ok((model, weight_bytes_read));
            }
            if core.file_hashes.still_hold(self, cancel)? {
                return Ok((model, 0));
            }
            core.models.forget(|key| *key == self.key);
        }
        Err(changed(&self.choice.folder))
    }

    /// [`load`](OpenModel::load) for later requests, once there is room for it.
    pub(crate) fn warm(&self, core: &Core, cancel: &CancelToken) -> Result<(Arc<Model>, u64), CoreError> {
        let needed = network_bytes(&self.description);
        let _memory = core.reserve("the model", needed, &[&self.key], None, cancel)?;
        self.load(core, cancel)
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

fn options(choice: &ModelChoice) -> ModelOptions {
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
