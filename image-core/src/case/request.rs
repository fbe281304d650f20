//! What is asked of a case.

use std::path::PathBuf;

use nephrite_types::Phase;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::objects::WantedObjects;

/// One patient, and what is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseRequest {
    /// What runs.
    pub pipeline: CasePipeline,
    /// The scans, each phase at most once.
    pub scans: Vec<(Phase, PathBuf)>,
    /// Only these steps and those that they need; all if empty.
    pub steps: Vec<String>,
    /// How thoroughly.
    pub profile: Profile,
    /// Which scan a step runs on, if not that of the first phase it accepts.
    pub phases: Vec<PhaseChoice>,
    /// Result folder. It must not exist, the folder above must.
    pub output: PathBuf,
    /// Whether odd geometry of a scan is an error; a warning otherwise.
    pub strict_geometry: bool,
    /// Whether a scan whose DICOM tags contradict its stated phase is refused.
    pub check_phases: bool,
}

/// What runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CasePipeline {
    /// A pipeline file.
    File(PathBuf),
    /// Models alone; each saves its mask as `<id>.nii.gz`.
    Models {
        /// The models.
        models: Vec<BareModel>,
        /// DICOM objects beside each mask.
        objects: WantedObjects,
    },
}

/// A model without a pipeline file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BareModel {
    /// Its folder.
    pub model: PathBuf,
    /// Phase of its scan; needed if there are several.
    pub phase: Option<Phase>,
}

/// On which scan a step runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseChoice {
    /// A model step.
    pub step: String,
    /// Phase of a scan of the request.
    pub phase: Phase,
    /// Even if the step does not accept this phase; goes into the record.
    pub override_accepted: bool,
}

/// How thoroughly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// As the pipeline says.
    #[default]
    Full,
    /// For a first look: one fold, no mirroring, tiles at least [`Profile::QUICK_TILE_STEP`] of a patch apart, and the
    /// `quick_model` where the pipeline names one.
    Quick,
}

impl Profile {
    /// Distance of tiles as a fraction of the patch; the pipeline's own if that is larger.
    pub const QUICK_TILE_STEP: f64 = 0.75;
}
