//! Opens a trained model folder by a handle that nothing leads out of, and finds its files.

use std::io::ErrorKind;

use cap_std::fs::{Dir, File};
use nephrite_types::{CancelToken, Limits};

use crate::files::{open_regular, read_json_file};
use crate::folds::{CheckpointKind, Fold, FoldName, FoldSelection};
use crate::nearby;
use crate::postprocessing::FILES as POSTPROCESSING_FILES;
use crate::{Checkpoint, Configuration, Dataset, FolderError, Plans, Postprocessing};

/// A trained model folder, `<Trainer>__<Plans>__<Configuration>`, beneath a directory handle.
///
/// Files are found below the handle only; a symbolic link that leads out of the folder is refused by the handle.
#[derive(Debug)]
pub struct ModelFolder {
    dir: Dir,
    name: String,
    limits: Limits,
    plans: Plans,
    dataset: Dataset,
}

/// Entries of one directory that are looked at.
const MAX_DIRECTORY_ENTRIES: usize = 10_000;
const ONNX_FILE: &str = "network.onnx";
const CROSS_VALIDATION: &str = "crossval_results_folds_";

impl ModelFolder {
    /// Reads `plans.json` and `dataset.json`. `name` is the path that messages show.
    ///
    /// # Errors
    /// [`FolderError`]: one of them missing, too large or malformed.
    pub fn open(dir: Dir, name: &str, limits: &Limits) -> Result<Self, FolderError> {
        let read = |file: &str| {
            let missing = || {
                nearby::instead(&dir, name).unwrap_or_else(|| FolderError::MissingFile {
                    file: format!("{name}/{file}"),
                })
            };
            read_json_file(&dir, name, file, limits)?.ok_or_else(missing)
        };
        let plans = Plans::from_json(&format!("{name}/plans.json"), &read("plans.json")?, limits)?;
        let dataset = Dataset::from_json(&format!("{name}/dataset.json"), &read("dataset.json")?, limits)?;
        Ok(ModelFolder {
            name: name.to_owned(),
            limits: limits.clone(),
            plans,
            dataset,
            dir,
        })
    }

    /// The path that messages show.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The content of `plans.json`.
    pub fn plans(&self) -> &Plans {
        &self.plans
    }

    /// The content of `dataset.json`.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// Resolves a configuration and checks it against the dataset.
    ///
    /// # Errors
    /// As [`Plans::configuration`]; [`FolderError::InvalidValue`] if the numbers of channels differ.
    pub fn configuration(&self, name: &str) -> Result<Configuration, FolderError> {
        let configuration = self.plans.configuration(name)?;
        let (found, expected) = (configuration.n_image_channels(), self.dataset.n_channels());
        if found != expected {
            return Err(FolderError::InvalidValue {
                file: format!("{}/plans.json", self.name),
                key: format!("configurations.{name}.normalization_schemes"),
                expected: format!("a list of {expected}, as many as dataset.json has channels"),
                found: format!("a list of {found}"),
            });
        }
        Ok(configuration)
    }

    /// Channels that go into the network: those of the image, and in a cascade one per foreground label.
    pub fn n_network_channels(&self, configuration: &Configuration) -> usize {
        let one_hot = match configuration.previous_stage {
            Some(_) => self.dataset.labels.foreground_labels.len(),
            None => 0,
        };
        configuration.n_image_channels() + one_hot
    }

    /// All folds, in order of their names as text.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub fn folds(&self) -> Result<Vec<Fold>, FolderError> {
        let names = self.subfolders()?;
        let folds = names.iter().filter_map(|name| FoldName::from_directory(name));
        folds.map(|name| self.fold(name)).collect()
    }

    /// The folds to use, every one of which has the wanted checkpoint.
    ///
    /// # Errors
    /// [`FolderError::UnknownFold`] naming the missing fold and those that exist, [`FolderError::MissingCheckpoint`],
    /// [`FolderError::NoFolds`].
    pub fn select_folds(
        &self,
        wanted: &FoldSelection,
        checkpoint: CheckpointKind,
    ) -> Result<Vec<FoldName>, FolderError> {
        let folds = self.folds()?;
        let available = || folds.iter().map(|fold| fold.name.directory()).collect();
        let usable = |fold: &&Fold| fold.checkpoints.contains(&checkpoint);
        let selected: Vec<FoldName> = match wanted {
            FoldSelection::Available => {
                let usable: Vec<FoldName> = folds.iter().filter(usable).map(|fold| fold.name).collect();
                let numbered: Vec<FoldName> = usable
                    .iter()
                    .copied()
                    .filter(|&name| name != FoldName::All)
                    .collect();
                if numbered.is_empty() { usable } else { numbered }
            }
            FoldSelection::List(names) => {
                for &name in names {
                    let fold = folds.iter().find(|fold| fold.name == name).ok_or_else(|| {
                        FolderError::UnknownFold {
                            folder: self.name.clone(),
                            fold: name.directory(),
                            available: available(),
                        }
                    })?;
                    if !usable(&fold) {
                        return Err(FolderError::MissingCheckpoint {
                            folder: self.name.clone(),
                            fold: name.directory(),
                            checkpoint: checkpoint.file_name(),
                            available: fold
                                .checkpoints
                                .iter()
                                .map(|kind| kind.file_name().to_owned())
                                .collect(),
                        });
                    }
                }
                names.clone()
            }
        };
        if selected.is_empty() {
            let checkpoint = checkpoint.file_name();
            return Err(FolderError::NoFolds {
                folder: self.name.clone(),
                checkpoint,
                available: available(),
            });
        }
        Ok(selected)
    }

    /// Opens the weights of a fold; reads the directory and the pickle, no weights. `cancel` stops this, and every later reading
    /// of weights.
    ///
    /// # Errors
    /// [`FolderError::MissingFile`]; otherwise as [`Checkpoint::open`].
    pub fn open_checkpoint(
        &self,
        fold: FoldName,
        kind: CheckpointKind,
        cancel: &CancelToken,
    ) -> Result<Checkpoint, FolderError> {
        let path = format!("{}/{}", fold.directory(), kind.file_name());
        let name = format!("{}/{path}", self.name);
        match open_regular(&self.dir, &self.name, &path)? {
            Some(file) => Checkpoint::open(file.into_std(), &name, &self.limits, cancel),
            None => Err(FolderError::MissingFile { file: name }),
        }
    }

    /// Opens the exported network of a fold, `network.onnx`, with its path for messages; `None` if there is none.
    ///
    /// # Errors
    /// [`FolderError::Io`], [`FolderError::NotAFile`].
    pub fn open_onnx(&self, fold: FoldName) -> Result<Option<(File, String)>, FolderError> {
        let path = format!("{}/{ONNX_FILE}", fold.directory());
        let file = open_regular(&self.dir, &self.name, &path)?;
        Ok(file.map(|file| (file, format!("{}/{path}", self.name))))
    }

    /// Finds and reads the postprocessing that was determined for this model: of the cross-validation over exactly
    /// `folds`, else of the only cross-validation there is, else in the model folder itself.
    ///
    /// # Errors
    /// [`FolderError::NoPostprocessing`], [`FolderError::AmbiguousPostprocessing`]; otherwise as
    /// [`Postprocessing::read`].
    pub fn postprocessing(&self, folds: &[FoldName]) -> Result<Postprocessing, FolderError> {
        let mut candidates = Vec::new();
        for name in self
            .subfolders()?
            .into_iter()
            .filter(|name| name.starts_with(CROSS_VALIDATION))
        {
            let dir = self.open_dir(&name)?;
            if POSTPROCESSING_FILES.into_iter().any(|file| dir.exists(file)) {
                candidates.push((name, dir));
            }
        }
        let fold_names: Vec<String> = folds.iter().map(FoldName::to_string).collect();
        let exact = format!("{CROSS_VALIDATION}{}", fold_names.join("_"));
        let chosen = match candidates.iter().find(|(name, _)| *name == exact) {
            Some(candidate) => Some(candidate),
            None if candidates.len() > 1 => {
                let candidates = candidates.into_iter().map(|(name, _)| name).collect();
                return Err(FolderError::AmbiguousPostprocessing {
                    folder: self.name.clone(),
                    candidates,
                });
            }
            None => candidates.first(),
        };
        let found = match chosen {
            Some((name, dir)) => Postprocessing::read(dir, &format!("{}/{name}", self.name), &self.limits)?,
            None => Postprocessing::read(&self.dir, &self.name, &self.limits)?,
        };
        found.ok_or_else(|| FolderError::NoPostprocessing {
            folder: self.name.clone(),
        })
    }

    fn fold(&self, name: FoldName) -> Result<Fold, FolderError> {
        let dir = self.open_dir(&name.directory())?;
        let is_file = |file: &str| dir.metadata(file).is_ok_and(|metadata| metadata.is_file());
        Ok(Fold {
            name,
            checkpoints: CheckpointKind::ALL
                .into_iter()
                .filter(|kind| is_file(kind.file_name()))
                .collect(),
            has_onnx: is_file(ONNX_FILE),
        })
    }

    fn open_dir(&self, name: &str) -> Result<Dir, FolderError> {
        let io = |cause| FolderError::Io {
            file: format!("{}/{name}", self.name),
            cause,
        };
        self.dir.open_dir(name).map_err(io)
    }

    /// Names of all directories in the folder, sorted as text.
    fn subfolders(&self) -> Result<Vec<String>, FolderError> {
        let io = |cause| FolderError::Io {
            file: self.name.clone(),
            cause,
        };
        let mut names = Vec::new();
        for entry in self.dir.entries().map_err(io)?.take(MAX_DIRECTORY_ENTRIES) {
            let Ok(name) = entry.map_err(io)?.file_name().into_string() else {
                continue;
            }; // none of ours
            match self.dir.metadata(&name) {
                Ok(metadata) if metadata.is_dir() => names.push(name),
                Ok(_) => {}
                // Removed meanwhile, or a link that leads nowhere or out of the folder: not a fold.
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {}
                Err(error) => return Err(io(error)),
            }
        }
        names.sort();
        Ok(names)
    }
}
