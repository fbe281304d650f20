//! Hashes of models' files, for records and against changes within the grain of a clock.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use nephrite_types::CancelToken;

use super::{FileRecord, ModelKey, OpenModel};
use crate::error::CoreError;
use crate::memory::changed;

/// Hashes of the files of models, made once for each state of the files.
#[derive(Debug, Default)]
pub(crate) struct FileHashes {
    of_models: Mutex<HashMap<ModelKey, Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    files: Vec<FileRecord>,
    /// A later change of the files would show in the key. Until then they are hashed again before the model is taken from
    /// memory.
    settled: bool,
}

/// Models whose hashes are kept; those that are not settled yet come on top.
const MAX_KEPT: usize = 256;

impl FileHashes {
    /// Of the files that a model is made of, with their paths below its folder.
    ///
    /// # Errors
    /// [`CoreError::FileChanged`] if they are no longer those of the model; what reading says.
    pub(crate) fn of_model(
        &self,
        model: &OpenModel,
        cancel: &CancelToken,
    ) -> Result<Vec<FileRecord>, CoreError> {
        let known = self.lock().get(model.key()).cloned();
        if let Some(known) = known {
            return Ok(known.files);
        }
        let files = model.hash_files(cancel)?;
        self.keep(model, files.clone(), true);
        Ok(files)
    }

    /// Loads a model with `load`, whose files must be the same before and after. Files that were changed just now may be
    /// changed once more without their identities showing it; of those, the content is compared too.
    ///
    /// # Errors
    /// [`CoreError::FileChanged`]; what `load` says.
    pub(crate) fn around<T>(
        &self,
        model: &OpenModel,
        cancel: &CancelToken,
        load: impl FnOnce() -> Result<T, CoreError>,
    ) -> Result<T, CoreError> {
        let settled = model.is_settled(SystemTime::now());
        model.check_unchanged()?;
        let before = (!settled).then(|| model.hash_files(cancel)).transpose()?;
        let loaded = load();
        model.check_unchanged()?; // before the error of files that changed is believed
        let loaded = loaded?;
        if let Some(before) = before {
            let after = model.hash_files(cancel)?;
            let mut files = before.iter().zip(&after);
            if let Some((file, _)) = files.find(|(before, after)| before != after) {
                return Err(changed(&model.choice.folder.join(&file.path)));
            }
            self.keep(model, after, false);
        }
        Ok(loaded)
    }

    /// Whether a resident model is what its files hold now; see [`FileHashes::around`].
    ///
    /// # Errors
    /// [`CoreError::FileChanged`]; what reading says.
    pub(crate) fn still_hold(&self, model: &OpenModel, cancel: &CancelToken) -> Result<bool, CoreError> {
        let known = self.lock().get(model.key()).cloned();
        let Some(known) = known.filter(|known| !known.settled) else {
            return Ok(true);
        };
        let settled = model.is_settled(SystemTime::now());
        let same = model.hash_files(cancel)? == known.files;
        if !same {
            self.lock().remove(model.key());
        } else if settled {
            self.keep(model, known.files, true);
        }
        Ok(same)
    }

    fn keep(&self, model: &OpenModel, files: Vec<FileRecord>, settled: bool) {
        let mut kept = self.lock();
        if kept.len() >= MAX_KEPT {
            kept.retain(|_, known| !known.settled);
        }
        kept.insert(model.key().clone(), Known { files, settled });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ModelKey, Known>> {
        self.of_models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
