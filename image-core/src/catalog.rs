//! What models there are, and what a model is.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{Core, CoreError, ModelChoice};

/// A folder that looks like a trained nnU-Net.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelListing {
    /// The folder, below the folder that was searched.
    pub folder: PathBuf,
    /// `DatasetXXX_Name`, the folder above.
    pub dataset: String,
    /// First part of the folder's name.
    pub trainer: String,
    /// Second part.
    pub plans: String,
    /// Third part.
    pub configuration: String,
    /// `fold_0` … or `fold_all`, those that hold a checkpoint.
    pub folds: Vec<String>,
}

/// What a model folder is: channels, labels, spacing, patch, network, parameters, folds, mirroring, memory. Builds no
/// network.
///
/// # Errors
/// [`CoreError`]
pub fn inspect_model(core: &Core, choice: &ModelChoice) -> Result<nephrite_nnunet::ModelDescription, CoreError> {
    let _ = (core, choice);
    unimplemented!("the parts are being written")
}

/// Finds model folders beneath a folder, at most four levels down.
///
/// # Errors
/// [`CoreError::Path`]
pub fn list_models(core: &Core, root: &Path) -> Result<Vec<ModelListing>, CoreError> {
    let _ = (core, root);
    unimplemented!("the parts are being written")
}
