//! How a card is used.

use std::path::PathBuf;

/// How a card is used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CardOptions {
    /// Where compiled kernels are kept for the next start; nowhere if `None`.
    pub cache: Option<PathBuf>,
    /// Folders in which cuDNN and NVRTC are looked for before the system's.
    pub libraries: Vec<PathBuf>,
}
