//! How plans say that intensities are normalized, checked before a voxel is read.

use crate::FolderError;
use crate::json::Json;

/// How one image channel is normalized.
///
/// Source: nnunetv2 2.8.1, `preprocessing/normalization/default_normalization_schemes.py`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Normalization {
    /// `CTNormalization`: clip to percentiles of the training set, then shift and divide by its mean and deviation.
    /// Ignores `use_mask_for_norm`.
    Ct(IntensityProperties),
    /// `ZScoreNormalization`: by mean and deviation of the image itself.
    ZScore {
        /// `use_mask_for_norm`: statistics over, and applied to, the non-zero mask only.
        use_mask: bool,
    },
    /// `NoNormalization`.
    None,
    /// `RescaleTo01Normalization`: by the image's own minimum and maximum.
    RescaleTo01,
    /// `RGBTo01Normalization`: divide by 255.
    RgbTo01,
}

/// Intensities of the foreground of the training set, in one channel. All finite; round to f32 before use, as nnU-Net
/// does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IntensityProperties {
    /// `mean`.
    pub mean: f64,
    /// `std`.
    pub std: f64,
    /// `percentile_00_5`.
    pub percentile_00_5: f64,
    /// `percentile_99_5`.
    pub percentile_99_5: f64,
}

const SCHEMES: [&str; 5] = [
    "CTNormalization",
    "ZScoreNormalization",
    "NoNormalization",
    "RescaleTo01Normalization",
    "RGBTo01Normalization",
];

impl Normalization {
    /// The name in plans.
    pub fn scheme_name(&self) -> &'static str {
        match self {
            Normalization::Ct(_) => SCHEMES[0],
            Normalization::ZScore { .. } => SCHEMES[1],
            Normalization::None => SCHEMES[2],
            Normalization::RescaleTo01 => SCHEMES[3],
            Normalization::RgbTo01 => SCHEMES[4],
        }
    }

    /// Reads one entry of `normalization_schemes`; `properties` finds the channel's intensity properties, which only
    /// [`Normalization::Ct`] needs.
    pub(crate) fn read(
        scheme: &Json<'_>,
        use_mask: bool,
        properties: impl FnOnce() -> Result<IntensityProperties, FolderError>,
    ) -> Result<Self, FolderError> {
        match scheme.text()? {
            "CTNormalization" => properties().map(Normalization::Ct),
            "ZScoreNormalization" => Ok(Normalization::ZScore { use_mask }),
            "NoNormalization" => Ok(Normalization::None),
            "RescaleTo01Normalization" => Ok(Normalization::RescaleTo01),
            "RGBTo01Normalization" => Ok(Normalization::RgbTo01),
            unknown => Err(scheme.unknown_name(unknown, &SCHEMES)),
        }
    }
}

impl IntensityProperties {
    pub(crate) fn read(json: &Json<'_>) -> Result<Self, FolderError> {
        let number = |key| json.require(key)?.number();
        let properties = IntensityProperties {
            mean: number("mean")?,
            std: number("std")?,
            percentile_00_5: number("percentile_00_5")?,
            percentile_99_5: number("percentile_99_5")?,
        };
        if properties.std < 0.0 {
            return Err(json.require("std")?.invalid("a standard deviation of at least 0"));
        }
        if properties.percentile_00_5 > properties.percentile_99_5 {
            return Err(json
                .require("percentile_99_5")?
                .invalid("at least percentile_00_5"));
        }
        Ok(properties)
    }
}
