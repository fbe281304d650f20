//! How far a request is, told to whoever shows it.

use crate::Warning;

/// What a request is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Model folders are read, sessions made and warmed up.
    LoadModel,
    /// Scans are read and decompressed.
    Read,
    /// Crop, normalize, resample to the network's grid.
    Preprocess,
    /// Tiles run through the network; finished slabs are exported meanwhile.
    Inference,
    /// The last slabs are resampled to the scan's grid; postprocessing.
    Export,
    /// The mask is compressed and written.
    Write,
}

impl Stage {
    /// The name used in reports and events.
    pub fn name(self) -> &'static str {
        match self {
            Stage::LoadModel => "load_model",
            Stage::Read => "read",
            Stage::Preprocess => "preprocess",
            Stage::Inference => "inference",
            Stage::Export => "export",
            Stage::Write => "write",
        }
    }
}

/// Receives how far a request is. Called from worker threads; must return quickly.
pub trait Progress: Sync {
    /// A stage begins.
    fn stage(&self, stage: Stage);
    /// `done` of `total` units (tiles, in [`Stage::Inference`]) of the current stage are finished.
    fn advance(&self, done: u64, total: u64);
    /// Something odd that its user should know. Ignored unless an implementation says otherwise; one that passes progress on
    /// passes warnings on.
    fn warning(&self, _warning: &Warning) {}
}

/// Ignores all progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn stage(&self, _stage: Stage) {}
    fn advance(&self, _done: u64, _total: u64) {}
}
