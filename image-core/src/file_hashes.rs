use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use nephrite_types::CancelToken;
use nephrite_volume::hash_file;

use crate::open_model::OpenModel;
use crate::{Core, CoreError, FileRecord, ModelKey};

/// Hashes of the files of models, made once for each state of the files.
#[derive(Debug, Default)]
pub(crate) struct FileHashes {
    of_models: Mutex<HashMap<ModelKey, Vec<FileRecord>>>,
}

/// Models whose hashes are kept.
const MAX_KEPT: usize = 256;

impl FileHashes {
    /// Of the files that a model is made of, with their paths below its folder.
    pub(crate) fn of_model(
        &self,
        core: &Core,
        model: &OpenModel,
        cancel: &CancelToken,
    ) -> Result<Vec<FileRecord>, CoreError> {
        let lock = || self.of_models.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(model.key()) {
            return Ok(known.clone());
        }
        let mut records = Vec::new();
        for path in model.files() {
            let whole = model.choice.folder.join(&path);
            let Ok(file) = core.root.open_file(&whole) else {
                continue; // `network.onnx` is there only where it is needed
            };
            let hash = hash_file(file, &whole.to_string_lossy(), cancel)?;
            records.push(FileRecord {
                path,
                sha256: hash.to_string(),
                bytes: hash.bytes,
            });
        }
        let mut kept = lock();
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(model.key().clone(), records.clone());
        Ok(records)
    }
}
