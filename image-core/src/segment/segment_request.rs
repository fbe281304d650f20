//! What a caller asks of one model on one scan.

use std::path::PathBuf;

use nephrite_types::SegmentationOptions;

use super::request::{ModelRun, ScanInput};
use super::{PostprocessingChoice, PreviousStage};
use crate::model::ModelChoice;
use crate::objects::WantedObjects;

/// A scan to be segmented by one model.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentRequest {
    /// The model.
    pub model: ModelChoice,
    /// One scan per channel of the model, in its order: a file, a series of a folder of DICOM files, `folder#UID`, or
    /// `dicomweb://NAME/study/series`.
    pub inputs: Vec<PathBuf>,
    /// Mask of the previous stage of a cascade, on the voxels of the first input; its axes may run another way: a label map, a DICOM
    /// segmentation, or a structure set. Without it, the previous stage is run first if its folder lies beside the model's.
    pub previous_stage: Option<PathBuf>,
    /// Where the mask goes: a label map, named as one of [`VOLUME_ENDINGS`](nephrite_types::VOLUME_ENDINGS).
    pub output: PathBuf,
    /// DICOM objects of the mask, beside it: `kidney.nii.gz` has `kidney.seg.dcm`. The first input must be a DICOM series then.
    pub objects: WantedObjects,
    /// Where the probabilities go, if wanted: `.npz`, member `probabilities`, f32 `[class, z, y, x]`.
    pub save_probabilities: Option<PathBuf>,
    /// How the mask is made.
    pub options: SegmentationOptions,
    /// What follows.
    pub postprocessing: PostprocessingChoice,
    /// Whether odd geometry (channels that lie elsewhere than the first, headers that contradict themselves) is an error; a
    /// warning otherwise.
    pub strict_geometry: bool,
}

impl SegmentRequest {
    pub(super) fn model_run(&self) -> ModelRun {
        let scans = self.inputs.iter().map(|path| ScanInput {
            path: path.clone(),
            bytes: None,
        });
        ModelRun {
            model: self.model.clone(),
            scans: scans.collect(),
            masks: Vec::new(),
            previous_stage: match &self.previous_stage {
                Some(path) => PreviousStage::File(path.clone()),
                None => PreviousStage::Model,
            },
            options: self.options,
            postprocessing: self.postprocessing.clone(),
            crop: None,
            world: None,
            probabilities: self.save_probabilities.is_some(),
            is_step: false,
        }
    }
}
