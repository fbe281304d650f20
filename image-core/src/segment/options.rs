//! What follows a mask.

use std::path::PathBuf;

/// Which postprocessing follows the mask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PostprocessingChoice {
    /// None, as nnU-Net's own prediction.
    #[default]
    None,
    /// What cross-validation found for these folds, from the model's folder.
    FromModel,
    /// A `postprocessing.json` or `.pkl`.
    File(PathBuf),
}
