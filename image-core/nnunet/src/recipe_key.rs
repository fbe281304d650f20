//! What two recipes must have in common for one network input to serve both.

use nephrite_nnunet_folder::{
    IntensityProperties, Normalization, Resampling, SeparateZ, SplineResampling, TorchResampling,
};

use crate::recipe::Recipe;
use nephrite_types::Numerics;

/// All that a network input without a previous stage depends on besides its scan and crop. Equal keys make equal bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RecipeKey {
    transpose_forward: [usize; 3],
    normalization: Vec<NormalizationKey>,
    spacing: Vec<Bits>,
    data_resampling: ResamplingKey,
    numerics: Numerics,
}

/// A number that is the same only to the last bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Bits(u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum NormalizationKey {
    /// Mean, deviation and percentiles.
    Ct([Bits; 4]),
    ZScore {
        use_mask: bool,
    },
    None,
    RescaleTo01,
    RgbTo01,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum ResamplingKey {
    Spline {
        is_seg: bool,
        order: u8,
        order_z: u8,
        separate_z: SeparateZ,
        anisotropy_threshold: Bits,
    },
    Torch {
        is_seg: bool,
        separate_z: SeparateZ,
        anisotropy_threshold: Bits,
        memory_efficient_seg: bool,
    },
    None,
}

impl Recipe {
    /// What a network input has in common with others of the same scan and crop.
    pub fn key(&self, numerics: Numerics) -> RecipeKey {
        let channels = self.channels.iter();
        RecipeKey {
            transpose_forward: self.transpose_forward,
            normalization: channels.map(|channel| channel.normalization.into()).collect(),
            spacing: self.spacing.iter().copied().map(Bits::from).collect(),
            data_resampling: self.data_resampling.into(),
            numerics,
        }
    }
}

impl From<f64> for Bits {
    fn from(value: f64) -> Self {
        Bits(value.to_bits())
    }
}

// Taken apart field by field, so that a new one is not forgotten.
impl From<Normalization> for NormalizationKey {
    fn from(normalization: Normalization) -> Self {
        match normalization {
            Normalization::Ct(IntensityProperties {
                mean,
                std,
                percentile_00_5,
                percentile_99_5,
            }) => NormalizationKey::Ct([mean, std, percentile_00_5, percentile_99_5].map(Bits::from)),
            Normalization::ZScore { use_mask } => NormalizationKey::ZScore { use_mask },
            Normalization::None => NormalizationKey::None,
            Normalization::RescaleTo01 => NormalizationKey::RescaleTo01,
            Normalization::RgbTo01 => NormalizationKey::RgbTo01,
        }
    }
}

impl From<Resampling> for ResamplingKey {
    fn from(resampling: Resampling) -> Self {
        match resampling {
            Resampling::Spline(SplineResampling {
                is_seg,
                order,
                order_z,
                separate_z,
                anisotropy_threshold,
            }) => ResamplingKey::Spline {
                is_seg,
                order,
                order_z,
                separate_z,
                anisotropy_threshold: anisotropy_threshold.into(),
            },
            Resampling::Torch(TorchResampling {
                is_seg,
                separate_z,
                anisotropy_threshold,
                memory_efficient_seg,
            }) => ResamplingKey::Torch {
                is_seg,
                separate_z,
                anisotropy_threshold: anisotropy_threshold.into(),
                memory_efficient_seg,
            },
            Resampling::None => ResamplingKey::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::ChannelRecipe;

    fn recipe() -> Recipe {
        let ct = IntensityProperties {
            mean: 100.0,
            std: 50.0,
            percentile_00_5: -900.0,
            percentile_99_5: 300.0,
        };
        Recipe {
            transpose_forward: [0, 1, 2],
            channels: vec![ChannelRecipe {
                name: "CT".to_owned(),
                normalization: Normalization::Ct(ct),
            }],
            spacing: vec![2.5, 0.8, 0.8],
            data_resampling: Resampling::None,
            seg_resampling: Resampling::None,
            probabilities_resampling: Resampling::None,
            previous_stage: None,
            foreground_labels: vec![1, 2],
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Recipe), same: bool) {
        let mut other = recipe();
        change(&mut other);
        let (a, b) = (recipe().key(Numerics::Fast), other.key(Numerics::Fast));
        assert_eq!(a == b, same);
    }

    #[test]
    fn what_changes_the_input_changes_the_key_and_nothing_else_does() {
        check(|recipe| recipe.spacing[1] = 0.8f64.next_up(), false);
        check(|recipe| recipe.transpose_forward = [1, 0, 2], false);
        check(
            |recipe| recipe.channels[0].normalization = Normalization::None,
            false,
        );
        let torch = TorchResampling {
            is_seg: false,
            separate_z: SeparateZ::Auto,
            anisotropy_threshold: 3.0,
            memory_efficient_seg: false,
        };
        check(|recipe| recipe.data_resampling = Resampling::Torch(torch), false);
        check(|recipe| recipe.channels[0].name = "ct".to_owned(), true);
        check(|recipe| recipe.foreground_labels = vec![1], true);
        check(|recipe| recipe.seg_resampling = Resampling::Torch(torch), true);
        assert_ne!(recipe().key(Numerics::Fast), recipe().key(Numerics::Reference));
    }
}
