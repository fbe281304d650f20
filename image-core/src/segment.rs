//! One request: checks, model, scan, mask, report.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nephrite_nnunet::{Model, Numerics, PredictOptions, Prediction, predict};
use nephrite_nnunet_folder::{CheckpointKind, FoldSelection, ModelFolder};
use nephrite_types::{CancelToken, Labels, Progress, Stage};
use nephrite_volume::{Reader, labels_from_volume, read_volume, write_label_map};

use crate::channels::{Channels, OpenScan, check_same_grid, read_channels};
use crate::probabilities::write_probabilities;
use crate::report::{OptionsReport, count_labels};
use crate::stage_clock::StageClock;
use crate::{Core, CoreError, OutputFile, SegmentReport, peak_rss_bytes};

/// Which model, and what of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelChoice {
    /// The folder `<Trainer>__<Plans>__<Configuration>`.
    pub folder: PathBuf,
    /// Which folds; their logits are averaged.
    pub folds: FoldSelection,
    /// Which checkpoint of each fold.
    pub checkpoint: CheckpointKind,
}

/// How a mask is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SegmentOptions {
    /// Average over mirrored copies, along the axes that the model was trained for.
    pub mirroring: bool,
    /// Distance of tiles as a fraction of the patch, in (0, 1].
    pub tile_step_size: f64,
    /// Weight tiles by a Gaussian.
    pub gaussian: bool,
    /// nephrite's own arithmetic, or nnU-Net's half-precision rounding.
    pub numerics: Numerics,
}

impl Default for SegmentOptions {
    /// As nnU-Net: mirroring, half a patch, Gaussian.
    fn default() -> Self {
        SegmentOptions { mirroring: true, tile_step_size: 0.5, gaussian: true, numerics: Numerics::Fast }
    }
}

/// Which postprocessing follows the mask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PostprocessingChoice {
    /// None, as nnU-Net's own prediction.
    #[default]
    None,
    /// What cross-validation found for these folds, from the model's folder.
    FromModel,
    /// A `postprocessing.json` or `.pkl`.
    File(PathBuf),
}

/// A scan to be segmented by one model.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentRequest {
    /// The model.
    pub model: ModelChoice,
    /// One NIfTI file per channel of the model, in its order.
    pub inputs: Vec<PathBuf>,
    /// Mask of the previous stage of a cascade, on the grid of the inputs. Without it, the previous stage is run
    /// first if its folder lies beside the model's.
    pub previous_stage: Option<PathBuf>,
    /// Where the mask goes: `.nii.gz` or `.nii`.
    pub output: PathBuf,
    /// Where the probabilities go, if wanted: `.npz`, member `probabilities`, f32 `[class, z, y, x]`.
    pub save_probabilities: Option<PathBuf>,
    /// How the mask is made.
    pub options: SegmentOptions,
    /// What follows.
    pub postprocessing: PostprocessingChoice,
}

/// Makes a mask: checks what is cheap to check, loads the model or takes the resident one, reads the scan once,
/// predicts, and writes the mask under its final name only when it is whole.
///
/// # Errors
/// [`CoreError`]; no output file is left then.
pub fn segment(
    core: &Core,
    request: &SegmentRequest,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<SegmentReport, CoreError> {
    let _ = (core, request, progress, cancel);
    unimplemented!("the parts are being written")
}
