//! What happens while a case runs.

use nephrite_kernel::LabelVolume;
use nephrite_types::{Stage, Warning};

use crate::masks::StepPlace;

/// How far a case is.
#[derive(Debug, Clone, PartialEq)]
pub enum CaseEvent {
    /// A step begins.
    Running {
        /// Its name.
        step: String,
        /// Where it runs.
        place: StepPlace,
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
    /// Its files, below the result folder; a mask may be kept under several names, or not at all.
    pub files: Vec<String>,
    /// Sorted by id.
    pub labels: Vec<LabelVolume>,
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
