//! How a prediction is made, and what follows it.

use ndarray::Array3;
use nephrite_nnunet_folder::RemoveAllButLargest;
use nephrite_types::{CancelToken, SegmentationOptions};

use crate::NnunetError;
use crate::export::StoredLabel;
use crate::postprocess::keep_largest_component;

/// How [`crate::predict`] makes a mask. By default as `nnUNetv2_predict`: the mask only.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PredictOptions {
    /// Tiles, mirroring, arithmetic.
    pub segmentation: SegmentationOptions,
    /// Give probabilities too. Labels then follow from those, as nnU-Net does; needs memory for classes × scan.
    pub probabilities: bool,
    /// Steps that follow, in order. Empty for nnU-Net's plain prediction.
    pub postprocessing: Vec<RemoveAllButLargest>,
}

impl From<SegmentationOptions> for PredictOptions {
    /// The mask only.
    fn from(segmentation: SegmentationOptions) -> Self {
        PredictOptions {
            segmentation,
            ..PredictOptions::default()
        }
    }
}

impl PredictOptions {
    pub(crate) fn postprocess<L: StoredLabel + PartialEq + Into<u16>>(
        &self,
        labels: &mut Array3<L>,
        cancel: &CancelToken,
    ) -> Result<(), NnunetError> {
        for step in &self.postprocessing {
            let background = L::try_from(step.background).map_err(|_| NnunetError::PostprocessingValue {
                value: step.background,
                limit: L::MAX,
            })?;
            keep_largest_component(labels, &step.labels, background, cancel)?;
        }
        Ok(())
    }
}
