//! How a mask is made, whoever asks.

use std::path::PathBuf;

use nephrite_nnunet::Numerics;

use crate::error::CoreError;

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
        SegmentOptions {
            mirroring: true,
            tile_step_size: 0.5,
            gaussian: true,
            numerics: Numerics::Fast,
        }
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

impl SegmentOptions {
    /// # Errors
    /// [`CoreError::Option`] for a step that is no fraction of a patch.
    pub(crate) fn check(&self) -> Result<(), CoreError> {
        let found = self.tile_step_size;
        if found > 0.0 && found <= 1.0 {
            return Ok(());
        }
        Err(CoreError::Option {
            option: "--tile-step-size",
            expected: "above 0 and at most 1",
            found: found.to_string(),
        })
    }
}

/// As on the command line.
pub(crate) fn numerics_name(numerics: Numerics) -> &'static str {
    match numerics {
        Numerics::Fast => "fast",
        Numerics::Reference => "reference",
    }
}
