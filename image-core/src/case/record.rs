//! What was done, for the file: `record.json`.

use std::collections::BTreeMap;

use nephrite_dicom::SeriesOptions;
use nephrite_engine::Provider;
use nephrite_kernel::{LabelVolume, Measurement, ParameterValue};
use nephrite_types::{OutputFormat, Phase, Precision, SegmentationOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Profile, StepKind};
use crate::masks::StepPlace;
use crate::memory::Counters;
use crate::model::FileRecord;
use crate::segment::{StageSeconds, WarningReport};

/// The format that this version writes and reads.
pub(super) const FORMAT: u32 = 2;

/// Everything about a case that its masks do not say. Written last; a result folder without it is not complete.
///
/// Paths of what went in (scans, models, the pipeline, the result folder itself) are absolute; those of what came out (`files`,
/// `masks`, files of steps) start at the result folder, as in the events of the case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Of this file; 2.
    pub format: u32,
    /// Version of nephrite that ran the case.
    pub nephrite: String,
    /// When it began, seconds since 1970 UTC.
    pub started_unix_seconds: u64,
    /// What was asked for.
    pub request: RequestRecord,
    /// The job that it was, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobRecord>,
    /// The earlier case whose files these are, if it was not run again. What follows is that case's own, but for what the request
    /// says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reused: Option<ReusedRecord>,
    /// The pipeline file, if there was one.
    pub pipeline: Option<PipelineRecord>,
    /// The file of codes, if models without a pipeline file had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codes: Option<PipelineRecord>,
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
    /// Everything in the result folder but this file; paths start at the folder.
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
    /// Models without a pipeline file.
    pub models: Vec<BareModelRecord>,
    /// What is written of their masks beside the label map.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub formats: Vec<OutputFormat>,
    /// File of codes for these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codes: Option<String>,
    /// The scans as they were named.
    pub scans: Vec<ScanRequestRecord>,
    /// Chosen steps; all if empty.
    pub steps: Vec<String>,
    /// How thoroughly.
    pub profile: Profile,
    /// Which scan a step runs on, if that was said.
    pub phases: Vec<PhaseChoiceRecord>,
    /// Result folder.
    pub output: String,
    /// Odd geometry was an error.
    #[serde(default)]
    pub strict_geometry: bool,
    /// A scan whose DICOM tags contradict its phase was an error.
    #[serde(default)]
    pub check_phases: bool,
}

/// The job that a case was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobRecord {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Number of its submission: one that was forgotten and handed in again has another one. 0 if it was not run.
    pub number: u64,
    /// Number of the lease under which it was done; larger than 1 if it was tried before. 0 if it was not run.
    pub lease: u64,
}

/// An earlier case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReusedRecord {
    /// Its result folder.
    pub output: String,
    /// SHA-256 in hexadecimal of its `record.json`.
    pub record_sha256: String,
    /// Id of the job that it was, if it was one.
    pub job: Option<String>,
}

/// A model without a pipeline file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BareModelRecord {
    /// Its folder.
    pub model: String,
    /// Phase of its scan, if it was named.
    pub phase: Option<Phase>,
}

/// A scan of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanRequestRecord {
    /// Stated by the caller.
    pub phase: Phase,
    /// Its file.
    pub path: String,
}

/// On which scan a step runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PhaseChoiceRecord {
    /// A model step.
    pub step: String,
    /// Phase of a scan of the request.
    pub phase: Phase,
    /// Even if the step does not accept this phase.
    pub r#override: bool,
}

/// A pipeline file, or one of codes.
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
    /// Which DICOM series it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<SeriesRecord>,
}

/// A scan that was a DICOM series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeriesRecord {
    /// What it is called: its UID, and `:` and a number if the series has several stacks.
    pub id: String,
    /// Its images, one instance each or one for all.
    pub instances: Vec<String>,
    /// How irregular it might be.
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    pub options: SeriesOptions,
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
    /// Its files, below the result folder.
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
        /// Which.
        operation: OperationRecord,
        /// Values in force: those that were given, and defaults.
        parameters: BTreeMap<String, ParameterValue>,
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

/// An operation as it took part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OperationRecord {
    /// As the pipeline calls it.
    pub name: String,
    /// Version of the algorithm.
    pub version: String,
    /// Its name at the service that ran it, if that is another one.
    pub at_service: Option<String>,
}

/// A box of voxels, half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BoxRecord {
    /// First voxel inside, x, y, z.
    pub start: [usize; 3],
    /// First voxel past the end, x, y, z.
    pub end: [usize; 3],
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
    pub provider: Provider,
    /// In what its networks computed. Records of versions that knew f32 only do not say it.
    #[serde(default)]
    pub precision: Precision,
    /// CPU threads.
    pub threads: usize,
    /// How the mask was made.
    pub options: SegmentationOptions,
    /// The postprocessing file of the model was applied.
    pub postprocessing: bool,
    /// Voxels that it looked at, on the grid of the mask that the box was found in; `None` is the whole scan.
    pub crop: Option<BoxRecord>,
}

/// A mask that was kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaskFileRecord {
    /// Its file, below the result folder.
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
