//! What a caller chooses about a prediction: arithmetic, mirroring, distance and weight of tiles, what follows.

use ndarray::Array3;
use nephrite_nnunet_folder::RemoveAllButLargest;
use nephrite_types::CancelToken;

use crate::NnunetError;
use crate::export::StoredLabel;
use crate::postprocess::keep_largest_component;

/// In which arithmetic class sums and resampling run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Numerics {
    /// f32 throughout: faster and closer to the truth than the reference.
    #[default]
    Fast,
    /// nnU-Net's own rounding on the CPU: class sums, folds and resampled logits in half precision, resampling in
    /// f64. For showing parity voxel by voxel.
    Reference,
}

/// How [`crate::predict`] makes a mask.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictOptions {
    /// Average over mirrored copies, along the axes that the model was trained for.
    pub mirroring: bool,
    /// Distance of tiles as a fraction of the patch, in (0, 1].
    pub tile_step_size: f64,
    /// Weight tiles by a Gaussian.
    pub gaussian: bool,
    /// Arithmetic.
    pub numerics: Numerics,
    /// Give probabilities too. Labels then follow from those, as nnU-Net does; needs memory for classes × scan.
    pub probabilities: bool,
    /// Steps that follow, in order. Empty for nnU-Net's plain prediction.
    pub postprocessing: Vec<RemoveAllButLargest>,
}

impl Default for PredictOptions {
    /// As `nnUNetv2_predict`: mirroring, half a patch, Gaussian; fast numerics, the mask only.
    fn default() -> Self {
        PredictOptions {
            mirroring: true,
            tile_step_size: 0.5,
            gaussian: true,
            numerics: Numerics::Fast,
            probabilities: false,
            postprocessing: Vec::new(),
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
