use std::path::PathBuf;
use std::sync::Arc;

use cap_std::fs::{Dir, MetadataExt as _};
use nephrite_nnunet::{Model, ModelDescription, ModelOptions, describe};
use nephrite_nnunet_folder::ModelFolder;
use nephrite_types::CancelToken;

use crate::report::ModelReport;
use crate::resident::FileStamp;
use crate::{Core, CoreError, ModelChoice, ModelKey, PathError};

/// A model folder whose JSON files and checkpoint headers have been read, but no weights.
#[derive(Debug)]
pub(crate) struct OpenModel {
    pub(crate) folder: ModelFolder,
    pub(crate) description: ModelDescription,
    pub(crate) choice: ModelChoice,
    key: ModelKey,
}

impl OpenModel {
    pub(crate) fn open(core: &Core, choice: &ModelChoice) -> Result<Self, CoreError> {
        OpenModel::open_until(core, choice, &CancelToken::new())
    }

    /// Opens a model unless `cancel` asks to stop.
    pub(crate) fn open_until(
        core: &Core,
        choice: &ModelChoice,
        cancel: &CancelToken,
    ) -> Result<Self, CoreError> {
        let failed = |source| PathError::Io {
            path: choice.folder.clone(),
            source,
        };
        let dir = core.root.open_folder(&choice.folder)?;
        let metadata = dir.dir_metadata().map_err(failed)?;
        let same_dir = dir.try_clone().map_err(failed)?;
        let folder = ModelFolder::open(dir, &choice.folder.to_string_lossy(), &core.limits)?;
        let description = describe(&folder, &options(choice), &core.limits, cancel)?;
        let key = ModelKey {
            folder: (metadata.dev(), metadata.ino()),
            files: file_stamps(&same_dir, &description.folds, choice.checkpoint.file_name()),
            folds: description.folds.clone(),
            checkpoint: choice.checkpoint,
        };
        Ok(OpenModel {
            folder,
            description,
            choice: choice.clone(),
            key,
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
    pub(crate) fn open_beside(&self, core: &Core, stage: &str) -> Result<Self, CoreError> {
        let folder = previous_stage_folder(&self.choice.folder, stage);
        let choice = ModelChoice {
            folder: folder.clone(),
            ..self.choice.clone()
        };
        OpenModel::open(core, &choice).map_err(|error| match error {
            CoreError::Path(PathError::NotFound { .. }) => CoreError::PreviousStageMissing {
                stage: stage.to_owned(),
                folder,
            },
            error => error,
        })
    }

    /// The model, resident or loaded now, and the weight bytes read for it now.
    pub(crate) fn load(&self, core: &Core, cancel: &CancelToken) -> Result<(Arc<Model>, u64), CoreError> {
        let name = self.choice.folder.to_string_lossy();
        let (model, bytes) = core.models.get_or_load(self.key.clone(), &name, cancel, || {
            core.runtime.start()?; // so that a missing library is named as such, not as a fault of the model
            let model = Model::load(
                &self.folder,
                &options(&self.choice),
                &core.limits,
                &core.runtime,
                cancel,
            )?;
            let weight_bytes = model.weight_bytes_read();
            Ok((model, weight_bytes))
        })?;
        Ok((model, bytes.unwrap_or(0)))
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

/// The files that a model may be made of, below its folder.
fn file_names(folds: &[String], checkpoint: &str) -> Vec<String> {
    let of_fold = |fold: &String| [format!("{fold}/{checkpoint}"), format!("{fold}/network.onnx")];
    let json = ["plans.json", "dataset.json"].map(str::to_owned);
    json.into_iter().chain(folds.iter().flat_map(of_fold)).collect()
}

/// The files that a model is made of, as they are now. One that is not there has none: that is for the reader to say.
fn file_stamps(dir: &Dir, folds: &[String], checkpoint: &str) -> Vec<FileStamp> {
    let files = file_names(folds, checkpoint).into_iter();
    let metadata = files.filter_map(|file| dir.metadata(file).ok());
    metadata
        .map(|file| FileStamp {
            inode: file.ino(),
            size: file.size(),
            changed: (file.mtime(), file.mtime_nsec()),
        })
        .collect()
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
