//! A model and its files, as they stand in reports.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A file, and what it held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Below the folder that it belongs to.
    pub path: String,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
}

/// A model as it took part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelReport {
    /// The folder, as named.
    pub folder: String,
    /// `fold_0` … or `fold_all`.
    pub folds: Vec<String>,
    /// `checkpoint_final.pth` or `checkpoint_best.pth`.
    pub checkpoint: String,
    /// Name of the configuration in `plans.json`.
    pub configuration: String,
}
