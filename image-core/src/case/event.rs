use nephrite_kernel::{LabelEntry, Mask};
use nephrite_types::{Stage, Warning};
use serde::{Deserialize, Serialize};

/// How far a case is.
#[derive(Debug, Clone, PartialEq)]
pub enum CaseEvent {
    /// A step begins.
    Running {
        /// Its name.
        step: String,
        /// Where it runs.
        place: String,
    },
    /// A model step enters a stage.
    Stage {
        /// Its name.
        step: String,
        /// Which.
        stage: Stage,
    },
    /// Tiles of a model step are finished.
    Tiles {
        /// Its name.
        step: String,
        /// Each fold and each mirrored copy counts.
        done: u64,
        /// Counted alike.
        total: u64,
    },
    /// A step ended.
    Done {
        /// Its name.
        step: String,
    },
    /// A step is left out.
    Skipped {
        /// Its name.
        step: String,
        /// Why.
        reason: String,
    },
    /// A step's mask is there; written, if the pipeline keeps it.
    Mask(CaseMask),
    /// Something odd that does not stop the case.
    Warning {
        /// The step that found it; `None` if it is about a scan.
        step: Option<String>,
        /// What it is.
        warning: Warning,
    },
}

/// A mask of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseMask {
    /// The step that made it.
    pub step: String,
    /// Its files; a mask may be kept under several names, or not at all.
    pub paths: Vec<String>,
    /// Sorted by id.
    pub labels: Vec<CaseLabel>,
}

/// One label of a mask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseLabel {
    /// Its value.
    pub id: u16,
    /// What it is called.
    pub name: String,
    /// `present`, `not_found`, `not_searched` or `failed`.
    pub status: String,
    /// Voxels with this value.
    pub voxels: u64,
    /// Their volume in millilitres.
    pub volume_ml: f64,
}

/// Receives how far a case is. Called from the threads of steps; must return quickly.
pub trait CaseEvents: Sync {
    /// Something happened.
    fn event(&self, event: CaseEvent);
}

/// Ignores all events.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCaseEvents;

impl CaseEvents for NoCaseEvents {
    fn event(&self, _event: CaseEvent) {}
}

/// The labels of a mask with their volumes.
pub(crate) fn case_labels(mask: &Mask) -> Vec<CaseLabel> {
    mask.labels()
        .entries()
        .iter()
        .map(|entry| case_label(mask, entry))
        .collect()
}

fn case_label(mask: &Mask, entry: &LabelEntry) -> CaseLabel {
    let voxels = mask
        .summaries()
        .get(&entry.id)
        .map_or(0, |summary| summary.voxels);
    CaseLabel {
        id: entry.id,
        name: entry.name.clone(),
        status: entry.status.name().to_owned(),
        voxels,
        volume_ml: voxels as f64 * mask.runs().geometry().voxel_mm3() / 1000.0,
    }
}
