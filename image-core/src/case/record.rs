//! What was done, for the file: `record.json`.

use std::collections::BTreeMap;

use nephrite_kernel::{LabelVolume, Measurement};
use nephrite_types::{Phase, SegmentationOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Profile, StepKind};
use crate::masks::StepPlace;
use crate::memory::Counters;
use crate::model::FileRecord;
use crate::segment::{StageSeconds, WarningReport};

/// Everything about a case that its masks do not say. Written last; a result folder without it is not complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Of this file; 1.
    pub format: u32,
    /// Version of nephrite that ran the case.
    pub nephrite: String,
    /// When it began, seconds since 1970 UTC.
    pub started_unix_seconds: u64,
    /// What was asked for.
    pub request: RequestRecord,
    /// The pipeline file, if there was one.
    pub pipeline: Option<PipelineRecord>,
    /// Phase whose scan gave the grid of the masks.
    pub reference: Phase,
    /// The scans.
    pub scans: Vec<ScanRecord>,
    /// Steps that ran on a phase that they do not accept, because the request said so.
    pub overrides: Vec<OverrideRecord>,
    /// In the order of the pipeline.
    pub steps: Vec<StepRecord>,
    /// Masks that were kept, by file.
    pub masks: Vec<MaskFileRecord>,
    /// Everything in the result folder but this file, by path.
    pub files: Vec<FileRecord>,
    /// Everything odd that did not stop the case.
    #[serde(default)]
    pub warnings: Vec<WarningReport>,
    /// What it cost.
    pub counters: Counters,
    /// Every process that held voxels or ran the case.
    pub processes: Vec<ProcessRecord>,
    /// Seconds of wall time.
    pub total_seconds: f64,
}

/// The request, as `nephrite run` would take it. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestRecord {
    /// Pipeline file.
    pub pipeline: Option<String>,
    /// Models without a pipeline file: folder and phase.
    pub models: Vec<(String, Option<Phase>)>,
    /// Phase and file.
    pub scans: Vec<(Phase, String)>,
    /// Chosen steps; all if empty.
    pub steps: Vec<String>,
    /// How thoroughly.
    pub profile: Profile,
    /// Step, phase, and whether it may be one that the step does not accept.
    pub phases: Vec<(String, Phase, bool)>,
    /// Result folder.
    pub output: String,
    /// Odd geometry was an error.
    #[serde(default)]
    pub strict_geometry: bool,
}

/// A pipeline file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineRecord {
    /// Where it lay.
    pub path: String,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
    /// Its content.
    pub text: String,
}

/// A scan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanRecord {
    /// Stated by the caller.
    pub phase: Phase,
    /// Where it lay.
    pub path: String,
    /// Of the file, in hexadecimal; `None` if no step read it.
    pub sha256: Option<String>,
    /// Of the file.
    pub bytes: u64,
    /// Voxels, x, y, z.
    pub shape: [usize; 3],
    /// Millimeters, x, y, z.
    pub spacing: [f64; 3],
}

/// A step on a phase that it does not accept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OverrideRecord {
    /// Its name.
    pub step: String,
    /// On which it ran.
    pub phase: Phase,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepRecord {
    /// Its name.
    pub id: String,
    /// Where it ran; `None` if it was left out.
    pub place: Option<StepPlace>,
    /// What it did.
    pub work: StepWork,
    /// Labels of its mask.
    pub labels: Vec<LabelVolume>,
    /// Its files in the result folder.
    pub files: Vec<String>,
    /// Seconds from its start to its end, waiting for others included.
    pub seconds: f64,
    /// What it cost.
    pub counters: Counters,
    /// Versions of what took part.
    pub versions: BTreeMap<String, String>,
}

/// What a step did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum StepWork {
    /// A model ran on a scan.
    Model {
        /// Of the scan.
        phase: Phase,
        /// The model.
        model: Box<ModelRecord>,
        /// Seconds per stage.
        stages: StageSeconds,
        /// Tiles, over folds; mirrored copies not counted.
        tiles: u64,
    },
    /// An operation ran on masks.
    Mask {
        /// Its name.
        operation: String,
        /// Its version.
        version: String,
        /// Parameters that were given, as text.
        parameters: BTreeMap<String, String>,
        /// Numbers that it found.
        measurements: Vec<Measurement>,
    },
    /// A scan was cropped around labels.
    Sample {
        /// Of the scan.
        phase: Phase,
    },
    /// Nothing: it was left out.
    LeftOut {
        /// What it would have been.
        step: StepKind,
        /// Why.
        reason: String,
    },
}

impl StepRecord {
    /// Why it was left out; `None` if it ran.
    pub fn left_out(&self) -> Option<&str> {
        match &self.work {
            StepWork::LeftOut { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// The model that ran.
    pub fn model(&self) -> Option<&ModelRecord> {
        match &self.work {
            StepWork::Model { model, .. } => Some(model),
            _ => None,
        }
    }
}

/// A model as it took part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelRecord {
    /// Its folder.
    pub folder: String,
    /// `fold_0` …
    pub folds: Vec<String>,
    /// `checkpoint_final.pth` or `checkpoint_best.pth`.
    pub checkpoint: String,
    /// Its files, below the folder.
    pub files: Vec<FileRecord>,
    /// What ran it.
    pub provider: String,
    /// CPU threads.
    pub threads: usize,
    /// How the mask was made.
    pub options: SegmentationOptions,
    /// The postprocessing file of the model was applied.
    pub postprocessing: bool,
    /// Voxels that it looked at, x, y, z: start and end; `None` is the whole scan. On the grid of the mask that it was
    /// found in.
    pub crop: Option<[[usize; 2]; 3]>,
}

/// A mask that was kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaskFileRecord {
    /// Its file in the result folder.
    pub file: String,
    /// The step that made it.
    pub step: String,
    /// What its ids mean.
    pub labels: Vec<LabelVolume>,
}

/// A process that took part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessRecord {
    /// Which.
    pub place: StepPlace,
    /// Most memory that it ever held, bytes.
    pub peak_rss_bytes: u64,
}
