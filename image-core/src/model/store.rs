//! Models that stay in memory between requests.

use nephrite_nnunet::Model;
use nephrite_nnunet_folder::CheckpointKind;
use nephrite_types::FileIdentity;
use nephrite_types::Precision;

use crate::memory::ResidentStore;

/// How many models may stay resident. Models in use are never dropped, so running requests may exceed it for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelBudget {
    /// Models.
    pub max_models: usize,
    /// Bytes that they take: weights, the runtime's copies of them, and activations of a tile.
    pub max_model_bytes: u64,
}

impl Default for ModelBudget {
    /// 16 models, 8 GiB.
    fn default() -> Self {
        ModelBudget {
            max_models: 16,
            max_model_bytes: 8 << 30,
        }
    }
}

/// What makes two requests ask for the same resident model: the folder itself, however it is spelled, the files in it
/// as they are now, and what is taken from it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelKey {
    /// Device and inode of the folder.
    pub folder: (u64, u64),
    /// `fold_0` …, in order.
    pub folds: Vec<String>,
    /// Which checkpoint of each.
    pub checkpoint: CheckpointKind,
    /// Plans, dataset, weights and exported networks; `None` for one that is not there. A file that was written to or
    /// replaced makes another model.
    pub files: Vec<Option<FileIdentity>>,
}

/// A model in memory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ResidentKey {
    /// What it was made of.
    pub model: ModelKey,
    /// In what it was asked to compute.
    pub precision: Precision,
    /// Which of the cards of this process it is on; `None` if it is on none.
    pub card: Option<usize>,
}

/// The resident models.
pub(crate) type ModelStore = ResidentStore<ResidentKey, Model>;
