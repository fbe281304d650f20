//! Which model a request wants.

use std::path::PathBuf;

use nephrite_nnunet_folder::{CheckpointKind, FoldSelection};

/// Which model, and what of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelChoice {
    /// The folder `<Trainer>__<Plans>__<Configuration>`.
    pub folder: PathBuf,
    /// Which folds; their logits are averaged.
    pub folds: FoldSelection,
    /// Which checkpoint of each fold.
    pub checkpoint: CheckpointKind,
}
