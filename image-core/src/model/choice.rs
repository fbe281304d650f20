//! Which model a request wants.

use std::path::PathBuf;

use nephrite_nnunet_folder::{CheckpointKind, FoldSelection};
use nephrite_types::Precision;

/// Which model, and what of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelChoice {
    /// The folder `<Trainer>__<Plans>__<Configuration>`.
    pub folder: PathBuf,
    /// Which folds; their logits are averaged.
    pub folds: FoldSelection,
    /// Which checkpoint of each fold.
    pub checkpoint: CheckpointKind,
    /// In what its networks compute; what the process says if `None`.
    pub precision: Option<Precision>,
}
